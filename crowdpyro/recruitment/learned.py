"""A profile generator learned from people: v_i = G_u(S, eps_i; theta), Eq. 3, of any size, nobody's own profile.

A condition on labels is met exactly, through the classes' posterior and their restricted tables. What it says of
ordered traits, and anything joined by `or`, is met by rejection: the draws have the exact conditional law too, and what
is rare takes time, not truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..inference.seeds import checked_seed, generator
from ..models.off_scale import label_text
from ..profiles import MISSING, clean_profiles
from ..theory.checked import at_least
from .coding import ProfileCoding
from .filters import Filter
from .generator import candidates_of, numbered
from .margins import Margins
from .quotas import quota_rows

if TYPE_CHECKING:
    import torch

    from ..inference.profile_training import ProfileFit, ProfileFitConfig
    from ..models.profile_model import ProfileBatch

_FEWEST = 10
# Draws of a rejection before a condition is held to be too rare.
_MOST_DRAWS, _BLOCK = 4_000_000, 50_000
# Draws that a balanced crowd is chosen from, in all and a person.
_FOR_BALANCE, _TIMES_BALANCE = 4000, 5


@dataclass(frozen=True, eq=False)
class LearnedProfiles:
    """Draws profiles from a `ProfileModel` that was fitted to people.

    Attributes
    ----------
    coding
        How profiles are read.
    fitted
        The program and theta, with the held-out scores that its number of classes was chosen by.
    given
        What every draw meets (see `Filter`); None for anybody.
    """

    coding: ProfileCoding
    fitted: ProfileFit
    given: str | None = None

    @classmethod
    def fit(
        cls,
        people: pd.DataFrame,
        *,
        ordinal: Mapping[str, Sequence[object]] | None = None,
        weights: npt.ArrayLike | None = None,
        config: ProfileFitConfig | None = None,
        seed: int = 0,
    ) -> LearnedProfiles:
        """Learn from people.

        Parameters
        ----------
        people
            One row a person, one column a trait, gaps as `CrowdData` takes them. Free text comes as columns of its
            embedding (`TextComponents`).
        ordinal
            Levels in order of traits that are ordered; ordered categorical columns need no mention.
        weights
            Of people, `(n_people,)`, where they are no plain sample; the column `weight` when None.
        config
            Settings.
        seed
            Equal seeds give equal generators.

        Raises
        ------
        DataError
            For fewer than ten people, and what `CrowdData` refuses of profiles.
        ModelError
            When `seed` is no whole number from 0 up, or the loss is not finite.
        """
        from ..inference.profile_training import ProfileFitConfig, fit_profiles
        from ..models.profile_model import ProfileModel

        people, shares = candidates_of(people, weights)
        # Who weighs nothing is of no population: neither of the levels, nor of the people held out.
        people, shares = people[shares > 0], shares[shares > 0]
        if len(people) < _FEWEST:
            raise DataError(
                f"people has {len(people)} profiles of positive weight; learn from {_FEWEST} at least, or draw from "
                "them by Pool(people)."
            )
        orders = {str(name): tuple(map(label_text, levels)) for name, levels in (ordinal or {}).items()}
        for name, column in people.items():
            if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
                orders.setdefault(str(name), tuple(map(label_text, column.dtype.categories)))
        twice = next((name for name, levels in orders.items() if len(set(levels)) < len(levels)), None)
        if twice is not None:
            raise DataError(f"ordinal: {twice!r} has a level twice, {', '.join(orders[twice])}; name each once.")
        unknown = orders.keys() - set(map(str, people.columns))
        if unknown:
            raise DataError(f"ordinal names the trait {min(unknown)!r}, which people lack.")
        ranked = people.assign(**{name: _texts(people[name]) for name in orders if name in people.columns})
        clean, _ = clean_profiles(ranked)
        # Levels that are all numbers are numbers after cleaning, and ordered as such.
        orders = {
            name: (*levels, *({MISSING} & set(clean[name]) - set(levels)))
            for name, levels in orders.items()
            if not pd.api.types.is_numeric_dtype(clean[name])
        }
        coding = ProfileCoding.fit(clean, shares, orders)
        batch, sizes = _batch(coding, clean, shares)
        d = len(coding.ordered)
        rank = min(d - 1, 1 + d // 4) if d > 1 else 0
        config = config or ProfileFitConfig()

        def build(n_classes: int) -> ProfileModel:
            return ProfileModel(sizes, d, n_classes, rank, config.smoothing)

        return cls(coding, fit_profiles(build, batch, config, seed=checked_seed(seed)))

    def among(self, given: str) -> LearnedProfiles:
        """The same generator, of those who meet a condition: `among("age >= 60 and gender == 'woman'")`."""
        both = given if self.given is None else f"({self.given}) and ({given})"
        return LearnedProfiles(self.coding, self.fitted, both)

    def draw(self, n: int, *, seed: int = 0, balanced: bool = False) -> pd.DataFrame:
        """Profiles of n people.

        Parameters
        ----------
        n
            How many.
        seed
            Equal seeds give equal people.
        balanced
            Of many more draws, n are kept that have every trait's levels as often as the many, to less than one
            person: a small crowd without most of the noise of its own sampling. A half of POPQUORN, 131 people, is .64
            from the other half in W1; 131 independent draws of what was learned from it .74, and of the half itself
            .78, since they carry the noise of a sample twice; balanced ones .69.

        Raises
        ------
        DataError
            When too few of four million draws, or of a hundred a person asked for, meet the condition.
        """
        rng = generator(seed)
        if not balanced:
            return numbered(self._met(at_least(n, 1, "n"), rng))
        many = self._met(max(_FOR_BALANCE, _TIMES_BALANCE * at_least(n, 1, "n")), rng)
        levels = pd.DataFrame({name: _banded(column) for name, column in many.items()})
        tables = Margins.of(levels).tables
        codes = np.stack([margin.codes(levels) for margin in tables], axis=1)
        rows = quota_rows(codes, np.full(len(many), 1 / len(many)), list(tables), n, rng)
        return numbered(many.iloc[rows])

    def save(self, folder: str | Path) -> Path:
        """Write the generator, and its condition, as `profiles.safetensors` and `profiles.json` into a folder."""
        from .files import save

        return save(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> LearnedProfiles:
        """Read a folder that `save` wrote; equal seeds draw equal people.

        Raises
        ------
        ModelError
            When a file is missing, damaged, of another version, or not of the other one.
        """
        from .files import load

        return load(cls, folder)

    def _met(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Profiles of n people who meet the condition."""
        if self.given is None:
            return self._drawn(n, rng, {})
        condition = Filter(self.given)
        # Names and kinds of its columns, before any time is spent.
        condition.mask(self._drawn(1, np.random.default_rng(0), {}))
        allowed, rest = self._split(condition)
        found: list[pd.DataFrame] = []
        met = drawn = 0
        while met < n:
            size = min(_BLOCK, max(256, max(2 * n, drawn) if not met else round(1.2 * (n - met) * drawn / met)))
            block = self._drawn(size, rng, allowed)
            if rest:
                block = block[np.logical_and.reduce([each.mask(block) for each in rest])]
            drawn, met = drawn + size, met + len(block)
            found.append(block)
            if drawn >= max(_MOST_DRAWS, 100 * n) and met < n:
                raise DataError(
                    f"filter {self.given!r}: {met} of {drawn:,} drawn profiles meet it, and n={n} are asked for; ask "
                    "for fewer, or loosen it."
                )
        return pd.concat(found, ignore_index=True).iloc[:n]

    def chance(self, *, seed: int = 0, n_draws: int = 100_000) -> tuple[float, float]:
        """Share of the population that meets the condition, and its standard error (0 where it is exact).

        Raises
        ------
        DataError
            When no profile has the labels that the condition asks for, or `n_draws` is below 2.
        """
        if self.given is None:
            return 1.0, 0.0
        allowed, rest = self._split(Filter(self.given))
        exact = self.fitted.model.chance(self.fitted.params, allowed)
        if not rest:
            return exact, 0.0
        block = self._drawn(at_least(n_draws, 2, "n_draws"), generator(seed), allowed)
        share = float(np.logical_and.reduce([each.mask(block) for each in rest]).mean())
        return exact * share, exact * float(np.sqrt(share * (1 - share) / n_draws))

    def _split(self, condition: Filter) -> tuple[dict[int, torch.Tensor], list[Filter]]:
        """Allowed levels of labels, and the parts of a condition that are left to rejection."""
        import torch

        allowed: dict[int, torch.Tensor] = {}
        rest: list[Filter] = []
        traits = list(self.coding.nominal)
        for part in condition.parts():
            names = part.columns
            if len(names) != 1 or names[0] not in traits:
                rest.append(part)
                continue
            levels = pd.DataFrame({names[0]: list(self.coding.nominal[names[0]])})
            met = torch.as_tensor(part.mask(levels))
            place = traits.index(names[0])
            allowed[place] = met & allowed.get(place, met)
        if allowed and not self.fitted.model.chance(self.fitted.params, allowed) > 0:
            raise DataError(f"filter {self.given!r}: no profile has such labels; loosen it.")
        return allowed, rest

    def _drawn(self, n: int, rng: np.random.Generator, allowed: Mapping[int, torch.Tensor]) -> pd.DataFrame:
        import torch

        noise = torch.as_tensor(rng.random((n, self.fitted.model.n_noise)))
        labels, scores = self.fitted.model.draw(self.fitted.params, noise, allowed)
        return self.coding.decode(labels.numpy(), scores.numpy())


def _banded(column: pd.Series) -> pd.Series:
    """Levels of a trait; a number of many values in tenths."""
    if not pd.api.types.is_numeric_dtype(column) or column.nunique() <= 20:
        return column
    cuts = np.unique(column.quantile(np.arange(1, 10) / 10))
    return pd.Series(np.searchsorted(cuts, column.to_numpy(dtype=float)), index=column.index)


def _texts(column: pd.Series) -> pd.Series:
    """Ordered levels as texts, gaps kept."""
    return column.astype(object).map(label_text, na_action="ignore")


def _batch(
    coding: ProfileCoding, people: pd.DataFrame, shares: npt.NDArray[np.float64]
) -> tuple[ProfileBatch, list[torch.Tensor]]:
    """Profiles as the program takes them, and the shares of every label."""
    import torch

    from ..models.profile_model import ProfileBatch

    labels, below, share = coding.encode(people)
    sizes = [
        torch.as_tensor(np.bincount(labels[:, place], shares, minlength=len(levels)))
        for place, levels in enumerate(coding.nominal.values())
    ]
    weight = torch.as_tensor(shares * len(people))
    batch = ProfileBatch(torch.as_tensor(labels), torch.as_tensor(below), torch.as_tensor(share), weight, len(people))
    return batch, sizes
