"""One picture of a `WinReport`: who wins on which problem, and whether more diversity would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .report import WinReport

# As in `plots`: Okabe and Ito's colours.
_COLOURS = {"crowd": "#0072b2", "LLM": "#e69f00", "undecided": "#9a9a9a"}
_INK, _QUIET, _RULE = "#222222", "#6b6b6b", "#dddddd"
_PARTS = (("squared error", "#4d4d4d"), ("own noise", "#9a9a9a"), ("people's sampling noise", "#e3e3e3"))


def win_picture(report: WinReport) -> Figure:
    """Left, every problem with the region where the crowd wins; right, what the averaged risks are made of.

    Parameters
    ----------
    report
        Of `win_report`.
    """
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(9.6, 4.6), layout="constrained", dpi=120)
    try:
        where, risks = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1.0, 1.15), "wspace": 0.02})
        if report.win.mu.ndim == 1:
            _map(where, report)
        else:
            _distances(where, report)
        _bars(risks, report)
        figure.suptitle(_sentence(report), x=0.005, ha="left", fontsize=11, color=_INK)
    finally:
        plt.close(figure)
    return figure


def _sentence(report: WinReport) -> str:
    """The answer to both questions."""
    test = report.gap_test
    verdict = {
        "crowd": "The crowd beats the LLM",
        "LLM": "The LLM beats the crowd",
        "undecided": "Neither is shown to be better",
    }[test.better]
    more = report.risk(2.0) - report.risk()
    return (
        f"{verdict}: L - L' = {test.mean:.3f} [{test.low:.3f}, {test.high:.3f}]. "
        f"Twice the diversity would add {more:.3f} to its risk."
    )


def _map(panel: Axes, report: WinReport) -> None:
    """Shift of the crowd against shift of the people, both from the LLM."""
    error, mu = report.win.llm_error, report.win.mu
    both = np.concatenate([error, mu, [0.0]])
    room = 0.07 * float(np.ptp(both) or 1.0)
    low, high = float(both.min()) - room, float(both.max()) + room
    x = np.linspace(low, high, 801)
    advantage = report.llm_noise - report.sampling
    inside = x**2 + advantage
    half = np.sqrt(np.maximum(inside, 0.0))
    panel.fill_between(x, x - half, x + half, where=inside >= 0, color=_COLOURS["crowd"], alpha=0.13, lw=0)
    panel.plot(x, x, color=_INK, lw=0.8, ls=(0, (4, 3)))
    panel.axhline(0.0, color=_QUIET, lw=0.6)
    # Named at the end where there is more room.
    end = low + 0.5 * room if -low > high else high - 0.5 * room
    for text, at in (("as the LLM", 0.0), ("as people", end)):
        panel.annotate(
            text, (end, at), xytext=(0, 3), textcoords="offset points", ha="left" if end < 0 else "right",
            va="bottom", fontsize=8.5, color=_INK, rotation=45 if at else 0, rotation_mode="anchor",
        )  # fmt: skip
    _points(panel, error, mu, report)
    panel.set(xlim=(low, high), ylim=(low, high))
    panel.set_xlabel("people less LLM  (Δ)", fontsize=9, color=_QUIET)
    panel.set_ylabel("crowd less LLM  (μ)", fontsize=9, color=_QUIET)
    panel.set_title("Blue: the crowd is closer to people", loc="left", fontsize=9.5, color=_INK, pad=20)
    panel.set_aspect("equal", adjustable="box")


def _distances(panel: Axes, report: WinReport) -> None:
    """Of one-hot answers, distances instead of shifts."""
    error = np.linalg.norm(report.win.llm_error, axis=1)
    reach = 1.08 * float(max(error.max(), report.win.distance.max()) or 1.0)
    x = np.linspace(0.0, reach, 401)
    edge = np.sqrt(np.maximum(x**2 + report.llm_noise - report.sampling, 0.0))
    panel.fill_between(x, 0.0, edge, color=_COLOURS["crowd"], alpha=0.13, lw=0)
    _points(panel, error, report.win.distance, report)
    panel.set(xlim=(0, reach), ylim=(0, reach))
    panel.set_xlabel("from LLM to people  |Δ|", fontsize=9, color=_QUIET)
    panel.set_ylabel("from crowd to people  |μ - Δ|", fontsize=9, color=_QUIET)
    panel.set_title("Blue: the crowd is closer to people", loc="left", fontsize=9.5, color=_INK, pad=20)
    panel.set_aspect("equal", adjustable="box")


def _points(panel: Axes, x: np.ndarray, y: np.ndarray, report: WinReport) -> None:
    """Problems by verdict, their number in the legend."""
    names = {"crowd": "won", "undecided": "undecided", "LLM": "lost"}
    verdicts = report.verdicts
    size = float(np.clip(2500 / max(len(x), 1), 7, 30))
    for verdict in ("undecided", "crowd", "LLM"):
        mine = verdicts == verdict
        panel.scatter(
            x[mine], y[mine], s=size, color=_COLOURS[verdict], alpha=0.75, lw=0, label=f"{names[verdict]} {mine.sum()}"
        )
    handles, labels = panel.get_legend_handles_labels()
    order = (1, 2, 0)
    panel.legend(
        [handles[k] for k in order], [labels[k] for k in order], loc="lower left", bbox_to_anchor=(-0.02, 0.985),
        ncols=3, frameon=False, fontsize=8.5, handletextpad=0.1, columnspacing=1.0, borderpad=0.2,
    )  # fmt: skip
    panel.tick_params(labelsize=8, colors=_QUIET, length=0)
    panel.locator_params(nbins=6)
    panel.spines[:].set_color(_RULE)


def _bars(panel: Axes, report: WinReport) -> None:
    """Averaged risks, stacked; a debiased squared error below 0 is drawn as 0."""
    rows = (
        (f"LLM alone\n({report.rule})", report.llm_error, report.llm_noise),
        (f"crowd of {report.crowd_size:,}", report.mean_error, report.sampling),
        ("the same crowd,\ntwice as diverse", report.mean_error, 4 * report.sampling),
    )
    for place, (_, error, noise) in enumerate(rows):
        left = 0.0
        for (name, colour), width in zip(_PARTS, (error, noise, report.human_noise), strict=True):
            shown = max(width, 0.0)
            label = name if place == 0 else None
            panel.barh(place, shown, 0.56, left=left, color=colour, lw=0, label=label)
            left += shown
        total = error + noise + report.human_noise
        panel.annotate(
            f"{total:.3f}",
            (left, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=_INK,
        )
    panel.set_yticks(range(len(rows)), [name for name, *_ in rows])
    panel.invert_yaxis()
    panel.margins(x=0.14)
    panel.set_xlim(left=0)
    panel.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.985), ncols=3, frameon=False, fontsize=8.5, handlelength=1.0,
        handletextpad=0.5, columnspacing=1.0, borderpad=0.2,
    )  # fmt: skip
    panel.set_title("What the risk is made of, mean over problems", loc="left", fontsize=9.5, color=_INK, pad=20)
    panel.set_xlabel("squared unit of the response", fontsize=9, color=_QUIET)
    panel.tick_params(labelsize=8.5, colors=_QUIET, length=0)
    panel.locator_params(axis="x", nbins=6)
    panel.grid(axis="x", color=_RULE, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(_QUIET)
