"""The `predictive` objective: a bound on the joint log score of each person's answers.

sum_i  E_{q(eps_i | y_i, v_i)} [ sum_t phi_it log E_{delta ~ belief} F(y_it | y_ref_t + delta, sigma^2) ]
       - beta KL(q(eps_i | y_i, v_i) || Normal(0, I))

A proper score, so the fidelity of the distribution is what is trained; the inner expectation is in closed form where
F and delta are normal or cut normal, log-mean-exp over draws elsewhere (then a bound of the bound). It is wrong
where participation depends on the answer itself (not missing at random), and for beta below 1 it is no bound: that is
for the warm-up, during which eps would otherwise never come into use.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from ..models.batch import Batch
from ..models.joint import JointModel
from .divergence import divergence
from .guide import ParticipantGuide
from .sites import check_sites


class PredictiveObjective:
    """Negative bound, in nats per answer, as a differentiable loss.

    One trace of the guide, one of the model replayed against it: a latent site costs its KL (`divergence`), any other
    site gives its log density. `TraceMeanField_ELBO` agrees to rounding at beta = 1; it scores the latents as well and
    checks every site for NaN, which costs a seventh of a step.

    Parameters
    ----------
    model, guide
        `JointModel` and its guide.
    """

    def __init__(self, model: JointModel, guide: ParticipantGuide) -> None:
        self.model, self.guide = model, guide
        self._checked = False

    def loss(self, batch: Batch, beta: float = 1.0) -> Tensor:
        """Loss of a minibatch with the KL weighted by `beta`, shape `()`."""
        batch = replace(batch, met=self.model.met(batch))
        # Not through __call__, which would make a site of every parameter; only Pyro's own optimisers need that.
        told = poutine.trace(self.guide.forward).get_trace(batch, integrate=True)
        story = poutine.trace(poutine.replay(self.model.crowd, trace=told)).get_trace(batch, integrate=True)
        if not self._checked:
            check_sites(story, told)
            self._checked = True
        terms = []
        for name, site in story.nodes.items():
            if site["type"] != "sample" or site_is_subsample(site):
                continue
            if name in told:
                term = -beta * divergence(told.nodes[name]["fn"], site["fn"], site["value"])
            else:
                term = site["fn"].log_prob(site["value"])
            terms.append(scale_and_mask(term, mask=site["mask"]).sum() * site["scale"])
        return -torch.stack(terms).sum() / (batch.weight * max(batch.n_answers, 1))
