"""The same crowd in another world: another LLM, wording or persona behind the references, or other profile margins.

d_it = y'_it - y_it,    se_paired_t = sd_i(d_it) / sqrt(n),    se_unpaired_t = sqrt((sd_i(y_it)^2 + sd_i(y'_it)^2) / n)

Both crowds are made of common random numbers: the same people in the same order, their eps, the noise of every belief
and decision, and who takes part. What is left of the difference is what the other world does. Standard errors are those
of a crowd of n people, the fitted model taken as given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from .crowd import Crowd
from .errors import DataError, MissingReferenceError
from .inference.seeds import checked_seed, generator
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous
from .recruitment.by_margins import RakedPool
from .recruitment.margins import Margins
from .references import References
from .survey import shares_of_weights
from .tables import close_match

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .estimator import CrowdLLM

FloatArray = npt.NDArray[np.float64]
Shares: TypeAlias = Mapping[str | tuple[str, ...], Mapping[Any, float]]


@dataclass(frozen=True)
class Replay:
    """One crowd in two worlds, person by person.

    Attributes
    ----------
    before, after
        The same participants and problems.
    changed
        What the second world differs in.
    """

    before: Crowd
    after: Crowd
    changed: str

    def contrast(self, of: str = "mean", coverage: float = 0.95) -> pd.DataFrame:
        """Differences problem by problem.

        Parameters
        ----------
        of
            `mean` answer of a problem (of ballots, of each option's votes or points), or `share` of each level.
        coverage
            Chance of the interval, of the paired difference.

        Returns
        -------
        DataFrame
            One row a problem, or a problem and level: means `before` and `after`, `difference`, `low`, `high`, `n`
            people who took part in both worlds, `se_paired`, `se_unpaired` of two crowds of as many other people each,
            and `ratio` of the two, NaN where nobody differs from anybody.

        Raises
        ------
        DataError
            When `of` is unknown or the scale has none, or `coverage` is not between 0 and 1.
        """
        one, other, labels = self._values(of)
        table = _paired(one.reshape(len(one), -1), other.reshape(len(other), -1), coverage)
        problems = self.before.problems
        if labels is None:
            return table.set_index(problems)
        return table.set_index(pd.MultiIndex.from_product([problems, labels], names=["problem", "level"]))

    def overall(self, of: str = "mean", coverage: float = 0.95) -> pd.DataFrame:
        """The same of each person's mean over problems, so that people are what is sampled; columns of `contrast`.

        Raises
        ------
        DataError
            As `contrast`.
        """
        one, other, labels = self._values(of)
        both = ~(np.isnan(one) | np.isnan(other))
        n = np.maximum(both.sum(axis=1), 1)
        means = [np.where(both, each, 0.0).sum(axis=1) / n for each in (one, other)]
        nobody = ~both.any(axis=1)
        one, other = (np.where(nobody, np.nan, each) for each in means)
        table = _paired(one.reshape(len(one), -1), other.reshape(len(other), -1), coverage)
        return table.set_index(pd.Index(["all problems"] if labels is None else labels, name="level"))

    def _values(self, of: str) -> tuple[FloatArray, FloatArray, list[str] | None]:
        """Numbers to be averaged in both worlds, `(n_participants, n_problems, ...)`, and names of the last axis."""
        if of not in ("mean", "share"):
            raise DataError(f"of={of!r}: give 'mean' or 'share'.")
        scale = self.before.scale
        if of == "mean":
            if isinstance(scale, Categorical):
                raise DataError("of='mean': labels have no mean; give 'share'.")
            labels = list(scale.options) if isinstance(scale, Ballot) else None
            return self.before.values(), self.after.values(), labels
        if isinstance(scale, Continuous | Ballot) or self.before.dataset.attrs.get("decision") == "expected":
            raise DataError("of='share' needs drawn answers on a scale of levels; give 'mean'.")
        shares = []
        for crowd in (self.before, self.after):
            codes = crowd.codes()[..., None]
            shares.append(np.where(np.isnan(codes), np.nan, codes == np.arange(scale.n_levels)))
        return shares[0], shares[1], list(scale.labels)


def under_references(
    model: CrowdLLM,
    other: References,
    participants: int | pd.DataFrame = 1000,
    problems: pd.DataFrame | Iterable[object] | None = None,
    references: References | None = None,
    *,
    persona: str | None = None,
    seed: int = 0,
    **how: Any,
) -> Replay:
    """Let a crowd answer twice: with the model's own references, and with others in their place.

    Parameters
    ----------
    model
        Fitted with references.
    other
        As many LLMs' answers as the model reads, in its order, under whatever name: another LLM's, or the same one's
        to another wording.
    participants, problems, references
        As in `CrowdLLM.generate`; without `problems`, those of training that `other` has answers to.
    persona
        Take `other`'s answers in the role of this persona instead of its zero-shot ones.
    seed
        Of everything that the two worlds share.
    **how
        Further arguments of `CrowdLLM.generate`.

    Returns
    -------
    Replay
        The crowd with its own references, and the same people with the others.

    Raises
    ------
    MissingReferenceError
        When the model reads no references, or others than `other` can stand in for.
    DataError
        When nobody was asked in the role of `persona`.

    References
    ----------
    P. Glasserman, D. D. Yao (1992), Some guidelines and guarantees for common random numbers, Management Science 38.
    """
    stand_in = in_place_of(other, model, persona)
    if problems is None:
        problems = [each for each in model.problems.index if each in stand_in.problems]
        if not problems:
            raise MissingReferenceError(
                f"other has answers to none of the model's {len(model.problems)} problems; use the same ids, or give "
                "problems."
            )
    before = model.generate(participants, problems, references, seed=seed, **how)
    after = model.generate(participants, problems, stand_in, seed=seed, **how)
    told = ", ".join(other.names) + ("" if persona is None else f" as {persona!r}")
    return Replay(before, after, f"references: {told} instead of {', '.join(model.sources)}")


def under_margins(
    model: CrowdLLM,
    margins: Shares,
    participants: int = 1000,
    problems: pd.DataFrame | Iterable[object] | None = None,
    references: References | None = None,
    *,
    seed: int = 0,
    **how: Any,
) -> Replay:
    """Let a crowd answer twice: with profiles of training, and with as few of them changed as other margins ask for.

    Parameters
    ----------
    model
        Fitted.
    margins
        By trait, the share of each of its levels: `{"gender": {"man": 0.5, "woman": 0.5}}`. People of training, by
        their survey weights, are raked to them (`recruitment`), so that what else they are stays as
        alike as it can.
    participants
        How many.
    problems, references, seed, how
        As in `under_references`.

    Returns
    -------
    Replay
        The crowd as it is, and one of the other margins.

    Raises
    ------
    DataError
        For a trait or level that training does not have, shares that do not sum to one, or contradictory margins.
    ModelError
        When the model is not fitted, or `seed` is no whole number from 0 up.

    References
    ----------
    As `under_references`; raking: W. E. Deming, F. F. Stephan (1940), On a least squares adjustment of a sampled
    frequency table, Annals of Mathematical Statistics 11.
    """
    if participants < 1:
        raise DataError(f"participants={participants}: give at least one.")
    pool = model.profiles
    chance = shares_of_weights(model.weights)
    base = np.full(len(pool), 1 / len(pool)) if chance is None else chance
    weight = RakedPool(pool, Margins(margins), base).shares
    rng = generator(checked_seed(seed))
    rows = rng.integers(len(pool), size=participants) if chance is None else rng.choice(len(pool), participants, p=base)
    # The maximal coupling: a profile that is now rarer is kept with the chance that leaves it as rare as it shall be.
    lasting = rng.random(participants) * base[rows] < weight[rows]
    missing = np.maximum(weight - base, 0.0)
    moved = rows.copy()
    if missing.sum() > 0:
        moved[~lasting] = rng.choice(len(pool), size=int((~lasting).sum()), p=missing / missing.sum())
    index = pd.RangeIndex(participants, name="participant")
    before, after = (
        model.generate(pool.iloc[each].set_axis(index), problems, references, seed=seed, **how)
        for each in (rows, moved)
    )
    return Replay(
        before,
        after,
        f"margins of {', '.join(map(str, margins))}: {int((rows != moved).sum())} of {participants} profiles",
    )


def in_place_of(other: References, model: CrowdLLM, persona: str | None = None) -> References:
    """References under the names of those that a model was fitted with.

    Parameters
    ----------
    other
        Answers of as many LLMs as the model reads, in that order.
    model
        A fitted model.
    persona
        Whose answers stand for the zero-shot ones; those themselves when None.

    Returns
    -------
    crowdpyro.References
        As `other`, source by source.

    Raises
    ------
    MissingReferenceError
        For another number of LLMs, a persona that one of them lacks, or a model that was fitted without references.
    DataError
        When nobody was asked in the role of `persona`.
    """
    names = model.sources
    if not names:
        raise MissingReferenceError("model: it was fitted without references, so that no other ones change its crowd.")
    if len(other.names) != len(names):
        raise MissingReferenceError(
            f"other has answers of {', '.join(other.names)}; the model reads {len(names)}: {', '.join(names)}. Give as "
            "many, in that order."
        )
    sources = []
    for source, name in zip(other, names, strict=True):
        values, personas = source.values, source.personas
        if persona is not None:
            if persona not in personas:
                close = close_match(persona, list(personas))
                hint = f" Did you mean {close!r}?" if close else ""
                raise DataError(
                    f"persona={persona!r} is none of {source.name}'s: {', '.join(map(repr, personas))}.{hint}"
                )
            role = values[:, [personas.index(persona)]]
            if "" in personas:
                values = values.copy()
                values[:, [personas.index("")]] = role
            else:
                values, personas = np.concatenate([role, values], axis=1), ("", *personas)
        sources.append(replace(source, name=name, values=values, personas=personas))
    return replace(other, sources=tuple(sources))


def _paired(one: FloatArray, other: FloatArray, coverage: float) -> pd.DataFrame:
    """Paired and unpaired standard errors of columns, `(n_participants, n_columns)`, NaN where somebody is absent."""
    if not 0 < coverage < 1:
        raise DataError(f"coverage={coverage}: give a chance between 0 and 1.")
    both = ~(np.isnan(one) | np.isnan(other))
    n = both.sum(axis=0)
    mean = [np.where(both, each, 0.0).sum(axis=0) / np.where(n > 0, n, np.nan) for each in (one, other)]
    square = [np.where(both, each - at, 0.0) for each, at in zip((one, other), mean, strict=True)]
    freedom = np.where(n > 1, n - 1.0, np.nan)
    variances = [np.square(each).sum(axis=0) / freedom for each in square]
    paired = np.sqrt(np.square(square[1] - square[0]).sum(axis=0) / freedom / np.maximum(n, 1))
    unpaired = np.sqrt((variances[0] + variances[1]) / np.maximum(n, 1))
    difference, reach = mean[1] - mean[0], norm.isf((1 - coverage) / 2)
    return pd.DataFrame(
        {
            "before": mean[0],
            "after": mean[1],
            "difference": difference,
            "low": difference - reach * paired,
            "high": difference + reach * paired,
            "n": n,
            "se_paired": paired,
            "se_unpaired": unpaired,
            "ratio": paired / np.where(unpaired > 0, unpaired, np.nan),
        }
    )
