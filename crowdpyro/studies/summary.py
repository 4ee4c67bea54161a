"""What a table, a report or a terminal says of one protocol: means, differences, paper's figures, a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .comparison import Comparison, Difference, Row
from .metric import Column, Metric
from .store import ResultsStore
from .study import PaperFigure, Protocol, Study
from .verdict import Verdict, judge, titled

COSTS = ("llm_calls", "llm_tokens", "seconds")


@dataclass(frozen=True)
class Entry:
    """A number of the table.

    Attributes
    ----------
    mean, sd
        Over seeds; sd is NaN of one seed.
    n_seeds
        How many.
    best
        Whether it is the best of its column, ceilings aside.
    """

    mean: float
    sd: float
    n_seeds: int
    best: bool


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes
    ----------
    title, kind
        Of the method; `paper` for one that only a paper has.
    entries
        By column.
    paper
        Printed figures, by column.
    difference
        From the judged crowd on the first column; None for itself, and for what cannot be paired.
    """

    title: str
    kind: str
    entries: dict[str, Entry]
    paper: dict[str, PaperFigure]
    difference: Difference | None = None


@dataclass(frozen=True)
class Against:
    """A crowd or a variant beside the best competitor of one column.

    Attributes
    ----------
    title, column, competitor
        Names.
    difference
        The crowd's less the competitor's.
    better
        Whether that is for the better.
    """

    title: str
    column: str
    competitor: str
    difference: Difference
    better: bool


@dataclass(frozen=True)
class ProtocolSummary:
    """All of one protocol.

    Attributes
    ----------
    protocol
        Which.
    columns
        Metrics by column, costs last.
    lines
        Best first on the first column, ceilings and a paper's own rows last.
    judged
        Title of the crowd that the verdict is about.
    against
        Differences to the best competitors.
    everyone
        Of the judged crowd, and of the panel's: its title, and by competitor its difference on each column that ranks.
    calibration
        Of the judged crowd, by column.
    verdict
        None when no crowd was run, or nothing that ranks.
    seeds
        That were run.
    """

    protocol: Protocol
    columns: dict[str, Metric]
    lines: list[Line]
    judged: str
    against: list[Against]
    everyone: dict[str, dict[str, dict[str, Difference]]]
    calibration: dict[str, tuple[Metric, Difference]]
    verdict: Verdict | None
    seeds: list[int]

    def compared(self, title: str) -> list[str]:
        """Columns on which a crowd of `everyone` is compared with anybody, in their order."""
        return [text for text in self.columns if any(text in found for found in self.everyone[title].values())]


def summarise(study: Study, store: ResultsStore, protocol: str) -> ProtocolSummary | None:
    """Everything about one protocol; None when the store has no cell of it.

    Parameters
    ----------
    study, store
        What was run, and its results.
    protocol
        A name.
    """
    every = store.read()
    whole = every[every["protocol"] == protocol]
    if whole.empty:
        return None
    metrics = {Column.parse(text).metric for text in (*study.columns, *study.calibration)}
    units = store.read(units=True, metrics=metrics, protocol=protocol)

    def compared(text: str) -> Comparison:
        return Comparison(study, protocol, Column.parse(text), whole, units)

    columns = {text: compared(text) for text in (*study.columns_of(study.protocol(protocol)), *COSTS)}
    columns = {text: found for text, found in columns.items() if found.by_seed}
    if not columns:
        return None
    first = next(iter(columns.values()))
    ranks = first.metric.lower_is_better is not None
    crowds = first.rows(["crowd"])
    wanted = study.judged or next(iter(study.references), "")
    crowd = next((row for row in crowds if row.references in ("", wanted)), next(iter(crowds), None))
    calibration: dict[str, tuple[Metric, Difference]] = {}
    if crowd is not None:
        for text in study.calibration:
            found = compared(text)
            if crowd in found.by_seed:
                calibration[text] = (found.metric, found.mean_with_interval(crowd))
    return ProtocolSummary(
        study.protocol(protocol),
        {text: found.metric for text, found in columns.items()},
        _lines(study, protocol, columns, crowd),
        "" if crowd is None else titled(study, crowd),
        _against(study, columns),
        _everyone(study, columns, crowd),
        calibration,
        None if crowd is None or not ranks else judge(first, crowd, calibration),
        sorted(int(seed) for seed in whole["seed"].unique()),
    )


def _lines(study: Study, protocol: str, columns: dict[str, Comparison], crowd: Row | None) -> list[Line]:
    """Rows of the table in their order."""
    first = next(iter(columns.values()))
    printed: dict[str, dict[str, PaperFigure]] = {}
    for figure in study.paper:
        if figure.protocol == protocol and figure.column in columns:
            printed.setdefault(figure.method, {})[figure.column] = figure
    best = {text: found.best() for text, found in columns.items() if found.metric.lower_is_better is not None}
    lines = []
    rows = _ranked(first, columns)
    # A printed figure stands once: beside the judged crowd's references, or the method's best row.
    like = "" if crowd is None else crowd.references
    beside = {row.method: row for row in reversed(rows)} | {row.method: row for row in rows if row.references == like}
    for row in rows:
        entries = {
            text: Entry(found.mean(row), found.sd(row), len(found.by_seed[row]), best.get(text) == row)
            for text, found in columns.items()
            if row in found.by_seed
        }
        paper = printed.get(row.method, {}) if beside[row.method] == row else {}
        difference = (
            None if crowd is None or row == crowd or not first.pairs(row, crowd) else first.difference(row, crowd)
        )
        lines.append(Line(titled(study, row), study.method(row.method).kind, entries, paper, difference))
    there = {row.method for found in columns.values() for row in found.by_seed}
    titles = {method.name: method.title for method in study.methods}
    lines += [Line(titles.get(name, name), "paper", {}, each) for name, each in printed.items() if name not in there]
    return lines


def _ranked(first: Comparison, columns: dict[str, Comparison]) -> list[Row]:
    """All rows, best first by the first column, what it lacks after that, ceilings last."""
    rows = list(dict.fromkeys(row for found in columns.values() for row in found.rows()))
    return sorted(
        rows,
        key=lambda row: (
            first.kind(row) == "ceiling",
            row not in first.by_seed,
            first.rank(row) if row in first.by_seed else (True, 0.0),
        ),
    )


def _against(study: Study, columns: dict[str, Comparison]) -> list[Against]:
    """Every crowd and variant beside the best competitor of each column that ranks."""
    found = []
    for text, comparison in columns.items():
        if comparison.metric.lower_is_better is None:
            continue
        sign = -1.0 if comparison.metric.lower_is_better else 1.0
        for row in comparison.rows(["crowd", "variant"]):
            other = comparison.best_competitor(row)
            if other is not None:
                difference = comparison.difference(row, other)
                better = bool(sign * difference.estimate > 0)
                found.append(Against(titled(study, row), text, titled(study, other), difference, better))
    return found


def _everyone(
    study: Study, columns: dict[str, Comparison], judged: Row | None
) -> dict[str, dict[str, dict[str, Difference]]]:
    """The judged crowd, and the panel's, less each competitor that reads the same LLM, the judged one's, or none."""
    first = next(iter(columns.values()))
    # What is exact; drawn crowds stand beside their best competitors.
    exact = {text: each for text, each in columns.items() if not Column.parse(text).n_virtual}
    ranking = {text: each for text, each in exact.items() if each.metric.lower_is_better is not None}
    found: dict[str, dict[str, dict[str, Difference]]] = {}
    for row in first.rows(["crowd"]):
        if judged is None or (row != judged and row.references != study.panel):
            continue
        read = ("", row.references, judged.references)
        found[titled(study, row)] = {
            titled(study, other): {
                text: each.difference(row, other) for text, each in ranking.items() if each.pairs(row, other)
            }
            for other in first.competitors(row)
            if other.references in read
        }
    return {title: others for title, others in found.items() if others}


def heading(column: str, metric: Metric) -> str:
    """Of a table's column: `MAE of mean, 20`."""
    parsed = Column.parse(column)
    aggregate = f" of {parsed.aggregator.replace('_', ' ')}" if parsed.aggregator else ""
    return f"{metric.title}{aggregate}{f', {parsed.n_virtual}' if parsed.n_virtual else ''}"


def number(value: float, cost: bool = False) -> str:
    """Three decimals where that is what matters, costs in three digits, thousands with commas, infinity by its sign."""
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if cost:
        return f"{value:.3g}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"
