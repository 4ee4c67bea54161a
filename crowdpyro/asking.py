"""Problems put to a fitted model, and what a crowd of recruits answers to them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from .data import CrowdData
from .errors import DataError
from .fitted import Fitted
from .inference.generate import decisions, shares
from .inference.program import everybody_meets_everything, run_crowd, tells_the_story
from .long_frames import problem_table
from .models.batch import Batch
from .models.belief import ParticipantView
from .models.encoder import ProblemView
from .recruit import Recruits
from .references import References
from .tables import counted, shown
from .twins import all_known, twins_of

if TYPE_CHECKING:
    from .llm.backbone import Backbone

logger = logging.getLogger(__name__)

Float32Array: TypeAlias = npt.NDArray[np.float32]


def frame_of(fitted: Fitted, problems: pd.DataFrame | Iterable[object] | None) -> pd.DataFrame:
    """The problems asked: a frame with texts, ids of training problems, or None for all of those."""
    if problems is None:
        return fitted.problems
    if isinstance(problems, pd.DataFrame):
        if "text" not in problems.columns:
            raise DataError("table 'problems' lacks column 'text'; add each problem's text.")
        frame = problem_table(problems) if "problem" in problems.columns else problems
    else:
        ids = list(problems)
        unknown = [each for each in ids if each not in fitted.problems.index]
        if unknown:
            raise DataError(f"problem {shown(unknown[0])} is not of training; pass a frame with its text instead.")
        frame = fitted.problems.loc[ids]
    if frame.empty:
        raise DataError("table 'problems' has no rows; give at least one.")
    return frame


@dataclass(frozen=True)
class Asked:
    """Problems as a fitted model sees them.

    Attributes
    ----------
    frame
        Their table.
    covariates, known, reference
        As in `Batch`.
    view
        What the encoder makes of them.
    """

    frame: pd.DataFrame
    covariates: torch.Tensor
    known: torch.Tensor
    reference: torch.Tensor
    view: ProblemView

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        frame: pd.DataFrame,
        covariates: Float32Array,
        reference: Float32Array,
    ) -> Asked:
        """Encode the problems of a frame."""
        features, known, y_ref = (
            torch.as_tensor(each).to(fitted.device) for each in (covariates, fitted.rows(frame), reference)
        )
        with torch.no_grad():
            view = fitted.model.encoder(features, known, y_ref)
        return cls(frame, features, known, y_ref, view)

    @property
    def n(self) -> int:
        """Number of problems."""
        return len(self.frame)

    def only(self, place: int) -> Asked:
        """One of them."""
        return self.part(slice(place, place + 1))

    def part(self, places: slice) -> Asked:
        """Some that stand side by side."""
        rows = torch.arange(self.n, device=self.known.device)[places]
        return Asked(
            self.frame.iloc[places], self.covariates[rows], self.known[rows], self.reference[rows], self.view.at(rows)
        )

    def batch(self, profile: torch.Tensor) -> Batch:
        """They and these people, who have not met yet."""
        return Batch(
            features=self.covariates,
            known=self.known,
            reference=self.reference,
            profile=profile,
            rows=torch.arange(len(profile), device=profile.device),
            participant=self.known.new_empty(0),
            problem=self.known.new_empty(0),
            response=None,
            participation=profile.new_ones(()),
            population=len(profile),
        )


def covariates_of(
    fitted: Fitted, backbone: Backbone | None, problems: pd.DataFrame, references: References | None
) -> tuple[Float32Array, Float32Array]:
    """Covariates and y_ref, remembered for training problems that the references say nothing of.

    A backbone is asked about new problems when nobody else says anything of them.
    """
    rows = fitted.rows(problems)
    covariates, reference = fitted.covariates[rows], fitted.reference[rows]
    fresh = rows < 0
    if references is not None:
        fresh |= problems.index.isin(references.problems)
    if fresh.any():
        asked = problems[fresh]
        if references is None and fitted.features.sources and backbone is not None:
            references = backbone.refer(asked, fitted.scale)
        covariates[fresh], reference[fresh] = fitted.features.transform(asked, references)
        _warn_of_text_alone(fitted, len(asked))
    return covariates, reference


def _warn_of_text_alone(fitted: Fitted, n_asked: int) -> None:
    """Where components are as many as training problems they tell these apart, and nothing of other texts.

    Of five statements out of 25, in two splits, W1 was .55 and .84 without text, and .55 to .58 and .91 to .97 with it.
    """
    text, n_trained = fitted.features.text, len(fitted.problems)
    if text is not None and not fitted.features.sources and text.n_components >= n_trained - 1:
        logger.warning(
            "%s: only the text is known, and n_components=%d of %d training problems tell of no "
            "other; expect no better than n_components=0, or give references.",
            counted(n_asked, "new problem"),
            text.n_components,
            n_trained,
        )


def batch_of(fitted: Fitted, backbone: Backbone | None, data: CrowdData, references: References | None) -> Batch:
    """People's answers as the fitted model's programs are given them."""
    covariates, reference = covariates_of(fitted, backbone, data.problems, references)
    people = data.participants.index
    twins = twins_of(fitted, people, data.problems, references)
    if twins is not None:
        all_known(twins, people, data.problems.index, data.answered())
    return fitted.batch(data, covariates, reference, twins=twins).to(fitted.device)


def people_of(fitted: Fitted, recruits: Recruits) -> ParticipantView:
    """Participants with noise drawn from its prior; the caller has seeded."""
    profile = torch.as_tensor(recruits.profile).to(fitted.device)
    with torch.no_grad():
        noise = torch.randn(*profile.shape[:-1], fitted.model.n_eps, device=fitted.device)
        people: ParticipantView = fitted.model.participants(profile, noise)
    return people


def answers_of(
    fitted: Fitted,
    recruits: Recruits,
    asked: Asked,
    expected: int = 0,
    y_ref: Float32Array | None = None,
    attending: bool = False,
    people: ParticipantView | None = None,
) -> Float32Array:
    """Everybody's answer to everything; the caller has seeded.

    Parameters
    ----------
    fitted, recruits, asked
        Who answers what.
    expected, y_ref
        As in `inference.decisions`; a model that overrides `crowd` reads no `expected`.
    attending
        NaN where people stay away, of a model in which they do so because of the answer.
    people
        The recruits with their noise, drawn before; drawn here when None, and by a model that overrides `crowd`.

    Returns
    -------
    ndarray
        Shape `(n_participants, n_problems, ...)`.
    """
    if tells_the_story(fitted.model):
        reference = None if y_ref is None else torch.as_tensor(y_ref).to(fitted.device)
        people = people_of(fitted, recruits) if people is None else people
        drawn = decisions(fitted.model, asked.view, people, expected=expected, reference=reference)
    else:
        batches = _batches(fitted, recruits, asked, y_ref)
        attending = attending and getattr(fitted.model, "selects", False)
        drawn = torch.cat([run_crowd(fitted.model, batch, attending) for batch in batches], dim=1)
    return drawn.cpu().numpy().astype(np.float32)


def shares_of(
    fitted: Fitted, recruits: Recruits, asked: Asked, y_ref: Float32Array | None = None
) -> npt.NDArray[np.float64]:
    """Share of each answer among these people if they answered infinitely often, shape `(n_problems, n_levels)`."""
    reference = None if y_ref is None else torch.as_tensor(y_ref).to(fitted.device)
    weights = None if recruits.weights is None else torch.as_tensor(recruits.weights).to(fitted.device)
    found = shares(fitted.model, asked.view, people_of(fitted, recruits), reference, weights)
    return found.cpu().numpy().astype(np.float64)


def learned_participation(fitted: Fitted, recruits: Recruits, asked: Asked) -> npt.NDArray[np.float64]:
    """Probability that each takes part in each, `(n_participants, n_problems)`; 1 where the model learned none.

    Also 1 where people stay away because of the answer: then the answers were drawn with it.
    """
    if not getattr(fitted.model, "learns_participation", False) or getattr(fitted.model, "selects", False):
        return np.ones((recruits.n, asked.n))
    columns = []
    with torch.no_grad():
        for batch in _batches(fitted, recruits, asked):
            blocks = [fitted.model.participation_dist(met).probs for met in everybody_meets_everything(batch)]
            columns.append(torch.cat(blocks).reshape(recruits.n, -1))
    probs: npt.NDArray[np.float64] = torch.cat(columns, dim=1).cpu().numpy().astype(np.float64)
    return probs


def twin_references(
    fitted: Fitted, recruits: Recruits, asked: Asked, references: References | None
) -> Float32Array | None:
    """y_ref of every recruit's own twin, `(n_participants, n_problems, ...)`; None where the model knows no twins.

    Raises
    ------
    MissingReferenceError
        When a recruit has no twin, or it did not answer.
    """
    people = recruits.frame.index if recruits.rows is None else fitted.profiles.index
    found = twins_of(fitted, people, asked.frame, references)
    if found is None:
        return None
    rows = np.arange(recruits.n) if recruits.rows is None else recruits.rows
    pairs = (rows[:, None] if rows.ndim == 1 else rows, np.arange(asked.n))
    met = np.zeros(found.shape[:2], dtype=bool)
    met[pairs] = True
    return all_known(found, people, asked.frame.index, met)[pairs]


def _batches(fitted: Fitted, recruits: Recruits, asked: Asked, y_ref: Float32Array | None = None) -> list[Batch]:
    """All problems with their people: one batch, or one a problem where each has fresh people."""
    profile = torch.as_tensor(recruits.profile).to(fitted.device)
    twins = None if y_ref is None else torch.as_tensor(y_ref).to(fitted.device)
    if profile.ndim == 2:
        return [replace(asked.batch(profile), twins=twins)]
    return [
        replace(asked.only(k).batch(profile[:, k]), twins=None if twins is None else twins[:, [k]])
        for k in range(asked.n)
    ]
