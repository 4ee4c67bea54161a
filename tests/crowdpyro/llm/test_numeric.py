from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from crowdpyro import Continuous
from crowdpyro.errors import DataError, ModelError
from crowdpyro.llm.numeric import Grid


@pytest.mark.parametrize(
    ("low", "high"), [(0, 100), (0, 1), (-5, 5), (18, 65), (0, 1e6), (0.5, 3.25), (-1e-3, 1e-3), (1000, 1001)]
)
def test_grids_are_round_and_cover_the_scale(low: float, high: float) -> None:
    grid = Grid.of(Continuous(low, high))
    assert (grid.numbers[0], grid.numbers[-1]) == (low, high)
    assert 15 <= len(grid.numbers) <= 41
    assert [float(label) for label in grid.labels] == list(grid.numbers)
    assert max(map(len, grid.labels)) <= 8
    assert len(set(grid.labels)) == len(grid.labels)


def test_the_density_integrates_to_one_and_cells_are_nearest_numbers() -> None:
    grid = Grid.of(Continuous(0, 10), [1, 2, 5])
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=4)
    density = grid.density(p)
    np.testing.assert_array_equal(grid.edges, [0, 1.5, 3.5, 10])
    np.testing.assert_allclose((density * np.diff(grid.edges)).sum(axis=1), 1, rtol=1e-12)
    for row, shares in zip(density, p, strict=True):
        for k, (start, end) in enumerate(zip(grid.edges, grid.edges[1:], strict=False)):
            mass, _ = quad(lambda y, row=row: row[np.abs(np.array(grid.numbers) - y).argmin()], start, end)
            assert mass == pytest.approx(shares[k], rel=1e-6)


def test_quantiles_have_the_density_s_mean_and_variance() -> None:
    grid = Grid.of(Continuous(0, 100))
    p = np.random.default_rng(1).dirichlet(np.ones(len(grid.numbers)), size=3)
    middle, width = (grid.edges[1:] + grid.edges[:-1]) / 2, np.diff(grid.edges)
    mean = p @ middle
    variance = p @ (middle**2 + width**2 / 12) - mean**2
    for n, tolerance in ((100, 0.2), (10_000, 2e-3)):
        drawn = grid.quantiles(p, n)
        np.testing.assert_allclose(drawn.mean(axis=1), mean, atol=tolerance)
        np.testing.assert_allclose(drawn.var(axis=1), variance, rtol=tolerance)
    assert (np.diff(grid.quantiles(p, 100), axis=1) >= 0).all()


def test_quantiles_of_nothing_are_missing_and_of_one_number_within_its_cell() -> None:
    grid = Grid.of(Continuous(0, 10), [0, 5, 10])
    p = np.array([[0.0, 1.0, 0.0], [np.nan] * 3])
    drawn = grid.quantiles(p, 4)
    np.testing.assert_allclose(drawn[0], [3.125, 4.375, 5.625, 6.875])
    assert np.isnan(drawn[1]).all()


def test_an_unbounded_scale_takes_given_numbers() -> None:
    grid = Grid.of(Continuous(), [0, 10, 20])
    assert (grid.low, grid.high) == (0, 20)
    assert Grid.of(Continuous(low=-5), [0, 10]).low == -5


@pytest.mark.parametrize(
    ("scale", "numbers", "error", "message"),
    [
        (Continuous(), None, ModelError, "mode='write'"),
        (Continuous(0, 1), [0.5], DataError, "2 to 1001"),
        (Continuous(0, 1), [0.5, 0.5], DataError, "increasing"),
        (Continuous(0, 1), [0.5, np.inf], DataError, "finite"),
        (Continuous(0, 1), [0.5, 2], DataError, r"stay in \[0, 1\]"),
    ],
)
def test_grids_that_do_not_fit(
    scale: Continuous, numbers: list[float] | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Grid.of(scale, numbers)
