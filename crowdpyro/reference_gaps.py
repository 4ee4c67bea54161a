"""What becomes of a problem that an LLM did not answer, or answered off the scale: a policy that the caller names.

    error    nothing; the first gap is named
    drop     the problem is left out
    panel    p_lt = mean of p_kt over the other LLMs k that answered t
    mean     p_lt = mean of p_ls over the calibration problems s that the LLM itself answered

p_lt is LLM l's distribution of answers to problem t. Of draws, a mean is the mixture: as many evenly spaced quantiles
of them all as the LLM has draws.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from .errors import DataError, MissingReferenceError
from .models.scales import Continuous
from .reference_table import ZERO_SHOT, mean_of_known
from .tables import shown

if TYPE_CHECKING:
    from .references import FloatArray, References, ReferenceSource

Policy: TypeAlias = Literal["error", "drop", "panel", "mean"]


def without_gaps(references: References, policy: Policy, calibration: References | None) -> References:
    """References without a gap in their base answers; arguments and errors as in `References.fill`."""
    check_policy(policy, calibrated=calibration is not None, name="policy")
    if calibration is None:
        calibration = references
    elif calibration.scale != references.scale or not set(references.names) <= set(calibration.names):
        raise DataError(
            f"calibration is of {', '.join(calibration.names)} on {calibration.scale}; give answers of "
            f"{', '.join(references.names)} on {references.scale}."
        )
    gaps = references.missing()
    if gaps.empty:
        return references
    if policy == "error":
        first = gaps.iloc[0]
        raise MissingReferenceError(
            f"problem {shown(first['problem'])} has no usable reference of {first['source']!r} ({len(gaps)} such); "
            "ask again, or name a policy: 'drop', 'panel' or 'mean'."
        )
    if policy == "drop":
        return _dropped(references, pd.Index(gaps["problem"].unique()))
    sources = tuple(_filled(references, source, policy, calibration) for source in references)
    notes = tuple(
        f"{name}: {count} missing references filled by policy {policy!r}"
        for name, count in gaps["source"].value_counts().items()
    )
    return replace(references, sources=sources, report=references.report + notes)


def check_policy(policy: str, *, calibrated: bool, name: str) -> None:
    """Raise `DataError` on an unknown policy, or a calibration that it has no use for."""
    if policy not in get_args(Policy):
        raise DataError(f"{name}={policy!r}: give {', '.join(map(repr, get_args(Policy)))}.")
    if calibrated and policy != "mean":
        raise DataError(f"calibration= is for {name}='mean', not {policy!r}; leave it out.")


def _dropped(references: References, problems: pd.Index) -> References:
    """References of the other problems."""
    kept = references.problems[~references.problems.isin(problems)]
    if kept.empty:
        raise MissingReferenceError(
            f"policy='drop': none of the {len(references.problems)} problems has a reference of every LLM, and none is "
            "left; ask again, or take fewer LLMs."
        )
    note = f"{len(problems)} problems dropped for want of a reference, such as {shown(problems[0])} (policy 'drop')"
    return replace(references.select(kept), report=(*references.report, note))


def _filled(
    references: References, source: ReferenceSource, policy: Policy, calibration: References
) -> ReferenceSource:
    """One LLM's answers, its gaps filled."""
    hole = source.gaps()
    stand_in = _stand_in(references, source, policy, calibration)
    empty = hole & np.isnan(stand_in).any(axis=1)
    if empty.any():
        problem = shown(references.problems[np.flatnonzero(empty)[0]])
        if policy == "mean":
            raise MissingReferenceError(
                f"problem {problem}: {source.name!r} answered no calibration problem to take the mean of; ask again, "
                "or take another policy."
            )
        raise MissingReferenceError(f"problem {problem} has no reference of any LLM; ask again or drop it.")
    values = source.values.copy()
    if ZERO_SHOT in source.personas:
        values[hole, source.personas.index(ZERO_SHOT)] = stand_in[hole]
    else:
        values[hole] = stand_in[hole][:, None]
    return replace(source, values=values)


def _stand_in(references: References, source: ReferenceSource, policy: Policy, calibration: References) -> FloatArray:
    """What takes the place of a source's base, shape `(n_problems, m)`; NaN where there is nothing to take."""
    base = source.base()
    if policy == "mean":
        known = calibration.source(source.name)
        others = [known.base()[~known.gaps()][None]]
    else:
        others = [other.base()[:, None] for other in references if other is not source]
    if not others:
        return np.full_like(base, np.nan)
    if not isinstance(references.scale, Continuous):
        return np.broadcast_to(mean_of_known(np.concatenate(others, axis=1), axis=1), base.shape)
    pooled = np.concatenate([each.reshape(len(each), -1) for each in others], axis=1)
    stand_in = np.full((len(pooled), base.shape[1]), np.nan)
    there = ~np.isnan(pooled).all(axis=1)
    if there.any():
        levels = (np.arange(base.shape[1]) + 0.5) / base.shape[1]
        stand_in[there] = np.nanquantile(pooled[there], levels, axis=1).T
    return np.broadcast_to(stand_in, base.shape)
