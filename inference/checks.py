"""Posterior predictive checks: whether a statistic of people is one that crowds of the model would show.

p = min(1, 2 min(P(T(y_rep) >= T(y)), P(T(y_rep) <= T(y)))),    each chance (1 + count) / (1 + n_replicates)

Two-sided, and never 0, since the observed answers are counted as one more replicate: if they come from the model,
P(p <= a) <= a whatever n is. Parameters fitted to the very answers that are checked make it conservative (Rubin 1984;
Meng 1994). Missing answers are NaN, in the same places of y and y_rep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..models.errors import DataError
from .uniformity import holm

FloatArray = npt.NDArray[np.float64]
Statistic: TypeAlias = Callable[[FloatArray], npt.ArrayLike]


@dataclass(frozen=True)
class PredictiveCheck:
    """Statistics of the observed answers beside those of replicated ones.

    Attributes
    ----------
    names
        Of the statistics.
    observed
        Shape `(n_statistics,)`.
    replicated
        Shape `(n_replicates, n_statistics)`.
    """

    names: tuple[str, ...]
    observed: FloatArray
    replicated: FloatArray

    @property
    def p_values(self) -> FloatArray:
        """Two-sided p-value of each statistic, shape `(n_statistics,)`; NaN where the observed one is undefined.

        Replicates whose statistic is undefined are left out.
        """
        known = np.isfinite(self.replicated)
        n = known.sum(axis=0)
        above = (known & (self.replicated >= self.observed)).sum(axis=0)
        below = (known & (self.replicated <= self.observed)).sum(axis=0)
        p_value = np.minimum(1.0, 2 * (1 + np.minimum(above, below)) / (1 + n))
        return np.where(np.isfinite(self.observed), p_value, np.nan)

    def to_frame(self, coverage: float = 0.9) -> pd.DataFrame:
        """One row a statistic.

        Parameters
        ----------
        coverage
            Chance of the equal-tailed interval of the replicates.

        Returns
        -------
        DataFrame
            Indexed by `statistic`: `observed`; `mean`, `low`, `high` of the replicates; `p_value`; `p_holm`, adjusted
            over the statistics.

        Raises
        ------
        DataError
            When `coverage` is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise DataError(f"coverage={coverage}: give a chance between 0 and 1.")
        known = np.isfinite(self.replicated).any(axis=0)
        summary = np.full((3, len(self.names)), np.nan)
        if known.any():
            drawn = np.where(np.isfinite(self.replicated), self.replicated, np.nan)[:, known]
            ends = [(1 - coverage) / 2, (1 + coverage) / 2]
            summary[:, known] = [np.nanmean(drawn, axis=0), *np.nanquantile(drawn, ends, axis=0)]
        return pd.DataFrame(
            {
                "observed": self.observed,
                "mean": summary[0],
                "low": summary[1],
                "high": summary[2],
                "p_value": self.p_values,
                "p_holm": holm(self.p_values),
            },
            index=pd.Index(self.names, name="statistic"),
        )


def bayesian_p_value(
    statistic: str | Statistic | Sequence[str] | Mapping[str, str | Statistic],
    replicated: Iterable[npt.ArrayLike],
    observed: npt.ArrayLike,
    *,
    levels: npt.ArrayLike | None = None,
) -> PredictiveCheck:
    """Compare statistics of observed answers with those of replicates.

    Parameters
    ----------
    statistic
        A name of `STATISTICS`, a function of the matrix of answers that gives a number or an array, a list of names,
        or a mapping of names to any of these.
    replicated
        Matrices drawn from the model, each of `observed`'s shape; an iterator is read once, a matrix at a time.
    observed
        Answers in the unit of the response (codes of labels), shape `(n_participants, n_problems)`, of ballots
        `(n_participants, n_problems, n_options)`, for functions of one's own; NaN where absent.
    levels
        All that an answer may be, in order; needed for `share` and `extremes`.

    Returns
    -------
    PredictiveCheck
        One statistic an element, named `name` or `name[0]`; shares are named by the level.

    Raises
    ------
    DataError
        For an unknown statistic, another shape, or other places of NaN.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> check = bayesian_p_value("sd", rng.normal(size=(99, 20, 5)), 3 * rng.normal(size=(20, 5)))
    >>> check.p_values
    array([0.02])
    """
    answers = np.asarray(observed, dtype=float)
    if answers.ndim not in (2, 3):
        raise DataError(f"observed has shape {answers.shape}; give (n_participants, n_problems).")
    chosen = _chosen(statistic, None if levels is None else np.asarray(levels, dtype=float), answers.ndim == 3)
    absent = np.isnan(answers)
    first = {name: np.asarray(function(answers), dtype=float) for name, function in chosen.items()}
    rows = []
    for matrix in replicated:
        drawn = np.asarray(matrix, dtype=float)
        if drawn.shape != answers.shape or not np.array_equal(np.isnan(drawn), absent):
            raise DataError(
                f"replicated: a matrix has shape {drawn.shape} and {int(np.isnan(drawn).sum())} absent answers; give "
                f"observed's shape, {answers.shape}, and NaN in the same {int(absent.sum())} places."
            )
        rows.append(np.concatenate([np.ravel(np.asarray(each(drawn), dtype=float)) for each in chosen.values()]))
    if not rows:
        raise DataError("replicated is empty; give at least one matrix.")
    names = tuple(label for name, value in first.items() for label in _labels(name, value, levels))
    return PredictiveCheck(names, np.concatenate([np.ravel(value) for value in first.values()]), np.stack(rows))


def mean(answers: FloatArray) -> float:
    """Mean of all answers."""
    return float(np.nanmean(answers))


def sd(answers: FloatArray) -> float:
    """Standard deviation of all answers."""
    return float(np.nanstd(answers))


def share(answers: FloatArray, levels: FloatArray) -> FloatArray:
    """Share of each level among all answers, shape `(n_levels,)`."""
    given = answers[~np.isnan(answers)]
    return (given[:, None] == levels).mean(axis=0)


def extremes(answers: FloatArray, levels: FloatArray) -> float:
    """Share of answers at either end of the scale."""
    return float(share(answers, levels)[[0, -1]].sum())


def correlation(answers: FloatArray) -> float:
    """Mean correlation of two problems over the people who answered both, at least three and not all alike."""
    pairs = correlations(answers, 3)[~np.eye(answers.shape[1], dtype=bool)]
    known = pairs[~np.isnan(pairs)]
    return float(known.mean()) if len(known) else float("nan")


def correlations(answers: FloatArray, min_pairs: int, weights: FloatArray | None = None) -> FloatArray:
    """Pearson correlation of every two problems over the people who answered both.

    Parameters
    ----------
    answers
        Shape `(n_participants, n_problems)`, NaN where absent.
    min_pairs
        Pairs with fewer people, or without variance, are NaN.
    weights
        Survey weights of the people, `(n_participants,)`; None for equal ones.

    Returns
    -------
    ndarray
        Shape `(n_problems, n_problems)`.
    """
    centre = float(np.nanmean(answers)) if (~np.isnan(answers)).any() else 0.0
    return correlation_of(pair_sums(answers, centre, weights), min_pairs)


def pair_sums(answers: FloatArray, centre: float, weights: FloatArray | None = None) -> FloatArray:
    """What correlations are made of, and what adds up over people.

    Parameters
    ----------
    answers, weights
        As in `correlations`.
    centre
        A number near the answers' mean, the same for all people.

    Returns
    -------
    ndarray
        For every two problems, over those who answered both: how many of positive weight, their weight, and weighted
        sums of the first's answer about the centre, of its square, and of the product; `(5, n_problems, n_problems)`.
    """
    there = (~np.isnan(answers)).astype(float)
    centred = np.nan_to_num(answers - centre)
    heard = weighed = there
    first = centred
    if weights is not None:
        heard, weighed, first = there * (weights > 0)[:, None], there * weights[:, None], centred * weights[:, None]
    return np.stack(
        [heard.T @ heard, weighed.T @ there, first.T @ there, (centred * first).T @ there, first.T @ centred]
    )


def correlation_of(sums: FloatArray, min_pairs: int) -> FloatArray:
    """Correlations from `pair_sums`."""
    n, total, first, square, product = sums
    safe = np.where(total > 0, total, 1.0)
    mean_of = first / safe
    variance = square / safe - mean_of**2
    scale = np.sqrt(np.maximum(variance * variance.T, 0.0))
    good = (n >= min_pairs) & (scale > 1e-12)
    covariance = product / safe - mean_of * mean_of.T
    return np.where(good, covariance / np.where(good, scale, 1.0), np.nan)


def between_people(answers: FloatArray) -> float:
    """Variance of people's mean answers, each answer taken from its problem's mean."""
    return float(np.var(_means(_centred(answers, 0), 1)))


def between_problems(answers: FloatArray) -> float:
    """Variance of problems' mean answers."""
    return float(np.var(_means(answers, 0)))


def within_people(answers: FloatArray) -> float:
    """Mean variance of a person's answers, of those with two or more: straight-lining makes it small."""
    n = (~np.isnan(answers)).sum(axis=1)
    several = answers[n > 1]
    return float(np.nanvar(several, axis=1, ddof=1).mean()) if len(several) else float("nan")


STATISTICS: Mapping[str, Callable[..., Any]] = {
    "mean": mean,
    "sd": sd,
    "share": share,
    "extremes": extremes,
    "correlation": correlation,
    "between_people": between_people,
    "within_people": within_people,
    "between_problems": between_problems,
}
_OF_LEVELS = ("share", "extremes")


def _centred(answers: FloatArray, axis: int) -> FloatArray:
    there = ~np.isnan(answers)
    total = np.nan_to_num(answers).sum(axis=axis, keepdims=True)
    return answers - total / np.maximum(there.sum(axis=axis, keepdims=True), 1)


def _means(answers: FloatArray, axis: int) -> FloatArray:
    """Means along an axis of the rows or columns that have any answer."""
    n = (~np.isnan(answers)).sum(axis=axis)
    total = np.nan_to_num(answers).sum(axis=axis)
    means: FloatArray = total[n > 0] / n[n > 0]
    return means


def _chosen(statistic: Any, levels: FloatArray | None, ballots: bool) -> dict[str, Statistic]:
    """Functions of the matrix alone, by name."""
    if isinstance(statistic, str):
        statistic = [statistic]
    elif callable(statistic):
        statistic = {getattr(statistic, "__name__", "statistic"): statistic}
    named = dict(statistic) if isinstance(statistic, Mapping) else {name: name for name in statistic}
    own = {name: function for name, function in named.items() if callable(function)}
    if ballots and len(own) < len(named):
        raise DataError("observed holds ballots, which have no statistics by name; give functions of the array.")
    return {name: own[name] if name in own else _named(function, levels) for name, function in named.items()}


def _named(name: str, levels: FloatArray | None) -> Statistic:
    if name not in STATISTICS:
        raise DataError(f"statistic={name!r} is unknown; give a function, or one of {', '.join(STATISTICS)}.")
    if name not in _OF_LEVELS:
        return STATISTICS[name]
    if levels is None:
        raise DataError(f"statistic={name!r} needs levels=, all that an answer may be.")
    return lambda answers: STATISTICS[name](answers, levels)


def _labels(name: str, value: FloatArray, levels: npt.ArrayLike | None) -> list[str]:
    if value.ndim == 0:
        return [name]
    if name == "share" and levels is not None:
        return [f"share[{level:g}]" for level in np.asarray(levels, dtype=float)]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*value.shape)]
