"""Intervals of option shares: one indicator an option, so that labels need no numbers and their order says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .interval import crowd_interval
from .interval_result import CrowdInterval
from .paired import Missing


def share_interval(
    y: npt.ArrayLike,
    twin_y: npt.ArrayLike | None = None,
    crowd: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    *,
    options: Sequence[object],
    missing: Missing = "error",
    labels: pd.Index | None = None,
    **how: Any,
) -> CrowdInterval:
    """Confidence interval of the share of every option, one a problem and option.

    Parameters
    ----------
    y, twin_y, crowd
        Labels or levels, as `crowd_interval` takes numbers.
    alpha
        Chance that an interval misses; they are one by one unless `simultaneous=True`.
    options
        All that an answer may be.
    missing
        What None or NaN is, as in `crowd_interval`.
    labels
        Ids of the problems.
    **how
        Anything else of `crowd_interval`.

    Returns
    -------
    CrowdInterval
        Its last axis is the options. Ends are not cut to [0, 1], and an option that no person and no twin gave, or
        everybody, has an interval of no width, which says nothing: join rare options.

    Raises
    ------
    DataError
        When options are too few or repeat, or an answer is none of them.

    References
    ----------
    A. N. Angelopoulos, S. Bates, C. Fannjiang, M. I. Jordan, T. Zrnic (2023), Prediction-powered inference, Science
    382, for each indicator.

    Examples
    --------
    >>> y, twin, crowd = list("abba"), list("abaa"), list("aababbabab")
    >>> share_interval(y, twin, crowd, options=["a", "b"]).estimate
    array([0.25, 0.75])
    """
    index: pd.Index = pd.Index(options, name="option")
    if len(index) < 2 or not index.is_unique:
        raise DataError(f"options={list(options)!r}: give at least two, each once.")
    if missing not in get_args(Missing):
        raise DataError(f"missing={missing!r}: give 'error', or 'omit' for None or NaN that means no answer.")
    people, twins, members = (
        None if given is None else _indicators(given, index, name, missing)
        for name, given in (("y", y), ("twin_y", twin_y), ("crowd", crowd))
    )
    if people is None:
        raise DataError("y is None; give people's answers.")
    axes: tuple[pd.Index, ...] = (index,)
    if people.ndim > 2:
        axes = (pd.RangeIndex(people.shape[1], name="problem") if labels is None else labels, index)
    return crowd_interval(people, twins, members, alpha, missing="omit", labels=axes, **how)


def _indicators(given: npt.ArrayLike, options: pd.Index, name: str, missing: str) -> npt.NDArray[np.float64]:
    """One more axis, of the options; NaN where there is no answer."""
    answers = np.asarray(given, dtype=object)
    if any(isinstance(each, list) for each in answers.flat):
        raise DataError(f"{name} has rows of unequal length; give None where there is no answer.")
    absent = np.asarray(pd.isna(answers))
    codes = options.get_indexer(pd.Index(answers.ravel())).reshape(answers.shape)
    wrong = (codes < 0) & ~absent
    if wrong.any():
        raise DataError(f"{name} holds {answers[wrong][0]!r}; the options are {', '.join(map(str, options))}.")
    if missing == "error" and absent.any():
        raise DataError(f"{name} lacks {int(absent.sum())} answers; give them, or missing='omit'.")
    found = np.eye(len(options))[np.maximum(codes, 0)]
    found[absent] = np.nan
    return found
