"""Numbers of answers: crowds are like people, where independent draws are not."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from crowdpyro import Crowd, CrowdData, DataError, Ordinal, ParticipationHistory, datasets


def data_of(there, kind):
    person, problem = np.nonzero(there)
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": 1}),
        pd.DataFrame({"problem": range(there.shape[1]), "text": "question"}),
        pd.DataFrame({"participant": range(len(there)), "kind": kind}),
        scale=Ordinal.range(1, 5),
    )


def scattered(n, rng):
    """People of two kinds, each with a diligence of their own, and problems that more or fewer like: overdispersed."""
    keen = rng.random(n) < 0.4
    logit = np.where(keen, 1.0, -1.0)[:, None] + 0.8 * rng.normal(size=(n, 1)) + np.linspace(-1, 1, 20)
    return data_of(rng.random((n, 20)) < 1 / (1 + np.exp(-logit)), np.where(keen, "keen", "other"))


def handed_out(n, rng):
    """Everybody has five of twenty problems, and every problem as many people as any other, give or take one."""
    there = np.zeros((n, 20), dtype=bool)
    order = np.concatenate([rng.permutation(20) for _ in range(n // 4)])
    there[np.repeat(np.arange(n), 5), order[: 5 * n]] = True
    return data_of(there, rng.choice(["keen", "other"], n))


@pytest.mark.parametrize("law", [scattered, handed_out])
def test_numbers_of_answers_match_those_of_other_people(law):
    """Against a second sample of 400: no farther than the first is, which is what the same law gives, and a little."""
    rng = np.random.default_rng(0)
    first, second = law(400, rng), law(400, rng)
    history = ParticipationHistory.of(first)
    there, humans = history.draw(seed=1), second.answered()
    independent = np.random.default_rng(1).random(there.shape) < history.probabilities()
    for axis, slack in ((1, 0.3), (0, 4.0)):
        baseline = wasserstein_distance(first.answered().sum(axis), humans.sum(axis))
        assert wasserstein_distance(there.sum(axis), humans.sum(axis)) < baseline + slack
    # Draws that know only propensities scatter too little between people of one kind, or too much between all.
    worse = wasserstein_distance(independent.sum(1), humans.sum(1))
    assert worse > 1.8 * wasserstein_distance(there.sum(1), humans.sum(1))


def test_propensities_are_shrunk_as_the_data_ask():
    rng = np.random.default_rng(3)
    seen = ParticipationHistory.of(scattered(300, rng))
    share = seen.by_problem / 300
    # Shares from .27 to .65 with a standard error of .03: kept. Where they differ by chance or less: all the mean.
    np.testing.assert_allclose(seen.of_problems(), share, atol=0.02)
    flat = ParticipationHistory.of(handed_out(300, rng))
    assert np.ptp(flat.of_problems().to_numpy()) < 1e-9
    people = pd.DataFrame({"kind": ["keen", "other"]})
    keen, other = seen.of_people(people)
    # The truth by quadrature: .67 and .33.
    assert (keen, other) == (pytest.approx(0.67, abs=0.04), pytest.approx(0.33, abs=0.04))
    assert np.ptp(flat.of_people(people)) < 1e-9
    probabilities = seen.probabilities(people, pd.Index([0, 19, "new"]))
    assert probabilities.shape == (2, 3)
    assert (np.diff(probabilities[:, [0, 2, 1]]) > 0).all()
    assert (probabilities[0] > probabilities[1]).all()


def test_keen_people_answer_more_in_crowds_too():
    history = ParticipationHistory.of(scattered(300, np.random.default_rng(4)))
    numbers = [history.draw(pd.DataFrame({"kind": [kind] * 500}), seed=2).sum(1).mean() for kind in ("keen", "other")]
    np.testing.assert_allclose(numbers, [13.4, 6.6], atol=1.0)


def test_a_crowd_is_thinned_and_its_answers_kept():
    rng = np.random.default_rng(5)
    data = handed_out(200, rng)
    crowd = Crowd.from_matrix(
        rng.integers(0, 5, (300, 20)).astype(float),
        scale=data.scale,
        problems=data.problems,
        participants=pd.DataFrame({"kind": rng.choice(["keen", "other"], 300)}),
    )
    history = ParticipationHistory.of(data)
    thin = history.thin(crowd, seed=0)
    left = ~np.isnan(thin.codes())
    assert (left.sum(1) == 5).all()
    # 300 times five answers, 75 a problem; the last few people may not find what is short.
    assert np.abs(left.sum(0) - 75).max() <= 3
    np.testing.assert_array_equal(thin.codes()[left], crowd.codes()[left])
    np.testing.assert_array_equal(thin.codes(), history.thin(crowd, seed=0).codes())
    assert len(history.plot(thin).axes) == 2
    with pytest.raises(DataError, match="the crowd has no trait 'kind'"):
        history.thin(Crowd(crowd.dataset.drop_vars("profile_kind")))


def test_fewer_problems_new_ones_and_everybody_answering_everything():
    data = data_of(np.ones((10, 6), dtype=bool), "one")
    history = ParticipationHistory.of(data)
    assert history.draw(seed=0).all()
    assert history.draw(problems=pd.Index(["a", "b"]), seed=0).all()
    half = ParticipationHistory.of(handed_out(200, np.random.default_rng(6)))
    # A quarter of four problems.
    assert (half.draw(problems=pd.Index([0, 1, "c", "d"]), seed=0).sum(1) == 1).all()
    alone = ParticipationHistory.of(data_of(np.array([[True, False, True]]), "one"))
    assert alone.draw(seed=0).sum() == 2


@pytest.mark.skipif("CROWDPYRO_DATA" not in os.environ, reason="POPQUORN is not here; set CROWDPYRO_DATA")
def test_popquorn_hands_out_fifty_comments_and_so_does_the_crowd():
    data, _ = datasets.load_offensiveness()
    history = ParticipationHistory.of(data)
    there, humans = history.draw(seed=1), data.answered()
    assert wasserstein_distance(there.sum(1), humans.sum(1)) < 0.2
    assert wasserstein_distance(there.sum(0), humans.sum(0)) < 0.2
    independent = np.random.default_rng(1).random(there.shape) < history.probabilities()
    # 4.8 and .8: what nobody does.
    assert wasserstein_distance(independent.sum(1), humans.sum(1)) > 3
