"""Long frames and their keys: columns under our names, unique ids, and answers joined to the rows that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .tables import (
    folded_names,
    id_hint,
    id_text,
    require_columns,
    require_rows,
    row_of,
    rows_named,
    rows_of,
    shown,
)

IntArray = npt.NDArray[np.int64]

# crowd-kit's names for the same columns.
_ALIASES = {"problem": "task", "participant": "worker", "response": "label"}


def renamed(frame: pd.DataFrame, keys: tuple[str, ...], name: str) -> pd.DataFrame:
    """The frame with crowd-kit's names of these keys replaced where ours are absent; a repeated column raises."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"table {name!r} is of type {type(frame).__name__}; give a pandas DataFrame (of a file: pandas.read_csv)."
        )
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise DataError(f"table {name!r}: column {repeated[0]!r} stands there twice or more; keep one.")
    absent = [key for key in keys if key not in frame.columns and key not in frame.index.names]
    if not absent:
        return frame
    frame = _with_names(frame, folded_names(frame.columns, absent))
    aliases = {_ALIASES[key]: key for key in absent if key in _ALIASES and key not in frame.columns}
    frame = _with_names(frame, folded_names(frame.columns, aliases))
    return _with_names(frame, aliases)


def under_keys(frame: pd.DataFrame, keys: tuple[str, ...], name: str) -> pd.DataFrame:
    """`renamed`, of a table that has rows and all keys; what it lacks is said in the names that it was given under."""
    found = require_rows(renamed(frame, keys, name), name)
    require_as_given(found, frame, keys, name)
    return found


def require_as_given(
    found: pd.DataFrame, given: pd.DataFrame, keys: tuple[str, ...], name: str, **aliases: str
) -> None:
    """`require_columns`, of a table whose columns were renamed, in the names of the one that was given."""
    written = {ours: theirs for ours, theirs in zip(found.columns, given.columns, strict=True) if ours != theirs}
    known = _ALIASES | aliases
    synonyms = {key: alias for key, alias in known.items() if set(written.values()) & set(known.values())}
    require_columns(found, keys, name, written=written, synonyms=synonyms)


def _with_names(frame: pd.DataFrame, names: Mapping[Any, str]) -> pd.DataFrame:
    """Columns renamed; pandas takes .3 ms to rename none."""
    return frame.rename(columns=names) if names else frame


def stripped(ids: pd.Series) -> pd.Series:
    """Ids without blanks around them."""
    if pd.api.types.is_numeric_dtype(ids):
        return ids
    return ids.map(lambda each: each.strip() if isinstance(each, str) else each)


def no_id(ids: pd.Series) -> npt.NDArray[np.bool_]:
    """Where an id is absent or blank."""
    return np.asarray(ids.isna() | (stripped(ids) == ""))


def sorted_ids(ids: pd.Series) -> pd.Index:
    """The distinct ids in order; numbers and texts mixed, which have no order, by type and then by text."""
    index: pd.Index = pd.Index(ids.dropna().unique(), name="participant")
    try:
        index = index.sort_values()
    except TypeError:
        index = pd.Index(sorted(index, key=lambda each: (type(each).__name__, str(each))), name="participant")
    return index


def once(wanted: Iterable[object], index: pd.Index, name: str) -> IntArray:
    """Positions of ids, each named once."""
    rows = rows_of(wanted, index, name)
    repeated = pd.Index(rows).duplicated()
    if repeated.any():
        raise DataError(f"{name} {shown(index[rows[repeated][0]])} is selected twice or more; name each id once.")
    return rows


def problem_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Problems indexed by id, each with a text."""
    frame = _indexed(frame, "problem", "problems")
    require_columns(frame, ("text",), "problems")
    empty = frame["text"].isna() | (frame["text"].astype(str).str.strip() == "")
    if empty.any():
        raise DataError(
            f"column 'text' of problems is empty for problem {shown(frame.index[empty][0])} ({int(empty.sum())} such); "
            "give every problem its text or leave it out."
        )
    return frame.assign(text=frame["text"].astype(str))


def participant_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Participants indexed by id."""
    frame = _indexed(frame, "participant", "participants")
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column) and column.isna().all():
            raise DataError(f"column {name!r} of participants is empty for everybody; fill it or leave it out.")
    return frame


def _indexed(frame: pd.DataFrame, key: str, name: str) -> pd.DataFrame:
    """The frame indexed by a unique, complete key."""
    if key not in frame.columns and frame.index.name == key:
        frame = frame.reset_index()
    require_rows(frame, name)
    require_columns(frame, (key,), name)
    gaps = no_id(frame[key])
    if gaps.any():
        raise DataError(
            f"column {key!r} of {name} is empty in {row_of(frame.index[gaps])} ({int(gaps.sum())} such rows); fill it "
            "or drop the row."
        )
    frame = frame.assign(**{key: stripped(frame[key])})
    repeated = frame[key].duplicated()
    if repeated.any():
        first = frame[key][repeated].iloc[0]
        rows = rows_named(frame.index[frame[key] == first])
        raise DataError(f"column {key!r} of {name}: {shown(first)} stands there twice or more ({rows}); keep one row.")
    return frame.set_index(key)


def codes_of(ids: pd.Series, index: pd.Index, key: str, table: str, notes: list[str]) -> IntArray:
    """Rows of answers in a table; an answer without its row raises.

    Where one side has numbers and the other the same numbers as text, they are joined if each number is one text
    only, and a note says so: a spreadsheet makes "007" a 7.
    """
    ids = stripped(ids)
    codes = index.get_indexer(pd.Index(ids))
    if (codes < 0).any() and pd.api.types.is_numeric_dtype(ids) != pd.api.types.is_numeric_dtype(index):
        there = pd.Index([id_text(each) for each in index])
        twice = there[there.duplicated()]
        if len(twice):
            same = ", ".join(map(shown, index[there == twice[0]]))
            raise DataError(
                f"column {key!r}: the ids are numbers in one table and text in the other, and {same} of {table} are "
                "one number; write the ids alike."
            )
        joined = there.get_indexer(pd.Index([id_text(each) for each in ids]))
        # Two texts of the answers that are one number may be two people.
        if (joined >= 0).all() and len(np.unique(joined)) == ids.nunique():
            notes.append(f"column {key!r}: numbers in one table, text in the other; joined as numbers")
            codes = joined
    if (codes < 0).any():
        missing = ids[codes < 0]
        raise DataError(
            f"column {key!r} of responses: {shown(missing.iloc[0])} ({row_of(missing.index)}, {len(missing)} answers, "
            f"{missing.nunique()} such) "
            f"has no row in {table}; add it there or drop its answers.{id_hint(missing.iloc[0], index)}"
        )
    return codes.astype(np.int64)


def refuse_duplicates(responses: pd.DataFrame, person: IntArray, problem: IntArray, n_problems: int) -> None:
    """A person answers a problem once."""
    cell = pd.Series(person * n_problems + problem)
    repeated = cell.duplicated().to_numpy()
    if repeated.any():
        place = int(np.flatnonzero(repeated)[0])
        first = responses.iloc[place]
        rows = rows_named(responses.index[(cell == cell[place]).to_numpy()])
        raise DataError(
            f"columns 'participant', 'problem': {shown(first['participant'])} answered {shown(first['problem'])} "
            f"more than once ({rows}; {int(repeated.sum())} such rows in all); keep one answer each."
        )
