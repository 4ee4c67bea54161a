"""Tables to files by their suffix; in a CSV for spreadsheets, what would be a formula is written as text.

A text that begins with `= + - @`, their full-width forms, a tab or a line's end is run by Excel and LibreOffice when
the file is opened. The rule of OWASP's page on CSV injection puts an apostrophe before it, and every text between
quotes, without which a carriage return in its midst would begin a row of its own. Numbers stay as they are. A file
written so does not read back to the same ids and labels, so that it is an option.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from .errors import DataError
from .tables import write_whole

SUFFIXES = (".csv", ".csv.gz", ".parquet")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def check_suffix(path: str | Path, *others: str) -> None:
    """Raise `DataError` for a suffix that `write_table` does not know, and that is none of the others."""
    known = (*others, *SUFFIXES)
    if not str(path).lower().endswith(known):
        raise DataError(f"file {str(path)!r}: the suffix must be one of {', '.join(known)}.")


def write_table(table: pd.DataFrame, path: str | Path, *, safe: bool = False) -> Path:
    """Write a table without its index by its suffix, whole or not at all; a CSV `safe` for spreadsheets."""
    check_suffix(path)
    if str(path).lower().endswith(".parquet"):
        return write_whole(path, lambda file: table.to_parquet(file, index=False))
    return write_csv(table, path, safe=safe)


def write_csv(frame: pd.DataFrame, path: str | Path, *, safe: bool = False, index: bool = False) -> Path:
    """Write a frame as `.csv` or `.csv.gz`, whole or not at all; `safe` for spreadsheets."""
    written = harmless(frame) if safe else frame
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if safe else csv.QUOTE_MINIMAL
    return write_whole(path, lambda file: written.to_csv(file, index=index, quoting=quoting))


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each cell, name and id that is a formula."""
    changed = frame.rename(index=_cell, columns=_cell)
    changed = changed.rename_axis(index=_cell) if any(changed.index.names) else changed
    for place, kind in enumerate(changed.dtypes):
        if not (is_numeric_dtype(kind) or is_bool_dtype(kind)):
            changed.isetitem(place, [_cell(value) for value in changed.iloc[:, place]])
    return changed


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
