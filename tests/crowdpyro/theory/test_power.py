"""The power table: between designs, the cheapest one, and what it tells `plan_sample`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import theory
from crowdpyro.errors import DataError

PEOPLE, QUESTIONS = (5, 20, 80), (5, 10, 40)


def law(n: float | np.ndarray, k: float | np.ndarray) -> np.ndarray:
    """log error linear in log n and log k: what the table interpolates exactly."""
    return np.asarray(2.0 * n**-0.5 * k**-0.25)


def table(**more: float) -> pd.DataFrame:
    rows = [(1, 0, n, k, float(law(n, k))) for n in PEOPLE for k in QUESTIONS]
    return pd.DataFrame(rows, columns=["noise", "diversity", "workers", "tasks", "error"]).assign(**more)


def test_power_laws_are_interpolated_exactly() -> None:
    n, k = np.array([5, 13, 47, 80]), np.array([5, 7, 40, 11])
    found = theory.PowerTable(table()).error(n, k, noise=1, diversity=0)
    np.testing.assert_allclose(found, law(n, k), rtol=1e-12)


@pytest.mark.parametrize("person_cost", [0.0, 30.0])
def test_the_plan_is_the_cheapest_of_all_designs(person_cost: float) -> None:
    """Brute force over every whole design of the grid."""
    plan = theory.PowerTable(table()).plan(0.25, noise=1, diversity=0, person_cost=person_cost, most_questions=30)
    every = [(n * k + person_cost * n, n, k) for n in range(5, 81) for k in range(5, 31) if law(n, k) <= 0.25]
    cost, n, k = min(every)
    assert (plan.n_people, plan.n_questions, plan.cost) == (n, k, cost)
    assert plan.n_answers == n * k
    assert plan.error == pytest.approx(float(law(n, k)))
    assert plan.error <= 0.25


def test_people_who_cost_much_are_asked_more() -> None:
    cheap, dear = (
        theory.PowerTable(table()).plan(0.25, noise=1, diversity=0, person_cost=cost) for cost in (0.0, 100.0)
    )
    assert dear.n_people < cheap.n_people
    assert dear.n_questions > cheap.n_questions


def test_a_file_feeds_the_plan_of_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    table(answer_sd=1.0, twin_sd=0.5, correlation=0.6).to_csv(path, index=False)
    plan = theory.PowerTable.read(path).plan_sample(0.2, 20, 10, noise=1, diversity=0)
    known = theory.plan_from_moments(1.0, 0.5, 0.6, 0.2)
    assert (plan.n_humans, plan.n_virtual, plan.n_pilot) == (known.n_humans, known.n_virtual, 0)
    assert plan.helps
    assert not theory.plan_from_moments(1.0, 0.5, 0.0, 0.2).helps
    assert not theory.plan_from_moments(1.0, 0.0, 0.6, 0.2).helps


def test_moments_plan_what_a_large_pilot_plans() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=200_000)
    twin = 0.5 * (0.6 * y + 0.8 * rng.normal(size=len(y)))
    pilot, known = theory.plan_sample(y, twin, 0.1, n_resamples=99), theory.plan_from_moments(1.0, 0.5, 0.6, 0.1)
    assert known.n_humans == pytest.approx(pilot.n_humans, rel=0.02)
    assert known.n_humans_only == pytest.approx(pilot.n_humans_only, rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="error"), "error"),
        (lambda t: t.iloc[1:], "has 8 designs"),
        (lambda t: t.assign(error=np.nan), "a number is missing"),
        (lambda t: pd.concat([t.iloc[1:], t.iloc[[2]]]), "every combination once"),
    ],
)
def test_bad_tables_are_named(change: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        theory.PowerTable(change(table()))  # type: ignore[operator]


def test_what_the_table_does_not_hold_is_not_told() -> None:
    power = theory.PowerTable(table())
    with pytest.raises(DataError, match="the table has 1 and 0"):
        power.plan(0.3, noise=2, diversity=0)
    with pytest.raises(DataError, match="at best, with 80 people and 40 questions"):
        power.plan(0.01, noise=1, diversity=0)
    with pytest.raises(DataError, match="5 to 80 people"):
        power.error(200, 10, noise=1, diversity=0)
    with pytest.raises(DataError, match="lacks column 'answer_sd'"):
        power.plan_sample(0.2, 20, 10, noise=1, diversity=0)
    with pytest.raises(DataError, match="begins at 5"):
        power.plan(0.3, noise=1, diversity=0, most_questions=2)
    for wrong in ({"answer_sd": 0.0}, {"correlation": 1.5}, {"half_width": -1.0}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            theory.plan_from_moments(
                **{"answer_sd": 1.0, "twin_sd": 0.5, "correlation": 0.5, "half_width": 0.1} | wrong
            )
