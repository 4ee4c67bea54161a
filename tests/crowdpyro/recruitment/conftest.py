"""A simulated census, whose traits hang together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

EDUCATION = ["none", "school", "college", "degree", "doctorate"]


def simulate_census(n: int, seed: int) -> pd.DataFrame:
    """Age drives work, education and gender drive income, income drives owning a home; regions attract graduates."""
    rng = np.random.default_rng(seed)
    old = rng.choice([0, 20], n, p=[0.7, 0.3])
    age = np.clip(np.round(rng.gamma(9, 5, n) + old), 18, 95)
    gender = rng.choice(["man", "woman", "other"], n, p=[0.49, 0.50, 0.01])
    place = np.clip(rng.choice(3, n, p=[0.5, 0.3, 0.2]) + rng.poisson(0.8, n), 0, 4)
    region = np.array(["North", "South", "East", "West", "Centre"])[place]
    ability = rng.normal(size=n) + 0.6 * (place == 4) - 0.02 * (age - 45)
    education = np.array(EDUCATION)[np.digitize(ability, [-1.5, -0.3, 0.7, 1.8])]
    wage = 9.8 + 0.35 * ability + 0.3 * (gender == "man") + 0.012 * np.minimum(age, 60) + rng.normal(0, 0.4, n)
    income = np.round(np.exp(wage))
    student, retired = (age < 25) & (rng.random(n) < 0.5), (age > 65) & (rng.random(n) < 0.9)
    idle = rng.random(n) < 0.06 + 0.1 * (ability < -1)
    work = np.select([retired, idle, student], ["retired", "unemployed", "student"], "employed")
    owner = np.where(rng.random(n) < 1 / (1 + np.exp(-1.5 * (wage - 10.3) - 0.03 * (age - 45))), "yes", "no")
    return pd.DataFrame(
        {
            "gender": gender,
            "age": age,
            "region": region,
            "education": pd.Categorical(education, EDUCATION, ordered=True),
            "income": income,
            "work": work,
            "owner": owner,
        }
    )


@pytest.fixture(scope="session")
def simulate() -> Callable[[int, int], pd.DataFrame]:
    return simulate_census


@pytest.fixture(scope="session")
def census() -> pd.DataFrame:
    return simulate_census(5000, 0)
