"""References from a long frame: one row a draw, or one column a level, of one LLM or of several.

An answer that is empty or outside the scale is missing, and counted; nothing is made up for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Ordinal, Scale
from .tables import close_match, folded_names, require_columns, require_rows, row_of, shown

FloatArray: TypeAlias = npt.NDArray[np.float64]
Kind: TypeAlias = Literal["persona", "participant"]

ZERO_SHOT = ""


@dataclass(frozen=True)
class SourceTable:
    """One LLM's answers as they were read; the attributes are those of `ReferenceSource`, in its order."""

    name: str
    revision: str
    prompt: str
    temperature: float
    problems: pd.Index
    personas: tuple[str, ...]
    values: FloatArray
    kind: Kind


def parse(
    frame: pd.DataFrame, scale: Scale, name: str, revision: str, prompt: str, temperature: float
) -> tuple[list[SourceTable], list[str]]:
    """The sources of a frame, and notes on what was lost; arguments as in `References.from_frame`."""
    frame = _named(require_rows(frame, "references"))
    require_columns(frame, ("problem",), "references")
    for column in ("problem", "model"):
        if column not in frame.columns:
            continue
        gaps = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
        if gaps.any():
            place = f"{row_of(frame.index[gaps])} ({int(gaps.sum())} such rows)"
            raise DataError(f"column {column!r} of references is empty in {place}; fill it or drop the row.")
    # Rows are looked up by label below, and a concatenated frame repeats its labels.
    row_names = frame.index
    frame = frame.reset_index(drop=True)
    problems = pd.Index(frame["problem"].unique(), name="problem")
    models = frame["model"].astype(str) if "model" in frame.columns else pd.Series(name, frame.index)
    sources, notes = [], []
    for model, rows in frame.groupby(models, sort=False):
        kind = _kind(rows)
        persona = rows[kind].map(_persona) if kind in rows.columns else pd.Series(ZERO_SHOT, rows.index)
        names = tuple(sorted(persona.unique()))
        cell = (problems.get_indexer(rows["problem"]), pd.Index(names).get_indexer(persona))
        values, n_empty, n_outside = _values(rows, cell, (len(problems), len(names)), scale, row_names)
        if n_empty or n_outside:
            notes.append(
                f"{model}: {n_empty + n_outside} of {len(rows)} answers empty or outside the scale "
                f"({n_empty} empty, {n_outside} outside), taken as missing"
            )
        where = (
            str(_only(rows, "revision", revision)),
            str(_only(rows, "prompt", prompt)),
            _temperature(rows, temperature),
        )
        sources.append(SourceTable(str(model), *where, problems, names, values, kind))
    return sources, notes


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns by their own names, whatever their case and blanks; `task` is a problem. Text ids lose their blanks."""
    wanted = ("problem", "model", "persona", "participant", "answer", "revision", "prompt", "temperature")
    frame = frame.rename(columns=folded_names(frame.columns, wanted))
    if "problem" not in frame.columns:
        frame = frame.rename(columns=folded_names(frame.columns, ("task",))).rename(columns={"task": "problem"})
    if "problem" in frame.columns and not pd.api.types.is_numeric_dtype(frame["problem"]):
        stripped = frame["problem"].map(lambda each: each.strip() if isinstance(each, str) else each)
        frame = frame.assign(problem=stripped)
    return frame


def mean_of_known(values: FloatArray, axis: int) -> FloatArray:
    """Mean over what is there; NaN, without a warning, where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _kind(rows: pd.DataFrame) -> Kind:
    """Personas or twins of participants: a panel's frame has both columns, and a source fills one."""
    if "participant" not in rows.columns:
        return "persona"
    return "participant" if "persona" not in rows.columns or rows["participant"].notna().any() else "persona"


def _persona(who: object) -> str:
    """A persona's name or a participant's id as text; empty is zero-shot."""
    return ZERO_SHOT if pd.isna(who) else _as_label(who)  # type: ignore[call-overload]


def _only(rows: pd.DataFrame, column: str, default: object) -> object:
    """The one value of a column, or the default where the column is absent, empty or of several values."""
    values = list(rows[column].dropna().unique()) if column in rows.columns else []
    return values[0] if len(values) == 1 else default


def _temperature(rows: pd.DataFrame, default: float) -> float:
    """The one temperature of a source; text raises."""
    value = _only(rows, "temperature", default)
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"column 'temperature' of references: {shown(value)} is not a number; correct it.") from error


def _values(
    rows: pd.DataFrame,
    cell: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    shape: tuple[int, int],
    scale: Scale,
    row_names: pd.Index,
) -> tuple[FloatArray, int, int]:
    """Values of one source, and how many answers were empty and how many outside the scale."""
    if "answer" not in rows.columns:
        return _probability_columns(rows, cell, shape, scale, row_names)
    if isinstance(scale, Continuous):
        answers = pd.to_numeric(rows["answer"], errors="coerce").to_numpy(dtype=float)
        good = np.isfinite(answers) & (answers >= scale.low) & (answers <= scale.high)
        flat = cell[0] * shape[1] + cell[1]
        # Only what was answered is a draw: one LLM may have answered some problems more often than others.
        draw = pd.Series(flat[good]).groupby(flat[good]).cumcount().to_numpy()
        values = np.full((*shape, int(draw.max(initial=0)) + 1), np.nan)
        values[cell[0][good], cell[1][good], draw] = answers[good]
        return values, *_lost(rows["answer"], good)
    if isinstance(scale, Ballot):
        return _ballot_shares(rows["answer"], cell, shape, scale)
    codes = _level_codes(rows["answer"], scale)
    good = codes >= 0
    counts = np.zeros((*shape, scale.n_levels))
    np.add.at(counts, (cell[0][good], cell[1][good], codes[good]), 1.0)
    total = counts.sum(axis=-1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1.0), np.nan), *_lost(rows["answer"], good)


def _lost(answers: pd.Series, good: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """How many answers are empty, as where an LLM refused, and how many others are none of the scale."""
    empty = answers.isna().to_numpy() | (answers.astype(str).str.strip() == "").to_numpy()
    return int((empty & ~good).sum()), int((~empty & ~good).sum())


def _ballot_shares(
    answers: pd.Series, cell: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], shape: tuple[int, int], scale: Ballot
) -> tuple[FloatArray, int, int]:
    """Each option's share of the votes or points of the ballots drawn, or how often it was approved."""
    good = answers.notna().to_numpy(copy=True)
    good[good] = scale.valid(answers[good].to_numpy())
    ballots = scale.encode(answers[good].to_numpy())
    total, count = np.zeros((*shape, scale.n_levels)), np.zeros((*shape, 1))
    np.add.at(total, (cell[0][good], cell[1][good]), ballots)
    np.add.at(count, (cell[0][good], cell[1][good]), scale.total or 1.0)
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan), *_lost(answers, good)


@np.errstate(over="ignore")
def _probability_columns(
    rows: pd.DataFrame,
    cell: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    shape: tuple[int, int],
    scale: Scale,
    row_names: pd.Index,
) -> tuple[FloatArray, int, int]:
    """Values from columns `p_LABEL`."""
    if isinstance(scale, Continuous):
        raise DataError("table 'references' needs a column 'answer' on a continuous scale; add the LLM's draws.")
    columns = [f"p_{label}" for label in scale.labels]
    if not any(column in rows.columns for column in columns):
        close = close_match("answer", [str(column) for column in rows.columns if column != "problem"])
        hint = "" if close is None else f" Did you mean {close!r}? Rename it to 'answer'."
        raise DataError(
            f"table 'references' has neither a column 'answer' nor columns {', '.join(map(repr, columns))}; it has "
            f"{', '.join(map(repr, rows.columns))}. Add the LLM's answers or its option probabilities.{hint}"
        )
    require_columns(rows, columns, "references")
    repeated = pd.Series(cell[0] * shape[1] + cell[1]).duplicated().to_numpy()
    if repeated.any():
        problem = rows["problem"].iloc[int(np.flatnonzero(repeated)[0])]
        raise DataError(
            f"columns {columns[0]!r} to {columns[-1]!r}: problem {shown(problem)} has two or more rows of one model "
            f"and persona ({int(repeated.sum())} such rows); keep one, or average them."
        )
    probs = np.stack([_number_column(rows[column], column, row_names) for column in columns], axis=1)
    absent = np.asarray(np.isnan(probs).all(axis=1))
    wrong = ~absent & ~are_probabilities(probs, scale, _rounding(probs))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        where, held = row_of(row_names, rows.index[place]), [round(each, 4) for each in probs[place].tolist()]
        summed = f" (they sum to {probs[place].sum():.4g})" if summing(scale) else ""
        remedy = _percents(probs[place]) or f"correct them{summed} or leave all of them empty."
        raise DataError(
            f"columns {columns[0]!r} to {columns[-1]!r}: {where} holds {held}, which are not "
            f"probabilities{summing(scale)}; {remedy}"
        )
    values = np.full((*shape, scale.n_levels), np.nan)
    total = probs.sum(axis=1, keepdims=True) if summing(scale) else 1.0
    values[cell] = probs / np.where(absent[:, None], 1.0, total)
    return values, int(absent.sum()), 0


def are_probabilities(values: FloatArray, scale: Scale, rounding: float = 1e-4) -> npt.NDArray[np.bool_]:
    """Which rows, along the last axis, are probabilities of the levels; NaN rows are not."""
    within = (values >= 0).all(axis=-1)
    if not summing(scale):
        return np.asarray(within & (values <= 1).all(axis=-1))
    return np.asarray(within & np.isclose(values.sum(axis=-1), 1.0, atol=rounding))


def _rounding(probs: FloatArray) -> float:
    """How far from one a row may sum whose numbers were rounded to the decimals that they have, two at least."""
    written = probs[(probs >= 0) & (probs <= 1)]
    decimals = next((d for d in (2, 3, 4) if np.allclose(written, np.round(written, d), rtol=0.0, atol=1e-9)), None)
    return 1e-4 if decimals is None else max(1e-4, 0.5 * 10.0**-decimals * probs.shape[1])


def summing(scale: Scale) -> str:
    """What is asked of the probabilities beyond being some; nothing where options are approved one by one."""
    return "" if isinstance(scale, Ballot) and scale.rule == "approval" else " that sum to one"


def _percents(probs: FloatArray) -> str | None:
    """What to do where the numbers seem to be percents; None where they do not."""
    total = float(probs.sum())
    if (probs >= 0).all() and 99.0 <= total <= 101.0:
        return f"they sum to {total:g}: divide by 100, and by their sum where rounding makes it another."
    return None


def _number_column(column: pd.Series, name: str, row_names: pd.Index) -> FloatArray:
    """Floats of a column, NaN where empty; text raises."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        raise DataError(
            f"column {name!r} of references: {column[wrong].iloc[0]!r} is not a number "
            f"({row_of(row_names, column.index[wrong][0])}, {int(wrong.sum())} such rows); correct or empty it."
        )
    return numbers.to_numpy(dtype=float, na_value=np.nan)


def _level_codes(answers: pd.Series, scale: Ordinal | Categorical) -> npt.NDArray[np.int64]:
    """Level of each answer, -1 off the scale; numbers compare as numbers, labels as text."""
    if isinstance(scale, Ordinal):
        numbers = pd.to_numeric(answers, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        return pd.Index(scale.values).get_indexer(pd.Index(numbers)).astype(np.int64)
    text = answers.astype(object).map(_as_label)
    codes = pd.Index(scale.labels, dtype=object).get_indexer(pd.Index(text, dtype=object))
    return np.where(answers.isna(), -1, codes).astype(np.int64)


def _as_label(answer: object) -> str:
    """A label as text; a whole float loses its `.0`, so that 1.0 read from a file matches "1"."""
    if isinstance(answer, float | np.floating) and float(answer).is_integer():
        return str(int(answer))
    return str(answer)
