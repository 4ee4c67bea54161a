"""What every profile generator does.

v_i = G_u(S, eps_i; theta)                                                                                       Eq. 3

S is the pool of qualified profiles, eps_i the noise that a seed stands for. G_u is trained apart from the belief
generator, and what it draws is a plain frame: `CrowdLLM.generate` takes it, and so does `crowdpyro generate`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError


@runtime_checkable
class ProfileGenerator(Protocol):
    """Anything that draws profiles.

    `crowd = model.generate(generator.draw(1000, seed=1))` asks the same people all problems;
    `model.generate(generator.draw(1000 * n_problems), crossed=False)` asks fresh ones each.
    """

    def draw(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """Profiles of n people in the columns of the training frame, indexed by `participant`."""


def people_of(people: pd.DataFrame, name: str = "people") -> pd.DataFrame:
    """The frame itself; raises `DataError` without a row or a column, or with a column twice."""
    if not len(people) or not len(people.columns):
        raise DataError(f"{name} has shape {people.shape}; give one row a person and one column a trait.")
    if people.columns.has_duplicates:
        raise DataError(f"{name}: column {people.columns[people.columns.duplicated()][0]!r} stands there twice.")
    return people


def numbered(profiles: pd.DataFrame) -> pd.DataFrame:
    """Profiles as new participants, numbered from 0."""
    return profiles.set_axis(pd.RangeIndex(len(profiles), name="participant"))


def shares_of_people(weights: npt.ArrayLike | None, n: int) -> npt.NDArray[np.float64]:
    """Weights that sum to one, equal when None."""
    if weights is None:
        return np.full(n, 1 / n)
    try:
        given = np.asarray(weights, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"weights hold something other than numbers ({error}); give one a person.") from error
    if given.shape != (n,):
        raise DataError(f"weights have shape {given.shape}; give {n}, one a person.")
    wrong = ~np.isfinite(given) | (given < 0)
    if wrong.any():
        raise DataError(f"weights: {given[wrong][0]} (row {int(wrong.argmax())}); give finite numbers of at least 0.")
    if given.sum() <= 0:
        raise DataError("weights are all 0; give somebody a positive one.")
    return np.asarray(given / given.sum())
