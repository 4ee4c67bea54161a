"""Crowd generation with the whole network against pyro.infer.Predictive on the same program, one thread.

The peer draws the same crowd - every participant and every problem, eps, delta and answer - once, at three block sizes;
`parallel=True` would only matter for more than one draw.
"""

from __future__ import annotations

import numpy as np
import torch
from pyro.infer import Predictive
from timing import Table

from crowdpyro import CrowdConfig, Ordinal
from crowdpyro.fitted import build_model
from crowdpyro.inference import decisions
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import Batch

N_PEOPLE, N_PROBLEMS, N_FEATURES, N_PROFILE = 1000, 300, 42, 30

rng = np.random.default_rng(0)
with seeded(0):
    model, _ = build_model(
        Ordinal.range(1, 5), CrowdConfig(), 1.2, n_features=N_FEATURES, n_known=N_PROBLEMS, n_profile=N_PROFILE
    )
model.eval()
person, problem = (torch.as_tensor(each.ravel()) for each in np.indices((N_PEOPLE, N_PROBLEMS)))
batch = Batch(
    features=torch.as_tensor(rng.normal(size=(N_PROBLEMS, N_FEATURES)), dtype=torch.float32),
    known=torch.arange(N_PROBLEMS),
    reference=torch.full((N_PROBLEMS,), 3.0),
    profile=torch.as_tensor(rng.normal(size=(N_PEOPLE, N_PROFILE)), dtype=torch.float32),
    rows=torch.arange(N_PEOPLE),
    participant=person,
    problem=problem,
    response=None,
    participation=torch.ones(()),
    population=N_PEOPLE,
)


def ours() -> torch.Tensor:
    """Blocks by broadcasting."""
    with seeded(1), torch.no_grad():
        z = model.participants(batch.profile, torch.randn(N_PEOPLE, model.n_eps))
        return decisions(model, model.problems(batch), z)


def peer(block: int) -> None:
    """Predictive over blocks of participants."""
    with seeded(1), torch.no_grad():
        for start in range(0, N_PEOPLE, block):
            people = batch.people(torch.arange(start, min(start + block, N_PEOPLE)))
            Predictive(model.crowd, num_samples=1, return_sites=("y",))(people)


table = Table(f"Generation, {N_PEOPLE:,} people x {N_PROBLEMS} problems (the peer is pyro.infer.Predictive)")
for block in (20, 100, 1000):
    table.compare(
        f"Predictive by {block} people", ours, lambda block=block: peer(block), N_PEOPLE * N_PROBLEMS, "decisions"
    )
table.close()
