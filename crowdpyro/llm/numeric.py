"""Numbers on a continuous scale: an LLM's distribution over a grid of numbers, digit by digit, as a density.

    P(g | c)    of every number g of the grid, as the chain of its digits;  "1" means "1 and then neither 0 nor ..."
    f(y) = P(g) / |cell(g)|    for y in cell(g) = {y in [low, high] : g is the nearest number of the grid}

f integrates to one. A reference holds n draws: the evenly spaced quantiles F^-1((j + 1/2) / n), which have the mean and
the variance of f up to O(1/n) and need no seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..models.errors import DataError, ModelError
from ..models.scales import Continuous
from .backbone import FloatArray

# 41 numbers at most when none are given: 0 to 100 by 2.5 would be read oddly, 0 to 100 by 5 has 21.
_STEPS = (1.0, 2.0, 5.0)
_MOST_NUMBERS = 41
# More numbers than that are as many options in a prompt's answer.
_MOST_GIVEN = 1001


@dataclass(frozen=True)
class Grid:
    """Numbers that the LLM is scored on, increasing, and the bounds of the scale.

    Parameters
    ----------
    numbers
        At least two, within the bounds.
    low, high
        Finite bounds.
    """

    numbers: tuple[float, ...]
    low: float
    high: float

    @classmethod
    def of(cls, scale: Continuous, numbers: Sequence[float] | None = None) -> Grid:
        """The grid of a scale: given numbers, or multiples of 1, 2 or 5 times a power of ten, 41 at most.

        Raises
        ------
        ModelError
            An unbounded scale, and no numbers.
        DataError
            Numbers that are not increasing or outside the scale.
        """
        if numbers is None:
            if not (np.isfinite(scale.low) and np.isfinite(scale.high)):
                raise ModelError(
                    "scale=Continuous() has no bounds, so that no grid covers it: give Continuous(low, high), "
                    "grid=[...] with the numbers to be scored, or mode='write'."
                )
            return cls(_round_numbers(scale.low, scale.high), scale.low, scale.high)
        given = tuple(float(number) for number in numbers)
        if not 2 <= len(given) <= _MOST_GIVEN or not np.all(np.isfinite(given)) or np.any(np.diff(given) <= 0):
            raise DataError(f"grid of {len(given)} numbers: give 2 to {_MOST_GIVEN} finite, increasing numbers.")
        if given[0] < scale.low or given[-1] > scale.high:
            raise DataError(f"grid from {given[0]:g} to {given[-1]:g}: stay in [{scale.low:g}, {scale.high:g}].")
        low = scale.low if np.isfinite(scale.low) else given[0]
        high = scale.high if np.isfinite(scale.high) else given[-1]
        return cls(given, low, high)

    @property
    def labels(self) -> tuple[str, ...]:
        """The numbers as they are written, shortest first: "0", "2.5"."""
        return tuple(np.format_float_positional(number, trim="-") for number in self.numbers)

    @property
    def edges(self) -> FloatArray:
        """Where cells meet, bounds included, shape `(n_numbers + 1,)`."""
        points = np.asarray(self.numbers)
        return np.concatenate([[self.low], (points[1:] + points[:-1]) / 2, [self.high]])

    def density(self, probabilities: FloatArray) -> FloatArray:
        """Density on every cell, `(..., n_numbers)` as the probabilities, in one over the unit of the response."""
        return np.asarray(probabilities / np.diff(self.edges))

    def quantiles(self, probabilities: FloatArray, n: int) -> FloatArray:
        """Evenly spaced quantiles of f, shape `(..., n)`; NaN where the probabilities are."""
        levels = (np.arange(n) + 0.5) / n
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        drawn = np.full((len(rows), n), np.nan)
        for place, row in enumerate(rows):
            if not np.isnan(row).any():
                below = np.concatenate([[0.0], row.cumsum()])
                drawn[place] = np.interp(levels, below / below[-1], self.edges)
        return drawn.reshape(*probabilities.shape[:-1], n)


def _round_numbers(low: float, high: float) -> tuple[float, ...]:
    """Multiples of a round step between the bounds, and the bounds themselves."""
    power = 10.0 ** (np.floor(np.log10(high - low)) - 2)
    steps = [scale * base for scale in power * 10.0 ** np.arange(4) for base in _STEPS]
    step = next(each for each in steps if (high - low) / each <= _MOST_NUMBERS - 2)
    inner = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    # Twelve digits, so that 3 times .1 reads "0.3".
    return tuple(sorted({low, high, *(float(f"{number:.12g}") for number in inner if low < number < high)}))
