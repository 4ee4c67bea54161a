"""Careless people: the mixture's share, its test, and a world with spammers in it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from crowdpyro.careless_people import careless, spam_mixture
from crowdpyro.errors import DataError
from crowdpyro.studies.pipeline_calibration_world import World


def log_chances(rng: np.random.Generator, n: int, share: float, answers: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Coins that fall heads with chance .8, and a share of people who toss fair ones."""
    fair = rng.random(n) < share
    heads = rng.binomial(answers, np.where(fair, 0.5, 0.8))
    return heads * np.log(0.8) + (answers - heads) * np.log(0.2), np.full(n, answers * np.log(0.5))


def test_the_share_is_the_likelihoods_maximum_and_is_recovered() -> None:
    model, at_random = log_chances(np.random.default_rng(0), 4000, 0.3)
    share, p_value, chance = spam_mixture(model, at_random)
    grid = np.linspace(0.001, 0.999, 999)
    likelihood = np.logaddexp(np.log1p(-grid)[:, None] + model, np.log(grid)[:, None] + at_random).sum(axis=1)
    assert share == pytest.approx(grid[likelihood.argmax()], abs=0.001)
    # Standard error of the share about .01.
    assert share == pytest.approx(0.3, abs=0.04)
    assert p_value < 1e-10
    # The posterior chances average to the share at the maximum.
    assert chance.mean() == pytest.approx(share, abs=1e-6)


def test_the_test_keeps_its_error_rate() -> None:
    """2,000 tables without a coin tosser, two-sided binomial tail at 1e-3: the boundary's law is asymptotic."""
    rng = np.random.default_rng(1)
    small = sum(spam_mixture(*log_chances(rng, 150, 0.0))[1] <= 0.05 for _ in range(2000))
    assert binom.ppf(5e-4, 2000, 0.04) <= small <= binom.ppf(1 - 5e-4, 2000, 0.055)


def test_nobody_and_everybody() -> None:
    assert spam_mixture(np.zeros(5), np.full(5, -3.0))[:2] == (0.0, 1.0)
    share, p_value, chance = spam_mixture(np.full(5, -900.0), np.zeros(5))
    assert share > 0.999
    assert p_value < 1e-10
    np.testing.assert_allclose(chance, 1.0)


def test_spammers_are_found_and_the_honest_left_alone() -> None:
    probabilities = []
    for kind in ("spammers", "ratings"):
        world = World.of(kind, 1)
        model = world.fit(world.people(150, 1, name="t"), 1)
        held_out = world.people(150, 3, name="h")
        found = careless(model, world.data(held_out), n_draws=256)
        probabilities.append((found, (held_out.answers != held_out.thoughts).any(axis=1)))
    (spam, guilty), (clean, _) = probabilities
    assert spam.p_value < 1e-3
    assert clean.p_value > 0.01
    assert spam.probability[guilty].mean() > 3 * spam.probability[~guilty].mean()


def test_numbers_have_no_coin() -> None:
    world = World.of("numbers", 0)
    with pytest.raises(DataError, match="answers at random"):
        careless(world.truth, world.data(world.people(5, 0)))
