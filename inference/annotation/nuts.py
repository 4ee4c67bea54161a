"""The No-U-Turn sampler on the Pyro program of a model of annotation, the truth enumerated: for small tables.

theta_s | labels ~ p(theta) prod_i sum_k p(labels of i, z_i = k | theta)             (Hoffman and Gelman 2014)
P(z_i = k | labels) = mean over s of p(z_i = k | labels, theta_s)
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import MCMC, NUTS
from pyro.infer.autoguide import init_to_value

from ...models.annotation.base import AnnotationModel
from ...models.annotation.labels import Labels
from ...models.errors import ModelError
from ..runtime import seeded
from ..seeds import checked_seed
from .point import point_estimate
from .posterior import AnnotationFit, averaged
from .unconstrained import Unconstrained

logger = logging.getLogger(__name__)


def sample_annotation(
    model: AnnotationModel,
    labels: Labels,
    *,
    num_samples: int = 500,
    warmup_steps: int = 300,
    num_chains: int = 2,
    seed: int = 0,
    **options: Any,
) -> AnnotationFit:
    """Draw the parameters, and average the truth over the draws.

    Chains start at the point estimate, which started at the majority vote: of modes that differ by a permutation of
    classes they see the one in which workers are right, unless the labels are too few to keep modes apart.

    Parameters
    ----------
    model
        Any.
    labels
        The table; a draw costs some ten to a hundred passes over it.
    num_samples, warmup_steps, num_chains
        As in Pyro's `MCMC`; chains run in turn.
    seed
        Of all of it; the caller's random state is left alone.
    options
        Of Pyro's `NUTS`, such as `full_mass` or `target_accept_prob`.

    Returns
    -------
    AnnotationFit
        With `draws` of the parameters by site, `(num_chains, num_samples, ...)`.

    Raises
    ------
    ModelError
        When there are fewer than four draws, or no chain.
    """
    if num_samples < 4 or num_chains < 1:
        raise ModelError(f"num_samples={num_samples}, num_chains={num_chains}: give at least 4 draws of one chain.")
    inside = Unconstrained.of(model, labels).inside(point_estimate(model, labels).params)
    start = init_to_value(values=inside)
    chains, n_divergent = [], 0
    for child in np.random.SeedSequence(checked_seed(seed)).generate_state(num_chains):
        # The point estimate has had its shapes and supports checked; checks would take half of the time.
        with seeded(int(child)), pyro.validation_enabled(False):
            kernel = NUTS(model, init_strategy=start, max_plate_nesting=1, **options)
            sampler = MCMC(kernel, num_samples, warmup_steps, disable_progbar=True)
            sampler.run(labels)
            chains.append(sampler.get_samples())
            n_divergent += sum(len(each) for each in sampler.diagnostics()["divergences"].values())
    if n_divergent:
        logger.warning("NUTS: %d of %d transitions diverged", n_divergent, num_chains * num_samples)
    draws = {name: torch.stack([chain[name] for chain in chains]) for name in chains[0]}
    truth, density = averaged(model, labels, draws)
    params = {name: value.mean((0, 1)) for name, value in draws.items()}
    return AnnotationFit(truth, params, density, num_chains * num_samples, True, draws, n_divergent)
