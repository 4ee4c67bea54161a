"""From a fitted model to a crowd: who is recruited, what each answers, and who takes part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from .asking import Asked, Float32Array, answers_of, learned_participation, twin_references
from .crowd import Crowd
from .errors import DataError, ModelError
from .fitted import Fitted
from .inference.program import tells_the_story
from .inference.runtime import seeded
from .inference.seeds import generator
from .models.belief import ParticipantView
from .recruit import FloatArray, Recruits, attendance, probabilities, recruit
from .reference_draws import ReferenceUse, drawn_reference
from .references import References

Decision: TypeAlias = Literal["draw", "expected"]


@dataclass(frozen=True)
class Answering:
    """How a crowd answers; see `CrowdLLM.generate`."""

    decision: Decision
    reference: ReferenceUse
    crossed: bool
    participation: float | npt.ArrayLike | None
    per_problem: int | None
    n_draws: int

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("decision", self.decision, get_args(Decision)),
            ("reference", self.reference, get_args(ReferenceUse)),
        ):
            if value not in allowed:
                raise DataError(f"{name}={value!r}: give one of {', '.join(map(repr, allowed))}.")
        if self.n_draws < 1:
            raise DataError(f"n_draws={self.n_draws}: give at least one.")


def crowd_of(
    fitted: Fitted,
    participants: int | pd.DataFrame,
    asked: Asked,
    references: References | None,
    how: Answering,
    seed: int,
) -> Crowd:
    """Recruit participants and let them answer.

    Raises
    ------
    ModelError
        When twins, or a model that overrides `crowd` or `eps_dist`, are to answer by other references or decisions.
    """
    rng = generator(seed)
    recruits = recruit(fitted, participants, rng, None if how.crossed else asked.n)
    given = None if how.participation is None else probabilities(how.participation, (recruits.n, asked.n))
    with seeded(seed, str(fitted.device)):
        matrix = matrix_of(fitted, recruits, asked, references, how, rng, given)
    return Crowd.from_matrix(
        matrix,
        scale=fitted.scale,
        problems=asked.frame,
        participants=recruits.frame,
        weights=recruits.weights,
        seed=seed,
        decision=how.decision,
        reference=how.reference,
        crossed=int(how.crossed),
        n_draws=how.n_draws,
        per_problem=how.per_problem,
        llm=", ".join(fitted.features.sources),
    )


def matrix_of(
    fitted: Fitted,
    recruits: Recruits,
    asked: Asked,
    references: References | None,
    how: Answering,
    rng: np.random.Generator,
    given: FloatArray | None,
    *,
    people: ParticipantView | None = None,
    referring: np.random.Generator | None = None,
) -> Float32Array:
    """Recruits' answers, NaN where they stay away; the caller has seeded.

    Parameters
    ----------
    fitted, recruits, asked, references, how
        Who answers what, and how.
    rng
        Of drawn references, and of who takes part.
    given
        Probability of every pair; None for the learned ones.
    people
        As in `answers_of`.
    referring
        Of a reference's shared draw, where other recruits are to have the same; rng when None.

    Returns
    -------
    ndarray
        Shape `(n_participants, n_problems, ...)`.

    Raises
    ------
    ModelError
        As `crowd_of`.
    """
    y_ref = twin_references(fitted, recruits, asked, references)
    if y_ref is None:
        drawing = referring if referring is not None and how.reference == "shared_draw" else rng
        y_ref = drawn_reference(references, how.reference, asked.frame.index, recruits.n, fitted.scale, drawing)
    elif how.reference != "expected":
        raise ModelError(f"reference={how.reference!r}: these people have twins, one a person; give 'expected'.")
    if not tells_the_story(fitted.model) and (how.decision, how.reference) != ("draw", "expected"):
        raise ModelError(
            f"decision={how.decision!r}, reference={how.reference!r}: a model that overrides `crowd` or `eps_dist` is "
            "run as it is; give decision='draw', reference='expected'."
        )
    n_draws = how.n_draws if how.decision == "expected" else 0
    matrix = answers_of(fitted, recruits, asked, n_draws, y_ref, given is None, people)
    if given is None:
        # Whoever stayed away is not there to be chosen.
        absent = np.isnan(matrix.reshape(*matrix.shape[:2], -1)).all(axis=2)
        given = np.where(absent, 0.0, learned_participation(fitted, recruits, asked))
    matrix[~attendance(given, how.per_problem, rng)] = np.nan
    return matrix
