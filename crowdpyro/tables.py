"""Tables from and to files: CSV and Parquet in, anything out whole or not at all."""

from __future__ import annotations

import csv
import difflib
import gzip
import os
import secrets
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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
    """Read a `.csv`, `.csv.gz` or `.parquet` file as a person's spreadsheet wrote it.

    The separator is read off the header (comma, semicolon, tab); with semicolons, numbers may have decimal commas.
    Blanks around names and cells, empty rows and empty columns without a name are dropped.

    Parameters
    ----------
    path
        The file.
    labels
        Texts that are answers even where pandas would take them for an empty cell, such as the label "None".

    Returns
    -------
    DataFrame
        Its index is the row in the file, the header being row 1, as a spreadsheet counts them.

    Raises
    ------
    DataError
        When the file is none of these, has no rows, or a column without a name or with another's.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path.")
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            frame = _read_csv(path, labels)
        elif path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame.index = frame.index if frame.index.name else _file_rows(len(frame))
        elif path.suffix.lower() in (".xlsx", ".xls", ".ods"):
            raise DataError(f"file {str(path)!r} is a spreadsheet; save its sheet as CSV UTF-8 and give that.")
        else:
            raise DataError(f"file {str(path)!r}: the suffix must be one of {', '.join(_SUFFIXES)}.")
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"file {str(path)!r} is not UTF-8 text ({error}); save it as CSV UTF-8.") from error
    # ValueError holds pandas' parser errors, pyarrow's and undecodable text; a cut-off .gz ends as EOFError.
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"file {str(path)!r} cannot be read as a table: {error}") from error
    return require_rows(frame, str(path))


def _read_csv(path: Path, labels: Iterable[str]) -> pd.DataFrame:
    """A CSV file of any common separator."""
    opened: Any = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rb") as file:
        utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if utf16 else "utf-8-sig"
    with opened(path, "rt", encoding=encoding, newline="") as file:
        header = file.readline()
    separator = max(",;\t", key=lambda each: len(next(csv.reader([header], delimiter=each), [])))
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    repeated = next((name for place, name in enumerate(names) if name and name in names[:place]), None)
    if repeated is not None:
        raise DataError(f"table {str(path)!r}: column {repeated!r} stands there twice or more; keep one.")
    frame = pd.read_csv(
        path,
        sep=separator,
        encoding=encoding,
        keep_default_na=False,
        na_values=sorted(set(_EMPTY) - set(labels)),
        low_memory=False,
        skip_blank_lines=False,
        index_col=False,
        header=0,
        names=[name or place for place, name in enumerate(names)],
    )
    frame.index = _file_rows(len(frame))
    for name in list[Any](frame.columns):
        if pd.api.types.is_object_dtype(frame[name]) or pd.api.types.is_string_dtype(frame[name]):
            text = frame[name].map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
            text = text.where(text != "", None)
            frame[name] = _decimal_commas(text) if separator == ";" else text
        if isinstance(name, int):
            if frame[name].notna().any():
                raise DataError(
                    f"table {str(path)!r}: column number {name + 1} has no name; name it in the first row or delete it."
                )
            del frame[name]
    return frame.dropna(how="all")


def _file_rows(n: int) -> pd.Index:
    """Rows as a spreadsheet counts them: the header is the first."""
    return pd.RangeIndex(2, n + 2, name="row")


def _decimal_commas(cells: pd.Series) -> pd.Series:
    """Numbers, where every cell is one and some have a decimal comma."""
    present = cells.dropna().astype(str)
    number = present.str.fullmatch(r"[-+]?\d+(,\d+)?")
    if not len(present) or not number.all() or not present.str.contains(",").any():
        return cells
    return pd.to_numeric(cells.map(lambda cell: cell.replace(",", ".") if isinstance(cell, str) else cell))


def require_rows(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The frame itself; raises `DataError` when it has no row."""
    if frame.empty:
        raise DataError(f"table {name!r} has no rows; give at least one.")
    return frame


def require_columns(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    """Raise `DataError` naming the columns that a table lacks, and those it has."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        close = close_match(missing[0], [str(column) for column in frame.columns if column not in columns])
        hint = f"did you mean {close!r}? Rename it." if close else "Rename or add it."
        raise DataError(
            f"table {name!r} lacks column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, frame.columns))}. {hint[0].upper()}{hint[1:]}"
        )


def close_match(wanted: str, there: Iterable[str]) -> str | None:
    """The one that was probably meant: spelt almost alike, or holding the whole word."""
    names = list(there)
    folded = {name.casefold().replace("_", " ").strip(): name for name in reversed(names)}
    close = difflib.get_close_matches(wanted.casefold(), folded, 1, cutoff=0.7)
    if close:
        return folded[close[0]]
    return next((name for key, name in folded.items() if wanted.casefold() in key.split()), None)


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
            f"known are {', '.join(map(shown, index[:3]))}, ... ({len(index)} in all).{id_hint(unknown[0], index)}"
        )
    return rows


def id_hint(unknown: object, index: pd.Index) -> str:
    """What may be wrong with an id that a table does not know: another type, or a slip of the pen."""
    texts = [str(each) for each in index]
    if str(unknown) in texts:
        return " The ids are numbers in one table and text in the other; write them alike."
    close = difflib.get_close_matches(str(unknown), texts, 1, cutoff=0.7)
    return f" Did you mean {close[0]!r}?" if close else ""
