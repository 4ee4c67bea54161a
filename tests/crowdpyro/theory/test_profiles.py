from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wasserstein_distance, wasserstein_distance_nd

from crowdpyro import theory
from crowdpyro.errors import DataError

LEVELS, SHARES = [0, 0.25, 0.5, 0.75, 1], [0.1, 0.2, 0.3, 0.25, 0.15]
X = [[0, 0], [1, 0], [0.5, 1], [0.25, 0.4]]
Z = [[0.3, 0.4], [0.9, 0.8], [0.5, 0.3], [0.7, 0.1]]


@pytest.mark.parametrize(
    ("eps", "eta", "d", "total"),
    [(0.1, 0.5, 5, 0.2994711402), (0.05, 1, 3, 0.1696826841), (0.2, 0.25, 10, 0.5989422804)],
)
def test_bound_fixtures(eps: float, eta: float, d: int, total: float) -> None:
    found = theory.profile_w1_bound(eps, eta, d)
    assert found.total == pytest.approx(total, abs=1e-10)
    assert found.approximation == eps
    assert theory.profile_w1_bound(eps, eta, d, n_discrete=0).total == eps
    assert found.dequantisation == pytest.approx(theory.dequantisation_term(d, eps * eta))


def test_dequantisation_fixtures() -> None:
    assert theory.dequantisation_term(3, 0.05) == pytest.approx(0.1196826841, abs=1e-10)
    assert theory.dequantisation_term(3, 0.05, "l2") == pytest.approx(0.0797884561, abs=1e-10)
    assert theory.dequantisation_term(0, 0.05, "l2") == 0.0
    for scale, expected in ((0.02, 0.0159576912), (0.1, 0.0632957802), (0.25, 0.0964726809)):
        assert theory.dequantisation_w1(LEVELS, SHARES, scale) == pytest.approx(expected, abs=1e-10)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6, unique=True), st.floats(0.05, 2), st.integers(0, 2**20))
def test_exact_dequantisation_is_the_area_between_the_laws_and_below_its_bound(
    levels: list[float], scale: float, seed: int
) -> None:
    v = np.sort(levels)
    if (np.diff(v) < 1e-6).any():
        return
    p = np.random.default_rng(seed).dirichlet(np.ones(len(v)))
    x = np.linspace(v[0] - 9 * scale, v[-1] + 9 * scale, 40_001)
    step = np.searchsorted(v, x, side="right")
    flat = np.concatenate([[0], p.cumsum()])[step]
    area = np.trapezoid(np.abs(flat - norm.cdf((x[:, None] - v) / scale) @ p), x)
    found = theory.dequantisation_w1(v, p, scale)
    assert found == pytest.approx(area, abs=2e-3 * (x[-1] - x[0]) / 10)
    assert found <= theory.dequantisation_term(1, scale) + 1e-9


def test_w1_fixtures() -> None:
    assert theory.point_w1(X, Z) == pytest.approx(0.4625, abs=1e-12)
    assert theory.point_w1(X, Z, metric="l2") == pytest.approx(0.3491341377503315, abs=1e-10)
    marginals = [theory.point_w1(np.array(X)[:, [j]], np.array(Z)[:, [j]]) for j in (0, 1)]
    assert marginals == pytest.approx([0.2125, 0.15], abs=1e-12)
    weights = [0.4, 0.3, 0.2, 0.1]
    assert theory.point_w1(X, Z, weights) == pytest.approx(0.575, abs=1e-10)
    assert theory.point_w1(X, Z, weights, metric="l2") == pytest.approx(0.43458474671682634, abs=1e-10)


@given(st.integers(0, 2**20), st.integers(2, 8), st.integers(2, 8), st.integers(1, 3))
@settings(max_examples=40)
def test_w1_equals_scipys_and_is_a_distance(seed: int, n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x, z, third = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=(n, d))
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    peer = wasserstein_distance_nd(x, z, a, b)
    assert theory.point_w1(x, z, a, b, metric="l2") == pytest.approx(peer, abs=1e-7)
    assert theory.point_w1(x, x) == pytest.approx(0.0, abs=1e-12)
    assert theory.point_w1(x, z) == pytest.approx(theory.point_w1(z, x), abs=1e-9)
    assert theory.point_w1(x, z) <= theory.point_w1(x, third) + theory.point_w1(third, z) + 1e-9
    # Shares of single coordinates add up to a lower bound in L1.
    marginals = sum(wasserstein_distance(x[:, j], z[:, j]) for j in range(d))
    assert marginals <= theory.point_w1(x, z) + 1e-9
    assert theory.point_w1(x, third) == pytest.approx(theory.point_w1(x, third, np.ones(n)), abs=1e-8)


@given(st.integers(0, 2**20), st.floats(0.01, 2))
def test_noise_costs_at_most_its_own_size_on_every_sample(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, z = rng.integers(3, size=(2, 30, 4)) / 2.0
    noise = scale * rng.normal(size=x.shape)
    assert theory.point_w1(z, x) <= theory.point_w1(z, x + noise) + np.abs(noise).sum(axis=1).mean() + 1e-9


def people(rng: np.random.Generator, n: int, old: float = 0.0, man: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": rng.uniform(20, 60, n) + old,
            "gender": np.where(rng.random(n) < man, "man", "woman"),
            "school": rng.choice(["low", "middle", "high"], n),
        }
    )


def test_coordinates() -> None:
    frame = pd.DataFrame({"age": [20.0, 60, 40], "gender": ["w", "m", "w"], "school": ["low", "high", "middle"]})
    coordinates = theory.ProfileCoordinates.fit(frame, ordinal={"school": ["low", "middle", "high"]})
    found, traits = coordinates.transform(frame)
    np.testing.assert_allclose(found, [[0, 0, 0, 0.5], [1, 1, 0.5, 0], [0.5, 0.5, 0, 0.5]])
    assert traits == ["age", "school", "gender", "gender"]
    # A mismatch of labels costs 1; a stranger's age may lie outside the target's.
    assert np.abs(found[0] - found[1])[2:].sum() == 1.0
    stranger, _ = coordinates.transform(frame.assign(age=80.0))
    assert stranger[0, 0] == 1.5
    ordered = frame.assign(school=pd.Categorical(frame["school"], ["low", "middle", "high"], ordered=True))
    np.testing.assert_allclose(theory.ProfileCoordinates.fit(ordered).transform(ordered)[0], found)
    with pytest.raises(DataError, match="level 'x' is unknown"):
        coordinates.transform(frame.assign(gender="x"))


def test_distances_are_read_beside_those_of_one_law() -> None:
    rng = np.random.default_rng(0)
    target = people(rng, 600)
    same = theory.profile_w1(target, people(rng, 300), n_permutations=99)
    other = theory.profile_w1(target, people(rng, 300, old=12, man=0.8), n_permutations=99)
    assert same.n == other.n == 300
    assert abs(same.w1 - same.baseline_mean) < 4 * same.baseline_sd
    assert other.w1 > other.baseline_mean + 5 * other.baseline_sd
    assert other.p_value == 0.01 < same.p_value
    # Twelve of forty years, and three in ten of the labels.
    assert other.marginals["age"] == pytest.approx(0.3, abs=0.04)
    assert other.marginals["gender"] == pytest.approx(0.3, abs=0.08)
    assert other.marginal_sum <= other.w1 + 1e-9
    # Fewer profiles, larger distances, of the same laws.
    fewer = theory.profile_w1(target, people(rng, 300), max_n=50, n_permutations=19)
    assert fewer.baseline_mean > 1.3 * same.baseline_mean


def test_equal_seeds_equal_distances_and_label_order_is_nothing() -> None:
    rng = np.random.default_rng(1)
    target, sample = people(rng, 80), people(rng, 40)
    first, again = (theory.profile_w1(target, sample, n_permutations=19, seed=2) for _ in range(2))
    assert (first.w1, first.p_value) == (again.w1, again.p_value)
    names = {"low": "z", "middle": "a", "high": "m"}
    renamed = [frame.assign(school=frame["school"].map(names)) for frame in (target, sample)]
    assert theory.profile_w1(*renamed, n_permutations=19, seed=2).w1 == pytest.approx(first.w1, abs=1e-12)
    scaled = [frame.assign(age=100 * frame["age"] + 7) for frame in (target, sample)]
    assert theory.profile_w1(*scaled, n_permutations=19, seed=2).w1 == pytest.approx(first.w1, abs=1e-12)


def test_weights_stand_for_the_population() -> None:
    rng = np.random.default_rng(3)
    target = people(rng, 2000)
    weights = np.where(target["gender"] == "man", 4.0, 1.0)
    sample = people(rng, 200, man=0.8)
    plain = theory.profile_w1(target, sample, n_permutations=19)
    weighted = theory.profile_w1(target, sample, weights=weights, n_permutations=19)
    assert plain.marginals["gender"] == pytest.approx(0.3, abs=0.06)
    assert weighted.marginals["gender"] < 0.08
    with pytest.raises(DataError, match="weights has shape"):
        theory.profile_w1(target, sample, weights=-weights)


def test_permutation_p_values_are_not_small_for_one_law() -> None:
    """200 sets; P(p <= .1) is .1, and 34 or more of 200 have chance 1e-3."""
    rng = np.random.default_rng(4)
    p_values = [
        theory.profile_w1(rng.random((40, 2)), rng.random((20, 2)), n_baseline=2, n_permutations=19, seed=k).p_value
        for k in range(200)
    ]
    assert np.mean(np.array(p_values) <= 0.1 + 1e-12) < 34 / 200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.profile_w1_bound(1.0, 1, 3), "eps=1.0"),
        (lambda: theory.profile_w1_bound(0.1, 1, 3, 4), "n_discrete=4 is above"),
        (lambda: theory.dequantisation_term(3, -1), "noise_scale=-1"),
        (lambda: theory.dequantisation_term(3, 1, "l3"), "metric='l3'"),
        (lambda: theory.dequantisation_w1([1, 0], [0.5, 0.5], 1), "increasing"),
        (lambda: theory.dequantisation_w1([0, 1], [0.5, 0.6], 1), "no distribution"),
        (lambda: theory.dequantisation_w1([0, 1], [0.5, 0.5], 0), "noise_scale=0"),
        (lambda: theory.point_w1(X, [[1.0]]), "x has shape"),
        (lambda: theory.point_w1(X, Z, [1, 2]), "x_weights has shape"),
        (lambda: theory.point_w1([[np.nan, 0.0]], Z), "x is nan"),
        (lambda: theory.profile_w1(pd.DataFrame(X), Z), "one is a frame"),
        (lambda: theory.profile_w1(X, Z[:1]), "at least 4 and 2"),
        (lambda: theory.profile_w1(pd.DataFrame({"a": [1.0, None] * 4}), pd.DataFrame({"a": [1.0] * 4})), "has gaps"),
        (lambda: theory.profile_w1(pd.DataFrame({"a": [1.0] * 4}), pd.DataFrame({"b": [1.0] * 4})), "not a column"),
        (lambda: theory.ProfileCoordinates.fit(pd.DataFrame({"a": ["x"]}), ordinal={"b": []}), "which target lacks"),
        (lambda: theory.ProfileCoordinates.fit(pd.DataFrame({"a": ["x"]}), ordinal={"a": ["y"]}), "is not among y"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]
