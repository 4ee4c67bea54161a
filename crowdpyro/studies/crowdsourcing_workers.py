"""How many LLM workers reach people's mean rating, with and without the generator (the paper's Figures 24 to 26).

n(t, tol) = min { n : |a_n(t) - ybar_t| <= tol },   a_n made of the first n of an LLM's answers to problem t

An LLM worker is one answer of the LLM: zero-shot, or under a persona; of an LLM that was asked without personas, a draw
from its distribution. Alone, a_n is their mean; with the generator,
the crowd's expected answer where their mean is the reference; by ridge regression, what that makes of it. All learn
from other problems than those asked, once from the whole training sample and once from nine ratings. Reaching is partly
luck: a_n passes through the tolerance more often the more it moves, and a constant reaches some with no worker at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..inference.seeds import generator
from ..reference_table import mean_of_known
from ..references import References
from .cell import Cell
from .crowdsourcing_backbones import Material
from .crowdsourcing_figures import COLOURS, canvas, heading, legend
from .crowdsourcing_methods import Backbone, crowd_model, predict
from .crowdsourcing_protocols import Trial
from .crowdsourcing_thinning import answered
from .metric import Metric
from .rows import Rows
from .search import CHOSEN
from .study import Grid, Method, Pictures, Protocol, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

TOLERANCES = (0.1, 0.2, 0.3, 0.4)
WORKERS = (1, 2, 3, 4, 6, 8, 12)
_NINE = 9

METRICS = (
    Metric(
        "reached", "reached", "share of problems whose mean rating was met with so many LLM workers or fewer", False
    ),
)
PROTOCOLS = (
    Protocol("problem", "new problems", "A fifth of the problems are kept from training."),
    Protocol("nine", "trained on nine ratings", "The same problems, everything learned from nine ratings of others."),
)
METHODS = (
    Method("crowdllm", "with the generator", "crowd"),
    Method("ridge_calibration", "ridge regression on the answers", "yardstick"),
    Method("training_marginal", "training mean, no LLM worker", "yardstick", references=False),
    Method("llm_workers", "LLM workers alone", "llm", protocols=("problem",)),
)
_COLOURS = {**COLOURS, "llm_workers": COLOURS["llm_multi_persona"]}


def evaluate(cell: Cell, data: Material) -> pd.DataFrame:
    """Share of problems reached, by tolerance and number of LLM workers."""
    trial, gold = data.trial("problem", cell.seed)
    if cell.protocol == "nine":
        chosen = np.zeros(trial.train.n_answers, dtype=bool)
        chosen[generator(cell.seed).permutation(trial.train.n_answers)[:_NINE]] = True
        trial = replace(trial, train=answered(trial.train, chosen))
    values, truth = gold.scale.values, gold.aggregate("mean")
    if not cell.references:
        answer = predict(cell.method, trial, None).shares @ values
        found = [answer for _ in WORKERS]
    else:
        everything = data.backbone(cell.references).references
        found = [each @ values for each in _shares(cell.method, trial, everything, cell.seed)]
    rows, ids = Rows(), trial.gold.problems.index
    off = np.abs(np.stack(found) - truth)
    for tolerance in TOLERANCES:
        reached = np.logical_or.accumulate(off <= tolerance + 1e-9, axis=0)
        for n, each in zip(WORKERS, reached, strict=True):
            if n == 8:
                rows.add_units("reached", each.astype(float), ids, str(tolerance), n)
            else:
                rows.add("reached", float(each.mean()), str(tolerance), n)
    return rows.frame()


def _shares(method: str, trial: Trial, everything: References, seed: int) -> list[FloatArray]:
    """Predicted shares with 1, 2, ... LLM workers; what is fitted learns from all of the LLM's answers."""
    asked = [some_workers(everything.select(trial.gold.problems.index), n, seed) for n in WORKERS]
    if method == "llm_workers":
        return [each.probabilities() for each in asked]
    known = some_workers(everything, max(WORKERS), seed)
    backbone = Backbone(known.names[0], known, known.names[0])
    if method == "crowdllm":
        model = crowd_model(CHOSEN, trial, backbone)
        return [model.shares(trial.gold.problems, each, participants=1024, seed=seed) for each in asked]
    found = []
    for each in asked:
        both = _joined(known.select(trial.train.problems.index), each)
        found.append(predict(method, trial, Backbone(both.names[0], both, both.names[0])).shares)
    return found


def some_workers(references: References, n: int, seed: int) -> References:
    """The mean of the first n answers of one LLM to each problem; personas are in an order that the seed draws."""
    source = references.sources[0]
    mean = mean_of_known(_workers_of(source.values, seed)[:, :n], axis=1)
    # Where all of these refused, what the LLM says of the average problem.
    mean = np.where(np.isnan(mean), np.nanmean(mean, axis=0), mean)
    return replace(references, sources=(replace(source, personas=("",), values=mean[:, None]),))


def _workers_of(values: FloatArray, seed: int) -> FloatArray:
    """Answers of an LLM's workers, `(n_problems, n_workers, n_levels)`: its personas, or draws where it has none."""
    rng, (n_problems, n_personas, n_levels) = generator(seed), values.shape
    if n_personas > 1:
        return values[:, rng.permutation(n_personas)]
    drawn = (rng.random((n_problems, max(WORKERS), 1)) > np.cumsum(values, axis=2)).sum(axis=2)
    answers: FloatArray = np.eye(n_levels)[np.minimum(drawn, n_levels - 1)]
    return np.where(np.isnan(values[:, :, :1]), np.nan, answers)


def _joined(one: References, other: References) -> References:
    """Both of the same LLM, side by side in problems."""
    first, second = one.sources[0], other.sources[0]
    problems = first.problems.append(second.problems)
    values = np.concatenate([first.values, second.values])
    return replace(one, sources=(replace(first, problems=problems, values=values),))


def figures(frame: pd.DataFrame) -> Pictures:
    """Share of problems reached against the number of LLM workers, a panel a tolerance."""
    part = frame[frame["metric"] == "reached"]
    if not len(part):
        return []
    sentence = (
        "Share of new problems whose mean human rating was met by so many LLM workers or fewer: alone, with the "
        "generator, and by ridge regression; lines learned from the whole training sample, dashes from nine ratings."
    )
    return [("LLM workers needed", sentence, reached_curves(part))]


def reached_curves(part: pd.DataFrame) -> Figure:
    """One panel a tolerance."""
    titles = {method.name: method.title for method in METHODS}
    figure, panels = canvas(len(TOLERANCES), height=2.7, columns=2, width=4.2)
    for panel, tolerance in zip(panels, TOLERANCES, strict=True):
        here = part[part["aggregator"] == str(tolerance)]
        for (method, protocol), line in here.groupby(["method", "protocol"], sort=False):
            mean = line.groupby("n_virtual")["value"].mean()
            solid = protocol == "problem"
            panel.plot(
                mean.index, mean, "-" if solid else "--", color=_COLOURS[str(method)], lw=1.4,
                label=titles[str(method)] if solid else None,
            )  # fmt: skip
        panel.set_ylim(0, 1)
        heading(panel, f"within {tolerance:g} of people's mean", "LLM workers")
    panels[0].set_ylabel("share of problems reached", fontsize=9)
    legend(panels[0])
    return figure


def study(
    name: str, title: str, load: Callable[[Path | None], Material], references: str, files: tuple[str, ...]
) -> Study:
    """The study of one data set, with one LLM."""
    return Study(
        name=name,
        title=title,
        meaning="How many answers of an LLM to a problem are needed to meet what people answer on average.",
        protocols=PROTOCOLS,
        methods=METHODS,
        references=(references,),
        columns=("reached:0.3@8", "reached:0.1@8", "reached:0.2@8", "reached:0.4@8", "reached:0.3@1"),
        metrics=METRICS,
        load=load,
        evaluate=evaluate,
        quick=Grid(seeds=(0,)),
        files=files,
        revision=2,
        held_out=0.2,
        figures=figures,
    )
