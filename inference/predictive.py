"""The `predictive` objective: a bound on the joint log score of each person's answers.

sum_i  E_{q(eps_i | y_i, v_i)} [ sum_t phi_it log E_{delta ~ belief} F(y_it | y_ref_t + delta, sigma^2) ]
       - beta KL(q(eps_i | y_i, v_i) || Normal(0, I))

A proper score, so the fidelity of the distribution is what is trained; the inner expectation is in closed form where
F and delta are normal or cut normal, log-mean-exp over draws elsewhere (then a bound of the bound). It is wrong
where participation depends on the answer itself (not missing at random), and for beta below 1 it is no bound: that is
for the warm-up, during which eps would otherwise never come into use.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from .elbo import CrowdELBO, told_by


class PredictiveELBO(CrowdELBO):
    """Negative bound of the whole population, as of Pyro's own ELBOs, on `crowd` with delta integrated out.

    Any model will do whose `crowd(batch, integrate=True)` draws `y` in the plate `answers`, with a guide of its latent
    sites.

    Examples
    --------
    ``SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), loss=PredictiveELBO()).step(batch)``
    """

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The loss of a batch, shape `()`, in nats."""
        crowd = partial(model.crowd, integrate=True)
        loss: Any = 0.0
        for story, told in self._get_traces(crowd, told_by(guide), args, kwargs):
            loss = loss - self.terms(story, told) / self.num_particles
        return loss
