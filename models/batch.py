"""What a program is told: problems, participants, and which of them met.

Answers are flat, with indices instead of padding, so that a participant's noise is one site in a
participant plate and every answer of that person reads the same row of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .encoder import ProblemView
from .errors import ModelError


@dataclass(frozen=True)
class Batch:
    """Covariates and answers of some participants.

    Attributes
    ----------
    features
        Problem covariates that the belief generator sees, shape `(n_problems, n_features)`.
    known
        Row of each problem in the training table, -1 for one never trained on, shape `(n_problems,)`.
    reference
        The frozen LLM's answer: y_ref in the unit of the response, shape `(n_problems,)`, or log
        probabilities of the options, shape `(n_problems, n_levels)`, on a categorical scale.
    profile
        Encoded profiles v_i, shape `(n_participants, n_profile)`.
    rows
        Row of each participant in the population, shape `(n_participants,)`.
    participant, problem
        Row of `profile` and of `features` that each answer belongs to, shape `(n_answers,)`.
    response
        Codes or values, shape `(n_answers,)`, or ballots, `(n_answers, n_options)`; None when answers are to be drawn.
    participation
        Given probability p_it of taking part, a scalar or shape `(n_answers,)`.
    population
        Participants in the whole data set, of which these are a minibatch; scales the likelihood.
    met
        The encoder's view of each answer's problem, where it is computed already, so that model and guide share it.
    took_part
        Which of the meetings listed came to an answer, bool, shape `(n_answers,)`; `response` holds any number where
        none did. A learned participation model needs the others too. None where every meeting listed did.
    twins
        The LLM's answer in the role of each participant, in the place of `reference`, shape
        `(n_participants, n_problems)`, of options one more axis; None where everybody has the same.
    survey_weight
        How much each participant counts, of mean 1 over those who answered, shape `(n_participants,)`; None where all
        count alike.
    """

    features: Tensor
    known: Tensor
    reference: Tensor
    profile: Tensor
    rows: Tensor
    participant: Tensor
    problem: Tensor
    response: Tensor | None
    participation: Tensor
    population: int
    met: ProblemView | None = None
    took_part: Tensor | None = None
    twins: Tensor | None = None
    survey_weight: Tensor | None = None

    @property
    def n_participants(self) -> int:
        """Participants in this batch."""
        return self.profile.shape[0]

    @property
    def n_answers(self) -> int:
        """Answers in this batch."""
        return self.problem.shape[0]

    @property
    def n_given(self) -> int:
        """Meetings of this batch that came to an answer."""
        return self.n_answers if self.took_part is None else int(self.took_part.sum())

    @property
    def weight(self) -> float:
        """How many participants of the population each one of this batch stands for."""
        return self.population / self.n_participants

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    @property
    def given(self) -> Tensor:
        """The answers, which must be there.

        Raises
        ------
        ModelError
            When there are none.
        """
        if self.response is None:
            raise ModelError("batch has no response; give the answers that are to be scored.")
        return self.response

    def people(self, chosen: Tensor) -> Batch:
        """The minibatch of the participants in these rows, in this order, with all their answers.

        Parameters
        ----------
        chosen
            Rows of `profile`, without repeats, shape `(n_chosen,)`.
        """
        order, start = self._by_participant
        count = start[chosen + 1] - start[chosen]
        participant = torch.arange(len(chosen), device=chosen.device).repeat_interleave(count)
        # Place of each answer within its participant, then in the whole batch.
        within = torch.arange(len(participant), device=chosen.device) - (count.cumsum(0) - count)[participant]
        kept = order[start[chosen][participant] + within]
        twins = None if self.twins is None else self.twins[chosen]
        weight = None if self.survey_weight is None else self.survey_weight[chosen]
        batch = replace(self, profile=self.profile[chosen], rows=self.rows[chosen], twins=twins, survey_weight=weight)
        return replace(batch.meetings(kept), participant=participant)

    def meetings(self, chosen: Tensor) -> Batch:
        """The same people with only these of their meetings: rows, or a mask of shape `(n_answers,)`."""
        rows = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        return replace(
            self,
            participant=self.participant[rows],
            problem=self.problem[rows],
            response=None if self.response is None else self.response[rows],
            participation=self.participation if self.participation.ndim == 0 else self.participation[rows],
            met=None if self.met is None else self.met.at(rows),
            took_part=None if self.took_part is None else self.took_part[rows],
        )

    def answered(self) -> Batch:
        """Only the meetings that came to an answer."""
        return self if self.took_part is None else replace(self.meetings(self.took_part), took_part=None)

    @cached_property
    def _by_participant(self) -> tuple[Tensor, Tensor]:
        """Answers sorted by participant and where each one's begin; sorted once, so that epochs are linear."""
        count = torch.bincount(self.participant, minlength=self.n_participants)
        start = torch.cat([count.new_zeros(1), count.cumsum(0)])
        return torch.argsort(self.participant, stable=True), start
