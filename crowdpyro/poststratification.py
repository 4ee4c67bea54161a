"""Poststratification: a crowd reweighted to the numbers of people that a population has in each cell of its traits.

m_t = sum_c (N_c / N) ybar_ct,      Var(m_t) = sum_c (N_c / N)^2 s_ct^2 / n_ct
w_i = N_c(i) w0_i / sum_{j in c(i)} w0_j

Cells are the combinations of traits in a frame, N_c its column `N`; ybar_ct is the mean of the cell's members (by the
weights w0 that they have already). As a reweighted crowd it serves everything that a crowd does. The variance is that
of members drawn from a cell, the cells' numbers and the fitted model taken as given. (Holt and Smith 1979, Journal of
the Royal Statistical Society A 142.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .crowd import Crowd
from .errors import DataError
from .models.ballot import Ballot
from .models.off_scale import label_text
from .models.scales import Categorical
from .survey import WEIGHT, effective_sample_size
from .tables import close_match, shown

FloatArray = npt.NDArray[np.float64]

NUMBER = "N"


@dataclass(frozen=True, eq=False)
class Poststratification:
    """A crowd that has a population's cells.

    Attributes
    ----------
    crowd
        The same answers, weighted.
    cells
        One row a cell: its traits, `N`, `share` of the population, `members` of the crowd.
    estimate
        One row a problem (of labels and ballots, a problem and option): `mean` of the population (of labels, the share;
        of ballots, votes or points) and its standard error `se`, NaN where a cell has a single member.
    outside
        Members in no cell of the population, who weigh nothing.
    effective_sample_size
        Kish's number of members of equal weights.
    """

    crowd: Crowd
    cells: pd.DataFrame
    estimate: pd.DataFrame
    outside: int
    effective_sample_size: float

    def __repr__(self) -> str:
        outside = f", {self.outside} outside" if self.outside else ""
        return (
            f"<Poststratification: {self.crowd.n_participants} members{outside} in {len(self.cells)} cells, worth "
            f"{self.effective_sample_size:.0f} of equal weights>"
        )


def poststratify(crowd: Crowd, cells: pd.DataFrame) -> Poststratification:
    """Reweight a crowd, or people, to a population's cells.

    Parameters
    ----------
    crowd
        Its traits are compared as texts; group ages and the like before recruiting.
    cells
        One row a cell: columns of traits, and `N`, how many of the population are in it.

    Returns
    -------
    Poststratification
        The weighted crowd, its cells, and estimates with standard errors in the unit of the response.

    Raises
    ------
    DataError
        For a trait that the crowd does not have, an `N` that is missing, negative or all 0, a cell twice, and a cell of
        the population without a member, or without an answer to some problem.
    """
    traits, numbers = _checked(cells)
    members = _profiles(crowd, traits)
    keys = [tuple(row) for row in cells[traits].map(label_text).itertuples(index=False)]
    table = pd.MultiIndex.from_tuples(keys)
    if table.has_duplicates:
        twice = keys[int(table.duplicated().argmax())]
        raise DataError(f"cells: {_words(traits, twice)} stands there twice; sum its N.")
    cell = table.get_indexer(pd.MultiIndex.from_frame(members))
    base = np.ones(crowd.n_participants) if crowd.weights is None else crowd.weights
    mass = np.bincount(cell[cell >= 0], base[cell >= 0], minlength=len(keys))
    empty = (numbers > 0) & ~(mass > 0)
    if empty.any():
        place = int(empty.argmax())
        raise DataError(
            f"cells: nobody of the crowd is {_words(traits, keys[place])}, of whom the population has "
            f"{numbers[place]:g} ({int(empty.sum())} such cells); recruit such people (`generate` takes a frame), or "
            "join the cell with one like it in both."
        )
    # A member outside has cell -1, and reads the last cell's factor times 0.
    factor = numbers / np.where(mass > 0, mass, 1.0)
    weights = np.where(cell >= 0, base * factor[cell], 0.0)
    dataset = crowd.dataset.assign_coords({WEIGHT: ("participant", weights / weights.mean())})
    share = numbers / numbers.sum()
    inside = cell >= 0
    described = cells[[*traits, NUMBER]].assign(share=share, members=np.bincount(cell[inside], minlength=len(keys)))
    estimate = _estimate(crowd, np.where(base > 0, cell, -1), base, share, [_words(traits, key) for key in keys])
    return Poststratification(Crowd(dataset), described, estimate, int((~inside).sum()), effective_sample_size(weights))


def _checked(cells: pd.DataFrame) -> tuple[list[str], FloatArray]:
    """Names of the traits, and numbers of people."""
    if NUMBER not in cells.columns:
        there = ", ".join(map(str, cells.columns))
        raise DataError(f"cells lack column {NUMBER!r}, the population's number in each; they have {there}.")
    traits = [name for name in cells.columns if name != NUMBER]
    if not traits or cells.empty:
        raise DataError("cells: give one row a cell, with a column of at least one trait beside N.")
    if cells[traits].isna().any(axis=None):
        name = next(name for name in traits if cells[name].isna().any())
        raise DataError(f"cells: column {name!r} has gaps; name the level, or drop the row.")
    numbers = pd.to_numeric(cells[NUMBER], errors="coerce").to_numpy(dtype=float)
    wrong = ~(np.isfinite(numbers) & (numbers >= 0))
    if wrong.any():
        value = cells[NUMBER].iloc[int(wrong.argmax())]
        raise DataError(f"cells: column {NUMBER!r} holds {shown(value)}; give numbers of people, at least 0.")
    if not numbers.sum() > 0:
        raise DataError(f"cells: column {NUMBER!r} sums to 0; give the population's numbers.")
    return traits, numbers


def _profiles(crowd: Crowd, traits: list[str]) -> pd.DataFrame:
    """The members' traits as texts."""
    known = [str(name).removeprefix("profile_") for name in crowd.dataset.coords if str(name).startswith("profile_")]
    for name in traits:
        if str(name) not in known:
            raise DataError(
                f"cells: the crowd has no trait {name!r}; it has {', '.join(known) or 'none'}."
                + ("" if (close := close_match(str(name), known)) is None else f" Did you mean {close!r}?")
            )
    columns = {name: crowd.dataset[f"profile_{name}"].to_numpy() for name in traits}
    return pd.DataFrame(columns).map(label_text)


def _estimate(
    crowd: Crowd, cell: npt.NDArray[np.int64], base: FloatArray, share: FloatArray, names: list[str]
) -> pd.DataFrame:
    """Means of cells, by the population's numbers."""
    values, labels = _values(crowd)
    flat = values.reshape(len(values), -1)
    mean, variance = np.zeros(flat.shape[1]), np.zeros(flat.shape[1])
    for place in np.flatnonzero(share > 0):
        inside = cell == place
        given, weight = flat[inside], base[inside]
        there = ~np.isnan(given)
        n, total = there.sum(axis=0), weight @ there
        if (n == 0).any():
            problem = crowd.problems[int((n == 0).argmax()) // (flat.shape[1] // crowd.n_problems)]
            raise DataError(
                f"cells: nobody who is {names[place]} answered problem {shown(problem)}; join the cell with one like "
                "it, or leave the problem out."
            )
        at = weight @ np.where(there, given, 0.0) / total
        # The linearised variance of a weighted mean; s^2 / n where members count alike.
        off = np.where(there, (given - at) * weight[:, None], 0.0) / total
        with np.errstate(invalid="ignore", divide="ignore"):
            variance += share[place] ** 2 * np.where(n > 1, np.square(off).sum(axis=0) * n / (n - 1), np.nan)
        mean += share[place] * at
    index = crowd.problems
    if labels is not None:
        index = pd.MultiIndex.from_product([index, pd.Index(labels, name="option")])
    return pd.DataFrame({"mean": mean, "se": np.sqrt(variance)}, index=index)


def _values(crowd: Crowd) -> tuple[FloatArray, list[str] | None]:
    """What is averaged, `(n_participants, n_problems, ...)`, and names of the last axis."""
    scale = crowd.scale
    if isinstance(scale, Ballot):
        return crowd.values(), list(scale.options)
    values = crowd.values()
    if not isinstance(scale, Categorical):
        return values, None
    levels = np.arange(scale.n_levels)
    codes = crowd.codes()[..., None]
    return np.where(np.isnan(codes), np.nan, codes == levels), list(scale.labels)


def _words(traits: list[str], key: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={level!r}" for name, level in zip(traits, key, strict=True))
