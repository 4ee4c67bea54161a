"""People, real or virtual, whose answers are averaged: how much each counts, and which answers hang together.

    m = sum_i w_i x_i,  sum_i w_i = 1;      u_g = sum_{i in g} w_i (x_i - m)
    Var(m) = G/(G-1) sum_g u_g^2            G independent units: people, or clusters of answers

With equal weights and nobody in a cluster this is var(x, ddof=1)/n; with clusters of c_g answers that sum to s_g it is
G/(G-1) sum_g (s_g - c_g m)^2 / (sum c_g)^2; with weights, the linearised variance of a ratio (Särndal, Swensson,
Wretman 1992, Model Assisted Survey Sampling, section 5.5). For strata see `strata`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .checked import FloatArray, IntArray
from .strata import Strata


@dataclass(frozen=True)
class Sample:
    """How n answers to each of B problems are averaged.

    Attributes
    ----------
    n
        Answers to each problem, `(B,)`.
    weights
        Shape `(n, 1)` or `(n, B)`, columns sum to 1 and absent answers weigh 0; None where all weigh 1/n.
    units
        G, independent units of each problem, `(B,)`.
    freedom
        Degrees of freedom of its variance, `(B,)`: G - 1, with unequal weights Kish's number of units less 1, with
        strata G less their number.
    unit
        The unit of each answer, `(n,)`; None where each answer is one.
    strata
        What the units were drawn from; None for one pot.
    """

    n: FloatArray
    weights: FloatArray | None
    units: FloatArray
    freedom: FloatArray
    unit: IntArray | None = None
    strata: Strata | None = None

    @classmethod
    def of(
        cls,
        answers: FloatArray,
        weights: FloatArray | None = None,
        clusters: npt.ArrayLike | None = None,
        name: str = "y",
        *,
        present: npt.NDArray[np.bool_] | None = None,
        strata: npt.ArrayLike | None = None,
    ) -> Sample:
        """A sample of the answers that are there.

        Parameters
        ----------
        answers
            Shape `(n, B)`; only their number is looked at.
        weights
            Checked, `(n, 1)` or `(n, B)`, not yet normalised.
        clusters
            Whom each answer is of, `(n,)`.
        name
            What errors call the answers.
        present
            Which of them are there, `(n, B)`; all when None.
        strata
            Which stratum each answer's unit was drawn from, `(n,)`.

        Raises
        ------
        DataError
            When a problem has fewer than two answers, or two clusters, weights leave fewer than two, or a stratum has
            one unit.
        """
        if weights is not None:
            if not (weights > 0).any(axis=0).all():
                raise DataError(f"weights of {name} sum to 0; somebody must count.")
            if not (weights > 0).all():
                present = (weights > 0) & (np.ones_like(answers, dtype=bool) if present is None else present)
        if present is not None and present.all():
            present = None
        n = (
            np.full(answers.shape[1], len(answers), dtype=float)
            if present is None
            else present.sum(axis=0, dtype=float)
        )
        if (n < 2).any():
            short = int(n.argmin())
            raise DataError(
                f"{name} holds {n[short]:.0f} answers{f' to problem number {short}' * (len(n) > 1)}; a variance needs "
                "at least two."
            )
        unequal = weights is not None and bool((weights != weights[:1]).any())
        if present is not None:
            weights = np.where(present, 1.0 if weights is None else weights, 0.0)
        if weights is not None:
            weights = weights / weights.sum(axis=0)
        unit = None if clusters is None else codes(clusters, len(answers), f"clusters of {name}")
        units = n
        if unit is not None:
            there = np.ones(answers.shape) if present is None else present.astype(float)
            units = (_summed(there, unit) > 0).sum(axis=0, dtype=float)
        if (units < 2).any():
            raise DataError(f"clusters of {name} are {units.min():.0f}; a variance needs at least two.")
        if strata is not None:
            drawn = Strata.of(strata, len(answers), unit, name)
            there = np.ones(answers.shape) if present is None else present.astype(float)
            freedom = drawn.freedom((there if unit is None else _summed(there, unit)) > 0, name)
            return cls(n, weights, units, freedom, unit, drawn)
        freedom = units - 1
        if unequal and weights is not None:
            share = weights if unit is None else _summed(weights, unit)
            freedom = np.broadcast_to(1.0 / (share**2).sum(axis=0), units.shape) - 1
            if (freedom < 1 - 1e-9).any():
                raise DataError(
                    f"weights of {name} leave an effective {freedom.min() + 1:.2f} of {units.min():.0f}; a variance "
                    "needs at least two: cut the largest weights, or ask more people."
                )
        return cls(n, weights, units, freedom, unit)

    def share(self, x: FloatArray) -> FloatArray:
        """The weight of each answer, in the shape of the answers."""
        return np.broadcast_to(1.0 / len(x) if self.weights is None else self.weights, x.shape)

    def mean(self, x: FloatArray) -> FloatArray:
        """Weighted means, `(B,)`; what is absent holds 0."""
        if self.weights is None:
            return np.asarray(x.mean(axis=0))
        return np.asarray((self.weights * x).sum(axis=0))

    def mean_square(self, x: FloatArray) -> FloatArray:
        """Weighted means of squares, `(B,)`."""
        if self.weights is None:
            return dot(x, x) / len(x)
        return np.asarray(np.einsum("ib,ib,ib->b", np.broadcast_to(self.weights, x.shape), x, x))

    def influence(self, x: FloatArray, mean: FloatArray) -> FloatArray:
        """What every unit adds to the mean above its share, `(G, B)`: u_g, within its stratum where there are any."""
        deviation = x - mean
        if self.weights is None:
            deviation /= len(x)
        else:
            deviation *= self.weights
        u = deviation if self.unit is None else _summed(deviation, self.unit)
        return u if self.strata is None else self.strata.within(u)

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The mean, and the sum of squared influences: its variance before the factor; `(B,)` each."""
        if self.weights is not None or self.unit is not None or self.strata is not None:
            mean = self.mean(x)
            u = self.influence(x, mean)
            return mean, dot(u, u)
        mean = x.mean(axis=0)
        variance = dot(x, x) / len(x) - mean**2
        # Squares lose as many digits as they exceed the variance by: far from 0, deviations from the first answer do
        # not, which is at most sqrt(n) standard deviations off. They take three times as long as all the rest.
        if (variance < 1e-4 * mean**2).any():
            deviation = x - x[0]
            shift = deviation.mean(axis=0)
            mean, variance = x[0] + shift, np.maximum(dot(deviation, deviation) / len(x) - shift**2, 0.0)
        return mean, variance / len(x)

    def spread(self, x: FloatArray, mean: FloatArray, square: FloatArray, centre: FloatArray) -> FloatArray:
        """Weighted mean square of x about a centre, `(B,)`, given what `moments` says of it."""
        if self.weights is None:
            return square * self.n + (mean - centre) ** 2
        return self.mean((x - centre) ** 2)

    def factor(self, ddof: int) -> FloatArray:
        """G / (G - ddof); strata have theirs in the influences, whatever ddof."""
        return np.ones_like(self.units) if self.strata is not None else self.units / (self.units - ddof)

    @property
    def design(self) -> FloatArray:
        """Sum of squared weights of the answers, 1/n where they are equal, `(B,)`."""
        if self.weights is None:
            return np.asarray(1.0 / self.n)
        return np.broadcast_to((self.weights**2).sum(axis=0), self.n.shape)

    def design_effect(self, x: FloatArray) -> FloatArray:
        """Variance of the mean over that of as many people drawn at random, `(B,)`; 1 where nothing varies."""
        if self.weights is None and self.unit is None and self.strata is None:
            return np.ones_like(self.units)
        mean = self.mean(x)
        u = self.influence(x, mean)
        simple = self.mean_square(x - mean) / (self.n - 1)
        return np.where(simple > 0, dot(u, u) * self.factor(1) / np.where(simple > 0, simple, 1.0), 1.0)


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Sums of products over the units, `(B,)`."""
    return np.asarray(np.einsum("gb,gb->b", a, b))


def codes(labels: npt.ArrayLike, n: int, name: str) -> IntArray:
    """Labels of n rows as 0, 1, ..., `(n,)`."""
    given = np.asarray(labels)
    if given.shape != (n,):
        raise DataError(f"{name}: labels of shape {given.shape}; give one a row, ({n},).")
    found, _ = pd.factorize(given)
    if (found < 0).any():
        raise DataError(f"{name}: row number {int(found.argmin())} has no label; give every row one.")
    return found.astype(np.int64)


def _summed(x: FloatArray, unit: IntArray) -> FloatArray:
    """Sums over the rows of each unit."""
    order = np.argsort(unit, kind="stable")
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    return np.asarray(np.add.reduceat(x[order], starts, axis=0))
