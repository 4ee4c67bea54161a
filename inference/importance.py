"""Weighted draws of eps: right with any guide, given enough of them.

eps_is ~ r_i = 1/2 p(eps_i) + 1/2 q(eps_i | y_i, v_i),     log w_is = log p(eps_is) - log r_i(eps_is)

Multiplied by the likelihood of whichever answers are given, w weighs the draws to the posterior of just those answers.
The prior's half keeps every weight bounded (Hesterberg 1995), so that one set of draws serves the posterior given all
answers, all but one, the earlier ones, and none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from ..models.batch import Batch
from ..models.encoder import ProblemView
from ..models.errors import ModelError
from ..models.joint import JointModel

# Answers times draws of a block: some 100 MB with what a program keeps of each.
_BLOCK = 2**17


class Proposals(NamedTuple):
    """Draws of eps, shape `(n_draws, n_participants, n_eps)`, and log w, shape `(n_draws, n_participants)`."""

    eps: Tensor
    log_weight: Tensor


@torch.no_grad()
def proposals(model: JointModel, guide: Any | None, batch: Batch, n_draws: int) -> Proposals:
    """Draws from the mixture of prior and guide; the caller seeds.

    Parameters
    ----------
    model, batch
        People, and the answers that the guide sees.
    guide
        With `eps_dist(batch)`; None draws from the prior alone, which will do for few answers a person.
    n_draws
        Even, half from each.

    Returns
    -------
    Proposals
        Draws `(n_draws, n_participants, n_eps)` and log weights `(n_draws, n_participants)`.

    Raises
    ------
    ModelError
        When `n_draws` is not even and positive.

    References
    ----------
    T. Hesterberg (1995), Weighted average importance sampling and defensive mixture distributions, Technometrics 37.
    """
    if n_draws < 2 or n_draws % 2:
        raise ModelError(f"n_draws={n_draws}: give an even number, half of it for the prior and half for the guide.")
    prior = model.eps_dist(batch)
    if guide is None:
        eps = prior.sample(torch.Size([n_draws]))
        return Proposals(eps, eps.new_zeros(eps.shape[:2]))
    told = guide.eps_dist(batch)
    half = torch.Size([n_draws // 2])
    eps = torch.cat([prior.sample(half), told.sample(half)])
    log_prior = prior.log_prob(eps)
    return Proposals(eps, log_prior - torch.logaddexp(log_prior, told.log_prob(eps)) + float(np.log(2)))


def answers_given(model: JointModel, batch: Batch, x: ProblemView, eps: Tensor | None) -> TorchDistribution:
    """Distribution of every answer with delta integrated out.

    Parameters
    ----------
    model, batch
        People and whom they met.
    x
        The problems, a row an answer.
    eps
        Shape `(..., n_participants, n_eps)`; None of a model without it.

    Returns
    -------
    TorchDistribution
        Batch shape `(..., n_answers)`.
    """
    z = model.participants(batch.profile, eps).at(batch.participant)
    return model.answer_dist(model.belief_dist(x, z), x, z)


@torch.no_grad()
def log_likelihoods(model: JointModel, batch: Batch, eps: Tensor) -> Tensor:
    """Log likelihood of each person's answers under each draw, shape `(n_draws, n_participants)`.

    Parameters
    ----------
    model, batch
        People and their answers; a pair that has none says nothing.
    eps
        Shape `(n_draws, n_participants, n_eps)`.
    """
    batch = batch.answered()
    x = model.met(batch)
    rows = [
        by_person(answers_given(model, batch, x, draws).log_prob(batch.given), batch)
        for (draws,) in blocks(batch.n_answers, eps)
    ]
    return torch.cat(rows)


def by_person(values: Tensor, batch: Batch) -> Tensor:
    """Sums over each person's answers: `(n_draws, n_answers)` to `(n_draws, n_participants)`."""
    return values.new_zeros(len(values), batch.n_participants).index_add(1, batch.participant, values)


def blocks(n_answers: int, *draws: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Blocks of the first axis, the same of each, small enough for that many answers a draw."""
    size = max(1, _BLOCK // max(n_answers, 1))
    return zip(*(each.split(size) for each in draws), strict=True)


@torch.no_grad()
def resampled(model: JointModel, guide: Any | None, batch: Batch, n_draws: int, n_proposals: int = 4096) -> Tensor:
    """Draws of the posterior of eps by importance resampling, shape `(n_draws, n_participants, n_eps)`; caller seeds.

    Parameters
    ----------
    model, guide, batch
        As in `proposals`.
    n_draws
        To return; fewer than a tenth of `n_proposals`, lest draws repeat.
    n_proposals
        To choose from.

    Raises
    ------
    ModelError
        When `n_draws` is above a tenth of `n_proposals`, or below 1.
    """
    if not 1 <= n_draws <= n_proposals // 10:
        raise ModelError(f"n_draws={n_draws}: give 1 to a tenth of n_proposals={n_proposals}.")
    eps, log_weight = proposals(model, guide, batch, n_proposals)
    log_weight = log_weight + log_likelihoods(model, batch, eps)
    chosen = torch.multinomial(torch.softmax(log_weight.T, dim=1), n_draws, replacement=True).T
    return eps.gather(0, chosen[..., None].expand(-1, -1, eps.shape[2]))
