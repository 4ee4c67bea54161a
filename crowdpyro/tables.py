"""Tables from and to files: CSV and Parquet in, anything out whole or not at all."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import DataError
from .outside import DAMAGE, DEFLATED, is_larger, refuse_larger

_TEXT = (".csv", ".csv.gz", ".tsv", ".txt")
_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
# What a CSV cell may hold to be empty: pandas' own list, spelled out so that a scale's labels can be taken off it.
_EMPTY = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
# Our columns, with the words that people head them with.
_WORDS = {
    "problem": ("task", "item", "question"),
    "participant": ("worker", "annotator", "rater", "respondent", "user", "person"),
    "response": ("label", "answer", "rating", "score", "value"),
    "text": ("question", "statement", "prompt", "item"),
    "answer": ("response", "label"),
}
# The index of a table read from a text file is named so, and messages then say "line 7".
LINE = "line"


def read_table(path: str | Path, labels: Iterable[str] = ()) -> pd.DataFrame:
    """Read a `.csv`, `.csv.gz`, `.tsv`, `.txt` or `.parquet` file as a person's spreadsheet wrote it.

    The separator of a text file is read off its first rows (comma, semicolon, tab); with semicolons, numbers may have
    decimal commas. Blanks around names and cells, empty rows and empty columns without a name are dropped; `Problem`
    becomes `problem`, and so with our other columns. The words `NA`, `null`, `nan` and their like are empty cells.

    Parameters
    ----------
    path
        The file.
    labels
        Texts that are answers even where pandas would take them for an empty cell, such as the label "None".

    Returns
    -------
    DataFrame
        Of a text file, the index `line` numbers its rows as a spreadsheet does: the header is line 1, and a cell of
        several lines counts once.

    Raises
    ------
    DataError
        When the file is none of these, has no rows, cells beyond its header, or a column without a name or with
        another's.
    """
    path = Path(path)
    suffix = path.name.lower()
    if path.is_dir():
        raise DataError(f"file {str(path)!r} is a folder; give a table in it.")
    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path.")
    if suffix.endswith(_SPREADSHEETS):
        raise DataError(f"file {str(path)!r} is a spreadsheet; save its sheet as CSV UTF-8 and give that.")
    if not suffix.endswith((*_TEXT, ".parquet")):
        raise DataError(
            f"file {str(path)!r}: the suffix must be one of {', '.join((*_TEXT, '.parquet'))}; save the table as CSV "
            "UTF-8."
        )
    try:
        frame = _read_parquet(path) if suffix.endswith(".parquet") else _read_text(path, labels)
    except DataError:
        raise
    except UnicodeError as error:
        raise DataError(f"file {str(path)!r} is not UTF-8 text ({error}); save it as CSV UTF-8.") from error
    except pd.errors.ParserError as error:
        raise DataError(f"file {str(path)!r} cannot be read as a table: {_parser_said(str(error))}") from error
    except DAMAGE as error:
        why = str(error).strip().rstrip(".")
        raise DataError(
            f"file {str(path)!r} cannot be read as a table: {why}. Check that it is what its suffix says, or save it "
            "again."
        ) from error
    return require_rows(frame.rename(columns=folded_names(frame.columns, _WORDS)), str(path))


def _read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file, of which a column of one value takes a few bytes however long it is."""
    from pyarrow.parquet import read_metadata

    found = read_metadata(path)
    refuse_larger(8 * found.num_rows * found.num_columns, f"table {str(path)!r}")
    return pd.read_parquet(path)


def _refuse_inflated(path: Path) -> None:
    """Raise `DataError` for a packed text that is too long to be read; pandas takes some four bytes for one of it."""
    if not is_larger(4 * DEFLATED * path.stat().st_size):
        return  # However it is packed: not read twice.
    n_bytes = 0
    with gzip.open(path) as file:
        while part := file.read(1 << 20):
            n_bytes += len(part)
            refuse_larger(4 * n_bytes, f"table {str(path)!r}")


def _read_text(path: Path, labels: Iterable[str]) -> pd.DataFrame:
    """A text file of any common separator."""
    opened: Any = open
    if path.name.lower().endswith(".gz"):
        opened = gzip.open
        _refuse_inflated(path)
    with opened(path, "rb") as file:
        utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if utf16 else "utf-8-sig"
    with opened(path, "rt", encoding=encoding, newline="") as file:
        sample = file.read(1 << 16)
    if "\0" in sample:
        raise UnicodeError("it holds zero bytes, as UTF-16 or a spreadsheet does")
    # "sep=;" is a note to Excel, which does not show it as a row.
    note = re.match(r"sep=([,;\t])\r?\n", sample)
    sample = sample[note.end() :] if note else sample
    separator = note[1] if note else max(",;\t", key=lambda each: _fit(sample, each))
    before, header, first = _head(sample, separator)
    # A first row longer than the header makes columns without a name; pandas alone would drop their cells.
    names = [name.strip() for name in header] + [""] * (len(first) - len(header))
    names = ["" if re.fullmatch(r"Unnamed: \d+", name) else name for name in names]
    repeated = next((name for place, name in enumerate(names) if name and name in names[:place]), None)
    if repeated is not None:
        raise DataError(f"table {str(path)!r}: column {repeated!r} stands there twice or more; keep one.")
    empty = sorted(set(_EMPTY) - set(labels))
    frame = pd.read_csv(
        path,
        sep=separator,
        encoding=encoding,
        compression="gzip" if opened is gzip.open else None,
        keep_default_na=False,
        na_values=empty,
        low_memory=False,
        skip_blank_lines=False,
        index_col=False,
        skiprows=before + bool(note),
        header=0,
        names=[name or place for place, name in enumerate(names)],
    )
    frame.index = pd.RangeIndex(before + 2, before + 2 + len(frame), name=LINE)
    for name in list[Any](frame.columns):
        if pd.api.types.is_object_dtype(frame[name]) or pd.api.types.is_string_dtype(frame[name]):
            text = frame[name].map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
            # pandas saw "NA " before its blank was taken off.
            text = text.where(~text.isin(empty), None)
            frame[name] = _decimal_commas(text) if separator == ";" else text
        if isinstance(name, int):
            held = frame[name].notna()
            if held.any():
                raise DataError(
                    f"table {str(path)!r}: column number {name + 1} has no name and holds "
                    f"{shown(frame[name][held].iloc[0])} ({row_of(frame.index[held])}); name it in the first row or "
                    f"delete it, or put the cells that hold {separator!r} in quotation marks."
                )
            del frame[name]
    return frame.dropna(how="all")


def _parser_said(error: str) -> str:
    """What pandas' parser found, and what to do."""
    unclosed = re.search(r"EOF inside string starting at row (\d+)", error)
    if unclosed:
        # It counts rows from 0, the header's.
        line = int(unclosed[1]) + 1
        return f'a quotation mark in line {line} is never closed; close it, or write "" for a mark within a cell.'
    cells = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
    found = f"line {cells[2]} has {cells[3]} cells, the header {cells[1]}" if cells else error.strip()
    return (
        f"{found}. Give every row as many cells as the header, and put a cell that holds a separator in quotation "
        "marks."
    )


def _head(sample: str, separator: str) -> tuple[int, list[str], list[str]]:
    """How many empty rows stand before the header, the header, and the first row after it."""
    rows = csv.reader(io.StringIO(sample, newline=None), delimiter=separator)
    for before, row in enumerate(rows):
        if any(cell.strip() for cell in row):
            return before, row, next(rows, [])
    raise ValueError("it is empty; give a header and at least one row.")


def _fit(sample: str, separator: str) -> tuple[bool, int, int]:
    """How well a separator explains the first rows: as many cells as names, then many names, then names we know."""
    _, header, first = _head(sample, separator)
    return 1 < len(header) == len(first), len(header), sum(name.strip().casefold() in _WORDS for name in header)


def row_of(index: pd.Index, place: int = 0) -> str:
    """A row as a person finds it: `line 7` of a text file, else `row LABEL` of a frame."""
    return f"{LINE if index.name == LINE else 'row'} {index[place]}"


def rows_named(index: pd.Index) -> str:
    """The first three of several rows: `lines 7, 9` of a text file, else `rows LABEL, LABEL`."""
    return f"{LINE if index.name == LINE else 'row'}s {', '.join(map(str, index[:3]))}{', ...' * (len(index) > 3)}"


def folded_names(columns: Iterable[object], wanted: Iterable[str]) -> dict[object, str]:
    """Which columns are a wanted one but for case and blanks, where the wanted one itself is absent."""
    there = list(columns)
    folded = {str(column).strip().casefold(): column for column in reversed(there)}
    return {folded[name]: name for name in wanted if name not in there and name in folded}


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


def require_columns(
    frame: pd.DataFrame,
    columns: Iterable[str],
    name: str,
    *,
    written: Mapping[Any, Any] | None = None,
    synonyms: Mapping[str, str] | None = None,
) -> None:
    """Raise `DataError` naming the columns that a table lacks, those it has, and which of these may be meant.

    Parameters
    ----------
    frame, columns, name
        The table, what it needs, and what it is called in the message.
    written
        How a column that was renamed stands in the table that was given.
    synonyms
        Other names under which a column is taken.
    """
    wanted = list(columns)
    written, synonyms = written or {}, synonyms or {}
    missing = [column for column in wanted if column not in frame.columns]
    if not missing:
        return
    there = [name for name in frame.index.names if name not in (None, LINE)] + list(frame.columns)
    others = [str(column) for column in there if column not in wanted]
    hints = []
    for column in missing:
        close = close_match(column, others)
        if close is not None:
            hints.append(f"Did you mean {close!r}? Rename it to {column!r}.")
            others.remove(close)
    # One column a problem is how survey tools export, mostly with a name for people that is close to ours.
    typed = any(f"to '{key}'" in hint for hint in hints for key in ("problem", "response"))
    if {"problem", "response"} <= set(missing) and len(others) > 2 and not typed:
        hints.append("Give one row an answer; pandas.melt makes them of one column a problem.")
    if not hints:
        hints = ["Rename or add it."]
    lacking = [f"{each!r} (or {synonyms[each]!r})" if each in synonyms else repr(each) for each in missing]
    there = [written.get(each, each) for each in there]
    more = f", ... ({len(there)} in all)" if len(there) > 12 else ""
    raise DataError(
        f"table {name!r} lacks column {', '.join(lacking)}; it has "
        f"{', '.join(map(repr, there[:12]))}{more}. {' '.join(hints)}"
    )


def counted(n: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: 1 problem, 2,000 problems."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def close_match(wanted: str, there: Iterable[str]) -> str | None:
    """The one that was probably meant: spelt almost alike, holding the whole word, or another word for it."""
    names = list(there)
    folded = {name.casefold().replace("_", " ").strip(): name for name in reversed(names)}
    close = difflib.get_close_matches(wanted.casefold(), folded, 1, cutoff=0.7)
    if close:
        return folded[close[0]]
    words = (wanted.casefold(), *_WORDS.get(wanted, ()))
    return next((folded[key] for word in words for key in folded if word in key.split()), None)


def write_whole(path: str | Path, writer: Callable[[Path], object]) -> Path:
    """Write a file whole or not at all: to a temporary file beside it, then renamed over it.

    Parameters
    ----------
    path
        Where the file shall stand; its folder is made.
    writer
        Called with the temporary path, which has the same suffix.

    Raises
    ------
    OSError
        Naming the file, when it cannot be written.
    """
    path = Path(path)
    # mkstemp would leave the file readable by its owner alone; a plain new file follows the umask.
    temporary = path.parent / f".{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(temporary)
        # A renamed file whose content is still in memory is empty after a power cut.
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # A writer that itself writes another file whole has said it.
        if isinstance(error.__cause__, OSError):
            raise
        why = error.strerror or str(error)
        raise OSError(f"file {str(path)!r} cannot be written ({why}); give another place, or make room.") from error
    finally:
        with suppress(OSError):
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
    if id_text(unknown) in {id_text(each) for each in index}:
        if str(unknown) in texts or isinstance(unknown, float | np.floating):
            return " The ids are numbers in one table and text in the other; write them alike."
        return " It is there with other leading zeros, which a spreadsheet takes off numbers; write them alike."
    # "P7" is "p07" before it is "p27".
    folded = {_folded(text): text for text in reversed(texts)}
    close = difflib.get_close_matches(_folded(str(unknown)), folded, 1, cutoff=0.7)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def _folded(text: str) -> str:
    """An id without case, and its numbers without leading zeros."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", text.casefold())


def id_text(each: object) -> str:
    """An id as text, the same for 7, 7.0, "7" and "007"."""
    if isinstance(each, float | np.floating) and float(each).is_integer():
        return str(int(each))
    text = str(each)
    return (text.lstrip("0") or "0") if text.isascii() and text.isdigit() else text
