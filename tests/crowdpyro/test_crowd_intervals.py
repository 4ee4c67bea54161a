"""`CrowdLLM.interval`: cross-fitted by participant, and blind to the answers it is asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdpyro import (
    Categorical,
    Continuous,
    CrowdData,
    CrowdLLM,
    DataError,
    FitConfig,
    ModelError,
    Ordinal,
    References,
    parse_scale,
)
from crowdpyro.crowd_intervals import interval_from_crowds, mean_answers, training_part
from crowdpyro.theory import crowd_interval
from crowdpyro.theory.cross_fit import person_folds

QUICK = FitConfig(epochs=4, margin_steps=5, every=2)


def people(n: int = 24, n_problems: int = 3, seed: int = 0, scale: object = None) -> CrowdData:
    """People of town and land who answer 1 to 5."""
    rng = np.random.default_rng(seed)
    home = rng.choice(["town", "land"], n)
    mean = 3 + 0.8 * (home == "town")[:, None] + rng.normal(scale=0.8, size=(n, 1))
    given = np.clip(np.round(mean + rng.normal(scale=0.8, size=(n, n_problems))), 1, 5)
    responses = pd.DataFrame(
        {
            "participant": np.repeat(np.arange(n), n_problems),
            "problem": np.tile([f"q{t}" for t in range(n_problems)], n),
            "response": given.ravel(),
        }
    )
    if isinstance(scale, Categorical):
        responses["response"] = np.where(given.ravel() > 3, "yes", "no")
    problems = pd.DataFrame({"problem": [f"q{t}" for t in range(n_problems)], "text": ["a text"] * n_problems})
    profiles = pd.DataFrame({"participant": np.arange(n), "home": home})
    return CrowdData.from_frames(responses, problems, profiles, scale=scale or Ordinal.range(1, 5))


def quick(**settings: object) -> CrowdLLM:
    return CrowdLLM(n_components=0, n_hidden=4, n_eps=1, training=QUICK, progress=False, **settings)


POPULATION = pd.DataFrame({"home": ["town"] * 30 + ["land"] * 90})


def test_one_interval_a_problem_with_the_peoples_own_beside_it():
    data = people()
    interval = quick().interval(data, population=POPULATION, k=2, n_draws=4, seed=1)
    matrix = data.matrix() + 1
    np.testing.assert_allclose(interval.human_only.estimate, matrix.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(interval.human_only.se, matrix.std(axis=0, ddof=1) / 24**0.5, rtol=1e-12)
    assert list(interval.to_frame().index) == ["q0", "q1", "q2"]
    assert (interval.n_crowd == 120).all()
    again = quick().interval(data, population=POPULATION, k=2, n_draws=4, seed=1)
    np.testing.assert_array_equal(interval.low, again.low)
    other = quick().interval(data, population=POPULATION, k=2, n_draws=4, seed=2)
    assert not np.array_equal(interval.low, other.low)


def test_a_fitted_model_stays_as_it_is():
    data = people()
    model = quick().fit(data, seed=0)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    model.interval(data, k=2, n_draws=2)
    after = model.model.state_dict()
    assert all((after[name] == value).all() for name, value in before.items())


def test_without_a_population_the_crowd_adds_nothing():
    data = people()
    tuned = quick().interval(data, method="power_tuned", k=2, n_draws=2)
    human = tuned.human_only
    np.testing.assert_allclose(tuned.low, human.low, rtol=1e-9)
    rectified = quick().interval(data, k=2, n_draws=40)
    # Nested: the people's own variance, but for how fold models and draws differ.
    np.testing.assert_allclose(rectified.se, human.se, rtol=0.15)
    assert set(rectified.parts) == {"crowd", "residual", "overlap"}


def test_no_twin_has_seen_its_person(monkeypatch):
    """Whatever a fold's people answered, their twins are the same."""
    data = people(12)
    given: list[list[float]] = []

    def recorded(y: np.ndarray, twins: np.ndarray, *rest: object, **how: object) -> None:
        given.append([*twins.ravel()])

    monkeypatch.setattr("crowdpyro.crowd_intervals.crowd_interval", recorded)
    folds = list(person_folds(12, 3, seed=5))
    test = folds[1][1]
    changed = data.response.copy()
    mine = np.isin(data.participant_code, test)
    changed[mine] = 4 - changed[mine]
    for each in (data, replace(data, response=changed)):
        quick().interval(each, population=POPULATION, k=3, n_draws=3, seed=5)
    first, second = (np.array(each).reshape(12, 3) for each in given)
    np.testing.assert_array_equal(first[test], second[test])
    others = np.setdiff1d(np.arange(12), test)
    assert not np.array_equal(first[others], second[others])


@pytest.mark.slow
def test_people_who_differ_by_more_than_their_profile_have_twins_that_do_not_know_it():
    """The person's own noise is half the variance and no profile tells it: twins that correlate have seen answers."""
    rng = np.random.default_rng(0)
    n = 200
    y = 3 + rng.normal(scale=0.7, size=(n, 1)) + rng.normal(scale=0.7, size=(n, 6))
    responses = pd.DataFrame(
        {"participant": np.repeat(np.arange(n), 6), "problem": np.tile(np.arange(6), n), "response": y.ravel()}
    )
    problems = pd.DataFrame({"problem": np.arange(6), "text": [f"item {t}" for t in range(6)]})
    data = CrowdData.from_frames(responses, problems, scale=Continuous())
    population = pd.DataFrame(index=range(1000))
    interval = CrowdLLM(n_components=0, progress=False).interval(
        data, population=population, method="power_tuned", seed=0, n_draws=1
    )
    # With eps from q(eps | y) lambda is near a half; here it is noise of 200 people, .07 at one standard deviation.
    assert interval.lam.mean() < 0.15
    assert (interval.se > 0.95 * interval.human_only.se).all()


def test_shares_and_labels():
    scale = Categorical(("no", "yes"))
    data = people(scale=scale)
    shares = quick().interval(data, population=POPULATION, k=2, n_draws=4, shares=True)
    assert shares.to_frame().index[0] == ("q0", "no")
    np.testing.assert_allclose(shares.estimate.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(shares.human_only.estimate, data.counts() / 24, atol=1e-12)
    with pytest.raises(DataError, match="labels no, yes have no mean; give shares=True"):
        quick().interval(data, k=2)
    rated = quick().interval(people(), population=POPULATION, k=2, n_draws=4, shares=True)
    assert rated.estimate.shape == (3, 5)


def test_pooled_is_clustered_by_participant():
    data = people(30, 4)
    pooled = quick().interval(data, population=POPULATION, k=2, n_draws=2, pooled=True)
    own = (data.matrix() + 1).mean(axis=1)
    assert pooled.human_only.se == pytest.approx(own.std(ddof=1) / 30**0.5, rel=1e-12)
    assert pooled.human_only.df == 29
    nested = quick().interval(data, k=2, n_draws=2, pooled=True, method="power_tuned")
    assert nested.se == pytest.approx(float(pooled.human_only.se), rel=0.05)


def test_rare_people_can_have_twins():
    data = people(12)
    frame = data.participants.copy()
    frame.iloc[4, 0] = "boat"
    rare = replace(data, participants=frame)
    train, test = np.delete(np.arange(12), [3, 4]), np.array([3, 4])
    part = training_part(rare, train, test)
    assert part.n_participants == 11
    assert 4 in part.participants.index
    assert part.n_answers == 30
    assert 4 not in part.participants.index[part.participant_code]
    interval = quick().interval(rare, k=3, n_draws=2)
    assert np.isfinite(interval.se).all()


def test_absent_answers_weights_and_levels():
    data = people(20)
    kept = np.ones(data.n_answers, dtype=bool)
    kept[[0, 7, 20]] = False
    some = replace(
        data,
        problem_code=data.problem_code[kept],
        participant_code=data.participant_code[kept],
        response=data.response[kept],
    )
    weights = np.linspace(0.5, 1.5, 20)
    interval = quick().interval(
        some, population=POPULATION, k=2, n_draws=2, weights=weights, alpha=0.1, alternative="larger", simultaneous=True
    )
    assert interval.n.tolist() == [19, 19, 19]
    assert interval.alpha == pytest.approx(0.1 / 3)
    assert np.isposinf(interval.high).all()
    there = some.matrix()[:, 0]
    expected = np.average((there + 1)[~np.isnan(there)], weights=weights[~np.isnan(there)])
    assert interval.human_only.estimate[0] == pytest.approx(expected, rel=1e-12)


def test_twins_are_means_of_draws():
    data = people()
    model = quick().fit(data, seed=0)
    mean = mean_answers(model, data, data.participants, 5, seed=3)
    seeds = np.random.default_rng(3).integers(2**32, size=5)
    frame = data.participants.reset_index(drop=True)
    drawn = [model.generate(frame, participation=1.0, seed=int(each)).values() for each in seeds]
    np.testing.assert_allclose(mean, np.mean(drawn, axis=0), rtol=1e-12)


def test_ballots_have_an_interval_an_option():
    rng = np.random.default_rng(0)
    rows = [(p, q, "|".join(rng.choice(list("ABC"), 2, replace=False))) for p in range(16) for q in "xy"]
    data = CrowdData.from_frames(
        pd.DataFrame(rows, columns=["participant", "problem", "response"]),
        pd.DataFrame({"problem": list("xy"), "text": ["t", "u"]}),
        scale=parse_scale("choose:2:A,B,C"),
    )
    interval = quick().interval(data, population=pd.DataFrame(index=range(30)), k=2, n_draws=3)
    assert interval.to_frame().index[1] == ("x", "B")
    np.testing.assert_allclose(interval.estimate.sum(axis=1), 2, atol=1e-6)
    with pytest.raises(DataError, match="the means of a ballot are its shares"):
        quick().interval(data, shares=True)
    with pytest.raises(DataError, match="pooled=True takes one number an answer"):
        quick().interval(data, pooled=True)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"k": 25}, "k=25: give 2 to 24 folds"),
        ({"n_draws": 0}, "n_draws=0: give at least one"),
        ({"shares": True, "pooled": True}, "pooled=True takes one number"),
    ],
)
def test_bad_requests_are_named(how, message):
    with pytest.raises(DataError, match=message):
        quick().interval(people(), **how)


def test_a_problem_with_one_answer_is_named():
    data = people(6)
    kept = (data.problem_code != 1) | (data.participant_code == 0)
    short = replace(
        data,
        problem_code=data.problem_code[kept],
        participant_code=data.participant_code[kept],
        response=data.response[kept],
    )
    with pytest.raises(DataError, match=r"problem 'q1' has 1 answers; an interval needs two: select"):
        quick().interval(short)


class Backbone:
    """Refers to some of the problems, and counts how often it is asked."""

    def __init__(self, *known: str) -> None:
        self.known, self.asked = list(known), 0

    def refer(self, problems: pd.DataFrame, scale: object) -> References:
        self.asked += 1
        rows = [{"problem": q, "model": "m", "answer": 3} for q in problems.index if q in self.known]
        return References.from_frame(pd.DataFrame(rows), scale=scale)


def test_a_backbone_is_asked_once_and_may_drop_problems():
    backbone = Backbone("q0", "q2")
    interval = quick(backbone=backbone).interval(people(), population=POPULATION, k=2, n_draws=2)
    assert backbone.asked == 1
    assert list(interval.to_frame().index) == ["q0", "q2"]


def test_references_by_participant_are_refused():
    rows = [{"problem": f"q{t}", "participant": p, "model": "m", "answer": 3} for p in range(24) for t in range(3)]
    references = References.from_frame(pd.DataFrame(rows), scale=Ordinal.range(1, 5))
    with pytest.raises(ModelError, match="references by participant: a crowd has none"):
        quick().interval(people(), references, k=2)


# -- from crowds that were generated ---------------------------------------------------------------------------------


def test_crowds_give_the_intervals_of_their_matrices():
    data, other = people(12, seed=1), people(20)
    model = quick().fit(other, seed=0)
    twins, crowd = model.generate(data.participants, seed=1), model.generate(50, seed=2)
    y = data.matrix() + 1
    found = interval_from_crowds(data, twins, crowd, 0.1, method="power_tuned")
    expected = crowd_interval(y, twins.values(), crowd.values(), 0.1, method="power_tuned")
    np.testing.assert_allclose(found.low, expected.low, rtol=1e-12)
    # Rows are matched by name.
    order = np.random.default_rng(0).permutation(12)
    swapped = data.select(participants=data.participants.index[order], problems=["q2", "q0"])
    again = interval_from_crowds(swapped, twins, crowd, 0.1, method="power_tuned")
    np.testing.assert_allclose(again.low, found.low[[2, 0]], rtol=1e-9)
    mean = interval_from_crowds(
        data, model.generate(data.participants, decision="expected"), model.generate(50, decision="expected")
    )
    assert list(mean.to_frame().index) == ["q0", "q1", "q2"]
    assert ((mean.estimate > 1) & (mean.estimate < 5)).all()
    shares = interval_from_crowds(data, twins, crowd, shares=True)
    np.testing.assert_allclose(shares.human_only.estimate * 12, data.counts(), atol=1e-9)
    fresh = model.generate(50, crossed=False, seed=2)
    pooled = [interval_from_crowds(data, twins, each, pooled=True) for each in (crowd, fresh)]
    assert pooled[1].parts["crowd"] == pytest.approx(fresh.values().var(ddof=1) / 150, rel=1e-9)
    own = crowd.values().mean(axis=1)
    assert pooled[0].parts["crowd"] == pytest.approx(own.var(ddof=1) / 50, rel=1e-9)


def test_crowds_made_in_different_ways_are_refused():
    data = people(12)
    model = quick().fit(people(20, seed=1), seed=0)
    twins = model.generate(data.participants)
    with pytest.raises(DataError, match="decision: twins have 'draw', the crowd 'expected'"):
        interval_from_crowds(data, twins, model.generate(20, decision="expected"))
    with pytest.raises(DataError, match="participant of twins 0 "):
        interval_from_crowds(data, model.generate(data.participants[1:]), model.generate(20))
    both = [model.generate(each, decision="expected") for each in (data.participants, 20)]
    with pytest.raises(DataError, match="expected answers are no options"):
        interval_from_crowds(data, *both, shares=True)
