"""One page of pictures of an `Individuation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .plots import _INK, _QUIET, _RULE, _SERIES, _figure, _wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .individuation import Individuation

_HUMANS, _CROWD = _SERIES[0][1], _SERIES[2][1]
_MOST_ROWS = 16


def page(found: Individuation) -> Figure:
    """Six panels: how answers hang together, reliabilities, people's means, grouping, subgroups, classifier."""
    with _figure(10.2, 6.6) as figure:
        panels = figure.subplots(2, 3)
        _correlations(panels[0, 0], found)
        _reliabilities(panels[0, 1], found)
        _people(panels[0, 2], found)
        _grouping(panels[1, 0], found)
        _subgroups(panels[1, 1], found)
        _classifier(panels[1, 2], found)
        for panel in panels.ravel():
            panel.tick_params(labelsize=7.5, colors=_QUIET, length=0)
            panel.spines[["top", "right"]].set_visible(False)
            panel.spines[["left", "bottom"]].set_color(_RULE)
        handles = [
            panels[0, 1].plot([], [], "o", color=colour, label=name)[0]
            for name, colour in (("Humans", _HUMANS), ("Crowd", _CROWD))
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def _title(panel: Axes, text: str, x: str = "", y: str = "") -> None:
    panel.set_title(text, loc="left", fontsize=9, color=_INK, pad=6)
    panel.set_xlabel(x, fontsize=8, color=_QUIET)
    panel.set_ylabel(y, fontsize=8, color=_QUIET)


def _correlations(panel: Axes, found: Individuation) -> None:
    one, other = found.pairs["humans"].to_numpy(), found.pairs["crowd"].to_numpy()
    known = np.isfinite(one) & np.isfinite(other)
    limit = 1.05 * max(0.1, float(np.abs(np.r_[one[known], other[known]]).max(initial=0.0)))
    panel.plot([-limit, limit], [-limit, limit], color=_QUIET, lw=0.7)
    panel.plot(one[known], other[known], "o", ms=2.5, alpha=0.5, mew=0, color=_CROWD)
    panel.set_xlim(-limit, limit)
    panel.set_ylim(-limit, limit)
    error = found.summary.loc["correlation error"]
    _title(
        panel,
        f"Correlations of problems\nRMSE {error['crowd']:.3f}, halves of the humans {error['noise']:.3f}",
        "humans",
        "crowd",
    )


def _reliabilities(panel: Axes, found: Individuation) -> None:
    table = found.reliability.iloc[:_MOST_ROWS]
    rows = np.arange(len(table))[::-1]
    panel.hlines(rows, table["low"], table["high"], color=_HUMANS, lw=1.2)
    panel.plot(table["alpha_humans"], rows, "o", color=_HUMANS, ms=5)
    panel.plot(table["alpha_crowd"], rows, "o", color=_CROWD, ms=5)
    panel.set_yticks(rows, [_wrapped(name, 18, 1) for name in table.index])
    panel.set_ylim(-0.6, len(table) - 0.4)
    _title(panel, "Reliability of the scales\nwith the humans' intervals", "Cronbach's alpha")


def _people(panel: Axes, found: Individuation) -> None:
    every = np.concatenate(list(found.people.values()))
    low, high = np.quantile(every, [0.002, 0.998])
    # People who are all alike are one bar.
    edges = np.linspace(low, high if high > low else low + 1.0, 26).tolist()
    for side, colour in (("humans", _HUMANS), ("crowd", _CROWD)):
        means, weights = found.people[side].clip(edges[0], edges[-1]), found.weights[side]
        panel.hist(means, edges, weights=weights, density=True, histtype="step", lw=1.4, color=colour)
    panel.set_yticks([])
    spread = found.summary.loc["sd of people's means"]
    _title(
        panel,
        f"People's means, from their problems'\nsd {spread['humans']:.2f} of humans, {spread['crowd']:.2f} of crowd",
        "unit of the response",
    )


def _grouping(panel: Axes, found: Individuation) -> None:
    table = found.grouping.iloc[:_MOST_ROWS]
    rows = np.arange(len(table))[::-1]
    panel.axvline(0.0, color=_RULE, lw=0.8)
    panel.plot(table["humans"], rows, "o", color=_HUMANS, ms=5)
    panel.plot(table["crowd"], rows, "o", color=_CROWD, ms=5)
    panel.set_yticks(rows, [_wrapped(name, 16, 1) for name in table.index])
    panel.set_ylim(-0.6, max(len(table), 1) - 0.4)
    _title(
        panel, "Stereotypes: what traits explain\ncrowd to the right of humans", "variance between over within groups"
    )


def _subgroups(panel: Axes, found: Individuation) -> None:
    table = found.subgroups.iloc[:_MOST_ROWS]
    rows = np.arange(len(table))[::-1].astype(float)
    for side, colour, shift in (("humans", _HUMANS, 0.14), ("crowd", _CROWD, -0.14)):
        if len(table):
            panel.hlines(rows + shift, table[f"low_{side}"], table[f"high_{side}"], color=colour, lw=1.2)
            panel.plot(table[f"mean_{side}"], rows + shift, "o", color=colour, ms=3.5)
    marks = ["*" if small else "" for small in table["small"]] if len(table) else []
    names = (
        [_wrapped(f"{level}{mark}", 20, 1) for (_, level), mark in zip(table.index, marks, strict=True)]
        if marks
        else []
    )
    panel.set_yticks(rows, names)
    panel.set_ylim(-0.7, max(len(table), 1) - 0.3)
    more = len(found.subgroups) - len(table)
    _title(
        panel,
        "Means of subgroups" + (f" ({more} more)" if more > 0 else "") + "\n* fewer than 30 people on a side",
        "mean answer",
    )


def _classifier(panel: Axes, found: Individuation) -> None:
    panel.plot([0, 1], [0, 1], color=_QUIET, lw=0.7)
    panel.plot(*found.roc, color=_CROWD, lw=1.4)
    accuracy, p_value = found.summary.loc[["classifier's accuracy", "its p-value"], "crowd"]
    _title(
        panel,
        f"Told from humans by trees\naccuracy {accuracy:.3f}, p = {p_value:.2g}",
        "humans taken for crowd",
        "crowd recognised",
    )
