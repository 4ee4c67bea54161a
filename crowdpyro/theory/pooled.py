"""One interval for many problems: the mean answer over all of them, clustered by participant.

A person's answers hang together, so that n people with T answers each are not n T people. Naive intervals cover
2 Phi(1.96 / sqrt(1 + (T - 1) icc)) - 1: .55 for twenty answers with an intraclass correlation of .3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .checked import numbers
from .interval import crowd_interval
from .interval_result import CrowdInterval


def pooled_interval(
    y: npt.ArrayLike,
    twin_y: npt.ArrayLike,
    crowd: npt.ArrayLike,
    alpha: float = 0.05,
    *,
    participants: npt.ArrayLike | None = None,
    crowd_participants: npt.ArrayLike | None = None,
    crossed: bool = True,
    weights: npt.ArrayLike | None = None,
    crowd_weights: npt.ArrayLike | None = None,
    problem_weights: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
    crowd_strata: npt.ArrayLike | None = None,
    **options: Any,
) -> CrowdInterval:
    """Confidence interval of the mean over all problems.

    Parameters
    ----------
    y, twin_y
        Answers of people and of their twins, `(n, n_problems)`, NaN where there is none.
    crowd
        Answers of the crowd, `(N, n_problems)`, NaN where there is none; every problem that counts needs some.
    alpha
        Chance that the interval misses.
    participants, crowd_participants
        Whom each row is of, where one person has several, or its primary sampling unit; a row each when None.
    crossed
        Whether a row of the crowd is one member who met all problems; False where each answer is a member's of its own
        (`generate(crossed=False)`).
    weights, crowd_weights
        Of each row, `(n,)` and `(N,)`, as in `crowd_interval`.
    problem_weights
        How much each problem counts, `(n_problems,)`: None as often as people answered it, and the crowd then tells
        nothing of problems; ones for the mean over problems of which people were given some at random.
    strata, crowd_strata
        Of each row, as in `crowd_interval`.
    **options
        `method`, `alternative`, `overlap`, `lam`, `ddof`, `quantile`, `in_sample` of `crowd_interval`.

    Returns
    -------
    CrowdInterval
        One interval; `n` counts answers, its degrees of freedom people.

    Raises
    ------
    DataError
        When shapes do not match, a problem that counts has no answer of the crowd, or no person's answer has its
        twin's.
    """
    answers, twins, virtual = (
        numbers(each, name, gaps=True) for each, name in ((y, "y"), (twin_y, "twin_y"), (crowd, "crowd"))
    )
    if answers.ndim != 2 or twins.shape != answers.shape or virtual.ndim != 2 or virtual.shape[1:] != answers.shape[1:]:
        raise DataError(
            f"y, twin_y and crowd have shapes {answers.shape}, {twins.shape}, {virtual.shape}; give (n, n_problems), "
            "the same, and (N, n_problems)."
        )
    given, there = ~np.isnan(answers) & ~np.isnan(twins), ~np.isnan(virtual)
    each = None if weights is None else numbers(weights, "weights")
    if each is not None and each.shape != (len(answers),):
        raise DataError(f"weights have shape {each.shape}; give one a row of people, ({len(answers)},).")
    member_weight = np.ones(len(virtual)) if crowd_weights is None else numbers(crowd_weights, "crowd_weights")
    if member_weight.shape != (len(virtual),):
        raise DataError(f"crowd_weights have shape {member_weight.shape}; give one a row, ({len(virtual)},).")
    asked, answered = (given if each is None else given * each[:, None]).sum(axis=0), member_weight @ there
    if problem_weights is not None:
        asked = numbers(problem_weights, "problem_weights")
        if asked.shape != answered.shape or (asked < 0).any() or not asked.any():
            raise DataError(f"problem_weights has shape {asked.shape}; give {answered.shape} of at least 0, not all 0.")
    if not given.any():
        raise DataError("y and twin_y: no answer of a person has its twin's beside it; give some.")
    if (answered[asked > 0] == 0).any():
        place = int(np.flatnonzero((asked > 0) & (answered == 0))[0])
        raise DataError(f"crowd holds no answer to problem number {place}, which counts; let it answer all.")
    person, problem = np.nonzero(given)
    member, met = np.nonzero(there & (asked > 0))
    own = _labels(participants, len(answers), "participants")
    other = _labels(crowd_participants, len(virtual), "crowd_participants")
    return crowd_interval(
        answers[person, problem],
        twins[person, problem],
        virtual[member, met],
        alpha,
        # The crowd's problems count as the people's: otherwise its mean is that of another questionnaire.
        weights=None if each is None else each[person],
        crowd_weights=(asked / np.where(answered > 0, answered, 1.0))[met] * member_weight[member],
        clusters=own[person],
        crowd_clusters=other[member] if crossed else None,
        strata=None if strata is None else np.asarray(strata)[person],
        crowd_strata=None if crowd_strata is None else np.asarray(crowd_strata)[member],
        **options,
    )


def _labels(given: npt.ArrayLike | None, n: int, name: str) -> npt.NDArray[Any]:
    """One a row; the row's number when None."""
    found = np.arange(n) if given is None else np.asarray(given)
    if found.shape != (n,):
        raise DataError(f"{name} has shape {found.shape}; give one label a row, ({n},).")
    return found
