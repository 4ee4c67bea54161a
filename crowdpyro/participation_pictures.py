"""Pictures of participation: numbers of answers, and estimates against what is assumed of those who stay away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .plots import _INK, _QUIET, _RULE, _SERIES, _figure, _wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REAL, _MADE = _SERIES[0][1], _SERIES[2][1]
_MOST_BINS, _MOST_NAMED = 30, 12


def numbers_of_answers(
    people: tuple[npt.NDArray[np.int64], ...], crowd: tuple[npt.NDArray[np.int64], ...], sizes: tuple[int, int]
) -> Figure:
    """Histograms of answers a person, and of the share of people that answer a problem.

    Parameters
    ----------
    people, crowd
        Answers of each person, and of each problem.
    sizes
        How many people, and members of the crowd, there are.
    """
    with _figure(8.4, 3.1) as figure:
        left, right = figure.subplots(1, 2)
        _histograms(left, people[0].astype(float), crowd[0].astype(float), whole=True)
        left.set_xlabel("answers of a person", fontsize=8.5, color=_QUIET)
        _histograms(right, 100 * people[1] / sizes[0], 100 * crowd[1] / sizes[1], whole=False)
        right.set_xlabel("people who answer a problem, %", fontsize=8.5, color=_QUIET)
        for panel, unit in ((left, "people"), (right, "problems")):
            panel.set_ylabel(f"share of {unit}", fontsize=8.5, color=_QUIET)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return figure


def sensitivity_lines(
    gammas: npt.NDArray[np.float64],
    estimates: npt.NDArray[np.float64],
    names: Sequence[str],
    observed: npt.NDArray[np.float64],
    at_random: float,
    band: npt.NDArray[np.float64] | None = None,
) -> Figure:
    """Estimate against gamma: a line a problem and a thick one for their mean; what was observed as dots at the side.

    Parameters
    ----------
    gammas
        Shape `(n_gammas,)`.
    estimates
        Shape `(n_gammas, n_problems)`.
    names
        Of the problems, written at their lines' ends where they are few.
    observed
        Mean of the answers given to each problem, shape `(n_problems,)`.
    at_random
        Mean estimate over the problems under answers missing at random.
    band
        Ends of the mean's interval, shape `(2, n_gammas)`; None draws none.
    """
    few = len(names) <= _MOST_NAMED
    with _figure(7.2, 4.4) as figure:
        panel = figure.subplots()
        edge = gammas[0] - 0.06 * np.ptp(gammas)
        panel.plot(gammas, estimates, color=_MADE, lw=1.0, alpha=0.55 if few else 0.25)
        if band is not None:
            panel.fill_between(gammas, *band, color=_MADE, alpha=0.18, lw=0, label="its 95 % interval")
        panel.plot(gammas, estimates.mean(axis=1), color=_MADE, lw=2.8, label="mean over problems")
        panel.axhline(at_random, color=_MADE, lw=1.4, ls=(0, (4, 3)), label="that mean, missing at random")
        panel.scatter(
            np.full(len(observed), edge), observed, s=14, color=_REAL, zorder=3, label="answers given, as they are"
        )
        panel.scatter([edge], [np.nanmean(observed)], s=60, marker="D", color=_REAL, zorder=3)
        if few:
            for name, end in zip(names, estimates[-1], strict=True):
                panel.annotate(
                    _wrapped(name, 22, 1), (gammas[-1], end), xytext=(5, 0), textcoords="offset points", va="center",
                    fontsize=7.5, color=_INK, annotation_clip=False, parse_math=False,
                )  # fmt: skip
        panel.set_xlabel(
            "gamma: log odds of answering that a standard deviation of the answers given adds",
            fontsize=8.5,
            color=_QUIET,
        )
        panel.set_ylabel("estimated mean answer of everybody", fontsize=8.5, color=_QUIET)
        _quiet(panel)
        figure.legend(*panel.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure


def _histograms(panel: Axes, people: npt.NDArray[np.float64], crowd: npt.NDArray[np.float64], whole: bool) -> None:
    low, high = min(people.min(), crowd.min()), max(people.max(), crowd.max())
    if whole:
        step = max(1.0, np.ceil((high - low + 1) / _MOST_BINS))
        edges = np.arange(low - 0.5, high + step + 0.5, step)
    else:
        edges = np.linspace(low, high if high > low else low + 1, 21)
    for values, colour, name, fill in ((people, _REAL, "people", True), (crowd, _MADE, "crowd", False)):
        panel.stairs(
            np.histogram(values, edges)[0] / len(values), edges, color=colour, fill=fill, alpha=0.45 if fill else 1.0,
            lw=1.8, label=name,
        )  # fmt: skip
    _quiet(panel)


def _quiet(panel: Axes) -> None:
    panel.tick_params(labelsize=8, colors=_QUIET, length=0)
    panel.grid(axis="y", color=_RULE, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(_QUIET)
