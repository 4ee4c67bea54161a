"""A crowd summed up: what the interval's kernel needs of members too many to be held in memory.

    W = sum_j w_j,    m = sum_j w_j x_j / W,    var = sum_j w_j (x_j - m)^2 / W,    u.u = sum_j w_j^2 (x_j - m)^2 / W^2

over those who answered, problem by problem. Of discrete answers all four follow from how often each level was given,
with which sums of weights and of squared weights; of numbers they are summed block by block (Chan, Golub, LeVeque 1983,
The American Statistician 37), which loses no digits far from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .checked import FloatArray


@dataclass(frozen=True)
class CrowdMoments:
    """Members in the place of `sample.Sample`, each their own unit, one number an answer.

    Attributes
    ----------
    n
        Members of positive weight who answered, `(B,)`.
    total, squares
        Sums of their weights and of the squares, `(B,)`.
    mean, variance, influence
        m, var and u.u of the formulas above, `(B,)`.
    unequal
        Whether weights differ, which costs degrees of freedom.
    shape
        Of the problems, B of them.
    """

    n: FloatArray
    total: FloatArray
    squares: FloatArray
    mean: FloatArray
    variance: FloatArray
    influence: FloatArray
    unequal: bool
    shape: tuple[int, ...]
    unit: ClassVar[None] = None
    strata: ClassVar[None] = None

    @classmethod
    def of_counts(
        cls, n: FloatArray, total: FloatArray, squares: FloatArray, values: FloatArray, *, unequal: bool = False
    ) -> CrowdMoments:
        """Of discrete answers.

        Parameters
        ----------
        n, total, squares
            Members, sums of weights and of squared weights by level, `(n_problems, n_levels)`.
        values
            Numbers of the levels, `(n_levels,)`; or `(n_levels, m)` for m numbers an answer, such as indicators.
        unequal
            Whether weights differ.
        """
        table = values.reshape(len(values), -1)
        everybody = total.sum(axis=1, keepdims=True)
        safe = np.where(everybody > 0, everybody, 1.0)
        mean = total @ table / safe
        away = (table[None] - mean[:, None]) ** 2
        variance = np.einsum("tk,tkm->tm", total / safe, away)
        influence = np.einsum("tk,tkm->tm", squares / safe**2, away)
        wide = np.ones(table.shape[1])
        n, total, squares = (np.multiply.outer(each.sum(axis=1), wide).ravel() for each in (n, total, squares))
        shape = (len(mean), *values.shape[1:])
        return cls(n, total, squares, mean.ravel(), variance.ravel(), influence.ravel(), unequal, shape)

    def of_problems(self, rows: npt.NDArray[np.int64]) -> CrowdMoments:
        """The same crowd at these problems, rows of the first axis."""
        moved = {
            name: getattr(self, name).reshape(self.shape)[rows].ravel()
            for name in ("n", "total", "squares", "mean", "variance", "influence")
        }
        return replace(self, **moved, shape=(len(rows), *self.shape[1:]))

    def checked(self) -> CrowdMoments:
        """Itself; raises `DataError` where fewer than two members answered, or weights leave fewer."""
        if (self.n < 2).any():
            short = int(self.n.argmin())
            raise DataError(
                f"crowd holds {self.n[short]:.0f} answers to problem number {short}; a variance needs at least two."
            )
        if (self.freedom < 1 - 1e-9).any():
            raise DataError(
                f"weights of crowd leave an effective {self.freedom.min() + 1:.2f} members; cut the largest."
            )
        return self

    @property
    def units(self) -> FloatArray:
        """Members are their own units."""
        return self.n

    @property
    def design(self) -> FloatArray:
        """Sum of squared weights of the answers, `(B,)`."""
        return self.squares / self.total**2

    @property
    def freedom(self) -> FloatArray:
        """As of `Sample`: n - 1, or Kish's effective n less 1 where weights differ."""
        return 1.0 / self.design - 1 if self.unequal else self.n - 1

    def factor(self, ddof: int) -> FloatArray:
        """Bessel's: n / (n - ddof)."""
        return self.n / (self.n - ddof)

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and sum of squared influences; x is not there."""
        return self.mean, self.influence

    def spread(self, x: FloatArray, mean: FloatArray, square: FloatArray, centre: FloatArray) -> FloatArray:
        """Mean square about another centre; x is not there."""
        return self.variance + (mean - centre) ** 2


@dataclass
class RunningMoments:
    """Sums over blocks of members, of numbers.

    Attributes
    ----------
    n
        Members of positive weight so far, `(n_problems,)`.
    sums
        For weights w and w^2: their sum, the mean, and the sum of squares about it, `(2, 3, n_problems)`.
    """

    n: FloatArray
    sums: FloatArray

    @classmethod
    def of(cls, x: FloatArray, weights: FloatArray | None = None) -> RunningMoments:
        """Of a block, `(n, n_problems)`, NaN where absent; weights `(n,)`."""
        there = ~np.isnan(x)
        w = np.ones(len(x)) if weights is None else weights
        heard, filled = there & (w > 0)[:, None], np.where(there, x, 0.0)
        sums = []
        for power in (1, 2):
            weighed = heard * (w**power)[:, None]
            total = weighed.sum(axis=0)
            mean = (weighed * filled).sum(axis=0) / np.where(total > 0, total, 1.0)
            sums.append([total, mean, (weighed * (filled - mean) ** 2).sum(axis=0)])
        return cls(heard.sum(axis=0).astype(float), np.asarray(sums))

    def __add__(self, other: RunningMoments) -> RunningMoments:
        (total, mean, square), (more, theirs, squares) = self.sums.swapaxes(0, 1), other.sums.swapaxes(0, 1)
        both = total + more
        share = more / np.where(both > 0, both, 1.0)
        apart = theirs - mean
        merged = np.stack([both, mean + share * apart, square + squares + total * share * apart**2], axis=1)
        return RunningMoments(self.n + other.n, merged)

    def done(self, *, unequal: bool = False) -> CrowdMoments:
        """The crowd's moments."""
        (total, mean, square), (squares, middle, around) = self.sums
        safe = np.where(total > 0, total, 1.0)
        influence = (around + squares * (middle - mean) ** 2) / safe**2
        return CrowdMoments(self.n, total, squares, mean, square / safe, influence, unequal, self.n.shape)
