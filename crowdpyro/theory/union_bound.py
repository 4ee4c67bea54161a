"""The prediction-powered mean by a union bound (Theorem 4.5): no independence is needed, only two bounds.

    mean(T) + mean(y - t) -+ ( b_gamma(y - t) + b_{alpha - gamma}(T) )

b_c misses with chance c: z s / sqrt(n) in large samples, or Hoeffding's and the empirical Bernstein bound in any. It
holds when twins stand in the crowd, and it is conservative: with normal bounds 1.3 to 1.5 times as wide as
`crowd_interval`. The twins still must not have seen the people's answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .bounds import Bound, BoundName, best_split
from .interval import interval_of
from .interval_options import Options
from .interval_result import CrowdInterval
from .moments import CrowdMoments
from .paired import Missing, Paired, Virtual


def prediction_powered_mean(
    y: npt.ArrayLike,
    twin_y: npt.ArrayLike,
    crowd: npt.ArrayLike,
    alpha: float = 0.05,
    *,
    gamma: float | Literal["auto"] | None = None,
    bound: BoundName = "normal",
    answer_range: tuple[float, float] | None = None,
    ddof: int = 1,
    missing: Missing = "error",
    simultaneous: bool = False,
    labels: pd.Index | tuple[pd.Index, ...] = (),
) -> CrowdInterval:
    """Confidence interval of the mean answer, one a problem, by a union bound.

    Parameters
    ----------
    y, twin_y, crowd, alpha, missing, simultaneous, labels
        As in `crowd_interval`.
    gamma
        Part of alpha for the residuals, in (0, alpha), chosen before a look at the answers: half of it when None;
        `auto` the one of least width.
    bound
        `normal`, or `hoeffding` or `empirical_bernstein`, which hold in samples of any size.
    answer_range
        Least and largest answer, which those two need: of people, twins and crowd alike.
    ddof
        Variances divide by n - ddof.

    Returns
    -------
    CrowdInterval
        Method `theorem_4_5`; `parts` are those of the standard error, as in `crowd_interval`.

    Raises
    ------
    DataError
        For a gamma outside (0, alpha), a bound without the range, or an answer outside it.
    """
    options = Options.checked("rectified", "two-sided", alpha, None, ddof, "normal")
    if bound not in ("normal", "hoeffding", "empirical_bernstein"):
        raise DataError(f"bound={bound!r}: give 'normal', 'hoeffding' or 'empirical_bernstein'.")
    if gamma not in (None, "auto") and not (isinstance(gamma, float | np.floating) and 0 < gamma < alpha):
        raise DataError(f"gamma={gamma!r}: give a part of alpha={alpha}, in (0, {alpha}), or 'auto'.")
    pair = Paired.of(y, twin_y, crowd, missing=missing, labels=labels)
    virtual = pair.virtual
    if virtual is None:
        raise DataError("twin_y and crowd are None; give both.")
    reach = 0.0 if bound == "normal" else _reach(pair, virtual, answer_range, bound)
    if simultaneous:
        share = int(np.prod(pair.shape))
        options, alpha = options.of_each(share), alpha / share
        gamma = gamma if gamma is None or gamma == "auto" else gamma / share
    rectified = interval_of(pair, options)
    human = interval_of(pair, Options.checked("human_only", alpha=alpha))
    people, members = pair.people, virtual.members
    spread = [
        np.sqrt(sample.moments(x)[1] * sample.factor(ddof if bound == "normal" else 1) * sample.n)
        for x, sample in ((pair.y - virtual.twin, people), (virtual.crowd, members))
    ]
    # A residual of answers from a to b lies between a - b and b - a.
    first, second = Bound(bound, people.n, spread[0], 2 * reach), Bound(bound, members.n, spread[1], reach)
    if gamma == "auto":
        part = best_split(first, second, alpha)
    else:
        part = np.full_like(people.n, alpha / 2 if gamma is None else gamma)
    margin = first.half_width(part) + second.half_width(alpha - part)
    margin = margin.reshape(pair.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = human.half_width / margin
    return replace(
        rectified,
        low=np.asarray(rectified.estimate - margin),
        high=np.asarray(rectified.estimate + margin),
        effective_sample_size=np.asarray(rectified.n * np.where(np.isnan(ratio), 1.0, ratio) ** 2),
        human_only=human,
        method="theorem_4_5",
    )


def _reach(pair: Paired, virtual: Virtual, answer_range: tuple[float, float] | None, bound: str) -> float:
    """From the least to the largest answer."""
    if answer_range is None:
        raise DataError(f"bound={bound!r} needs answer_range, such as (1, 5): the least and the largest answer.")
    low, high = answer_range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DataError(f"answer_range={answer_range!r}: give two finite numbers, the lower first.")
    for name, given, sample in (
        ("y", pair.y, pair.people),
        ("twin_y", virtual.twin, pair.people),
        ("crowd", virtual.crowd, virtual.members),
    ):
        if isinstance(sample, CrowdMoments):
            raise DataError(f"bound={bound!r} looks at each answer of the crowd; give them, or bound='normal'.")
        there = given if sample.weights is None else given[np.broadcast_to(sample.weights, given.shape) > 0]
        if there.min() < low or there.max() > high:
            raise DataError(
                f"{name} reaches from {there.min():g} to {there.max():g}, outside answer_range={answer_range!r}; the "
                "bound holds only inside."
            )
    return float(high - low)
