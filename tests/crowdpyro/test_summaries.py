from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from crowdpyro.aggregation.summaries import summarise
from crowdpyro.errors import DataError

N_LEVELS = 4
codes = arrays(
    float,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
    elements=st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.0]),
)


@settings(deadline=None)
@given(codes)
def test_every_method_equals_the_loop_over_problems(values: np.ndarray) -> None:
    results = {name: summarise(values, name, n_levels=N_LEVELS) for name in ("mean", "median", "majority")}
    for t, column in enumerate(values.T):
        given_answers = column[~np.isnan(column)]
        if not len(given_answers):
            assert all(np.isnan(result[t]) for result in results.values())
            continue
        assert results["mean"][t] == pytest.approx(np.mean(given_answers))
        assert results["median"][t] == pytest.approx(np.median(given_answers))
        votes = Counter(given_answers)
        assert votes[results["majority"][t]] == max(votes.values())


@settings(deadline=None)
@given(codes, st.integers(0, 2**32 - 1))
def test_the_order_of_the_people_changes_nothing(values: np.ndarray, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(values)
    for method in ("mean", "median", "majority"):
        expected = summarise(values, method, n_levels=N_LEVELS, seed=seed)
        np.testing.assert_allclose(summarise(shuffled, method, n_levels=N_LEVELS, seed=seed), expected)


def test_ties_are_broken_uniformly_and_by_the_seed() -> None:
    n = 12_000
    values = np.repeat([[0.0], [2.0], [3.0], [np.nan]], n, axis=1)
    chosen = summarise(values, "majority", n_levels=N_LEVELS, seed=1)
    share = np.bincount(chosen.astype(int), minlength=N_LEVELS) / n
    assert share[1] == 0
    # Five standard deviations of a binomial share.
    assert np.abs(share[[0, 2, 3]] - 1 / 3).max() < 5 * np.sqrt(2 / 9 / n)
    np.testing.assert_array_equal(chosen, summarise(values, "majority", n_levels=N_LEVELS, seed=1))
    assert (chosen != summarise(values, "majority", n_levels=N_LEVELS, seed=2)).any()


def test_a_clear_majority_ignores_the_seed() -> None:
    values = np.array([[0.0], [1.0], [1.0]])
    assert {float(summarise(values, "majority", seed=seed)[0]) for seed in range(50)} == {1.0}


def test_levels_nobody_chose_need_not_be_counted() -> None:
    np.testing.assert_array_equal(summarise([[0, 2], [0, 2]], "majority"), [0.0, 2.0])


def test_nobody_answered_anything() -> None:
    for method in ("mean", "median", "majority"):
        assert np.isnan(summarise(np.full((3, 2), np.nan), method)).all()
        assert summarise(np.empty((0, 2)), method).shape == (2,)


@pytest.mark.parametrize(
    ("values", "method", "n_levels", "message"),
    [
        ([[1.0]], "mode", None, "'mode'.*majority"),
        ([1.0, 2.0], "mean", None, r"\(2,\)"),
        ([[1.0, 4.0]], "majority", 4, "answer 4 .*0 to 3"),
        ([[-1.0, 1.0]], "majority", 4, "answer -1 "),
        ([[0.5, 1.0]], "majority", None, "answer 0.5 "),
        ([[np.inf, 1.0]], "majority", None, "answer inf "),
    ],
)
def test_what_cannot_be_aggregated_is_named(
    values: list[object], method: str, n_levels: int | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        summarise(values, method, n_levels=n_levels)
