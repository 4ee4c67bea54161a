"""How far generated profiles are from those of the people whom a crowd stands for (what Theorem 4.1 bounds).

W1 of two samples of mixed traits, in one ground metric: L1 of coordinates of range 1, so that a mismatch of labels
costs 1, and the distances of single traits add up to a lower bound. Empirical W1 is biased upwards by an amount that
depends on n: gender, education and age of two samples of the same survey are .225 apart with 100 people each, .116 with
400 and .074 with 1,000. So a distance is read beside that of two halves of the real profiles at the same n, and never
against another n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..inference.seeds import generator
from .checked import FloatArray, at_least, numbers
from .wasserstein import Metric, assigned, distances, points, weights_of


@dataclass(frozen=True)
class ProfileCoordinates:
    """Traits as coordinates of range 1: numbers over the target's range, ordered levels evenly, labels half a one-hot.

    Attributes
    ----------
    numeric
        Lowest value and range of each number in the target.
    ordinal, nominal
        Levels of each ordered trait, and of each label.
    """

    numeric: Mapping[str, tuple[float, float]]
    ordinal: Mapping[str, tuple[str, ...]]
    nominal: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(
        cls, target: pd.DataFrame, *others: pd.DataFrame, ordinal: Mapping[str, Sequence[object]] | None = None
    ) -> ProfileCoordinates:
        """Read ranges off the target, labels off all frames.

        Parameters
        ----------
        target
            Profiles, one row a participant, one column a trait, without gaps.
        *others
            More frames of the same traits, whose labels are known too.
        ordinal
            Levels in order of traits that are ordered; categorical columns that are ordered need no mention.

        Raises
        ------
        DataError
            When there are no profiles, a trait has gaps, or `ordinal` names levels or traits that are not there.
        """
        if not len(target) or not len(target.columns):
            raise DataError(f"target has shape {target.shape}; give profiles, one row a participant.")
        orders = {str(name): tuple(map(str, levels)) for name, levels in (ordinal or {}).items()}
        unknown = orders.keys() - set(map(str, target.columns))
        if unknown:
            raise DataError(f"ordinal names the trait {min(unknown)!r}, which target lacks.")
        numeric: dict[str, tuple[float, float]] = {}
        nominal: dict[str, tuple[str, ...]] = {}
        for label, column in target.items():
            name = str(label)
            columns = [column, *(_column(other, name) for other in others)]
            if any(each.isna().any() for each in columns):
                raise DataError(f"trait {name!r} has gaps; fill them, or make 'missing' a level.")
            if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
                orders.setdefault(name, tuple(map(str, column.dtype.categories)))
            if name in orders:
                stray = set().union(*(each.map(str) for each in columns)) - set(orders[name])
                if stray:
                    raise DataError(f"trait {name!r}: level {min(stray)!r} is not among {', '.join(orders[name])}.")
            elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
                given = numbers(column, name)
                numeric[name] = (float(given.min()), float(np.ptp(given)) or 1.0)
            else:
                nominal[name] = tuple(sorted(set().union(*(each.map(str) for each in columns))))
        return cls(numeric, orders, nominal)

    def transform(self, profiles: pd.DataFrame) -> tuple[FloatArray, list[str]]:
        """Coordinates, `(n, d)`, and the trait that each belongs to.

        Raises
        ------
        DataError
            When a trait is missing, or has a level or a number that is none.
        """
        blocks: list[FloatArray] = []
        traits: list[str] = []
        for name, (low, width) in self.numeric.items():
            blocks.append(((numbers(_column(profiles, name), name) - low) / width)[:, None])
            traits.append(name)
        for name, levels in self.ordinal.items():
            codes = self._codes(profiles, name, levels)
            blocks.append((codes / max(len(levels) - 1, 1))[:, None])
            traits.append(name)
        for name, levels in self.nominal.items():
            blocks.append(np.eye(len(levels))[self._codes(profiles, name, levels)] / 2)
            traits += [name] * len(levels)
        return np.concatenate(blocks, axis=1), traits

    @staticmethod
    def _codes(profiles: pd.DataFrame, name: str, levels: tuple[str, ...]) -> npt.NDArray[np.intp]:
        column = _column(profiles, name).map(str)
        codes = pd.Index(levels).get_indexer(pd.Index(column))
        if (codes < 0).any():
            raise DataError(f"trait {name!r}: level {column.iloc[int((codes < 0).argmax())]!r} is unknown.")
        return codes


@dataclass(frozen=True, eq=False)
class ProfileDistance:
    """W1 of a sample of profiles from the target's, beside what the same law would show.

    Attributes
    ----------
    w1
        Mean W1 of subsamples of n profiles of the sample and n of the target.
    baseline_mean, baseline_sd
        W1 of n and n other profiles of the target: mean and standard deviation over disjoint halves.
    n
        Profiles on either side.
    p_value
        Of the hypothesis that sample and target have one law, by permutation.
    marginals
        W1 of each trait alone, at the same n; with `l1` their sum is at most `w1`.
    """

    w1: float
    baseline_mean: float
    baseline_sd: float
    n: int
    p_value: float
    marginals: pd.Series

    @property
    def marginal_sum(self) -> float:
        """Lower bound of `w1` in L1: what is left is how the traits hang together, and the bias of n points."""
        return float(self.marginals.sum())

    def __repr__(self) -> str:
        worst = self.marginals.sort_values(ascending=False).head(3)
        return (
            f"<ProfileDistance: W1 {self.w1:.4g}, the same law {self.baseline_mean:.4g} (sd {self.baseline_sd:.2g}), "
            f"n = {self.n}, p = {self.p_value:.3g}; single traits {self.marginal_sum:.4g}, most "
            f"{', '.join(f'{name} {value:.3g}' for name, value in worst.items())}>"
        )


def profile_w1(
    target: pd.DataFrame | npt.ArrayLike,
    sample: pd.DataFrame | npt.ArrayLike,
    *,
    metric: Metric = "l1",
    weights: npt.ArrayLike | None = None,
    ordinal: Mapping[str, Sequence[object]] | None = None,
    n_baseline: int = 20,
    n_permutations: int = 199,
    max_n: int = 500,
    seed: int = 0,
) -> ProfileDistance:
    """Compare generated or recruited profiles with real ones.

    Parameters
    ----------
    target, sample
        Frames of traits (`CrowdData.participants`), or coordinates `(n, d)` of one's own scaling.
    metric
        `l1`, Theorem 4.1's, or `l2`.
    weights
        Of the target's profiles, where they are no plain sample of the population: it is thinned by them, each kept
        with a chance in proportion.
    ordinal
        Levels in order of ordered traits (see `ProfileCoordinates`).
    n_baseline
        Subsamples whose distances are averaged, and disjoint halves of the target.
    n_permutations
        For the p-value, at least 1 / (1 + n_permutations).
    max_n
        Most profiles on either side: a distance takes .02 s with 500.
    seed
        Of the subsamples and permutations.

    Returns
    -------
    ProfileDistance
        n is the smallest of the sample's size, half the target's, and max_n. Only distances of one n can be compared.

    Raises
    ------
    DataError
        When one is a frame and one an array, or profiles are too few.
    """
    if isinstance(target, pd.DataFrame) != isinstance(sample, pd.DataFrame):
        raise DataError("target and sample: one is a frame and one an array; give both alike.")
    if isinstance(target, pd.DataFrame) and isinstance(sample, pd.DataFrame):
        coordinates = ProfileCoordinates.fit(target, sample, ordinal=ordinal)
        (x, traits), (z, _) = coordinates.transform(target), coordinates.transform(sample)
    else:
        x, z = points(target, sample)
        traits = [str(j) for j in range(x.shape[1])]
    rng = generator(seed)
    if weights is not None:
        given = weights_of(weights, len(x), "weights")
        x = x[rng.random(len(x)) < given / given.max()]
    n = min(len(z), len(x) // 2, at_least(max_n, 2, "max_n"))
    if n < 2:
        raise DataError(f"target has {len(x)} profiles, sample {len(z)}; give at least 4 and 2.")
    repeats = at_least(n_baseline, 2, "n_baseline")
    found, halves, single = np.empty(repeats), np.empty(repeats), np.empty((repeats, x.shape[1]))
    for repeat in range(repeats):
        one, other = np.split(x[rng.choice(len(x), 2 * n, replace=False)], 2)
        mine = z[rng.choice(len(z), n, replace=False)]
        found[repeat] = assigned(distances(one, mine, metric))
        halves[repeat] = assigned(distances(one, other, metric))
        single[repeat] = np.abs(np.sort(one, axis=0) - np.sort(mine, axis=0)).mean(axis=0)
    # The last pair's labels, permuted.
    pooled = np.concatenate([one, mine])
    cost = distances(pooled, pooled, metric)
    observed, extreme = found[-1] - 1e-12, 0
    for _ in range(at_least(n_permutations, 19, "n_permutations")):
        order = rng.permutation(2 * n)
        extreme += assigned(cost[np.ix_(order[:n], order[n:])]) >= observed
    marginals = pd.Series(single.mean(axis=0), index=pd.Index(traits, name="trait")).groupby(level=0, sort=False).sum()
    return ProfileDistance(
        w1=float(found.mean()),
        baseline_mean=float(halves.mean()),
        baseline_sd=float(halves.std(ddof=1)),
        n=n,
        p_value=(1 + extreme) / (1 + n_permutations),
        marginals=marginals.rename("w1"),
    )


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        raise DataError(f"trait {name!r} is not a column; give the target's traits.")
    return frame[name]
