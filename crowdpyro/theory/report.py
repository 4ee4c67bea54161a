"""Does the crowd beat the LLM here, and would more diversity help? Section 4 on held-out problems, in one report.

A crowd of N recruits, N given, decides by its mean, the LLM by a rule that is named (`llm_decision`). The gap of a
problem, L - L' = |mu|^2 - 2 mu . Delta + V - v_pure, is linear in the LLM's error Delta, so that its unbiased estimate
and its interval follow from those of ybar - r:

    gap_t -+ t 2 sqrt(mu' Sigma mu / n_t)        Sigma: covariance of people's answers to one problem, pooled

Pooled, because seven people who agree by chance are not certain. Diversity comes in by V = Var(answers of recruits)/N
alone: answers spread s times as far about their mean make it s^2 V, so that more diversity is never less risk of the
mean. (It may be what the distribution of answers lacks: see `metrics.wasserstein1`.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from ..errors import DataError, ModelError
from ..inference.seeds import checked_seed
from ..models.ballot import Ballot
from ..models.scales import Categorical, Continuous, Ordinal, Scale
from .checked import FloatArray, at_least, chance, one_hot
from .eta import Decision, Rule, eta_from_draws, llm_decision
from .gap_test import GapTest, risk_gap_test
from .kappa import conformal_kappa
from .risk import RiskDecomposition, pure_llm_risk, risk_decomposition
from .win import WinInterval, win_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..data import CrowdData
    from ..estimator import CrowdLLM
    from ..references import References


@dataclass(frozen=True, eq=False)
class WinReport:
    """Crowd against LLM on held-out problems; arrays are `(n_problems,)`.

    Attributes
    ----------
    problems
        Ids of the problems, those with fewer than two answers left out.
    crowd, llm
        Risk of the people's own twins, and of the LLM alone, against the people's mean.
    win
        The exact condition and the printed one with Delta estimated by ybar - r.
    gap_low, gap_high
        Interval of each problem's L - L'.
    kappa
        Conformal bound of the LLM's distance to people on a new problem.
    gap_test
        L - L' averaged over the problems.
    human_noise, mean_error, sampling, llm_error, llm_noise
        What the averaged risks are made of: people's sampling variance, in both; the crowd's squared error and V; the
        LLM's squared error and v_pure. Squared errors are debiased, and may be negative.
    crowd_size
        N.
    rule
        How the LLM decides.
    level
        Of all intervals; kappa's is 1 - alpha.
    alpha
        Of kappa.
    n_left_out
        Problems with fewer than two answers.
    """

    problems: pd.Index
    crowd: RiskDecomposition
    llm: RiskDecomposition
    win: WinInterval
    gap_low: FloatArray
    gap_high: FloatArray
    kappa: float
    gap_test: GapTest
    human_noise: float
    mean_error: float
    sampling: float
    llm_error: float
    llm_noise: float
    crowd_size: int
    rule: str
    level: float
    alpha: float
    n_left_out: int

    def risk(self, stretch: float = 1.0) -> float:
        """Averaged risk of the crowd, its answers spread about their mean by a factor."""
        return self.human_noise + self.mean_error + stretch**2 * self.sampling

    @property
    def verdicts(self) -> npt.NDArray[np.str_]:
        """Of every problem: `crowd`, `LLM`, or `undecided` where the interval of its gap holds 0."""
        return np.where(self.gap_high < 0, "crowd", np.where(self.gap_low > 0, "LLM", "undecided"))

    @property
    def printed_lost(self) -> tuple[int, int]:
        """Problems that the printed interval promises, and those of them where the estimated gap is above 0."""
        promised = self.win.printed_says
        return int(promised.sum()), int((promised & (self.win.gap > 0)).sum())

    def to_frame(self) -> pd.DataFrame:
        """One row a problem: gap with its interval and verdict, win conditions, risks of crowd and LLM."""
        frame = self.win.to_frame().drop(columns="wins")
        frame.insert(0, "verdict", self.verdicts)
        frame.insert(1, "gap_low", self.gap_low)
        frame.insert(2, "gap_high", self.gap_high)
        for name, part in (("crowd", self.crowd), ("llm", self.llm)):
            columns = part.to_frame().drop(columns="n").add_prefix(f"{name}_")
            frame = pd.concat([frame, columns], axis=1)
        return frame.set_index(self.problems)

    def plot(self) -> Figure:
        """Every problem on the map of the exact condition, and what the averaged risks are made of."""
        from .win_picture import win_picture

        return win_picture(self)

    def __repr__(self) -> str:
        count = {name: int((self.verdicts == name).sum()) for name in ("crowd", "LLM", "undecided")}
        promised, lost = self.printed_lost
        test, twins = self.gap_test, self.crowd.mean()
        left_out = f"; {self.n_left_out} without two answers" if self.n_left_out else ""
        lines = (
            f"{len(self.problems)} problems, a crowd of {self.crowd_size:,} against the LLM by {self.rule}",
            f"L - L'     {test.mean:.4f} [{test.low:.4f}, {test.high:.4f}] at {test.level:g}: {test.better}",
            f"problems   {count['crowd']} won, {count['LLM']} lost, {count['undecided']} undecided{left_out}",
            f"printed    the interval promises {promised}, of which {lost} look lost; kappa {self.kappa:.3g}",
            f"LLM        squared error {self.llm_error:.4f}, own noise {self.llm_noise:.4f}",
            f"crowd      squared error {self.mean_error:.4f}, own noise {self.sampling:.4f}",
            f"people     sampling noise {self.human_noise:.4f}, in both",
            f"diversity  twice as much would change the risk by {self.risk(2.0) - self.risk():+.4f}",
            f"twins      risk {twins['risk']:.3f}, printed sum of their terms {twins['printed_sum']:.3f}",
        )
        return "<WinReport: " + "\n  ".join(lines) + ">"


def win_report(
    model: CrowdLLM,
    data: CrowdData,
    references: References,
    *,
    rule: Rule = "expected",
    n_draws: int = 1,
    temperature: float | None = None,
    crowd_size: int | None = None,
    n_twins: int = 32,
    alpha: float = 0.1,
    level: float = 0.95,
    seed: int = 0,
) -> WinReport:
    """Compare a fitted crowd with its LLM on held-out problems.

    Parameters
    ----------
    model
        Fitted without the answers of `data`.
    data
        People and their answers.
    references
        The LLM's answers to these problems, without gaps; of a panel, the mean.
    rule, n_draws, temperature
        How the LLM decides (see `llm_decision`), at the references' own temperature when None. A single recorded answer
        is a distribution of one option: its eta is 0.
    crowd_size
        N, recruits behind the crowd's mean, with profiles like these people's; as many as there are people when None.
    n_twins
        Draws of each person's twin, behind its expected answer.
    alpha
        Of kappa.
    level
        Of the intervals.
    seed
        Of twins and bootstrap.

    Returns
    -------
    WinReport
        `repr` says who wins, `plot()` shows it.

    Raises
    ------
    DataError
        On ballots, or with fewer than five problems that two people answered.
    MissingReferenceError
        When a problem has no reference.
    ModelError
        When model, data and references are on different scales.
    """
    if isinstance(data.scale, Ballot):
        raise DataError("data holds ballots; take one option's votes as a problem of its own.")
    if data.scale != model.scale or references.scale != data.scale:
        raise ModelError(
            f"model, data and references are on {model.scale}, {data.scale} and {references.scale}; put them on one."
        )
    size = data.n_participants if crowd_size is None else at_least(crowd_size, 2, "crowd_size")
    draws, tail = at_least(n_twins, 2, "n_twins"), (1 - chance(level, "level")) / 2
    y = _vectors(data.matrix(), data.scale)
    asked = (~np.isnan(y[..., 0])).sum(axis=0) >= 2
    if asked.sum() < 5:
        raise DataError(f"data holds {int(asked.sum())} problems that two people answered; give at least 5.")
    kept = data.problems[asked]
    y = y[:, asked]
    there = ~np.isnan(y[..., 0])
    alone = references.select(kept.index).fill("error")
    alone = alone if temperature is None else alone.tempered(temperature)
    decision, one_draw = _decision(alone, rule, n_draws), _decision(alone, "draw", 1).variance
    twin, twin_mean, within = _twins(model, data.participants, kept, references, draws, seed)

    n = there.sum(axis=0)
    y_bar = np.where(there[..., None], y, 0.0).sum(axis=0) / n[:, None]
    residual = np.where(there[..., None], y - y_bar, 0.0)
    covariance = np.einsum("itd,ite->de", residual, residual) / (n - 1).sum()
    noise = np.trace(covariance) / n
    r = decision.mean.reshape(len(n), -1)
    belief = twin_mean - r
    mu = belief.mean(axis=0)
    sigma2 = ((belief - mu) ** 2).sum(axis=2).mean(axis=0)
    # Draws within twins are in the spread of their means, too.
    sigma2 = np.maximum(sigma2 - within / draws, 0.0)
    v_crowd = (within + sigma2) / size
    bound = conformal_kappa(_scalars(r), _scalars(y_bar), alpha)
    found = win_interval(belief, _scalars(y_bar - r), bound, one_draw, v_pure=decision.variance, v_crowd=v_crowd)
    half = -stdtrit(float((n - 1).sum()), tail) * 2 * np.sqrt(np.einsum("td,de,te->t", mu, covariance, mu) / n)
    crowd_mean = r + mu
    return WinReport(
        problems=kept.index,
        crowd=risk_decomposition(y, np.where(there[..., None], twin, np.nan), twin_mean),
        llm=pure_llm_risk(y, r, decision.variance),
        win=found,
        gap_low=found.gap - half,
        gap_high=found.gap + half,
        kappa=bound,
        gap_test=risk_gap_test(y_bar, crowd_mean, r, level, v_pure=decision.variance, v_crowd=v_crowd, seed=seed),
        human_noise=float(noise.mean()),
        mean_error=float((((crowd_mean - y_bar) ** 2).sum(axis=1) - noise).mean()),
        sampling=float(v_crowd.mean()),
        llm_error=float((((r - y_bar) ** 2).sum(axis=1) - noise).mean()),
        llm_noise=float(decision.variance.mean()),
        crowd_size=size,
        rule=decision.rule,
        level=level,
        alpha=alpha,
        n_left_out=int((~asked).sum()),
    )


def _twins(
    model: CrowdLLM, people: pd.DataFrame, problems: pd.DataFrame, references: References, n_draws: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One answer of each twin, the mean of n others, and their variance averaged over twins."""
    answers = (
        _vectors(model.generate(people, problems, references, participation=1.0, seed=int(child)).codes(), model.scale)
        for child in np.random.SeedSequence(checked_seed(seed)).generate_state(n_draws + 1)
    )
    return _moments(answers)


def _moments(answers: Iterable[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Welford's mean and variance of all draws but the first, which is returned as it is."""
    drawn = iter(answers)
    twin = next(drawn)
    mean, squares, n = np.zeros_like(twin), np.zeros_like(twin), 0
    for each in drawn:
        n += 1
        step = each - mean
        mean += step / n
        squares += step * (each - mean)
    return twin, mean, squares.sum(axis=2).mean(axis=0) / (n - 1)


def _decision(references: References, rule: Rule, n_draws: int) -> Decision:
    """What the LLM decides; of draws of a continuous answer, by their mean and variance."""
    scale = references.scale
    if isinstance(scale, Continuous):
        names = {"expected": "E[Phi]", "draw": "one draw", "mean": f"mean of {n_draws} draws"}
        if rule not in names or (n_draws > 1 and rule != "mean"):
            raise DataError(f"rule={rule!r}, n_draws={n_draws}: draws of numbers have a mean of K, and no majority.")
        drawn = np.concatenate([source.base() for source in references], axis=1).T
        several = (~np.isnan(drawn)).sum(axis=0) > 1
        variance = np.zeros(len(several))
        if rule != "expected" and several.any():
            variance[several] = eta_from_draws(drawn[:, several]) / at_least(n_draws, 1, "n_draws")
        return Decision(references.expected(), variance, names[rule])
    probabilities = np.mean([references.probabilities(name) for name in references.names], axis=0)
    values = scale.values if isinstance(scale, Ordinal) else None
    return llm_decision(probabilities, values, rule=rule, n_draws=n_draws)


def _vectors(codes: FloatArray, scale: Scale) -> FloatArray:
    """Answers in the unit of the response, labels one-hot, `(n, n_problems, d)`."""
    if isinstance(scale, Categorical):
        return one_hot(codes, scale)
    if isinstance(scale, Continuous):
        return codes[..., None]
    return np.where(np.isnan(codes), np.nan, scale.decode(np.nan_to_num(codes)))[..., None]


def _scalars(x: FloatArray) -> FloatArray:
    """Vectors of length one as numbers."""
    return x[:, 0] if x.shape[1] == 1 else x
