"""Small programs whose every number is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from crowdpyro.inference import ParticipantGuide
from crowdpyro.models import Batch, BeliefGenerator, Continuous, JointModel, NormalBlender, ProblemEncoder, blender_for

N_PEOPLE, N_PROBLEMS, N_EPS = 12, 5, 2


@pytest.fixture
def double() -> None:
    """Float64 for closed forms."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def meet() -> Callable[..., Batch]:
    """Participants 0 to n - 1, of whom some answer no, one or many problems."""

    def build(response: Callable[[int], torch.Tensor] | None = None, seed: int = 0, n_people: int = N_PEOPLE) -> Batch:
        rng = np.random.default_rng(seed)
        there = rng.random((n_people, N_PROBLEMS)) < 0.7
        there[0], there[1] = False, [True] + [False] * (N_PROBLEMS - 1)
        person, problem = (torch.as_tensor(each) for each in np.nonzero(there))
        real = torch.get_default_dtype()
        return Batch(
            features=torch.as_tensor(rng.normal(size=(N_PROBLEMS, 3)), dtype=real),
            known=torch.arange(N_PROBLEMS),
            reference=torch.as_tensor(rng.normal(size=N_PROBLEMS) + 3, dtype=real),
            profile=torch.as_tensor(rng.normal(size=(n_people, 2)), dtype=real),
            rows=torch.arange(n_people),
            participant=person,
            problem=problem,
            response=None if response is None else response(len(person)),
            participation=torch.ones((), dtype=real),
            population=n_people,
        )

    return build


@pytest.fixture
def linear_gaussian(double: None) -> tuple[JointModel, ParticipantGuide]:
    """y_it = y_ref_t + shift_t + b . v_i + a_t . eps_i + noise: the location is linear in eps, the noise normal."""
    torch.manual_seed(0)
    blender = NormalBlender(Continuous(), 0.8)
    encoder = ProblemEncoder(3, N_PROBLEMS, (4, 1, N_EPS, 1))
    belief = BeliefGenerator(2, N_EPS, 4, 1, spread=0.6)
    with torch.no_grad():
        encoder.offset.normal_(0.0, 0.3)
        belief.shift.weight.normal_(0.0, 0.3)
        belief.readout.weight.zero_()
        belief.scale.weight.zero_()
    model = JointModel(encoder, belief, blender)
    return model, ParticipantGuide(model)


@pytest.fixture
def ordinal() -> Callable[..., tuple[JointModel, ParticipantGuide]]:
    """A whole model on an ordinal scale, untrained."""

    def build(n_eps: int = N_EPS, seed: int = 0) -> tuple[JointModel, ParticipantGuide]:
        from crowdpyro import Ordinal

        torch.manual_seed(seed)
        blender = blender_for(Ordinal.range(1, 5), 0.8)
        encoder = ProblemEncoder(3, N_PROBLEMS, (4, 1, n_eps, blender.n_shape))
        model = JointModel(encoder, BeliefGenerator(2, n_eps, 4, 1, 0.8), blender)
        return model, ParticipantGuide(model)

    return build


@pytest.fixture
def exact(double: None) -> Callable[[JointModel, Batch], dict[str, torch.Tensor]]:
    """Posterior of eps and log marginal likelihood of every participant, by the joint normal of their answers."""

    def solve(model: JointModel, batch: Batch) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            x = model.problems(batch)
            mean_of = (batch.reference + x.shift[:, 0])[batch.problem]
            mean_of = mean_of + (batch.profile @ model.belief.shift.weight.T)[batch.participant, 0]
            loadings = x.loadings[batch.problem]
            people = model.participants(batch.profile, torch.zeros(batch.n_participants, N_EPS)).at(batch.participant)
            at = x.at(batch.problem)
            variance = model.answer_dist(model.belief_dist(at, people), at, people).variance
        means, roots, evidence = [], [], []
        for person in range(batch.n_participants):
            mine = batch.participant == person
            a, s2, r = loadings[mine], variance[mine], (batch.given - mean_of)[mine]
            covariance = torch.linalg.inv(torch.eye(N_EPS) + (a / s2[:, None]).T @ a)
            means.append(covariance @ ((a / s2[:, None]).T @ r))
            roots.append(covariance)
            if len(r):
                joint = torch.distributions.MultivariateNormal(torch.zeros(len(r)), a @ a.T + torch.diag(s2))
                evidence.append(joint.log_prob(r))
            else:
                evidence.append(torch.zeros(()))
        return {"mean": torch.stack(means), "covariance": torch.stack(roots), "evidence": torch.stack(evidence)}

    return solve
