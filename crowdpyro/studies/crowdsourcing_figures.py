"""Pictures and further tables of a crowdsourcing study, made of its results over all problems.

Lines and points are means over seeds; bars about points reach one standard deviation of the seeds either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .crowdsourcing_metrics import AGGREGATORS, AS_PEOPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .study import Pictures, Tables

# Read on white and on near-black, and told apart with every common colour blindness (after Okabe and Ito).
COLOURS = {
    "crowdllm": "#2f8fd0",
    "vae_without_llm": "#d55e00",
    "crowdllm_paper": "#c77db0",
    "calibration_table": "#8c8c8c",
    "ridge_calibration": "#00a078",
    "training_marginal": "#b0a040",
    "llm_multi_persona": "#e69f00",
}
_OTHER, QUIET = "#9a9a9a", "#808080"
NAMES = {
    "crowdllm": "crowdpyro",
    "crowdllm_paper": "paper's Eq. 4",
    "vae_without_llm": "without the LLM",
    "calibration_table": "P(y | LLM's rating)",
    "ridge_calibration": "ridge on references",
    "mrp": "MRP",
    "independent_histograms": "problem's histogram",
    "resampled_people": "people resampled",
    "second_humans": "second sample of people",
    "demographic_regression": "demographics",
    "training_marginal": "training marginal",
    "constant_mode": "most frequent answer",
    "uniform": "random",
    "llm_multi_persona": "LLM, personas",
    "llm_zero_shot": "LLM, zero-shot",
    "llm_self_consistency": "LLM, self-consistency",
}
_PROTOCOLS = {"problem": "New problems", "all": "All answers", "participant": "New people"}
_SHOWN = ("gpt4", "embedded")


def figures(frame: pd.DataFrame) -> Pictures:
    """Methods by distance, sizes of the crowd, LLMs side by side, and what the risks are made of."""
    found: Pictures = []
    llm = shown_llm(frame)
    exact = frame[frame["references"].isin(["", llm]) & (frame["n_virtual"] == 0)]
    distance = exact[exact["metric"] == "wasserstein1"]
    if len(distance):
        sentence = (
            "Distance between the histograms of the crowd's and the people's answers, least first: how far each method "
            "is from people, and what a method without a model reaches."
        )
        found.append((f"Every method, references of {llm or 'no LLM'}", sentence, ranked(distance)))
    sizes = frame[
        frame["references"].isin(["", llm])
        & frame["method"].isin(list(COLOURS))
        & (frame["n_virtual"] > 0)
        & (frame["metric"] == "mae")
        & (frame["aggregator"] != "")
    ]
    if len(sizes):
        sentence = (
            "Mean absolute error of what a crowd of 20 decides, by aggregator, people's answers aggregated likewise; "
            "lower is better. Dawid-Skene and GLAD look for one truth behind ratings that differ because people do; in "
            "some crowds of 20 who are all alike, GLAD finds the truth turned upside down, an error of about 3."
        )
        found.append(("Aggregators", sentence, by_aggregator(sizes[sizes["n_virtual"] == sizes["n_virtual"].max()])))
    llms = frame[
        (frame["protocol"] == "problem")
        & (frame["n_virtual"] == 0)
        & (frame["metric"] == "wasserstein1")
        & frame["method"].isin(["crowdllm", "calibration_table", "llm_zero_shot"])
        & (frame["references"] != "")
    ]
    if len(set(llms["references"])) > 1:
        sentence = "The same model on each LLM's answers, on new problems, beside a table of them, and each LLM alone."
        found.append(("Backbones", sentence, by_backbone(llms)))
    risks = frame[frame["metric"].isin(["mean_error", "sampling", "llm_error", "human_noise"])]
    if len(risks):
        sentence = (
            "Expected squared error of the mean answer on new problems, taken apart (the paper's section 4): the "
            "crowd's own error and noise, the LLM's error, and the noise of the few people who are the gold."
        )
        found.append(("Risk of the crowd and of the LLM", sentence, risk_parts(risks)))
    return found


def tables(frame: pd.DataFrame) -> Tables:
    """Sizes of the crowd; floors; theory on held-out problems; whether the crowd's members are individuals."""
    found: Tables = []
    llm = shown_llm(frame)
    drawn = frame[frame["references"].isin(["", llm]) & (frame["n_virtual"] != 0)]
    by = drawn["aggregator"].where(drawn["metric"] == "mae", drawn["metric"].map(_BESIDE_MAE))
    sizes = drawn[((drawn["metric"] == "mae") | drawn["aggregator"].isin(["", "mean"])) & by.notna()]
    if len(sizes):
        size = sizes["n_virtual"].map(lambda n: "as people" if n == AS_PEOPLE else str(n))
        table = sizes.assign(size=size, by=by).pivot_table(
            index=["protocol", "method", "size"], columns="by", values="value", sort=False
        )
        shown = [name for name in (*AGGREGATORS, *_BESIDE_MAE.values()) if name in table]
        named = table[shown].reset_index()
        sentence = (
            "Mean over seeds, by the number of virtual participants: MAE of what they decide, by aggregator, and RMSE "
            "of the mean, CS and W1 of their histograms."
        )
        found.append(("Number of virtual participants", sentence, _named(named)))
    floor = frame[frame["metric"].str.endswith("_floor") & frame["method"].isin(["crowdllm"])]
    if len(floor):
        table = floor.pivot_table(index=["protocol", "references"], columns="metric", values="value", sort=False)
        sentence = "What the crowd's own distribution would score were it the truth: better cannot be expected."
        found.append(("Sampling floor", sentence, table.reset_index()))
    theory = frame[(frame["metric"].isin(_THEORY)) & (frame["method"] == "crowdllm")]
    if len(theory):
        table = theory.pivot_table(index="references", columns="metric", values="value", sort=False)
        sentence = (
            "On new problems: L - L' (below 0 the crowd beats the LLM) and the ends of a split's interval, each a mean "
            "over splits; shares of problems won and lost by the exact condition, what Theorem 4.4 as printed promises "
            "and loses, and the conformal kappa."
        )
        found.append(
            ("Does the crowd beat the LLM?", sentence, table[[m for m in _THEORY if m in table]].reset_index())
        )
    people = frame[frame["metric"].str.startswith("people_") & (frame["method"] == "crowdllm")]
    if len(people):
        side = people["metric"].str.rpartition("_")
        quantity = side[0].str.removeprefix("people_") + people["aggregator"].map(
            lambda name: f" {name}" if name else ""
        )
        table = people.assign(side=side[2], quantity=quantity).pivot_table(
            index=["references", "quantity"], columns="side", values="value", sort=False
        )
        sentence = (
            "Twins of the people themselves, asked what each was asked: spread of people's means, variance within a "
            "person, and how far groups of a trait lie apart. Above the humans' means stereotypes."
        )
        found.append(("Are they individuals?", sentence, table.reset_index()))
    return found


_BESIDE_MAE = {"rmse": "RMSE", "cosine_similarity": "CS", "wasserstein1": "W1"}
_THEORY = ("risk_gap", "risk_gap_low", "risk_gap_high", "won", "lost", "printed_promised", "printed_lost", "kappa")


def shown_llm(frame: pd.DataFrame) -> str:
    """The LLM whose rows are shown where one must be: GPT-4, else the first there is."""
    there = [name for name in frame["references"].unique() if name]
    return next((name for name in (*_SHOWN, *there) if name in there), "")


def ranked(distance: pd.DataFrame) -> Figure:
    """Methods in the order of their mean, a panel a protocol."""
    protocols = [name for name in _PROTOCOLS if name in set(distance["protocol"])]
    rows = distance.groupby("protocol")["method"].nunique().max()
    figure, panels = canvas(len(protocols), height=0.8 + 0.26 * rows, columns=min(3, len(protocols)), width=3.6)
    for panel, protocol in zip(panels, protocols, strict=True):
        part = distance[distance["protocol"] == protocol].groupby("method")["value"].agg(["mean", "std"])
        part = part.sort_values("mean", ascending=False)
        colours = [COLOURS.get(name, _OTHER) for name in part.index]
        place = np.arange(len(part))
        panel.hlines(place, 0, part["mean"], colors=colours, linewidth=1.2, alpha=0.5)
        panel.errorbar(part["mean"], place, xerr=part["std"].fillna(0), fmt="none", ecolor=QUIET, elinewidth=1)
        panel.scatter(part["mean"], place, c=colours, s=26, zorder=3)
        panel.set_yticks(place, [NAMES.get(name, name) for name in part.index], fontsize=8)
        panel.set_xlim(left=0)
        heading(panel, _PROTOCOLS[protocol], "W1, points of the scale")
    return figure


def by_aggregator(errors: pd.DataFrame) -> Figure:
    """Mean absolute error by aggregator, a line a method, a panel a protocol."""
    protocols = [name for name in _PROTOCOLS if name in set(errors["protocol"])]
    figure, panels = canvas(len(protocols), height=3.2, columns=min(3, len(protocols)), width=3.3)
    for panel, protocol in zip(panels, protocols, strict=True):
        part = errors[errors["protocol"] == protocol]
        means = part.pivot_table(index="aggregator", columns="method", values="value").reindex(list(AGGREGATORS))
        for method in (name for name in COLOURS if name in means):
            panel.plot(range(len(means)), means[method], "o-", color=COLOURS[method], label=NAMES[method], lw=1.4, ms=4)
        panel.set_xticks(range(len(means)), ["mean", "median", "majority", "Dawid-\nSkene", "GLAD"], fontsize=8)
        panel.set_ylim(0, min(2.5, float(np.nanmax(means.to_numpy())) * 1.05))
        heading(panel, _PROTOCOLS[protocol], "")
    panels[0].set_ylabel("MAE", fontsize=9)
    legend(panels[-1])
    return figure


def by_backbone(distance: pd.DataFrame) -> Figure:
    """W1 on new problems, a row an LLM."""
    means = distance.pivot_table(index="references", columns="method", values="value")
    means = means.sort_values("crowdllm", ascending=False) if "crowdllm" in means else means
    figure, (panel,) = canvas(1, height=0.9 + 0.3 * len(means), columns=1, width=6.0)
    place = np.arange(len(means))
    marks = {"crowdllm": "o", "calibration_table": "D", "llm_zero_shot": "s"}
    colours = {**COLOURS, "llm_zero_shot": COLOURS["llm_multi_persona"]}
    for method, mark in marks.items():
        if method in means:
            panel.scatter(means[method], place, marker=mark, color=colours[method], s=28, label=NAMES[method])
    panel.set_yticks(place, list(means.index), fontsize=8)
    panel.set_xlim(left=0)
    legend(panel)
    heading(panel, "", "W1, points of the scale")
    return figure


def risk_parts(risks: pd.DataFrame) -> Figure:
    """Stacked parts of both risks, a pair of bars a reference."""
    means = risks.pivot_table(index="references", columns="metric", values="value")
    figure, (panel,) = canvas(1, height=0.9 + 0.5 * len(means), columns=1, width=6.4)
    place = np.arange(len(means))
    parts = {
        "crowd": (("mean_error", COLOURS["crowdllm"], "crowd's error"), ("sampling", "#9ad0f0", "crowd's noise")),
        "LLM": (("llm_error", COLOURS["llm_multi_persona"], "LLM's error"),),
    }
    for shift, (_, stack) in zip((0.2, -0.2), parts.items(), strict=True):
        left = np.zeros(len(means))
        for name, colour, label in (*stack, ("human_noise", _OTHER, "people's noise" if shift > 0 else None)):
            width = means[name].clip(lower=0).to_numpy()
            panel.barh(place + shift, width, 0.34, left=left, color=colour, label=label)
            left += width
    panel.set_yticks(place, list(means.index), fontsize=8)
    legend(panel)
    heading(panel, "", "squared error of the mean answer")
    return figure


def canvas(n: int, *, height: float, columns: int, width: float) -> tuple[Figure, list[Axes]]:
    """A figure of n panels of this size in inches, without a frame."""
    from matplotlib.figure import Figure

    rows = -(-n // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    figure.patch.set_alpha(0)
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(n)]
    for panel in panels:
        panel.patch.set_alpha(0)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color=QUIET, alpha=0.25, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8, length=0)
    return figure, panels


def heading(panel: Axes, title: str, below: str) -> None:
    """Title at the left, and what the horizontal axis is."""
    panel.set_title(title, loc="left", fontsize=10)
    panel.set_xlabel(below, fontsize=9)


def legend(panel: Axes) -> None:
    """What the colours are, above all panels, where anything is drawn."""
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        figure = panel.figure
        columns = max(1, int(figure.bbox.width / figure.dpi / 1.8))
        figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize=8)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(method=table["method"].map(lambda name: NAMES.get(name, name)))
