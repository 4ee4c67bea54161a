"""Pairs of a person and their twin: who is there, and averages over them problem by problem."""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from .checked import BoolArray, FloatArray


class PairMeans:
    """Averages over the pairs of each problem."""

    def __init__(self, there: BoolArray) -> None:
        self.there = there[..., None]
        self.n = there.sum(axis=0).astype(float)

    def mean(self, x: FloatArray) -> FloatArray:
        """Shape `(n_problems, n_options)`."""
        return np.asarray(np.where(self.there, x, 0.0).sum(axis=0) / self.n[:, None])

    def product(self, x: FloatArray, z: FloatArray) -> FloatArray:
        """Mean inner product, `(n_problems,)`."""
        return np.asarray(np.where(self.there, x * z, 0.0).sum(axis=(0, 2)) / self.n)


def where_both(y: FloatArray, twin: FloatArray) -> BoolArray:
    """Where both are there, `(n, n_problems)`."""
    if y.shape != twin.shape:
        raise DataError(f"people and twins have shapes {y.shape} and {twin.shape}; give one twin a person.")
    there: BoolArray = np.asarray(~(np.isnan(y).any(axis=2) | np.isnan(twin).any(axis=2)))
    few = there.sum(axis=0) < 2
    if few.any():
        problem = int(few.argmax())
        n = int(there[:, problem].sum())
        raise DataError(
            f"problem {problem} ({int(few.sum())} such) has {n} pair{'s' * (n != 1)} of a person and a twin; a spread "
            "takes at least 2: leave it out."
        )
    return there
