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
from ..survey import checked_weights, taken_off


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
    """Profiles as new participants, whose ids are nobody's of training."""
    names = [f"recruit {place}" for place in range(len(profiles))]
    return profiles.set_axis(pd.Index(names, dtype=object, name="participant"))


def candidates_of(
    people: pd.DataFrame, weights: npt.ArrayLike | None = None, name: str = "people"
) -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
    """Traits, without the columns of a survey's design, and weights that sum to one.

    Parameters
    ----------
    people
        Columns `weight`, `stratum` and `psu` are taken off: who was recruited by a weight has none any more.
    weights
        One a person; those of the column `weight` when None, and equal ones without it.
    name
        Of the frame, for errors.
    """
    traits, design, _ = taken_off(people_of(people, name))
    given = weights if weights is not None or design is None else design.weights
    n = len(people)
    return people_of(traits, name), np.full(n, 1 / n) if given is None else checked_weights(given, n) / n
