"""Terms of Theorem 4.2 from repeats of people and draws of twins, without the bias of either's noise.

L4 = mean s_t^2,   L2 = mean s_y^2,   L3 = mean (ybar_i - that_i)^2 - L2 / M - L4 / K
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .checked import FloatArray, answers, broadcast, numbers, spread
from .pair_means import PairMeans, where_both


@dataclass(frozen=True, eq=False)
class NoiseAndDiscrepancy:
    """Unbiased L2, L3 and L4 from repeats and draws, each `(n_problems,)`.

    Attributes
    ----------
    human_noise
        L2, of one answer; NaN where people answered once and no variance was given.
    twin_discrepancy
        L3; may be negative, NaN likewise.
    noise_and_discrepancy
        L2 + L3, always there.
    twin_uncertainty
        L4, of one answer.
    raw
        mean_i (ybar_i - that_i)^2, which is too large for L3 by the noise of both means.
    """

    human_noise: FloatArray
    twin_discrepancy: FloatArray
    noise_and_discrepancy: FloatArray
    twin_uncertainty: FloatArray
    raw: FloatArray


def noise_and_discrepancy(
    y: npt.ArrayLike, twins: npt.ArrayLike, human_noise_var: npt.ArrayLike | None = None
) -> NoiseAndDiscrepancy:
    """L2, L3 and L4 from M repeats of people and K draws of twins.

    Parameters
    ----------
    y
        Shape `(n_repeats, n, ...)`, the rest as in `risk_decomposition`; `y[None]` of people who answered once.
    twins
        Shape `(n_draws, n, ...)`, at least two draws.
    human_noise_var
        L2 from elsewhere, a number or `(n_problems,)`, for people who answered once.

    Returns
    -------
    NoiseAndDiscrepancy
        Of every problem.

    Raises
    ------
    DataError
        When shapes do not match, there are fewer than two draws, or a problem has fewer than two pairs.
    """
    people = [answers(each, "y") for each in _along_draws(y, "y", 1)]
    drawn = [answers(each, "twins") for each in _along_draws(twins, "twins", 2)]
    repeated, virtual = np.stack(people), np.stack(drawn)
    there = where_both(repeated.mean(axis=0), virtual.mean(axis=0))
    pairs = PairMeans(there)
    m, k = len(repeated), len(virtual)

    def within(each: FloatArray) -> FloatArray:
        centred = each - each.mean(axis=0)
        return sum((pairs.product(one, one) for one in centred), np.zeros(len(pairs.n))) / (len(each) - 1)

    level4 = within(virtual)
    difference = repeated.mean(axis=0) - virtual.mean(axis=0)
    raw = pairs.product(difference, difference)
    if m > 1:
        level2 = within(repeated)
    elif human_noise_var is not None:
        level2 = broadcast(spread(human_noise_var, "human_noise_var"), raw.shape, "human_noise_var")
    else:
        level2 = np.full(raw.shape, np.nan)
    both = raw - level4 / k
    return NoiseAndDiscrepancy(
        human_noise=level2,
        twin_discrepancy=both - level2 / m,
        noise_and_discrepancy=both if m == 1 else both + level2 * (1 - 1 / m),
        twin_uncertainty=level4,
        raw=raw,
    )


def _along_draws(given: npt.ArrayLike, name: str, least: int) -> FloatArray:
    found = numbers(given, name, gaps=True)
    if found.ndim < 2 or len(found) < least:
        raise DataError(f"{name} has shape {found.shape}; give at least {least} along a first axis of draws.")
    return found
