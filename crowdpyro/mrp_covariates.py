"""What multilevel regression knows of an answer: the levels of somebody's traits, and the LLM's reference.

Numeric traits of many values are cut at quantiles of the sample, as in published applications of MRP: a level is what
effects are pooled over. Levels that the sample lacks are numbered on after its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError, MissingReferenceError, ModelError
from .features import log_weights
from .models.scales import Continuous, Ordinal, Scale
from .profiles import clean_profiles
from .reference_table import mean_of_known
from .references import References
from .tables import close_match, shown
from .twins import has_twins, told_by_twins

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# How many people of the population are in a cell.
NUMBER = "N"


@dataclass(frozen=True, eq=False)
class TraitLevels:
    """Levels of the traits, all in one row: those of the first trait, of the second, and so on.

    Attributes
    ----------
    levels
        Values of each trait in the sample, or the bounds between the bins of a numeric one. A trait that everybody
        shares has no levels and is left out.
    binned
        Traits that are cut into bins.
    profiles
        Of the sample.
    """

    levels: Mapping[str, npt.NDArray[np.object_]]
    binned: frozenset[str]
    profiles: pd.DataFrame

    @classmethod
    def fit(cls, profiles: pd.DataFrame, n_bins: int) -> TraitLevels:
        """Levels of a sample."""
        levels: dict[str, npt.NDArray[np.object_]] = {}
        binned = set()
        for name, column in profiles.items():
            values = np.unique(column.to_numpy())
            if len(values) < 2:
                continue
            if pd.api.types.is_numeric_dtype(column) and len(values) > n_bins:
                binned.add(str(name))
                inner = np.quantile(column.to_numpy(dtype=float), np.arange(1, n_bins) / n_bins)
                # A value that is many people's may be several quantiles at once; below the least there is nobody.
                values = np.unique(inner[inner > values[0]])
            levels[str(name)] = values.astype(object)
        return cls(levels, frozenset(binned), profiles)

    @property
    def trait(self) -> IntArray:
        """Number of the trait that each level is of, shape `(n_levels,)`."""
        sizes = [len(values) + (name in self.binned) for name, values in self.levels.items()]
        return np.repeat(np.arange(len(sizes)), sizes)

    def codes(self, frame: pd.DataFrame) -> tuple[IntArray, IntArray]:
        """Levels of these people.

        Returns
        -------
        codes
            Shape `(n, n_traits)`.
        fresh
            Trait of each level that the sample lacks, numbered on after the sample's, shape `(n_fresh,)`.
        """
        missing = [name for name in self.levels if name not in frame.columns]
        if missing:
            close = close_match(missing[0], [str(name) for name in frame.columns if name not in self.levels])
            hint = "add it." if close is None else f"did you mean {close!r}? Rename it to {missing[0]!r}."
            raise DataError(f"cells lack column {missing[0]!r}, which the model was fitted with; {hint}")
        cleaned, _ = clean_profiles(frame[[*self.levels]], self.profiles)
        codes = np.zeros((len(frame), len(self.levels)), dtype=np.int64)
        start, fresh = 0, list[int]()
        n_levels = len(self.trait)
        for place, (name, values) in enumerate(self.levels.items()):
            column = cleaned[name].to_numpy()
            if name in self.binned:
                codes[:, place] = start + np.searchsorted(values.astype(float), column.astype(float), side="right")
                start += len(values) + 1
                continue
            known = pd.Index(values).get_indexer(pd.Index(column))
            strange, which = np.unique(column[known < 0].astype(object), return_inverse=True)
            codes[:, place] = start + known
            codes[known < 0, place] = n_levels + len(fresh) + which
            fresh.extend([place] * len(strange))
            start += len(values)
        return codes, np.asarray(fresh, dtype=np.int64)

    def distinct(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, FloatArray]:
        """People of equal levels as one row, and how many they are."""
        codes, _ = self.codes(frame)
        _, first, numbers = np.unique(codes, axis=0, return_index=True, return_counts=True)
        return frame.iloc[first], numbers.astype(float)


def cells_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, FloatArray]:
    """The traits of a frame of cells, and how many people are in each.

    Raises
    ------
    DataError
        For a frame without rows, or numbers that are missing, negative or all 0.
    """
    if not len(frame):
        raise DataError("table 'cells' has no rows; give at least one.")
    if NUMBER not in frame.columns:
        return frame, np.ones(len(frame))
    numbers = pd.to_numeric(frame[NUMBER], errors="coerce")
    wrong = ~(np.isfinite(numbers) & (numbers >= 0))
    if wrong.any():
        value = frame[NUMBER][wrong].iloc[0]
        raise DataError(
            f"column {NUMBER!r} of cells: {shown(value)} of cell {shown(frame.index[wrong][0])} "
            f"({int(wrong.sum())} such); give how many people are in it, 0 or more."
        )
    if numbers.sum() == 0:
        raise DataError(f"column {NUMBER!r} of cells is 0 throughout; give how many people are in each.")
    return frame.drop(columns=NUMBER), numbers.to_numpy(dtype=float)


@dataclass(frozen=True, eq=False)
class ReferenceOffsets:
    """LLMs' answers on a common footing: mean 0, standard deviation 1 over what was asked in training.

    Attributes
    ----------
    scale
        Of the answers: the expected rating or number, or the log probabilities of the labels.
    names
        LLMs beside each other; those that play each participant's twin are averaged into one.
    twins
        Whether they answer in the role of each participant.
    centre, unit
        Shapes `(n_outputs, n_llms)` and `(n_llms,)`.
    """

    scale: Scale
    names: tuple[str, ...]
    twins: bool
    centre: FloatArray
    unit: FloatArray

    @classmethod
    def fit(cls, references: References, problems: pd.Index, people: pd.Index) -> ReferenceOffsets:
        """Centre and unit of the references of these problems, by these people's twins where they are twins."""
        twins = has_twins(references)
        raw = cls(references.scale, references.names, twins, np.zeros((1, 1)), np.ones(1)).values(
            references, problems, people
        )
        centre = raw.mean(axis=(0, 1))
        unit = np.sqrt(np.square(raw - centre).mean(axis=(0, 1, 2)))
        names = ("twins",) if twins else references.names
        return cls(references.scale, names, twins, centre, np.where(unit > 0, unit, 1.0))

    def values(self, references: References, problems: pd.Index, people: pd.Index) -> FloatArray:
        """Standardised references, `(n_people or 1, n_problems, n_outputs, n_llms)`.

        Raises
        ------
        MissingReferenceError
            Where an LLM, or somebody's twin, gave no answer.
        """
        if not self.twins and references.names != self.names:
            raise ModelError(
                f"references are of {', '.join(references.names)}; the model was fitted with {', '.join(self.names)}. "
                "Give the same LLMs' answers, in the same order."
            )
        references = references.select(problems).fill("error")
        if self.twins:
            raw = told_by_twins(references, people, problems, self.scale).astype(float)
            if np.isnan(raw).any():
                row, column = np.argwhere(np.isnan(raw))[0][:2]
                raise MissingReferenceError(
                    f"references: {shown(people[row])} has no twin's answer to problem {shown(problems[column])}; ask "
                    "the LLM in that role, or leave references out."
                )
            raw = raw.reshape(len(people), len(problems), -1, 1)
        else:
            raw = np.stack([self._of_source(source.base()) for source in references], axis=-1)[None]
        standard: FloatArray = (raw - self.centre) / self.unit
        return standard

    def _of_source(self, base: FloatArray) -> FloatArray:
        """Shape `(n_problems, n_outputs)`."""
        if isinstance(self.scale, Ordinal):
            return np.asarray(base @ self.scale.values)[:, None]
        if isinstance(self.scale, Continuous):
            return mean_of_known(base, axis=1)[:, None]
        return log_weights(base, self.scale)
