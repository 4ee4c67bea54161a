"""Objectives as Pyro's ELBOs: equal to stock ones where these are defined, whatever the particles and the batch."""

from __future__ import annotations

from functools import partial

import pyro
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO

from crowdpyro import ModelError
from crowdpyro.inference import FitConfig, PaperELBO, ParticipantGuide, PredictiveELBO, StoryGuide, fit
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import BeliefGenerator, DescriptionDecoder, JointModel, ProblemEncoder, blender_for
from crowdpyro.models.scales import Ordinal


def pair(guide, belief):
    """A model with both programs, and a guide."""
    torch.manual_seed(0)
    blender = blender_for(Ordinal.range(1, 5), 0.8)
    encoder = ProblemEncoder(3, 5, (4, 1, 2, blender.n_shape))
    noise = {"n_omega": 2, "n_mixture": 3} if belief == "semi_implicit" else {}
    generator = BeliefGenerator(2, 2, 4, 1, 0.8, **noise)
    model = JointModel(encoder, generator, blender, decoder=DescriptionDecoder(1, 4, 3))
    return model, guide(model)


@pytest.fixture
def answered(meet, ordinal):
    torch.manual_seed(0)
    return (*ordinal(), meet(lambda n: torch.randint(5, (n,)).float()))


def test_predictive_equals_pyros_mean_field_elbo(answered):
    model, guide, batch = answered
    stock = TraceMeanField_ELBO(max_plate_nesting=1)
    for n in (1, 4):
        ours = PredictiveELBO(num_particles=n)
        stock.num_particles = n
        with seeded(1):
            mine = ours.differentiable_loss(model, guide, batch)
        with seeded(1):
            theirs = stock.differentiable_loss(partial(model.crowd, integrate=True), guide, batch)
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("elbo", [PredictiveELBO, PaperELBO])
def test_vectorised_particles_leave_the_expectation_as_it_is(meet, elbo):
    model, guide = pair(StoryGuide if elbo is PaperELBO else ParticipantGuide, "vae")
    batch = meet(lambda n: torch.randint(5, (n,)).float())
    with seeded(2):
        single = torch.tensor([elbo().loss(model, guide, batch) for _ in range(1500)])
        wide = elbo(num_particles=50, vectorize_particles=True)
        many = torch.tensor([wide.loss(model, guide, batch) for _ in range(30)])
    error = (single.var() / 1500 + many.var() / 30).sqrt()
    # One comparison at 4.5 standard errors: error rate below 1e-5.
    assert abs(single.mean() - many.mean()) < 4.5 * error
    # Fifty independent particles: a standard deviation lower by sqrt(50) = 7, here at least by 4.
    assert many.std() < single.std() / 4


def test_the_order_of_people_and_answers_is_nothing(answered):
    """The same draw for the same person: losses agree to rounding."""
    model, guide, batch = answered
    order = torch.randperm(batch.n_answers, generator=torch.Generator().manual_seed(1))
    with seeded(3):
        value = PredictiveELBO().loss(model, guide, batch)
    with seeded(3):
        shuffled = PredictiveELBO().loss(model, guide, batch.meetings(order))
    assert shuffled == pytest.approx(value, rel=1e-5)


def test_pyros_svi_fits_with_it(answered):
    model, guide, batch = answered
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), loss=PredictiveELBO())
    with seeded(4):
        losses = [svi.step(batch) for _ in range(60)]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_a_parallel_predictive_draws_what_the_serial_one_does(meet, ordinal):
    model, _ = ordinal()
    batch = meet()
    with seeded(5):
        fast = Predictive(model.crowd, num_samples=3000, return_sites=("y",), parallel=True)(batch)["y"]
        slow = Predictive(model.crowd, num_samples=1000, return_sites=("y",))(batch)["y"]
    assert fast.shape == (3000, batch.n_answers)
    # Means of answers with variance at most 2: standard error below .052; some 40 answers at 4.5 of these.
    assert (fast.mean(0) - slow.mean(0)).abs().max() < 0.23


def test_a_stock_elbo_takes_the_story_with_its_guide(meet):
    torch.manual_seed(0)
    blender = blender_for(Ordinal.range(1, 5), 0.8)
    encoder = ProblemEncoder(3, 5, (4, 1, 0, blender.n_shape))
    belief = BeliefGenerator(2, 0, 4, 1, 0.8, n_omega=2, n_mixture=4)
    model = JointModel(encoder, belief, blender, decoder=DescriptionDecoder(1, 4, 3))
    batch = meet(lambda n: torch.randint(5, (n,)).float())
    for elbo in (Trace_ELBO(), TraceMeanField_ELBO()):
        loss = elbo.differentiable_loss(model.story, StoryGuide(model), batch)
        loss.backward()
        assert torch.isfinite(loss)
        assert model.belief.noise.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("settings", [{"beta": -1.0}, {"num_particles": 0}, {"beta": float("nan")}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ModelError, match=next(iter(settings))):
        PredictiveELBO(**settings)


@pytest.mark.parametrize("belief", ["vae", "semi_implicit"])
@pytest.mark.parametrize(
    ("guide", "elbo", "words"),
    [
        (ParticipantGuide, PredictiveELBO, None),
        (ParticipantGuide, PaperELBO, "site 'delta' of the model is not in the guide"),
        (StoryGuide, PredictiveELBO, "site 'delta' of the guide is not latent in the model"),
        (StoryGuide, PaperELBO, None),
    ],
)
def test_the_documented_pairs_are_defined_and_the_others_raise(meet, belief, guide, elbo, words):
    model, told = pair(guide, belief)
    batch = meet(lambda n: torch.randint(5, (n,)).float())
    if words is None:
        assert torch.isfinite(elbo().differentiable_loss(model, told, batch))
    else:
        with pytest.raises(ModelError, match=words):
            elbo().loss(model, told, batch)


@pytest.mark.parametrize("guide", [ParticipantGuide, StoryGuide])
@pytest.mark.parametrize("belief", ["vae", "semi_implicit"])
def test_a_stock_elbo_fits_either_guide(meet, guide, belief):
    model, told = pair(guide, belief)
    batch = meet(lambda n: torch.randint(5, (n,)).float())
    config = FitConfig(epochs=2, margin_steps=0)
    with seeded(0):
        history = fit(model, told, batch, None, batch, config, seed=0, objective=Trace_ELBO(max_plate_nesting=1))
    assert all(loss < 10 for loss in history.loss)


def test_a_stock_elbo_with_delta_is_the_looser_bound(meet):
    """Delta in the guide, from its own prior: Jensen's gap below the bound that integrates it out."""
    model, told = pair(StoryGuide, "vae")
    with torch.no_grad():
        model.belief.scale.weight.zero_()
        model.belief.readout.bias[1] = 1.0
    batch = meet(lambda n: torch.randint(5, (n,)).float())
    crowd = model.crowd
    with seeded(6):
        loose = torch.tensor([TraceMeanField_ELBO().loss(crowd, told, batch) for _ in range(400)])
        tight = torch.tensor([PredictiveELBO().loss(model, ParticipantGuide(model), batch) for _ in range(400)])
    error = (loose.var() / 400 + tight.var() / 400).sqrt()
    assert loose.mean() > tight.mean() + 4.5 * error
