"""A study, declared: what is asked of whom, by which methods, and how one cell of the grid is measured.

A module `crowdpyro/studies/NAME.py` holds one as `STUDY`; its name stands in `names.STUDIES`. Everything else, the
grid, processes, resuming, differences with their intervals, the report, is done for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ..errors import DataError
from ..tables import close_match
from .cell import Cell
from .metric import METRICS, Column, Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .verdict import Verdict

Kind = Literal["crowd", "variant", "yardstick", "llm", "ceiling"]
PAPER = "paper, Gemma 3-12B"


@dataclass(frozen=True)
class Protocol:
    """What is held out, and what counts as gold.

    Attributes
    ----------
    name, title
        As results and as tables call it.
    meaning
        One or two sentences for a reader of the report.
    table
        Whether the report has a table of it; points of a curve have a figure instead.
    first
        The column that decides who wins here; the study's first when empty. With one or two human answers a problem a
        distance between histograms is least for a forecast of one answer, and the log loss decides.
    held_out
        Share of the same data that a seed holds out here; the study's own when None.
    same_units
        Whether every seed scores the same units, and holds out somebody else or nothing: how seeds differ then says
        nothing of units.
    """

    name: str
    title: str
    meaning: str = ""
    table: bool = True
    first: str = ""
    held_out: float | None = None
    same_units: bool = False


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Attributes
    ----------
    name, title
        As results and as tables call it.
    kind
        `crowd` is what the study is about; a `variant` of it is shown and not judged; a `yardstick` is a simple
        competitor; `llm` is an LLM without people, a competitor too; a `ceiling` has seen what no method may see
        (a second sample of people, the sampling floor) and competes with nobody.
    references
        Whether it reads an LLM's answers. If not, it is run once, not once a reference.
    protocols
        Names of those it is defined in; all when empty.
    not_of
        References that it cannot read, such as an LLM that was asked without personas.
    """

    name: str
    title: str
    kind: Kind
    references: bool = True
    protocols: tuple[str, ...] = ()
    not_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperFigure:
    """A number that a paper prints, beside the cells of the same protocol, method and column.

    Attributes
    ----------
    where
        The table or figure, such as "Table 1".
    protocol, method, column
        Names; a method that the study lacks gets a row of its own.
    value
        As printed.
    label
        Whose it is.
    """

    where: str
    protocol: str
    method: str
    column: str
    value: float
    label: str = PAPER


@dataclass(frozen=True)
class Grid:
    """A part of a study's grid; an empty tuple means all.

    Attributes
    ----------
    protocols, references, methods
        Names.
    seeds
        Numbers.
    """

    protocols: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)


Pictures = list[tuple[str, str, "Figure"]]
Tables = list[tuple[str, str, pd.DataFrame]]


@dataclass(frozen=True)
class Study:
    """A data set, its protocols, and every method measured beside its yardsticks.

    Attributes
    ----------
    name, title
        As files and as readers call it.
    protocols, methods
        In the order of the tables.
    references
        Names of LLMs whose answers are read; empty when no method reads any.
    columns
        Of the tables, as `Column.parse` reads them; the first decides who wins, unless a protocol names another.
    load
        From a folder (None: `$CROWDPYRO_DATA`) to the data, whatever `evaluate` takes; called once a process.
    evaluate
        From a cell and the data to rows with the columns `metric` and `value`, and, where they mean something,
        `aggregator` (""), `n_virtual` (0: the exact predictive distribution), `unit` ("" for a value over all
        problems, else the problem's id) and `weight` (1; the answers of a unit). Where rows of units have no value
        over all problems beside them, the store makes it of them. `seconds` are measured unless given. Equal cells
        must give equal rows: everything random follows from `cell.seed`.
    meaning
        Of the study, a few sentences for a reader of the report.
    metrics
        Those that `METRICS` lacks, or means otherwise.
    judged
        References of the crowd that the verdict is about; the first of `references` when empty.
    panel
        Name of the reference that comprises all the others: competitors that read any of them are in its reach.
    paper
        Printed figures.
    seeds
        Of a full run.
    quick
        The part of the grid that `--quick` runs.
    files
        Paths in the data folder whose content decides the results; a store refuses to go on when one has changed.
    revision
        Raised whenever the same cell would give other rows; a store of another revision is refused.
    held_out
        Share of the data that a seed holds out, 0 when seeds are independent repeats; seeds that cut the same data
        anew are no independent samples, and intervals of metrics without units are widened for it.
    calibration
        Columns whose mean is zero when the crowd is right, such as `bias` and `surprise`; they need rows of units.
    figures
        From the rows over all problems to pictures: title, a sentence on what it shows, a matplotlib figure.
    tables
        Likewise to further tables.
    verdict
        Likewise to a verdict; None takes the rule of `verdict.judge`.

    Raises
    ------
    DataError
        When a name repeats or is missing, a column is no metric, or the first ranks nothing.
    """

    name: str
    title: str
    protocols: tuple[Protocol, ...]
    methods: tuple[Method, ...]
    columns: tuple[str, ...]
    load: Callable[[Path | None], Any]
    evaluate: Callable[[Cell, Any], pd.DataFrame]
    references: tuple[str, ...] = ()
    meaning: str = ""
    metrics: tuple[Metric, ...] = ()
    judged: str = ""
    panel: str = ""
    paper: tuple[PaperFigure, ...] = ()
    seeds: tuple[int, ...] = tuple(range(10))
    quick: Grid = field(default_factory=Grid)
    files: tuple[str, ...] = ()
    revision: int = 1
    held_out: float = 0.0
    calibration: tuple[str, ...] = ()
    figures: Callable[[pd.DataFrame], Pictures] | None = None
    tables: Callable[[pd.DataFrame], Tables] | None = None
    verdict: Callable[[pd.DataFrame], Verdict] | None = None

    def __post_init__(self) -> None:
        protocols, methods = [each.name for each in self.protocols], [each.name for each in self.methods]
        for what, names in (("protocols", protocols), ("methods", methods), ("references", list(self.references))):
            if len(set(names)) < len(names) or not (names or what == "references"):
                raise DataError(f"study {self.name!r}: {what} are {names}; give at least one, each name once.")
        if not self.columns:
            raise DataError(f"study {self.name!r}: columns is empty; give at least one, the first decides who wins.")
        for column in (*self.columns, *self.calibration, *(figure.column for figure in self.paper)):
            self.metric(Column.parse(column).metric)
        for protocol in self.protocols:
            first, held_out = self.columns_of(protocol)[0], self.share_held_out(protocol)
            if first not in self.columns:
                raise DataError(f"study {self.name!r}: column {first!r} decides, and is not among its columns.")
            if self.metric(Column.parse(first).metric).lower_is_better is None:
                raise DataError(f"study {self.name!r}: column {first!r} comes first, and ranks nothing.")
            if not 0 <= held_out < 1:
                raise DataError(f"study {self.name!r}: held_out={held_out}; give a share from 0 to below 1.")
        for llm in (self.judged, self.panel):
            if llm and llm not in self.references:
                raise DataError(f"study {self.name!r}: {llm!r} is not among its references; name one of them.")
        if any(method.references for method in self.methods) and not self.references:
            raise DataError(f"study {self.name!r}: a method reads references, and none is named.")
        self.quick_cells()

    def metric(self, name: str) -> Metric:
        """A metric by name, the study's own first.

        Raises
        ------
        DataError
            When neither the study nor the package has it.
        """
        for each in self.metrics:
            if each.name == name:
                return each
        if name not in METRICS:
            raise DataError(f"metric {name!r} is not among {', '.join(METRICS)}; describe it in Study.metrics.")
        return METRICS[name]

    def method(self, name: str) -> Method:
        """A method by name."""
        return next(each for each in self.methods if each.name == name)

    def protocol(self, name: str) -> Protocol:
        """A protocol by name."""
        return next(each for each in self.protocols if each.name == name)

    def columns_of(self, protocol: Protocol) -> tuple[str, ...]:
        """Its columns, the one that decides under this protocol first."""
        return tuple(dict.fromkeys((protocol.first or self.columns[0], *self.columns)))

    def share_held_out(self, protocol: Protocol) -> float:
        """By a seed, under this protocol."""
        return self.held_out if protocol.held_out is None else protocol.held_out

    def reach(self, references: str) -> tuple[str, ...]:
        """References whose competitors a method with these is compared to."""
        everything = bool(self.panel) and references == self.panel
        return ("", *self.references) if everything else ("", references)

    def cells(
        self,
        protocols: tuple[str, ...] = (),
        references: tuple[str, ...] = (),
        methods: tuple[str, ...] = (),
        seeds: tuple[int, ...] = (),
    ) -> list[Cell]:
        """The grid, seed by seed, so that a run cut short has whole seeds; an empty tuple means all.

        Raises
        ------
        DataError
            When a name is unknown, with those that are known.
        """
        chosen = _known(self.name, "protocol", protocols, [each.name for each in self.protocols])
        llms = _known(self.name, "references", references, list(self.references))
        rows = [self.method(name) for name in _known(self.name, "method", methods, [m.name for m in self.methods])]
        return [
            Cell(self.name, protocol, llm, method.name, seed)
            for seed, protocol in product(seeds or self.seeds, chosen)
            for method in rows
            if not method.protocols or protocol in method.protocols
            for llm in (llms if method.references else ("",))
            if llm not in method.not_of
        ]

    def quick_cells(self) -> list[Cell]:
        """The part of the grid that `--quick` runs."""
        part = self.quick
        return self.cells(part.protocols, part.references, part.methods, part.seeds)


def _known(study: str, what: str, wanted: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    """The wanted names, in the study's order; all when none is wanted."""
    for name in wanted:
        if name not in names:
            close = close_match(name, names)
            hint = f" Did you mean {close!r}?" if close else ""
            raise DataError(f"{what} {name!r} is not in study {study!r}; it has {', '.join(names) or 'none'}.{hint}")
    return tuple(name for name in names if not wanted or name in wanted)
