from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crowdpyro import baselines
from crowdpyro.errors import DataError

COUNTS = np.array([[4.0, 0, 0], [0, 1, 3], [0, 0, 0], [1, 2, 0]])
MARGINAL = np.array([5, 3, 3]) / 11


def test_trivial_yardsticks() -> None:
    np.testing.assert_allclose(baselines.uniform(2, 4), np.full((2, 4), 0.25))
    np.testing.assert_allclose(baselines.constant_mode(COUNTS, 2), [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(baselines.training_marginal(COUNTS, 2), [MARGINAL, MARGINAL])


def test_independent_histograms() -> None:
    expected = [[1, 0, 0], [0, 0.25, 0.75], MARGINAL, [1 / 3, 2 / 3, 0]]
    np.testing.assert_allclose(baselines.independent_histograms(COUNTS), expected)


def test_calibration_table_by_hand() -> None:
    table = baselines.calibration_table([0, 2, 1, 0], COUNTS, [2, 0, 1, np.nan])
    # Level 1 was the reference of a problem without answers; no training reference was missing.
    np.testing.assert_allclose(table, [[0, 0.25, 0.75], [5 / 7, 2 / 7, 0], MARGINAL, MARGINAL])


def test_a_missing_reference_is_a_row_of_its_own() -> None:
    table = baselines.calibration_table([0, np.nan, 1, np.nan], COUNTS, [np.nan, 0])
    np.testing.assert_allclose(table, [[1 / 7, 3 / 7, 3 / 7], [1, 0, 0]])


@settings(deadline=None)
@given(
    arrays(float, (6, 3), elements=st.integers(0, 5).map(float)),
    arrays(float, 6, elements=st.sampled_from([np.nan, 0.0, 1.0, 2.0])),
    arrays(float, 4, elements=st.sampled_from([np.nan, 0.0, 1.0, 2.0])),
)
def test_calibration_table_equals_pooling_answers_in_a_loop(
    counts: np.ndarray, train: np.ndarray, test: np.ndarray
) -> None:
    counts[0, 0] += 1
    table = baselines.calibration_table(train, counts, test)
    for row, reference in zip(table, test, strict=True):
        same = np.isnan(train) if np.isnan(reference) else train == reference
        pooled = counts[same].sum(axis=0)
        pooled = pooled if pooled.sum() else counts.sum(axis=0)
        np.testing.assert_allclose(row, pooled / pooled.sum())


def test_one_draw_of_self_consistency_follows_the_tempered_probabilities() -> None:
    n, p = 20_000, np.array([0.5, 0.0, 0.3, 0.2])
    drawn = baselines.self_consistency(np.tile(p, (n, 1)), k=1, temperature=0.5, seed=4).mean(axis=0)
    expected = p**2 / np.sum(p**2)
    assert drawn[1] == 0
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(0.25 / n)


def test_self_consistency_has_no_favourite_among_equals() -> None:
    n = 20_000
    chosen = baselines.self_consistency(np.full((n, 3), 1 / 3), k=2, seed=0)
    np.testing.assert_array_equal(chosen.sum(axis=1), np.ones(n))
    assert np.abs(chosen.mean(axis=0) - 1 / 3).max() < 5 * np.sqrt(2 / 9 / n)


def test_ties_of_self_consistency_are_independent_of_its_draws() -> None:
    # Two draws with fair ties choose a level as often as one draw does. By the draws' own numbers: 0.848.
    p, seeds = [[0.8, 0.0, 0.2]], 4_000
    chosen = [baselines.self_consistency(p, k=2, temperature=1.0, seed=seed)[0, 0] for seed in range(seeds)]
    assert abs(np.mean(chosen) - 0.8) < 5 * np.sqrt(0.16 / seeds)


def test_self_consistency_at_a_low_temperature_is_the_mode() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=30)
    chosen = baselines.self_consistency(p, temperature=1e-6)
    np.testing.assert_array_equal(chosen.argmax(axis=1), p.argmax(axis=1))


def test_a_missing_reference_stays_missing() -> None:
    p = np.array([[np.nan, np.nan], [0.0, 1.0]])
    np.testing.assert_array_equal(baselines.self_consistency(p), p)
    np.testing.assert_array_equal(baselines.reference_level(p), [np.nan, 1.0])


def test_resampled_people_keep_all_their_answers() -> None:
    matrix = np.arange(40.0).reshape(10, 4)
    matrix[3, 2] = np.nan
    drawn = baselines.resample_people(matrix, 500, seed=1)
    rows = {tuple(row) for row in np.nan_to_num(matrix, nan=-1)}
    assert drawn.shape == (500, 4)
    assert {tuple(row) for row in np.nan_to_num(drawn, nan=-1)} == rows
    np.testing.assert_array_equal(drawn, baselines.resample_people(matrix, 500, seed=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: baselines.uniform(2, 0), "n_levels=0"),
        (lambda: baselines.constant_mode(np.zeros((2, 3)), 1), "all zero"),
        (lambda: baselines.training_marginal([1.0, 2.0], 1), r"\(2,\)"),
        (lambda: baselines.independent_histograms([[1, 0], [np.nan, 1]]), "counts: row 1"),
        (lambda: baselines.calibration_table([0, 3, 0, 0], COUNTS, [0]), "train_reference: problem 1 has 3"),
        (lambda: baselines.calibration_table([0, 1, 0, 0], COUNTS, [-1]), "test_reference: problem 0 has -1"),
        (
            lambda: baselines.calibration_table([0, 1, 0, 0], COUNTS, [0.4]),
            "test_reference: problem 0 has 0.4",
        ),
        (lambda: baselines.calibration_table([0, 1], COUNTS, [0]), "2 problems, train_counts 4"),
        (lambda: baselines.calibration_table([[0]], COUNTS, [0]), r"train_reference has shape \(1, 1\)"),
        (lambda: baselines.self_consistency([[0.5, 0.5]], k=0), "k=0"),
        (lambda: baselines.self_consistency([[0.5, 0.5]], temperature=0.0), "temperature=0.0"),
        (lambda: baselines.self_consistency([[0.0, 0.0]]), "no row all 0"),
        (lambda: baselines.resample_people(np.empty((0, 3)), 2), r"\(0, 3\)"),
        (lambda: baselines.resample_people(np.ones((2, 3)), 0), "n=0"),
    ],
)
def test_what_cannot_be_a_yardstick_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def test_demographic_regression_is_the_groups_own_shares() -> None:
    # With one indicator and no pull to zero, the fit is each group's histogram; the ridge is weak at 4,000 answers.
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 4_000)
    codes = np.where(rng.random(4_000) < np.where(group == 1, 0.7, 0.2), 3, 1)
    found = baselines.demographic_regression(group[:, None], codes, [[0], [1]], 5)
    for g in (0, 1):
        assert found[g, 3] == pytest.approx((codes[group == g] == 3).mean(), abs=0.01)
    np.testing.assert_array_equal(found[:, [0, 2, 4]], 0)
    np.testing.assert_array_equal(baselines.demographic_regression([[1.0]], [2], [[0.0]], 3), [[0, 0, 1]])


def test_ridge_calibration_finds_a_linear_map() -> None:
    rng = np.random.default_rng(1)
    x = rng.dirichlet(np.ones(3), 400)
    map_ = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]])
    counts = np.stack([rng.multinomial(50, row @ map_) for row in x]).astype(float)
    counts[:5] = 0
    found = baselines.ridge_calibration(x[:300], counts[:300], x[300:])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found - x[300:] @ map_).max() < 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: baselines.demographic_regression([[1.0]], [0, 1], [[1.0]], 3), r"codes \(2,\)"),
        (lambda: baselines.demographic_regression([[1.0]], [np.nan], [[1.0]], 3), "codes are none, or miss some"),
        (lambda: baselines.demographic_regression([[1.0]], [7], [[1.0]], 3), "codes: problem 0 has 7"),
        (lambda: baselines.ridge_calibration([[1.0]], COUNTS, [[1.0]]), r"train_features have shape \(1, 1\)"),
        (lambda: baselines.ridge_calibration(np.eye(4), COUNTS, np.eye(4), floor=0.5), "floor=0.5"),
        (lambda: baselines.ridge_calibration(np.eye(2), [[1, 0], [0, 0]], np.eye(2)), "fewer than two problems"),
    ],
)
def test_what_no_regression_can_learn_from_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
