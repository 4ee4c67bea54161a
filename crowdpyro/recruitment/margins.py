"""Published margins: what share of a population each level of a trait has, or each combination of several traits.

A file has one row a level, with columns `trait, level` and `share` or `count`:

    trait,level,share
    gender,woman,0.51
    gender,man,0.49
    age,18-29,0.2
    age,30-64,0.55
    age,65+,0.25
    gender*age,woman*18-29,0.1

A trait of numbers has bands, `18-29`, `65+` or `<18`, whole numbers with both ends in; a combination has stars.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..models.off_scale import label_text
from ..profiles import MISSING
from ..tables import close_match, read_table, require_columns, shown
from .generator import candidates_of

Levels: TypeAlias = tuple[str, ...]
Codes: TypeAlias = npt.NDArray[np.int64]

_STAR = "*"
_TOLERANCE = 1e-6
# A published column of rounded percentages sums to 99.9.
_ROUNDING = 0.01
_BAND = re.compile(
    r"(?:(?P<low>-?\d+)\s*[-\u2013]\s*(?P<high>-?\d+)|(?P<from>-?\d+)\s*\+|<\s*(?P<below>-?\d+)|>\s*(?P<above>-?\d+))"
)


@dataclass(frozen=True)
class Margin:
    """One table of shares.

    Attributes
    ----------
    traits
        One, or several that are combined.
    levels
        Of each trait, in the order of the table.
    shares
        Of each combination, shape `(n_levels of the first trait, ...)`, summing to one.
    """

    traits: Levels
    levels: tuple[Levels, ...]
    shares: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """As a file has it: `gender*age`."""
        return _STAR.join(self.traits)

    def labels(self) -> list[str]:
        """Of each combination, in the order of `shares.ravel()`."""
        return [_STAR.join(each) for each in product(*self.levels)]

    def codes(self, people: pd.DataFrame, name: str = "people") -> Codes:
        """Place of each person in `shares.ravel()`.

        Raises
        ------
        DataError
            For a trait that is no column, or a person whose level the table does not name.
        """
        parts = []
        for trait, levels in zip(self.traits, self.levels, strict=True):
            codes = trait_codes(people, trait, levels, f"margin {self.name!r}", name)
            if (codes < 0).any():
                raise self._unnamed(people[trait][codes < 0], trait, levels, name)
            parts.append(codes)
        return np.ravel_multi_index(tuple(parts), self.shares.shape).astype(np.int64)

    def known(self, people: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whose levels the table names.

        Raises
        ------
        DataError
            When people lack a trait of the table.
        """
        pairs = zip(self.traits, self.levels, strict=True)
        named = [trait_codes(people, *pair, f"margin {self.name!r}") >= 0 for pair in pairs]
        return np.asarray(np.logical_and.reduce(named))

    def _unnamed(self, column: pd.Series, trait: str, levels: Levels, name: str) -> DataError:
        level = level_texts(column).iloc[0]
        close = close_match(level, levels)
        return DataError(
            f"margin {self.name!r}: {len(column)} of {name} have {trait!r} {level!r}, which it does not name; "
            + (f"is it {close!r} there? Write them alike, or g" if close else "g")
            + "ive its share (0 leaves them out)."
        )


class Margins:
    """Published margins of one population, checked against each other.

    Parameters
    ----------
    tables
        By trait, or by a tuple of traits that are combined, the shares of levels, or of tuples of levels:
        `{"gender": {"man": 0.49, "woman": 0.51}, ("gender", "age"): {("man", "18-29"): 0.1, ...}}`.

    Raises
    ------
    DataError
        For shares that are negative or do not sum to one, and for two tables that contradict each other.
    """

    def __init__(self, tables: Mapping[str | Levels, Mapping[Any, float]]) -> None:
        if not isinstance(tables, Mapping):
            raise DataError(f"margins are a {type(tables).__name__}; give a mapping of traits to their levels' shares.")
        if not tables:
            raise DataError("margins are empty; give the shares of a trait's levels.")
        self.tables: tuple[Margin, ...] = tuple(_margin(traits, shares) for traits, shares in tables.items())
        names = [frozenset(margin.traits) for margin in self.tables]
        repeated = next((m.name for m, name in zip(self.tables, names, strict=True) if names.count(name) > 1), None)
        if repeated is not None:
            raise DataError(f"margins: {repeated!r} stands there twice; keep one table of it.")
        for place, one in enumerate(self.tables):
            for other in self.tables[:place]:
                _agree(other, one)

    @classmethod
    def read(cls, path: str | Path) -> Margins:
        """Margins of a file (see the module).

        Raises
        ------
        DataError
            When the file cannot be read, and as `from_frame`.
        """
        return cls.from_frame(read_table(path), str(path))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, name: str = "margins") -> Margins:
        """Margins of a long table with columns `trait`, `level`, and `share` or `count`.

        Raises
        ------
        DataError
            When a level does not fit its trait or stands there twice, or counts are all 0.
        """
        column = "count" if "count" in frame.columns else "share"
        require_columns(frame, ["trait", "level", column], name)
        tables: dict[str | Levels, dict[Any, float]] = {}
        for trait, level, number in zip(frame["trait"], frame["level"], frame[column], strict=True):
            traits, levels = (tuple(part.strip() for part in label_text(each).split(_STAR)) for each in (trait, level))
            if len(traits) != len(levels):
                raise DataError(f"table {name!r}: trait {trait!r} has level {level!r}; write as many parts in both.")
            key = traits if len(traits) > 1 else traits[0]
            where = tables.setdefault(key, {})
            short = levels if len(levels) > 1 else levels[0]
            if short in where:
                raise DataError(f"table {name!r}: level {level!r} of {trait!r} stands there twice; keep one row.")
            where[short] = number
        if column == "count":
            for key, given in tables.items():
                total = sum(_number(each, str(key), column) for each in given.values())
                if total <= 0:
                    raise DataError(f"table {name!r}: the counts of {key!r} are all 0; give some positive ones.")
                tables[key] = {level: _number(each, str(key), column) / total for level, each in given.items()}
        return cls(tables)

    @classmethod
    def of(
        cls, people: pd.DataFrame, traits: Iterable[str | Levels] | None = None, weights: npt.ArrayLike | None = None
    ) -> Margins:
        """The margins that people have, of all their traits when None.

        Raises
        ------
        DataError
            When a trait is missing, or weights are none.
        """
        people, shares = candidates_of(people, weights)
        share = pd.Series(shares)
        tables: dict[str | Levels, Mapping[Any, float]] = {}
        for key in traits if traits is not None else map(str, people.columns):
            names = [key] if isinstance(key, str) else list(key)
            require_columns(people, names, "people")
            found = share.groupby([level_texts(people[name]).to_numpy() for name in names]).sum()
            tables[key] = dict(sorted(found.items(), key=partial(_ordered, [_rank(people[name]) for name in names])))
        return cls(tables)

    @property
    def traits(self) -> list[str]:
        """All traits, in order of appearance."""
        return list(dict.fromkeys(trait for margin in self.tables for trait in margin.traits))

    def to_frame(self) -> pd.DataFrame:
        """Long table `trait, level, share`, as `from_frame` takes it."""
        rows = [
            (margin.name, level, share)
            for margin in self.tables
            for level, share in zip(margin.labels(), margin.shares.ravel(), strict=True)
        ]
        return pd.DataFrame(rows, columns=["trait", "level", "share"])


def _rank(column: pd.Series) -> dict[str, Any]:
    """Place of every level in its order: that of a categorical column, of numbers, or of the alphabet."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = list(column.dtype.categories)
    else:
        levels = sorted(column.dropna().unique(), key=lambda each: (isinstance(each, str), each))
    return {label_text(level).strip(): place for place, level in enumerate(levels)}


def _ordered(ranks: list[dict[str, Any]], item: tuple[Any, float]) -> tuple[int, ...]:
    """Sort key of a combination of levels; gaps come last."""
    levels = item[0] if isinstance(item[0], tuple) else (item[0],)
    return tuple(rank.get(level, len(rank)) for rank, level in zip(ranks, levels, strict=True))


def level_texts(column: pd.Series) -> pd.Series:
    """Levels as texts, a gap as `missing`."""
    return column.astype(object).where(column.notna(), MISSING).map(lambda each: label_text(each).strip())


def trait_codes(people: pd.DataFrame, trait: str, levels: Levels, what: str, name: str = "people") -> Codes:
    """Place of each person's level among these, or of the band that holds it; -1 where there is none."""
    if trait not in people.columns:
        close = close_match(trait, map(str, people.columns))
        hint = f"did you mean {close!r}?" if close else f"known are {', '.join(map(str, people.columns[:12]))}."
        raise DataError(f"{what}: {name} have no column {trait!r}; {hint}")
    column = people[trait]
    codes = pd.Index(levels).get_indexer(pd.Index(level_texts(column)))
    if (codes < 0).any() and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        codes = np.where(codes < 0, _banded(column, levels), codes)
    return codes.astype(np.int64)


def _banded(column: pd.Series, levels: Levels) -> Codes:
    """Place of the band that holds each number, -1 where none does: 18-29 holds 29.5 years."""
    whole = np.floor(column.to_numpy(dtype=float, na_value=np.nan))
    codes = np.full(len(whole), -1, dtype=np.int64)
    for place, level in enumerate(levels):
        found = _BAND.fullmatch(level.replace("years", "").strip())
        if found is None:
            continue
        low, high = -math.inf, math.inf
        if found["low"] is not None:
            low, high = int(found["low"]), int(found["high"])
        elif found["from"] is not None:
            low = int(found["from"])
        elif found["below"] is not None:
            high = int(found["below"]) - 1
        else:
            low = int(found["above"]) + 1
        held = (whole >= low) & (whole <= high)
        if (codes[held] >= 0).any():
            raise DataError(f"margin of {column.name!r}: band {level!r} overlaps with another; part them.")
        codes[held] = place
    return codes


def _number(value: object, trait: str, what: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"margin {trait!r}: {what} {shown(value)} is not a number; correct it.") from error
    if not math.isfinite(number) or number < 0:
        raise DataError(f"margin {trait!r}: {what} {shown(value)}; give a finite number of at least 0.")
    return number


def _margin(traits: str | Levels, shares: Mapping[Any, float]) -> Margin:
    """One table, its shares made to sum to one where only rounding keeps them from it."""
    names = (traits,) if isinstance(traits, str) else tuple(map(str, traits))
    what = _STAR.join(names)
    if not isinstance(shares, Mapping):
        raise DataError(f"margin {what!r} is a {type(shares).__name__}; give a mapping of levels to shares.")
    if len(set(names)) < len(names) or not shares:
        raise DataError(f"margin {what!r}: give different traits, and one level at least.")
    table = {}
    for level, share in shares.items():
        key = tuple(map(label_text, level)) if isinstance(level, tuple) and len(names) > 1 else (label_text(level),)
        if len(key) != len(names):
            raise DataError(f"margin {what!r}: level {level!r} has not one part a trait.")
        table[key] = _number(share, what, "share")
    levels = tuple(tuple(dict.fromkeys(key[place] for key in table)) for place in range(len(names)))
    if math.prod(map(len, levels)) > 1_000_000:
        raise DataError(f"margin {what!r} has {math.prod(map(len, levels)):,} combinations; combine fewer traits.")
    cells = np.zeros(tuple(map(len, levels)))
    for key, share in table.items():
        cells[tuple(each.index(part) for each, part in zip(levels, key, strict=True))] = share
    total = cells.sum()
    if min(abs(total - 1), abs(total / 100 - 1)) > _ROUNDING:
        raise DataError(f"margin {what!r}: its shares sum to {total:.6g}; give shares that sum to 1, or percentages.")
    return Margin(names, levels, cells / total)


def _agree(one: Margin, other: Margin) -> None:
    """Raise `DataError` where two tables say different things of the traits that they share."""
    common = [trait for trait in one.traits if trait in other.traits]
    if not common:
        return
    first, second = (_marginal(margin, common) for margin in (one, other))
    both = pd.concat([first, second], axis=1, keys=["one", "other"]).fillna(0.0)
    gap = (both["one"] - both["other"]).abs()
    if gap.max() > _TOLERANCE:
        place = int(gap.to_numpy().argmax())
        worst = both.index[place]
        level = _STAR.join(worst) if isinstance(worst, tuple) else worst
        raise DataError(
            f"margins {one.name!r} and {other.name!r} contradict each other: the share of {_STAR.join(common)} "
            f"{level!r} is {both['one'].iloc[place]:.6g} in the one and {both['other'].iloc[place]:.6g} in the other; "
            "drop one, or correct it."
        )


def _marginal(margin: Margin, traits: list[str]) -> pd.Series:
    """Shares of some of its traits' levels."""
    places = [margin.traits.index(trait) for trait in traits]
    rest = tuple(place for place in range(len(margin.traits)) if place not in places)
    kept = margin.shares.sum(axis=rest)
    order = np.argsort(np.argsort(places))
    index = pd.MultiIndex.from_product([margin.levels[place] for place in places], names=traits)
    values = np.transpose(kept, order).ravel()
    return pd.Series(values, index=index if len(traits) > 1 else index.get_level_values(0))
