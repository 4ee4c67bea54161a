"""Held-out log scores, with eps always drawn from the prior.

joint   (1/A) sum_i log mean_s prod_t F(y_it | eps_i^(s), v_i)       S shared draws of eps
single  (1/A) sum_it log mean_s F(y_it | eps^(s), v_i)

in nats per answer, A the number of answers. With survey weights, sum_i w_i over sum_i w_i A_i: the score of the
population that they stand for. The joint score sees that a person's answers hang together; the single
score cannot. Neither ever sees q(eps_i | y_i): a score whose eps was inferred from the answers it scores is a leak.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from scipy.special import ndtri
from scipy.stats import qmc
from torch import Tensor

from ..models.batch import Batch
from ..models.joint import JointModel
from .program import run_score, tells_the_story


class LogScore(NamedTuple):
    """Nats per answer: the higher, the better."""

    joint: float
    single: float


def normal_draws(n_draws: int, n_eps: int, seed: int) -> Tensor:
    """Scrambled Sobol draws from Normal(0, I), shape `(n_draws, n_eps)`; `n_draws` is best a power of two."""
    if not n_eps:
        return torch.zeros(n_draws, 0)
    uniform = qmc.Sobol(n_eps, rng=seed).random(n_draws)
    return torch.as_tensor(ndtri(uniform.clip(1e-9, 1 - 1e-9)), dtype=torch.get_default_dtype())


@torch.no_grad()
def log_score(model: JointModel, batch: Batch, n_draws: int = 128, seed: int = 0) -> LogScore:
    """Joint and single log score of a batch's answers given its profiles.

    Parameters
    ----------
    model
        A fitted model; one that overrides `crowd` is scored by running it (see `program`).
    batch
        Held-out answers.
    n_draws
        Draws of eps from the prior, at least 64 to be reported.
    seed
        Of the Sobol scrambling.

    Returns
    -------
    LogScore
        Nats an answer; larger is better.

    References
    ----------
    I. J. Good (1952), Rational decisions, Journal of the Royal Statistical Society B 14.
    """
    batch = batch.answered()
    n: Any = max(batch.n_given, 1)
    answered = torch.zeros(batch.n_participants, dtype=torch.bool, device=batch.rows.device)
    answered[batch.participant] = True
    weight = None if batch.survey_weight is None else batch.survey_weight[batch.participant]
    if weight is not None:
        n = weight.sum()
    if not tells_the_story(model):
        joint, single = run_score(model, batch, n_draws)
        joint, single = _weighed(joint, batch.survey_weight), _weighed(single, weight)
        return LogScore(float(joint[answered].sum() / n), float(single.sum() / n))
    n_draws = n_draws if model.n_eps else 1
    draws = normal_draws(n_draws, model.n_eps, seed).to(batch.profile)
    x = model.met(batch)
    joint = batch.profile.new_zeros(n_draws, batch.n_participants)
    single = batch.profile.new_full((batch.n_answers,), -math.inf)
    for s, eps in enumerate(draws):
        people = model.participants(batch.profile, eps.expand(batch.n_participants, -1))
        z = people.at(batch.participant)
        log_prob = model.answer_dist(model.belief_dist(x, z), x, z).log_prob(batch.response)
        joint[s].index_add_(0, batch.participant, log_prob)
        single = torch.logaddexp(single, log_prob)
    person = _weighed(torch.logsumexp(joint, dim=0) - math.log(n_draws), batch.survey_weight)[answered]
    return LogScore(float(person.sum() / n), float(_weighed(single, weight).sum() / n) - math.log(n_draws))


def _weighed(score: Tensor, weight: Tensor | None) -> Tensor:
    # Not 0 times minus infinity: whoever does not count may have said the impossible.
    return score if weight is None else torch.where(weight > 0, score * weight, 0.0)
