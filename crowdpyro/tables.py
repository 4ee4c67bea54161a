"""Tables from and to files: CSV and Parquet in, anything out whole or not at all."""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import DataError

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
# What a CSV cell may hold to be empty: pandas' own list, spelled out so that a scale's labels can be taken off it.
_EMPTY = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip


def read_table(path: str | Path, labels: Iterable[str] = ()) -> pd.DataFrame:
    """Read a `.csv`, `.csv.gz` or `.parquet` file; raises `DataError` on anything else or an empty table.

    Parameters
    ----------
    path
        The file.
    labels
        Texts that are answers even where pandas would take them for an empty cell, such as the label "None".
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path.")
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            empty = sorted(set(_EMPTY) - set(labels))
            frame = pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, na_values=empty, low_memory=False)
        elif path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            raise DataError(f"file {str(path)!r}: the suffix must be one of {', '.join(_SUFFIXES)}.")
    except DataError:
        raise
    # ValueError holds pandas' parser errors, pyarrow's and undecodable text; a cut-off .gz ends as EOFError.
    except (ValueError, OSError, EOFError, zlib.error) as error:
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
    # mkstemp would leave the file readable by its owner alone; a plain new file follows the umask.
    temporary = path.parent / f".{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}"
    try:
        writer(temporary)
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
