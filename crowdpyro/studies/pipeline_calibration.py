"""Whether the whole pipeline says what is so: data, references, fit, crowd and intervals on worlds that are known.

intervals       a model fitted to 150 respondents; studies of n others, drawn from a finite population whose means are
                the truth exactly, with a crowd of 500; coverage at four levels of every method
cross_fitted    `CrowdLLM.interval`'s own route: five fits a study of 60 people, the residuals out of fold
sbc             ranks of eps under adaptive importance sampling, and of global parameters under NUTS, parameters drawn
                from their priors
checks          recovery of the joint structure, and p-values of the package's own checks

In the right worlds everything must hold. The wrong ones (`pipeline_calibration_world`) say what breaks, and which check
says so; a check's warnings in the right worlds are its false alarms.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crowd_intervals import cross_fitted_answers
from ..metrics import correlation_error
from ..models.scales import Categorical, Ordinal
from ..theory.interval import crowd_interval
from ..theory.interval_options import Method as IntervalMethod
from ..theory.union_bound import prediction_powered_mean
from .cell import Cell
from .metric import Metric
from .pipeline_calibration_checks import p_values
from .pipeline_calibration_report import figures, tables, verdict
from .pipeline_calibration_world import RIGHT, WRONG, People, World
from .rows import Rows
from .study import Grid, Method, Protocol, Study

if TYPE_CHECKING:
    from torch import Tensor

    from ..inference.calibration import Calibration
    from ..models.batch import Batch
    from ..theory.interval_result import CrowdInterval

FloatArray = npt.NDArray[np.float64]
# Answers of people, of their twins and of the crowd, `(n, n_studies, n_problems)`.
Given: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]

LEVELS = (0.5, 0.8, 0.9, 0.95)
METHODS: tuple[IntervalMethod, ...] = ("human_only", "rectified", "power_tuned", "absolute_bias", "theorem_4_6")
UNION = "theorem_4_5"
SIZES = (20, 50, 200)
_FITTED, _POPULATION, _CROWD, _DRAWS = 150, 4000, 500, 20
_STUDIES, _BLOCK, _CROSS, _CROSS_STUDIES = 500, 25, 60, 3
_HELD_OUT = 150
# Draws of each posterior in `sbc`: twenty ranks, ten bins.
_RANKS, _BINS = 19, 10

METRICS = (
    *(
        Metric(f"coverage_{100 * level:.0f}", f"coverage {level:g}", "share of intervals that cover", None)
        for level in LEVELS
    ),
    Metric("half_width", "half-width", "of 95 % intervals, in the unit of the response", True),
    Metric("mean_error", "error of means", "mean absolute error of the crowd's means against those spoken for"),
    Metric("sample_correlation_error", "corr. error, sample", "of the training people themselves"),
    Metric("p_value", "p-value", "of a check", None),
    Metric("ranks", "ranks", "number of ranks in a bin", None),
)


def load(folder: Path | None) -> None:
    """Nothing: worlds are made by the seed."""


def evaluate(cell: Cell, data: None) -> pd.DataFrame:
    """One world."""
    world, rows = World.of(cell.protocol, cell.seed), Rows()
    {"intervals": _intervals, "cross_fitted": _cross_fitted, "sbc": _sbc, "checks": _checks}[cell.method](
        world, rows, cell.seed
    )
    return rows.frame()


def _intervals(world: World, rows: Rows, seed: int) -> None:
    model = world.fit(world.people(_FITTED, seed, name="t"), seed)
    asked = world.people(_POPULATION, seed + 1)
    spoken_for = world.people(_POPULATION, seed + 2, respondents=False, name="s") if _shifted(world) else asked
    twins = world.twins(model, asked.profiles, _DRAWS, seed)
    members = world.twins(model, spoken_for.profiles, _DRAWS, seed + 1) if _shifted(world) else twins
    y, truth = world.numbers(asked.answers), world.numbers(spoken_for.thoughts).mean(axis=0)
    rng = np.random.default_rng(seed)
    for n in SIZES:
        found: dict[tuple[str, str], list[FloatArray]] = {}
        for _ in range(_STUDIES // _BLOCK):
            # Drawn with replacement: then the population's mean is the truth of every study, exactly.
            who = rng.integers(_POPULATION, size=(n, _BLOCK))
            whom = rng.integers(_POPULATION, size=(_CROWD, _BLOCK))
            one = _studies(y[who], twins[who], members[whom], _BLOCK)
            _measure(found, one, truth.ravel())
        _add(rows, found, n)


def _everybody(world: World, population: People, seed: int) -> People:
    """A sample with somebody of each group: of one that lacks a group (one in 250), a model refuses to tell of it."""
    groups = set(population.profiles["group"])
    # Seeds of studies are next to each other.
    draws = (world.people(_CROSS, seed + step, name="t") for step in range(0, 100, 10))
    return next(each for each in draws if set(each.profiles["group"]) == groups)


def _cross_fitted(world: World, rows: Rows, seed: int) -> None:
    from ..estimator import CrowdLLM
    from .pipeline_calibration_world import CONFIG

    population = world.people(_POPULATION, seed + 1, respondents=False, name="s")
    truth = world.numbers(population.thoughts).mean(axis=0)
    found: dict[tuple[str, str], list[FloatArray]] = {}
    for study in range(_CROSS_STUDIES):
        asked = _everybody(world, population, 100 * (seed + 1) + study)
        y, twins, crowd = cross_fitted_answers(
            CrowdLLM(CONFIG, progress=False),
            world.data(asked),
            world.references,
            population=population.profiles.iloc[study * _CROWD : (study + 1) * _CROWD],
            n_draws=_DRAWS,
            shares=isinstance(world.scale, Categorical),
            seed=seed,
        )
        _measure(found, _studies(y, twins, crowd, 1), truth.ravel())
    _add(rows, found, _CROSS)


def _sbc(world: World, rows: Rows, seed: int) -> None:
    from ..inference.calibration import crowd_calibration
    from ..inference.conditioning import condition
    from ..inference.nuts import sample_posterior

    net, guide = world.truth.model, world.truth.guide
    many = world.truth.batch(world.data(world.people(60, seed)))

    def known(batch: Batch, n_draws: int, seed: int) -> dict[str, Tensor]:
        return {"eps": condition(net, guide, batch, n_draws=2048, seed=seed).resampled(n_draws)}

    _count(rows, "eps", crowd_calibration(net, many, known, n_simulations=4, n_draws=_RANKS, seed=seed))
    few, chosen = world.truth.batch(world.data(world.people(8, seed))), ["belief.shift.weight"]

    def sampled(batch: Batch, n_draws: int, seed: int) -> dict[str, Tensor]:
        drawn = sample_posterior(net, batch, chosen, num_samples=3 * n_draws, warmup_steps=60, seed=seed)
        return drawn.flat(3)

    _count(
        rows, "global",
        crowd_calibration(net, few, sampled, parameters=chosen, n_simulations=6, n_draws=_RANKS, seed=seed),
    )  # fmt: skip


def _checks(world: World, rows: Rows, seed: int) -> None:
    training = world.people(_FITTED, seed, name="t")
    model = world.fit(training, seed)
    targets = world.people(_POPULATION, seed + 1, respondents=False, name="s")
    humans = world.people(_HELD_OUT, seed + 2, name="h")
    tbar = world.twins(model, targets.profiles, 5, seed).mean(axis=0)
    rows.add("mean_error", float(np.abs(tbar - world.numbers(targets.thoughts).mean(axis=0)).mean()))
    if not isinstance(world.scale, Categorical):
        told = world.told(targets.profiles) if world.kind == "biased_llm" else None
        crowd = model.generate(targets.profiles, None, told, participation=1.0, seed=seed).codes()
        exact = np.corrcoef(targets.thoughts.T)
        rows.add("correlation_error", correlation_error(np.corrcoef(crowd.T), exact))
        rows.add("sample_correlation_error", correlation_error(np.corrcoef(training.answers.T), exact))
    if isinstance(world.scale, Ordinal):
        small = (targets.profiles["group"] == "c").to_numpy()
        theirs = world.twins(model, targets.profiles[small], 10, seed).mean(axis=0)
        error = theirs - world.numbers(targets.thoughts[small]).mean(axis=0)
        rows.add("mean_error", float(np.abs(error).mean()), "group_c")
    for check, p_value in p_values(world, model, humans, targets, seed).items():
        rows.add("p_value", p_value, check)


def _count(rows: Rows, of: str, found: Calibration) -> None:
    for name, counts in zip(found.names, found.counts(_BINS), strict=True):
        quantity = name.replace("[", "_").replace("]", "").replace(", ", "_")
        for place, count in enumerate(counts):
            rows.add("ranks", float(count), f"{of}.{quantity}.{place}")


def _studies(y: FloatArray, twins: FloatArray, crowd: FloatArray, n_studies: int) -> Given:
    """Shares side by side as more problems."""
    return tuple(each.reshape(len(each), n_studies, -1) for each in (y, twins, crowd))  # type: ignore[return-value]


def _shifted(world: World) -> bool:
    return world.kind in ("curved", "hidden")


def _measure(found: dict[tuple[str, str], list[FloatArray]], given: Given, truth: FloatArray) -> None:
    """Coverage of all problems of each study, and half-widths."""
    for level in LEVELS:
        for name, interval in _every(given, 1 - level):
            covers = (interval.low <= truth) & (truth <= interval.high)
            found.setdefault((name, f"coverage_{100 * level:.0f}"), []).append(covers.astype(float))
            if level == LEVELS[-1]:
                found.setdefault((name, "half_width"), []).append(interval.half_width)


def _every(given: Given, alpha: float) -> Iterator[tuple[str, CrowdInterval]]:
    for method in METHODS:
        yield method, crowd_interval(*given, alpha, method=method)
    yield UNION, prediction_powered_mean(*given, alpha)


def _add(rows: Rows, found: dict[tuple[str, str], list[FloatArray]], n: int) -> None:
    for (method, metric), values in found.items():
        rows.add(metric, float(np.concatenate([each.ravel() for each in values]).mean()), f"{method}-{n}")


_EVERYWHERE = (*RIGHT, *WRONG)
STUDY = Study(
    name="pipeline_calibration",
    title="Whether the pipeline says what is so",
    meaning=(
        "Worlds that are known. Intervals: a model is fitted to 150 respondents, and studies of 20, 50 and 200 others, "
        "drawn from a finite population whose means are the truth exactly, meet a crowd of 500; coverage at four "
        "levels. Cross-fitted: five fits a study of 60 people, residuals out of fold. Simulation-based calibration: "
        "ranks of participants' noise and of global parameters. Checks: p-values of the package's own checks; in the "
        "right worlds their warnings are false alarms, in the wrong ones they say what breaks."
    ),
    protocols=tuple(
        Protocol(kind, kind.replace("_", " "), "The model is right." if kind in RIGHT else "The model is wrong.")
        for kind in _EVERYWHERE
    ),
    methods=(
        Method("intervals", "intervals, fitted to others", "variant", references=False),
        Method("cross_fitted", "intervals, cross-fitted", "variant", references=False, protocols=RIGHT),
        Method("sbc", "simulation-based calibration", "variant", references=False, protocols=("ratings", "numbers")),
        Method("checks", "the package's own checks", "variant", references=False),
    ),
    columns=("half_width:rectified-50", "coverage_95:rectified-50", "mean_error", "correlation_error"),
    load=load,
    evaluate=evaluate,
    metrics=METRICS,
    seeds=tuple(range(20)),
    quick=Grid(seeds=(0, 1, 2)),
    figures=figures,
    tables=tables,
    verdict=verdict,
)
