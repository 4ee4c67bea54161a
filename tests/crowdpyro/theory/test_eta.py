from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import theory
from crowdpyro.errors import DataError

P, V = [0.05, 0.1, 0.2, 0.4, 0.25], [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("t", "expected"), [(0.5, 0.5996694215), (1.0, 1.21), (2.0, 1.6451056226), (0.0, 0.0)])
def test_eta_fixtures(t: float, expected: float) -> None:
    assert float(theory.eta_from_probabilities(P, V, temperature=t)) == pytest.approx(expected, abs=1e-10)


def test_eta_and_the_mean_move_with_the_temperature_either_way() -> None:
    means = [theory.llm_decision(P, V, temperature=t).mean[0] for t in (0.1, 1, 5)]
    np.testing.assert_allclose(means, [4.01, 3.70, 3.18], atol=0.005)
    bimodal = [theory.eta_from_probabilities([0.49, 0.02, 0.49], [1, 2, 3], temperature=t) for t in (0.1, 1, 50)]
    np.testing.assert_allclose(bimodal, [1.00, 0.98, 0.68], atol=0.005)


def test_decisions() -> None:
    eta = 1.21
    found = {rule: theory.llm_decision(P, V, rule=rule) for rule in ("expected", "draw")}
    assert (found["expected"].variance[0], found["draw"].variance[0]) == pytest.approx((0.0, eta))
    assert theory.llm_decision(P, V, rule="mean", n_draws=8).variance[0] == pytest.approx(eta / 8)
    majority = theory.llm_decision([0.6, 0.4], [0, 1], rule="majority", n_draws=3)
    assert majority.variance[0] == pytest.approx(0.228096, abs=1e-10)
    assert majority.variance[0] > 2 * 0.24 / 3
    assert majority.mean[0] == pytest.approx(0.4**3 + 3 * 0.4**2 * 0.6)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**20))
def test_majorities_are_those_of_every_sequence_of_draws(n_options: int, n_draws: int, seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(n_options))
    chance = np.zeros(n_options)
    for sequence in product(range(n_options), repeat=n_draws):
        counts = np.bincount(sequence, minlength=n_options)
        winners = counts == counts.max()
        chance[winners] += p[list(sequence)].prod() / winners.sum()
    np.testing.assert_allclose(theory.majority_probabilities(p[None], n_draws)[0], chance, atol=1e-12)


def test_majorities_of_many_draws_and_of_sure_options() -> None:
    found = theory.majority_probabilities([[1, 0, 0], [0.5, 0.5, 0], [0.7, 0.3, 0]], 60)
    np.testing.assert_allclose(found[:2], [[1, 0, 0], [0.5, 0.5, 0]], atol=1e-12)
    assert found[2, 0] > 0.99
    np.testing.assert_allclose(theory.majority_probabilities([P], 1), [P], atol=1e-15)


@given(st.integers(0, 2**20))
def test_nominal_etas_do_not_know_the_options_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, order = rng.dirichlet(np.ones(4), 3), rng.permutation(4)
    for rule, n_draws in (("draw", 1), ("mean", 3), ("majority", 4)):
        first = theory.llm_decision(p, rule=rule, n_draws=n_draws, temperature=0.7)
        second = theory.llm_decision(p[:, order], rule=rule, n_draws=n_draws, temperature=0.7)
        np.testing.assert_allclose(first.variance, second.variance, atol=1e-12)
        np.testing.assert_allclose(first.mean[:, order], second.mean, atol=1e-12)
    one_hot = theory.eta_from_probabilities(p)
    np.testing.assert_allclose(one_hot, (p * (1 - p)).sum(axis=1))
    # The trace of the one-hot covariance, option by option.
    each = sum(theory.eta_from_probabilities(p, np.eye(4)[k]) for k in range(4))
    np.testing.assert_allclose(each, one_hot, atol=1e-12)


def test_draws_give_eta_without_bias() -> None:
    # 50,000 sets of 4 draws: standard error .006.
    rng = np.random.default_rng(0)
    draws = rng.choice(V, size=(4, 50_000), p=P).astype(float)
    assert theory.eta_from_draws(draws).mean() == pytest.approx(1.21, abs=0.025)
    vectors = theory.one_hot(draws - 1, 5)
    expected = theory.eta_from_probabilities(P)
    assert theory.eta_from_draws(vectors, vectors=True).mean() == pytest.approx(float(expected), abs=0.01)
    draws[2:, 0] = np.nan
    draws[1:, 1] = np.nan
    found = theory.eta_from_draws(draws)
    assert found[0] == pytest.approx(draws[:2, 0].var(ddof=1))
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.eta_from_probabilities([0.5, 0.6]), "no distribution"),
        (lambda: theory.eta_from_probabilities([0.5, np.nan]), "probabilities is nan"),
        (lambda: theory.eta_from_probabilities([0.5, 0.5], [1, 2, 3]), "values have shape"),
        (lambda: theory.eta_from_probabilities([0.5, 0.5], temperature=-1), "temperature=-1"),
        (lambda: theory.eta_from_draws([1.0]), "at least two"),
        (lambda: theory.llm_decision([0.5, 0.5], rule="vote"), "rule='vote'"),
        (lambda: theory.llm_decision([0.5, 0.5], n_draws=3), "n_draws=3 with rule='expected'"),
        (lambda: theory.llm_decision([0.5, 0.5], rule="mean", n_draws=0), "n_draws=0"),
        (lambda: theory.majority_probabilities([[0.5, 0.5]], 151), "n_draws=151"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]
