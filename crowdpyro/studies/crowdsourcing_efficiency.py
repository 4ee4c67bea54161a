"""How much human data a crowd needs, and how many of its members (the paper's Figures 4, 5 and 12 to 23).

A point is a part of the training sample of protocol `problem`; what is measured are new problems, so that no method can
remember them. The yardsticks are trained on the very same part. Crowds of 1 to 20 members are drawn, diverse ones and
ones whose members are all one person.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..metrics import mean_absolute_error, resolution_rate
from .cell import Cell
from .crowdsourcing_backbones import Material
from .crowdsourcing_figures import COLOURS, NAMES, canvas, heading, legend
from .crowdsourcing_fixed import one_person
from .crowdsourcing_methods import predict
from .crowdsourcing_metrics import aggregated
from .crowdsourcing_thinning import AXES, thinned
from .metric import Metric
from .rows import Rows
from .study import Grid, Method, Pictures, Protocol, Study

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

SIZES = (1, 2, 4, 8, 12, 16, 20)
# People whose answers are averaged over, where a crowd is one person.
_PEOPLE = 10

METRICS = (
    Metric("mae_fixed", "MAE, one person", "mean absolute error of a crowd whose members are one person"),
    Metric("resolved_fixed", "resolved, one person", "share less than half a point off, the members one person", False),
    Metric("training_answers", "answers", "people's answers that were learned from", None),
)
_SAID = {
    "workers": ("workers", "% of the workers"),
    "problems": ("problems", "% of the problems"),
    "ratings": ("ratings", "% of the ratings"),
    "per_problem": ("workers per problem", "workers a problem, at most"),
}
PROTOCOLS = tuple(
    Protocol(
        f"{axis}={size}",
        f"{size} {_SAID[axis][1]}",
        "A part of the training sample; gold are all people's answers to new problems.",
        table=(axis, size) in (("workers", 1), ("workers", 100)),
    )
    for axis, sizes in AXES.items()
    for size in sizes
)
METHODS = (
    Method("crowdllm", "crowdpyro", "crowd"),
    Method("vae_without_llm", "the same without the LLM", "variant", references=False),
    Method("calibration_table", "P(y | the LLM's rating)", "yardstick"),
    Method("ridge_calibration", "ridge regression on the references", "yardstick"),
    Method("training_marginal", "training marginal", "yardstick", references=False),
)
COLUMNS = ("wasserstein1", "mae:mean", "cosine_similarity", "log_loss", "mae:mean@20", "training_answers")


def evaluate(cell: Cell, data: Material) -> pd.DataFrame:
    """Rows of one method on one part of one training sample."""
    trial, gold = data.trial("problem", cell.seed)
    axis, _, size = cell.protocol.partition("=")
    part = replace(trial, train=thinned(trial.train, axis, int(size), cell.seed))
    backbone = data.backbone(cell.references) if cell.references else None
    found = predict(cell.method, part, backbone)
    rows = Rows()
    rows.add_shares(found.shares, gold.counts, gold.scale, gold.data.problems.index, aggregators=["mean"])
    truth, codes = gold.aggregate("mean"), found.draw(max(SIZES), cell.seed)
    for n in SIZES:
        mean = aggregated(codes[:n], "mean", gold.scale)
        rows.add("mae", mean_absolute_error(mean, truth), "mean", n)
        rows.add("resolution_rate", resolution_rate(mean, truth), "mean", n)
    rows.add("training_answers", part.train.n_answers)
    rows.add("seconds", found.seconds)
    if found.model is not None and cell.method == "crowdllm" and backbone is not None:
        asked = backbone.references.select(gold.data.problems.index)
        people = [
            one_person(found.model, gold.data.problems, asked, max(SIZES), cell.seed * _PEOPLE + k)
            for k in range(_PEOPLE)
        ]
        for n in SIZES:
            means = [aggregated(codes[:n], "mean", gold.scale) for codes in people]
            rows.add("mae_fixed", float(np.mean([mean_absolute_error(each, truth) for each in means])), "mean", n)
            rows.add("resolved_fixed", float(np.mean([resolution_rate(each, truth) for each in means])), "mean", n)
    return rows.frame()


def figures(frame: pd.DataFrame) -> Pictures:
    """Curves along each axis, and crowds of 1 to 20 members, diverse and one person."""
    frame = frame.assign(
        axis=frame["protocol"].str.partition("=")[0], size=frame["protocol"].str.partition("=")[2].astype(int)
    )
    found: Pictures = []
    exact = frame[frame["n_virtual"] == 0]
    for metric, aggregator, title in (("wasserstein1", "", "W1"), ("mae", "mean", "MAE"), ("rmse", "mean", "RMSE")):
        part = exact[(exact["metric"] == metric) & (exact["aggregator"] == aggregator)]
        if len(part):
            sentence = (
                f"{title} on new problems against the amount of human data, every method trained on the same part; "
                "mean over seeds, bars one standard deviation. Lower is better."
            )
            found.append((f"{title} and the amount of data", sentence, curves(part, title)))
    drawn = frame[(frame["axis"] == "workers") & (frame["n_virtual"] > 0) & (frame["method"] == "crowdllm")]
    if len(drawn):
        found.append(
            (
                "How many virtual workers",
                "MAE of the mean and share of problems less than half a point off, by the number of virtual workers: "
                "diverse (lines) and all of them one person (dashes), trained on a part of the human workers.",
                by_size(drawn),
            )
        )
    return found


def curves(part: pd.DataFrame, title: str) -> Figure:
    """One panel an axis, one line a method."""
    axes = [axis for axis in AXES if axis in set(part["axis"])]
    figure, panels = canvas(len(axes), height=2.7, columns=2, width=4.2)
    for panel, axis in zip(panels, axes, strict=True):
        here = part[part["axis"] == axis]
        for method in (name for name in COLOURS if name in set(here["method"])):
            line = here[here["method"] == method].groupby("size")["value"].agg(["mean", "std"])
            panel.errorbar(
                line.index, line["mean"], line["std"].fillna(0), color=COLOURS[method], label=NAMES[method],
                lw=1.4, elinewidth=0.8, marker="o", ms=3.5,
            )  # fmt: skip
        panel.set_xscale("log")
        ticks = [size for size in AXES[axis] if size in set(here["size"])]
        panel.set_xticks(ticks, [str(size) for size in ticks])
        panel.minorticks_off()
        heading(panel, "", _SAID[axis][1])
        panel.set_ylabel(title, fontsize=9)
    legend(panels[0])
    return figure


def by_size(drawn: pd.DataFrame) -> Figure:
    """Error and resolution rate against the number of virtual workers, a colour a share of human workers."""
    figure, panels = canvas(2, height=3.2, columns=2, width=4.2)
    shares = sorted(set(drawn["size"]))
    shades = ["#e69f00", "#d0a070", "#c77db0", "#8c8cd0", "#2f8fd0", "#00a078"]
    for panel, metrics, label in zip(
        panels, (("mae", "mae_fixed"), ("resolution_rate", "resolved_fixed")), ("MAE", "share resolved"), strict=True
    ):
        for share, colour in zip(shares, shades, strict=False):
            for metric, style in zip(metrics, ("-", "--"), strict=True):
                line = drawn[(drawn["size"] == share) & (drawn["metric"] == metric) & (drawn["aggregator"] == "mean")]
                mean = line.groupby("n_virtual")["value"].mean()
                name = f"{share} % of the workers" if style == "-" else None
                panel.plot(mean.index, mean, style, color=colour, lw=1.4, label=name)
        panel.set_xticks(SIZES, [str(n) for n in SIZES])
        heading(panel, "", "virtual workers")
        panel.set_ylabel(label, fontsize=9)
    legend(panels[0])
    return figure


def study(
    name: str, title: str, load: Callable[[Path | None], Material], references: str, files: tuple[str, ...]
) -> Study:
    """The study of one data set, with one LLM."""
    return Study(
        name=name,
        title=title,
        meaning="How much human data, and how many virtual participants: every method trained on the same part.",
        protocols=PROTOCOLS,
        methods=METHODS,
        references=(references,),
        columns=COLUMNS,
        metrics=METRICS,
        load=load,
        evaluate=evaluate,
        quick=Grid(protocols=("workers=1", "workers=10", "workers=100", "problems=10", "per_problem=2"), seeds=(0,)),
        files=files,
        revision=2,
        held_out=0.2,
        calibration=("bias", "surprise"),
        figures=figures,
    )
