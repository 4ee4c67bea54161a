"""What the simulation shows: Figure 9 with the paper's axes, the five statements, and the power table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import t as student

from .metric import Column
from .simulation_design import designs
from .simulation_insights import HEADLINE, findings, sentences
from .verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Shades of one hue as in the paper, but for the last, which would vanish on near-black.
_SHADES = {5: "#9ecae1", 10: "#4f9fd6", 20: "#1f6fb4", 40: "#d95f02"}
_MARKERS = {5: "o", 10: "s", 20: "^", 40: "D"}
EXACT = Column.parse("mae:mean")


def summarised(frame: pd.DataFrame, column: Column = HEADLINE) -> pd.DataFrame:
    """Mean over repeats of one column, with a 95 % interval.

    Returns
    -------
    DataFrame
        `noise, diversity, workers, tasks, annotations, mean, low, high, repeats`.
    """
    rows = frame
    for name, value in column.place.items():
        rows = rows[rows[name] == value]
    if rows.empty:
        return pd.DataFrame(columns=["noise", "diversity", "workers", "tasks", "annotations", "mean", "repeats"])
    keys = ["noise", "diversity", "workers", "tasks", "annotations"]
    found = designs(rows).groupby(keys)["value"].agg(["mean", "std", "size"]).reset_index()
    n = found["size"].to_numpy()
    reach = np.where(n > 1, found["std"] / np.sqrt(n) * student.isf(0.025, np.maximum(n - 1, 1)), np.nan)
    low, high = found["mean"] - reach, found["mean"] + reach
    return found.drop(columns=["std", "size"]).assign(low=low, high=high, repeats=n)


def figures(frame: pd.DataFrame) -> list[tuple[str, str, Figure]]:
    """Figure 9, of 20 virtual participants and of the model's exact mean."""
    found = []
    for column, whose in ((HEADLINE, "20 virtual participants"), (EXACT, "an infinite crowd")):
        table = summarised(frame, column)
        if len(table):
            sentence = (
                f"MAE of the mean of {whose} against the number of workers; rows are the error of the responses, "
                "columns the diversity of beliefs, lines the tasks of each worker. Bars are 95 % intervals over "
                "repeats; the dashed line is a least-squares line on the LLM's answer, fitted to the largest sample."
            )
            line = summarised(frame, Column.parse("mae_line"))
            found.append((f"Figure 9: {whose}", sentence, figure_9(table, line)))
    return found


def figure_9(table: pd.DataFrame, line: pd.DataFrame) -> Figure:
    """A panel a noise and diversity, of `summarised` results of the crowd and of the least-squares line."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    noises, diversities = (sorted(table[name].unique()) for name in ("noise", "diversity"))
    figure = Figure(figsize=(2.9 * len(diversities) + 1.1, 2.3 * len(noises) + 0.9), layout="constrained")
    panels = figure.subplots(len(noises), len(diversities), sharex=True, sharey=True, squeeze=False)
    workers = sorted(table["workers"].unique())
    for row, noise in enumerate(noises):
        for place, diversity in enumerate(diversities):
            axes = panels[row, place]
            here = (table["noise"] == noise) & (table["diversity"] == diversity)
            for tasks, part in table[here].groupby("tasks"):
                # Side by side, so that bars do not cover each other.
                x = part["workers"] * (1 + 0.02 * (list(_SHADES).index(tasks) - 1.5))
                axes.plot(
                    x, part["mean"], color=_SHADES[tasks], marker=_MARKERS[tasks], markersize=4, label=f"{tasks} tasks"
                )
                axes.vlines(x, part["low"], part["high"], color=_SHADES[tasks], linewidth=1)
            other = line[(line["noise"] == noise) & (line["diversity"] == diversity)]
            if len(other):
                best = other.loc[other["annotations"].idxmax(), "mean"]
                axes.axhline(best, color="#808080", linestyle="--", linewidth=1, label="line on the LLM")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(workers))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([str(each) for each in workers])
            axes.spines[["top", "right"]].set_visible(False)
            if row == 0:
                axes.set_title(f"belief diversity {diversity}", fontsize=10)
            if row == len(noises) - 1:
                axes.set_xlabel("workers")
            if place == 0:
                axes.set_ylabel(f"error of response {noise}\nMAE")
    top = float(np.nanmax(table["high"].fillna(table["mean"])))
    panels[0, 0].set_ylim(0, min(top, 2 * float(table["mean"].max())) * 1.05)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    return figure


def tables(frame: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """The statements' numbers, and the power table."""
    found = []
    numbers = findings(frame)
    if len(numbers):
        rounded = numbers.round({"mean": 3, "low": 3, "high": 3})
        found.append(("The five statements, number by number", "Intervals of 95 % over repeats.", rounded))
    power = power_rows(frame)
    if len(power):
        sentence = (
            "What a crowd's mean errs by on unseen problems, and what its twins tell of people: "
            "`theory.PowerTable(frame)` plans with these rows."
        )
        found.append(("Power table", sentence, power.round(3)))
    return found


def power_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of `theory.PowerTable`: `noise, diversity, workers, tasks`, then means over repeats.

    Returns
    -------
    DataFrame
        `error` is the MAE of an infinite crowd, `error_se` its standard error over repeats; `answer_sd, twin_sd,
        correlation` of people and twins.
    """
    exact = summarised(frame, EXACT)
    if exact.empty:
        return exact
    keys = ["noise", "diversity", "workers", "tasks"]
    found = exact[[*keys, "mean", "repeats"]].rename(columns={"mean": "error"})
    quantile = student.isf(0.025, np.maximum(exact["repeats"].to_numpy() - 1, 1))
    found["error_se"] = (exact["high"] - exact["mean"]).to_numpy() / quantile
    for metric, name in (("answer_sd", "answer_sd"), ("twin_sd", "twin_sd"), ("twin_correlation", "correlation")):
        part = summarised(frame, Column.parse(metric))[[*keys, "mean"]].rename(columns={"mean": name})
        found = found.merge(part, on=keys, how="left")
    return found


def verdict(frame: pd.DataFrame) -> Verdict:
    """How many of the statements stand, and whether the crowd beats a straight line."""
    told = sentences(frame)
    confirmed = sum(" Confirmed: " in each for each in told)
    crowd, line = summarised(frame, EXACT), summarised(frame, Column.parse("mae_line"))
    keys = ["noise", "diversity", "workers", "tasks"]
    both = crowd.merge(line, on=keys, suffixes=("", "_line")) if len(line) else line
    won = int((both["mean"] < both["mean_line"]).sum()) if len(both) else 0
    stand = f"{confirmed} of the paper's five statements are confirmed"
    if not len(both):
        return Verdict("correct first", f"{stand}; no straight line was drawn beside the crowd.", tuple(told))
    line_wins = 2 * won < len(both)
    first = f"a straight line on the LLM's answer is closer than the crowd's mean in {len(both) - won}"
    if not line_wins:
        first = f"the crowd's mean is closer than a straight line on the LLM's answer in {won}"
    winner = f"{first[0].upper()}{first[1:]} of {len(both)} designs; {stand}."
    rule = "The rule: trust where the crowd is closer than the line in most designs, walk away where the line is."
    return Verdict("walk away" if line_wins else "trust", winner, (*told, rule))
