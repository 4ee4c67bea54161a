"""What the package's own checks say of a fitted model, each as a p-value that small values warn by.

loo_pit        uniformity of held-out people's transforms given their earlier answers (`loo_pit`)
predictive     smallest p-value over the statistics of `posterior_predictive_check`, after Holm
person_fit     the same of how people fit in (`person_fit`): spammers agree with nobody
spammer_score  Mann and Whitney's of spammer scores under Dawid and Skene, people's lower than their own twins'
careless       `careless`'s, of a share of people who answer at random
gap            chance of a gap as favourable to the LLM, from `risk_gap_test`'s mean and standard error
profiles       `profile_w1`'s, respondents against those who are spoken for
subgroups      smallest p-value over traits' levels of the difference of crowd and humans, after Holm
residuals      the same of people less their own twins' mean answers, which leaves the crowd's noise out
classifier     `individuation`'s classifier
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import mannwhitneyu
from scipy.stats import t as student

from ..aggregation.truth import aggregate
from ..careless_people import careless
from ..checks import loo_pit, posterior_predictive_check
from ..crowd import Crowd
from ..inference.uniformity import holm
from ..models.scales import Categorical, Continuous, Ordinal
from ..theory.gap_test import risk_gap_test
from ..theory.profiles import profile_w1
from ..two_sample import classifier_test

if TYPE_CHECKING:
    from ..estimator import CrowdLLM
    from ..inference.checks import Statistic
    from .pipeline_calibration_world import People, World

FloatArray = npt.NDArray[np.float64]

CHECKS = (
    "loo_pit", "predictive", "person_fit", "spammer_score", "careless", "gap", "profiles", "subgroups", "residuals",
    "classifier",
)  # fmt: skip
# So many crowds that Holm's smallest of five p-values, 10 / (1 + n), can warn at .01.
_CROWDS, _PERMUTATIONS, _TWIN_DRAWS = 1200, 199, 20


def person_fit(answers: FloatArray) -> FloatArray:
    """How people agree with the others: low and middle deciles of each one's correlation with the problems' means.

    Parameters
    ----------
    answers
        Shape `(n_participants, n_problems)`, NaN where absent.

    Returns
    -------
    ndarray
        The 10 % and 50 % quantiles over people, and the standard deviation of people's variances within themselves.
    """
    n = (~np.isnan(answers)).sum(axis=0)
    total = np.nansum(answers, axis=0)
    # Each person is left out of the means that they are compared with.
    others = np.where(np.isnan(answers), np.nan, (total - np.nan_to_num(answers)) / np.maximum(n - 1, 1))
    a = answers - np.nanmean(answers, axis=1, keepdims=True)
    b = others - np.nanmean(others, axis=1, keepdims=True)
    scale = np.sqrt(np.nansum(a**2, axis=1) * np.nansum(b**2, axis=1))
    agreement = np.where(scale > 1e-12, np.nansum(a * b, axis=1) / np.where(scale > 1e-12, scale, 1.0), 0.0)
    return np.array([*np.quantile(agreement, [0.1, 0.5]), np.nanvar(answers, axis=1).std()])


_STATISTICS: dict[str, str | Statistic] = {
    **{name: name for name in ("mean", "sd", "correlation", "between_people", "within_people")},
    "person_fit": person_fit,
}


def p_values(world: World, model: CrowdLLM, humans: People, targets: People, seed: int) -> dict[str, float]:
    """P-values of the checks that are defined for the world.

    Parameters
    ----------
    world
        Where everything comes from.
    model
        Fitted to other respondents.
    humans
        Respondents whom the model has not met.
    targets
        Those who are spoken for; only their profiles are looked at.
    seed
        Of draws.
    """
    data, told = world.data(humans), world.told(humans.profiles)
    own = told if world.kind == "biased_llm" else None
    nominal = isinstance(world.scale, Categorical)
    found = {"loo_pit": loo_pit(model, data, own, given="earlier", n_draws=512, seed=seed).p_value()}
    check = posterior_predictive_check(model, data, None if nominal else _STATISTICS, own, n_crowds=_CROWDS, seed=seed)
    of_fit = np.array([name.startswith("person_fit") for name in check.names])
    found["predictive"] = float(np.nanmin(holm(check.p_values[~of_fit])))
    if not isinstance(world.scale, Continuous):
        found["careless"] = careless(model, data, own, seed=seed).p_value
    crowd = model.generate(humans.profiles, None, own, participation=1.0, seed=seed + 1)
    matrix, theirs = Crowd.from_data(data).values(), crowd.values()
    if not nominal:
        found["person_fit"] = float(np.nanmin(holm(check.p_values[of_fit])))
        if isinstance(world.scale, Ordinal):
            of_crowd, of_people = (_spammer_scores(each, world.scale) for each in (crowd.to_frame(), data.answers))
            found["spammer_score"] = float(mannwhitneyu(of_people, of_crowd, alternative="less").pvalue)
        tbar = world.twins(model, targets.profiles, 5, seed + 3).mean(axis=0)
        gap = risk_gap_test(matrix.mean(axis=0), tbar, _llm(world, humans), seed=seed)
        found["gap"] = float(student.sf(gap.mean / gap.se, len(gap.gaps) - 1)) if gap.se > 0 else 1.0
        found["subgroups"] = _subgroups(humans, matrix, theirs)
        own_twins = world.twins(model, humans.profiles, _TWIN_DRAWS, seed + 6)
        found["residuals"] = _subgroups(humans, world.numbers(humans.answers) - own_twins, None)
    found["profiles"] = profile_w1(
        targets.profiles, humans.profiles, n_permutations=_PERMUTATIONS, max_n=150, n_baseline=2, seed=seed
    ).p_value
    strangers = world.people(len(matrix), seed + 4, name="s").profiles
    drawn = model.generate(
        strangers, None, world.told(strangers) if own is not None else None, participation=1.0, seed=seed + 5
    )
    found["classifier"] = classifier_test(matrix, drawn.values(), seed=seed)[1]
    return found


def _llm(world: World, humans: People) -> FloatArray:
    """The LLM's own mean answer to each problem, of the twins where it plays these people."""
    told = world.told(humans.profiles)
    if world.kind == "biased_llm":
        return np.asarray((told.source().values.mean(axis=1)) @ world.scale.values)  # type: ignore[union-attr]
    return told.expected()


def _spammer_scores(answers: pd.DataFrame, scale: Ordinal) -> FloatArray:
    frame = answers[["problem", "participant", "response"]]
    return aggregate(frame, "dawid_skene", scale=scale).participants["spammer_score"].to_numpy()


def _subgroups(humans: People, ours: FloatArray, theirs: FloatArray | None) -> float:
    """Test of people's means within each level of each trait, numbers cut at the median; Holm's smallest.

    Against those of a crowd, or of 0 where there is none.
    """
    group, age = humans.profiles["group"].to_numpy(), humans.profiles["age"].to_numpy()
    old = age > np.median(age)
    chances = []
    for inside in (*(group == level for level in ("a", "b", "c")), old, ~old):
        one, n = ours[inside].mean(axis=1), int(inside.sum())
        if n > 4:
            gap, variance, freedom = one.mean(), one.var(ddof=1), n - 1
            if theirs is not None:
                other = theirs[inside].mean(axis=1)
                gap, variance, freedom = gap - other.mean(), variance + other.var(ddof=1), 2 * (n - 1)
            chances.append(2 * student.sf(abs(gap) / np.sqrt(variance / n), freedom))
    return float(np.min(holm(np.array(chances)))) if chances else 1.0
