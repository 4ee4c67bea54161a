"""Participation: given or learned, thinned to so many answers a problem, by fresh people or the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import CrowdData, CrowdLLM, DataError, FitConfig, ModelError, Ordinal
from crowdpyro.recruit import attendance, probabilities

N_PEOPLE, N_PROBLEMS = 300, 10
SETTINGS = {"text_encoder": "tfidf", "n_components": 4, "progress": False}


def propensity(keen):
    """The truth: keen people take part in 80 %, others in 30 %, at a third of these odds in half of the problems."""
    odds = np.where(keen, 4.0, 3 / 7)[:, None] * np.where(np.arange(N_PROBLEMS) < 5, 1.0, 1 / 3)
    return odds / (1 + odds)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    keen = rng.random(N_PEOPLE) < 0.5
    there = rng.random((N_PEOPLE, N_PROBLEMS)) < propensity(keen)
    person, problem = np.nonzero(there)
    latent = rng.normal(size=N_PEOPLE)[person] + rng.normal(size=len(person))
    topic = np.where(np.arange(N_PROBLEMS) < 5, "music and dance", "tax law")
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": np.clip(np.round(latent + 3), 1, 5)}),
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"{each} {k}" for k, each in enumerate(topic)]}),
        pd.DataFrame({"participant": range(N_PEOPLE), "kind": np.where(keen, "keen", "other")}),
        scale=Ordinal.range(1, 5),
    )


@pytest.fixture(scope="module")
def learned(data):
    return CrowdLLM(participation="learned", training=FitConfig(epochs=60), **SETTINGS).fit(data, seed=0)


def test_a_learned_participation_recovers_who_answers_what(learned):
    crowd = learned.generate(4000, seed=1)
    there = ~np.isnan(crowd.codes())
    keen = crowd.dataset["profile_kind"].to_numpy() == "keen"
    found = np.stack([[there[keen == kind][:, half].mean() for half in (slice(5), slice(5, None))] for kind in (1, 0)])
    truth = np.array([[0.8, 4 / 7], [0.3, 1 / 8]])
    # Some 750 meetings a cell to learn from, 10,000 to look at: a standard error of .02.
    assert np.abs(found - truth).max() < 0.06


def test_learning_it_leaves_the_answers_distribution_as_it_is(learned, data):
    """Missing at random: the answers' parameters are those of a fit that only masks."""
    given = CrowdLLM(training=FitConfig(epochs=60), **SETTINGS).fit(data, seed=0)
    difference = learned.shares(seed=1) - given.shares(seed=1)
    # Other random streams of the two fits: the spread over seeds of a single one is .01.
    assert np.abs(difference).max() < 0.05
    assert learned.log_score(data).joint == pytest.approx(given.log_score(data).joint, abs=0.02)


def test_it_comes_back_from_disk_and_can_be_overruled(learned, tmp_path):
    learned.save(tmp_path)
    again = CrowdLLM.load(tmp_path)
    one, other = again.generate(60, seed=2).codes(), learned.generate(60, seed=2).codes()
    assert np.array_equal(one, other, equal_nan=True)
    assert not np.isnan(learned.generate(60, participation=1.0).codes()).any()


def test_fresh_people_take_part_by_their_own_profiles(learned):
    there = ~np.isnan(learned.generate(4000, crossed=False, seed=3).codes())
    # Half keen, half not: (.8 + .3) / 2 and (4/7 + 1/8) / 2.
    assert there[:, :5].mean() == pytest.approx(0.55, abs=0.06)
    assert there[:, 5:].mean() == pytest.approx(0.348, abs=0.06)


@pytest.mark.parametrize("crossed", [True, False])
def test_so_many_answers_a_problem(learned, crossed):
    crowd = learned.generate(500, crossed=crossed, per_problem=30, seed=4)
    assert ((~np.isnan(crowd.codes())).sum(axis=0) == 30).all()
    assert crowd.dataset.attrs["per_problem"] == 30


def test_too_few_who_would_take_part_is_an_error(learned):
    with pytest.raises(DataError, match="per_problem=60: problem number .* finds .* who would take part; recruit more"):
        learned.generate(60, per_problem=60)
    with pytest.raises(DataError, match="per_problem=0: give at least one"):
        learned.generate(60, per_problem=0)


def test_those_chosen_are_a_random_sample_of_the_willing():
    rng = np.random.default_rng(0)
    probs = np.tile([[1.0], [0.0], [0.5], [1.0]], (1, 20_000))
    chosen = attendance(probs, 1, rng).mean(axis=1)
    # The third is willing half of the time, and then one of three: 1/6; the others share the rest.
    np.testing.assert_allclose(chosen, [5 / 12, 0, 1 / 6, 5 / 12], atol=0.015)


def test_given_probabilities_broadcast_and_are_checked():
    assert probabilities(0.5, (3, 4)).shape == (3, 4)
    assert (probabilities([[0.1], [0.2], [0.3]], (3, 4))[:, 0] == [0.1, 0.2, 0.3]).all()
    assert (probabilities([0.1, 0.2, 0.3, 0.4], (3, 4))[0] == [0.1, 0.2, 0.3, 0.4]).all()
    for bad in (-0.1, 1.5, float("nan")):
        with pytest.raises(DataError, match="participation=.*give probabilities in .0, 1."):
            probabilities(bad, (3, 4))
    with pytest.raises(DataError, match="participation has shape .2,.; give a number, .4,. a problem"):
        probabilities([0.1, 0.2], (3, 4))


def test_the_settings_know_two_kinds():
    with pytest.raises(ModelError, match="participation='maybe': give 'given', 'learned' or 'selective'"):
        CrowdLLM(participation="maybe")
