"""What is decided from references: other temperatures, K draws, y_ref = h_M(y_1, ..., y_K) (paper, section 3.1).

p_t(o) ~ p_s(o)^(s/t)         from references made at temperature s
eta(t) = Var(y), y ~ p_t;     labels, which are no numbers: sum_o p_t(o) (1 - p_t(o))
y_ref = h_M(y_1, ..., y_K),   y_k ~ p_t;  for K to infinity: mean, median and mode of p_t
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .aggregation.summaries import summarise
from .errors import DataError
from .inference.seeds import generator
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous
from .theory.eta import eta_from_draws, eta_from_probabilities
from .theory.eta import tempered as tempered_law

if TYPE_CHECKING:
    from .references import References, ReferenceSource

FloatArray: TypeAlias = npt.NDArray[np.float64]
Rule: TypeAlias = Literal["mean", "median", "majority"]


def tempered(references: References, temperature: float) -> References:
    """As `References.tempered`."""
    if not (np.isfinite(temperature) and temperature >= 0):
        raise DataError(f"temperature={temperature!r}: give a finite number, zero or above.")
    if all(source.temperature == temperature for source in references.sources):
        return references
    if isinstance(references.scale, Continuous | Ballot):
        kind = "draws of numbers" if isinstance(references.scale, Continuous) else "shares of ballots"
        raise DataError(f"temperature={temperature}: references that are {kind} have their own only; ask at another.")
    return replace(references, sources=tuple(_tempered(source, temperature) for source in references.sources))


def eta(references: References, temperature: float | None, source: str | None, persona: str) -> FloatArray:
    """As `References.eta`."""
    if isinstance(references.scale, Ballot):
        raise DataError("ballots have no variance eta: their references are shares of votes, not an answer's law.")
    if isinstance(references.scale, Continuous):
        chosen = references.source(source)
        _own_temperature(chosen, temperature)
        drawn = _drawn_numbers(chosen, persona).T
        return eta_from_draws(drawn) if len(drawn) > 1 else np.full(drawn.shape[1], np.nan)
    p = _law(references, temperature, source, persona)
    known = ~np.isnan(p).any(axis=1)
    values = None if isinstance(references.scale, Categorical) else references.scale.values
    result = np.full(len(p), np.nan)
    result[known] = eta_from_probabilities(_summing(p[known]), values)
    return result


def draws(
    references: References, k: int, temperature: float | None, source: str | None, persona: str, seed: int
) -> FloatArray:
    """As `References.draws`."""
    if k < 1:
        raise DataError(f"k={k}: draw at least one answer.")
    rng = generator(seed)
    scale = references.scale
    if isinstance(scale, Ballot):
        raise DataError("ballots cannot be drawn from shares of votes; ask with mode='write', or use a fitted crowd.")
    if isinstance(scale, Continuous):
        chosen = references.source(source)
        _own_temperature(chosen, temperature)
        numbers = _drawn_numbers(chosen, persona)
        there = (~np.isnan(numbers)).sum(axis=1)
        at = rng.integers(np.maximum(there, 1), size=(k, len(numbers)))
        # What is there stands first; a problem without an answer keeps its NaN.
        return numbers[np.arange(len(numbers)), at]
    codes = drawn_codes(_law(references, temperature, source, persona), k, rng)
    return np.where(np.isnan(codes), np.nan, scale.values[np.nan_to_num(codes).astype(int)])


def decide(
    references: References,
    rule: Rule,
    k: int | None,
    temperature: float | None,
    source: str | None,
    persona: str,
    seed: int,
) -> FloatArray:
    """As `References.decide`."""
    scale = references.scale
    if rule not in ("mean", "median", "majority"):
        raise DataError(f"rule={rule!r}: give 'mean', 'median' or 'majority'.")
    if isinstance(scale, Categorical) and rule != "majority":
        raise DataError(f"rule={rule!r}: labels are no numbers; give 'majority'.")
    if isinstance(scale, Continuous) and rule == "majority":
        raise DataError("rule='majority': numbers hardly repeat; give 'mean' or 'median'.")
    if k is not None:
        if rule != "majority":
            return summarise(draws(references, k, temperature, source, persona, seed), rule)
        values = _levels(references)
        chosen = majority_codes(_law(references, temperature, source, persona), k, seed)
        return np.where(np.isnan(chosen), np.nan, values[np.nan_to_num(chosen).astype(int)])
    if isinstance(scale, Continuous):
        _own_temperature(references.source(source), temperature)
        return summarise(_drawn_numbers(references.source(source), persona).T, rule)
    p, values = _law(references, temperature, source, persona), _levels(references)
    missing = np.asarray(np.isnan(p).any(axis=1))
    if rule == "mean":
        return p @ values
    at = np.where(missing[:, None], 0.0, p)
    # A half that is met to rounding is met.
    place = (at.cumsum(axis=1) < 0.5 - 1e-12).sum(axis=1) if rule == "median" else at.argmax(axis=1)
    return np.where(missing, np.nan, values[np.minimum(place, len(values) - 1)])


def drawn_codes(p: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    """K draws of every row of probabilities as codes, shape `(k, n_problems)`, NaN where a row is missing."""
    if k < 1:
        raise DataError(f"k={k}: draw at least one answer.")
    missing = np.asarray(np.isnan(p).any(axis=1))
    below = np.where(missing[:, None], 0.0, p).cumsum(axis=1)[:, :-1]
    codes = np.stack([(one[:, None] >= below).sum(axis=1) for one in rng.random((k, len(p)))])
    return np.where(missing, np.nan, codes)


def majority_codes(p: FloatArray, k: int, seed: int) -> FloatArray:
    """Majority of k draws of every row of probabilities, shape `(n_problems,)`, ties at random."""
    rng = generator(seed)
    codes = drawn_codes(p, k, rng)
    # The ties take a stream of their own: the numbers that made the draws would favour some levels.
    return summarise(codes, "majority", n_levels=p.shape[1], seed=int(rng.integers(2**32)))


def _levels(references: References) -> FloatArray:
    """Numeric values of a discrete scale's levels, those of labels being codes."""
    if isinstance(references.scale, Continuous | Ballot):
        raise DataError("draws of ballots have no levels.")
    return references.scale.values


def _law(references: References, temperature: float | None, source: str | None, persona: str) -> FloatArray:
    """Option probabilities at a temperature, NaN where missing; None is the references' own."""
    at = references if temperature is None else tempered(references, temperature)
    return at.probabilities(source, persona)


def _tempered(source: ReferenceSource, temperature: float) -> ReferenceSource:
    """One source at another temperature."""
    if source.temperature == temperature:
        return source
    if source.temperature == 0:
        raise DataError(
            f"temperature={temperature}: {source.name!r} answered at temperature 0, which says nothing of others; ask "
            "it at another, or set its temperature where that is wrong."
        )
    values = source.values.copy()
    known = ~np.isnan(values).any(axis=2)
    values[known] = tempered_law(_summing(values[known]), temperature / source.temperature)
    return replace(source, values=values, temperature=float(temperature))


def _summing(p: FloatArray) -> FloatArray:
    """Rows that sum to one exactly: those read from a file may be rounded."""
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def _own_temperature(source: ReferenceSource, temperature: float | None) -> None:
    if temperature is not None and temperature != source.temperature:
        raise DataError(
            f"temperature={temperature}: the draws of {source.name!r} are of temperature {source.temperature:g} only; "
            "ask it at another."
        )


def _drawn_numbers(source: ReferenceSource, persona: str) -> FloatArray:
    """Draws of numbers, shape `(n_problems, n_draws)`: zero-shot or a persona's; without zero-shot, all personas'."""
    if persona in source.personas:
        return source.values[:, source.personas.index(persona)]
    if persona:
        raise DataError(f"persona {persona!r} is not among {', '.join(map(repr, source.personas))}.")
    pooled = source.values.reshape(len(source.problems), -1)
    # NaN last, so that what is there stands first.
    return np.sort(pooled, axis=1)
