"""Theorem 4.1's bound: how close the best generator of profiles comes, and what making them continuous costs.

    W1(G, T) < eps (1 + sqrt(2/pi) eta d),    sigma = eps eta the noise on the d encoded coordinates

Some generator comes this close; of one that was fitted the bound says nothing, for its eps is not observed. What holds
for every generator, sample by sample, is the triangle inequality that the proof rests on,

    W1(Z, X) <= W1(Z, X + noise) + mean_i |noise_i|_1

Normal noise is unbounded, where the approximation result behind the theorem wants a compact set: noise cut at half the
gap between levels mends that and keeps the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import norm

from ..errors import DataError
from .checked import at_least, numbers
from .wasserstein import Metric, known_metric


@dataclass(frozen=True)
class W1Bound:
    """The printed bound in its parts.

    Attributes
    ----------
    approximation
        eps: of a generator of the continuous law.
    dequantisation
        What the noise on the discrete coordinates adds.
    """

    approximation: float
    dequantisation: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.approximation + self.dequantisation


def profile_w1_bound(eps: float, eta: float, d: int, n_discrete: int | None = None) -> W1Bound:
    """Bound of Theorem 4.1. It is about the best generator, and no guarantee for one that was fitted.

    Parameters
    ----------
    eps
        Between 0 and 1.
    eta
        Constant of the dequantisation; the noise has standard deviation eps * eta.
    d
        Encoded coordinates.
    n_discrete
        Those that are discrete and get noise; the paper takes all, d, when None.

    Returns
    -------
    W1Bound
        Its two parts, in the L1 distance of encoded profiles.

    Raises
    ------
    DataError
        When `eps` is not between 0 and 1, or `n_discrete` above `d`.

    Examples
    --------
    >>> round(profile_w1_bound(0.1, 0.5, 5).total, 10)
    0.2994711402
    """
    if not 0 < eps < 1:
        raise DataError(f"eps={eps!r}: give a number between 0 and 1.")
    discrete = at_least(d, 1, "d") if n_discrete is None else at_least(n_discrete, 0, "n_discrete")
    if discrete > d:
        raise DataError(f"n_discrete={n_discrete} is above d={d}; discrete coordinates are some of all.")
    return W1Bound(float(eps), dequantisation_term(discrete, eps * eta))


def dequantisation_term(n_discrete: int, noise_scale: float, metric: Metric = "l1") -> float:
    """E |noise| of n coordinates with standard deviation sigma: n sqrt(2/pi) sigma in L1, sigma E chi_n in L2.

    Parameters
    ----------
    n_discrete
        n, the coordinates that noise is added to.
    noise_scale
        sigma, in the unit of the coordinates.
    metric
        `l1` or `l2`.

    Returns
    -------
    float
        In the unit of the coordinates.

    Raises
    ------
    DataError
        For a negative number or scale, or an unknown metric.
    """
    k = at_least(n_discrete, 0, "n_discrete")
    if not (np.isfinite(noise_scale) and noise_scale >= 0):
        raise DataError(f"noise_scale={noise_scale!r}: give a standard deviation of at least 0.")
    if known_metric(metric) == "l1":
        return float(k * np.sqrt(2 / np.pi) * noise_scale)
    return float(noise_scale * np.sqrt(2) * np.exp(gammaln((k + 1) / 2) - gammaln(k / 2))) if k else 0.0


def dequantisation_w1(levels: npt.ArrayLike, probabilities: npt.ArrayLike, noise_scale: float) -> float:
    """W1 between a law on numbers and the same with normal noise, exactly: the term above is its bound.

    W1 = int |F - F_noisy|; between two levels F is flat and F_noisy rises, so that they cross at most once there.

    Parameters
    ----------
    levels, probabilities
        Increasing numbers, and their chances, `(n_levels,)` each.
    noise_scale
        Standard deviation, above 0.

    Returns
    -------
    float
        In the unit of the levels.

    Raises
    ------
    DataError
        When levels do not increase, probabilities are no distribution, or `noise_scale` is not positive.
    """
    v, p = numbers(levels, "levels"), numbers(probabilities, "probabilities")
    if v.ndim != 1 or v.shape != p.shape or not (np.diff(v) > 0).all():
        raise DataError(
            f"levels have shape {v.shape}, probabilities {p.shape}; give increasing numbers, one chance each."
        )
    if (p < 0).any() or abs(p.sum() - 1) > 1e-9:
        raise DataError(f"probabilities={p.tolist()}: no distribution; divide by the sum.")
    if not (np.isfinite(noise_scale) and noise_scale > 0):
        raise DataError(f"noise_scale={noise_scale!r}: give a standard deviation above 0.")

    def noisy(x: float) -> float:
        return float(p @ norm.cdf((x - v) / noise_scale))

    def integral(x: float) -> float:
        z = (x - v) / noise_scale
        return float(noise_scale * (p @ (z * norm.cdf(z) + norm.pdf(z))))

    # Below the lowest level F is 0, above the highest 1: their areas are closed forms too.
    total = integral(v[0]) + integral(v[-1]) - float(v[-1] - p @ v)
    for left, right, flat in zip(v[:-1], v[1:], p.cumsum()[:-1], strict=True):
        ends = [left, right]
        if noisy(left) < flat < noisy(right):
            ends.insert(1, brentq(lambda x, flat=flat: noisy(x) - flat, left, right, xtol=1e-15))
        total += sum(abs(integral(b) - integral(a) - flat * (b - a)) for a, b in pairwise(ends))
    return total
