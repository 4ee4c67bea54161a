"""Mixed traits as codes, and back: labels, and ordered levels by their place in the people's own distribution.

A number that people share with others is a level of an ordered trait, such as an age in years; one that nearly nobody
shares is continuous, and comes back between the training people's own quantiles, never beyond their range. The columns
of a text embedding are such numbers. A trait in which nobody differs is put back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from ..errors import DataError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ordered:
    """A trait whose levels have an order.

    Attributes
    ----------
    levels
        Increasing: values that are generated, or the sorted values of a continuous trait.
    ends
        Share of people at or below each level; of a continuous trait, its rank.
    continuous
        Whether a value in between may be generated.
    whole
        Whether values are whole numbers.
    """

    levels: tuple[Any, ...]
    ends: FloatArray
    continuous: bool = False
    whole: bool = False

    def encode(self, column: pd.Series) -> tuple[FloatArray, FloatArray]:
        """Shares below each person's level and at it."""
        if self.continuous:
            rank = np.interp(column.to_numpy(dtype=float), self.levels, self.ends)
            return rank, np.zeros(len(column))
        codes = pd.Index(self.levels).get_indexer(pd.Index(column))
        starts = np.concatenate([[0.0], self.ends[:-1]])
        return starts[codes], (self.ends - starts)[codes]

    def decode(self, scores: FloatArray) -> npt.NDArray[Any]:
        """Values between whose quantiles the scores lie."""
        place = ndtr(scores)
        if self.continuous:
            values = np.interp(place, self.ends, np.asarray(self.levels, dtype=float))
            return np.asarray(np.round(values) if self.whole else values)
        codes = np.searchsorted(self.ends / self.ends[-1], place, side="left").clip(max=len(self.levels) - 1)
        return np.asarray(np.asarray(self.levels)[codes])


@dataclass(frozen=True)
class ProfileCoding:
    """How a frame of profiles is read.

    Attributes
    ----------
    columns
        All traits, in order.
    constant
        Those in which nobody differs, and their value.
    nominal
        Levels of labels.
    ordered
        Ordered and numeric traits.
    """

    columns: tuple[str, ...]
    constant: dict[str, Any]
    nominal: dict[str, tuple[str, ...]]
    ordered: dict[str, Ordered]

    @classmethod
    def fit(cls, people: pd.DataFrame, shares: FloatArray, orders: Mapping[str, Sequence[str]]) -> ProfileCoding:
        """Read levels and distributions off cleaned profiles.

        Parameters
        ----------
        people
            Without gaps.
        shares
            Their weights, summing to one.
        orders
            Levels in order of traits that are ordered.
        """
        constant: dict[str, Any] = {}
        nominal: dict[str, tuple[str, ...]] = {}
        ordered: dict[str, Ordered] = {}
        for name, column in people.items():
            trait = str(name)
            found = sorted(column.unique())
            if len(found) == 1:
                constant[trait] = found[0]
            elif trait in orders:
                stray = set(found) - set(orders[trait])
                if stray:
                    raise DataError(
                        f"ordinal: trait {trait!r} has level {min(stray)!r}, which is not among "
                        f"{', '.join(orders[trait])}."
                    )
                held = [level for level in orders[trait] if level in set(found)]
                ordered[trait] = Ordered(tuple(held), _ends(column, held, shares))
            elif pd.api.types.is_numeric_dtype(column):
                whole = bool((column % 1 == 0).all())
                if len(found) > len(column) / 2:
                    ends = _ends(column, found, shares)
                    middle = ends - np.diff(ends, prepend=0.0) / 2
                    ordered[trait] = Ordered(tuple(found), middle, continuous=True, whole=whole)
                else:
                    ordered[trait] = Ordered(tuple(found), _ends(column, found, shares))
            else:
                nominal[trait] = tuple(found)
        return cls(tuple(map(str, people.columns)), constant, nominal, ordered)

    def encode(self, people: pd.DataFrame) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
        """Codes of labels `(n, n_nominal)`, and shares below and at ordered levels `(n, n_ordered)`."""
        n = len(people)
        labels = [pd.Index(levels).get_indexer(pd.Index(people[name])) for name, levels in self.nominal.items()]
        pairs = [trait.encode(people[name]) for name, trait in self.ordered.items()]
        below, share = (np.stack(each, axis=1) if pairs else np.zeros((n, 0)) for each in _apart(pairs))
        return np.stack(labels, axis=1).astype(np.int64) if labels else np.zeros((n, 0), np.int64), below, share

    def decode(self, labels: npt.NDArray[np.int64], scores: FloatArray) -> pd.DataFrame:
        """Profiles from codes of labels and normal scores of ordered traits."""
        columns: dict[str, Any] = {
            name: np.full(len(labels), value, dtype=object if isinstance(value, str) else float)
            for name, value in self.constant.items()
        }
        for place, (name, levels) in enumerate(self.nominal.items()):
            columns[name] = np.array(levels, dtype=object)[labels[:, place]]
        for place, (name, trait) in enumerate(self.ordered.items()):
            columns[name] = trait.decode(scores[:, place])
        return pd.DataFrame(columns, columns=list(self.columns))


def _ends(column: pd.Series, levels: Sequence[Any], shares: FloatArray) -> FloatArray:
    """Share of people at or below each level."""
    codes = pd.Index(levels).get_indexer(pd.Index(column))
    return np.bincount(codes, shares, minlength=len(levels)).cumsum()


def _apart(pairs: list[tuple[FloatArray, FloatArray]]) -> tuple[list[FloatArray], list[FloatArray]]:
    return [each[0] for each in pairs], [each[1] for each in pairs]
