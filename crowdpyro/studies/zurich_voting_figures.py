"""Pictures and tables of the report on case study III."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .study import Pictures, Tables

# Blue and orange that read on white and on near-black; black becomes the page's ink.
_BLUE, _ORANGE, _INK = "#3b8ec2", "#e08214", "black"
_STAGES = {
    "stage_fixed_belief": "belief and decision fixed",
    "stage_fixed_decision": "decision fixed",
    "crowdllm": "crowdpyro",
}
_TOLD = "told"
_RULES = {"counts": "by votes", "greedy": "by votes per franc", "equal_shares": "equal shares"}


def figures(frame: pd.DataFrame) -> Pictures:
    """Figure 8 of the paper, and foretold votes on projects that nobody had voted on."""
    return [picture for picture in (_stages(frame), _unseen(frame)) if picture is not None]


def tables(frame: pd.DataFrame) -> Tables:
    """Zero-vote projects, who is funded, the other ballots, and spoiled ones."""
    found: Tables = []
    none = _means(frame, "voters", "zero_vote_projects")
    if len(none):
        found.append(
            (
                "Zero-vote projects",
                "Of 24 projects, so many get no vote from a crowd of 36: the paper's figure 8 as numbers.",
                none.rename("projects without a vote").to_frame(),
            )
        )
    overlap = frame[(frame["metric"] == "outcome_overlap") & (frame["protocol"] == "voters")]
    if len(overlap):
        table = overlap.pivot_table(index=["method", "references"], columns="aggregator", values="value")
        found.append(
            (
                "Who gets the money",
                "Overlap of what 36 virtual and 36 real voters fund with a third of what everything would cost.",
                table[[rule for rule in _RULES if rule in table]].rename(columns=_RULES),
            )
        )
    others = frame[~frame["protocol"].isin(("voters", "projects")) & (frame["metric"] == "mae")]
    if len(others):
        found.append(
            (
                "Other ballots of the same voters",
                "MAE of a project's votes or points, of the 36 voters held out.",
                others.pivot_table(index="method", columns="protocol", values="value"),
            )
        )
    spoiled = frame[frame["metric"] == "spoiled_ballots"]
    if len(spoiled):
        table = spoiled.pivot_table(index="method", columns="aggregator", values="value").astype(int)
        found.append(
            (
                "Spoiled ballots of LLMs",
                "A ballot with a fault is not counted, as in an election; of several faults the first is named. Where "
                "there are fewer papers than 180 voters, the LLM's vote of the others was not recorded.",
                table[
                    [
                        "papers",
                        "valid",
                        *(name for name in table if name not in ("papers", "valid") and table[name].any()),
                    ]
                ],
            )
        )
    return found


def _means(frame: pd.DataFrame, protocol: str, metric: str) -> pd.Series:
    """Mean over seeds by method and references."""
    there = frame[(frame["protocol"] == protocol) & (frame["metric"] == metric)]
    return there.groupby(["method", "references"])["value"].mean().sort_values()


def _votes(frame: pd.DataFrame, protocol: str, method: str, metric: str = "votes") -> pd.Series | None:
    """Votes by project of one method, None where they are not there."""
    there = frame[
        (frame["protocol"] == protocol)
        & (frame["method"] == method)
        & (frame["metric"] == metric)
        & frame["references"].isin((_TOLD, ""))
    ]
    return None if there.empty else there.set_index("aggregator")["value"]


def _stages(frame: pd.DataFrame) -> tuple[str, str, Figure] | None:
    """Votes per project from stage to stage, and the people's below."""
    found = {title: _votes(frame, "voters", name) for name, title in _STAGES.items()}
    people = _votes(frame, "voters", "crowdllm", "people_votes")
    stages = {title: votes for title, votes in found.items() if votes is not None}
    if people is None or len(stages) < len(_STAGES):
        return None
    order = people.sort_values(ascending=False, kind="stable").index
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots(4, 1, sharex=True)
    for ax, (title, votes) in zip(axes, (stages | {"people": people}).items(), strict=True):
        _bars(ax, votes[order].to_numpy(), title, _INK if title == "people" else _BLUE)
    axes[-1].set_xticks(range(len(order)), list(order), fontsize=8)
    axes[-1].set_xlabel("project, by the people's votes", color=_INK)
    none = _means(frame, "voters", "zero_vote_projects")
    told = [none.get((name, _TOLD)) for name in _STAGES]
    mean = ", ".join(f"{each:.1f}" for each in told if each is not None)
    sentence = (
        "Votes of 36 held-out voters and of as many virtual ones; a circle is a project without a vote. Over all seeds "
        f"{mean} projects go without from stage to stage, and {none.get(('people', ''), np.nan):.1f} among people."
    )
    return "From one belief to a crowd (figure 8)", sentence, figure


def _bars(ax: Axes, votes: npt.NDArray[np.float64], title: str, colour: str) -> None:
    ax.bar(np.arange(len(votes)), votes, color=colour, width=0.75)
    empty = np.flatnonzero(votes == 0)
    if len(empty):
        ax.plot(empty, np.zeros(len(empty)), "o", mfc="none", mec=_ORANGE, ms=5, clip_on=False)
    ax.set_title(f"{title}: {len(empty)} without a vote", loc="left", fontsize=9, color=_INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_facecolor("none")
    ax.tick_params(labelsize=8, length=2)


def _unseen(frame: pd.DataFrame) -> tuple[str, str, Figure] | None:
    """Foretold against true votes of held-out projects, beside the best LLM's."""
    people = _votes(frame, "projects", "crowdllm", "people_votes")
    found = {
        "crowdpyro": _votes(frame, "projects", "crowdllm"),
        "GPT-4, persona": _votes(frame, "projects", "llm_gpt4_persona"),
        "GPT-4, zero-shot": _votes(frame, "projects", "llm_gpt4_t1"),
    }
    pairs = {title: votes for title, votes in found.items() if votes is not None}
    if people is None or len(pairs) < len(found):
        return None
    highest = 1 + max(float(votes.max()) for votes in (people, *pairs.values()))
    figure = Figure(figsize=(8, 3.1), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    for ax, (title, votes) in zip(axes, pairs.items(), strict=True):
        ax.plot([0, highest], [0, highest], color=_INK, lw=0.7, ls=(0, (4, 3)))
        ax.plot(people, votes[people.index], "o", ms=5, color=_BLUE if title == "crowdpyro" else _ORANGE, alpha=0.85)
        error = float(np.abs(votes[people.index] - people).mean())
        ax.set_title(f"{title}, MAE {error:.2f}", loc="left", fontsize=9, color=_INK)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_facecolor("none")
        ax.set_xlabel("people's votes, of 36", color=_INK)
    axes[0].set_ylabel("foretold", color=_INK)
    return (
        "Projects that nobody had voted on",
        "Each of 24 projects was held out once; points on the dashed line are foretold exactly. The first partition.",
        figure,
    )
