"""Bounds on how far a mean of n answers is from its expectation, each missing with chance alpha.

    normal               z_{1 - alpha/2} s / sqrt(n)                                     in large samples
    hoeffding            R sqrt(log(2/alpha) / (2n))                                     always; R the answers' range
    empirical_bernstein  s sqrt(2 log(4/alpha) / n) + 7 R log(4/alpha) / (3 (n - 1))     always (Maurer and Pontil 2009)

The two that always hold are wide: of answers from 1 to 5 with n = 50, half-widths of two and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import ndtri

from .checked import FloatArray

BoundName: TypeAlias = Literal["normal", "hoeffding", "empirical_bernstein"]


@dataclass(frozen=True)
class Bound:
    """A bound for the mean of some answers.

    Attributes
    ----------
    kind
        Which one.
    n
        How many answers, `(B,)`.
    spread
        Their standard deviation, `(B,)`.
    reach
        R, from the least to the largest that an answer may be.
    """

    kind: BoundName
    n: FloatArray
    spread: FloatArray
    reach: float

    def half_width(self, alpha: FloatArray) -> FloatArray:
        """The bound."""
        if self.kind == "normal":
            return np.asarray(-ndtri(alpha / 2) * self.spread / np.sqrt(self.n))
        if self.kind == "hoeffding":
            return np.asarray(self.reach * np.sqrt(np.log(2 / alpha) / (2 * self.n)))
        log = np.log(4 / alpha)
        return np.asarray(self.spread * np.sqrt(2 * log / self.n) + 7 * self.reach * log / (3 * (self.n - 1)))

    def slope(self, alpha: FloatArray) -> FloatArray:
        """Its derivative in alpha: negative, and rising with alpha."""
        if self.kind == "normal":
            z = ndtri(alpha / 2)
            return np.asarray(-self.spread / np.sqrt(self.n) * np.sqrt(np.pi / 2) * np.exp(z**2 / 2))
        if self.kind == "hoeffding":
            return np.asarray(-self.reach / (2 * alpha * np.sqrt(2 * self.n * np.log(2 / alpha))))
        root = np.sqrt(2 * self.n * np.log(4 / alpha))
        return np.asarray(-(self.spread / root + 7 * self.reach / (3 * (self.n - 1))) / alpha)


def best_split(first: Bound, second: Bound, alpha: float) -> FloatArray:
    """The part of alpha for the first bound that makes the sum of both least, `(B,)`: bisection on its derivative."""
    # Away from the ends, where a bound of answers that are all alike would be 0 times infinity.
    low, high = np.full_like(first.n, 1e-9 * alpha), np.full_like(first.n, (1 - 1e-9) * alpha)
    for _ in range(60):
        middle = (low + high) / 2
        # The more alpha the first has, the less it gains by more.
        more = first.slope(middle) < second.slope(alpha - middle)
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return (low + high) / 2
