"""What holds of intervals on any data: orders, nesting, equivariance, one problem at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro.theory import CrowdInterval, crowd_interval

METHODS = ("rectified", "power_tuned", "theorem_4_6", "absolute_bias", "human_only")


def ends(interval: CrowdInterval) -> np.ndarray:
    return np.stack([interval.estimate, interval.low, interval.high, interval.se, interval.df])


numbers = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def arrays(draw):
    """People, twins and a crowd of two problems."""
    n, n_crowd = draw(st.integers(2, 12)), draw(st.integers(2, 15))
    cell = st.lists(numbers, min_size=2, max_size=2)
    return tuple(np.array(draw(st.lists(cell, min_size=m, max_size=m))) for m in (n, n, n_crowd))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays())
def test_lambda_0_is_the_human_interval(data):
    zero = crowd_interval(*data, method="power_tuned", lam=0.0)
    human = crowd_interval(*data, method="human_only")
    np.testing.assert_allclose(ends(zero), ends(human), atol=1e-9)
    np.testing.assert_allclose(ends(zero.human_only), ends(human), atol=0)
    assert human.human_only is None


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays())
def test_rectified_inside_absolute_bias_inside_printed(data):
    how = {"ddof": 0, "quantile": "normal"}
    inner, middle, outer = (
        crowd_interval(*data, method=name, **how) for name in ("rectified", "absolute_bias", "theorem_4_6")
    )
    for one, other in ((inner, middle), (middle, outer)):
        assert (one.low >= other.low - 1e-9).all()
        assert (one.high <= other.high + 1e-9).all()


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays(), st.sampled_from(["rectified", "power_tuned"]), st.sampled_from([0, 1]))
def test_a_crowd_of_the_twins_themselves_is_the_humans_alone(data, method, ddof):
    y, twin, _ = data
    nested = crowd_interval(y, twin, twin, method=method, overlap=True, ddof=ddof)
    np.testing.assert_allclose(nested.se**2, y.var(axis=0, ddof=ddof) / len(y), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(nested.estimate, y.mean(axis=0), atol=1e-9)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays(), st.floats(-20, 20), st.floats(0.1, 10), st.sampled_from(METHODS))
def test_shift_and_scale(data, shift, scale, method):
    plain = crowd_interval(*data, method=method)
    moved = crowd_interval(*(each + shift for each in data), method=method)
    # Where twins do not vary, no weight of theirs is the best, and rounding would decide.
    same = np.isclose(plain.lam, moved.lam, atol=1e-6)
    for name, expected in (("estimate", plain.estimate + shift), ("low", plain.low + shift), ("se", plain.se)):
        np.testing.assert_allclose(getattr(moved, name)[same], expected[same], rtol=1e-6, atol=1e-6)
    scaled = crowd_interval(*(each * scale for each in data), method=method)
    same = np.isclose(plain.lam, scaled.lam, atol=1e-6)
    for name in ("estimate", "low", "high", "se", "half_width"):
        np.testing.assert_allclose(getattr(scaled, name)[same], scale * getattr(plain, name)[same], 1e-6, 1e-6)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays(), st.integers(0, 2**32 - 1), st.sampled_from(METHODS))
def test_order_of_people_and_members_says_nothing(data, seed, method):
    rng = np.random.default_rng(seed)
    y, twin, crowd = data
    people, members = rng.permutation(len(y)), rng.permutation(len(crowd))
    one, other = (
        crowd_interval(*data, method=method),
        crowd_interval(y[people], twin[people], crowd[members], method=method),
    )
    same = np.isclose(one.lam, other.lam, atol=1e-6)
    np.testing.assert_allclose(ends(one)[:4, same], ends(other)[:4, same], rtol=1e-7, atol=1e-7)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays())
def test_equal_weights_and_clusters_of_one_change_nothing(data):
    y, _, crowd = data
    plain = crowd_interval(*data)
    weighted = crowd_interval(*data, weights=np.full(len(y), 3.0), crowd_weights=np.full(len(crowd), 0.2))
    alone = crowd_interval(*data, clusters=np.arange(len(y)), crowd_clusters=np.arange(len(crowd)))
    for other in (weighted, alone):
        np.testing.assert_allclose(ends(other), ends(plain), rtol=1e-6, atol=1e-9)
    # Clusters of unlike sizes: degrees of freedom are their number less 1, with equal weights too.
    label = np.r_[np.zeros(len(y) - 1), 1]
    plain, weighted = (crowd_interval(*data, clusters=label, weights=each) for each in (None, np.ones(len(y))))
    np.testing.assert_allclose(ends(weighted), ends(plain), rtol=1e-6, atol=1e-9)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(arrays(), st.sampled_from(METHODS))
def test_problems_at_once_are_problems_one_by_one(data, method):
    both = crowd_interval(*data, method=method)
    for place in (0, 1):
        one = crowd_interval(*(each[:, place] for each in data), method=method)
        np.testing.assert_allclose(ends(both[place]), ends(one), rtol=1e-9, atol=1e-12)
