"""Sampling crowds: every participant meets every problem, block by block.

The problem's and the participant's part of the first layer are computed once each and added by broadcasting, so
that a decision costs one activation and one small product.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..models.belief import ParticipantView
from ..models.draw_mixture import DrawMixture
from ..models.encoder import ProblemView
from ..models.errors import ModelError
from ..models.joint import JointModel
from .belief_draws import belief_draws

# Cells of a block: small enough to stay in cache, large enough to hide the cost of a call.
_BLOCK = 16_384


@torch.no_grad()
def decisions(
    model: JointModel,
    x: ProblemView,
    z: ParticipantView,
    *,
    expected: int = 0,
    reference: Tensor | None = None,
) -> Tensor:
    """Decisions of participants on problems.

    Parameters
    ----------
    model
        A fitted model in evaluation mode.
    x
        The problems, one row each.
    z
        The participants, one row each; or, with shape `(n_participants, n_problems, ...)`, one for every pair.
    expected
        J > 0 returns the mean decision over J draws of the belief (paper, section 3.1) in the unit of the
        response; 0 draws one decision, a code, a value or a ballot.
    reference
        A reference for every pair, shape `(n_participants, n_problems, ...)`; x's own when None.

    Returns
    -------
    Tensor
        Shape `(n_participants, n_problems)`, of ballots `(n_participants, n_problems, n_options)`.
    """
    paired = z.hidden.ndim == 3
    n_people, rows = len(z.hidden), _rows(model, x)
    blocks = []
    crossed = x.crossed()
    for start in range(0, n_people, rows):
        chosen = torch.arange(start, min(start + rows, n_people), device=x.table.device)
        people = z.people(chosen) if paired else z.people(chosen).crossed()
        view = crossed if reference is None else replace(crossed, reference=reference[chosen])
        # As many draws as are averaged: each has fresh noise, and none is wasted.
        with belief_draws(model, max(expected, 1)):
            belief = model.belief_dist(view, people)
            if expected:
                answers = model.response_dist(belief.sample(torch.Size([expected])), view, people)
                blocks.append(model.blender.expected(DrawMixture(answers)))
            else:
                blocks.append(model.answer_dist(belief, view, people).sample())
    return torch.cat(blocks)


@torch.no_grad()
def shares(
    model: JointModel,
    x: ProblemView,
    z: ParticipantView,
    reference: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Share of each answer in an infinitely repeated crowd: probabilities averaged over the participants.

    Parameters
    ----------
    model, x, z, reference
        As in `decisions`, a row of z a participant.
    weights
        How much each participant counts, of mean 1; None where all count alike.

    Returns
    -------
    Tensor
        Shape `(n_problems, n_levels)`, discrete scales only; of ballots the mean of each option's votes or points.

    Raises
    ------
    ModelError
        When `z` holds no participant.
    """
    n_people, rows = len(z.hidden), _rows(model, x)
    if not n_people:
        raise ModelError("z holds no participant to average over; give at least one.")
    crossed, parts = x.crossed(), []
    for start in range(0, n_people, rows):
        chosen = torch.arange(start, min(start + rows, n_people), device=x.table.device)
        people = z.people(chosen).crossed()
        view = crossed if reference is None else replace(crossed, reference=reference[chosen])
        answer = model.answer_dist(model.belief_dist(view, people), view, people)
        probs = answer.mean if answer.event_shape else answer.probs
        parts.append((probs if weights is None else probs * weights[chosen, None, None]).sum(0))
    return torch.stack(parts).sum(0) / n_people


def _rows(model: JointModel, x: ProblemView) -> int:
    """Participants of a block."""
    return max(1, _BLOCK // max(len(x.table) * model.blender.n_belief, 1))
