from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import theory
from crowdpyro.errors import DataError


@pytest.mark.parametrize(
    ("n", "kappa", "eps2", "eta", "turning_point", "h", "first"),
    [
        (50, 0.5, 0.5, 0.25, 4.1011217978, 0.4165595457, True),
        (50, 0.3, 0.5, 0.0, 3.3255375505, 0.3710628631, True),
        (10, 2.0, 0.5, 0.2, 1.3856406461, 0.3464101615, False),
        (2, 0.3, 1.0, 0.25, 0.0, 0.5, False),
        (3, 0.5, 1.0, 0.3, 0.3248931448, 0.6497862897, False),
        (20, 0.0, 1.0, 0.0, 2.7, 0.6882472016, True),
        (500, 0.5, 1.5, 0.25, 20.7970905657, 0.7182293973, True),
        (10, math.inf, 0.5, 0.2, 1.3856406461, 0.3464101615, False),
    ],
)
def test_printed_width_fixtures(
    n: int, kappa: float, eps2: float, eta: float, turning_point: float, h: float, first: bool
) -> None:
    found = theory.printed_width(n, kappa, eps2, eta)
    assert float(found.turning_point) == pytest.approx(turning_point, abs=1e-10)
    assert float(found.h) == pytest.approx(h, abs=1e-10)
    assert bool(found.first_branch) is first


def test_branches_meet_at_the_turning_point() -> None:
    edge = 1.3856406460551018
    below, above = theory.printed_width(10, [np.nextafter(edge, 0), np.nextafter(edge, 2)], 0.5, 0.2).h
    assert below == pytest.approx(0.3464101615, abs=1e-10)
    assert above == pytest.approx(0.3464101615, abs=1e-10)


counts = st.integers(2, 1000)
variances = st.floats(0, 25)


@given(counts, variances, variances)
def test_printed_width_is_continuous_and_never_rises_with_kappa(n: int, eps2: float, eta: float) -> None:
    top = float(theory.printed_width(n, 0.0, eps2, eta).turning_point)
    grid = np.linspace(0, 2 * top + 1, 501)
    h = theory.printed_width(n, grid, eps2, eta).h
    assert (np.diff(h) <= 1e-9 * (1 + h[:-1])).all()
    # Its slope is at most 1 in size, so that a grid step bounds the largest jump.
    assert np.abs(np.diff(h)).max() <= grid[1] + 1e-9
    last = float(theory.printed_width(n, math.inf, eps2, eta).h)
    assert h[-1] == pytest.approx(last, abs=1e-12)


@given(counts, st.floats(0, 10), variances, variances)
def test_printed_width_is_the_minimum_that_its_proof_takes(n: int, kappa: float, eps2: float, eta: float) -> None:
    half = n / (2 * (n - 1))
    error = np.concatenate([np.linspace(-kappa, kappa, 4001), [-kappa, kappa]])
    root = np.sqrt(half**2 * error**2 + half * (1 - 2 / n) * eps2 + half * eta)
    brute = (root - (1 - half) * np.abs(error)).min()
    found = float(theory.printed_width(n, kappa, eps2, eta).h)
    assert found <= brute + 1e-9 * (1 + brute)
    assert brute - found <= 1e-5 * (1 + kappa)


def test_exact_width_fixtures() -> None:
    found = theory.exact_width([0.3, -0.4, 0.0, 0.1, 0.1], [0.25, 0, 0.25, 0.25, 0], [0.006, 0.01, 0.05, 0.006, 0.02])
    np.testing.assert_allclose(found[:4], [0.5779273311, 0.3872983346, 0.4472135955, 0.5039841267], atol=1e-10)
    assert np.isnan(found[4])


def test_the_printed_interval_breaks_its_promise() -> None:
    mu = 0.1 + float(theory.printed_width(50, 0.5, 1.5, 0.25).h)
    assert mu == pytest.approx(0.8180776112, abs=1e-10)
    spread = math.sqrt(1.5 - mu**2)
    found = theory.win_interval([mu + spread, mu - spread] * 25, 0.1, 0.5, 0.25, v_pure=0.25, v_crowd=0.006)
    assert found.gap[0] == pytest.approx(0.2616354557, abs=1e-10)
    assert found.exact[0] == pytest.approx(0.5039841267, abs=1e-10)
    assert found.second_moment[0] == pytest.approx(1.5, abs=1e-12)
    assert not found.wins[0]
    # The boundary itself is a matter of rounding; a hair inside it is not.
    assert found.distance[0] == pytest.approx(found.printed.h[0], abs=1e-12)


def test_the_counterexample_by_simulation() -> None:
    # 20 people who all think 3, an LLM that is right, beliefs of mean .5 and second moment 1 (standard errors < .001).
    rng = np.random.default_rng(0)
    delta = np.array([0.5 + math.sqrt(0.75), 0.5 - math.sqrt(0.75)] * 10)
    found = theory.win_interval(delta, 0.0, 0.3)
    assert found.printed_says[0]
    assert not found.wins[0]
    y = 3 + 0.5 * rng.normal(size=(100_000, 20))
    tbar = 3 + delta.mean()
    crowd, alone = (y.mean(axis=1) - tbar) ** 2, (y.mean(axis=1) - 3) ** 2
    assert crowd.mean() == pytest.approx(0.2625, abs=0.004)
    assert alone.mean() == pytest.approx(0.0125, abs=0.0005)
    assert (crowd - alone).mean() == pytest.approx(found.gap[0], abs=0.004)


@pytest.mark.parametrize(
    ("n", "kappa", "eps2", "eta", "v_crowd", "rate"),
    [
        (50, 0.2, 0.5, 0.0, 0.0, 0.755),
        (50, 1.0, 0.5, 0.0, 0.0, 0.156),
        (10, 0.2, 0.5, 0.0, 0.03, 0.978),
        (2, 0.2, 0.5, 0.25, 0.15, 0.327),
        (50, 0.5, 0.5, 0.25, 0.006, 0.0),
        (50, 0.2, 1.5, 0.25, 0.006, 0.394),
        (500, 0.5, 1.5, 0.25, 0.0006, 0.202),
    ],
)
def test_how_often_the_printed_promise_is_broken(
    n: int, kappa: float, eps2: float, eta: float, v_crowd: float, rate: float
) -> None:
    """Delta and mu uniform where the theorem applies; 40,000 draws, standard error at most .0025."""
    rng = np.random.default_rng(0)
    error = rng.uniform(-kappa, kappa, 40_000)
    mu = error + rng.uniform(-1, 1, 40_000) * theory.printed_width(n, kappa, eps2, eta).h
    error, mu = error[mu**2 <= eps2], mu[mu**2 <= eps2]
    lost = np.abs(mu - error) > np.nan_to_num(theory.exact_width(error, eta, v_crowd), nan=-1.0)
    assert lost.mean() == pytest.approx(rate, abs=0.012)


@given(st.integers(3, 400), st.floats(0, 3), st.floats(0, 4), st.floats(0, 0.2), st.floats(-3, 3), st.floats(-1, 1))
def test_where_the_printed_interval_is_sufficient(
    n: int, kappa: float, eta: float, v: float, error: float, place: float
) -> None:
    eps2 = eta - 2 * (n - 1) * v / (n - 2)
    if eps2 < 0 or abs(error) > kappa:
        return
    mu = error + place * float(theory.printed_width(n, kappa, eps2, eta).h)
    if mu**2 > eps2:
        return
    assert mu**2 - 2 * mu * error + v - eta <= 1e-9 * (1 + mu**2)


def test_robust_fixtures() -> None:
    low, high = theory.robust_interval([-0.4, 0.1, 0.2, -0.1], [0.4, 0.6, 0.6, 0.6], [0.2, 0.05, -0.03, -0.03])
    np.testing.assert_allclose(low[:3], [-0.2, -0.0403124237, 0.1], atol=1e-10)
    np.testing.assert_allclose(high[:3], [0.2, 0.3449489743, 0.3], atol=1e-10)
    assert np.isnan([low[3], high[3]]).all()


@given(st.floats(-5, 5), st.floats(0, 5), st.floats(-2, 2), st.floats(-8, 8))
def test_robust_interval_is_where_every_error_is_won(low: float, width: float, c: float, mu: float) -> None:
    ends = theory.robust_interval(low, low + width, c)
    gaps = mu**2 - 2 * mu * np.linspace(low, low + width, 401) - c
    if not np.isnan(ends[0]) and ends[0] <= mu <= ends[1]:
        assert gaps.max() <= 1e-7
    elif np.isnan(ends[0]) or not ends[0] - 1e-7 <= mu <= ends[1] + 1e-7:
        assert gaps.max() >= -1e-7


@given(st.integers(0, 2**20))
def test_one_hot_conditions_do_not_know_the_options_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b, r, people = rng.dirichlet(np.ones(3), (8, 4)), rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), 4)
    order = rng.permutation(3)
    first = theory.win_interval(b - r, people - r, 0.4, 0.1, v_crowd=0.01).to_frame()
    second = theory.win_interval((b - r)[..., order], (people - r)[..., order], 0.4, 0.1, v_crowd=0.01).to_frame()
    np.testing.assert_allclose(
        first.drop(columns="branch").astype(float), second.drop(columns="branch").astype(float), atol=1e-12
    )
    gap = ((b.mean(axis=0) - people) ** 2).sum(axis=1) - ((r - people) ** 2).sum(axis=1) + 0.01
    np.testing.assert_allclose(first["gap"], gap, atol=1e-12)
    assert (first["wins"] == (first["distance"] <= first["H"])).all()


def test_problems_apart_equal_problems_together() -> None:
    rng = np.random.default_rng(0)
    delta, error = rng.normal(size=(9, 5)), rng.normal(size=5)
    delta[rng.random(delta.shape) < 0.2] = np.nan
    together = theory.win_interval(delta, error, 0.3, 0.1, v_pure=0.1, v_crowd=0.02).to_frame()
    for problem in range(5):
        kept = delta[~np.isnan(delta[:, problem]), problem]
        alone = theory.win_interval(kept, error[problem], 0.3, 0.1, v_pure=0.1, v_crowd=0.02).to_frame()
        assert alone.iloc[0].equals(together.iloc[problem].rename(0))


@pytest.mark.parametrize(("alpha", "expected"), [(0.2, 0.48), (0.1, 0.9), (0.05, math.inf)])
def test_kappa_fixtures(alpha: float, expected: float) -> None:
    errors = [0.05, -0.31, 0.22, 0.48, -0.12, 0.07, 0.9, -0.27, 0.33]
    assert theory.conformal_kappa(errors, [0.0] * 9, alpha) == expected
    assert theory.conformal_kappa(np.array(errors)[:, None] * [0.6, 0.8], np.zeros((9, 2)), alpha) == pytest.approx(
        expected, abs=1e-15
    )


def test_kappa_covers_a_new_problem_and_the_plain_quantile_does_not() -> None:
    # 20,000 sets: standard error .0021, bounds at 4.
    rng = np.random.default_rng(0)
    errors = rng.standard_t(4, size=(20_000, 10))
    conformal = np.array([theory.conformal_kappa(each, np.zeros(9), 0.1) for each in errors[:, :9]])
    new = np.abs(errors[:, 9])
    assert abs((new <= conformal).mean() - 0.9) < 0.0085
    assert (new <= np.quantile(np.abs(errors[:, :9]), 0.9, axis=1)).mean() < 0.86


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.printed_width(1, 0.1, 1, 0), "n=1: Theorem 4.4"),
        (lambda: theory.printed_width(5, -0.1, 1, 0), "kappa=-0.1"),
        (lambda: theory.printed_width(5, np.nan, 1, 0), "kappa=nan"),
        (lambda: theory.printed_width(5, 0.1, -1, 0), "second_moment is -1"),
        (lambda: theory.win_interval([0.1], 0, 0.1), "has 1 twins"),
        (lambda: theory.win_interval([0.1, 0.2], [1.0, 2.0], 0.1), "llm_error has shape"),
        (lambda: theory.win_interval([0.1, 0.2], np.nan, 0.1), "llm_error is nan"),
        (lambda: theory.win_interval([0.1, 0.2], 0, 0.1, v_crowd=-1), "v_crowd is -1"),
        (lambda: theory.win_interval([0.1, 0.2], 0, 0.1, v_crowd=[0, 1]), r"v_crowd has shape \(2,\)"),
        (lambda: theory.win_interval([0.1, 0.2], 0, [0.1, 0.2]), r"kappa has shape \(2,\)"),
        (lambda: theory.exact_width([1, 2, 3], [1, 2]), r"llm_error \(3,\), v_pure \(2,\)"),
        (lambda: theory.robust_interval(1, 0), "low is above high"),
        (lambda: theory.conformal_kappa([1.0], [1.0, 2.0]), "reference has shape"),
        (lambda: theory.conformal_kappa([1.0], [1.0], 1.0), "alpha=1.0"),
        (lambda: theory.conformal_kappa([np.nan], [1.0]), "reference is nan"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]
