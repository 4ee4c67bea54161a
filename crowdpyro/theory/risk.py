"""Theorem 4.2 and Proposition 4.3: where the squared error of a crowd's mean comes from, exactly.

A crowd of twins t_i = b_i + e_i of people y_i = a_i + eps_i, b_i and a_i their expected answers:

    (ybar - tbar)^2 = L1 + L2 + L3 + L4 - L5 + c1 + c2 + c3
    L1 = mean (ybar - y_i)^2   L2 = mean (y_i - a_i)^2   L3 = mean (a_i - b_i)^2
    L4 = mean (t_i - b_i)^2    L5 = mean (tbar - t_i)^2
    c1 = 2 mean (ybar - y_i)(y_i - a_i)   c2 = 2 mean (ybar - a_i)(a_i - b_i)   c3 = 2 mean (ybar - b_i)(b_i - t_i)

The paper prints the sum without c1, c2, c3. Only c3 has expectation zero: with 50 people the printed sum is 15 to 84
times the risk (docs/theory.md). a_i is not seen where everybody answers once; what is seen is exact, too, and the
default:

    (ybar - tbar)^2 = Var_N(y) + S + L4 - L5 + 2 [Cov_N(y, b) - Var_N(y)] + c3,    S = mean (y_i - b_i)^2

Expected over answers given people and model, L = (mean a - mean b)^2 + Var(mean eps) + Var(mean e): the spread of the
beliefs about their mean cancels, so that more L5 is not less risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .checked import BoolArray, FloatArray, answers, broadcast, numbers, spread
from .pair_means import PairMeans, where_both


@dataclass(frozen=True, eq=False)
class RiskDecomposition:
    """Terms of the risk of every problem, in the squared unit of the response, each `(n_problems,)`.

    Attributes
    ----------
    n
        Pairs of a person and their twin.
    risk
        (ybar - tbar)^2, or L where the terms are expected ones.
    average_human_bias
        L1.
    human_noise, twin_discrepancy
        L2 and L3; NaN where they are not identified.
    noise_and_discrepancy
        L2 + L3, where they are not identified S instead; with L4 inside where the twins' means are not given.
    twin_uncertainty
        L4, of a pure LLM v_pure; NaN where the twins' means are not given.
    diversity
        L5.
    printed_sum
        L1 + L2 + L3 + L4 - L5, the paper's right-hand side. It is not the risk.
    remainder_parts
        What the paper leaves out, by name.
    human_sampling_variance
        var(y, ddof=1) / n: the part of the risk that is the people's own sampling error.
    """

    n: FloatArray
    risk: FloatArray
    average_human_bias: FloatArray
    human_noise: FloatArray
    twin_discrepancy: FloatArray
    noise_and_discrepancy: FloatArray
    twin_uncertainty: FloatArray
    diversity: FloatArray
    printed_sum: FloatArray
    remainder_parts: Mapping[str, FloatArray]
    human_sampling_variance: FloatArray

    @property
    def remainder(self) -> FloatArray:
        """R: what the printed sum lacks, from its own formula; shape `(n_problems,)`."""
        return np.asarray(np.sum(list(self.remainder_parts.values()), axis=0))

    @property
    def identity_error(self) -> float:
        """Largest |printed sum + remainder - risk|, relative to the sum of the terms: rounding, and nothing else."""
        error = np.abs(self.printed_sum + self.remainder - self.risk)
        terms = self.average_human_bias + self.noise_and_discrepancy + self.diversity
        return float((error / np.maximum(terms + np.nan_to_num(self.twin_uncertainty), np.finfo(float).tiny)).max())

    @property
    def risk_to_target(self) -> FloatArray:
        """Unbiased for the squared error against y*, `(n_problems,)`; may be negative, and is not to be clipped."""
        return self.risk - self.human_sampling_variance

    def to_frame(self) -> pd.DataFrame:
        """One row a problem."""
        return pd.DataFrame(
            {
                "n": self.n,
                "risk": self.risk,
                "risk_to_target": self.risk_to_target,
                "L1": self.average_human_bias,
                "L2": self.human_noise,
                "L3": self.twin_discrepancy,
                "L2_plus_L3": self.noise_and_discrepancy,
                "L4": self.twin_uncertainty,
                "L5": self.diversity,
                "printed_sum": self.printed_sum,
                "remainder": self.remainder,
            },
            index=pd.RangeIndex(len(self.risk), name="problem"),
        )

    def mean(self) -> pd.Series:
        """Average over the problems, each of one weight."""
        return self.to_frame().mean().rename("mean")

    def __repr__(self) -> str:
        mean = self.mean()
        known = [name for name in ("L1", "L2", "L3", "L2_plus_L3", "L4", "L5") if np.isfinite(mean[name])]
        terms = "  ".join(f"{name} {mean[name]:.4g}" for name in known)
        return (
            f"<RiskDecomposition: {len(self.risk)} problem{'s' * (len(self.risk) != 1)}, {mean['n']:.4g} pairs each\n"
            f"  risk {mean['risk']:.4g}   ({mean['risk_to_target']:.4g} against the population)\n"
            f"  {terms}\n"
            f"  printed sum {mean['printed_sum']:.4g}, remainder {mean['remainder']:.4g}>"
        )


def risk_decomposition(
    y: npt.ArrayLike,
    twin: npt.ArrayLike,
    twin_mean: npt.ArrayLike | None = None,
    human_mean: npt.ArrayLike | None = None,
    human_noise_var: npt.ArrayLike | None = None,
) -> RiskDecomposition:
    """Squared error of the twins' mean against the people's, decomposed exactly.

    Parameters
    ----------
    y
        Answers, shape `(n,)`, `(n, n_problems)` or `(n, n_problems, n_options)`, NaN where somebody is absent.
    twin
        One answer of each person's twin, same shape. A pair is left out where either is absent.
    twin_mean
        b_i, each twin's expected answer; without it L4 is not identified.
    human_mean
        a_i, known to a simulator, or from many repeats; with it L2 and L3 are told apart pathwise.
    human_noise_var
        Instead of `human_mean`: the variance of one person's answer about a_i, known from repeats elsewhere, a number
        or `(n_problems,)`. L3 is then S - L2, an estimate.

    Returns
    -------
    RiskDecomposition
        Of every problem.

    Raises
    ------
    DataError
        For shapes that differ, a problem with fewer than two pairs, means that are missing, or both `human_mean` and
        `human_noise_var`.

    Notes
    -----
    The identity holds for any numbers. Read its terms on answers that the model was not fitted to: on its own training
    answers b_i has seen eps_i, and expectations of the terms are others.

    Examples
    --------
    >>> found = risk_decomposition([4, 2, 5, 3], [3, 3, 4, 3.5], [3.25, 2.75, 4, 3], [3.5, 2.5, 4.5, 3])
    >>> float(found.risk[0]), float(found.printed_sum[0]), float(found.remainder[0])
    (0.015625, 1.453125, -1.4375)
    """
    people, twins = answers(y, "y"), answers(twin, "twin")
    if human_mean is not None and human_noise_var is not None:
        raise DataError("human_mean and human_noise_var are both given; the former is enough.")
    there = where_both(people, twins)
    b = None if twin_mean is None else _mean_answers(twin_mean, "twin_mean", there)
    a = None if human_mean is None else _mean_answers(human_mean, "human_mean", there)
    pairs = PairMeans(there)
    y_bar, t_bar = pairs.mean(people), pairs.mean(twins)
    spread_y, diversity = pairs.product(people - y_bar, people - y_bar), pairs.product(twins - t_bar, twins - t_bar)
    nothing = np.full(len(pairs.n), np.nan)
    expected = twins if b is None else b
    twin_uncertainty = nothing if b is None else pairs.product(twins - b, twins - b)
    inside = np.zeros(len(pairs.n)) if b is None else twin_uncertainty
    c3 = {} if b is None else {"c3": 2 * pairs.product(y_bar - b, b - twins)}
    if a is None:
        middle = pairs.product(people - expected, people - expected)
        covariance = pairs.product(people - y_bar, expected - pairs.mean(expected))
        parts = {"2[Cov(y, b) - Var(y)]": 2 * (covariance - spread_y), **c3}
        human_noise = nothing
        if human_noise_var is not None:
            human_noise = broadcast(spread(human_noise_var, "human_noise_var"), nothing.shape, "human_noise_var")
        discrepancy = middle - human_noise
    else:
        human_noise = pairs.product(people - a, people - a)
        discrepancy = pairs.product(a - expected, a - expected)
        middle = human_noise + discrepancy
        parts = {
            "c1": 2 * pairs.product(y_bar - people, people - a),
            "c2": 2 * pairs.product(y_bar - a, a - expected),
            **c3,
        }
    return RiskDecomposition(
        n=pairs.n,
        risk=((y_bar - t_bar) ** 2).sum(axis=-1),
        average_human_bias=spread_y,
        human_noise=human_noise,
        twin_discrepancy=nothing if b is None else discrepancy,
        noise_and_discrepancy=middle,
        twin_uncertainty=twin_uncertainty,
        diversity=diversity,
        printed_sum=spread_y + middle + inside - diversity,
        remainder_parts=parts,
        human_sampling_variance=spread_y / (pairs.n - 1),
    )


def pure_llm_risk(
    y: npt.ArrayLike,
    reference: npt.ArrayLike,
    v_pure: npt.ArrayLike = 0.0,
    human_mean: npt.ArrayLike | None = None,
    human_noise_var: npt.ArrayLike | None = None,
) -> RiskDecomposition:
    """Risk of deciding by the LLM alone: of a crowd whose members all answer r, and v_pure (`llm_decision`) beside it.

    L' = (ybar - r)^2 + v_pure,   printed as L1 + L2 + mean (a_i - r)^2 + eta

    Parameters
    ----------
    y
        Answers, as in `risk_decomposition`.
    reference
        r, a number, `(n_problems,)` or `(n_problems, n_options)`: the mean of the decision.
    v_pure
        Its variance: 0 for E[Phi], eta(t) for one draw, eta(t) / K for the mean of K draws.
    human_mean, human_noise_var
        As in `risk_decomposition`.

    Returns
    -------
    RiskDecomposition
        `twin_uncertainty` is v_pure, `diversity` 0.

    Raises
    ------
    DataError
        When `reference` does not match the problems of `y`.
    """
    people = answers(y, "y")
    r = numbers(reference, "reference")
    if people.shape[2] == 1 and r.ndim == 1:
        r = r[:, None]
    try:
        everybody = np.broadcast_to(r, people.shape)
    except ValueError:
        raise DataError(
            f"reference has shape {np.shape(reference)}, y {np.shape(y)}; give one answer a problem."
        ) from None
    found = risk_decomposition(people, everybody, everybody, human_mean, human_noise_var)
    variance = broadcast(spread(v_pure, "v_pure"), found.risk.shape, "v_pure")
    return replace(
        found, risk=found.risk + variance, twin_uncertainty=variance, printed_sum=found.printed_sum + variance
    )


def expected_risk(
    human_mean: npt.ArrayLike,
    twin_mean: npt.ArrayLike,
    human_noise_var: npt.ArrayLike,
    twin_noise_var: npt.ArrayLike,
    *,
    human_mean_noise_var: npt.ArrayLike | None = None,
    twin_mean_noise_var: npt.ArrayLike | None = None,
) -> RiskDecomposition:
    """Theorem 4.2 in expectation over answers, where the truth is known: for simulators, and to see what a term does.

    L = L1 + L2 + L3 + L4 - L5 + R,   R = 2 [Cov_N(a, b) - Var_N(a)] - 2 [L2 - Var(mean eps)]
      = (mean a - mean b)^2 + Var(mean eps) + Var(mean e)

    Parameters
    ----------
    human_mean, twin_mean
        a_i and b_i, in the shapes of `risk_decomposition`.
    human_noise_var, twin_noise_var
        Variance of one answer about them, numbers or arrays that broadcast to `(n, n_problems)`.
    human_mean_noise_var, twin_mean_noise_var
        Var(mean eps) and Var(mean e), `(n_problems,)`; those of independent answers when None. Twins that share one
        draw of the LLM have common noise, which no number of twins averages out.

    Returns
    -------
    RiskDecomposition
        Expected terms.

    Raises
    ------
    DataError
        When shapes do not match, a variance is negative, or a problem has fewer than two pairs.
    """
    a, b = answers(human_mean, "human_mean"), answers(twin_mean, "twin_mean")
    there = where_both(a, b)
    pairs = PairMeans(there)
    variances = []
    for given, name in ((human_noise_var, "human_noise_var"), (twin_noise_var, "twin_noise_var")):
        found = spread(given, name)
        found = found[:, None] if np.ndim(human_mean) == 1 and found.ndim == 1 else found
        variances.append(np.where(there, broadcast(found, there.shape, name), 0.0))
    level2, level4 = (each.sum(axis=0) / pairs.n for each in variances)
    of_mean = [
        variance.sum(axis=0) / pairs.n**2 if given is None else broadcast(spread(given, name), pairs.n.shape, name)
        for variance, given, name in (
            (variances[0], human_mean_noise_var, "human_mean_noise_var"),
            (variances[1], twin_mean_noise_var, "twin_mean_noise_var"),
        )
    ]
    a_bar, b_bar = pairs.mean(a), pairs.mean(b)
    spread_a = pairs.product(a - a_bar, a - a_bar)
    level1 = spread_a + level2 - of_mean[0]
    level3 = pairs.product(a - b, a - b)
    level5 = pairs.product(b - b_bar, b - b_bar) + level4 - of_mean[1]
    return RiskDecomposition(
        n=pairs.n,
        risk=((a_bar - b_bar) ** 2).sum(axis=-1) + of_mean[0] + of_mean[1],
        average_human_bias=level1,
        human_noise=level2,
        twin_discrepancy=level3,
        noise_and_discrepancy=level2 + level3,
        twin_uncertainty=level4,
        diversity=level5,
        printed_sum=level1 + level2 + level3 + level4 - level5,
        remainder_parts={
            "2[Cov(a, b) - Var(a)]": 2 * (pairs.product(a - a_bar, b - b_bar) - spread_a),
            "-2[L2 - Var(mean eps)]": -2 * (level2 - of_mean[0]),
        },
        human_sampling_variance=level1 / (pairs.n - 1),
    )


def _mean_answers(given: npt.ArrayLike, name: str, there: BoolArray) -> FloatArray:
    """Expected answers, there wherever the pair is."""
    found = answers(given, name)
    if found.shape[:2] != there.shape:
        raise DataError(f"{name} has shape {np.shape(given)}; give one a pair, {there.shape}.")
    if np.isnan(found[there]).any():
        raise DataError(f"{name} is NaN where a pair is there; give every expected answer.")
    return found
