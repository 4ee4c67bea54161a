"""Inference for multilevel regression: variational, which is fast, or NUTS, for small tables.

min over q   KL(q(theta) || p(theta | y)),    q = Normal(m, L L') of all that answers share  x  normals of what is many

Spreads, levels, problems and weights are strongly correlated given the answers - an intercept may move from one of them
to the other - and independent normals would make the intervals of cells too short; they are one multivariate normal up
to a few hundred dimensions. Effects of a level on one problem are many and hardly correlated.
"""

from __future__ import annotations

import pyro
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, Trace_ELBO
from pyro.infer.autoguide import AutoGuideList, AutoMultivariateNormal, AutoNormal, init_to_median

from ..models.mrp import MultilevelRegression, SurveyTable
from .descent import descend
from .posterior import Posterior
from .runtime import seeded

# Dimensions of a multivariate normal: beyond, its n^2 parameters cost more than all the rest of a step.
_MOST_CORRELATED = 300
_MANY = ("level_problem", "cut")


def vary(
    model: MultilevelRegression,
    table: SurveyTable,
    *,
    n_steps: int = 1000,
    lr: float = 0.03,
    n_samples: int = 500,
    seed: int = 0,
) -> Posterior:
    """Draws from a variational posterior.

    Parameters
    ----------
    model, table
        The program and the answers.
    n_steps, lr
        Steps of Adam, whose rate falls to 0 as a half cosine.
    n_samples
        Draws.
    seed
        Of all of it; the caller's random state is left alone.

    Returns
    -------
    Posterior
        One chain, with the loss of every step in nats.

    Raises
    ------
    ModelError
        When the loss is not finite.

    References
    ----------
    A. Kucukelbir, D. Tran, R. Ranganath, A. Gelman, D. M. Blei (2017), Automatic differentiation variational inference,
    JMLR 18.
    """
    with seeded(seed):
        guide = _guide(model, table)
        guide(table)  # an AutoGuide has parameters after its first call
        elbo = Trace_ELBO(max_plate_nesting=1)
        losses = descend(elbo, model, guide, table, num_steps=n_steps, lr=lr)
        with torch.no_grad(), pyro.validation_enabled(False):
            sites = [guide(table) for _ in range(n_samples)]
    draws = {name: torch.stack([site[name] for site in sites]).numpy()[None] for name in sites[0]}
    return Posterior(draws, loss=tuple(losses))


def _guide(model: MultilevelRegression, table: SurveyTable) -> AutoGuideList:
    """One normal of everything that is few, independent ones of the rest."""
    sizes = {name: prior.event_shape.numel() for name, prior in model.priors(table).items()}
    many = {name for name in _MANY if name in sizes}
    if sum(size for name, size in sizes.items() if name not in many) > _MOST_CORRELATED:
        many |= {name for name in ("level", "problem") if sizes.get(name, 0) > _MOST_CORRELATED / 3}
    guide = AutoGuideList(model)
    few = sorted(set(sizes) - many)
    guide.append(AutoMultivariateNormal(poutine.block(model, expose=few), init_loc_fn=init_to_median))
    if many:
        guide.append(AutoNormal(poutine.block(model, expose=sorted(many)), init_loc_fn=init_to_median))
    return guide


def walk(
    model: MultilevelRegression,
    table: SurveyTable,
    *,
    n_samples: int = 500,
    warmup_steps: int = 300,
    n_chains: int = 2,
    seed: int = 0,
) -> Posterior:
    """Draws by NUTS, chains in turn.

    Parameters
    ----------
    model, table
        The program and the answers.
    n_samples, warmup_steps, n_chains
        Draws of each chain, after so many steps of adaptation.
    seed
        Of all of it; the caller's random state is left alone.

    Returns
    -------
    Posterior
        `n_chains` chains of every site of the regression.

    References
    ----------
    M. D. Hoffman, A. Gelman (2014), The No-U-Turn sampler, JMLR 15.
    """
    # As in `vary`: intercept and effects are hardly told apart, and a diagonal mass matrix goes there in tiny steps.
    full = sum(prior.event_shape.numel() for prior in model.priors(table).values()) <= _MOST_CORRELATED
    chains, n_divergent = [], 0
    for chain in range(n_chains):
        with seeded((seed + chain) % 2**32):
            kernel = NUTS(
                model, full_mass=full, target_accept_prob=0.9, init_strategy=init_to_median, max_plate_nesting=1
            )
            sampler = MCMC(kernel, n_samples, warmup_steps, disable_progbar=True)
            sampler.run(table)
            chains.append({name: value[0] for name, value in sampler.get_samples(group_by_chain=True).items()})
            n_divergent += sum(len(each) for each in sampler.diagnostics()["divergences"].values())
    return Posterior({name: torch.stack([each[name] for each in chains]).numpy() for name in chains[0]}, n_divergent)
