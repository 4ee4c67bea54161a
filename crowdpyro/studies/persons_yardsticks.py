"""What else could predict a person's further answers: the person's own mean, and a ridge regression on what they said.

y_ir = m_r + w' (y_ia - m_a),    w = (C_aa + lambda I)^-1 C_ar        a the answered items, r one of the others

m and C are the training people's; lambda is chosen, and the spread around a prediction estimated, by cross-validation
over training people. A normal of that spread cut at the midpoints makes each a distribution, for the log score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Predictor = Callable[[FloatArray, FloatArray, IntArray, float], FloatArray]

# Of the response's variance, about 1 to 3 an item.
_PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_FOLDS = 5


@dataclass(frozen=True)
class Forecast:
    """Predictions of people's answers to all items.

    Attributes
    ----------
    mean, median
        Shape `(n_participants, n_items)`, within the scale; the median is a level.
    log_prob
        Log probability of each answer that they gave, same shape.
    """

    mean: FloatArray
    median: FloatArray
    log_prob: FloatArray


def own_mean(train: FloatArray, answers: FloatArray, known: IntArray, penalty: float) -> FloatArray:
    """Everybody's mean of the answers known; arguments as in `ridge`."""
    mean = np.take_along_axis(answers, known, axis=1).mean(axis=1, keepdims=True)
    return np.broadcast_to(mean, answers.shape)


def marginal(train: FloatArray, answers: FloatArray, known: IntArray, penalty: float) -> FloatArray:
    """The training people's mean of every item; arguments as in `ridge`."""
    return np.broadcast_to(np.nanmean(train, axis=0), answers.shape)


def ridge(train: FloatArray, answers: FloatArray, known: IntArray, penalty: float) -> FloatArray:
    """Ridge regression of every item on those that a person answered.

    Parameters
    ----------
    train
        Answers of the training people, shape `(n, n_items)`; absent ones count as their item's mean.
    answers
        Of others, shape `(n_participants, n_items)`; only the known ones are read.
    known
        Items that each answered, shape `(n_participants, n_known)`.
    penalty
        lambda.
    """
    mean = np.nanmean(train, axis=0)
    covariance = np.cov(np.where(np.isnan(train), mean, train), rowvar=False)
    gram = covariance[known[:, :, None], known[:, None, :]] + penalty * np.eye(known.shape[1])
    residual = np.take_along_axis(answers, known, axis=1) - mean[known]
    weights = np.linalg.solve(gram, residual[..., None])[..., 0]
    return np.asarray(mean + np.einsum("ik,ikr->ir", weights, covariance[known]))


def forecast(
    predictor: Predictor, train: FloatArray, answers: FloatArray, known: IntArray, levels: FloatArray, seed: int
) -> Forecast:
    """A predictor tuned on the training people, its spread included.

    Parameters
    ----------
    predictor
        `ridge`, `own_mean` or `marginal`.
    train, answers, known
        As in `ridge`, in the unit of the response, the others' answers complete.
    levels
        Of the scale.
    seed
        Of folds, and of which items of the training people count as known.
    """
    rng = np.random.default_rng(seed)
    full = train[~np.isnan(train).any(axis=1)]
    n, k = len(full), known.shape[1]
    fold = rng.permutation(n) % _FOLDS
    asked = np.argsort(rng.random(full.shape), axis=1)[:, :k]
    unknown = np.ones(full.shape, dtype=bool)
    np.put_along_axis(unknown, asked, False, axis=1)
    best, spread, chosen = np.inf, np.ones(full.shape[1]), _PENALTIES[0]
    for penalty in _PENALTIES if predictor is ridge else _PENALTIES[:1]:
        error = np.empty(full.shape)
        for part in range(_FOLDS):
            here = fold == part
            error[here] = predictor(full[~here], full[here], asked[here], penalty) - full[here]
        error = np.where(unknown, error, np.nan)
        if np.nanmean(np.square(error)) < best:
            best, chosen, spread = float(np.nanmean(np.square(error))), penalty, np.sqrt(np.nanmean(error**2, axis=0))
    mean = predictor(train, answers, known, chosen).clip(levels[0], levels[-1])
    cuts = np.r_[-np.inf, (levels[1:] + levels[:-1]) / 2, np.inf]
    code = np.searchsorted(levels, answers)
    chance = norm.cdf((cuts[code + 1] - mean) / spread) - norm.cdf((cuts[code] - mean) / spread)
    return Forecast(mean, levels[np.searchsorted(cuts[1:-1], mean)], np.log(np.maximum(chance, 1e-12)))
