"""One page of a `RecruitmentReport`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..models.off_scale import label_text
from ..plots import _INK, _QUIET, _RULE, _SERIES, _figure, _wrapped
from .margins import level_texts
from .report import is_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .report import RecruitmentReport

_REAL, _MADE = _SERIES[0][1], _SERIES[2][1]
_MOST_TRAITS, _MOST_LEVELS, _COLUMNS = 9, 12, 3
_REST = "others"


def page(report: RecruitmentReport) -> Figure:
    """Margins, three a row; below them the strongest pair in both, and V of all pairs."""
    margins = list(dict.fromkeys(report.margins["trait"]))
    spread = [] if report.target is None else [str(name) for name in report.target if is_spread(report.target[name])]
    traits = [*margins, *(name for name in spread if name not in margins)][:_MOST_TRAITS]
    n_rows = -(-len(traits) // _COLUMNS)
    joint = report.target is not None and report.association is not None and len(report.association) > 0
    with _figure(10.2, 0.6 + 2.3 * n_rows + (3.2 if joint else 0.0)) as figure:
        heights = [2.3] * n_rows + ([3.2] if joint else [])
        panels = figure.subplots(len(heights), _COLUMNS, squeeze=False, gridspec_kw={"height_ratios": heights})
        for place, panel in enumerate(panels[:n_rows].ravel()):
            if place >= len(traits):
                panel.set_visible(False)
            elif traits[place] in margins:
                _margin(panel, report.margins[report.margins["trait"] == traits[place]], traits[place])
            else:
                _histogram(panel, report, traits[place])
        if joint:
            _joint(panels[-1], report)
        for panel in panels.ravel():
            panel.tick_params(labelsize=7.5, colors=_QUIET, length=0)
            panel.spines[["top", "right"]].set_visible(False)
            panel.spines[["left", "bottom"]].set_color(_RULE)
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return figure


def _margin(panel: Axes, rows: pd.DataFrame, name: str) -> None:
    """Bars of one trait's levels, the rarest left out where there are many."""
    left_out = max(len(rows) - _MOST_LEVELS, 0)
    shown = rows[rows["wanted"] >= rows["wanted"].nlargest(_MOST_LEVELS).min()].head(_MOST_LEVELS)
    places = np.arange(len(shown))
    panel.barh(places - 0.2, shown["wanted"], 0.38, color=_REAL, label="wanted")
    panel.barh(places + 0.2, shown["achieved"], 0.38, color=_MADE, label="recruited")
    panel.set_yticks(places, [_wrapped(level, 22, 1) for level in shown["level"]], parse_math=False)
    panel.invert_yaxis()
    more = f" ({left_out} rarer levels left out)" if left_out else ""
    panel.set_title(_wrapped(name, 32, 1) + more, loc="left", fontsize=9, color=_INK, parse_math=False)
    panel.grid(axis="x", color=_RULE, linewidth=0.6)
    panel.set_axisbelow(True)


def _histogram(panel: Axes, report: RecruitmentReport, name: str) -> None:
    """A number of many values, over the middle 98 % of the target."""
    if report.target is None or report.weights is None:
        return
    low, high = (float(report.target[name].quantile(q)) for q in (0.01, 0.99))
    bins = [float(edge) for edge in np.linspace(low, high, 25)] if high > low else [low - 0.5, low + 0.5]
    equal = np.full(len(report.recruited), 1 / len(report.recruited))
    wanted, made = (report.target, report.weights), (report.recruited, equal)
    for (people, weights), colour, label in ((wanted, _REAL, "wanted"), (made, _MADE, "recruited")):
        panel.hist(people[name], bins=bins, weights=weights, histtype="step", color=colour, lw=1.4, label=label)
    panel.set_title(_wrapped(name, 32, 1), loc="left", fontsize=9, color=_INK, parse_math=False)
    panel.grid(axis="y", color=_RULE, linewidth=0.6)
    panel.set_axisbelow(True)


def _joint(panels: np.ndarray, report: RecruitmentReport) -> None:
    """The pair of traits that hang together most, real and recruited, and V of all pairs."""
    target, recruited, pairs = report.target, report.recruited, report.association
    if target is None or pairs is None or report.weights is None:
        return
    one, other = (str(level) for level in pairs.index.to_frame().iloc[int(pairs["target"].to_numpy().argmax())])
    equal = np.full(len(recruited), 1 / len(recruited))
    both = ((target, report.weights), (recruited, equal))
    tables = [_table(people, weights, target, one, other) for people, weights in both]
    rows = tables[0].index.union(tables[1].index, sort=False)
    columns = tables[0].columns.union(tables[1].columns, sort=False)
    top = max(float(table.to_numpy().max()) for table in tables)
    for panel, table, name in zip(panels, tables, ("real", "recruited"), strict=False):
        shares = table.reindex(index=rows, columns=columns, fill_value=0.0)
        panel.imshow(shares.to_numpy(), cmap="Blues", vmin=0.0, vmax=top, aspect="auto", interpolation="nearest")
        panel.set_yticks(range(len(rows)), [_wrapped(str(level), 18, 1) for level in rows], parse_math=False)
        panel.set_xticks(range(len(columns)), [_wrapped(str(level), 14, 1) for level in columns], parse_math=False)
        panel.tick_params(axis="x", rotation=60)
        panel.set_title(
            _wrapped(f"{one} and {other}, {name}", 40, 1), loc="left", fontsize=9, color=_INK, parse_math=False
        )
    last = panels[2]
    limit = max(0.1, 1.08 * float(pairs.to_numpy().max()))
    last.plot([0, limit], [0, limit], color=_RULE, lw=1.0)
    last.plot(pairs["target"], pairs["recruited"], "o", color=_MADE, ms=4.5)
    last.set_xlim(-0.03 * limit, limit)
    last.set_ylim(-0.03 * limit, limit)
    last.set_xlabel("real", fontsize=8, color=_QUIET)
    last.set_ylabel("recruited", fontsize=8, color=_QUIET)
    last.set_title("Cramer's V of every two traits", loc="left", fontsize=9, color=_INK)


def _table(
    people: pd.DataFrame, weights: npt.NDArray[np.float64], target: pd.DataFrame, one: str, other: str
) -> pd.DataFrame:
    """Shares of the pair's levels, numbers in the target's fifths, rare labels as one."""
    first, second = (_grouped(people[name], target[name]) for name in (one, other))
    shares = pd.DataFrame({"first": first, "second": second, "share": weights})
    return shares.pivot_table("share", "first", "second", aggfunc="sum", fill_value=0.0, observed=True)


def _grouped(column: pd.Series, like: pd.Series) -> pd.Series:
    if isinstance(like.dtype, pd.CategoricalDtype):
        return pd.Series(
            pd.Categorical(level_texts(column), list(map(label_text, like.dtype.categories)), ordered=True)
        )
    if not is_spread(like):
        texts = level_texts(column).reset_index(drop=True)
        if like.nunique(dropna=False) <= _MOST_LEVELS:
            return texts
        known = sorted(level_texts(like).value_counts().index[: _MOST_LEVELS - 1])
        shown = [*(level for level in known if level != _REST), _REST]
        return pd.Series(pd.Categorical(texts.where(texts.isin(known), _REST), shown, ordered=True))
    cuts = np.unique(np.nanquantile(like.to_numpy(dtype=float), [0.2, 0.4, 0.6, 0.8]))
    edges = [f"to {cuts[0]:.4g}", *(f"to {cut:.4g}" for cut in cuts[1:]), f"above {cuts[-1]:.4g}"]
    codes = np.searchsorted(cuts, column.to_numpy(dtype=float))
    return pd.Series(pd.Categorical([edges[code] for code in codes], edges, ordered=True))
