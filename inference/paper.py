"""The `paper` objective, Eq. 4, on `JointModel.story`.

L   = L_1 + lambda L_2
L_1 = (1/N) sum_i (1/T_i) sum_t phi_it { KL( E_Omega[q(delta_it | Omega)] || Normal(0, I) )
                                         - E_delta[ log p(x_t | delta_it, v_i) ] }
L_2 = (1/N) sum_i (1/T_i) sum_t phi_it l(y_hat_it, y_it),     y_hat_it = (1/J) sum_j E[F(y_ref_t + delta_it^(j))]

l is the squared error of numeric answers. Of labels the paper prints the 0-1 loss, which has no gradient and, minimised
as printed, rewards disagreement; here it is -log (1/J) sum_j F(y_it | delta^(j)). The KL is in closed form for a normal
belief, sampled for a semi-implicit one, of which q_K gives an upper bound. A persistent eps, which the paper does not
have, adds KL(q(eps_i | y_i, v_i) || Normal(0, I)) / T_i.

When it is wrong: squared error cares for the mean alone, so that the belief's variance is left to the prior and the
decision noise to its starting value; the prior and lambda are in the unit of the response and do not follow its scale.
Use `predictive` where the distribution of the answers matters.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Distribution

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel
from .divergence import divergence
from .sites import check_sites
from .story_guide import StoryGuide


class PaperObjective:
    """Eq. 4 as a differentiable loss.

    Parameters
    ----------
    model, guide
        `JointModel` and a guide of its `story`.
    decision_weight
        lambda.
    n_draws
        J.
    """

    def __init__(self, model: JointModel, guide: StoryGuide, decision_weight: float = 1.0, n_draws: int = 10) -> None:
        if not decision_weight >= 0:
            raise ModelError(f"decision_weight={decision_weight}: give lambda >= 0.")
        if n_draws < 1:
            raise ModelError(f"n_draws={n_draws}: give at least one draw of the belief.")
        self.model, self.guide = model, guide
        self.decision_weight, self.n_draws = decision_weight, n_draws
        self._checked = False

    def loss(self, batch: Batch, beta: float = 1.0) -> Tensor:
        """L of a minibatch, the KL of eps weighted by `beta`, shape `()`."""
        batch = replace(batch, met=self.model.met(batch))
        told = poutine.trace(self.guide.forward).get_trace(batch)
        story = poutine.trace(poutine.replay(self.model.story, trace=told)).get_trace(batch)
        if not self._checked:
            check_sites(story, told)
            self._checked = True
        count = torch.bincount(batch.participant, minlength=batch.n_participants).clamp(min=1)
        person = 1.0 / (count * batch.n_participants)
        answer = person[batch.participant]
        delta = told.nodes["delta"]
        loss = (answer * divergence(delta["fn"], story.nodes["delta"]["fn"], delta["value"])).sum()
        if "x" in story:
            described = story.nodes["x"]
            loss = loss - (answer * described["fn"].log_prob(described["value"])).sum()
        if "eps" in told:
            eps = told.nodes["eps"]
            kl = divergence(eps["fn"], story.nodes["eps"]["fn"], eps["value"])
            loss = loss + beta * (person * kl).sum()
        return loss + self.decision_weight * (answer * self.decision_loss(batch, delta["fn"], told)).sum()

    def decision_loss(self, batch: Batch, belief: Distribution, told: poutine.Trace) -> Tensor:
        """l(y_hat, y) of every answer, shape `(n_answers,)`."""
        model = self.model
        x = model.met(batch)
        eps = told.nodes["eps"]["value"] if "eps" in told else None
        z = model.participants(batch.profile, eps).at(batch.participant)
        decisions = model.response_dist(belief.rsample(torch.Size([self.n_draws])), x, z)
        if model.blender.n_belief > 1:
            return math.log(self.n_draws) - torch.logsumexp(decisions.log_prob(batch.given), dim=0)
        expected = model.blender.expected(decisions).mean(0)
        return (expected - model.blender.values(batch.given)).square()
