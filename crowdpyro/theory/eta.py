"""eta_Phi(t): how much one answer of the LLM varies at temperature t, and what is decided from K of them.

p_k(t) ~ p_k^(1/t),    eta(t) = sum_k p_k(t) v_k^2 - (sum_k p_k(t) v_k)^2,    of one-hot v: sum_k p_k(t) (1 - p_k(t))

A decision by E[Phi] has no variance, one by a draw has eta (Proposition 4.3), the mean of K draws eta / K. The majority
of K draws has another mean than E[Phi] and another variance than eta / K: both are summed over the multinomial law of
the counts.
eta is not monotone in t, and the mean moves with t as well. At t = 0 the LLM is greedy: its first likeliest option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from ..errors import DataError
from .checked import FloatArray, at_least, numbers

Rule: TypeAlias = Literal["expected", "draw", "mean", "majority"]

# Above this, factorials leave double precision.
_MOST_DRAWS = 150
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Decision:
    """Law of what the LLM alone decides.

    Attributes
    ----------
    mean
        r, shape `(n_problems,)`; of one-hot answers `(n_problems, n_options)`.
    variance
        v_pure, shape `(n_problems,)`; of one-hot answers the trace.
    rule
        How it is decided, in words.
    """

    mean: FloatArray
    variance: FloatArray
    rule: str


def tempered(probabilities: npt.ArrayLike, temperature: float) -> FloatArray:
    """p_k(t) ~ p_k^(1/t); temperature 0 is greedy.

    Parameters
    ----------
    probabilities
        Shape `(..., n_options)`, made at temperature 1.
    temperature
        t, from 0 up.

    Returns
    -------
    ndarray
        Shape `(..., n_options)`, sums to one.

    Raises
    ------
    DataError
        For probabilities that are none, or a temperature below 0.
    """
    p = _probabilities(probabilities)
    if not (np.isfinite(temperature) and temperature >= 0):
        raise DataError(f"temperature={temperature!r}: give a number from 0 up.")
    if temperature == 0:
        return np.asarray(np.eye(p.shape[-1])[p.argmax(axis=-1)])
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    # Relative to the likeliest, so that low temperatures do not underflow everywhere.
    powered = np.exp((log_p - log_p.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(powered / powered.sum(axis=-1, keepdims=True))


def eta_from_probabilities(
    probabilities: npt.ArrayLike, values: npt.ArrayLike | None = None, *, temperature: float = 1.0
) -> FloatArray:
    """eta_Phi(t) of one draw, exactly, from option probabilities.

    Parameters
    ----------
    probabilities
        At temperature 1, shape `(..., n_options)`.
    values
        Numeric values of the options; None for nominal ones, which are one-hot.
    temperature
        t, at least 0.

    Returns
    -------
    ndarray
        Shape `(...)`, in the squared unit of the response.

    Raises
    ------
    DataError
        For probabilities that are none, values that are not one an option, or a temperature below 0.

    Examples
    --------
    >>> float(eta_from_probabilities([0.05, 0.1, 0.2, 0.4, 0.25], [1, 2, 3, 4, 5]).round(2))
    1.21
    """
    return _moments(tempered(probabilities, temperature), values)[1]


def eta_from_draws(draws: npt.ArrayLike, *, vectors: bool = False) -> FloatArray:
    """Unbiased eta of one draw: variance (ddof=1) over the leading axis.

    Parameters
    ----------
    draws
        Shape `(n_draws, ...)`, NaN where the LLM refused.
    vectors
        The last axis holds one-hot or other vectors, whose variances are summed.

    Returns
    -------
    ndarray
        Shape `(...)`; NaN where fewer than two draws are there.

    Raises
    ------
    DataError
        When there are fewer than two draws.
    """
    drawn = numbers(draws, "draws", gaps=True)
    if drawn.ndim < 1 + vectors or len(drawn) < 2:
        raise DataError(f"draws have shape {drawn.shape}; give at least two along the first axis.")
    there = ~np.isnan(drawn)
    n = there.sum(axis=0)
    centred = drawn - np.where(there, drawn, 0.0).sum(axis=0) / np.maximum(n, 1)
    variance = np.where(there, centred**2, 0.0).sum(axis=0) / np.maximum(n - 1, 1)
    variance = np.where(n > 1, variance, np.nan)
    return np.asarray(variance.sum(axis=-1) if vectors else variance)


def llm_decision(
    probabilities: npt.ArrayLike,
    values: npt.ArrayLike | None = None,
    *,
    rule: Rule = "expected",
    n_draws: int = 1,
    temperature: float = 1.0,
) -> Decision:
    """What the LLM alone decides: mean r and variance v_pure, for Proposition 4.3 and Theorem 4.4.

    Parameters
    ----------
    probabilities
        At temperature 1, shape `(n_problems, n_options)`, or `(n_options,)`.
    values
        Numeric values of the options; None for nominal ones, which are one-hot.
    rule
        `expected` takes E[Phi], the paper's y_ref; `draw` one answer; `mean` and `majority` decide from `n_draws`
        answers, majorities that tie at random.
    n_draws
        K.
    temperature
        t, at least 0.

    Returns
    -------
    Decision
        Of every problem.

    Raises
    ------
    DataError
        When probabilities have another shape, or rule and `n_draws` do not suit each other.

    Examples
    --------
    >>> llm_decision([0.6, 0.4], [0, 1], rule="majority", n_draws=3).variance.round(6)
    array([0.228096])
    """
    p = np.atleast_2d(tempered(probabilities, temperature))
    if p.ndim != 2:
        raise DataError(f"probabilities have shape {p.shape}; give (n_problems, n_options).")
    if rule not in ("expected", "draw", "mean", "majority"):
        raise DataError(f"rule={rule!r}: give 'expected', 'draw', 'mean' or 'majority'.")
    k = at_least(n_draws, 1, "n_draws")
    if k > 1 and rule in ("expected", "draw"):
        raise DataError(f"n_draws={n_draws} with rule={rule!r}: give rule='mean' or 'majority', or leave n_draws out.")
    if rule == "majority":
        mean, variance = _moments(majority_probabilities(p, k), values)
        return Decision(mean, variance, f"majority of {k} draws")
    mean, variance = _moments(p, values)
    if rule == "expected":
        return Decision(mean, np.zeros_like(variance), "E[Phi]")
    return Decision(mean, variance / k, "one draw" if rule == "draw" else f"mean of {k} draws")


def majority_probabilities(probabilities: npt.ArrayLike, n_draws: int) -> FloatArray:
    """Chance that each option wins K draws, ties broken at random.

    P(k) = K! sum_m p_k^m / m! int_0^1 [z^(K-m)] prod_{j != k} (sum_{c < m} (p_j z)^c / c! + u (p_j z)^m / m!) du

    m is the winner's count, and u counts those that tie with it: int u^j du = 1 / (j + 1), the winner's share.

    Parameters
    ----------
    probabilities
        Shape `(n_problems, n_options)`.
    n_draws
        K, at most 150.

    Returns
    -------
    ndarray
        Same shape.

    Raises
    ------
    DataError
        When probabilities have another shape, or `n_draws` is more than is summed exactly.
    """
    p = _probabilities(probabilities)
    if p.ndim != 2:
        raise DataError(f"probabilities have shape {p.shape}; give (n_problems, n_options).")
    k_draws, n_options = at_least(n_draws, 1, "n_draws"), p.shape[1]
    if k_draws > _MOST_DRAWS:
        raise DataError(f"n_draws={n_draws}: majorities are summed exactly up to {_MOST_DRAWS} draws; simulate more.")
    count = np.arange(k_draws + 1)
    # Row c: (K!)^(c/K) p^c / c!, whose products over the options are multinomial chances.
    scaled = p[..., None] ** count * np.exp(gammaln(k_draws + 1) * count / k_draws - gammaln(count + 1))
    # Gauss-Legendre is exact: the integrand has degree n_options - 1 in u.
    nodes, weights = np.polynomial.legendre.leggauss(n_options // 2 + 1)
    wins = np.zeros_like(p)
    for m in range(1, k_draws + 1):
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            series = scaled[..., : m + 1].copy()
            series[..., m] *= node
            others = _products_of_others(series, k_draws)
            wins += weight * scaled[..., m] * others[..., k_draws - m]
    return np.asarray(wins / wins.sum(axis=1, keepdims=True))


def _products_of_others(series: FloatArray, degree: int) -> FloatArray:
    """Product of all other options' power series, up to a degree, `(n_problems, n_options, degree + 1)`."""
    n_problems, n_options, _ = series.shape
    one = np.zeros((n_problems, degree + 1))
    one[:, 0] = 1.0
    before, after = [one], [one]
    for option in range(n_options - 1):
        before.append(_times(before[-1], series[:, option]))
        after.append(_times(after[-1], series[:, n_options - 1 - option]))
    pairs = zip(before, reversed(after), strict=True)
    return np.stack([_times(first, second) for first, second in pairs], axis=1)


def _times(long: FloatArray, short: FloatArray) -> FloatArray:
    """Power series times a polynomial, rows apart, cut at the series' length."""
    result = np.zeros_like(long)
    n = long.shape[1]
    for power in range(short.shape[1]):
        result[:, power:] += short[:, power, None] * long[:, : n - power]
    return result


def _moments(p: FloatArray, values: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of one answer; of one-hot answers the vector p and the trace."""
    if values is None:
        return p, np.asarray((p * (1 - p)).sum(axis=-1))
    v = numbers(values, "values")
    if v.shape != p.shape[-1:]:
        raise DataError(f"values have shape {v.shape}; give one number for each of the {p.shape[-1]} options.")
    mean = p @ v
    # About the mean, which loses no digits to large values.
    return mean, np.asarray((p * (v - mean[..., None]) ** 2).sum(axis=-1))


def _probabilities(given: npt.ArrayLike) -> FloatArray:
    """Rows that are distributions."""
    p = numbers(given, "probabilities")
    if p.ndim < 1 or p.shape[-1] < 1:
        raise DataError(f"probabilities have shape {p.shape}; give (..., n_options).")
    wrong = (p < 0).any(axis=-1) | (np.abs(p.sum(axis=-1) - 1.0) > _SUM_TOLERANCE)
    if wrong.any():
        row = p[wrong][0] if p.ndim > 1 else p
        raise DataError(f"probabilities: {np.round(row, 4).tolist()} is no distribution; divide by its sum.")
    return p
