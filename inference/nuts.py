"""The No-U-Turn sampler on the same program: slow, and right wherever the fast guides are approximations.

eps, delta, theta_k | y  ~  p(theta) p(eps) p(delta | eps, theta) p(y | delta, theta)        (Hoffman and Gelman 2014)

delta may be integrated out, which leaves the sampler one site a person instead of one an answer. Chains run one after
the other, each from a draw of the prior.
"""

from __future__ import annotations

import logging

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS
from pyro.infer.autoguide import init_to_sample
from torch import Tensor

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel
from .lifted import Chosen, LiftedCrowd
from .posterior import Posterior
from .runtime import seeded
from .seeds import checked_seed

logger = logging.getLogger(__name__)


def sample_posterior(
    model: JointModel,
    batch: Batch,
    parameters: Chosen = (),
    *,
    num_samples: int = 1000,
    warmup_steps: int = 500,
    num_chains: int = 1,
    seed: int = 0,
    integrate: bool = True,
    full_mass: bool = False,
) -> Posterior:
    """Draw `eps`, and parameters if asked, given people's answers.

    Parameters
    ----------
    model
        Untouched: what is not random stays at its values.
    batch
        All people and their answers; no minibatch.
    parameters
        Parameters to be sampled with their normal priors (see `LiftedCrowd`).
    num_samples, warmup_steps, num_chains
        As in Pyro's `MCMC`; chains run in turn.
    seed
        Of all of it; the caller's random state is left alone.
    integrate
        Integrate delta out; False samples it too, one site an answer.
    full_mass
        Adapt a dense mass matrix: for strongly correlated posteriors of up to some hundred dimensions.

    Returns
    -------
    Posterior
        Sites `eps` (if the model has any), `delta` (unless integrated out) and the random parameters.

    Raises
    ------
    ModelError
        Where the program draws noise while it is scored, for a minibatch, when nothing is random, and for parameters
        of a batch with survey weights.
    """
    if num_samples < 4 or num_chains < 1:
        raise ModelError(f"num_samples={num_samples}, num_chains={num_chains}: give at least 4 draws of one chain.")
    program = lifted(model, batch, parameters, integrate)
    chains, n_divergent = [], 0
    for child in np.random.SeedSequence(checked_seed(seed)).generate_state(num_chains):
        with seeded(int(child), batch.profile.device):
            kernel = NUTS(program, full_mass=full_mass, init_strategy=init_to_sample, max_plate_nesting=1)
            sampler = MCMC(kernel, num_samples, warmup_steps, disable_progbar=True)
            sampler.run(batch, integrate)
            chains.append({name: value[0] for name, value in sampler.get_samples(group_by_chain=True).items()})
            n_divergent += sum(len(each) for each in sampler.diagnostics()["divergences"].values())
    if n_divergent:
        logger.warning("NUTS: %d of %d transitions diverged", n_divergent, num_chains * num_samples)
    draws = {name: np.stack([chain[name].cpu().numpy() for chain in chains]) for name in chains[0]}
    return Posterior(draws, n_divergent)


def lifted(model: JointModel, batch: Batch, parameters: Chosen, integrate: bool) -> LiftedCrowd:
    """The program with random parameters, checked to be a fixed density of all people's answers.

    Raises
    ------
    ModelError
        As in `sample_posterior`.
    """
    batch.given  # noqa: B018 - raises when there are no answers, which would otherwise be sampled as well
    program = LiftedCrowd(model, parameters)
    if program.scales and batch.survey_weight is not None:
        raise ModelError(
            "batch has survey weights, and a pseudo-likelihood gives parameters no posterior; sample eps alone, which "
            "no weight touches, or replace(batch, survey_weight=None)."
        )
    if not (model.n_eps or program.scales):
        raise ModelError("parameters=(): the model has n_eps=0, so that nothing is random; name a parameter.")
    if batch.population != batch.n_participants:
        raise ModelError(
            f"batch has {batch.n_participants} of {batch.population} participants; a posterior is that of all their "
            "answers, so give them all, or set population to their number."
        )
    with seeded(0, batch.profile.device), torch.no_grad(), pyro.validation_enabled():
        story = poutine.trace(program).get_trace(batch, integrate)
        again = poutine.trace(poutine.replay(program, trace=story)).get_trace(batch, integrate)
    if not torch.equal(_log_density(story), _log_density(again)):
        raise ModelError(
            f"integrate={integrate}: the program draws noise of its own while it is scored, as semi-implicit beliefs "
            "and averages over draws of the belief do; give integrate=False, or a model with n_omega=0."
        )
    return program


def _log_density(trace: poutine.Trace) -> Tensor:
    return torch.as_tensor(trace.log_prob_sum())
