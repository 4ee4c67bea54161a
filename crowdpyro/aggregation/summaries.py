"""Aggregation h: one answer a problem from the answers of those who took part (paper, step 5).

mean      (1/n_t) sum_i y_it
median    of the y_it; the mean of the two middle ones when n_t is even
majority  argmax_k n_tk, ties broken uniformly at random by the seed, whatever the order of the people
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..inference.seeds import generator

FloatArray = npt.NDArray[np.float64]


def summarise(values: npt.ArrayLike, method: str = "mean", *, n_levels: int | None = None, seed: int = 0) -> FloatArray:
    """One number a problem.

    Parameters
    ----------
    values
        Answers, shape `(n_participants, n_problems)`, NaN where somebody did not take part; codes for
        `majority`.
    method
        `mean`, `median` or `majority`.
    n_levels
        Number of levels, for `majority`; one more than the highest code when None.
    seed
        Of the ties.

    Returns
    -------
    ndarray
        Shape `(n_problems,)`, in the unit of `values`, NaN for a problem that nobody answered.

    Raises
    ------
    DataError
        For an unknown method, another shape, or, under `majority`, an answer that is no code.
    """
    answers = np.asarray(values, dtype=float)
    if answers.ndim != 2:
        raise DataError(f"values have shape {answers.shape}; give (n_participants, n_problems).")
    if method not in ("mean", "median", "majority"):
        raise DataError(f"method={method!r}: give 'mean', 'median' or 'majority'.")
    there = ~np.isnan(answers)
    answered = there.any(axis=0)
    result = np.full(answers.shape[1], np.nan)
    if not answered.any():
        return result
    if method == "mean":
        total = np.where(there, answers, 0.0).sum(axis=0)
        result[answered] = total[answered] / there.sum(axis=0)[answered]
    elif method == "median":
        result[answered] = np.nanmedian(answers[:, answered], axis=0)
    else:
        counts = _level_counts(answers, there, n_levels)
        # A uniform draw below a half orders equal counts at random and never reorders unequal ones.
        ties = generator(seed).random(counts.shape) / 2
        result[answered] = (counts + ties)[answered].argmax(axis=1)
    return result


def _level_counts(answers: FloatArray, there: npt.NDArray[np.bool_], n_levels: int | None) -> FloatArray:
    """How often each level was given to each problem, shape `(n_problems, n_levels)`."""
    given = answers[there]
    n_levels = int(given[np.isfinite(given)].max(initial=0)) + 1 if n_levels is None else n_levels
    wrong = (given < 0) | (given >= n_levels) | (given != np.floor(given))
    if wrong.any():
        raise DataError(
            f"values: answer {given[wrong][0]:g} ({int(wrong.sum())} such) is no code from 0 to "
            f"{n_levels - 1}, which majority counts; encode the answers, or give method='mean' or 'median'."
        )
    cell = np.nonzero(there)[1] * n_levels + given.astype(np.int64)
    n_problems = answers.shape[1]
    return np.bincount(cell, minlength=n_problems * n_levels).reshape(n_problems, n_levels).astype(float)
