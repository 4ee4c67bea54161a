"""Results on disk, one Parquet file a cell: what is there is whole, and is not computed again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError
from ..outside import json_of, refused
from ..tables import write_whole
from ..versions import source_digest
from .cell import CELL_COLUMNS, Cell, word
from .rows import ROW_COLUMNS, checked
from .study import Study

COLUMNS = (*CELL_COLUMNS, *ROW_COLUMNS)
_TEXT = ("study", "protocol", "references", "method", "aggregator", "metric", "unit")
_PACKAGES = ("crowdpyro", "torch", "pyro-ppl", "numpy", "pandas", "scipy", "scikit-learn")


class ResultsStore:
    """A folder of a study's results.

    `cells/` holds a Parquet file a cell, `failed/` the traceback of each cell that raised, `study.json` what the
    results follow from: the study's revision, digests of its data files, versions.

    Parameters
    ----------
    folder
        Is made when first written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, cell: Cell) -> Path:
        """Where a cell's rows stand."""
        return self.folder / "cells" / f"{cell.key}.parquet"

    def done(self, cell: Cell) -> bool:
        """Whether a cell's rows are there."""
        return self.path(cell).is_file()

    def write(self, cell: Cell, rows: pd.DataFrame, study: Study, seconds: float) -> Path:
        """Check a cell's rows, complete them, write them whole, and forget that the cell failed before.

        Raises
        ------
        DataError
            When a column, a metric or a value is not what a study may have.
        """
        rows = checked(rows, study.metrics, str(cell), seconds).assign(**cell.columns)[list(COLUMNS)]
        path = write_whole(self.path(cell), lambda file: rows.to_parquet(file, index=False))
        self._failure(cell).unlink(missing_ok=True)
        return path

    def read(
        self,
        *,
        units: bool = False,
        metrics: Iterable[str] | None = None,
        protocol: str | None = None,
    ) -> pd.DataFrame:
        """All rows, long, in the order of the files' names; of units, columns of text are categories.

        Parameters
        ----------
        units
            Whether rows of units, rather than the values over all problems, are read.
        metrics
            Names; all when None.
        protocol
            A name; all when None.

        Raises
        ------
        DataError
            When there are no results yet, or a cell cannot be read.
        """
        import pyarrow.compute as pc
        import pyarrow.dataset as ds

        first = "" if protocol is None else f"{word(protocol)}--"
        # Hidden ones are still being written.
        found = (path for path in (self.folder / "cells").glob(f"{first}*.parquet") if not path.name.startswith("."))
        paths = sorted(found, key=lambda path: path.name)
        if not paths:
            where = f"of protocol {protocol!r} " if protocol is not None else ""
            raise DataError(f"folder {str(self.folder)!r} holds no results {where}yet; run the study first.")
        chosen = (pc.field("unit") != "") if units else (pc.field("unit") == "")
        if metrics is not None:
            chosen &= pc.field("metric").isin(list(metrics))
        if protocol is not None:
            chosen &= pc.field("protocol") == protocol
        with refused(f"folder {str(self.folder)!r} holds a cell that cannot be read", "delete it, and run the study"):
            table = ds.dataset([str(path) for path in paths]).to_table(columns=list(COLUMNS), filter=chosen)
            frame: pd.DataFrame = table.to_pandas(categories=list(_TEXT) if units else None)
        return frame

    def fail(self, cell: Cell, error: str) -> None:
        """Keep why a cell failed."""
        write_whole(self._failure(cell), lambda file: file.write_text(f"{cell}\n{error}", encoding="utf-8"))

    def failures(self) -> dict[str, str]:
        """Last line of each failed cell's traceback, by the cell as messages name it."""
        files = sorted((self.folder / "failed").glob("*.txt"))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
        return {text.partition("\n")[0]: text.strip().rpartition("\n")[2] for text in texts}

    def check(self, study: Study, data: Path | None) -> dict[str, Any]:
        """What `study.json` shall say, checked against what it says.

        Raises
        ------
        DataError
            When the results there follow from another revision or other data, or are another study's.
        """
        now = {"study": study.name, "revision": study.revision, "files": _digests(study, data)}
        before = self.origin()
        if not before and not self.empty:
            raise DataError(
                f"folder {str(self.folder)!r} holds cells, and no study.json that says of which study and revision; "
                "put it back, or give another folder."
            )
        for what, value in now.items():
            if before and before.get(what) != value:
                raise DataError(
                    f"folder {str(self.folder)!r} holds results of {what} {_short(before.get(what))}, not "
                    f"{_short(value)}; give another folder, or empty this one."
                )
        versions = {name: version(name) for name in _PACKAGES} | {"source": source_digest()}
        known = before.get("versions", [])
        return {**now, "versions": [*known, versions] if versions not in known else known}

    @property
    def empty(self) -> bool:
        """Whether no cell is there."""
        return next((self.folder / "cells").glob("[!.]*.parquet"), None) is None

    @property
    def study(self) -> str:
        """Name of the study; raises `DataError` where `study.json` does not tell it."""
        name = self.origin().get("study")
        if not isinstance(name, str):
            raise DataError(f"file {str(self.folder / 'study.json')!r} names no study; put it back as it was.")
        return name

    def refuse_revision(self, study: Study) -> None:
        """Raise `DataError` for results that this revision of the study would not give."""
        revision = self.origin().get("revision")
        if revision != study.revision:
            raise DataError(
                f"folder {str(self.folder)!r} holds results of revision {revision!r} of {study.name!r}, and this "
                f"crowdpyro has revision {study.revision}; run the study into another folder."
            )

    def begin(self, study: Study, data: Path | None) -> None:
        """Write `study.json`, before the first cell is written.

        Raises
        ------
        DataError
            As `check`.
        """
        text = json.dumps(self.check(study, data), indent=2)
        write_whole(self.folder / "study.json", lambda file: file.write_text(text, encoding="utf-8"))

    def origin(self) -> dict[str, Any]:
        """Content of `study.json`, with `files` and `versions`; empty before the first run.

        Raises
        ------
        DataError
            When `study.json` is not JSON.
        """
        path = self.folder / "study.json"
        with suppress(FileNotFoundError):
            try:
                found = json_of(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(
                    f"file {str(path)!r} is not JSON ({error}); put it back as it was, or run the study into another "
                    "folder."
                ) from error
            return {"files": {}, "versions": [], **found}
        return {}

    def _failure(self, cell: Cell) -> Path:
        return self.folder / "failed" / f"{cell.key}.txt"


def _digests(study: Study, data: Path | None) -> Mapping[str, str]:
    """SHA-256 of each of the study's files that is there."""
    base = data or Path(os.environ.get("CROWDPYRO_DATA", "."))
    there = {name: base / name for name in study.files if (base / name).is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()}


def _short(value: object) -> str:
    return (
        f"with digests {', '.join(str(each)[:8] for each in value.values())}"
        if isinstance(value, dict)
        else repr(value)
    )
