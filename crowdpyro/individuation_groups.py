"""How groups differ in a crowd and among humans: stereotypes, and the means of subgroups.

grouping   s_between / s_within                              of a trait's levels, mean over problems

The components of variance (`people_spread`) do not grow with fewer people, so that a ratio of crowd to humans above 1
says that the crowd's groups are more alike within, and further apart, than people are.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t

from .people_spread import between_over_within, column_means, mean_and_error

FloatArray = npt.NDArray[np.float64]

# Fewer people than this have no mean worth an interval of the normal's.
_SMALL = 30


class _Levels(NamedTuple):
    """Level of everybody's trait on each side, and the levels in order."""

    humans: npt.NDArray[np.object_]
    crowd: npt.NDArray[np.object_]
    order: list[str]


def _levels(traits: Mapping[str, pd.DataFrame]) -> dict[str, _Levels]:
    """Traits of both sides on which humans differ; numbers in four groups, cut at the humans' quartiles."""
    found = {}
    for name in traits["humans"].columns.intersection(traits["crowd"].columns):
        sides = [traits[side][name] for side in ("humans", "crowd")]
        if all(pd.api.types.is_numeric_dtype(each) for each in sides) and sides[0].nunique() > 5:
            cuts = np.unique(np.quantile(sides[0], [0.25, 0.5, 0.75]))
            order = [f"<= {cuts[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(cuts)), f"> {cuts[-1]:g}"]
            names = np.asarray(order, dtype=object)
            groups = [names[np.searchsorted(cuts, each.to_numpy(dtype=float))] for each in sides]
        else:
            groups = [each.map(str).to_numpy(dtype=object) for each in sides]
            order = sorted({*groups[0], *groups[1]})
        if len(pd.unique(groups[0])) > 1:
            found[str(name)] = _Levels(groups[0], groups[1], order)
    return found


def grouping(
    matrices: Mapping[str, FloatArray], weighing: Mapping[str, FloatArray], traits: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Between- over within-group variance, one row a trait.

    Parameters
    ----------
    matrices, weighing, traits
        Answers, survey weights and profiles of `humans` and `crowd`.
    """
    rows = {}
    for trait, levels in _levels(traits).items():
        row = {
            side: between_over_within(each, getattr(levels, side), weighing[side]) for side, each in matrices.items()
        }
        rows[trait] = row | {"difference": row["crowd"] - row["humans"]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["humans", "crowd", "difference"]).rename_axis("trait")


def subgroups(
    matrices: Mapping[str, FloatArray],
    weighing: Mapping[str, FloatArray],
    traits: Mapping[str, pd.DataFrame],
    coverage: float,
) -> pd.DataFrame:
    """Means of people's mean answers and their intervals, one row a (trait, level).

    Parameters
    ----------
    matrices, weighing, traits
        As in `grouping`.
    coverage
        Chance of the intervals.
    """
    rows, index = [], []
    offset = column_means(matrices["humans"], weighing["humans"])
    for trait, levels in _levels(traits).items():
        for level in levels.order:
            row: dict[str, float] = {}
            n_of = []
            for side, answers in matrices.items():
                # From the humans' mean of each problem, so that who met what does not matter.
                inside = getattr(levels, side) == level
                means = np.nanmean(answers[inside] - offset, axis=1) + offset.mean()
                mean, error, n = mean_and_error(means, weighing[side][inside])
                n_of.append(n)
                # Student's t: a cell of five people has no normal interval.
                reach = float(t.isf((1 - coverage) / 2, n - 1) * error) if n > 1 else np.nan
                row |= {
                    f"n_{side}": n,
                    f"mean_{side}": mean,
                    f"low_{side}": mean - reach,
                    f"high_{side}": mean + reach,
                }
            rows.append(row | {"small": min(n_of) < _SMALL})
            index.append((trait, level))
    names = ["trait", "level"]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(index, names=names) if index else None)
