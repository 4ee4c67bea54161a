from __future__ import annotations

import numpy as np
import pytest

from crowdpyro import theory
from crowdpyro.errors import DataError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def problems(rng: np.random.Generator, n: int) -> Arrays:
    """People's mean, a crowd that goes six tenths of the way, an LLM at 0; its error is as skewed as a gamma."""
    error = 0.5 * (rng.gamma(2, 1, n) - 1)
    return error + rng.normal(0, 0.35, n), 0.6 * error + rng.normal(0, 0.15, n), np.zeros(n)


# E error^2 = .25 E (g - 1)^2 = .25 (2 + 1), so that L - L' = (.16 - 1) .75 + .0225.
TRUE_GAP = -0.84 * 0.75 + 0.0225


def test_the_gap_is_unbiased_whatever_the_noise_of_people() -> None:
    people, crowd, llm = problems(np.random.default_rng(0), 40_000)
    found = theory.risk_gap_test(people, crowd, llm, n_resamples=99)
    assert abs(found.mean - TRUE_GAP) < 4 * found.se
    # Variances of crowds and decisions add on either side.
    shifted = theory.risk_gap_test(people, crowd, llm, v_pure=0.2, v_crowd=0.05, n_resamples=99)
    assert shifted.mean == pytest.approx(found.mean - 0.15)
    assert found.better == "crowd"
    assert theory.risk_gap_test(people, llm, crowd, n_resamples=99).better == "LLM"


def test_equal_seeds_equal_intervals_and_vectors_of_one_are_numbers() -> None:
    given = problems(np.random.default_rng(1), 30)
    first, again = theory.risk_gap_test(*given, seed=3), theory.risk_gap_test(*given, seed=3)
    other = theory.risk_gap_test(*given, seed=4)
    assert (first.low, first.high) == (again.low, again.high) != (other.low, other.high)
    vectors = theory.risk_gap_test(*(each[:, None] for each in given), seed=3)
    assert (vectors.low, vectors.high) == (first.low, first.high)
    narrow = theory.risk_gap_test(*given, 0.8, seed=3)
    assert first.low < narrow.low < narrow.high < first.high
    assert first.low_t < narrow.low_t
    assert first.won == (first.gaps < 0).mean()


def test_no_difference_is_a_point() -> None:
    y = np.arange(6.0)
    found = theory.risk_gap_test(y, y + 1, y + 1)
    assert (found.mean, found.low, found.high, found.better) == (0.0, 0.0, 0.0, "undecided")


def test_gaps_of_few_values_have_students_ends() -> None:
    # Four problems without a gap, one won: a third of the resamples are all alike.
    people, llm = np.arange(5.0), np.array([0, 1, 2, 3, 5.0])
    found = theory.risk_gap_test(people, people, llm)
    assert (found.low, found.high) == (found.low_t, found.high_t)
    assert found.low < found.mean < found.high


@pytest.mark.slow
def test_bootstrap_t_covers_where_students_does_not() -> None:
    """4,000 sets of problems; binomial standard error .0035 at .95, bounds at 4."""
    rng = np.random.default_rng(0)
    for n, least in ((30, 0.905), (100, 0.93)):
        covered = np.zeros(2)
        for _ in range(4000):
            found = theory.risk_gap_test(*problems(rng, n), n_resamples=499)
            covered += [found.low <= TRUE_GAP <= found.high, found.low_t <= TRUE_GAP <= found.high_t]
        ours, student = covered / 4000
        assert ours > least
        assert ours < 0.964
        assert ours > student + 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.risk_gap_test([1.0] * 4, [1.0] * 4, [1.0] * 4), "at least 5 problems"),
        (lambda: theory.risk_gap_test([1.0] * 5, [1.0] * 5, [1.0] * 6), "shapes"),
        (lambda: theory.risk_gap_test([1.0] * 5, [1.0] * 5, [np.nan] * 5), "reference is nan"),
        (lambda: theory.risk_gap_test([1.0] * 5, [1.0] * 5, [1.0] * 5, 1.5), "level=1.5"),
        (lambda: theory.risk_gap_test([1.0] * 5, [1.0] * 5, [1.0] * 5, n_resamples=10), "n_resamples=10"),
        (lambda: theory.risk_gap_test([1.0] * 5, [1.0] * 5, [1.0] * 5, v_pure=[0, 1]), r"v_pure has shape \(2,\)"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]
