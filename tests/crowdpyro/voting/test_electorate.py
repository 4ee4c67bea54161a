"""Electorates on a made-up city whose law is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Ballot, CrowdData, DataError, ModelError, Ordinal
from crowdpyro.voting import Electorate, ElectorateConfig, Match, simulate_city
from crowdpyro.voting.simulated import CITY_ATTRIBUTES, CITY_MATCHES

CONFIG = ElectorateConfig(attributes=CITY_ATTRIBUTES, matches=CITY_MATCHES)
QUICK = replace(CONFIG, epochs=15)
FIXED = replace(CONFIG, n_eps=0)


@pytest.fixture(scope="module")
def city():
    return simulate_city(180, seed=1)


@pytest.fixture(scope="module")
def everybody():
    """So many other voters that their shares are the truth: sd .003 at most."""
    return simulate_city(20_000, seed=2)


@pytest.fixture(scope="module")
def fitted(city):
    return Electorate(CONFIG).fit(city.data, city.projects, city.references, seed=0)


def truth_of(everybody):
    return everybody.data.response.mean(axis=0)


def test_people_of_a_place_are_foretold_better_than_by_their_share(city, everybody, fitted):
    """Shares of the voters of each district, whom the sample has 20 to 70 of; the average error is two thirds."""
    errors = {"crowd": [], "share": []}
    for name in ("North", "East", "South", "West"):
        there = (everybody.data.participants["district"] == name).to_numpy()[everybody.data.participant_code]
        truth = everybody.data.response[there].mean(axis=0)
        mine = (city.data.participants["district"] == name).to_numpy()[city.data.participant_code]
        people = everybody.data.participants[everybody.data.participants["district"] == name][:300]
        errors["crowd"].append(np.abs(fitted.shares(people, n_draws=16) - truth).mean())
        errors["share"].append(np.abs(city.data.response[mine].mean(axis=0) - truth).mean())
    assert np.mean(errors["crowd"]) < 0.8 * np.mean(errors["share"])


def test_utilities_are_recovered(city, fitted):
    """Of 180 ballots; correlation over voters and projects. Tastes, which no profile tells, are part of the truth."""
    import torch

    with torch.no_grad():
        model, batch = fitted._asked(city.data.participants)
        z = model.participants(batch.profile, torch.zeros(180, 2))
        found = (model.met(batch).reference + model.belief_dist(model.met(batch), z).mean).numpy()
    wanted = city.utility[city.data.participants.index.str[1:].astype(int) - 1]
    centred = [each - each.mean(axis=1, keepdims=True) for each in (found, wanted)]
    assert np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1] > 0.7


def test_ballots_of_others_are_foretold(everybody, fitted):
    other = everybody.data.select(participants=everybody.data.participants.index[:400])
    score = fitted.log_prob(other)
    assert score.shape == (400,)
    blind = -np.log(42_504)
    assert score.mean() > blind + 0.8
    # The same law, drawn: its mean log score of its own ballots is that of people's, within four errors.
    drawn = fitted.generate(other.participants, seed=4)
    own = replace(other, response=drawn.codes()[other.participant_code, 0])
    gap = fitted.log_prob(own) - score
    assert abs(gap.mean()) < 4 * gap.std() / 20 + 0.25


def test_projects_that_nobody_voted_on(city, everybody):
    """Better than the LLM alone and than an even share; what was hidden was not looked at."""
    hidden = ["p1", "p5", "p9", "p14", "p18", "p23"]
    place = city.projects.index.get_indexer(hidden)
    fitted = Electorate(FIXED).fit(city.data, city.projects, city.references, hidden=hidden)
    found, truth = fitted.shares(city.data.participants), truth_of(everybody)
    error = np.abs(found - truth)[place].mean()
    assert error < 0.75 * np.abs(5 / 24 - truth)[place].mean()
    assert error < 0.5 * np.abs(city.references.probabilities()[0] * 5 - truth)[place].mean()
    other = city.data.response.copy()
    other[:, place] = 1 - other[:, place]
    changed = Electorate(FIXED).fit(replace(city.data, response=other), city.projects, city.references, hidden=hidden)
    np.testing.assert_array_equal(changed.shares(city.data.participants), found)


def test_shares_are_the_crowds(city, fitted):
    """Expected ballots against 40 crowds, by four standard errors."""
    people = city.data.participants
    drawn = np.mean([fitted.generate(people, seed=k).codes()[:, 0].mean(axis=0) for k in range(40)], axis=0)
    found = fitted.shares(people, n_draws=32)
    assert found.sum() == pytest.approx(5, abs=1e-3)
    assert (np.abs(drawn - found) < 4 * np.sqrt(found / (40 * 180)) + 0.005).all()
    weighed = fitted.shares(people, n_draws=32, weights=np.arange(180) == 3)
    np.testing.assert_allclose(weighed, fitted.expected(people, n_draws=32)[3])


def test_stages_lose_chance_one_by_one(city, fitted):
    people = city.data.participants
    crowds = {stage: fitted.generate(people, stage=stage) for stage in ("fixed_belief", "fixed_decision", "full")}
    for crowd in crowds.values():
        assert (crowd.codes()[:, 0].sum(axis=1) == 5).all()
    none = {stage: int((crowd.counts()[0] == 0).sum()) for stage, crowd in crowds.items()}
    assert none["fixed_belief"] == 19
    assert none["fixed_belief"] > none["fixed_decision"] >= none["full"]
    again = fitted.generate(people, stage="fixed_belief", seed=9)
    np.testing.assert_array_equal(again.codes(), crowds["fixed_belief"].codes())


def test_seeds(city):
    a, b = (Electorate(QUICK).fit(city.data, city.projects, city.references, seed=5) for _ in range(2))
    people = city.data.participants[:20]
    assert a.generate(people, seed=1).dataset.identical(b.generate(people, seed=1).dataset)
    assert not np.array_equal(a.generate(people, seed=1).codes(), a.generate(people, seed=2).codes())


@pytest.mark.parametrize(("rule", "n"), [("approval", None), ("rank", 5), ("points", 10)])
def test_other_ballots(city, rule, n):
    """Counts are nearer to the people's than an even ballot is, and approvals have the people's level."""
    scale = Ballot(city.data.scale.options, rule, n)
    votes = city.data.response
    if rule == "rank":
        mixed = votes + np.random.default_rng(0).uniform(0, 0.5, votes.shape)
        votes = votes * (np.argsort(np.argsort(mixed, axis=1), axis=1) - 18)
    if rule == "points":
        votes = votes * 2
    data = replace(city.data, scale=scale, response=votes)
    fitted = Electorate(replace(FIXED, epochs=60)).fit(data, city.projects)
    truth, found = votes.mean(axis=0), fitted.shares(data.participants)
    assert np.abs(found - truth).mean() < 0.4 * np.abs(truth.mean() - truth).mean()
    assert found.sum() == pytest.approx(truth.sum(), rel=0.05)
    crowd = fitted.generate(data.participants)
    assert scale.valid(crowd.to_frame()["response"].to_numpy()).all()
    if rule == "points":
        with pytest.raises(DataError, match="points without the decision's noise"):
            fitted.generate(data.participants, stage="fixed_decision")
    else:
        assert fitted.generate(data.participants, stage="fixed_decision").n_participants == 180
        with pytest.raises(DataError, match="votes are hidden where options are chosen"):
            Electorate(QUICK).fit(data, city.projects, hidden=["p1"])


def test_mistakes_are_named(city):
    data, projects, quick = city.data, city.projects, Electorate(QUICK)
    with pytest.raises(ModelError, match="not fitted; call fit first"):
        quick.shares(data.participants)
    with pytest.raises(DataError, match="projects: option 'p1' is none of them"):
        quick.fit(data, projects[1:])
    with pytest.raises(DataError, match="projects: an id stands there twice"):
        quick.fit(data, pd.concat([projects, projects[:1]]))
    with pytest.raises(DataError, match="hidden: 'p99' is no option of the ballot"):
        quick.fit(data, projects, hidden=["p99"])
    with pytest.raises(DataError, match="two or more stay in sight"):
        quick.fit(data, projects, hidden=projects.index[1:])
    with pytest.raises(DataError, match="'colour'"):
        Electorate(replace(QUICK, attributes=("colour",))).fit(data, projects)
    with pytest.raises(DataError, match="'age'"):
        Electorate(replace(QUICK, matches=(Match("age", "cost"),))).fit(data, projects)
    people = pd.DataFrame({"participant": ["a"]})
    asked = pd.DataFrame({"problem": ["q"], "text": ["?"]})
    rating = pd.DataFrame({"problem": ["q"], "participant": ["a"], "response": [3]})
    with pytest.raises(DataError, match="give the ballots of one vote"):
        quick.fit(CrowdData.from_frames(rating, asked, people, scale=Ordinal.range(1, 5)), projects)
    fitted = quick.fit(data, projects)
    with pytest.raises(DataError, match="put them on one scale"):
        fitted.log_prob(replace(data, scale=Ballot(data.scale.options, "rank", 5)))
    with pytest.raises(DataError, match="stage='none': give one of"):
        fitted.generate(data.participants, stage="none")
    for setting in ({"n_eps": -1}, {"even": 1.0}, {"offset_scale": 0.0}, {"lr": np.inf}):
        with pytest.raises(ModelError, match=f"{next(iter(setting))}="):
            ElectorateConfig(**setting)
