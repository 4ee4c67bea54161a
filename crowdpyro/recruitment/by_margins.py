"""Profiles by published margins: of a pool that is raked to them, or of the margins alone.

Alone, margins leave open how traits hang together: the joint of the greatest entropy that has them is drawn from.
Traits that no table joins are then independent; where tables overlap, such as gender*age and age*district, it is
fitted over their combinations, by iterative proportional fitting as raking is (Deming and Stephan 1940). A pool keeps
what its people show of all else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..inference.seeds import generator
from ..survey import effective_sample_size
from ..theory.checked import at_least
from .generator import numbered
from .margins import Codes, Margin, Margins
from .pool import qualified_people
from .quotas import quota_rows, rounded
from .raking import raked

FloatArray = npt.NDArray[np.float64]

_MOST_CELLS = 1_000_000


@dataclass(frozen=True, eq=False)
class RakedPool:
    """Draws from a pool whose weights were raked to published margins.

    Parameters
    ----------
    people
        Candidates, one row a person.
    margins
        What the population is like.
    weights
        To stay close to, `(n_people,)`; the column `weight` when None, equal without it.
    qualified
        Who may be drawn (see `Filter`).
    quotas
        Meet every margin exactly in each draw: to a person where n times a share is whole, else to less than one.

    Attributes
    ----------
    candidates
        Those who qualify.
    shares
        Their raked weights, `(n_people,)`, summing to one.

    Raises
    ------
    DataError
        When nobody qualifies, a margin asks for a level that no candidate has, or margins contradict each other.
    """

    people: pd.DataFrame
    margins: Margins
    weights: npt.ArrayLike | None = None
    qualified: str | None = None
    quotas: bool = False
    candidates: pd.DataFrame = field(init=False)
    shares: FloatArray = field(init=False)
    _codes: Codes = field(init=False)

    def __post_init__(self) -> None:
        candidates, base = qualified_people(self.people, self.weights, self.qualified)
        codes = [margin.codes(candidates) for margin in self.margins.tables]
        object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "shares", raked(codes, list(self.margins.tables), base))
        object.__setattr__(self, "_codes", np.stack(codes, axis=1))

    @property
    def n_effective(self) -> float:
        """Kish's effective number of candidates after raking."""
        return effective_sample_size(self.shares)

    def draw(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """Profiles of n people; with quotas, candidates are drawn within each combination of levels.

        Raises
        ------
        DataError
            When n is below 1.
        """
        rng = generator(seed)
        at_least(n, 1, "n")
        if self.quotas:
            rows = quota_rows(self._codes, self.shares, list(self.margins.tables), n, rng)
        else:
            rows = rng.choice(len(self.candidates), size=n, p=self.shares / self.shares.sum())
        return numbered(self.candidates.iloc[rows])


@dataclass(frozen=True, eq=False)
class MarginsAlone:
    """Draws traits by their published margins, without a pool: all are texts, so that ages in years need a pool.

    Parameters
    ----------
    margins
        One table a trait, or combinations.
    quotas
        As in `RakedPool`.

    Raises
    ------
    DataError
        When tables that overlap span more than a million combinations, or contradict each other.

    Examples
    --------
    >>> margins = Margins({"gender": {"man": 0.4, "woman": 0.6}, "age": {"18-29": 0.2, "30+": 0.8}})
    >>> MarginsAlone(margins, quotas=True).draw(10)["gender"].value_counts().to_dict()
    {'woman': 6, 'man': 4}
    """

    margins: Margins
    quotas: bool = False

    _blocks: list[_Block] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_blocks", [_Block.of(group) for group in _joined(self.margins)])

    def draw(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """Profiles of n people, all traits as texts.

        Raises
        ------
        DataError
            When n is below 1.
        """
        rng = generator(seed)
        columns: dict[str, npt.NDArray[np.object_]] = {}
        for block in self._blocks:
            columns |= block.draw(at_least(n, 1, "n"), self.quotas, rng)
        return numbered(pd.DataFrame(columns)[self.margins.traits])


@dataclass(frozen=True, eq=False)
class _Block:
    """Traits that tables join, and the share of each of their combinations."""

    margins: list[Margin]
    traits: list[str]
    levels: list[tuple[str, ...]]
    codes: Codes
    shares: FloatArray

    @classmethod
    def of(cls, margins: list[Margin]) -> _Block:
        levels: dict[str, dict[str, None]] = {}
        for margin in margins:
            for trait, own in zip(margin.traits, margin.levels, strict=True):
                levels.setdefault(trait, {}).update(dict.fromkeys(own))
        traits = list(levels)
        shape = tuple(map(len, levels.values()))
        n_cells = int(np.prod(shape, dtype=float))
        if n_cells > _MOST_CELLS:
            raise DataError(
                f"margins {', '.join(m.name for m in margins)} span {n_cells:,} combinations; give a pool, or fewer "
                "tables that overlap."
            )
        grid = np.stack(np.unravel_index(np.arange(n_cells), shape), axis=1)
        names = {trait: list(own) for trait, own in levels.items()}
        held = np.full(n_cells, True)
        columns = []
        for margin in margins:
            places = []
            for trait, own in zip(margin.traits, margin.levels, strict=True):
                # A level that another table has and this one lacks has no share.
                known = pd.Index(own).get_indexer(pd.Index(names[trait]))[grid[:, traits.index(trait)]]
                held &= known >= 0
                places.append(np.where(known < 0, 0, known))
            columns.append(np.ravel_multi_index(tuple(places), margin.shares.shape).astype(np.int64))
        codes = [column[held] for column in columns]
        if len(margins) == 1:
            shares = margins[0].shares.ravel()[codes[0]]
        else:
            shares = raked(codes, margins, np.full(int(held.sum()), 1 / held.sum()))
        cells = [tuple(own) for own in names.values()]
        return cls(margins, traits, cells, np.stack([*codes, np.flatnonzero(held)], axis=1), shares)

    def draw(self, n: int, quotas: bool, rng: np.random.Generator) -> dict[str, npt.NDArray[np.object_]]:
        """Levels of n people, a column a trait."""
        if quotas:
            counts = rounded(self.codes[:, :-1], self.shares, self.margins, n, rng)
            chosen = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        else:
            chosen = rng.choice(len(self.shares), size=n, p=self.shares / self.shares.sum())
        places = np.unravel_index(self.codes[chosen, -1], tuple(map(len, self.levels)))
        return {
            trait: np.array(levels, dtype=object)[place]
            for trait, levels, place in zip(self.traits, self.levels, places, strict=True)
        }


def _joined(margins: Margins) -> list[list[Margin]]:
    """Tables in groups that share no trait."""
    groups: list[list[Margin]] = []
    for margin in margins.tables:
        touching = [group for group in groups if any(set(margin.traits) & set(each.traits) for each in group)]
        groups = [group for group in groups if not any(group is each for each in touching)]
        groups.append([*(each for group in touching for each in group), margin])
    return groups
