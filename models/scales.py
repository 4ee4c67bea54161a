"""Response scales: what an answer may be, and how it becomes a number.

A scale is data about the question, not about a model; blenders (`crowdpyro.models.blender`) are
named after the scale they serve. Discrete answers are stored as codes `0..n_levels-1`, continuous
ones as floats in the unit of the response, ballots as one number an option. A missing answer is never encoded: it is
absent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from .ballot import Ballot, parse_ballot
from .errors import DataError
from .off_scale import label_text, off_scale

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Beyond these, an answer is a number rather than one of so many levels.
_MOST_LEVELS = 1000


@dataclass(frozen=True)
class Ordinal:
    """Ordered levels with numeric values, such as a 1-5 rating.

    Parameters
    ----------
    levels
        The numeric values, strictly increasing, at least two. Their unit is the response's unit.

    Raises
    ------
    DataError
        When there are fewer than two levels, or they do not increase.

    Examples
    --------
    >>> Ordinal.range(1, 5).encode([1, 5, 3])
    array([0., 4., 2.])
    """

    levels: tuple[float, ...]
    kind: ClassVar[str] = "ordinal"

    def __post_init__(self) -> None:
        levels = tuple(float(level) for level in self.levels)
        object.__setattr__(self, "levels", levels)
        if len(levels) < 2:
            raise DataError(f"levels={levels}: an ordinal scale needs at least two levels.")
        if not np.all(np.isfinite(levels)) or np.any(np.diff(levels) <= 0):
            raise DataError(f"levels={levels}: give finite, strictly increasing numbers.")

    @classmethod
    def range(cls, low: int, high: int) -> Ordinal:
        """Whole numbers from `low` to `high`, both included."""
        return cls(tuple(float(v) for v in range(int(low), int(high) + 1)))

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def values(self) -> FloatArray:
        """Numeric value of every level, shape `(n_levels,)`, in the unit of the response."""
        return np.asarray(self.levels)

    @property
    def labels(self) -> tuple[str, ...]:
        """The levels as a person would write them."""
        return tuple(f"{level:g}" for level in self.levels)

    def encode(
        self,
        answers: Sequence[Any] | npt.ArrayLike,
        name: str = "response",
        rows: Sequence[Any] | pd.Index | None = None,
    ) -> FloatArray:
        """Codes `0..n_levels-1` of `answers`, shape `(n,)`; raises `DataError` on any other, by its name in `rows`."""
        numbers = _numbers(answers, name, rows, self.labels)
        codes = np.searchsorted(self.values, numbers).clip(0, self.n_levels - 1)
        wrong = self.values[codes] != numbers
        if wrong.any():
            message = off_scale(name, numbers, wrong, f"one of {', '.join(self.labels)}", rows)
            raise DataError(message + self._wider(numbers))
        return codes.astype(np.float64)

    def _wider(self, numbers: FloatArray) -> str:
        """The scale that holds all these numbers, where that is likely; else what far-off numbers may be."""
        low, high = min(self.levels[0], numbers.min()), max(self.levels[-1], numbers.max())
        if not all(each.is_integer() for each in (*self.levels, *numbers)):
            return ", such as continuous."
        if high - low < max(2 * self.n_levels, 11):
            return f", such as {low:.0f}:{high:.0f}."
        return ". A number that stands for no answer, such as 99, is to be left empty."

    def decode(self, codes: npt.ArrayLike) -> FloatArray:
        """Numeric values of `codes`, same shape."""
        return self.values[np.asarray(codes, dtype=np.int64)]


@dataclass(frozen=True)
class Categorical:
    """Unordered labels, such as the candidates of a vote.

    Parameters
    ----------
    levels
        The labels, unique, at least two. Codes follow their order here; nothing depends on it.

    Raises
    ------
    DataError
        When there are fewer than two labels, or one repeats.
    """

    levels: tuple[str, ...]
    kind: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        levels = tuple(str(level) for level in self.levels)
        object.__setattr__(self, "levels", levels)
        if len(levels) < 2:
            raise DataError(f"levels={levels}: a categorical scale needs at least two labels.")
        if len(set(levels)) < len(levels):
            raise DataError(f"levels={levels}: labels repeat; give each label once.")

    @property
    def n_levels(self) -> int:
        """Number of labels."""
        return len(self.levels)

    @property
    def values(self) -> FloatArray:
        """The codes themselves; they index labels and carry no arithmetic."""
        return np.arange(self.n_levels, dtype=np.float64)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels."""
        return self.levels

    def encode(
        self,
        answers: Sequence[Any] | npt.ArrayLike,
        name: str = "response",
        rows: Sequence[Any] | pd.Index | None = None,
    ) -> FloatArray:
        """Codes of `answers`, shape `(n,)`; raises `DataError` on an unknown label, by its name in `rows`."""
        table = {level: code for code, level in enumerate(self.levels)}
        given = [label_text(answer) for answer in np.asarray(answers, dtype=object).ravel()]
        codes = np.array([table.get(label, -1) for label in given], dtype=np.float64)
        wrong = codes < 0
        if wrong.any():
            first = given[int(np.flatnonzero(wrong)[0])].strip().casefold()
            near = next((level for level in self.levels if level.strip().casefold() == first), None)
            hint = "." if near is None else f". Did you mean {near!r}?"
            raise DataError(off_scale(name, given, wrong, f"one of {', '.join(self.levels)}", rows) + hint)
        return codes

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Labels of `codes`, same shape."""
        return np.asarray(self.levels, dtype=object)[np.asarray(codes, dtype=np.int64)]


@dataclass(frozen=True)
class Continuous:
    """A real-valued answer, bounded or not.

    Parameters
    ----------
    low, high
        Bounds in the unit of the response, included; infinite by default.

    Raises
    ------
    DataError
        When `low` is not below `high`.
    """

    low: float = -np.inf
    high: float = np.inf
    kind: ClassVar[str] = "continuous"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not self.low < self.high:
            raise DataError(f"low={self.low:g}, high={self.high:g}: low must be below high.")

    def encode(
        self,
        answers: Sequence[Any] | npt.ArrayLike,
        name: str = "response",
        rows: Sequence[Any] | pd.Index | None = None,
    ) -> FloatArray:
        """The answers as floats, shape `(n,)`; raises `DataError` outside the bounds, by its name in `rows`."""
        numbers = _numbers(answers, name, rows)
        wrong = (numbers < self.low) | (numbers > self.high)
        if wrong.any():
            raise DataError(off_scale(name, numbers, wrong, f"in [{self.low:g}, {self.high:g}]", rows) + ".")
        return numbers

    def decode(self, codes: npt.ArrayLike) -> FloatArray:
        """The answers themselves."""
        return np.asarray(codes, dtype=np.float64)


Scale: TypeAlias = Ordinal | Categorical | Continuous | Ballot


def parse_scale(text: str) -> Scale:
    """Scale written on the command line: `1:5`, `continuous`, `continuous:0:100`, `yes,no,unsure`, `choose:2:A,B,C`.

    Ballots are `approval:A,B,C`, `choose:2:A,B,C`, `rank:2:A,B,C` and `points:10:A,B,C` (see `Ballot`).

    Parameters
    ----------
    text
        One of these.

    Returns
    -------
    Scale
        `Ordinal`, `Continuous`, `Categorical` or `Ballot`.

    Raises
    ------
    DataError
        For a text that is none.

    Examples
    --------
    >>> parse_scale("1:3")
    Ordinal(levels=(1.0, 2.0, 3.0))
    """
    if match := re.fullmatch(r"\s*(-?\d{1,18})\s*(?::|-|\u2013|\.\.|\bto\b)\s*(-?\d{1,18})\s*", text):
        low, high = int(match[1]), int(match[2])
        if ":" not in text or low >= high:
            example = f"{min(low, high)}:{max(low, high)}" if low != high else f"{low}:{low + 4}"
            raise DataError(f"scale={text!r}: write LOW:HIGH, the lower first, such as {example}.")
        if high - low > _MOST_LEVELS:
            raise DataError(f"scale={text!r}: that is {high - low + 1} levels; write continuous:{low}:{high}.")
        return Ordinal.range(low, high)
    if match := re.fullmatch(r"\s*continuous\s*(?::([^:]*):([^:]*))?", text, re.IGNORECASE):
        try:
            return Continuous(float(match[1]), float(match[2])) if match[1] is not None else Continuous()
        except ValueError as error:
            raise DataError(f"scale={text!r}: write continuous:LOW:HIGH, two numbers, the lower first.") from error
    if (ballot := parse_ballot(text)) is not None:
        return ballot
    if "," in text:
        levels = tuple(part.strip() for part in text.split(","))
        if "" in levels:
            raise DataError(f"scale={text!r}: a label is empty; write LABEL,LABEL,... without a comma too many.")
        return Categorical(levels)
    raise DataError(
        f"scale={text!r}: write LOW:HIGH, such as 1:5, for whole-number ratings, LABEL,LABEL,..., such as yes,no, for "
        "categories, continuous or continuous:LOW:HIGH for numbers, choose:2:OPTION,OPTION,... (or rank, points, "
        "approval) for ballots."
    )


def scale_to_dict(scale: Scale) -> dict[str, Any]:
    """JSON-ready form of a scale."""
    if isinstance(scale, Continuous):
        return {"kind": scale.kind, "low": scale.low, "high": scale.high}
    if isinstance(scale, Ballot):
        return {"kind": scale.kind, "options": list(scale.options), "rule": scale.rule, "n": scale.n}
    return {"kind": scale.kind, "levels": list(scale.levels)}


def scale_from_dict(saved: dict[str, Any]) -> Scale:
    """The inverse of `scale_to_dict`."""
    if saved.get("kind") == "continuous":
        return Continuous(saved["low"], saved["high"])
    if saved.get("kind") == "ordinal":
        return Ordinal(tuple(saved["levels"]))
    if saved.get("kind") == "categorical":
        return Categorical(tuple(saved["levels"]))
    if saved.get("kind") == "ballot":
        return Ballot(tuple(saved["options"]), saved["rule"], saved["n"])
    raise DataError(f"scale kind {saved.get('kind')!r} is unknown; known: ordinal, categorical, continuous, ballot.")


def _numbers(
    answers: Sequence[Any] | npt.ArrayLike,
    name: str,
    rows: Sequence[Any] | pd.Index | None,
    levels: tuple[str, ...] = (),
) -> FloatArray:
    """Floats of `answers`; text, missing and infinite values raise."""
    raw = np.asarray(answers, dtype=object).ravel()
    numbers = pd.to_numeric(pd.Series(raw), errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        message = off_scale(name, raw, wrong, "a finite number", rows)
        raise DataError(message + _text_remedy(raw, wrong, levels))
    return numbers


def _text_remedy(answers: npt.NDArray[np.object_], wrong: npt.NDArray[np.bool_], levels: tuple[str, ...]) -> str:
    """How to go on from answers that are text: a decimal point, numbers, or a scale of their labels."""
    text = answers[wrong][0]
    if not isinstance(text, str):
        return "."
    if re.fullmatch(r"\s*[-+]?\d+,\d+\s*", text):
        return f". Decimals have a point: write {text.strip().replace(',', '.')}."
    if not levels:
        return ", such as the labels themselves, LABEL,LABEL,..."
    labels = sorted({str(each).strip() for each in answers}) if wrong.all() else []
    written = ",".join(labels) if 2 <= len(labels) <= 12 and "," not in "".join(labels) else "LABEL,LABEL,..."
    return f" of labels, such as {written}; or write the numbers {', '.join(levels[:11])} for them."
