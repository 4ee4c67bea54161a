"""Theorem 4.5: the set on a grid, the mean in closed form, bounds that hold in samples of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from crowdpyro import DataError
from crowdpyro.theory import GridEdgeWarning, crowd_interval, prediction_powered_mean, prediction_powered_set
from crowdpyro.theory.bounds import Bound, best_split

Y = np.array([4, 3, 5, 2, 4, 3.0])
TWIN = np.array([3.5, 3, 4, 2.5, 3, 3.5])
CROWD = np.array([3, 3.5, 2.5, 4, 3, 3.5, 2, 3, 4.5, 3])


def test_fixtures_of_the_mean():
    # The best split by bisection in 30 digits; the others also in rationals and numpy.
    widths = {0.025: 1.05643292711, 0.01: 1.10208332834, "auto": 1.05558228218315}
    for gamma, width in widths.items():
        assert prediction_powered_mean(Y, TWIN, CROWD, gamma=gamma, ddof=0).half_width == pytest.approx(
            width, abs=1e-10
        )
    half = prediction_powered_mean(Y, TWIN, CROWD, ddof=0)
    assert half.half_width == pytest.approx(widths[0.025], abs=1e-10)
    assert half.estimate == pytest.approx(3.45, abs=1e-12)
    spread = np.array([(Y - TWIN).std()]), np.array([CROWD.std()])
    first, second = Bound("normal", np.array([6.0]), spread[0], 0), Bound("normal", np.array([10.0]), spread[1], 0)
    assert best_split(first, second, 0.05) == pytest.approx(0.0275930664908, abs=1e-12)


def test_the_grid_finds_the_closed_form():
    gamma, alpha = 0.02, 0.05
    margin_1 = norm.isf(gamma / 2) * (Y - TWIN).std() / 6**0.5
    margin_2 = norm.isf((alpha - gamma) / 2) * CROWD.std() / 10**0.5
    bias = (TWIN - Y).mean()
    grid = np.linspace(1, 6, 50_001)
    found = prediction_powered_set(
        grid,
        (bias - margin_1, bias + margin_1),
        lambda theta: (theta - CROWD.mean() - margin_2, theta - CROWD.mean() + margin_2),
    )
    closed = prediction_powered_mean(Y, TWIN, CROWD, alpha, gamma=gamma, ddof=0)
    assert found.hull == pytest.approx((float(closed.low), float(closed.high)), abs=2e-4)
    assert found.is_connected
    assert not found.hits_grid_edge


def test_a_median_with_gaps_edges_and_nothing():
    grid = np.linspace(0, 9, 10)
    wave = np.where(grid % 4 == 2, 0.0, 1.0)
    found = prediction_powered_set(grid, (0.0, 0.0), (wave, wave + 0.5))
    assert found.hull == (2, 6)
    assert not found.is_connected
    assert "with gaps" in repr(found)
    empty = prediction_powered_set(grid, (1.0, 2.0), (0.0, 0.0))
    assert empty.hull is None
    assert repr(empty) == "<PredictionPoweredSet empty: 0 of 10 values>"
    assert empty.is_connected


def test_a_set_at_the_edge_warns():
    grid = np.linspace(0, 1, 5)
    with pytest.warns(GridEdgeWarning, match="reaches an end of the grid, 0 to 1"):
        found = prediction_powered_set(grid, (-1.0, 1.0), (0.0, 0.0))
    assert found.hits_grid_edge
    assert "reaches the end" in repr(found)


@pytest.mark.parametrize(
    ("grid", "b1", "message"),
    [
        ([1.0], (0, 0), "give at least two strictly increasing"),
        ([1.0, 1.0], (0, 0), "strictly increasing"),
        ([1.0, np.nan], (0, 0), "theta_grid is nan"),
        ([1.0, 2.0], (1, 0), "b1: a low end lies above its high end"),
        ([1.0, 2.0], ([1, 2, 3], 4), r"b1 has shape \(3,\)"),
        ([1.0, 2.0], (1, 2, 3), r"b1=\(1, 2, 3\): give a pair of ends"),
        ([1.0, 2.0], (["a", "b"], 4), "b1, low holds something other than numbers"),
    ],
)
def test_bad_sets_are_named(grid, b1, message):
    with pytest.raises(DataError, match=message):
        prediction_powered_set(grid, b1, (0.0, 0.0))


answers = st.lists(st.integers(1, 5), min_size=4, max_size=12)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(answers, answers, st.sampled_from(["normal", "hoeffding", "empirical_bernstein"]), st.floats(0.01, 0.2))
def test_the_best_split_is_the_best(y, crowd, bound, alpha):
    twin = np.clip(np.array(y) + np.resize([0, 1, -1, 1], len(y)), 1, 5)
    how = {"bound": bound, "answer_range": None if bound == "normal" else (1, 5)}
    best = prediction_powered_mean(y, twin, crowd, alpha, gamma="auto", **how)
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        other = prediction_powered_mean(y, twin, crowd, alpha, gamma=share * alpha, **how)
        assert best.half_width <= other.half_width + 1e-9


@pytest.mark.parametrize("bound", ["normal", "hoeffding", "empirical_bernstein"])
def test_answers_that_are_all_alike_leave_alpha_to_the_others(bound):
    how = {"gamma": "auto", "bound": bound, "answer_range": None if bound == "normal" else (1, 5)}
    alike = np.full(10, 3.0)
    for twin, crowd, spread in (
        (TWIN, alike, (Y - TWIN).std(ddof=1) / 6**0.5),
        (Y, CROWD, CROWD.std(ddof=1) / 10**0.5),
    ):
        found = prediction_powered_mean(Y, twin, crowd, **how)
        assert np.isfinite(found.half_width)
        if bound == "normal":
            assert found.half_width == pytest.approx(norm.isf(0.025) * spread, rel=1e-6)
    assert prediction_powered_mean(Y, Y, alike, gamma="auto").half_width == 0


def test_slopes_are_derivatives():
    alpha = np.array([0.01, 0.05, 0.2])
    for kind in ("normal", "hoeffding", "empirical_bernstein"):
        bound = Bound(kind, np.full(3, 20.0), np.full(3, 0.8), 4.0)
        step = 1e-6
        numeric = (bound.half_width(alpha + step) - bound.half_width(alpha - step)) / (2 * step)
        np.testing.assert_allclose(bound.slope(alpha), numeric, rtol=1e-6)


def test_bounds_hold_in_any_sample_and_are_wide():
    """Answers of 1 to 5, nine of ten people saying 1: the worst for a normal interval of fifteen."""
    rng = np.random.default_rng(0)
    y, twin, crowd = (np.where(rng.random((n, 3000)) < 0.1, 5.0, 1.0) for n in (15, 15, 200))
    truth = 1.4
    half = {}
    for bound in ("normal", "hoeffding", "empirical_bernstein"):
        found = prediction_powered_mean(y, twin, crowd, bound=bound, answer_range=(1, 5))
        covered = ((found.low <= truth) & (found.high >= truth)).mean()
        assert covered == 1 if bound != "normal" else covered < 0.999
        half[bound] = float(found.half_width.mean())
    assert half["normal"] < 1.5 < half["hoeffding"] < half["empirical_bernstein"]
    # Written out for n = 15, N = 200, R = 4 and half of alpha each.
    expected = 8 * np.sqrt(np.log(80) / 30) + 4 * np.sqrt(np.log(80) / 400)
    assert half["hoeffding"] == pytest.approx(expected, rel=1e-12)


def test_wider_than_the_joint_interval_and_beside_the_humans():
    union, joint = prediction_powered_mean(Y, TWIN, CROWD), crowd_interval(Y, TWIN, CROWD, quantile="normal")
    # Both levels halved, and standard errors added rather than their squares.
    expected = norm.isf(0.0125) / norm.isf(0.025) * sum(float(part) ** 0.5 for part in joint.parts.values()) / joint.se
    assert union.half_width / joint.half_width == pytest.approx(float(expected), rel=1e-12)
    assert union.method == "theorem_4_5"
    assert union.human_only.high == crowd_interval(Y, method="human_only").high
    assert union.parts["crowd"] == pytest.approx(float(joint.parts["crowd"]))
    one = prediction_powered_mean(Y, TWIN, CROWD, 0.025, gamma=0.005)
    for gamma in (0.01, np.float32(0.01)):
        many = prediction_powered_mean(
            *(np.c_[each, each] for each in (Y, TWIN, CROWD)), simultaneous=True, gamma=gamma
        )
        np.testing.assert_allclose(many.low, one.low, rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"gamma": 0.0}, r"gamma=0\.0: give a part of alpha=0\.05"),
        ({"gamma": 0.05}, r"gamma=0\.05: give a part"),
        ({"gamma": -1}, "gamma=-1"),
        ({"gamma": "best"}, "gamma='best'"),
        ({"alpha": 1.0}, r"alpha=1\.0"),
        ({"bound": "chebyshev"}, "bound='chebyshev': give 'normal'"),
        ({"bound": "hoeffding"}, "needs answer_range, such as"),
        ({"bound": "hoeffding", "answer_range": (5, 1)}, "the lower first"),
        ({"bound": "hoeffding", "answer_range": (1, 4)}, "y reaches from 2 to 5, outside answer_range"),
    ],
)
def test_bad_means_are_named(how, message):
    with pytest.raises(DataError, match=message):
        prediction_powered_mean(Y, TWIN, CROWD, **how)
