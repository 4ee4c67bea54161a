"""Profiles: who the participants are, with missing values kept as information.

A missing nominal value is a level of its own; a missing number becomes the median beside an indicator column. What
was done is reported, never silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .models.off_scale import label_text
from .tables import close_match, shown

MISSING = "missing"
# A crowd's long frame has columns of these names, and traits stand beside them.
_TAKEN = ("participant", "problem", "response", "source")
_DATES = ("date", "datetime", "datetime64", "period", "time", "timedelta", "timedelta64")


def clean_profiles(frame: pd.DataFrame, training: pd.DataFrame | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Profiles without gaps, and notes on what was filled.

    Parameters
    ----------
    frame
        One row a participant, one column a trait; numbers stay numbers, everything else becomes text.
    training
        Cleaned profiles of the people that a model was fitted to, when these are others: traits are numbers where
        theirs are, gaps are filled from theirs, and a column of many texts is not refused, since the model knows
        which it can read.

    Raises
    ------
    DataError
        For an infinite number, text in a column that is otherwise numeric, decimal commas, a date, a column that would
        overwrite another in a crowd or as an indicator, or one in which nearly everybody differs.
    """
    columns: dict[str, pd.Series] = {}
    notes: list[str] = []
    for label, column in frame.items():
        name = str(label)
        if name in _TAKEN:
            raise DataError(
                f"column {name!r} of participants: crowds have a column of that name, of another meaning; rename it "
                "or leave it out."
            )
        gaps = column.isna()
        if pd.api.types.infer_dtype(column.dropna()) in _DATES:
            example = f", such as {column.dropna().iloc[0]}" if not gaps.all() else ""
            raise DataError(
                f"column {name!r} of participants holds dates{example}; "
                "turn it into a number (an age in years) or a text (a decade)."
            )
        known = None if training is None else training.get(name)
        if _is_number_trait(column, name, known):
            numbers = pd.to_numeric(column).astype(float)
            infinite = numbers.abs() == np.inf
            if infinite.any():
                raise DataError(
                    f"column {name!r} of participants: {numbers[infinite].iloc[0]} is not finite "
                    f"({_whose(infinite)}); correct it or leave it empty."
                )
            if gaps.any() and f"{name}_{MISSING}" in map(str, frame.columns):
                raise DataError(
                    f"column {name!r} of participants has gaps, which a new column '{name}_{MISSING}' would mark; "
                    "there is one of that name already: rename or drop it."
                )
            if training is None:
                columns |= _filled(numbers, name, float(numbers.median()), "the median", notes)
            elif known is not None:
                columns |= _filled(numbers, name, _median(training, name), "training's median", notes)
            else:
                # No model reads it: there is nothing to fill it for.
                columns[name] = numbers
        else:
            text = column.astype(object).where(~gaps, MISSING).map(lambda each: label_text(each).strip())
            n_levels = text.nunique()
            many = (n_levels > 50 and n_levels > len(text) / 2) or (n_levels > 20 and n_levels > 0.9 * len(text))
            if many and training is None:
                raise DataError(
                    f"column {name!r} of participants has {n_levels} different texts among {len(text)} people, such as "
                    f"{text.iloc[0]!r}: no trait that people share. Group it into a few levels, or leave it out."
                )
            if gaps.any():
                notes.append(f"profile {name!r}: {int(gaps.sum())} missing, kept as level {MISSING!r}")
            columns[name] = text
    return pd.DataFrame(columns, index=frame.index), notes


def _filled(numbers: pd.Series, name: str, median: float, what: str, notes: list[str]) -> dict[str, pd.Series]:
    """A numeric trait with its gaps filled, and where there were any the column that marks them."""
    gaps = numbers.isna()
    if not gaps.any():
        return {name: numbers}
    notes.append(f"profile {name!r}: {int(gaps.sum())} missing, set to {what} {median:g}, marked")
    return {f"{name}_{MISSING}": gaps.astype(float), name: numbers.fillna(median)}


def _median(training: pd.DataFrame, name: str) -> float:
    """The median of a trait over the people of training who gave it."""
    marks = training.get(f"{name}_{MISSING}")
    given = training[name] if marks is None else training[name][marks == 0]
    return float((given if len(given) else training[name]).median())


def _is_number_trait(column: pd.Series, name: str, known: pd.Series | None) -> bool:
    """Whether a trait is a number: as it was in training, else by what it holds."""
    if known is None:
        return _is_numeric(column, name)
    if not pd.api.types.is_numeric_dtype(known):
        return False
    present = column.dropna()
    if len(present) and not _is_numeric(column, name):
        raise DataError(
            f"column {name!r} of participants: {shown(present.iloc[0])} is not a number, as in training "
            f"({_whose(column.notna())}); correct it or leave it empty."
        )
    return True


def _whose(wrong: pd.Series) -> str:
    """Which participant is the first of several, and how many they are."""
    return f"participant {shown(wrong.index[wrong][0])}, {int(wrong.sum())} such"


def _is_numeric(column: pd.Series, name: str) -> bool:
    """Whether a column holds numbers; nearly-numeric text is an error rather than a hundred levels."""
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    present = column.dropna()
    text = present.astype(str)
    if text.str.contains(",").any() and text.str.fullmatch(r"\s*[-+]?\d+([.,]\d+)?\s*").all():
        comma = text[text.str.contains(",")].iloc[0]
        raise DataError(
            f"column {name!r} of participants holds decimal commas, such as {comma!r}; write "
            f"{comma.strip().replace(',', '.')}, or separate the file's columns by semicolons."
        )
    numbers = pd.to_numeric(present, errors="coerce")
    if len(present) == 0 or numbers.isna().mean() > 0.2:
        return False
    if numbers.isna().any():
        raise DataError(
            f"column {name!r} of participants: {present[numbers.isna()].iloc[0]!r} is not a number, and the rest "
            f"is ({_whose(numbers.isna())}). Correct it, leave it empty, or make the whole column text."
        )
    return True


@dataclass(frozen=True)
class ProfileEncoder:
    """Profiles as numbers: numeric traits standardised, others one-hot, by what the training people show.

    The columns are centred and scaled together to unit mean squared norm, so that a normal prior on weights allows a
    profile of many traits no more say than one of few: with 200 people, ten free columns cost more than they tell.

    Attributes
    ----------
    numeric
        Mean and standard deviation of each numeric trait.
    nominal
        Levels of each other trait, with their shares among the training people.
    norm
        Root mean squared norm before scaling.
    """

    numeric: dict[str, tuple[float, float]]
    nominal: dict[str, dict[str, float]]
    norm: float = 1.0

    @classmethod
    def fit(cls, profiles: pd.DataFrame) -> ProfileEncoder:
        """Read means, deviations and levels off training profiles."""
        numeric: dict[str, tuple[float, float]] = {}
        nominal: dict[str, dict[str, float]] = {}
        for name, column in profiles.items():
            if pd.api.types.is_numeric_dtype(column):
                spread = float(column.std(ddof=0))
                numeric[str(name)] = (float(column.mean()), spread if spread > 0 else 1.0)
            else:
                shares = column.map(str).value_counts(normalize=True).sort_index()
                nominal[str(name)] = {str(level): float(share) for level, share in shares.items()}
        raw = cls(numeric, nominal).transform(profiles)
        norm = float(np.sqrt(np.square(raw).sum(axis=1).mean())) if len(raw) else 0.0
        return cls(numeric, nominal, norm if norm > 0 else 1.0)

    @property
    def n_columns(self) -> int:
        """Columns of the encoded profile."""
        return len(self.numeric) + sum(len(levels) for levels in self.nominal.values())

    def transform(self, profiles: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Encode profiles, shape `(n_participants, n_columns)`; an unseen level or no number raises `DataError`."""
        columns = [*self.numeric, *self.nominal]
        # Of people without a gap, nothing marks the gaps.
        marks = {f"{name}_{MISSING}" for name in self.numeric if name in profiles.columns} & set(self.numeric)
        profiles = profiles.assign(**{mark: 0.0 for mark in sorted(marks) if mark not in profiles.columns})
        missing = [name for name in columns if name not in profiles.columns]
        if missing:
            close = close_match(missing[0], [str(name) for name in profiles.columns if name not in columns])
            hint = "add it." if close is None else f"did you mean {close!r}? Rename it to {missing[0]!r}."
            raise DataError(f"profiles lack column {missing[0]!r}, which the model was fitted with; {hint}")
        encoded = np.zeros((len(profiles), self.n_columns), dtype=np.float32)
        for place, (name, (mean, spread)) in enumerate(self.numeric.items()):
            numbers = pd.to_numeric(profiles[name], errors="coerce").to_numpy(dtype=float)
            wrong = ~np.isfinite(numbers)
            if wrong.any():
                value = profiles[name].iloc[int(np.flatnonzero(wrong)[0])]
                raise DataError(
                    f"column {name!r} of participants: {shown(value)} is not a finite number, as in training "
                    f"({_whose(pd.Series(wrong, profiles.index))}); correct or fill it."
                )
            encoded[:, place] = (numbers - mean) / spread
        place = len(self.numeric)
        for name, shares in self.nominal.items():
            levels = list(shares)
            codes = pd.Index(levels).get_indexer(pd.Index(profiles[name].map(str)))
            if (codes < 0).any():
                value = profiles[name].iloc[int(np.flatnonzero(codes < 0)[0])]
                close = close_match(str(value), levels)
                raise DataError(
                    f"column {name!r} of participants: {value!r} was never seen in training "
                    f"({_whose(pd.Series(codes < 0, profiles.index))}); known are {', '.join(map(repr, levels[:12]))}"
                    f"{', ...' * (len(levels) > 12)}. "
                    + (f"Did you mean {close!r}? " if close else "")
                    + ("Fill the gap, " if value == MISSING else "Map it to one of them, ")
                    + "or refit with such people."
                )
            encoded[:, place : place + len(levels)] = -np.array(list(shares.values()))
            encoded[np.arange(len(profiles)), place + codes] += 1.0
            place += len(levels)
        return encoded / np.float32(self.norm)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        numeric = {name: list(pair) for name, pair in self.numeric.items()}
        return {"numeric": numeric, "nominal": self.nominal, "norm": self.norm}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> ProfileEncoder:
        """The inverse of `to_dict`."""
        numeric = {name: (float(mean), float(spread)) for name, (mean, spread) in saved["numeric"].items()}
        nominal = {
            str(name): {str(level): float(share) for level, share in shares.items()}
            for name, shares in saved["nominal"].items()
        }
        if not float(saved["norm"]) > 0 or any(not spread > 0 for _, spread in numeric.values()):
            raise DataError("the saved encoder of profiles has a norm or spread that is not positive.")
        return cls(numeric, nominal, float(saved["norm"]))
