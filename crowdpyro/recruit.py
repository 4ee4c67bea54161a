"""Who makes a crowd: profiles from the pool, and who of them takes part in which problem."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .fitted import Fitted
from .profiles import clean_profiles
from .survey import WEIGHT, design_of, shares_of_weights

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recruits:
    """People before they answer.

    Attributes
    ----------
    frame
        Their profiles; without columns where a row is a slot that fresh people fill problem by problem.
    profile
        Encoded, shape `(n, n_columns)` or, for fresh people, `(n, n_problems, n_columns)`.
    rows
        Who of training's people they are, shape `(n,)` or `(n, n_problems)`; None for people of a frame.
    weights
        Survey weights of people of a frame, of mean 1, `(n,)`; None where all count alike.
    """

    frame: pd.DataFrame
    profile: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64] | None = None
    weights: FloatArray | None = None

    @property
    def n(self) -> int:
        """Rows of the crowd."""
        return len(self.frame)


def recruit(
    fitted: Fitted, participants: int | pd.DataFrame, rng: np.random.Generator, n_problems: int | None = None
) -> Recruits:
    """People drawn from the training profiles, by survey weight where those have one, or those of a frame.

    Parameters
    ----------
    fitted
        Whose pool is drawn from.
    participants
        How many, or a frame of profiles, one row each.
    rng
        Of the draw.
    n_problems
        Draw fresh people for each of so many problems, or part a frame among them: its first rows meet the first
        problem. None has people meet them all.

    Raises
    ------
    DataError
        When nobody is asked for, a profile has a level that training never saw, or a frame has not as many rows for
        each problem.
    """
    if isinstance(participants, pd.DataFrame):
        return _named(fitted, participants, n_problems)
    if participants < 1:
        raise DataError(f"participants={participants}: give at least one.")
    pool = fitted.profile_encoder.transform(fitted.profiles)
    index = pd.RangeIndex(participants, name="participant")
    if n_problems is None:
        rows = _drawn(fitted, rng, participants)
        return Recruits(fitted.profiles.iloc[rows].set_axis(index), pool[rows], rows)
    rows = _drawn(fitted, rng, (participants, n_problems))
    return Recruits(pd.DataFrame(index=index), pool[rows], rows)


def _drawn(fitted: Fitted, rng: np.random.Generator, size: int | tuple[int, int]) -> npt.NDArray[np.int64]:
    """Rows of the pool, each as likely as its survey weight."""
    chance = shares_of_weights(fitted.weights)
    if chance is None:
        return rng.integers(len(fitted.profiles), size=size)
    return rng.choice(len(fitted.profiles), size=size, p=chance)


def _named(fitted: Fitted, participants: pd.DataFrame, n_problems: int | None) -> Recruits:
    if len(participants) == 0:
        raise DataError("table 'participants' has no rows; give at least one.")
    if n_problems is not None and len(participants) % n_problems:
        raise DataError(
            f"participants is a frame of {len(participants)} rows and crossed=False: each of {n_problems} problems "
            f"meets as many fresh people; give a multiple of {n_problems} rows, or a number."
        )
    people, design = design_of(participants, fitted.profiles.columns)
    frame, notes = clean_profiles(people, fitted.profiles)
    for note in notes:
        logger.warning("participants: %s", note)
    weights = None if design is None else design.weights
    profile = fitted.profile_encoder.transform(frame)
    if n_problems is None:
        return Recruits(frame, profile, weights=weights)
    if weights is not None:
        raise DataError(
            f"column {WEIGHT!r} of participants: a row of a crowd with crossed=False is many people, and has no "
            "weight; recruit by it (`recruitment.Pool`) and leave it out."
        )
    n = len(frame) // n_problems
    # No ids of training, whose twins they would be taken for.
    slots = pd.Index([f"slot {place}" for place in range(n)], name="participant")
    return Recruits(pd.DataFrame(index=slots), profile.reshape(n_problems, n, -1).swapaxes(0, 1))


def probabilities(participation: float | npt.ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """Given probabilities of taking part, broadcast to the crowd.

    Parameters
    ----------
    participation
        A number, an array a problem `(n_problems,)`, a participant `(n_participants, 1)`, or a pair.
    shape
        `(n_participants, n_problems)`.
    """
    probs = np.asarray(participation, dtype=float)
    if not ((probs >= 0) & (probs <= 1)).all():
        raise DataError(f"participation={participation!r}: give probabilities in [0, 1].")
    try:
        return np.broadcast_to(probs, shape)
    except ValueError as error:
        raise DataError(
            f"participation has shape {probs.shape}; give a number, {shape[1:]} a problem, {(shape[0], 1)} a "
            f"participant, or {shape}."
        ) from error


def attendance(probs: FloatArray, per_problem: int | None, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Who takes part, shape of `probs`.

    Parameters
    ----------
    probs
        Probability of every pair.
    per_problem
        So many of those who would take part do, chosen at random; None takes all of them.
    rng
        Of the draw.

    Raises
    ------
    DataError
        When a problem finds fewer who would.
    """
    u = rng.random(probs.shape)
    willing = u < probs
    if per_problem is None:
        return willing
    if per_problem < 1:
        raise DataError(f"per_problem={per_problem}: give at least one.")
    found = willing.sum(axis=0)
    if (found < per_problem).any():
        short = int(found.argmin())
        raise DataError(
            f"per_problem={per_problem}: problem number {short} finds {found[short]} who would take part; recruit more "
            "participants."
        )
    order = np.where(willing, rng.random(probs.shape), 2.0).argsort(axis=0)
    chosen = np.zeros(probs.shape, dtype=bool)
    np.put_along_axis(chosen, order[:per_problem], True, axis=0)
    return chosen
