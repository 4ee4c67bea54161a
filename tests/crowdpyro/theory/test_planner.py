from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from crowdpyro import theory
from crowdpyro.errors import DataError


def pairs(
    rng: np.random.Generator, n: int | tuple[int, int], rho: float, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """People of variance 1, and twins that correlate with them by rho and are biased by -.4."""
    y = rng.normal(size=n)
    return 3 + y, 2.6 + scale * (rho * y + np.sqrt(1 - rho**2) * rng.normal(size=y.shape))


@pytest.mark.parametrize(
    ("rho", "scale", "method"),
    [(0.8, 1.0, "power_tuned"), (0.5, 0.6, "power_tuned"), (0.9, 0.5, "power_tuned"), (0.8, 0.8, "rectified")],
)
def test_studies_as_planned_are_as_short_as_wanted(rho: float, scale: float, method: str) -> None:
    """600 studies: the mean half-width has a standard error below .001, coverage of .95 one of .009."""
    rng = np.random.default_rng(0)
    plan = theory.plan_sample(*pairs(rng, 20_000, rho, scale), 0.3, method=method)
    assert plan.shown
    y, twin = pairs(rng, (plan.n_humans, 600), rho, scale)
    crowd = pairs(rng, (plan.n_virtual, 600), rho, scale)[1]
    found = theory.crowd_interval(y, twin, crowd, method=method)
    assert plan.half_width <= 0.3
    assert found.half_width.mean() == pytest.approx(plan.half_width, rel=0.02)
    assert abs(((found.low <= 3) & (found.high >= 3)).mean() - 0.95) < 4 * 0.009
    # Rho squared is the most that a crowd saves; less where lam is 1, or would be above it.
    lam = 1.0 if method == "rectified" else min(1.0, rho / scale)
    most = 1 - 2 * lam * rho * scale + (lam * scale) ** 2
    assert plan.fewest_humans / plan.n_humans_only == pytest.approx(most, abs=0.06)
    assert plan.fewest_humans <= plan.n_humans < plan.n_humans_only


def test_people_alone_are_the_textbooks() -> None:
    y, twin = pairs(np.random.default_rng(1), 500, 0.0)
    plan = theory.plan_sample(y, -twin, 0.1)
    assert not plan.helps
    assert "the crowd cannot help" in repr(plan)
    assert plan.n_virtual == 0
    assert plan.n_humans == plan.n_humans_only
    sd = y.std(ddof=1)
    for n, reaches in ((plan.n_humans, True), (plan.n_humans - 1, False)):
        assert bool(student.ppf(0.975, n - 1) * sd / np.sqrt(n) <= 0.1) is reaches


def test_twins_against_people_and_poor_ones_with_full_weight_do_not_help() -> None:
    rng = np.random.default_rng(2)
    y, twin = pairs(rng, 5000, 0.6)
    assert not theory.plan_sample(y, -twin, 0.1).helps
    y, twin = pairs(rng, 5000, 0.3)
    assert not theory.plan_sample(y, twin, 0.1, method="rectified").helps
    assert theory.plan_sample(y, twin, 0.1).helps


def test_small_pilots_are_not_believed() -> None:
    """Independent twins, pilots of 12: the adjusted correlation promises 5 % in a quarter of them or less."""
    rng = np.random.default_rng(3)
    plans = [theory.plan_sample(*pairs(rng, 12, 0.0), 0.2, n_resamples=199) for _ in range(200)]
    assert np.mean([plan.shown for plan in plans]) < 0.1
    assert np.mean([plan.saved for plan in plans]) < 0.07
    doubtful = next(plan for plan in plans if plan.helps and not plan.shown)
    assert "too few to show that the crowd helps" in repr(doubtful)


def test_more_is_asked_for_less() -> None:
    rng = np.random.default_rng(4)
    y, twin = pairs(rng, 3000, 0.7)
    wide, narrow = theory.plan_sample(y, twin, 0.2), theory.plan_sample(y, twin, 0.05)
    assert narrow.n_humans == pytest.approx(16 * wide.n_humans, rel=0.1)
    dear = theory.plan_sample(y, twin, 0.05, virtual_cost=0.5)
    assert dear.n_humans > narrow.n_humans
    assert dear.n_virtual < narrow.n_virtual
    free = theory.plan_sample(y, twin, 0.05, virtual_cost=0.0)
    assert free.n_humans == free.fewest_humans
    assert theory.plan_sample(y, twin, 0.05, alpha=0.2).n_humans < narrow.n_humans
    scaled = theory.plan_sample(10 * y, 10 * twin, 0.5)
    assert (scaled.n_humans, scaled.n_virtual) == (narrow.n_humans, narrow.n_virtual)
    crowd = rng.normal(0, 3, 5000)
    assert theory.plan_sample(y, twin, 0.05, crowd=crowd) != narrow
    tiny = theory.plan_sample(y, twin, 1e-3, most_virtual=10**9)
    assert tiny.n_humans == pytest.approx(2500 * narrow.n_humans, rel=0.1)


def test_savings_that_a_pilot_leaves_open_are_numbers() -> None:
    """Six people whose twins are perfect; some resampled pilots with full weight never reach the width."""
    y = np.random.default_rng(0).normal(size=6)
    plan = theory.plan_sample(y, y, 0.3, method="rectified")
    assert plan.saved_range[0] == -1.0
    assert not plan.shown
    assert "-100%" in repr(plan)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.plan_sample([1.0, 2, 3], [1.0, 2, 3], 0.1), "5 at least"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(5.0), 0.1), "shape"),
        (lambda: theory.plan_sample(np.ones(6), np.arange(6.0), 0.1), "all alike"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(6.0), 0.0), "half_width=0.0"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(6.0), 1e-9), "more than 1e[+]12 people"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(6.0), 0.1, alpha=0), "alpha=0"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(6.0), 0.1, method="z"), "method='z'"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(6.0), 0.1, virtual_cost=-1), "virtual_cost=-1"),
        (lambda: theory.plan_sample(np.arange(6.0), np.arange(6.0), 0.1, crowd=[1.0]), "crowd has shape"),
        (lambda: theory.plan_sample(np.full(6, np.nan), np.arange(6.0), 0.1), "y is nan"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]
