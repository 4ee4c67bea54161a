"""A long frame of labels as codes: who said what of which problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..long_frames import renamed, require_as_given, under_keys
from ..models.scales import Categorical, Ordinal, Scale
from ..tables import counted, id_hint, row_of, shown

if TYPE_CHECKING:
    from ..models.annotation.labels import Labels

# In four bytes a code, ten million labels take 120 MB less.
CODE = np.int32
IntArray = npt.NDArray[np.int32]

_COLUMNS = ("problem", "participant", "response")
_UNKNOWN = -1
_ROWS = 2**16


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels, checked once.

    Attributes
    ----------
    labels
        Codes, golden problems and history, as the models take them.
    problems, participants, classes
        What the codes stand for: unique ids and labels, sorted where they can be.
    notes
        What was dropped or assumed.
    """

    labels: Labels
    problems: pd.Index
    participants: pd.Index
    classes: pd.Index
    notes: tuple[str, ...]

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        golden: pd.Series | pd.DataFrame | Mapping[Any, Any] | None = None,
        history: pd.DataFrame | None = None,
        scale: Scale | None = None,
    ) -> LabelTable:
        """Check and encode; see `aggregate`."""
        import torch

        from ..models.annotation.labels import Labels

        frame = under_keys(frame, _COLUMNS, "labels")
        notes: list[str] = []
        # One block for all three, which the system hands out in large pages: a third of the time at a million labels.
        rows = np.empty((3, len(frame)), CODE)
        (item, problems), (worker, participants) = (
            _encoded(_observed(frame[column]), row) for column, row in zip(_COLUMNS[:2], rows[:2], strict=True)
        )
        for column, code in (("problem", item), ("participant", worker)):
            if code.min() < 0:
                gaps = code < 0
                raise DataError(
                    f"column {column!r} of labels is empty in {row_of(frame.index[gaps])} ({int(gaps.sum())} such "
                    "rows); fill it or drop the row."
                )
        label, found = _labels(frame["response"], rows[2])
        given: Any = slice(None)
        if label.min() < 0:
            given = label >= 0
            notes.append(f"{counted(int((~given).sum()), 'empty label')} taken as no label")
            if not given.any():
                raise DataError("column 'response' of labels holds no label at all; give at least one.")
            before = len(problems)
            (item, problems), (worker, participants) = (
                _left(code[given], index) for code, index in ((item, problems), (worker, participants))
            )
            label = label[given]
            if len(problems) < before:
                notes.append(f"{counted(before - len(problems), 'problem')} without any label left out")
        levels = found
        if scale is not None:
            levels = _levels(scale)
            try:
                code = _translated(found, levels, scale, "response")
            except DataError:  # each label was looked at once: the column knows in which rows it stands
                rows = frame.index[given]
                code = _translated(pd.Index(frame["response"][given]), levels, scale, "response", rows)
            label = code[label]
        known = earlier = None
        if golden is not None:
            truth = _told(golden)
            place = _placed(truth, problems, notes)
            truth = truth[place >= 0]
            code = _translated(pd.Index(truth), levels, scale, "golden truth", truth.index)
            known = np.full(len(problems), _UNKNOWN, np.int64)
            known[place[place >= 0]] = code
        if history is not None:
            earlier = _history(history, participants, levels, scale, notes)
        labels = Labels(
            torch.from_numpy(item),
            torch.from_numpy(worker),
            torch.from_numpy(label),
            len(problems),
            len(participants),
            len(levels),
            None if known is None else torch.from_numpy(known),
            None if earlier is None else torch.from_numpy(earlier),
        )
        return cls(
            labels,
            problems.rename("problem"),
            participants.rename("participant"),
            levels.rename("label"),
            tuple(notes),
        )

    @property
    def report(self) -> tuple[str, ...]:
        """The notes, and how many labels repeat a participant and problem; each counts as a vote."""
        pair = self.labels.item.numpy().astype(np.int64)
        pair *= len(self.participants)
        pair += self.labels.worker.numpy()
        pair.sort()
        repeats = int((np.diff(pair) == 0).sum())
        return (*self.notes, *([f"{repeats} labels repeat a participant and problem: each is a vote"] * (repeats > 0)))


def _labels(column: pd.Series, out: IntArray) -> tuple[IntArray, pd.Index]:
    """Codes of labels, -1 where there is none, and the labels.

    Whole numbers that a missing value beside them made floats are whole again.
    """
    codes, found = _encoded(column, out)
    if pd.api.types.is_float_dtype(found):
        numbers = found.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise DataError("column 'response' of labels holds infinity; a label is a finite number or a word.")
        if (numbers == np.floor(numbers)).all() and np.abs(numbers).max(initial=0) < 2**53:
            found = found.astype(np.int64)
    blank = np.array([isinstance(each, str) and not each.strip() for each in found], dtype=bool)
    if blank.any():
        codes, found = _left(np.where(blank[codes], -1, codes), found)
    return codes, found


def _left(codes: IntArray, index: pd.Index) -> tuple[IntArray, pd.Index]:
    """The same without values that no row holds any more."""
    used = np.bincount(codes[codes >= 0], minlength=len(index)) > 0
    place = np.append(np.cumsum(used, dtype=CODE) - 1, -1).astype(CODE)
    return place[codes], index[used]


def _observed(ids: pd.Series) -> pd.Series:
    """Ids without the categories that no row holds."""
    return ids.cat.remove_unused_categories() if isinstance(ids.dtype, pd.CategoricalDtype) else ids


def _encoded(column: pd.Series, out: IntArray) -> tuple[IntArray, pd.Index]:
    """Codes of a column, -1 where a cell is empty, and what they stand for, sorted where it can be.

    Whole numbers that lie close together are counted instead of hashed: 1 to 2 ms a million instead of 35.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(CODE), column.cat.categories
    values = column.to_numpy()
    if values.dtype.kind in "iu":
        low, high = _extent(values)
        if high - low < 4 * len(values) + 1024 and high < 2**63:
            narrow = np.iinfo(CODE)
            if narrow.min <= low and high <= narrow.max:
                np.copyto(out, values, casting="unsafe")
                out -= low
            else:  # in eight bytes, a buffer at a time
                np.subtract(values, low, out=out, dtype=np.int64, casting="unsafe")
            if _upwards(out):
                return out, pd.RangeIndex(low, high + 1)
            seen = np.zeros(high - low + 1, dtype=bool)
            for start in range(0, len(out), _ROWS):  # a few rows show mostly that no number is left out
                seen[out[start : start + _ROWS]] = True
                if seen.all():
                    return out, pd.RangeIndex(low, high + 1)
            order = np.cumsum(seen, dtype=CODE)
            order -= 1
            return order.take(out, out=out, mode="clip"), pd.Index(np.flatnonzero(seen) + low)
    try:
        codes, uniques = pd.factorize(column)
    except TypeError as error:  # a list is not hashable
        raise DataError(f"column {column.name!r} holds cells of {error}; give text or numbers.") from None
    index = pd.Index(uniques)
    if index.dtype == object:
        index = index.infer_objects()
    try:
        upwards = np.argsort(index)
    except TypeError:  # numbers and words: by first appearance
        return codes.astype(CODE), index
    # One more place, for the -1 of an empty cell.
    rank = np.full(len(upwards) + 1, -1, CODE)
    rank[upwards] = np.arange(len(upwards), dtype=CODE)
    return rank[codes], index[upwards]


def _extent(values: npt.NDArray[Any]) -> tuple[int, int]:
    """Least and greatest of whole numbers, block by block: the second look at a block finds it in the cache."""
    blocks = [values[start : start + _ROWS] for start in range(0, len(values), _ROWS)]
    low, high = zip(*((block.min(), block.max()) for block in blocks), strict=True)
    return int(min(low)), int(max(high))


def _upwards(codes: IntArray) -> bool:
    """Whether each code is the one before or the next: sorted, and no number left out."""
    if codes[0]:
        return False
    for start in range(0, len(codes) - 1, _ROWS):
        block = codes[start : start + _ROWS + 1]
        step = block[1:] - block[:-1]
        if step.min() < 0 or step.max() > 1:
            return False
    return True


def _levels(scale: Scale) -> pd.Index:
    """The labels of a scale, whole numbers as such."""
    if not isinstance(scale, Ordinal | Categorical):
        raise DataError(f"scale={scale}: labels are levels; give an Ordinal or a Categorical scale.")
    whole = isinstance(scale, Ordinal) and all(level.is_integer() for level in scale.levels)
    return pd.Index([int(level) for level in scale.levels] if whole else list(scale.levels))


def _translated(
    given: pd.Index, levels: pd.Index, scale: Scale | None, name: str, rows: pd.Index | None = None
) -> IntArray:
    """Codes of labels; raises `DataError` naming the first that is not on the scale or, without one, in the table."""
    if scale is not None:
        return scale.encode(given.to_numpy(dtype=object), name, rows).astype(CODE)
    code = levels.get_indexer(given)
    if (code < 0).any():
        unknown = given[code < 0]
        raise DataError(
            f"{name}: {shown(unknown[0])} ({len(unknown)} such) is a label that nobody gave; those given are "
            f"{', '.join(map(shown, levels[:12]))}{', ...' * (len(levels) > 12)}.{id_hint(unknown[0], levels)} "
            "To allow others, give a scale that lists them all."
        )
    return code.astype(CODE)


def _told(golden: pd.Series | pd.DataFrame | Mapping[Any, Any]) -> pd.Series:
    """Golden truths by problem."""
    if isinstance(golden, pd.DataFrame):
        frame = renamed(golden, ("problem", "truth"), "golden")
        if "truth" not in frame:  # crowd-kit's `task, label`
            frame = renamed(frame, ("response",), "golden").rename(columns={"response": "truth"})
        require_as_given(frame, golden, ("problem", "truth"), "golden", truth="label")
        golden = frame.set_index("problem")["truth"]
    if not isinstance(golden, pd.Series | Mapping):
        raise DataError(
            f"golden is of type {type(golden).__name__}; give truths by problem: a mapping, a Series or a DataFrame."
        )
    truth = pd.Series(golden).dropna()
    if truth.index.has_duplicates:
        twice = truth.index[truth.index.duplicated()]
        raise DataError(f"golden: problem {shown(twice[0])} stands there twice or more; keep one.")
    return truth


def _placed(truth: pd.Series, problems: pd.Index, notes: list[str]) -> npt.NDArray[np.int64]:
    """Where each golden problem is in the table, -1 where nobody labelled it."""
    place = problems.get_indexer(truth.index).astype(np.int64)
    absent = int((place < 0).sum())
    if absent and absent == len(truth):
        raise DataError(
            f"golden: none of its {absent} problems, such as {shown(truth.index[0])}, is in the table, where one is "
            f"{shown(problems[0])}.{id_hint(truth.index[0], problems)}"
        )
    if absent:
        notes.append(f"{counted(absent, 'golden problem')} without a label left out")
    return place


def _history(
    history: pd.DataFrame, participants: pd.Index, levels: pd.Index, scale: Scale | None, notes: list[str]
) -> npt.NDArray[np.float64]:
    """Counts of earlier labels by participant, truth and label."""
    frame = renamed(history, ("participant", "truth", "response"), "history")
    require_as_given(frame, history, ("participant", "truth", "response"), "history")
    frame = frame.dropna(subset=["participant", "truth", "response"])
    count = np.ones(len(frame))
    if "count" in frame:
        count = pd.to_numeric(frame["count"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if not (np.isfinite(count).all() and (count >= 0).all()):
        raise DataError("column 'count' of history holds a number below 0 or none; give how often, 0 or more.")
    person = participants.get_indexer(pd.Index(frame["participant"]))
    if (person < 0).any():
        notes.append(f"{int((person < 0).sum())} rows of history of people without a label left out")
    there = person >= 0
    truth, label = (
        _translated(pd.Index(frame.loc[there, name]), levels, scale, f"{name} of history", frame.index[there])
        for name in ("truth", "response")
    )
    counts = np.zeros((len(participants), len(levels), len(levels)))
    np.add.at(counts, (person[there], truth, label), count[there])
    return counts
