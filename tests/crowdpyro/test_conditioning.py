"""People known from a few answers: predictions that improve, bands that cover, waves, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Ballot, Categorical, Continuous, Crowd, CrowdData, CrowdLLM, DataError, FitConfig, Ordinal
from crowdpyro.checks import posterior_predictive_check
from crowdpyro.waves import with_a_chance

N_PEOPLE, N_PROBLEMS = 120, 8
SCALES = {
    "ordinal": Ordinal.range(1, 5),
    "continuous": Continuous(),
    "categorical": Categorical(("r", "g", "b")),
    "ballot": Ballot(("A", "B", "C"), "approval"),
}


def people(scale, seed=0, absent=0.0, n=N_PEOPLE):
    """Answers that share one strong trait."""
    rng = np.random.default_rng(seed)
    person, problem = np.indices((n, N_PROBLEMS)).reshape(2, -1)
    latent = 1.2 * rng.normal(size=n)[person] + np.linspace(-1, 1, N_PROBLEMS)[problem]
    latent = latent + rng.normal(size=len(person))
    if isinstance(scale, Ballot):
        latent = [["none", "A", "A|B", "A|B|C"][k] for k in np.clip(np.round(latent + 1.5), 0, 3).astype(int)]
    elif not isinstance(scale, Continuous):
        latent = scale.decode(np.clip(np.round(latent + scale.n_levels / 2), 0, scale.n_levels - 1))
    there = rng.random(len(person)) >= absent
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": latent})[there],
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement {k}" for k in range(N_PROBLEMS)]}),
        pd.DataFrame({"participant": range(n), "age": rng.normal(size=n)}),
        scale=scale,
    )


def fit(scale, epochs=60, **settings):
    training = FitConfig(epochs=epochs, margin_steps=40, batch_size=40, patience=epochs)
    settings = {"n_components": 2, "text_encoder": "tfidf", "n_eps": 1, "n_hidden": 4, **settings}
    return CrowdLLM(training=training, **settings).fit(people(scale), seed=1)


@pytest.fixture(scope="module")
def model():
    return fit(SCALES["ordinal"])


@pytest.fixture(scope="module")
def fresh():
    return people(SCALES["ordinal"], seed=7, n=300)


def first(data, k):
    """Everybody's answers to the first k problems, and to the last three."""
    known = data.select(problems=range(k)) if k else None
    return known, data.select(problems=range(5, N_PROBLEMS))


def test_the_more_answers_the_better(model, fresh):
    errors, scores = [], []
    for k in (0, 1, 3, 5):
        known, rest = first(fresh, k)
        found = model.condition(known, fresh.participants)
        assert (found.n_answers == k).all()
        scores.append(found.log_score(rest).single)
        table = found.predict(range(5, N_PROBLEMS))
        truth = rest.answers.sort_values(["participant", "problem"])["response"].to_numpy()
        errors.append(np.abs(table["median"] - truth).mean())
        u = found.pit(rest)
        # 900 answers of 300 people: .9 to within four standard errors of 300 alone.
        assert ((u > 0.05) & (u < 0.95)).mean() == pytest.approx(0.9, abs=0.07)
    assert (np.diff(scores) > 0).all()
    assert (np.diff(errors) < 0).all()
    # The unconditioned crowd's own score is that of no answer, up to the draws.
    assert scores[0] == pytest.approx(model.log_score(rest, n_draws=1024).single, abs=0.01)
    assert scores[-1] > scores[0] + 0.1


def test_joint_score_is_the_chain_rules(model, fresh):
    """log p(rest | known) = log p(known, rest) - log p(known)."""
    known, rest = first(fresh, 5)
    found = model.condition(known, n_draws=4096)
    both = model.condition(fresh, n_draws=4096)
    evidence = both.to_frame()["log_evidence"].sum() - found.to_frame()["log_evidence"].sum()
    assert found.log_score(rest).joint == pytest.approx(evidence / rest.n_answers, abs=2e-3)


def test_probabilities_bands_and_draws_are_of_one_distribution(model, fresh):
    known, _ = first(fresh, 5)
    found = model.condition(known.select(participants=range(40)), fresh.participants.iloc[:40])
    table = found.predict()
    levels = table.filter(like="p_").to_numpy()
    np.testing.assert_allclose(levels.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(table["mean"], levels @ [1, 2, 3, 4, 5], atol=1e-5)
    assert (table["low"] <= table["median"]).all()
    assert (table["median"] <= table["high"]).all()
    below = np.where(np.arange(1, 6) < table["low"].to_numpy()[:, None], levels, 0).sum(1)
    assert (below < 0.05).all()
    crowds = np.stack([found.generate(keep=False, seed=seed).values().ravel() for seed in range(400)])
    # 320 means of 400 draws each, the table's own draws besides: five standard errors.
    error = table["sd"].to_numpy() * (1 / 400 + 1 / 256) ** 0.5
    assert np.abs((crowds.mean(0) - table["mean"]) / error).max() < 5
    # One person's answers hang together beyond what the person is known for.
    one = crowds.reshape(400, 40, N_PROBLEMS)[:, :, 5:]
    pairs = [np.corrcoef(one[:, person].T)[0, 1] for person in range(40)]
    assert np.mean(pairs) > 0.02


def test_answers_given_are_kept_and_the_rest_is_filled_in(model, fresh):
    known, _ = first(fresh, 3)
    found = model.condition(known)
    crowd = found.generate(seed=4)
    np.testing.assert_array_equal(crowd.values()[:, :3], known.matrix() + 1)
    assert not np.isnan(crowd.values()).any()
    table = found.predict([2, 6])
    assert table["given"].notna().tolist() == [True, False] * 300
    np.testing.assert_array_equal(found.generate(seed=4).values(), crowd.values())
    assert (found.generate(seed=5).values() != crowd.values()).any()


def test_waves_in_turn_are_the_union(model, fresh):
    known, _ = first(fresh, 5)
    early, late = known.select(problems=[0, 3]), known.select(problems=[1, 2, 4])
    at_once, in_turn = model.condition(known), model.condition(early).update(late)
    np.testing.assert_array_equal(at_once.to_frame(), in_turn.to_frame())
    pd.testing.assert_frame_equal(at_once.predict([6]), in_turn.predict([6]))
    # Told again, nothing changes.
    np.testing.assert_array_equal(in_turn.update(early).to_frame(), at_once.to_frame())


def test_a_frame_will_do_and_people_without_answers_keep_the_prior(model, fresh):
    frame = fresh.answers[fresh.answers["participant"] < 3]
    found = model.condition(frame, fresh.participants.iloc[:5])
    table = found.to_frame()
    assert table["n_answers"].tolist() == [8, 8, 8, 0, 0]
    assert found.report == ("2 of 5 people gave no answer: their posterior is the prior given the profile",)
    assert (table["eps_0_sd"][:3] < 0.7).all()
    assert table["eps_0_sd"][3:].to_numpy() == pytest.approx(1, abs=0.15)
    nobody = model.condition(None, fresh.participants.iloc[:5])
    assert nobody.report[0].startswith("5 of 5 people gave no answer")
    assert nobody.generate().n_participants == 5
    empty = model.condition(frame.iloc[:0], fresh.participants.iloc[:5])
    pd.testing.assert_frame_equal(empty.predict(), nobody.predict())
    assert model.condition(fresh).report == ()


@pytest.mark.parametrize("kind", ["continuous", "categorical", "ballot"])
def test_every_scale_is_conditioned(kind):
    scale = SCALES[kind]
    fitted, data = fit(scale, 15), people(scale, seed=9, n=60)
    if kind == "continuous":
        far = pd.DataFrame({"participant": [0], "problem": [0], "response": [1e25]})
        with pytest.raises(DataError, match="answer 1e.25 .1 such. has a square beyond single precision"):
            fitted.condition(far, data.participants.iloc[:1])
        with pytest.raises(DataError, match="participant 1 are too far from all that the model has seen"):
            with_a_chance(data, np.array([0.0, -np.inf]))
    known, rest = data.select(problems=range(5)), data.select(problems=range(5, 8))
    found = fitted.condition(known)
    table = found.predict(range(4, 8))
    assert len(table) == 240
    assert not table.drop(columns="given").isna().any(axis=None)
    assert table["given"].notna().sum() == 60
    assert np.isfinite(found.log_score(rest).joint)
    crowd = found.generate(seed=2)
    np.testing.assert_allclose(crowd.codes()[:, :5], known.matrix(), rtol=1e-6)
    if kind == "ballot":
        with pytest.raises(DataError, match="ballots, which have no order"):
            found.pit(rest)
    else:
        u = found.pit(rest)
        assert ((u >= 0) & (u <= 1)).all()


def test_people_without_noise_are_known_by_their_profile_alone(fresh):
    fitted = fit(SCALES["ordinal"], 10, n_eps=0)
    known, rest = first(fresh, 5)
    one, other = fitted.condition(known), fitted.condition(None, fresh.participants)
    np.testing.assert_allclose(one.predict()["mean"], other.predict()["mean"])
    assert one.log_score(rest).single == pytest.approx(other.log_score(rest).single)
    assert one.report == ()


def test_bad_input_is_named(model, fresh):
    frame = fresh.answers[fresh.answers["participant"] < 3]
    who = fresh.participants.iloc[:3]
    found = model.condition(frame, who)
    with pytest.raises(DataError, match="column 'response': 9.* is not one of 1, 2, 3, 4, 5|9"):
        model.condition(frame.assign(response=9), who)
    with pytest.raises(DataError, match="column 'problem' of responses: 77 .* has no row in problems"):
        model.condition(frame.assign(problem=77), who)
    with pytest.raises(DataError, match="column 'participant' of responses: 0 .* has no row in participants"):
        model.condition(frame, fresh.participants.iloc[1:3])
    with pytest.raises(DataError, match="participants=None: the model reads profiles .age."):
        model.condition(frame)
    with pytest.raises(DataError, match="more than once"):
        model.condition(pd.concat([frame, frame]), who)
    with pytest.raises(DataError, match="participants: 1 stands there twice"):
        model.condition(frame, fresh.participants.iloc[[0, 1, 1, 2]])
    second = frame.iloc[[4]].assign(response=lambda wave: 6 - wave["response"].clip(1, 2))
    said = frame.iloc[4]["response"]
    with pytest.raises(DataError, match=rf"participant 0 answered [45] to problem 4, and {said:g} in an earlier wave"):
        found.update(second)
    with pytest.raises(DataError, match="was conditioned on .24 such., and scoring it would be a leak"):
        found.log_score(fresh.select(participants=range(3)))
    with pytest.raises(DataError, match="has no row in participants"):
        found.log_score(fresh)
    with pytest.raises(DataError, match="coverage=1"):
        found.predict(coverage=1)
    with pytest.raises(DataError, match="answers are on categorical|answers are on .*Categorical"):
        model.condition(people(SCALES["categorical"]))
    with pytest.raises(DataError, match="say who these people are|participants=None"):
        model.condition(None)


def test_a_table_is_no_data(model, fresh):
    known, later = first(fresh, 5)
    people, table = model.condition(known), later.answers
    for call in (people.log_score, people.pit, model.log_score, model.batch, CrowdLLM().fit, Crowd.from_data):
        with pytest.raises(
            DataError, match="data is of type DataFrame; give a CrowdData .of tables: CrowdData.from_fr"
        ):
            call(table)
    with pytest.raises(DataError, match="data is of type DataFrame"):
        posterior_predictive_check(model, table, ["mean"])


def test_new_problems_need_their_text(model, fresh):
    new = pd.DataFrame({"text": ["statement nine"]}, index=pd.Index([9], name="problem"))
    frame = pd.DataFrame({"participant": [0], "problem": [9], "response": [4]})
    found = model.condition(frame, fresh.participants.iloc[:1], new)
    assert found.n_answers.tolist() == [1]
    assert len(found.predict(new)) == 1
    again = found.update(fresh.select(participants=[0], problems=[1]))
    assert again.n_answers.tolist() == [2]
    assert sorted(again.data.problems.index) == [1, 9]
    with pytest.raises(DataError, match="problem 9 has another text in an earlier wave .1 such.; give it another id"):
        found.update(frame, new.assign(text="statement nein"))


def test_new_problems_in_any_order_of_waves_are_one_posterior(model, fresh):
    who = fresh.participants.iloc[:1]
    new = pd.DataFrame({"text": [f"new {k}" for k in range(4)]}, index=pd.Index(range(20, 24), name="problem"))
    waves = [pd.DataFrame({"participant": [0], "problem": [20 + k], "response": [k + 1]}) for k in range(4)]
    found = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        known = model.condition(None, who)
        for k in order:
            known = known.update(waves[k], new.loc[[20 + k]])
        found.append(known)
    pd.testing.assert_frame_equal(found[0].to_frame(), found[1].to_frame(), check_exact=True)
    assert list(found[0].data.problems.index) == list(found[1].data.problems.index)


def test_a_trait_does_not_vanish_behind_what_is_known(model, fresh):
    found = model.condition(None, fresh.participants.iloc[:2].assign(ess=7.0, eps_0=8.0)).to_frame()
    assert found["profile_ess"].tolist() == [7.0, 7.0]
    assert found["profile_eps_0"].tolist() == [8.0, 8.0]
    assert (found["ess"] > 100).all()
