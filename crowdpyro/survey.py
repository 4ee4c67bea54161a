"""How people were sampled: survey weights, strata, primary sampling units.

n_eff = (sum_i w_i)^2 / sum_i w_i^2,    deff = n / n_eff = 1 + cv(w)^2

n_eff is Kish's effective sample size: so many people of equal weights would tell as much of a mean that has nothing
to do with the weights (L. Kish 1965, Survey Sampling, section 11.7). Weights are known up to a factor; where they are
used, their mean over the people is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .models.off_scale import label_text
from .tables import close_match, folded_names, shown

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ROLES = WEIGHT, STRATUM, PSU = "weight", "stratum", "psu"


@dataclass(frozen=True, eq=False)
class SurveyDesign:
    """How each person came into the sample.

    Attributes
    ----------
    table
        Index `participant`; some of the columns `weight` (float, at least 0), `stratum` and `psu` (texts).
    """

    table: pd.DataFrame

    def rows(self, people: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> SurveyDesign:
        """The design of these people, by position or mask."""
        return SurveyDesign(self.table.iloc[people])

    @property
    def weights(self) -> FloatArray | None:
        """Weights of mean 1, `(n_participants,)`; None where all are equal, which is no weighting at all.

        Raises
        ------
        DataError
            When these people's weights sum to 0.
        """
        if WEIGHT not in self.table.columns:
            return None
        return of_mean_one(self.table[WEIGHT].to_numpy(dtype=float))

    @property
    def strata(self) -> npt.NDArray[np.str_] | None:
        """Stratum of each person, `(n,)`; one for all where only PSUs are known, None where neither is."""
        if STRATUM in self.table.columns:
            return self.table[STRATUM].to_numpy(dtype=str)
        return None if self.units is None else np.full(len(self.table), "all")

    @property
    def units(self) -> npt.NDArray[np.str_] | None:
        """PSU of each person, `(n,)`, named within its stratum: two strata may count theirs alike; None if unknown."""
        if PSU not in self.table.columns:
            return None
        psu = self.table[PSU].to_numpy(dtype=str)
        if STRATUM not in self.table.columns:
            return psu
        return np.array([f"{h}/{g}" for h, g in zip(self.table[STRATUM], psu, strict=True)], dtype=str)


def of_mean_one(weights: FloatArray) -> FloatArray | None:
    """Weights of mean 1; None where all are equal to rounding."""
    if not weights.size:
        return None
    if not weights.sum() > 0:
        raise DataError(
            f"weights of all {len(weights)} people sum to 0; give somebody a positive one, or leave the column out."
        )
    scaled = np.asarray(weights / weights.mean())
    return None if np.ptp(scaled) <= 1e-12 else scaled


def weights_of_answering(weights: FloatArray | None, participant: IntArray) -> FloatArray | None:
    """Weights of mean 1 over the people whom these answers are of: whoever did not answer teaches nothing."""
    if weights is None:
        return None
    mean = weights[np.unique(participant)].mean() if len(participant) else 1.0
    if not mean > 0:
        raise DataError("weights of all people who answered are 0; give somebody who did a positive one.")
    return np.asarray(weights / mean)


def checked_weights(weights: npt.ArrayLike, n: int) -> FloatArray:
    """Weights of n people, scaled to mean 1.

    Raises
    ------
    DataError
        For another shape, a weight that is negative or no finite number, and weights that sum to 0.
    """
    try:
        found = np.asarray(weights, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"weights hold something other than numbers ({error}); give one a person.") from error
    if found.shape != (n,):
        raise DataError(f"weights have shape {found.shape}; give one a person, ({n},).")
    wrong = ~np.isfinite(found) | (found < 0)
    if wrong.any():
        raise DataError(f"weights: {found[wrong][0]} (row {int(wrong.argmax())}); give finite numbers of at least 0.")
    if not found.sum() > 0:
        raise DataError("weights sum to 0; give somebody a positive one.")
    return np.asarray(found / found.mean())


def shares_of_weights(weights: FloatArray | None) -> FloatArray | None:
    """Chances of being drawn, which sum to 1; None for equal ones."""
    return None if weights is None else np.asarray(weights / weights.sum())


def effective_sample_size(weights: npt.ArrayLike) -> float:
    """Kish's n_eff = (sum w)^2 / sum w^2."""
    w = np.asarray(weights, dtype=float)
    return float(w.sum() ** 2 / np.square(w).sum())


def taken_off(
    people: pd.DataFrame, weight: str | None = WEIGHT, stratum: str | None = STRATUM, psu: str | None = PSU
) -> tuple[pd.DataFrame, SurveyDesign | None, list[str]]:
    """Participants without the columns of the survey's design, the design, and notes of what was taken.

    Parameters
    ----------
    people
        Indexed by participant.
    weight, stratum, psu
        Names of the columns; None where a column of that name is a trait. The names by default may be absent.

    Raises
    ------
    DataError
        For a column that is not there, a weight that is missing, negative or no number, weights that sum to 0, and a
        person without a stratum or PSU.
    """
    asked = {WEIGHT: weight, STRATUM: stratum, PSU: psu}
    people = people.rename(columns=folded_names(people.columns, [role for role, name in asked.items() if name == role]))
    columns: dict[str, pd.Series] = {}
    notes = []
    for role, name in asked.items():
        if name is None:
            continue
        if name not in people.columns:
            if name != role:
                close = close_match(name, [str(each) for each in people.columns])
                hint = f" Did you mean {close!r}?" if close else ""
                raise DataError(f"{role}={name!r}: participants have no such column.{hint}")
            continue
        if name in [other for each, other in asked.items() if each != role]:
            raise DataError(f"{role}={name!r}: the column is named twice; weight, stratum and psu are three columns.")
        columns[role] = _weight(people[name], name) if role == WEIGHT else _labels(people[name], name)
        notes.append(_note(role, name, columns[role]))
    if not columns:
        return people, None, []
    design = SurveyDesign(pd.DataFrame(columns, index=people.index))
    return people.drop(columns=[str(asked[role]) for role in columns]), design, notes


def design_of(people: pd.DataFrame, traits: pd.Index) -> tuple[pd.DataFrame, SurveyDesign | None]:
    """Profiles of other people than a model's and how they were sampled: what is a trait in training is one here."""
    free = [None if name in traits else name for name in ROLES]
    found, design, _ = taken_off(people, *free)
    return found, design


def _note(role: str, name: str, column: pd.Series) -> str:
    """What was taken, and how to have a trait of that name instead."""
    trait = f"; {role}=None makes it a trait" if name == role else ""
    if role == WEIGHT:
        n = effective_sample_size(column.to_numpy(dtype=float))
        told = f"{len(column)} people, worth {n:.0f} of equal weights, design effect {len(column) / n:.2f}"
        return f"column {name!r} of participants taken as survey weights: {told}{trait}"
    words = {STRATUM: "strata", PSU: "primary sampling units"}[role]
    return f"column {name!r} of participants taken as {words}: {column.nunique()}{trait}"


def _weight(column: pd.Series, name: str) -> pd.Series:
    gaps = column.isna()
    if gaps.any():
        raise DataError(
            f"column {name!r} of participants: {_who(gaps)} no weight; give everybody one, or drop them. Where the "
            "column is a trait, say weight=None."
        )
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    infinite = ~(numbers.abs() < np.inf)
    for wrong, what in ((infinite, "is no finite number"), (numbers < 0, "is negative")):
        if wrong.any():
            raise DataError(
                f"column {name!r} of participants: {shown(column[wrong].iloc[0])} {what} ({_who(wrong)} such a "
                "weight); correct it. Where the column is a trait, say weight=None."
            )
    if not numbers.sum() > 0:
        raise DataError(
            f"column {name!r} of participants sums to 0; give somebody a positive weight, or leave the column out."
        )
    return numbers


def _labels(column: pd.Series, name: str) -> pd.Series:
    gaps = column.isna()
    if gaps.any():
        raise DataError(
            f"column {name!r} of participants: {_who(gaps)} none; fill it, or leave the column out. Where it is a "
            f"trait, say {name}=None."
        )
    return column.map(label_text)


def _who(wrong: pd.Series) -> str:
    first, n = wrong.index[wrong][0], int(wrong.sum())
    return f"participant {shown(first)} has" if n == 1 else f"participant {shown(first)} and {n - 1} more have"
