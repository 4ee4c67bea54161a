"""Whether ranks or probability integral transforms are uniform: a test on their whole ECDF, and its band.

C_k = number of values below z_k,   z_k = k / K,   k = 1, ..., K - 1
C_k ~ Binomial(n, z_k)                                           under uniformity, each alone
P(no C_k leaves its pointwise interval of level g) = 1 - alpha(g)    all together

The chance on the left is exact, by recursion over k: C_{k+1} - C_k is binomial given C_k (Saeilynoja, Buerkner and
Vehtari 2022, section 2.3). Reading alpha at the smallest pointwise tail that was seen gives a p-value; solving it for
1 - alpha gives a simultaneous band. Both suppose independent values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import brentq

from ..models.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Beyond, alpha(g) is that of this many values, which is at most 8% of itself lower; the exact one would take minutes.
_MOST = 2000


def uniform_p_value(counts: npt.ArrayLike, method: str = "ecdf") -> float:
    """P-value of the hypothesis that values fell into equal bins uniformly and independently.

    Parameters
    ----------
    counts
        Values in each bin, in order, shape `(n_bins,)`.
    method
        `ecdf`, the simultaneous test above, which sees shifts and spreads; or `chi2`, Pearson's, which sees any bin.

    Returns
    -------
    float
        Its error rate is exact for `ecdf` up to 2,000 values, asymptotic for `chi2`; NaN without values.

    Raises
    ------
    DataError
        When there are fewer than two bins, a count is negative, or the method is unknown.
    """
    count = np.asarray(counts, dtype=np.int64)
    if count.ndim != 1 or len(count) < 2 or (count < 0).any():
        raise DataError(f"counts={counts!r}: give the counts of at least two bins.")
    if method not in ("ecdf", "chi2"):
        raise DataError(f"method={method!r}: give 'ecdf' or 'chi2'.")
    n, points = int(count.sum()), np.arange(1, len(count)) / len(count)
    if n == 0:
        return float("nan")
    if method == "chi2":
        return float(stats.chisquare(count).pvalue)
    level = _tails(count.cumsum()[:-1], n, points).min()
    # A count whose tail equals the smallest seen counts as outside.
    return max(0.0, 1.0 - _chance_inside(min(n, _MOST), points, float(level) * (1 + 1e-9)))


def ecdf_band(n: int, n_bins: int, coverage: float = 0.95) -> tuple[IntArray, IntArray]:
    """Lowest and highest cumulative counts that `n` uniform values keep to, all together, with this chance.

    Parameters
    ----------
    n
        Values.
    n_bins
        K; the band is at k / K, k = 1, ..., K - 1.
    coverage
        Chance that no cumulative count leaves the band: at least this up to 2,000 values, about this beyond.

    Returns
    -------
    ndarray, ndarray
        Shape `(n_bins - 1,)` each.

    Raises
    ------
    DataError
        When `coverage` is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise DataError(f"coverage={coverage}: give a chance between 0 and 1.")
    points = np.arange(1, n_bins) / n_bins

    def excess(log_level: float) -> float:
        return _chance_inside(min(n, _MOST), points, float(np.exp(log_level))) - coverage

    # The chance falls in steps as the level rises; the left end of the step keeps the coverage.
    low, high = np.log((1 - coverage) / n_bins) - 5.0, np.log(1 - coverage) + 1e-9
    level = float(np.exp(brentq(excess, low, high, xtol=1e-4))) if excess(high) < 0 else float(np.exp(high))
    return _band(n, points, level * (1 - 2e-4))


def holm(p_values: Sequence[float] | npt.ArrayLike) -> FloatArray:
    """P-values adjusted so that rejecting those below alpha errs anywhere with at most that chance (Holm 1979).

    Parameters
    ----------
    p_values
        Shape `(n,)`; NaN stays NaN and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.5])
    array([0.03, 0.08, 0.5 ])
    """
    raw = np.asarray(p_values, dtype=float)
    adjusted = np.full(raw.shape, np.nan)
    known = np.flatnonzero(~np.isnan(raw))
    order = known[np.argsort(raw[known])]
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _tails(counts: IntArray, n: int, points: FloatArray) -> FloatArray:
    """Two-sided tail of each cumulative count in its own binomial."""
    below, above = stats.binom.cdf(counts, n, points), stats.binom.sf(counts - 1, n, points)
    return np.minimum(1.0, 2 * np.minimum(below, above))


def _band(n: int, points: FloatArray, level: float) -> tuple[IntArray, IntArray]:
    """Counts whose tail is above `level`."""
    low = np.asarray(stats.binom.ppf(level / 2, n, points), dtype=np.int64)
    high = n - np.asarray(stats.binom.ppf(level / 2, n, 1 - points), dtype=np.int64)
    # ppf includes a count whose tail is exactly level / 2.
    low += stats.binom.cdf(low, n, points) <= level / 2
    high -= stats.binom.sf(high - 1, n, points) <= level / 2
    return low, high


def _chance_inside(n: int, points: FloatArray, level: float) -> float:
    """Chance that every cumulative count of `n` uniform values has a tail above `level`."""
    if level >= 1:
        return 0.0
    low, high = _band(n, points, level)
    if (low > high).any():
        return 0.0
    state, chance, before = np.zeros(1, dtype=np.int64), np.ones(1), 0.0
    for place, first, last in zip(points, low, high, strict=True):
        here = np.arange(first, last + 1)
        share = (place - before) / (1 - before)
        step = stats.binom.pmf(here[None] - state[:, None], n - state[:, None], share)
        state, chance, before = here, chance @ step, float(place)
    return float(chance.sum())
