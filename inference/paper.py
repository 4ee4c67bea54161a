"""The `paper` objective, Eq. 4, on `JointModel.story`.

L   = L_1 + lambda L_2
L_1 = (1/N) sum_i (1/T_i) sum_t phi_it { KL( E_Omega[q(delta_it | Omega)] || Normal(0, I) )
                                         - E_delta[ log p(x_t | delta_it, v_i) ] }
L_2 = (1/N) sum_i (1/T_i) sum_t phi_it l(y_hat_it, y_it),     y_hat_it = (1/J) sum_j E[F(y_ref_t + delta_it^(j))]

l is the squared error of numeric answers. Of labels and ballots the paper prints the 0-1 loss, which has no gradient
and, minimised as printed, rewards disagreement; here it is -log (1/J) sum_j F(y_it | delta^(j)). The KL is in closed
form for a normal belief, sampled for a semi-implicit one, of which q_K gives an upper bound. A persistent eps, which
the paper does not have, adds KL(q(eps_i | y_i, v_i) || Normal(0, I)) / T_i, a learned participation -log p(phi_it),
averaged alike. Survey weights w_i of mean 1 make each mean over people (1/N) sum_i w_i.

When it is wrong: squared error cares for the mean alone, so that the belief's variance is left to the prior and the
decision noise to its starting value; the prior and lambda are in the unit of the response and do not follow its scale.
Use `predictive` where the distribution of the answers matters.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias, get_args

import torch
from pyro.poutine import Trace
from torch import Tensor

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel
from .divergence import divergence
from .elbo import CrowdELBO, told_by

DecisionLoss: TypeAlias = Literal["auto", "squared", "log"]


class PaperELBO(CrowdELBO):
    """L of a batch: a mean over people of means over their answers, not a sum.

    Parameters
    ----------
    decision_weight
        lambda.
    n_draws
        J.
    decision_loss
        l: `squared` error, `log` for -log (1/J) sum_j F, or `auto`, the former for numbers and the latter elsewhere.
    beta, num_particles, vectorize_particles
        As in `CrowdELBO`.

    Raises
    ------
    ModelError
        When `decision_weight` is negative, `n_draws` below 1, or `decision_loss` unknown.
    """

    def __init__(
        self,
        decision_weight: float = 1.0,
        n_draws: int = 10,
        decision_loss: DecisionLoss = "auto",
        beta: float = 1.0,
        num_particles: int = 1,
        vectorize_particles: bool = False,
    ) -> None:
        super().__init__(beta, num_particles, vectorize_particles)
        if not decision_weight >= 0:
            raise ModelError(f"decision_weight={decision_weight}: give lambda >= 0.")
        if n_draws < 1:
            raise ModelError(f"n_draws={n_draws}: give at least one draw of the belief.")
        if decision_loss not in get_args(DecisionLoss):
            raise ModelError(f"decision_loss={decision_loss!r}: give 'auto', 'squared' or 'log'.")
        self.decision_weight, self.n_draws, self.decision_loss = decision_weight, n_draws, decision_loss

    def differentiable_loss(self, model: JointModel, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """L of a batch, shape `()`."""
        loss: Any = 0.0
        for story, told in self._get_traces(model.story, told_by(guide), args, kwargs):
            loss = loss + self._loss(model, args[0], story, told) / self.num_particles
        return loss

    def _loss(self, model: JointModel, batch: Batch, story: Trace, told: Trace) -> Tensor:
        """L of one pair of traces, vectorised particles summed."""
        heard = torch.ones_like(batch.participant) if batch.took_part is None else batch.took_part.long()
        count = torch.zeros_like(batch.rows).index_add(0, batch.participant, heard).clamp(min=1)
        person = 1.0 / (count * batch.n_participants)
        if batch.survey_weight is not None:
            person = person * batch.survey_weight
        answer = person[batch.participant] * heard
        delta = told.nodes["delta"]
        loss = (answer * divergence(delta["fn"], story.nodes["delta"]["fn"], delta["value"])).sum()
        if "x" in story:
            described = story.nodes["x"]
            loss = loss - (answer * described["fn"].log_prob(described["value"])).sum()
        if "eps" in told:
            eps = told.nodes["eps"]
            loss = loss + self.beta * (person * divergence(eps["fn"], story.nodes["eps"]["fn"], eps["value"])).sum()
        if "phi" in story:
            phi = story.nodes["phi"]
            met = torch.bincount(batch.participant, minlength=batch.n_participants) * batch.n_participants
            term = phi["fn"].log_prob(phi["value"]) / met[batch.participant]
            weight = batch.survey_weight
            loss = loss - (term if weight is None else term * weight[batch.participant]).sum()
        return loss + self.decision_weight * (answer * self._decision_loss(model, batch, told)).sum()

    def _decision_loss(self, model: JointModel, batch: Batch, told: Trace) -> Tensor:
        """l(y_hat, y) of every answer, shape `(..., n_answers)`."""
        numeric = model.blender.n_belief == 1
        if self.decision_loss == "squared" and not numeric:
            raise ModelError(
                f"decision_loss='squared' does not fit {type(model.blender.scale).__name__} answers, which are no "
                "numbers; give 'log' or 'auto'."
            )
        x = model.met(batch)
        eps = told.nodes["eps"]["value"] if "eps" in told else None
        z = model.participants(batch.profile, eps).at(batch.participant)
        beliefs = told.nodes["delta"]["fn"].rsample(torch.Size([self.n_draws]))
        decisions = model.response_dist(beliefs, x, z)
        if self.decision_loss == "log" or not numeric:
            return math.log(self.n_draws) - torch.logsumexp(decisions.log_prob(batch.given), dim=0)
        expected = model.blender.expected(decisions).mean(0)
        return (expected - model.blender.values(batch.given)).square()
