"""`report.html` of one study's results, or of several: who wins first, then verdicts, tables, pictures, provenance.

The page is self-contained: style and pictures are in it, a content security policy forbids it to load anything, and
every text in it is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..studies.comparison import Difference
from ..studies.metric import Metric
from ..studies.names import find
from ..studies.store import ResultsStore
from ..studies.study import Study
from ..studies.summary import COSTS, ProtocolSummary, heading, number, summarise
from ..studies.verdict import Verdict, signed
from ..table_writing import write_csv
from ..tables import write_whole
from .pictures import HEIGHT, WIDTH, Strip, inline_svg, strips


@dataclass(frozen=True)
class Picture:
    """A figure of a study.

    Attributes
    ----------
    title, sentence
        What it shows, and what that means.
    svg
        Safe markup.
    """

    title: str
    sentence: str
    svg: str


@dataclass(frozen=True)
class Chapter:
    """A study's part of the page.

    Attributes
    ----------
    study
        What was run.
    summaries
        Of the protocols that have results and a table.
    strips
        Of each summary's lines.
    verdicts
        By the protocol's title, or "" for the study's own.
    pictures, tables
        Of the study.
    failures
        Last line of the traceback by cell.
    origin
        Revision, digests of the data's files, versions.
    n_cells
        Found in the store.
    """

    study: Study
    summaries: list[ProtocolSummary]
    strips: list[list[Strip | None]]
    verdicts: dict[str, Verdict]
    pictures: list[Picture]
    tables: list[tuple[str, str, pd.DataFrame]]
    failures: Mapping[str, str]
    origin: Mapping[str, Any]
    n_cells: int

    @property
    def titled(self) -> list[tuple[str, str, pd.DataFrame]]:
        """Its own tables, methods and protocols under their titles."""
        return [(title, sentence, _titled(table, self.study)) for title, sentence, table in self.tables]

    @property
    def columns(self) -> dict[str, Metric]:
        """Of all its tables."""
        return {name: metric for summary in self.summaries for name, metric in summary.columns.items()}


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of a folder of results, and each study's own tables as CSV into its folder `tables`.

    Parameters
    ----------
    folder
        As `crowdpyro study --out` left it, or the folder of one of its studies.
    out
        The file; `report.html` in the folder when None.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        When the folder holds no study's results, or those of another revision.
    """
    folders = (
        [folder] if (folder / "study.json").is_file() else sorted(path.parent for path in folder.glob("*/study.json"))
    )
    if not folders:
        raise DataError(f"folder {str(folder)!r} holds no study's results; give the folder of `crowdpyro study --out`.")
    chapters = []
    for each in folders:
        store = ResultsStore(each)
        study = find(store.study)
        store.refuse_revision(study)
        if len(folders) > 1 and store.empty:  # begun, and to be reported once there is something
            continue
        chapters.append(chapter(study, store))
        for title, _, table in chapters[-1].tables:
            name = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
            write_csv(table, each / "tables" / f"{name}.csv", index=any(table.index.names))
    return write_whole(out or folder / "report.html", lambda file: file.write_text(render(chapters), encoding="utf-8"))


def chapter(study: Study, store: ResultsStore) -> Chapter:
    """What the page says of one study.

    Parameters
    ----------
    study, store
        A study, and the folder of its results.

    Returns
    -------
    Chapter
        Verdicts, tables, differences and pictures.
    """
    found = [summarise(study, store, each.name) for each in study.protocols if each.table]
    summaries = [each for each in found if each is not None]
    frame = store.read()
    verdicts = {each.protocol.title: each.verdict for each in summaries if each.verdict is not None}
    if study.verdict is not None:
        verdicts = {"": study.verdict(frame)}
    pictures = [
        Picture(title, sentence, inline_svg(figure, f"{study.name}-{place}"))
        for place, (title, sentence, figure) in enumerate(study.figures(frame) if study.figures else [])
    ]
    return Chapter(
        study,
        summaries,
        [strips(line.difference for line in each.lines) for each in summaries],
        verdicts,
        pictures,
        study.tables(frame) if study.tables else [],
        store.failures(),
        store.origin(),
        len(frame[["protocol", "references", "method", "seed"]].drop_duplicates()),
    )


def render(chapters: Sequence[Chapter]) -> str:
    """The page.

    Parameters
    ----------
    chapters
        One a study.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crowdpyro.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=number, signed=signed, interval=interval, cell=_cell, bounded=_bounded)
    environment.globals.update(
        heading=heading, strip_width=WIDTH, strip_height=HEIGHT, svg=Markup, direction=direction, costs=COSTS
    )
    return environment.get_template("report.html.j2").render(chapters=chapters)


def interval(found: Difference) -> str:
    """`-0.012 [-0.016, -0.008]`, or the estimate alone."""
    ends = f" [{found.low:+.3f}, {found.high:+.3f}]" if _bounded(found) else ""
    return f"{found.estimate:+.3f}{ends}"


def direction(metric: Metric) -> str:
    """`lower is better`, or what else."""
    return {True: "lower is better", False: "higher is better", None: "not ranked"}[metric.lower_is_better]


def _titled(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """A table whose columns or levels `method` and `protocol` hold titles for names."""
    titles = {
        "method": {each.name: each.title for each in study.methods},
        "protocol": {each.name: each.title for each in study.protocols},
    }
    names = [name for name in table.index.names if name is not None]
    plain = table.reset_index() if names else table
    for column, known in titles.items():
        if column in plain.columns:
            plain = plain.assign(**{column: plain[column].map(lambda name, known=known: known.get(name, name))})
    return plain.set_index(names) if names else plain


def _bounded(found: Difference) -> bool:
    return bool(np.isfinite(found.low) and np.isfinite(found.high))


def _cell(value: object) -> str:
    """A cell of a study's own table."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else number(float(value))
    return str(value)
