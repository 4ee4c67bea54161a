"""Confidence intervals of what people answer on average, from n people, their twins and a crowd of N (Theorem 4.6).

    y_i, t_i   answer of person i, and of their twin, which has not seen it           n people
    T_j        answer of member j of the crowd                                        N members, E T = E t

    human_only      mean(y)                            Var(y)/n                                  t, n - 1
    rectified       mean(T) + mean(y - t)              Var(T)/N + Var(y - t)/n                   t, Welch
    power_tuned     lam mean(T) + mean(y - lam t)      lam^2 Var(T)/N + Var(y - lam t)/n         t, n - 1
                    lam = Cov(y, t) / ((1 + n/N) Var(t pooled)), clipped to [0, 1]
    theorem_4_6     mean(T) -+ ( eps_0 + z sqrt(Var(T)/N + Var(y - t)/n) )     as printed: eps_0 = sqrt(mean (y - t)^2)
    absolute_bias   mean(T) -+ ( |mean(y - t)| + z sqrt(...) )                 the proof's step before eps_0

`theorem_4_6` holds but does not shrink: its half-width tends to eps_0, an individual's residual, and its coverage to 1.
Rectified is the prediction-powered mean (Angelopoulos et al. 2023, Science 382), power-tuned PPI++ (Angelopoulos, Duchi
and Zrnic 2023, arXiv 2311.01453); with a poor twin rectified is wider than the humans alone, power-tuned hardly is.
All of it fails when twins were fitted to the people whose residuals are taken: see `cross_fit_interval`. Coverage is
simulated from ten people on. A reference that the crowd's members and the twins share, such as one draw of an LLM, is
one number of the predictor: what it errs by cancels, and it adds nothing to Var(T)/N.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from .checked import FloatArray
from .interval_options import Alternative, Method, Options, Quantile
from .interval_result import CrowdInterval
from .moments import CrowdMoments
from .paired import Missing, Paired, Virtual
from .sample import Sample, dot


class InSampleWarning(UserWarning):
    """Residuals of people whom the twins were fitted to."""


def crowd_interval(
    y: npt.ArrayLike,
    twin_y: npt.ArrayLike | None = None,
    crowd: npt.ArrayLike | CrowdMoments | None = None,
    alpha: float = 0.05,
    *,
    method: Method = "rectified",
    alternative: Alternative = "two-sided",
    overlap: bool | npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    crowd_weights: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    crowd_clusters: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
    crowd_strata: npt.ArrayLike | None = None,
    lam: float | None = None,
    ddof: int | None = None,
    quantile: Quantile | None = None,
    missing: Missing = "error",
    simultaneous: bool = False,
    in_sample: bool = False,
    labels: pd.Index | tuple[pd.Index, ...] = (),
) -> CrowdInterval:
    """Confidence interval of the mean answer, one a problem, all problems at once.

    Parameters
    ----------
    y
        Answers of people in the unit of the response, `(n,)`, `(n, n_problems)` or one more axis, such as of one-hot
        labels.
    twin_y
        Answers of their twins, the same shape: fitted without these people, drawn and processed as the crowd's.
    crowd
        Answers of the crowd, `(N, ...)`, or their `CrowdMoments`. Neither is needed by `human_only`.
    alpha
        Chance that an interval misses.
    method
        See the formulas above.
    alternative
        `two-sided`, `larger` (a lower end only), `smaller` (an upper end only), as in statsmodels.
    overlap
        The twins stand in the crowd as well: True where they are its first n rows, or each one's row, -1 for none.
        With clusters, True: equal labels of `clusters` and `crowd_clusters` are one person.
    weights, crowd_weights
        Of people and of crowd members, `(n,)` or the shape of the answers: where respondents are not like those whom
        the crowd stands for, the density ratio of profiles, target over respondents.
    clusters, crowd_clusters
        Whom each answer is of, `(n,)` and `(N,)`, where one person gave several (see `pooled_interval`); or its primary
        sampling unit.
    strata, crowd_strata
        What each one's unit was drawn from, `(n,)` and `(N,)` (see `theory.strata`); degrees of freedom are then units
        less strata, otherwise units less 1, or Kish's effective number of them less 1 where weights differ.
    lam
        A weight of the twins other than the best one, for `power_tuned`.
    ddof
        Variances divide by n - ddof: 1, and 0 in the printed methods, by default.
    quantile
        `t`, and `normal` in the printed methods, by default.
    missing
        What NaN is: an `error`, or an answer to `omit` (with its twin's).
    simultaneous
        Let all intervals together miss with chance alpha (Bonferroni), rather than each.
    in_sample
        Say that the twins were fitted to these people; warns of what that costs.
    labels
        Ids of the problems, an index for each of their axes.

    Returns
    -------
    CrowdInterval
        With the humans' own interval beside it.

    Raises
    ------
    DataError
        For fewer than two people or members, answers that are no numbers, an alpha outside (0, 1), weights that are
        negative or sum to zero, and shapes that do not fit.

    Examples
    --------
    >>> y, twin = [4, 3, 5, 2, 4, 3], [3.5, 3, 4, 2.5, 3, 3.5]
    >>> crowd_interval(y, twin, [3, 3.5, 2.5, 4, 3, 3.5, 2, 3, 4.5, 3])
    <CrowdInterval rectified, 95 %: 3.450 [2.656, 4.244], se 0.361, df 11.0; \
people alone, n = 6: 3.500 [2.399, 4.601]; worth n = 12>
    """
    options = Options.checked(method, alternative, alpha, lam, ddof, quantile)
    pair = Paired.of(
        y, twin_y, crowd, method, overlap, weights, crowd_weights, clusters, crowd_clusters, missing, labels, strata,
        crowd_strata,
    )  # fmt: skip
    if in_sample and method != "human_only":
        warnings.warn(
            "residuals are those of people whom the twins were fitted to, and come out too small: a nominal .95 "
            "interval covered .38 with nearest-neighbour twins and .71 with a regression on 25 traits, n = 50. Use "
            "cross_fit_interval, or people who were held out.",
            InSampleWarning,
            stacklevel=2,
        )
    return interval_of(pair, options.of_each(int(np.prod(pair.shape)) if simultaneous else 1))


def interval_of(pair: Paired, options: Options) -> CrowdInterval:
    """The kernel: every problem at once."""
    people, alone = pair.people, options.of_method("human_only")
    y_mean = people.mean(pair.y)
    u_y = people.influence(pair.y, y_mean)
    y_var = dot(u_y, u_y) * people.factor(alone.divisor)
    human = _result(
        pair, alone, y_mean, np.sqrt(y_var), people.freedom, {"residual": y_var}, lam=np.zeros_like(y_mean),
        rbar=y_mean, eps_0=np.sqrt(people.mean_square(pair.y)),
    )  # fmt: skip
    if options.method == "human_only" or pair.virtual is None:
        return human
    options, virtual = options.of_method(options.method), pair.virtual
    members, (mine, theirs) = virtual.members, virtual.shared
    t_mean, (crowd_mean, crowd_square) = people.mean(virtual.twin), members.moments(virtual.crowd)
    u_twin = people.influence(virtual.twin, t_mean)
    lam = np.full_like(y_mean, 1.0 if options.lam is None else options.lam)
    if options.method == "power_tuned" and options.lam is None:
        lam = _best(pair, virtual, u_y, u_twin, crowd_mean, crowd_square)
    # In place: a fresh array of 100 people at 1,000 problems takes longer to get than to fill.
    u_twin *= -lam
    u_twin += u_y
    u_residual, factor = u_twin, people.factor(options.divisor)
    own = dot(u_residual, u_residual) * factor
    parts = {"crowd": lam**2 * crowd_square * members.factor(options.divisor), "residual": own}
    if len(mine) and isinstance(members, Sample):
        twins = members.influence(virtual.crowd, crowd_mean)[theirs]
        parts["overlap"] = 2 * lam * dot(u_residual[mine], twins) * factor
        own = own + parts["overlap"] + lam**2 * dot(twins, twins) * factor
    # Rounding alone can leave less than nothing: twins that are the crowd, n = N, give var(y)/n.
    variance = np.maximum(sum(parts.values(), np.zeros_like(y_mean)), 0.0)
    df = people.freedom
    if options.method != "power_tuned":
        # Welch: what the n people contribute, twins of theirs in the crowd among it, and the other members.
        others = np.maximum(variance - own, 0.0)
        below = own**2 / people.freedom + others**2 / members.freedom
        df = np.where(below > 0, variance**2 / np.where(below > 0, below, 1.0), people.freedom)
    rbar, eps_0 = y_mean - t_mean, np.sqrt(people.mean_square(pair.y - virtual.twin))
    printed = {"theorem_4_6": eps_0, "absolute_bias": np.abs(rbar)}
    rectified = lam * crowd_mean + y_mean - lam * t_mean
    estimate = crowd_mean if options.method in printed else rectified
    return _result(
        pair, options, estimate, np.sqrt(variance), df, parts, lam=lam, rbar=rbar, eps_0=eps_0, human=human,
        more=printed.get(options.method, 0.0),
    )  # fmt: skip


def _best(
    pair: Paired,
    virtual: Virtual,
    u_y: FloatArray,
    u_twin: FloatArray,
    crowd_mean: FloatArray,
    crowd_square: FloatArray,
) -> FloatArray:
    """The lam of least variance, in [0, 1]; 0 where every lam gives the same."""
    people, members, (mine, theirs) = pair.people, virtual.members, virtual.shared
    if any(each is not None for each in (people.unit, members.unit, people.strata, members.strata)):
        gain, cost = dot(u_y, u_twin) * people.factor(1), dot(u_twin, u_twin) * people.factor(1)
        cost = cost + crowd_square * members.factor(1)
        if len(mine) and isinstance(members, Sample):
            u_crowd = members.influence(virtual.crowd, crowd_mean)[theirs]
            factor = people.factor(1)
            gain, cost = gain - dot(u_y[mine], u_crowd) * factor, cost - 2 * dot(u_twin[mine], u_crowd) * factor
    else:
        n, N, t_mean = people.n, members.n, people.mean(virtual.twin)
        centre = (n * t_mean + N * crowd_mean) / (n + N)
        spread = members.spread(virtual.crowd, crowd_mean, crowd_square, centre)
        pooled = (n * people.mean((virtual.twin - centre) ** 2) + N * spread) / (n + N - 1)
        covariance = people.mean((pair.y - people.mean(pair.y)) * (virtual.twin - t_mean)) * people.factor(1)
        gain = covariance * (people.design - virtual.shared_design)
        cost = pooled * (people.design + members.design - 2 * virtual.shared_design)
    useful = cost > 1e-12 * np.maximum(dot(u_y, u_y), np.finfo(float).tiny)
    return np.where(useful, np.clip(gain / np.where(useful, cost, 1.0), 0.0, 1.0), 0.0)


def _result(
    pair: Paired,
    options: Options,
    estimate: FloatArray,
    se: FloatArray,
    df: FloatArray,
    parts: Mapping[str, FloatArray],
    *,
    lam: FloatArray,
    rbar: FloatArray,
    eps_0: FloatArray,
    human: CrowdInterval | None = None,
    more: FloatArray | float = 0.0,
) -> CrowdInterval:
    """The ends, and all of it in the problems' shape."""
    low, high, margin = options.ends(estimate, se, df, more)
    worth, n_crowd = pair.people.n, np.zeros_like(estimate)
    if human is not None and pair.virtual is not None:
        n_crowd = pair.virtual.members.n
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = human.half_width.ravel() / margin
        worth = worth * np.where(np.isnan(ratio), 1.0, ratio) ** 2

    def shaped(x: FloatArray) -> FloatArray:
        return np.array(np.broadcast_to(x, estimate.shape), dtype=float).reshape(pair.shape)

    return CrowdInterval(
        estimate=shaped(estimate),
        low=shaped(low),
        high=shaped(high),
        se=shaped(se),
        df=shaped(df if options.quantile == "t" else np.full_like(df, np.inf)),
        parts={name: shaped(part) for name, part in parts.items()},
        effective_sample_size=shaped(worth),
        human_only=human,
        method=options.method,
        alternative=options.alternative,
        alpha=options.alpha,
        lam=shaped(lam),
        rbar=shaped(rbar),
        eps_0=shaped(eps_0),
        n=shaped(pair.people.n),
        n_effective=shaped(1.0 / pair.people.design),
        design_effect=shaped(pair.people.design_effect(pair.y)) if human is None else human.design_effect,
        n_crowd=shaped(n_crowd),
        labels=pair.labels,
    )
