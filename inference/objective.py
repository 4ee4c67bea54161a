"""The `predictive` objective: a bound on the joint log score of each person's answers.

sum_i  E_{q(eps_i | y_i, v_i)} [ sum_t phi_it log E_{delta ~ belief} F(y_it | y_ref_t + delta, sigma^2) ]
       - beta KL(q(eps_i | y_i, v_i) || Normal(0, I))

A proper score, so the fidelity of the distribution is what is trained; the inner expectation is in closed form where
F and delta are normal or cut normal, log-mean-exp over draws elsewhere (then a bound of the bound). It is wrong
where participation depends on the answer itself (not missing at random), and for beta below 1 it is no bound: that is
for the warm-up, during which eps would otherwise never come into use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro.infer import TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor

from ..models.batch import Batch
from ..models.joint import JointModel
from .guide import ParticipantGuide


class _ScaledSite(Messenger):
    """Multiply the scale of one sample site."""

    def __init__(self, site: str, factor: float) -> None:
        super().__init__()
        self.site, self.factor = site, factor

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == self.site:
            msg["scale"] = msg["scale"] * self.factor


class PredictiveObjective:
    """Negative bound, in nats per answer, as a differentiable loss.

    Parameters
    ----------
    model, guide
        `JointModel` and its guide.
    """

    def __init__(self, model: JointModel, guide: ParticipantGuide) -> None:
        self.model, self.guide = model, guide
        self.elbo = TraceMeanField_ELBO()

    def loss(self, batch: Batch, beta: float = 1.0) -> Tensor:
        """Loss of a minibatch with the KL weighted by `beta`, shape `()`."""
        scale = 1.0 / (batch.weight * max(batch.n_answers, 1))
        loss: Tensor = self.elbo.differentiable_loss(
            _weighted(self.model.crowd, beta), _weighted(self.guide, beta), batch, integrate=True
        )
        return loss * scale


def _weighted(program: Callable[..., Any], beta: float) -> Callable[..., Any]:
    """The program with the site `eps` scaled by beta."""
    return program if beta == 1.0 else _ScaledSite("eps", beta)(program)
