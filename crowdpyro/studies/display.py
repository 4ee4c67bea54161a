"""Results as rich tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .metric import METRICS
from .scoring import LOWER_IS_BETTER, paired, summary
from .summary import COSTS, Entry, Line, ProtocolSummary, heading, number
from .verdict import signed

if TYPE_CHECKING:
    from ..theory.interval_result import CrowdInterval

_COLUMNS = (
    "mae:mean",
    "cosine_similarity",
    "wasserstein1",
    "log_loss",
    "correlation_error",
    "joint_log_score",
    "single_log_score",
)
_TITLES = {name: METRICS[name.partition(":")[0]].title for name in _COLUMNS}


def wide_console() -> Console:
    """A console that leaves the tables their width when nobody's terminal sets one."""
    console = Console()
    # Tables take what they need: seven metrics beside the longest method are 150 columns.
    return console if console.is_terminal else Console(width=160)


def print_summary(results: pd.DataFrame, split: str, console: Console, title: str) -> None:
    """Means (standard deviations) over seeds, best method first by its first column, the best of each in bold.

    What the console is too narrow for comes in a table below: nothing is cut.
    """
    table = summary(results[results["split"] == split])
    mean, std = (
        table["mean"].droplevel(["split", "references"]),
        table["std"].droplevel(["split", "references"]),
    )
    columns = [name for name in _TITLES if name in mean.columns]
    order = "wasserstein1" if "wasserstein1" in columns else columns[0]
    ranked = mean[order] if LOWER_IS_BETTER[order.partition(":")[0]] else -mean[order]
    mean = mean.iloc[ranked.to_numpy().argsort(kind="stable")]
    rows = list(mean.iterrows())
    cells = {
        name: [_cell(row[name], std.loc[method, name], _is_best(mean[name], row[name], name)) for method, row in rows]
        for name in columns
    }
    methods = [str(method) for method, _ in rows]
    for some in _fitting({name: _width([_TITLES[name], *cells[name]]) for name in columns}, console, _width(methods)):
        view = Table(title=title, title_justify="left", header_style="bold")
        view.add_column("method", no_wrap=True)
        for name in some:
            view.add_column(_TITLES[name], justify="right", no_wrap=True)
        for place, method in enumerate(methods):
            chosen = (cells[name][place] for name in some)
            view.add_row(method, *chosen, style="cyan" if method == "crowdllm" else None)
        console.print(view)


def _width(texts: list[str]) -> int:
    """Terminal columns that a table's column takes, its rule and blanks among them."""
    return max(Text.from_markup(text).cell_len for text in texts) + 3


def _fitting(widths: dict[str, int], console: Console, taken: int) -> Iterator[list[str]]:
    """The columns in order, as many at a time as the console shows whole beside one that takes so much."""
    some: list[str] = []
    for name, width in widths.items():
        if some and taken + sum(widths[each] for each in some) + width >= console.width:
            yield some
            some = []
        some.append(name)
    yield some


def print_protocol(summary: ProtocolSummary, console: Console) -> None:
    """One protocol of a study: who wins, the table, the crowd against its best competitors, the verdict.

    What the console is too narrow for comes in a table below: nothing is cut.
    """
    if summary.verdict is not None:
        console.print(Text(summary.verdict.winner, style="bold"))
    cells = {text: [_entry(line, text) for line in summary.lines] for text in summary.columns}
    titles = {text: heading(text, metric) for text, metric in summary.columns.items()}
    rows = [escape(line.title) for line in summary.lines]
    for some in _fitting({text: _width([titles[text], *cells[text]]) for text in cells}, console, _width(rows)):
        view = Table(title=escape(f"{summary.protocol.title}: mean (sd) over seeds"), title_justify="left")
        view.add_column("method", no_wrap=True)
        for text in some:
            view.add_column(escape(titles[text]), justify="right", no_wrap=True)
        for place, line in enumerate(summary.lines):
            style = {"crowd": "cyan", "ceiling": "dim", "paper": "italic dim"}.get(line.kind)
            view.add_row(rows[place], *(cells[text][place] for text in some), style=style)
        console.print(view)
    for each in summary.against:
        mark = " *" if each.difference.excludes_zero else ""
        name = heading(each.column, summary.columns[each.column])
        sentence = f"{each.title} - {each.competitor}: {name} {signed(each.difference)}{mark}"
        console.print(Text(sentence, style="" if each.better else "dim"))
    if summary.verdict is not None:
        console.print(Text(f"verdict: {summary.verdict.word}. {' '.join(summary.verdict.because)}", style="bold"))


def _entry(line: Line, column: str) -> str:
    """A cell of `print_protocol`, the paper's figure after ours."""
    entry, figure = line.entries.get(column), line.paper.get(column)
    told = [] if entry is None else [_told(entry, column in COSTS)]
    return " ".join([*told, *([] if figure is None else [f"paper {figure.value:g}"])])


def _told(entry: Entry, cost: bool) -> str:
    spread = "" if cost or not entry.sd > 0 else f" ({number(entry.sd)})"
    text = f"{number(entry.mean, cost)}{spread}"
    return f"[bold]{text}[/bold]" if entry.best else text


def print_paired(results: pd.DataFrame, method: str, against: str, console: Console) -> None:
    """Seed-by-seed differences of two methods on the main metrics."""
    differences = paired(results, method, against)
    view = Table(title=f"{method} - {against}, by seed", title_justify="left", header_style="bold", min_width=60)
    for name in ("metric", "difference", "std", "better in"):
        view.add_column(name, justify="left" if name == "metric" else "right")
    for _, row in differences.iterrows():
        key = row["metric"] if not row["aggregator"] else f"{row['metric']}:{row['aggregator']}"
        if key in _TITLES:
            view.add_row(
                _TITLES[key],
                f"{row['mean']:+.4f}",
                "" if np.isnan(row["std"]) else f"{row['std']:.4f}",
                f"{int(row['better'])} of {int(row['seeds'])}",
            )
    console.print(view)


def print_intervals(interval: CrowdInterval, console: Console, most: int) -> None:
    """Intervals beside those of the people alone, at most so many rows."""
    frame = interval.to_frame()
    level, side = f"{100 * (1 - interval.alpha):.4g} %", interval.alternative
    title = f"{interval.method}, {level}{'' if side == 'two-sided' else f', {side}'}"
    view = Table(title=title, title_justify="left", header_style="bold", min_width=60)
    names = [str(name) for name in frame.index.names] if interval.labels else [""]
    designed = bool((np.abs(frame["design_effect"] - 1) > 1e-9).any())
    more = ("design effect",) if designed else ()
    for name in (*names, "estimate", "interval", "n", *more, "people alone", "interval", "N", "worth n ="):
        view.add_column(name, justify="left" if name in names else "right", no_wrap=True)
    for label, row in list(frame.iterrows())[:most]:
        ids = [str(each) for each in label] if isinstance(label, tuple) else [str(label) if interval.labels else "mean"]
        view.add_row(
            *ids,
            f"{row['estimate']:.3f}",
            f"{row['low']:.3f} to {row['high']:.3f}",
            f"{row['n']:,}",
            *([f"{row['design_effect']:.2f}"] if designed else []),
            f"{row['human_estimate']:.3f}",
            f"{row['human_low']:.3f} to {row['human_high']:.3f}",
            f"{row['n_crowd']:,}",
            f"{row['effective_sample_size']:.0f}",
        )
    console.print(view)
    if len(frame) > most:
        console.print(f"and {len(frame) - most:,} more; --out writes all")


def print_table(table: pd.DataFrame, console: Console, title: str) -> None:
    """A table of numbers as it is, its index first."""
    view = Table(title=title, title_justify="left", header_style="bold")
    view.add_column(str(table.index.name or ""), no_wrap=True)
    for name in table.columns:
        view.add_column(str(name), justify="right")
    for label, *row in table.itertuples():
        view.add_row(str(label), *(f"{each:.3f}" if isinstance(each, float) else str(each) for each in row))
    console.print(view)


def print_coverage(table: pd.DataFrame, console: Console, title: str) -> None:
    """Coverage and width of methods, a block a sample size."""
    view = Table(title=title, title_justify="left", header_style="bold")
    for name in ("n", "twins", "method", "coverage (se)", "half-width", "of people alone", "studies"):
        view.add_column(name, justify="left" if name in ("twins", "method") else "right", no_wrap=True)
    for n, block in table.groupby("n", sort=False):
        for place, (_, row) in enumerate(block.iterrows()):
            view.add_row(
                f"{n:,}" if place == 0 else "",
                row["twins"],
                row["method"],
                f"{row['coverage']:.3f} ({row['se']:.3f})",
                f"{row['half_width']:.3f}",
                f"{row['ratio']:.2f}",
                f"{row['studies']:,}",
                end_section=place == len(block) - 1,
            )
    console.print(view)


def _cell(mean: float, std: float, best: bool) -> str:
    if np.isnan(mean):
        return ""
    text = f"{mean:.3f}" if np.isnan(std) else f"{mean:.3f} ({std:.3f})"
    return f"[bold]{text}[/bold]" if best else text


def _is_best(column: pd.Series, value: float, metric: str) -> bool:
    return bool(value == (column.min() if LOWER_IS_BETTER[metric.split(":", maxsplit=1)[0]] else column.max()))
