"""Whether a generator copies the people that it learned from.

For every generated profile the nearest of all real people, in the distance of Theorem 4.1's coordinates: of a generator
that knows their law and not them, it is one of its training people as often as their number says. Other people, from
the same law and not shown to it, are the yardstick; ties count in equal parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError
from ..inference.seeds import generator
from ..theory.checked import at_least
from ..theory.profiles import ProfileCoordinates
from ..theory.wasserstein import distances

_BLOCK = 2_000_000


@dataclass(frozen=True)
class Copies:
    """Generated profiles against the people learned from and others.

    Attributes
    ----------
    nearest_training
        Share of generated profiles whose nearest real person is one of training.
    chance
        What it is for people of the same law.
    p_value
        Of so large a share by chance, over permutations of who was of training.
    same
        Share of generated profiles that are equal to somebody's of training.
    same_by_chance
        Share of other real people who are.
    """

    nearest_training: float
    chance: float
    p_value: float
    same: float
    same_by_chance: float


def nearest_people(
    generated: pd.DataFrame,
    training: pd.DataFrame,
    others: pd.DataFrame,
    *,
    ordinal: Mapping[str, Sequence[object]] | None = None,
    n_permutations: int = 999,
    seed: int = 0,
) -> Copies:
    """Compare how near generated profiles are to the people learned from and to others.

    Parameters
    ----------
    generated
        Drawn profiles.
    training, others
        Real people of one law; the generator saw the first only.
    ordinal
        As in `theory.profile_w1`.
    n_permutations
        For the p-value.
    seed
        Of the permutations.

    Returns
    -------
    Copies
        How many are nearest to a person of training, and how many would be by chance.

    Raises
    ------
    DataError
        When a table is empty.
    """
    if not len(generated) or not len(training) or not len(others):
        raise DataError(
            f"generated, training, others have {len(generated)}, {len(training)}, {len(others)} rows; give some each."
        )
    columns = list(training.columns)
    real = pd.concat([training, others[columns]], ignore_index=True)
    coordinates = ProfileCoordinates.fit(real, generated, ordinal=ordinal)
    x, z = coordinates.transform(real)[0], coordinates.transform(generated)[0]
    n, m = len(training), len(others)
    nearest, same = np.zeros(n + m), 0
    for start in range(0, len(z), max(_BLOCK // (n + m), 1)):
        gaps = distances(z[start : start + max(_BLOCK // (n + m), 1)], x, "l1")
        tied = gaps <= gaps.min(axis=1, keepdims=True) + 1e-12
        nearest += (tied / tied.sum(axis=1, keepdims=True)).sum(axis=0)
        same += int((gaps[:, :n] <= 1e-12).any(axis=1).sum())
    share = nearest / len(z)
    rng = generator(seed)
    permuted = [share[rng.permutation(n + m)[:n]].sum() for _ in range(at_least(n_permutations, 19, "n_permutations"))]
    extreme = int((np.asarray(permuted) >= share[:n].sum() - 1e-12).sum())
    return Copies(
        nearest_training=float(share[:n].sum()),
        chance=n / (n + m),
        p_value=(1 + extreme) / (1 + n_permutations),
        same=same / len(z),
        same_by_chance=float(pd.MultiIndex.from_frame(others[columns]).isin(pd.MultiIndex.from_frame(training)).mean()),
    )
