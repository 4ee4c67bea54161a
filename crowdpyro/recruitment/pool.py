"""The candidate pool S: real profiles, drawn with chances in proportion to their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..inference.seeds import generator
from ..theory.checked import at_least
from .filters import Filter
from .generator import candidates_of, numbered


@dataclass(frozen=True, eq=False)
class Pool:
    """Draws from the pool of qualified profiles.

    Parameters
    ----------
    people
        Candidates, one row a person, in the columns of the training frame.
    weights
        Chances of being drawn, `(n_people,)`, up to a factor; the column `weight` when None, equal without it.
    qualified
        Who may be drawn (see `Filter`).
    replace
        Whether a profile may be drawn again.

    Raises
    ------
    DataError
        When there are no people, weights are none, or nobody with a weight qualifies.

    Examples
    --------
    >>> people = pd.DataFrame({"age": [25.0, 63.0, 71.0], "gender": ["man", "woman", "woman"]})
    >>> Pool(people, qualified="age >= 60").draw(2, seed=1)["gender"].tolist()
    ['woman', 'woman']
    """

    people: pd.DataFrame
    weights: npt.ArrayLike | None = None
    qualified: str | None = None
    replace: bool = True

    def __post_init__(self) -> None:
        qualified_people(self.people, self.weights, self.qualified)

    def draw(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """Profiles of n people.

        Raises
        ------
        DataError
            When fewer than n qualify and none may be drawn again.
        """
        people, chance = qualified_people(self.people, self.weights, self.qualified)
        able = int((chance > 0).sum())
        if not self.replace and at_least(n, 1, "n") > able:
            raise DataError(f"n={n}: {able} people qualify and replace=False; ask for fewer, or let replace=True.")
        rows = generator(seed).choice(len(people), size=at_least(n, 1, "n"), replace=self.replace, p=chance)
        return numbered(people.iloc[rows])


def qualified_people(
    people: pd.DataFrame, weights: npt.ArrayLike | None, qualified: str | None
) -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
    """Those who qualify, and their shares."""
    people, shares = candidates_of(people, weights)
    if qualified is None:
        return people, shares
    chosen = Filter(qualified).only(people.reset_index(drop=True))
    shares = shares[chosen.index]
    if shares.sum() <= 0:
        raise DataError(f"filter {qualified!r}: all {len(chosen)} people who meet it have weight 0.")
    return people.iloc[chosen.index], shares / shares.sum()
