"""The posterior of eps_i given some of a person's answers, thousands of people at once.

eps_is  ~ r_i = (1/K) sum_k r_ik,    r_i1 = p(eps_i),  r_i2 = q(eps_i | y_i, v_i),  r_ik = Normal(m_i, c V_i)
log w_is = log p(eps_is) + log p(y_i | eps_is, v_i) - log r_i(eps_is)

m_i and V_i are the weighted moments of what was drawn so far: adaptive multiple importance sampling (Cornuet, Marin,
Mira and Robert 2012), equally many draws of each r_ik and every draw weighed by all of them. The prior's part keeps
the weights bounded; the later parts mend a guide that is off, or that is given fewer answers than it was trained on.
Delta is integrated out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from pyro.distributions import MultivariateNormal, TorchDistribution
from torch import Tensor

from ..models.batch import Batch
from ..models.encoder import ProblemView
from ..models.errors import ModelError
from ..models.joint import JointModel
from .belief_draws import belief_draws
from .importance import answers_given, blocks, by_person, log_likelihoods
from .pit import transform
from .program import tells_the_story
from .runtime import seeded

# People at a time: 1,024 draws of five numbers and what weighing them needs are some 50 MB.
_PEOPLE = 512
# Draws times people times problems of a block of predictions: some 100 MB.
_CELLS = 2**19
# Covariances are widened, so that a normal covers the tails of a skewed posterior, and kept away from 0, where draws
# of little weight have left them.
_WIDER, _LEAST = 1.3, 1e-3


@dataclass(frozen=True)
class PersonDraws:
    """Weighted draws of every person's eps.

    Attributes
    ----------
    eps
        Shape `(n_draws, n_participants, n_eps)`.
    log_weight
        Their exponentials sum to one over the draws; shape `(n_draws, n_participants)`.
    log_evidence
        Log p(y_i | v_i) of the answers that were conditioned on, nats, 0 for none; shape `(n_participants,)`. Minus
        infinity for answers so far out that single precision gives them no chance: there is no posterior then, and the
        draws are left to be the prior's.
    """

    eps: Tensor
    log_weight: Tensor
    log_evidence: Tensor

    @property
    def ess(self) -> Tensor:
        """Effective number of draws, shape `(n_participants,)`; distrust people below some 50."""
        return (-torch.logsumexp(2 * self.log_weight, dim=0)).exp()

    def mean(self) -> Tensor:
        """Posterior means, shape `(n_participants, n_eps)`."""
        return _moments(self.eps, self.log_weight)[0]

    def covariance(self) -> Tensor:
        """Posterior covariances, shape `(n_participants, n_eps, n_eps)`."""
        return _moments(self.eps, self.log_weight)[1]

    def resampled(self, n_draws: int) -> Tensor:
        """Equally weighted draws, shape `(n_draws, n_participants, n_eps)`, in random order; the caller seeds.

        Systematic: a draw of weight w comes out floor(n w) or ceil(n w) times, so that little is added to its noise.

        Raises
        ------
        ModelError
            When `n_draws` is below 1.
        """
        if n_draws < 1:
            raise ModelError(f"n_draws={n_draws}: give at least 1.")
        weight = self.log_weight.T.exp().double()
        start = torch.rand(len(weight), 1, dtype=weight.dtype, device=weight.device)
        ticks = (torch.arange(n_draws, device=weight.device) + start) / n_draws
        chosen = torch.searchsorted(weight.cumsum(1), ticks).clamp(max=weight.shape[1] - 1)
        shuffled = torch.rand(chosen.shape, device=weight.device).argsort(1)
        chosen = chosen.gather(1, shuffled).T
        return self.eps.gather(0, chosen[..., None].expand(-1, -1, self.eps.shape[2]))


@torch.no_grad()
def condition(
    model: JointModel, guide: Any | None, batch: Batch, *, n_draws: int = 1024, rounds: int = 2, seed: int = 0
) -> PersonDraws:
    """Posterior of eps_i given the batch's answers.

    Parameters
    ----------
    model
        Fitted, in evaluation mode.
    guide
        With `eps_dist(batch)`; another, or None, leaves the start to the prior alone.
    batch
        People, and the answers to condition on; somebody without any keeps the prior.
    n_draws
        Draws a person, shared equally by the prior, the guide and the rounds.
    rounds
        Normals at the weighted moments of what was drawn before; 0 for prior and guide alone.
    seed
        Equal seeds give equal draws.

    Returns
    -------
    PersonDraws
        Draws of eps, `(n_draws, n_participants, n_eps)`, their log weights, and the log evidence in nats.

    Raises
    ------
    ModelError
        For a model whose latents are not eps alone, or too few draws.
    """
    if not tells_the_story(model):
        raise ModelError(
            f"model: {type(model).__name__} overrides `crowd` or `eps_dist`, so that its latents are not eps alone; "
            "condition it by `sample_posterior`, or by inference of your own."
        )
    if rounds < 0 or n_draws < 16 * (rounds + 2):
        raise ModelError(f"n_draws={n_draws}, rounds={rounds}: give 0 rounds or more, and {16 * (rounds + 2)} draws.")
    batch = batch.answered()
    if not model.n_eps:
        nobody = batch.profile.new_zeros(1, batch.n_participants, 0)
        return PersonDraws(nobody, nobody.sum(-1), log_likelihoods(model, batch, nobody)[0])
    with seeded(seed, batch.profile.device):
        found = [_adapted(model, guide, people, n_draws, rounds) for people in _people(batch)]
    eps, log_weight, log_evidence = zip(*found, strict=True)
    return PersonDraws(torch.cat(eps, dim=1), torch.cat(log_weight, dim=1), torch.cat(log_evidence))


def _people(batch: Batch) -> Iterator[Batch]:
    """The batch in blocks of people, problems encoded once for all."""
    for rows in torch.arange(batch.n_participants, device=batch.rows.device).split(_PEOPLE):
        yield batch.people(rows)


def _adapted(
    model: JointModel, guide: Any | None, batch: Batch, n_draws: int, rounds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draws, normalised log weights and log evidence of some people."""
    prior = model.eps_dist(batch)
    sources = [prior]
    if guide is not None and hasattr(guide, "eps_dist"):
        sources.append(guide.eps_dist(batch))
    size = torch.Size([n_draws // (len(sources) + rounds)])
    eps = torch.cat([source.sample(size) for source in sources])
    likelihood = log_likelihoods(model, batch, eps)
    possible = (likelihood + prior.log_prob(eps)).isfinite().any(0)
    likelihood = torch.where(possible, likelihood, 0.0)
    while True:
        mixture = torch.logsumexp(torch.stack([source.log_prob(eps) for source in sources]), dim=0)
        log_weight = prior.log_prob(eps) + likelihood - mixture + math.log(len(sources))
        total = torch.logsumexp(log_weight, dim=0)
        # Not `log_weight - total`: where both are large, what is left in single precision does not sum to one.
        log_weight = log_weight.log_softmax(0)
        if not rounds:
            return eps, log_weight, torch.where(possible, total - math.log(len(eps)), -torch.inf)
        mean, covariance = _moments(eps, log_weight)
        # Relative where variances are vast, lest single precision round it away.
        least = _LEAST * covariance.diagonal(dim1=1, dim2=2).amax(1).clamp(min=1.0)[:, None, None]
        wider = _WIDER * covariance + least * torch.eye(model.n_eps, dtype=eps.dtype, device=eps.device)
        sources.append(MultivariateNormal(mean, covariance_matrix=wider, validate_args=False))
        fresh = sources[-1].sample(size)
        eps = torch.cat([eps, fresh])
        likelihood = torch.cat([likelihood, torch.where(possible, log_likelihoods(model, batch, fresh), 0.0)])
        rounds -= 1


def _moments(eps: Tensor, log_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means and covariances of every person's draws."""
    weight = log_weight.exp()[..., None]
    mean = (weight * eps).sum(0)
    centred = eps - mean
    return mean, torch.einsum("sni,snj->nij", weight * centred, centred)


@torch.no_grad()
def log_scores(model: JointModel, batch: Batch, draws: PersonDraws) -> tuple[Tensor, Tensor]:
    """Log predictive probability of further answers.

    Parameters
    ----------
    model
        As in `condition`.
    batch
        The same people in the same order, with answers that were not conditioned on.
    draws
        Their posteriors.

    Returns
    -------
    joint, single
        Of each person's answers together, shape `(n_participants,)`, and of every answer, `(n_answers,)`; nats.
    """
    batch = batch.answered()
    x, joint, single = model.met(batch), [], []
    for eps, log_weight in blocks(batch.n_answers, draws.eps, draws.log_weight):
        log_prob = answers_given(model, batch, x, eps).log_prob(batch.given)
        joint.append(torch.logsumexp(log_weight + by_person(log_prob, batch), dim=0))
        single.append(torch.logsumexp(log_weight[:, batch.participant] + log_prob, dim=0))
    return torch.logsumexp(torch.stack(joint), dim=0), torch.logsumexp(torch.stack(single), dim=0)


@torch.no_grad()
def transforms(model: JointModel, batch: Batch, draws: PersonDraws, *, seed: int = 0) -> Tensor:
    """Randomised PIT of further answers (see `pit`), parameters as in `log_scores`, shape `(n_answers,)`."""
    batch = batch.answered()
    with seeded(seed, batch.profile.device):
        v = torch.rand_like(batch.given, dtype=batch.profile.dtype)
    x, total = model.met(batch), torch.zeros_like(v)
    for eps, log_weight in blocks(batch.n_answers, draws.eps, draws.log_weight):
        u = transform(answers_given(model, batch, x, eps), batch.given, v)
        total = total + (log_weight[:, batch.participant].exp() * u).sum(0)
    return total.clamp(0, 1)


@torch.no_grad()
def answers_of_all(
    model: JointModel, x: ProblemView, profile: Tensor, eps: Tensor, reference: Tensor | None = None
) -> Iterator[TorchDistribution]:
    """Distributions of people's answers to problems, delta integrated out, block of people by block.

    Parameters
    ----------
    model
        As in `condition`.
    x
        Problems, one row each.
    profile, eps
        People, shapes `(n_participants, n_profile)` and `(n_draws, n_participants, n_eps)`.
    reference
        As in `decisions`.

    Yields
    ------
    TorchDistribution
        Batch shape `(n_draws, n_block, n_problems)`.
    """
    size = max(1, _CELLS // (len(eps) * len(x.table) * model.blender.n_belief))
    crossed = x.crossed()
    for rows in torch.arange(len(profile), device=profile.device).split(size):
        view = crossed if reference is None else replace(crossed, reference=reference[rows])
        z = model.participants(profile[rows], eps[:, rows]).crossed()
        # One draw of a belief without a closed form: the draws of eps average over it as well.
        with belief_draws(model, 1):
            yield model.answer_dist(model.belief_dist(view, z), view, z)
