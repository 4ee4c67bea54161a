"""What was simulated is recovered on every kind of scale.

A crowd of n people with known parameters answers; a fresh model is fitted to it; then both draw crowds of 40,000. What
is compared are means: of the levels' indicators, of an option's votes or points, of bounded numbers and of the
indicators of their bounds. The sample's own means are off by standard errors of root mean square 1, and the fit, which
knows no more than the sample, is allowed twice that. The untrained model must be off by far more.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crowdpyro import Ballot, Categorical, Continuous, Ordinal
from crowdpyro.inference import FitConfig, ParticipantGuide, fit
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import Batch, BeliefGenerator, JointModel, ProblemEncoder, blender_for

N_PEOPLE, N_PROBLEMS, N_EPS, N_FRESH = 400, 4, 1, 40_000
OPTIONS = ("a", "b", "c", "d", "e")
SCALES = {
    "ordinal": (Ordinal.range(1, 5), 1.0),
    "bounded": (Continuous(0, 4), 1.0),
    "bounded_below": (Continuous(low=0), 1.0),
    "categorical": (Categorical(OPTIONS), 1.0),
    "approval": (Ballot(OPTIONS, "approval"), 1.0),
    "choose": (Ballot(OPTIONS, "choose", 2), 1.0),
    "rank": (Ballot(OPTIONS, "rank", 2), 1.0),
    "points": (Ballot(OPTIONS, "points", 6), 1.0),
}


def build(scale, spread, seed):
    """A whole model, untrained."""
    torch.manual_seed(seed)
    blender = blender_for(scale, 0.7 * spread)
    widths = (4, blender.n_belief, blender.n_belief * N_EPS, blender.n_shape)
    encoder = ProblemEncoder(2, N_PROBLEMS, widths, offset_scale=spread)
    return JointModel(encoder, BeliefGenerator(1, N_EPS, 4, blender.n_belief, 0.7 * spread), blender)


def truth_of(scale, spread):
    """Problems differ, people lean one way with their profile and another with their noise."""
    model = build(scale, spread, seed=1)
    n_belief = model.blender.n_belief
    with torch.no_grad():
        model.encoder.offset[:, : 2 * n_belief] = spread * torch.randn(N_PROBLEMS, 2 * n_belief)
        model.belief.shift.weight[:] = 0.5 * spread * torch.randn(n_belief, 1)
    return model


def draw(model, scale, n_people, seed):
    """Answers of so many people of the model to all problems."""
    rng = np.random.default_rng(seed)
    person, problem = (torch.as_tensor(each.ravel()) for each in np.indices((n_people, N_PROBLEMS)))
    middle = {"ordinal": 3.0, "continuous": 1.5}.get(scale.kind)
    reference = torch.zeros(N_PROBLEMS, len(OPTIONS)) if middle is None else torch.full((N_PROBLEMS,), middle)
    batch = Batch(
        features=torch.as_tensor(np.random.default_rng(9).normal(size=(N_PROBLEMS, 2)), dtype=torch.float32),
        known=torch.arange(N_PROBLEMS),
        reference=reference,
        profile=torch.as_tensor(rng.normal(size=(n_people, 1)), dtype=torch.float32),
        rows=torch.arange(n_people),
        participant=person,
        problem=problem,
        response=None,
        participation=torch.ones(()),
        population=n_people,
    )
    with seeded(seed), torch.no_grad():
        answers = model.crowd(batch)
    return Batch(**{**vars(batch), "response": answers})


def numbers(scale, batch):
    """What is averaged, shape `(n_people, n_problems, n_numbers)`."""
    answers = batch.given.reshape(batch.n_participants, N_PROBLEMS, *batch.given.shape[1:])
    if isinstance(scale, Ballot):
        return answers
    if isinstance(scale, Continuous):
        ends = [answers == end for end in (scale.low, scale.high) if np.isfinite(end)]
        return torch.stack([answers, *(each.to(answers) for each in ends)], dim=-1)
    return torch.nn.functional.one_hot(answers.long(), scale.n_levels).float()


def distance(scale, one, other):
    """Root mean square difference of means, in standard errors of `N_PEOPLE` people."""
    ours, theirs = numbers(scale, one), numbers(scale, other)
    error = theirs.std(0) / N_PEOPLE**0.5
    # What hardly ever happens has no standard error to speak of.
    often = error * N_PEOPLE**0.5 > 0.05
    return ((ours.mean(0) - theirs.mean(0)) / error)[often].square().mean().sqrt().item()


@pytest.mark.parametrize("kind", SCALES)
def test_the_means_of_simulated_crowds_are_recovered(kind):
    scale, spread = SCALES[kind]
    truth = truth_of(scale, spread)
    sample, fresh = draw(truth, scale, N_PEOPLE, 2), draw(truth, scale, N_FRESH, 3)
    model = build(scale, spread, seed=4)
    untrained = distance(scale, draw(model, scale, N_FRESH, 5), fresh)
    with seeded(6):
        fit(model, ParticipantGuide(model), sample, None, sample, FitConfig(epochs=40, margin_steps=60), seed=6)
    found = distance(scale, draw(model, scale, N_FRESH, 5), fresh)
    assert distance(scale, sample, fresh) < 1.5
    assert untrained > 5
    assert found < 2
