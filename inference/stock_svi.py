"""Pyro's own variational inference on the same program, with one of its AutoGuides.

min over q   KL(q(eps, theta) || p(eps, theta | y)),    q normal in all sites at once by default

Where `ParticipantGuide` is fitted beside point estimates of the parameters, this gives parameters a posterior too, at
a cost that rises with the square of their and people's number. It is a check on other inference, for small crowds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pyro
import torch
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoMultivariateNormal, init_to_median

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel
from .lifted import Chosen
from .nuts import lifted
from .posterior import Posterior
from .runtime import seeded


def approximate_posterior(
    model: JointModel,
    batch: Batch,
    parameters: Chosen = (),
    *,
    autoguide: Callable[..., AutoGuide] = AutoMultivariateNormal,
    num_steps: int = 2000,
    lr: float = 0.02,
    num_particles: int = 1,
    num_samples: int = 1000,
    seed: int = 0,
    integrate: bool = True,
) -> Posterior:
    """Fit an AutoGuide to `eps` and the random parameters, and draw from it.

    Parameters
    ----------
    model, batch, parameters, integrate
        As in `sample_posterior`.
    autoguide
        A class of `pyro.infer.autoguide`.
    num_steps, lr, num_particles
        Steps of Adam, whose rate falls to 0 as a half cosine, and draws in each.
    num_samples
        Independent draws from the fitted guide.
    seed
        Of all of it; the caller's random state is left alone.

    Returns
    -------
    Posterior
        One chain, with the `loss` of every step in nats.

    Raises
    ------
    ModelError
        As in `sample_posterior`, and when the loss is not finite.

    References
    ----------
    A. Kucukelbir, D. Tran, R. Ranganath, A. Gelman, D. M. Blei (2017), Automatic differentiation variational inference,
    JMLR 18.
    """
    program = lifted(model, batch, parameters, integrate)
    with seeded(seed, batch.profile.device):
        guide = autoguide(program, init_loc_fn=init_to_median)
        elbo = Trace_ELBO(num_particles=num_particles, max_plate_nesting=1)
        guide(batch, integrate)  # an AutoGuide has parameters after its first call
        optimizer = torch.optim.Adam(guide.parameters(), lr=lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
        losses = []
        for step in range(num_steps):
            optimizer.zero_grad()
            # Pyro checks shapes and supports at the first step, as in `fit`.
            with pyro.validation_enabled(step == 0):
                loss = elbo.differentiable_loss(program, guide, batch, integrate)
            if not math.isfinite(loss.item()):
                raise ModelError(f"step {step}: the loss is {loss.item()}; lower lr={lr:g}.")
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        with torch.no_grad():
            sites = [guide(batch, integrate) for _ in range(num_samples)]
    draws = {name: np.stack([site[name].cpu().numpy() for site in sites])[None] for name in sites[0]}
    return Posterior(draws, loss=tuple(losses))
