"""A classifier two-sample test: whether trees can tell one law of answers from another.

accuracy of human or synthetic on people that the trees were not grown on; 1/2 if the laws are one

Lopez-Paz and Oquab (2017).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from .errors import DataError
from .inference.seeds import generator
from .survey import checked_weights

FloatArray = npt.NDArray[np.float64]


def classifier_test(
    humans: npt.ArrayLike,
    crowd: npt.ArrayLike,
    *,
    weights: tuple[npt.ArrayLike | None, npt.ArrayLike | None] = (None, None),
    seed: int = 0,
) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
    """Whether gradient-boosted trees tell humans from crowd.

    Parameters
    ----------
    humans, crowd
        Answers, shape `(n_participants, n_problems)`, NaN where absent; the larger side is thinned to the smaller, and
        everybody is silent where a random member of the other side is, so that absences tell nothing.
    weights
        Survey weights of humans and of crowd. Each is thinned to the law that its weights speak of, everybody being
        kept with chance w_i / max w: those left count alike, and are independent still. Where fewer than four are,
        nothing is told: accuracy 1/2, p-value 1.
    seed
        Of thinning, halves and trees.

    Returns
    -------
    accuracy, p_value, roc
        On the half that the trees were not grown on; whom they say nothing of, at a score of 1/2, counts half in the
        accuracy and not in the test. The p-value is the upper tail of Binomial(n, 1/2), n being the others. It bounds
        that of the trees' own, who are right of one side with chance p and of the other with 1 - p: the number right
        has the same mean and lighter tails (Hoeffding 1956). It supposes that all people are independent, so not where
        the crowd is of the same people.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = generator(seed)
    sides = [np.asarray(each, dtype=float) for each in (humans, crowd)]
    if min(len(each) for each in sides) < 4:
        raise DataError(f"humans and crowd are {len(sides[0])} and {len(sides[1])} people; give four or more each.")
    sides = [_of_equal_weights(each, weight, rng) for each, weight in zip(sides, weights, strict=True)]
    n = min(len(each) for each in sides)
    if n < 4:
        return 0.5, 1.0, (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    # The same number of both in each half, so that chance is exactly 1/2.
    sides = [each[rng.permutation(len(each))[: 2 * (n // 2)]] for each in sides]
    absent = [np.isnan(each)[rng.permutation(len(each))] for each in sides]
    sides = [np.where(silent, np.nan, each) for each, silent in zip(sides, reversed(absent), strict=True)]
    grown, held = (np.concatenate([each[start::2] for each in sides]) for start in (0, 1))
    label = np.repeat([0, 1], n // 2)
    trees = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.05, random_state=int(rng.integers(2**31)))
    # A problem that nobody of this half answered has no bins; where that is all of them, trees have nothing to say.
    met = ~np.isnan(grown).all(axis=0)
    score = trees.fit(grown[:, met], label).predict_proba(held[:, met])[:, 1] if met.any() else np.full(len(label), 0.5)
    # Whom the trees say nothing of is half right in the accuracy and no evidence in the test.
    told = score != 0.5
    right, n_told = int(((score > 0.5) == label)[told].sum()), int(told.sum())
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    rates = [np.append(0.0, np.cumsum(label[order] == side)[last] / (n // 2)) for side in (0, 1)]
    accuracy = (right + (len(label) - n_told) / 2) / len(label)
    return accuracy, float(binom.sf(right - 1, n_told, 0.5)), (rates[0], rates[1])


def _of_equal_weights(answers: FloatArray, weights: npt.ArrayLike | None, rng: np.random.Generator) -> FloatArray:
    """People of the weighted law, by rejection; everybody where all weigh alike."""
    if weights is None:
        return answers
    weight = checked_weights(weights, len(answers))
    return answers if np.ptp(weight) <= 1e-12 else answers[rng.random(len(weight)) < weight / weight.max()]
