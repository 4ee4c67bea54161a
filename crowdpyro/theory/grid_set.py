"""The prediction-powered set on a grid (Theorem 4.5), of whatever a pair of intervals can be written for.

    { theta : 0 in B1_gamma(theta) + B2_{alpha - gamma}(theta) }  =  { theta : l1 + l2 <= 0 <= u1 + u2 }

B1 = [l1, u1] holds E[f - y] at theta, that is minus the mean residual, and B2 = [l2, u2] holds the crowd's side. Each
has to hold at the true theta only, and they may be dependent: the set misses with chance alpha at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .checked import FloatArray, numbers

Bounds: TypeAlias = Callable[[FloatArray], tuple[npt.ArrayLike, npt.ArrayLike]] | tuple[npt.ArrayLike, npt.ArrayLike]


class GridEdgeWarning(UserWarning):
    """A set that reaches the end of its grid, and may go on."""


@dataclass(frozen=True, eq=False)
class PredictionPoweredSet:
    """Values that are not ruled out.

    Attributes
    ----------
    grid
        Increasing, `(G,)`.
    mask
        Which of them are in the set, `(G,)`.
    """

    grid: FloatArray
    mask: npt.NDArray[np.bool_]

    @property
    def hull(self) -> tuple[float, float] | None:
        """Least and largest value in the set; None of an empty one, whose grid is too coarse or elsewhere."""
        inside = self.grid[self.mask]
        return (float(inside[0]), float(inside[-1])) if len(inside) else None

    @property
    def is_connected(self) -> bool:
        """Whether nothing inside the hull is ruled out."""
        places = np.flatnonzero(self.mask)
        return len(places) == 0 or bool(places[-1] - places[0] + 1 == len(places))

    @property
    def hits_grid_edge(self) -> bool:
        """Whether an end of the grid is in the set, which the grid then does not cover."""
        return bool(self.mask[0] or self.mask[-1])

    def __repr__(self) -> str:
        hull = "empty" if self.hull is None else "[{:.6g}, {:.6g}]".format(*self.hull)
        notes = "" if self.is_connected else ", with gaps"
        notes += ", reaches the end of the grid" if self.hits_grid_edge else ""
        return f"<PredictionPoweredSet {hull}{notes}: {int(self.mask.sum())} of {len(self.grid)} values>"


def prediction_powered_set(theta_grid: npt.ArrayLike, b1: Bounds, b2: Bounds) -> PredictionPoweredSet:
    """Keep the values of a grid at which zero is between the two intervals' summed ends.

    Parameters
    ----------
    theta_grid
        Strictly increasing values, `(G,)`.
    b1, b2
        Low and high ends at every value, two arrays `(G,)` or numbers, or a function of the grid that returns them.

    Returns
    -------
    PredictionPoweredSet
        Which values are kept, `(G,)`; its `hull` is the interval around them.

    Raises
    ------
    DataError
        For a grid that does not increase, or ends of another shape or in the wrong order.

    Examples
    --------
    >>> grid = np.linspace(1, 5, 401)
    >>> prediction_powered_set(grid, (-0.5, 0.1), lambda theta: (theta - 3.4, theta - 3.0))
    <PredictionPoweredSet [2.9, 3.9]: 101 of 401 values>
    """
    grid = numbers(theta_grid, "theta_grid")
    if grid.ndim != 1 or len(grid) < 2 or (np.diff(grid) <= 0).any():
        raise DataError(f"theta_grid has shape {grid.shape}; give at least two strictly increasing values.")
    ends = [_ends(given, grid, name) for name, given in (("b1", b1), ("b2", b2))]
    low, high = (ends[0][side] + ends[1][side] for side in (0, 1))
    found = PredictionPoweredSet(grid, np.broadcast_to((low <= 0) & (high >= 0), grid.shape))
    if found.hits_grid_edge:
        warnings.warn(
            f"the set reaches an end of the grid, {grid[0]:g} to {grid[-1]:g}, which does not cover it; widen it.",
            GridEdgeWarning,
            stacklevel=2,
        )
    return found


def _ends(given: Bounds, grid: FloatArray, name: str) -> tuple[FloatArray, FloatArray]:
    both = given(grid) if callable(given) else given
    if not isinstance(both, tuple) or len(both) != 2:
        raise DataError(f"{name}={both!r}: give a pair of ends, (low, high).")
    low, high = both
    found = numbers(low, f"{name}, low"), numbers(high, f"{name}, high")
    for end in found:
        if end.shape not in ((), grid.shape):
            raise DataError(f"{name} has shape {end.shape}; give one end a value of the grid, {grid.shape}.")
    if (found[0] > found[1]).any():
        raise DataError(f"{name}: a low end lies above its high end; give (low, high).")
    return found
