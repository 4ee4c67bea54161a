"""Probability integral transforms: whether predictions of single answers are right all along their distribution.

u_it = P(Y < y_it | D) + V_it P(Y = y_it | D),    V_it ~ Uniform(0, 1)

is uniform if the prediction given D is right (Dawid 1984; randomised for discrete answers: Smith 1985, Czado, Gneiting
and Held 2009). D holds the profile and, of the same person's answers,

none      the person was never met: leave-one-participant-out
others    all but y_it: leave-one-answer-out, (1/S) sum_s over eps_s ~ p(eps | y_i) weighted by 1 / p(y_it | eps_s)
earlier   those before y_it: then, and only then, a person's u are independent under the model (Rosenblatt 1952)

eps_i is the only latent, so nothing but it is ever left out: the parameters stay those of the fit, and u of the people
that it was fitted to are a little too uniform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.special import ndtr

from ..models.batch import Batch
from ..models.censored_normal import CensoredNormal
from ..models.draw_mixture import DrawMixture
from ..models.errors import DataError, ModelError
from ..models.joint import JointModel
from .importance import answers_given, blocks, by_person, proposals
from .program import tells_the_story
from .runtime import seeded
from .uniformity import uniform_p_value

FloatArray = npt.NDArray[np.float64]
Given: TypeAlias = Literal["none", "others", "earlier"]


@dataclass(frozen=True)
class Transforms:
    """Randomised PIT of every answer.

    Attributes
    ----------
    u
        Shape `(n_answers,)`, in the batch's order.
    ess
        Effective number of draws behind each, shape `(n_answers,)`; distrust those below some 50. Infinite where people
        have no noise to draw.
    given
        What of the same person's answers each prediction knew.
    """

    u: FloatArray
    ess: FloatArray
    given: Given

    def counts(self, n_bins: int = 20) -> npt.NDArray[np.int64]:
        """Transforms in each of `n_bins` equal bins, shape `(n_bins,)`."""
        return np.bincount((self.u * n_bins).astype(np.int64).clip(0, n_bins - 1), minlength=n_bins)

    def p_value(self, method: str = "ecdf", n_bins: int = 20) -> float:
        """P-value of uniformity (see `uniform_p_value`), which has its error rate for `given='earlier'` alone.

        Under `none` a person's transforms hang together, and under `others` they repel a little; the figure is then a
        distance and no test.

        Raises
        ------
        DataError
            When there are fewer than two bins, or the method is unknown.
        """
        return uniform_p_value(self.counts(n_bins), method)


@torch.no_grad()
def loo_pit(
    model: JointModel,
    batch: Batch,
    guide: Any | None = None,
    *,
    given: Given = "others",
    n_draws: int = 1024,
    seed: int = 0,
) -> Transforms:
    """Randomised PIT of a batch's answers.

    Parameters
    ----------
    model
        A fitted model in evaluation mode.
    batch
        People and their answers; `earlier` is by the batch's order.
    guide
        Proposes eps beside the prior: needed where people gave many answers.
    given
        What of the same person's answers a prediction knows: `others`, `earlier` or `none`.
    n_draws
        Draws of eps a person, even.
    seed
        Of the draws and of V.

    Returns
    -------
    Transforms
        One an answer, in the batch's order; uniform on [0, 1] where predictions are right.

    Raises
    ------
    DataError
        For an unknown `given`, or answers that are ballots and have no order.
    ModelError
        For a model that tells another story than `JointModel.crowd`.
    """
    if not tells_the_story(model):
        raise ModelError(
            f"model: {type(model).__name__} has a program of its own, whose latents are not eps alone; compare "
            "statistics of crowds instead (`bayesian_p_value`)."
        )
    if batch.given.ndim > 1:
        raise DataError("batch: answers are ballots, which have no order and so no transform; compare statistics.")
    if given not in ("none", "others", "earlier"):
        raise DataError(f"given={given!r}: give 'others', 'earlier' or 'none'.")
    batch = batch.answered()
    if not model.n_eps:
        guide, n_draws = None, 2
    with seeded(seed, batch.profile.device):
        v = torch.rand_like(batch.given, dtype=batch.profile.dtype)
        eps, log_prior_weight = proposals(model, guide, batch, n_draws)
        x = model.met(batch)
        # Log sums of w, of w^2, and of w times u given eps, block by block of the draws.
        start = batch.profile.new_full((1, batch.n_answers), -torch.inf)
        total, squares, below = start, start, start
        for draws, log_weight in blocks(batch.n_answers, eps, log_prior_weight):
            answer = answers_given(model, batch, x, draws)
            log_w = log_weight[:, batch.participant] + _known(answer.log_prob(batch.given), batch, given)
            total = torch.cat([total, log_w]).logsumexp(0, keepdim=True)
            squares = torch.cat([squares, 2 * log_w]).logsumexp(0, keepdim=True)
            log_u = transform(answer, batch.given, v).log()
            below = torch.cat([below, log_w + log_u]).logsumexp(0, keepdim=True)
        u, ess = (below - total)[0].exp().clamp(0, 1), (2 * total - squares)[0].exp()
    if not model.n_eps:
        ess = torch.full_like(ess, torch.inf)
    return Transforms(u.double().cpu().numpy(), ess.double().cpu().numpy(), given)


def _known(log_prob: Tensor, batch: Batch, given: Given) -> Tensor:
    """Log likelihood of the answers that the prediction of each answer knows, shape `(n_draws, n_answers)`."""
    if given == "none":
        return torch.zeros_like(log_prob)
    if given == "others":
        return by_person(log_prob, batch)[:, batch.participant] - log_prob
    order = torch.argsort(batch.participant, stable=True)
    before = log_prob[:, order].cumsum(1) - log_prob[:, order]
    first = torch.searchsorted(batch.participant[order], torch.arange(batch.n_participants, device=order.device))
    # People without an answer point at somebody else's first, or past the end, and are never asked for.
    opening = before[:, first.clamp(max=max(len(order) - 1, 0))]
    return (before - opening[:, batch.participant[order]])[:, torch.argsort(order)]


def transform(answer: TorchDistribution, response: Tensor, v: Tensor) -> Tensor:
    """P(Y < y) + V P(Y = y), with the labels' order on a categorical scale."""
    if isinstance(answer, DrawMixture):
        return transform(answer.components, response.expand(answer.components.batch_shape), v).mean(0)
    if isinstance(answer, CensoredNormal):
        cumulative = ndtr((response - answer.loc) / answer.scale)
        # The mass beyond either bound lies at it.
        at_low = torch.where(response <= answer.low, v * cumulative, cumulative)
        return torch.where(response >= answer.high, cumulative + v * (1 - cumulative), at_low)
    if not hasattr(answer, "probs"):
        return answer.cdf(response)
    code = response.long().expand(answer.batch_shape)[..., None]
    upto, equal = answer.probs.cumsum(-1).gather(-1, code)[..., 0], answer.probs.gather(-1, code)[..., 0]
    return (upto - (1 - v) * equal).clamp(min=0)
