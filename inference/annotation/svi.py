"""Variational inference on the Pyro program of a model of annotation, the truth enumerated.

max over q   E_q [log p(theta) + sum_i log sum_k p(labels of i, z_i = k | theta) - log q(theta)]       (TraceEnum_ELBO)
P(z_i = k | labels) ~ mean over draws of q of p(z_i = k | labels, theta)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pyro
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO
from pyro.infer.autoguide import AutoGuide, AutoNormal, init_to_value

from ...models.annotation.base import AnnotationModel
from ...models.annotation.labels import Labels
from ...models.errors import ModelError
from ..descent import descend
from ..runtime import seeded
from .point import point_estimate
from .posterior import AnnotationFit, averaged
from .unconstrained import Unconstrained


def fit_svi(
    model: AnnotationModel,
    labels: Labels,
    *,
    autoguide: Callable[..., AutoGuide] = AutoNormal,
    num_steps: int = 1000,
    lr: float = 0.03,
    num_particles: int = 4,
    num_samples: int = 500,
    seed: int = 0,
) -> AnnotationFit:
    """Fit a guide to the parameters, draw from it, and average the truth over the draws.

    The guide starts at the point estimate, which started at the majority vote, and stays in that mode. `AutoNormal`
    knows no correlation of parameters and is too narrow where workers are few; `AutoMultivariateNormal` is for up to
    some hundred of them.

    Parameters
    ----------
    model
        Any.
    labels
        The table; a step costs `num_particles` passes over it.
    autoguide
        A class of `pyro.infer.autoguide`.
    num_steps, lr, num_particles
        Steps of Adam, whose rate falls to 0 as a half cosine, and draws in each.
    num_samples
        Independent draws of the fitted guide.
    seed
        Of all of it; the caller's random state is left alone.

    Returns
    -------
    AnnotationFit
        `log_likelihood` holds the estimate of the bound at each step.

    Raises
    ------
    ModelError
        When a number of steps, draws or particles is too small, or `lr` is not positive.

    References
    ----------
    A. Kucukelbir, D. Tran, R. Ranganath, A. Gelman, D. M. Blei (2017), Automatic differentiation variational inference,
    JMLR 18.
    """
    if num_steps < 1 or num_samples < 2 or num_particles < 1:
        raise ModelError(
            f"num_steps={num_steps}, num_samples={num_samples}, num_particles={num_particles}: give at least 1, 2, 1."
        )
    if not 0 < lr < math.inf:
        raise ModelError(f"lr={lr!r}: give a positive number.")
    inside = Unconstrained.of(model, labels).inside(point_estimate(model, labels).params)
    start = init_to_value(values=inside)
    # The guide's parameters are its own: Pyro's global store would hand a second fit those of the first.
    with seeded(seed), pyro.settings.context(module_local_params=True):
        guide = autoguide(poutine.block(model, hide=["truth"]), init_loc_fn=start)
        guide(labels)  # an AutoGuide has parameters after its first call
        elbo = TraceEnum_ELBO(num_particles=num_particles, vectorize_particles=num_particles > 1, max_plate_nesting=1)
        losses = descend(elbo, model, guide, labels, num_steps=num_steps, lr=lr)
        with torch.no_grad():
            sites = [guide(labels) for _ in range(num_samples)]
    draws = {name: torch.stack([site[name] for site in sites])[None] for name in sites[0]}
    truth, _ = averaged(model, labels, draws)
    params = {name: value.mean((0, 1)) for name, value in draws.items()}
    return AnnotationFit(truth, params, tuple(-loss for loss in losses), num_steps, True, draws)
