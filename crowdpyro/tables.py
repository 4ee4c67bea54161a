"""Tables from and to files: CSV and Parquet in, anything out whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import DataError

_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a `.csv`, `.csv.gz` or `.parquet` file; raises `DataError` on anything else or an empty table."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path.")
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            frame = pd.read_csv(path, encoding="utf-8-sig")
        elif path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            raise DataError(f"file {str(path)!r}: the suffix must be one of {', '.join(_SUFFIXES)}.")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"file {str(path)!r} cannot be read as a table: {error}") from error
    return require_rows(frame, str(path))


def require_rows(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The frame itself; raises `DataError` when it has no row."""
    if frame.empty:
        raise DataError(f"table {name!r} has no rows; give at least one.")
    return frame


def require_columns(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    """Raise `DataError` naming the columns that a table lacks, and those it has."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError(
            f"table {name!r} lacks column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, frame.columns))}. Rename or add it."
        )


def write_whole(path: str | Path, writer: Callable[[Path], object]) -> Path:
    """Write a file whole or not at all: to a temporary file beside it, then renamed over it.

    Parameters
    ----------
    path
        Where the file shall stand; its folder is made.
    writer
        Called with the temporary path, which has the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix="".join(path.suffixes[-2:]))
    os.close(handle)
    temporary = Path(name)
    try:
        writer(temporary)
        # Temporary files are private; the finished one is what any other program would have written.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def shown(value: object) -> str:
    """A value as a person would write it in Python, whatever library it came from."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def rows_of(wanted: Iterable[object] | np.ndarray, index: pd.Index, name: str) -> np.ndarray:
    """Positions of ids in a unique index; raises `DataError` naming the first one that is not there."""
    ids = pd.Index(list(wanted))
    rows = index.get_indexer(ids)
    if (rows < 0).any():
        unknown = ids[rows < 0]
        raise DataError(
            f"{name} {shown(unknown[0])} ({len(unknown)} such) is not in the table; "
            f"known are {', '.join(map(shown, index[:3]))}, ... ({len(index)} in all)."
        )
    return rows
