"""How people differ, from each other and within themselves, by survey weight: moments and components of variance.

sd         sqrt( sum_i w_i (x_i - xbar)^2 / (W - Q/W) )                                W = sum_i w_i,  Q = sum_i w_i^2
s_within   sum_i w_i (y_i - ybar_g(i))^2 / sum_g (W_g - Q_g/W_g)
s_between  [ sum_g W_g (ybar_g - ybar)^2 - s_within (sum_g Q_g/W_g - Q/W) ] / (W - sum_g W_g^2/W)

All are unbiased where answers have one variance within groups, whatever the weights; with equal ones they are the
sample's standard deviation and the components of a one-way layout (S. R. Searle, G. Casella, C. E. McCulloch 1992,
Variance Components).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def column_means(answers: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean answer to each problem; 0 where nobody of weight answered."""
    there = ~np.isnan(answers)
    total = weights @ there
    return np.asarray(weights @ np.where(there, answers, 0.0) / np.where(total > 0, total, 1.0))


def centred_means(answers: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean answer of everybody, each answer taken from its problem's mean: who met what does not matter."""
    return np.asarray(np.nanmean(answers - column_means(answers, weights), axis=1))


def spread(values: FloatArray, weights: FloatArray) -> float:
    """Standard deviation over people; NaN of fewer than two of weight."""
    total = weights.sum()
    left = total - np.square(weights).sum() / total if total > 0 else 0.0
    if not left > 1e-12 * total:
        return float("nan")
    return float(np.sqrt(weights @ np.square(values - weights @ values / total) / left))


def mean_and_error(values: FloatArray, weights: FloatArray) -> tuple[float, float, int]:
    """Mean over people, its linearised standard error, and how many are of weight; NaN where too few are."""
    n, total = int((weights > 0).sum()), weights.sum()
    if n == 0:
        return float("nan"), float("nan"), 0
    mean = float(weights @ values / total)
    if n == 1:
        return mean, float("nan"), 1
    return mean, float(np.sqrt(np.square(weights * (values - mean)).sum() * n / (n - 1)) / total), n


def variance_within(answers: FloatArray, weights: FloatArray) -> float:
    """Mean variance of a person's answers, over those who gave two or more."""
    several = (~np.isnan(answers)).sum(axis=1) > 1
    total = weights[several].sum()
    if not total > 0:
        return float("nan")
    return float(weights[several] @ np.nanvar(answers[several], axis=1, ddof=1) / total)


def between_over_within(answers: FloatArray, levels: npt.NDArray[np.object_], weights: FloatArray) -> float:
    """s_between / s_within of groups, mean over problems; below 0 by chance alone, NaN where no problem has two."""
    found = []
    for column in answers.T:
        there = ~np.isnan(column) & (weights > 0)
        group = np.unique(levels[there], return_inverse=True)[1]
        value, weight = column[there], weights[there]
        if not len(group) or group.max() < 1 or len(group) <= group.max() + 1:
            continue
        mass, square = np.bincount(group, weight), np.bincount(group, np.square(weight))
        mean = np.bincount(group, weight * value) / mass
        total = mass.sum()
        own = (square / mass).sum()
        within = float(weight @ np.square(value - mean[group]) / (total - own))
        apart = float(mass @ np.square(mean - weight @ value / total))
        between = (apart - within * (own - square.sum() / total)) / (total - np.square(mass).sum() / total)
        if within > 0:
            found.append(between / within)
    return float(np.mean(found)) if found else float("nan")
