"""Pictures: answer distributions, how problems correlate in humans and in a crowd, uniformity of ranks, intervals.

Every function returns a `matplotlib.figure.Figure` that is closed in pyplot, so that a notebook shows it
once, as the value of its cell, and nothing piles up. Save one with `figure.savefig("name.png")`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .metrics import correlation_error
from .theory.checked import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .theory.interval_result import CrowdInterval

FloatArray = npt.NDArray[np.float64]

# Okabe and Ito's colours, told apart with every common colour blindness and in grey print.
_SERIES = (("Humans", "#4d4d4d"), ("LLM alone", "#e69f00"), ("Crowd", "#0072b2"))
_INK, _QUIET, _RULE = "#222222", "#6b6b6b", "#dddddd"
_MAX_ITEMS, _TITLE_WIDTH, _TITLE_LINES = 9, 42, 3
_MAX_TICKS, _MAX_NAMED, _NAME_WIDTH, _MAX_ROWS = 11, 30, 26, 60


def answer_distributions(
    human: npt.ArrayLike,
    llm: npt.ArrayLike,
    crowd: npt.ArrayLike,
    titles: Sequence[str],
    labels: Sequence[str],
) -> Figure:
    """Share of every answer to up to nine items: humans, the LLM alone and the crowd, a panel an item.

    Parameters
    ----------
    human, llm, crowd
        Shares, shape `(n_items, n_levels)`, rows sum to one; a row of NaN is said to be missing.
    titles
        Texts of the items, wrapped and cut after three lines.
    labels
        The levels as a person would write them.

    Returns
    -------
    Figure
        Three panels a row, one scale for all.

    Raises
    ------
    DataError
        Unless there are one to nine items, with one title each and one label a level.
    """
    names = ("human", "llm", "crowd")
    shares = [np.asarray(given, dtype=float) for given in (human, llm, crowd)]
    for name, given in zip(names, shares, strict=True):
        if given.shape != (len(titles), len(labels)):
            raise DataError(f"{name} has shape {given.shape}; titles and labels ask for {(len(titles), len(labels))}.")
    n_items, n_levels = shares[0].shape
    if not 1 <= n_items <= _MAX_ITEMS or n_levels < 1:
        raise DataError(f"human has shape {shares[0].shape}; choose one to {_MAX_ITEMS} items.")
    texts = [_wrapped(title) for title in titles]
    ticks = [_wrapped(label, 11, 2) for label in labels]
    n_columns = min(3, n_items)
    n_rows = -(-n_items // n_columns)
    top = max(float(np.nanmax(np.stack(shares), initial=0.0)), 0.1)
    with _figure(max(4.8, 3.3 * n_columns), 0.55 + 2.4 * n_rows) as figure:
        panels = figure.subplots(
            n_rows, n_columns, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.09}
        )
        for item, panel in enumerate(panels.ravel()):
            if item >= n_items:
                panel.set_visible(False)
                continue
            _bars(panel, [given[item] for given in shares])
            panel.set_title(
                texts[item], loc="left", fontsize=8.5, color=_INK, pad=7, linespacing=1.25, parse_math=False
            )
            panel.set_ylim(0, 1.04 * top)
            _share_axis(panel, ticks)
        handles, series = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, series, loc="outside upper left", ncols=3, frameon=False, fontsize=9.5)
        figure.supylabel("share of answers", fontsize=8.5, color=_QUIET)
    return figure


def correlation_matrices(
    human: npt.ArrayLike,
    crowd: npt.ArrayLike,
    labels: Sequence[str],
    groups: Sequence[Hashable] | None = None,
) -> Figure:
    """Correlation of every two problems over people, in humans and in the crowd, on one colour scale.

    Parameters
    ----------
    human, crowd
        Correlation matrices of the same problems in the same order, `(n_problems, n_problems)`; NaN is grey.
    labels
        Names of the problems; written when there are at most 30, else those of the groups.
    groups
        Group of every problem; problems of a group are put side by side, and thin lines part the groups.

    Returns
    -------
    Figure
        Two panels and a colour bar; the title gives the RMSE over off-diagonal pairs (`correlation_error`).

    Raises
    ------
    DataError
        Where shapes differ, or no pair has a correlation in both.
    """
    first, second = np.asarray(human, dtype=float), np.asarray(crowd, dtype=float)
    error = correlation_error(first, second)
    n = len(first)
    if len(labels) != n or (groups is not None and len(groups) != n):
        given = f"labels has length {len(labels)}" + ("" if groups is None else f", groups {len(groups)}")
        raise DataError(f"{given}; the matrices hold {n} problems: give one each.")
    kinds = list(dict.fromkeys(groups)) if groups is not None else []
    code = np.array([kinds.index(group) for group in groups]) if groups is not None else np.zeros(n, dtype=int)
    order = np.argsort(code, kind="stable")
    apart = ~np.eye(n, dtype=bool)
    off = np.abs(np.stack([first[apart], second[apart]]))
    limit = min(1.0, max(0.1, np.ceil(10 * float(off[np.isfinite(off)].max())) / 10))
    # The diagonal says nothing: above the colour scale it is white, where a missing pair is grey.
    shown = [np.where(apart, matrix, 2 * limit)[np.ix_(order, order)] for matrix in (first, second)]
    pairs = int((apart & np.isfinite(first) & np.isfinite(second)).sum()) // 2
    written = labels if n <= _MAX_NAMED else kinds
    margin = 0.055 * min(_NAME_WIDTH, max((len(str(name)) for name in written), default=0))
    with _figure(9.4, 0.7 + (8.4 - margin) / 2, layout="compressed") as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for panel, matrix, name in zip(panels, shown, ("Humans", "Crowd"), strict=True):
            image = panel.imshow(matrix, cmap=_diverging(), vmin=-limit, vmax=limit, interpolation="nearest")
            panel.set_title(name, loc="left", fontsize=10.5, color=_INK, pad=6)
            edges = np.flatnonzero(np.diff(code[order])) + 0.5
            panel.vlines(edges, -0.5, n - 0.5, colors=_INK, linewidths=0.6)
            panel.hlines(edges, -0.5, n - 0.5, colors=_INK, linewidths=0.6)
            _name_problems(panel, [labels[i] for i in order], [str(kind) for kind in kinds], code[order])
        bar = figure.colorbar(image, ax=panels, shrink=0.72, aspect=28, pad=0.02, ticks=np.linspace(-limit, limit, 5))
        bar.set_label("correlation over people", fontsize=9, color=_QUIET)
        bar.ax.tick_params(labelsize=8, colors=_QUIET, length=0)
        bar.outline.set_visible(False)
        figure.suptitle(
            f"Correlation between problems, crowd against humans: RMSE {error:.3f} over {pairs:,} pairs",
            x=0.005, ha="left", fontsize=11, color=_INK,
        )  # fmt: skip
    return figure


def uniformity(counts: npt.ArrayLike, titles: Sequence[str], coverage: float = 0.95) -> Figure:
    """ECDF of ranks or of probability integral transforms less that of uniform ones, a panel a quantity.

    Parameters
    ----------
    counts
        Values in equal bins, shape `(n_quantities, n_bins)`, such as `Calibration.counts()` or `[Transforms.counts()]`.
    titles
        Names of the quantities, at most nine.
    coverage
        Chance that a whole line stays in its grey band when values are uniform (see `inference.ecdf_band`).

    Returns
    -------
    Figure
        Three panels a row, one scale for all; below each title, whether the line leaves its band. A hump says that
        values are low, a hollow that they are high, a hump before a hollow that they crowd at the ends: draws too
        narrow.

    Raises
    ------
    DataError
        Unless there are one to nine quantities with two bins or more, with one title and some value each.
    """
    from .inference.uniformity import ecdf_band

    count = np.asarray(counts, dtype=np.int64)
    if count.ndim != 2 or len(count) != len(titles) or not 1 <= len(count) <= _MAX_ITEMS or count.shape[1] < 2:
        raise DataError(f"counts have shape {count.shape}, titles length {len(titles)}; give one to {_MAX_ITEMS} rows.")
    total = count.sum(axis=1)
    if (total == 0).any():
        raise DataError(f"counts: {titles[int(total.argmin())]!r} has no value; drop it.")
    n_items, n_bins = count.shape
    points = np.arange(n_bins + 1) / n_bins
    below = np.pad(count.cumsum(axis=1), ((0, 0), (1, 0)))
    bands = [[np.r_[0, end, n] for end in ecdf_band(int(n), n_bins, coverage)] for n in total]
    drawn = np.concatenate([below[:, None], np.array(bands)], axis=1) / total[:, None, None] - points
    limit = float(np.abs(drawn).max())
    tick = float(f"{0.7 * limit:.1g}")
    n_columns = min(3, n_items)
    n_rows = -(-n_items // n_columns)
    with _figure(max(4.8, 3.3 * n_columns), 0.75 + 2.35 * n_rows) as figure:
        panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.06})
        for item, panel in enumerate(panels.ravel()):
            if item >= n_items:
                panel.set_visible(False)
                continue
            line, low, high = drawn[item]
            inside = bool(((line >= low) & (line <= high)).all())
            panel.fill_between(points, low, high, color=_RULE, lw=0)
            panel.plot(points, line, color=_INK, lw=1.6, marker="o", ms=2.5)
            panel.axhline(0.0, color=_QUIET, lw=0.6)
            told = f"{_wrapped(titles[item], lines=1)}\n{'in its band' if inside else 'leaves its band'}"
            panel.set_title(told, loc="left", fontsize=8.5, color=_INK, pad=5, linespacing=1.25, parse_math=False)
            panel.set_xlim(0, 1)
            panel.set_ylim(-1.08 * limit, 1.08 * limit)
            panel.set_yticks([-tick, 0, tick])
            # Below the last panel of each column, the outer labels turned inwards so that panels' do not meet.
            panel.tick_params(labelsize=8, colors=_QUIET, length=0, labelbottom=item + n_columns >= n_items)
            panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            for label, side in zip(panel.get_xticklabels(), ("left", "center", "right"), strict=False):
                label.set_horizontalalignment(side)
            panel.spines[:].set_visible(False)
        figure.supxlabel("rank or transform, from 0 to 1", fontsize=8.5, color=_QUIET)
        figure.supylabel("ECDF less the uniform one", fontsize=8.5, color=_QUIET)
        n = f"{total.min():,}" if total.min() == total.max() else f"{total.min():,} to {total.max():,}"
        note = f"Grey: where the whole line of {n} uniform values stays with chance {coverage:g}"
        figure.suptitle(_wrapped(note, 50 * n_columns, 2), x=0.005, ha="left", fontsize=9.5, color=_INK)
    return figure


def forest(interval: CrowdInterval, truth: npt.ArrayLike | None = None) -> Figure:
    """Every problem's interval, and in grey below it that of the same people without a crowd.

    Parameters
    ----------
    interval
        Of up to 60 problems, or problems and options; `interval[:60]` takes the first.
    truth
        What was to be covered, in the shape of the estimates; orange where the interval misses it.

    Returns
    -------
    Figure
        A row a problem; a one-sided interval runs to the edge.

    Raises
    ------
    DataError
        For more than 60 rows, or a truth of another shape.
    """
    frame = interval.to_frame()
    n = len(frame)
    true = None if truth is None else numbers(truth, "truth")
    if n > _MAX_ROWS or (true is not None and true.shape != np.shape(interval.estimate)):
        told = "" if true is None else f", truth has shape {true.shape}"
        raise DataError(
            f"interval has shape {np.shape(interval.estimate)}{told}; give up to {_MAX_ROWS} and one shape."
        )
    names = [", ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.index]
    names = names if n > 1 or interval.labels else ["mean"]
    ends = frame[["low", "high", "human_low", "human_high"]].to_numpy()
    centres = frame[["estimate", "human_estimate"]].to_numpy().ravel()
    shown = np.concatenate([ends[np.isfinite(ends)], centres, [] if true is None else true.ravel()])
    margin = 0.04 * float(np.ptp(shown) or 1.0)
    limits = float(shown.min()) - margin, float(shown.max()) + margin
    rows = np.arange(n)
    inside = np.full(n, True) if true is None else (true.ravel() >= ends[:, 0]) & (true.ravel() <= ends[:, 1])
    with _figure(7.2, 0.95 + 0.27 * n) as figure:
        panel = figure.subplots()
        (_, grey), (_, orange), (_, blue) = _SERIES
        for offset, low, high, centre, colour, width, name in (
            (0.2, 2, 3, "human_estimate", grey, 1.2, f"people alone, n = {frame['n'].max():,}"),
            (-0.08, 0, 1, "estimate", blue, 2.4, f"with a crowd of {frame['n_crowd'].max():,}, {interval.method}"),
        ):
            if colour == blue and interval.human_only is None:
                continue
            left, right = ends[:, [low, high]].clip(*limits).T
            panel.hlines(rows + offset, left, right, colors=colour, lw=width, label=name)
            panel.plot(frame[centre], rows + offset, "o", color=colour, ms=1.6 + width)
        if true is not None:
            panel.scatter(
                true.ravel(), rows - 0.08, marker="D", s=26, zorder=3, linewidths=1.0, label="truth",
                facecolors=[("white", orange)[not covered] for covered in inside], edgecolors=_INK,
            )  # fmt: skip
        panel.set_yticks(rows, [_wrapped(name, _NAME_WIDTH, 1) for name in names], parse_math=False)
        panel.set_ylim(n - 0.4, -0.6)
        panel.set_xlim(*limits)
        panel.tick_params(labelsize=8, colors=_QUIET, length=0)
        panel.grid(axis="x", color=_RULE, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[:].set_visible(False)
        panel.set_xlabel(f"mean answer, {100 * (1 - interval.alpha):.6g} % intervals", fontsize=8.5, color=_QUIET)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure


@contextmanager
def _figure(
    width: float, height: float, layout: Literal["constrained", "compressed"] = "constrained"
) -> Iterator[Figure]:
    """Yield a figure of `width` x `height` inches that pyplot forgets."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(width, height), layout=layout, dpi=120)
    try:
        yield figure
    finally:
        plt.close(figure)


def _wrapped(text: str, width: int = _TITLE_WIDTH, lines: int = _TITLE_LINES) -> str:
    """Text on at most `lines` lines."""
    wrapped = textwrap.wrap(" ".join(str(text).split()), width, max_lines=lines, placeholder=" …")
    return "\n".join(wrapped)


def _bars(panel: Axes, shares: list[FloatArray]) -> None:
    """Draw the grouped bars of one item."""
    levels = np.arange(len(shares[0]))
    width = 0.27
    missing = []
    for place, (given, (name, colour)) in enumerate(zip(shares, _SERIES, strict=True)):
        if np.isnan(given).any():
            missing.append(name)
        panel.bar(levels + (place - 1) * width, np.nan_to_num(given), 0.92 * width, color=colour, label=name)
    if missing:
        note = "no answer: " + ", ".join(missing)
        panel.text(0.98, 0.97, note, transform=panel.transAxes, ha="right", va="top", fontsize=7.5, color=_QUIET)


def _share_axis(panel: Axes, ticks: list[str]) -> None:
    """Quiet axes: percent, faint rules, no box."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    step = -(-len(ticks) // _MAX_TICKS)
    panel.set_xticks(range(0, len(ticks), step), ticks[::step], parse_math=False)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.tick_params(labelsize=8, colors=_QUIET, length=0, labelleft=panel.get_subplotspec().is_first_col())  # type: ignore[union-attr]
    panel.grid(axis="y", color=_RULE, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(_QUIET)


def _diverging() -> object:
    """Colours from blue to red, safe for the colour-blind; grey for no correlation, white above the scale."""
    import matplotlib

    return matplotlib.colormaps["RdBu_r"].with_extremes(bad="#b8b8b8", over="white")


def _name_problems(panel: Axes, labels: list[str], groups: list[str], code: npt.NDArray[np.int_]) -> None:
    """Name the rows, or the groups where rows are too many; columns come in the same order."""
    panel.tick_params(length=0, labelsize=7, colors=_QUIET)
    panel.spines[:].set_visible(False)
    panel.set_xticks([])
    if len(labels) <= _MAX_NAMED:
        panel.set_yticks(range(len(labels)), [_wrapped(label, _NAME_WIDTH, 1) for label in labels], parse_math=False)
        return
    places: list[float] = []
    names: list[str] = []
    for group, name in enumerate(groups):
        middle = float(np.flatnonzero(code == group).mean())
        if not places or middle - places[-1] >= len(labels) / _MAX_NAMED:
            places.append(middle)
            names.append(_wrapped(name, _NAME_WIDTH, 1))
    panel.set_yticks(places, names, parse_math=False)
