"""What the objectives share: one trace of the guide, one of the model replayed against it, and terms site by site.

loss = - sum over sites of   log p(value)                  for what was observed
                             - beta KL(q || p)             for what the guide drew (`divergence`)

Survey weights multiply what is a person's (`weighing`).

At beta = 1 it equals Pyro's `TraceMeanField_ELBO` to rounding, which scores the latents as well and checks every site
for NaN: a seventh of a step. Objectives take a model that has the programs as methods, and choose theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO
from pyro.poutine import Trace
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from ..models.errors import ModelError
from .divergence import divergence
from .sites import check_sites
from .weighing import weighed


class CrowdELBO(ELBO):
    """Base of the objectives: an ELBO whose KL can be warmed up.

    Parameters
    ----------
    beta
        Weight of the KL of the participants' noise; below 1 the loss is no bound. Set it between steps to warm up.
    num_particles, vectorize_particles
        As in Pyro: draws of the guide that a loss is averaged over, at once or in turn.

    Raises
    ------
    ModelError
        When `beta` is negative, or `num_particles` below 1.
    """

    def __init__(self, beta: float = 1.0, num_particles: int = 1, vectorize_particles: bool = False) -> None:
        if not beta >= 0:
            raise ModelError(f"beta={beta}: give a weight of the KL of at least 0.")
        if num_particles < 1:
            raise ModelError(f"num_particles={num_particles}: give at least 1.")
        super().__init__(num_particles, max_plate_nesting=1, vectorize_particles=vectorize_particles)
        self.beta = beta
        self._checked = False

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The loss as a differentiable number, shape `()`."""
        raise NotImplementedError

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """The loss."""
        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs).item()

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """The loss, its gradients added to those of the parameters."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        loss.backward()
        return loss.item()

    def _get_trace(
        self, model: Callable[..., Any], guide: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[Trace, Trace]:
        with weighed(args[0] if args else None):
            told = poutine.trace(guide).get_trace(*args, **kwargs)
            story = poutine.trace(poutine.replay(model, trace=told)).get_trace(*args, **kwargs)
        if not self._checked:
            check_sites(story, told)
            self._checked = True
        return story, told

    def terms(self, story: Trace, told: Trace) -> Tensor:
        """Sum of all sites' terms, scaled and masked, shape `()`; vectorised particles are summed as well."""
        terms = []
        for name, site in story.nodes.items():
            if site["type"] != "sample" or site_is_subsample(site):
                continue
            if name in told:
                term = -self.beta * divergence(told.nodes[name]["fn"], site["fn"], site["value"])
            else:
                term = site["fn"].log_prob(site["value"])
            term, scale = scale_and_mask(term, mask=site["mask"]), site["scale"]
            terms.append((term * scale).sum() if isinstance(scale, Tensor) else term.sum() * scale)
        return torch.stack(terms).sum()


def told_by(guide: Any) -> Callable[..., Any]:
    """What runs the guide.

    Not `__call__` of a module, which would make a site of every parameter; only Pyro's own optimisers need those.
    """
    return getattr(guide, "forward", guide)
