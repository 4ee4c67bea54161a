"""Survey weights in programs: a person of weight 2 is heard as two people, in every loss, score and margin."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from pyro.infer import TraceMeanField_ELBO

from crowdpyro import ModelError
from crowdpyro.inference import (
    Cells,
    FitConfig,
    Margins,
    PaperELBO,
    ParticipantGuide,
    PredictiveELBO,
    StoryGuide,
    fit,
    log_score,
    sample_posterior,
    weighed,
)
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import BeliefGenerator, JointModel, LogisticParticipation, ProblemEncoder, blender_for
from crowdpyro.models.scales import Ordinal

WEIGHTS = torch.tensor([2.0, 1.0, 0.0, 3.0, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 0.25, 0.75])


@pytest.fixture
def answered(meet, ordinal):
    torch.manual_seed(0)
    return (*ordinal(), meet(lambda n: torch.randint(5, (n,)).float()))


def twice(batch, person):
    """The batch with one person and their answers once more."""
    again = torch.cat([torch.arange(batch.n_participants), torch.tensor([person])])
    return replace(batch.people(again), rows=torch.arange(len(again)), population=len(again))


@pytest.mark.parametrize("objective", ["predictive", "paper", "stock"])
def test_a_loss_is_linear_in_the_weights(answered, objective):
    model, guide, batch = answered
    if objective == "paper":
        guide = StoryGuide(model)

    def loss(weight):
        weighted = replace(batch, survey_weight=weight)
        with seeded(1):
            if objective == "predictive":
                return PredictiveELBO().differentiable_loss(model, guide, weighted)
            if objective == "paper":
                return PaperELBO().differentiable_loss(model, guide, weighted)
            with weighed(weighted):
                crowd = partial(model.crowd, integrate=True)
                return TraceMeanField_ELBO(max_plate_nesting=1).differentiable_loss(crowd, guide, weighted)

    none, one, weighted = loss(None), loss(torch.ones(12)), loss(WEIGHTS)
    torch.testing.assert_close(one, none)
    nobody = loss(torch.zeros(12))
    singles = [loss(torch.eye(12)[person]) for person in range(12)]
    # Each person's own part, the prior of the parameters apart.
    parts = torch.stack(singles) - nobody
    torch.testing.assert_close(weighted, nobody + (WEIGHTS * parts).sum())
    assert (parts[1:] != 0).all()


def test_weights_are_those_of_the_closed_form(linear_gaussian, meet, exact):
    """loss = -sum_i w_i log p(y_i) - log prior where the guide is exact, in expectation over its draws."""
    model, guide = linear_gaussian
    batch = meet(lambda n: 3 + torch.randn(n, generator=torch.Generator().manual_seed(1)))
    weight = WEIGHTS.double()
    with torch.no_grad():
        expected = -(weight * exact(model, batch)["evidence"]).sum() - model.log_prior()
    elbo = PredictiveELBO(num_particles=500, vectorize_particles=True)
    with seeded(0):
        found = torch.tensor([elbo.loss(model, guide, replace(batch, survey_weight=weight)) for _ in range(20)])
    # At 5 standard errors of 10,000 draws: error rate below 1e-6.
    assert abs(found.mean() - expected) < 5 * found.std() / 20**0.5
    assert found.std() / 20**0.5 < 0.02 * abs(expected - elbo.loss(model, guide, batch))


def test_without_eps_a_weight_of_two_is_the_person_twice(meet, ordinal):
    model, guide = ordinal(n_eps=0)
    batch = meet(lambda n: torch.randint(5, (n,), generator=torch.Generator().manual_seed(0)).float())
    weight = torch.ones(12)
    weight[3] = 2
    mine = PredictiveELBO().loss(model, guide, replace(batch, survey_weight=weight))
    assert mine == pytest.approx(PredictiveELBO().loss(model, guide, twice(batch, 3)), rel=1e-6)


def test_scores_and_margins_count_a_person_by_weight(answered):
    model, _, batch = answered
    weight = torch.ones(12)
    weight[3] = 2
    weighted, doubled = replace(batch, survey_weight=weight), twice(batch, 3)
    np.testing.assert_allclose(log_score(model, weighted, 64), log_score(model, doubled, 64), rtol=1e-6)
    assert log_score(model, weighted, 64) != log_score(model, batch, 64)
    mine, theirs = Cells.of(weighted), Cells.of(doubled)
    torch.testing.assert_close(mine.count, theirs.count)
    torch.testing.assert_close(mine.response, theirs.response)
    assert mine.count.sum() == doubled.n_answers


def test_people_of_the_margins_are_drawn_by_weight(answered):
    """Shares of a Sobol sequence of 1,024: within 2 / 1024 of the weights, exact but for where intervals end."""
    model, _, batch = answered
    weighted = replace(batch, survey_weight=WEIGHTS)
    with torch.no_grad():
        model.belief.shift.weight.normal_()
        own = model.participants(batch.profile, None).shift[:, 0]
    people = Margins(model, weighted, n_people=1024).people.shift.flatten()
    drawn = torch.isclose(people[:, None], own, atol=1e-6).float().mean(0)
    torch.testing.assert_close(drawn, WEIGHTS / 12, atol=2 / 1024, rtol=0)


def test_a_minibatch_takes_its_peoples_weights(answered):
    *_, batch = answered
    weighted = replace(batch, survey_weight=WEIGHTS)
    chosen = torch.tensor([4, 0, 9])
    assert weighted.people(chosen).survey_weight.tolist() == WEIGHTS[chosen].tolist()
    assert weighted.people(chosen).answered().survey_weight.tolist() == WEIGHTS[chosen].tolist()
    model, guide = answered[:2]
    # The minibatches' losses' mean is the whole's: 2,000 draws leave a standard error of less than .5 %.
    elbo = PredictiveELBO(num_particles=2000, vectorize_particles=True)
    with seeded(0):
        total = elbo.loss(model, guide, weighted)
        pairs = torch.arange(12).split(2)
        parts = [elbo.loss(model, guide, weighted.people(pair)) for pair in pairs]
    assert np.mean(parts) == pytest.approx(total, rel=0.02)


def test_learned_participation_is_weighed_too():
    torch.manual_seed(0)
    blender = blender_for(Ordinal.range(1, 5), 0.8)
    encoder = ProblemEncoder(3, 5, (4, 1, 0, blender.n_shape))
    model = JointModel(encoder, BeliefGenerator(2, 0, 4, 1, 0.8), blender, participation=LogisticParticipation(2, 3))
    with torch.no_grad():
        model.participation.profile.normal_()
    guide = ParticipantGuide(model)
    batch = meetings()
    weight = torch.tensor([1.5, 0.5, 1.0])
    parts = []
    for person in range(3):
        mine = batch.participant == person
        logits = model.participation.of_profile(batch.profile)[person] + model.participation.of_problem(batch.features)
        log_p = torch.distributions.Bernoulli(logits=logits).log_prob(batch.took_part[mine].float()).sum()
        parts.append(log_p.detach())
    silent = replace(batch, took_part=None).meetings(batch.took_part)
    spoken = PredictiveELBO().loss(model, guide, replace(silent, survey_weight=weight))
    both = PredictiveELBO().loss(model, guide, replace(batch, survey_weight=weight))
    assert both - spoken == pytest.approx(-float((weight * torch.stack(parts)).sum()), rel=1e-4)


def meetings():
    """Three people meet five problems each, and answer some."""
    from crowdpyro.models import Batch

    rng = np.random.default_rng(0)
    person, problem = (torch.as_tensor(each.ravel()) for each in np.indices((3, 5)))
    return Batch(
        features=torch.as_tensor(rng.normal(size=(5, 3)), dtype=torch.float32),
        known=torch.arange(5),
        reference=torch.full((5,), 3.0),
        profile=torch.as_tensor(rng.normal(size=(3, 2)), dtype=torch.float32),
        rows=torch.arange(3),
        participant=person,
        problem=problem,
        response=torch.as_tensor(rng.integers(5, size=15), dtype=torch.float32),
        participation=torch.ones(()),
        population=3,
        took_part=torch.as_tensor(rng.random(15) < 0.6),
    )


def test_unweighted_batches_run_under_no_handler(answered):
    *_, batch = answered
    assert isinstance(weighed(batch), nullcontext)
    assert isinstance(weighed(None), nullcontext)


@pytest.mark.parametrize("objective", ["predictive", "paper"])
def test_fits_see_weights_and_equal_ones_change_nothing_but_rounding(meet, ordinal, objective):
    torch.manual_seed(1)
    batch = meet(lambda n: torch.randint(5, (n,)).float(), n_people=12)
    found = {}
    for name, weight in (("none", None), ("one", torch.ones(12)), ("some", WEIGHTS)):
        model, guide = ordinal()
        guide = StoryGuide(model) if objective == "paper" else guide
        data = replace(batch, survey_weight=weight)
        config = FitConfig(epochs=3, batch_size=5, margin_steps=3, objective=objective)
        with seeded(0):
            fit(model, guide, data, None, data, config, seed=0)
        found[name] = torch.cat([each.flatten() for each in model.state_dict().values()])
    # Adam divides by the gradient's size: a rounding becomes 1e-4 of a step where a gradient is nearly 0.
    torch.testing.assert_close(found["one"], found["none"], atol=2e-3, rtol=1e-3)
    assert (found["some"] - found["none"]).abs().max() > 0.02


def test_no_posterior_of_parameters_under_weights(answered):
    model, _, batch = answered
    weighted = replace(batch, survey_weight=WEIGHTS)
    with pytest.raises(ModelError, match="survey weights.*survey_weight=None"):
        sample_posterior(model, weighted, ["belief.shift.weight"], num_samples=4)
