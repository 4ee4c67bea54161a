"""How human a crowd is: errors of the aggregate, and distances of the distributions.

p and q are histograms, shape `(n_problems, n_levels)`, each row summing to one; estimates and truths are one
number a problem. A problem that nobody answered (NaN, in a histogram the whole row) is left out; T counts
the others. Every function raises `DataError` where nothing is left, or an argument is not as described.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import DataError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_SUM_TOLERANCE = 1e-6


def mean_absolute_error(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """MAE = (1/T) sum_t |a_t - b_t|, in the unit of the response.

    Parameters
    ----------
    estimate, truth
        One number a problem, shape `(n_problems,)`, NaN where nobody answered.

    Returns
    -------
    float
        From 0, in the unit of the response.

    Raises
    ------
    DataError
        When shapes do not match, a number is infinite, or no problem was answered in both.

    References
    ----------
    Tables 1 to 5 of the paper.
    """
    return float(np.abs(_difference(estimate, truth)).mean())


def root_mean_square_error(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """RMSE = sqrt((1/T) sum_t (a_t - b_t)^2), in the unit of the response.

    Parameters
    ----------
    estimate, truth
        One number a problem, shape `(n_problems,)`, NaN where nobody answered.

    Returns
    -------
    float
        From 0, in the unit of the response.

    Raises
    ------
    DataError
        When shapes do not match, a number is infinite, or no problem was answered in both.

    References
    ----------
    Tables 1 to 5 of the paper.
    """
    return float(np.sqrt(np.square(_difference(estimate, truth)).mean()))


def resolution_rate(estimate: npt.ArrayLike, truth: npt.ArrayLike, threshold: float = 0.5) -> float:
    """Resolution rate = (1/T) sum_t 1[|a_t - b_t| < threshold].

    Parameters
    ----------
    estimate, truth
        One number a problem, shape `(n_problems,)`, NaN where nobody answered.
    threshold
        In the unit of the response, positive; an error of exactly the threshold is not resolved.

    Returns
    -------
    float
        A share of the problems, from 0 to 1.

    Raises
    ------
    DataError
        When `threshold` is not positive.
    """
    if not threshold > 0:
        raise DataError(f"threshold={threshold}: give a positive number in the unit of the response.")
    return float((np.abs(_difference(estimate, truth)) < threshold).mean())


def cosine_similarity(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """CS = (1/T) sum_t p_t . q_t / (|p_t| |q_t|), from 0 (disjoint) to 1 (equal).

    Parameters
    ----------
    p, q
        Histograms, shape `(n_problems, n_levels)`.

    Returns
    -------
    float
        From 0 to 1, without a unit.

    Raises
    ------
    DataError
        When shapes do not match, a row is no histogram, or no problem has both.

    References
    ----------
    Tables 1 to 5 of the paper.
    """
    a, b = _histograms(p, q)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(cosine.clip(0.0, 1.0).mean())


def wasserstein1(p: npt.ArrayLike, q: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """W1 = (1/T) sum_t sum_k |P_tk - Q_tk| (v_{k+1} - v_k), P and Q cumulative, in the unit of the response.

    Parameters
    ----------
    p, q
        Histograms, shape `(n_problems, n_levels)`.
    values
        Numeric values of the levels, increasing, shape `(n_levels,)`.

    Returns
    -------
    float
        From 0, in the unit of the response.

    Raises
    ------
    DataError
        When shapes do not match, or values do not increase.

    References
    ----------
    S. S. Vallender (1974), Calculation of the Wasserstein distance between probability distributions on the line,
    Theory of Probability and Its Applications 18.
    """
    a, b = _histograms(p, q)
    levels = _numbers(values, "values")
    if levels.shape != a.shape[1:] or not np.isfinite(levels).all() or not (np.diff(levels) > 0).all():
        raise DataError(f"values={values!r}: give {a.shape[1]} increasing numbers, one a level.")
    return float((np.abs((a - b).cumsum(axis=1)[:, :-1]) @ np.diff(levels)).mean())


def log_loss(p: npt.ArrayLike, counts: npt.ArrayLike) -> float:
    """Log loss = -(1/A) sum_tk n_tk log p_tk, nats per answer; infinite where an answer had no chance.

    Parameters
    ----------
    p
        Predicted probabilities, shape `(n_problems, n_levels)`; the A answers leave out problems without a
        prediction (rows of NaN).
    counts
        How often each level was given, same shape.

    Returns
    -------
    float
        From 0, in nats an answer.

    Raises
    ------
    DataError
        When shapes do not match, counts are no numbers of answers, or none has a prediction.

    References
    ----------
    I. J. Good (1952), Rational decisions, Journal of the Royal Statistical Society B 14.
    """
    probs, n = _numbers(p, "p"), _numbers(counts, "counts")
    if n.shape != probs.shape or n.ndim != 2:
        raise DataError(f"p has shape {probs.shape}, counts {n.shape}; give (n_problems, n_levels) in both.")
    wrong = ~((n >= 0) & np.isfinite(n)).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"counts: row {row} is {n[row].tolist()}; give numbers of answers, 0 where there are none.")
    n = n[_present(probs, "p")]
    given = n > 0
    if not given.any():
        raise DataError("counts are all zero where p has a prediction; give at least one answer.")
    chance = probs[_present(probs, "p")][given]
    if (chance == 0).any():
        return float("inf")
    return float(-(n[given] * np.log(chance)).sum() / n.sum())


def correlation_error(r1: npt.ArrayLike, r2: npt.ArrayLike) -> float:
    """RMSE_corr = sqrt(mean_{s != t} (r1_st - r2_st)^2) over the pairs that are finite in both.

    Parameters
    ----------
    r1, r2
        Correlation matrices of the same problems in the same order, `(n_problems, n_problems)`, NaN where too
        few people answered both.

    Returns
    -------
    float
        From 0 to 2, without a unit.

    Raises
    ------
    DataError
        When matrices are not square and alike, or no pair is finite in both.
    """
    a, b = _numbers(r1, "r1"), _numbers(r2, "r2")
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise DataError(f"correlation matrices have shapes {a.shape} and {b.shape}; give two square ones alike.")
    pairs = ~np.eye(len(a), dtype=bool) & np.isfinite(a) & np.isfinite(b)
    if not pairs.any():
        raise DataError("no pair of problems has a correlation in both matrices; nothing to compare.")
    return float(np.sqrt(np.square(a[pairs] - b[pairs]).mean()))


def _numbers(given: npt.ArrayLike, name: str) -> FloatArray:
    """Floats of `given`; text raises."""
    try:
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds something other than numbers ({error}); encode it with its scale.") from error


def _difference(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> FloatArray:
    """a_t - b_t of the problems that both have."""
    a, b = _numbers(estimate, "estimate"), _numbers(truth, "truth")
    if a.shape != b.shape or a.ndim != 1:
        raise DataError(f"estimate has shape {a.shape}, truth {b.shape}; give one number a problem in both.")
    for name, numbers in (("estimate", a), ("truth", b)):
        if np.isinf(numbers).any():
            row = int(np.flatnonzero(np.isinf(numbers))[0])
            raise DataError(f"{name}: problem {row} is {numbers[row]}; give a number, or NaN for no answer.")
    there = ~(np.isnan(a) | np.isnan(b))
    if not there.any():
        raise DataError("estimate and truth share no problem that was answered in both; nothing to compare.")
    return a[there] - b[there]


def _histograms(p: npt.ArrayLike, q: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Rows of p and q that are there in both."""
    a, b = _numbers(p, "p"), _numbers(q, "q")
    if a.shape != b.shape or a.ndim != 2:
        raise DataError(f"p has shape {a.shape}, q {b.shape}; give (n_problems, n_levels) in both.")
    there = _present(a, "p") & _present(b, "q")
    if not there.any():
        raise DataError("p and q share no problem that was answered in both; nothing to compare.")
    return a[there], b[there]


def _present(probs: FloatArray, name: str) -> BoolArray:
    """Tell which rows are distributions; a row that is neither one nor all NaN raises."""
    absent = np.asarray(np.isnan(probs).all(axis=1))
    good = (probs >= 0).all(axis=1) & (np.abs(probs.sum(axis=1) - 1.0) <= _SUM_TOLERANCE)
    wrong = ~(absent | good)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{name}: row {row} is {np.round(probs[row], 4).tolist()}, no distribution; divide counts by "
            "their sum, or leave the whole row NaN where nobody answered."
        )
    return ~absent
