from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from crowdpyro import metrics
from crowdpyro.errors import DataError

VALUES = np.array([1.0, 2.0, 4.0, 8.0])
GAP = np.full(4, np.nan)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of sparse histograms over the same problems."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(0, 4, size=(2, draw(st.integers(1, 6)), len(VALUES)))
    counts[..., draw(st.integers(0, 3))] += 1
    p, q = counts / counts.sum(axis=-1, keepdims=True)
    return p, q


@settings(deadline=None)
@given(pairs())
def test_distances_equal_scipy_problem_by_problem(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    moved = [stats.wasserstein_distance(VALUES, VALUES, a, b) for a, b in zip(p, q, strict=True)]
    alike = [1 - distance.cosine(a, b) for a, b in zip(p, q, strict=True)]
    assert metrics.wasserstein1(p, q, VALUES) == pytest.approx(np.mean(moved))
    assert metrics.cosine_similarity(p, q) == pytest.approx(np.mean(alike))


@settings(deadline=None)
@given(pairs())
def test_distances_are_symmetric_bounded_and_zero_at_equality(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    assert metrics.wasserstein1(p, q, VALUES) == pytest.approx(metrics.wasserstein1(q, p, VALUES))
    assert metrics.wasserstein1(p, p, VALUES) == 0
    assert 0 <= metrics.cosine_similarity(p, q) <= 1
    assert metrics.cosine_similarity(p, p) == pytest.approx(1)
    # |E_p y - E_q y| <= W1: the identity is 1-Lipschitz.
    assert np.abs((p - q) @ VALUES).mean() <= metrics.wasserstein1(p, q, VALUES) + 1e-12


@settings(deadline=None)
@given(pairs())
def test_no_prediction_beats_the_answers_own_shares(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    counts = 12 * q
    entropy = metrics.log_loss(q, counts)
    assert entropy == pytest.approx(np.mean([stats.entropy(row) for row in q]))
    assert metrics.log_loss(p, counts) >= entropy - 1e-12
    assert np.isinf(metrics.log_loss(p, counts)) == bool(((q > 0) & (p == 0)).any())


def test_log_loss_is_the_mean_over_answers_not_over_problems() -> None:
    p = np.array([[0.5, 0.5], [0.9, 0.1]])
    answers = [(0, 0), (1, 0), (1, 0), (1, 1)]
    counts = np.zeros((2, 2))
    for problem, level in answers:
        counts[problem, level] += 1
    assert metrics.log_loss(p, counts) == pytest.approx(np.mean([-np.log(p[answer]) for answer in answers]))


def test_errors_of_the_aggregate_by_hand() -> None:
    estimate, truth = [1.0, 2.5, 4.0, np.nan, 7.0], [1.0, 2.0, 1.0, 5.0, np.nan]
    assert metrics.mean_absolute_error(estimate, truth) == pytest.approx(3.5 / 3)
    assert metrics.root_mean_square_error(estimate, truth) == pytest.approx(np.sqrt(9.25 / 3))
    assert metrics.resolution_rate(estimate, truth) == pytest.approx(1 / 3)
    assert metrics.resolution_rate(estimate, truth, threshold=0.6) == pytest.approx(2 / 3)


def test_correlation_error_is_over_pairs_finite_in_both() -> None:
    rng = np.random.default_rng(3)
    first, second = (np.corrcoef(rng.normal(size=(6, 9))) for _ in range(2))
    first[0, 1] = first[1, 0] = np.nan
    second[2, 5] = second[5, 2] = np.nan
    np.fill_diagonal(second, np.nan)
    squares = [(first[pair] - second[pair]) ** 2 for pair in combinations(range(6), 2) if pair not in {(0, 1), (2, 5)}]
    assert metrics.correlation_error(first, second) == pytest.approx(np.sqrt(np.mean(squares)))


def test_problems_nobody_answered_are_left_out() -> None:
    p = np.array([[0.1, 0.2, 0.3, 0.4], GAP, [1, 0, 0, 0], [0.25] * 4])
    q = np.array([[0.4, 0.3, 0.2, 0.1], [1, 0, 0, 0], GAP, [0.25] * 4])
    both = [0, 3]
    assert metrics.wasserstein1(p, q, VALUES) == metrics.wasserstein1(p[both], q[both], VALUES)
    assert metrics.cosine_similarity(p, q) == metrics.cosine_similarity(p[both], q[both])
    counts = np.ones((4, 4))
    counts[2] = 0
    assert metrics.log_loss(p, counts) == metrics.log_loss(p[both], counts[both])


NOBODY = np.full((2, 4), np.nan)
SURE = np.eye(4)[:2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mean_absolute_error([np.nan], [1.0]), "no problem that was answered"),
        (lambda: metrics.mean_absolute_error([1.0], [1.0, 2.0]), r"\(1,\).*\(2,\)"),
        (lambda: metrics.mean_absolute_error(["yes"], [1.0]), "estimate holds something other than numbers"),
        (lambda: metrics.root_mean_square_error([1.0, 2.0], [1.0, np.inf]), "truth: problem 1 is inf"),
        (lambda: metrics.resolution_rate([1.0], [1.0], threshold=0.0), "threshold=0.0"),
        (lambda: metrics.cosine_similarity(NOBODY, SURE), "no problem that was answered"),
        (lambda: metrics.cosine_similarity(SURE, SURE[:, :3]), r"\(2, 4\).*\(2, 3\)"),
        (lambda: metrics.cosine_similarity(SURE, [GAP, [3, 1, 0, 0]]), "q: row 1 is .*divide counts"),
        (lambda: metrics.wasserstein1([GAP, [1.5, -0.5, 0, 0]], SURE, VALUES), "p: row 1 is"),
        (lambda: metrics.wasserstein1([GAP, [1, 0, 0, np.nan]], SURE, VALUES), "p: row 1 is"),
        (lambda: metrics.wasserstein1(SURE, SURE * (1 + 1e-5), VALUES), "q: row 0 is"),
        (lambda: metrics.wasserstein1(SURE, SURE, VALUES[::-1]), "4 increasing numbers"),
        (lambda: metrics.wasserstein1(SURE, SURE, VALUES[:3]), "4 increasing numbers"),
        (lambda: metrics.wasserstein1(SURE, SURE, 3.0), "4 increasing numbers"),
        (lambda: metrics.wasserstein1(SURE, SURE, [1, 2, np.nan, 4]), "4 increasing numbers"),
        (lambda: metrics.log_loss(SURE, np.zeros((2, 4))), "all zero"),
        (lambda: metrics.log_loss(NOBODY, np.ones((2, 4))), "all zero where p has a prediction"),
        (lambda: metrics.log_loss(SURE, -SURE), "counts: row 0"),
        (lambda: metrics.log_loss(SURE, np.ones((3, 4))), r"\(2, 4\).*\(3, 4\)"),
        (lambda: metrics.log_loss(2 * SURE, SURE), "p: row 0 is"),
        (lambda: metrics.correlation_error(np.eye(3), np.eye(2)), r"\(3, 3\).*\(2, 2\)"),
        (lambda: metrics.correlation_error(np.eye(1), np.eye(1)), "no pair"),
        (lambda: metrics.correlation_error(np.ones((2, 2)), np.full((2, 2), np.nan)), "no pair"),
    ],
)
def test_what_cannot_be_measured_is_named(call: Callable[[], float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
