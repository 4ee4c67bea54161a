"""Aggregation h: one answer a problem from the answers of those who took part (paper, step 5).

mean      (1/n_t) sum_i y_it
median    of the y_it; the mean of the two middle ones when n_t is even
majority  argmax_k n_tk, ties broken uniformly at random by the seed, whatever the order of the people

With survey weights w_i: sum_i w_i y_it / sum_i w_i; where half of the weight lies below and half above; and the level
of the largest sum of weights.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..inference.seeds import generator
from ..survey import checked_weights

FloatArray = npt.NDArray[np.float64]


def summarise(
    values: npt.ArrayLike,
    method: str = "mean",
    *,
    n_levels: int | None = None,
    seed: int = 0,
    weights: npt.ArrayLike | None = None,
) -> FloatArray:
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
    weights
        How much each participant counts, `(n_participants,)`; None for all alike.

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
    weight = None
    if weights is not None:
        weight = checked_weights(weights, len(answers))
        there &= (weight > 0)[:, None]
    answered = there.any(axis=0)
    result = np.full(answers.shape[1], np.nan)
    if not answered.any():
        return result
    if method == "mean":
        given = np.where(there, answers, 0.0)
        total, n = (each.sum(axis=0) if weight is None else weight @ each for each in (given, there))
        result[answered] = total[answered] / n[answered]
    elif method == "median":
        if weight is None:
            result[answered] = np.nanmedian(answers[:, answered], axis=0)
        else:
            columns = np.flatnonzero(answered)
            result[columns] = [_weighted_median(answers[there[:, k], k], weight[there[:, k]]) for k in columns]
    else:
        counts = _level_counts(answers, there, n_levels, weight)
        result[answered] = most_given(counts, seed, None if weight is None else len(answers))[answered]
    return result


def most_given(counts: FloatArray, seed: int, n_weighed: int | None = None) -> npt.NDArray[np.int64]:
    """The level of the largest count of each problem, ties by the seed.

    Parameters
    ----------
    counts
        Shape `(n_problems, n_levels)`.
    seed
        Of the ties.
    n_weighed
        How many people's weights, of mean 1, were summed; None for counts of people.
    """
    # Below a half, a uniform draw orders equal counts at random and never reorders unequal ones; sums of weights that
    # are equal differ by their rounding.
    ties = generator(seed).random(counts.shape) * (0.5 if n_weighed is None else 1e-9 * n_weighed)
    return np.asarray((counts + ties).argmax(axis=1))


def median_of(counts: FloatArray, values: FloatArray) -> FloatArray:
    """The median of each problem from how often, or with how much weight, each level was given; NaN without answers.

    Parameters
    ----------
    counts
        Shape `(n_problems, n_levels)`.
    values
        Numbers of the levels, increasing, `(n_levels,)`.
    """
    total = counts.sum(axis=1, keepdims=True)
    upto = counts.cumsum(axis=1) / np.where(total > 0, total, 1.0)
    lower, upper = ((upto >= at).argmax(axis=1) for at in (0.5 - 1e-9, 0.5 + 1e-9))
    return np.where(total[:, 0] > 0, (values[lower] + values[upper]) / 2, np.nan)


def _weighted_median(values: FloatArray, weight: FloatArray) -> float:
    """The value below and above which half of the weight lies; the midpoint where two share that place."""
    order = np.argsort(values, kind="stable")
    upto = weight[order].cumsum() / weight.sum()
    lower, upper = (int(np.searchsorted(upto, at)) for at in (0.5 - 1e-9, 0.5 + 1e-9))
    return float((values[order[lower]] + values[order[min(upper, len(order) - 1)]]) / 2)


def _level_counts(
    answers: FloatArray, there: npt.NDArray[np.bool_], n_levels: int | None, weight: FloatArray | None
) -> FloatArray:
    """How often, or with how much weight, each level was given to each problem, shape `(n_problems, n_levels)`."""
    given = answers[there]
    n_levels = int(given[np.isfinite(given)].max(initial=0)) + 1 if n_levels is None else n_levels
    wrong = (given < 0) | (given >= n_levels) | (given != np.floor(given))
    if wrong.any():
        raise DataError(
            f"values: answer {given[wrong][0]:g} ({int(wrong.sum())} such) is no code from 0 to "
            f"{n_levels - 1}, which majority counts; encode the answers, or give method='mean' or 'median'."
        )
    person, problem = np.nonzero(there)
    cell, n_problems = problem * n_levels + given.astype(np.int64), answers.shape[1]
    each = None if weight is None else weight[person]
    return np.bincount(cell, each, minlength=n_problems * n_levels).reshape(n_problems, n_levels).astype(float)
