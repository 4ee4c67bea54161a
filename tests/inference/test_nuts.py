"""NUTS and stock SVI against the joint normal of the linear-Gaussian program."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from pyro import poutine

from crowdpyro import ModelError
from crowdpyro.arviz_bridge import posterior_to_datatree
from crowdpyro.inference import LiftedCrowd, Posterior, approximate_posterior, sample_posterior
from crowdpyro.models import JointModel

SHIFT = (slice(None), slice(1))
CHOSEN = {"belief.shift.weight": ..., "encoder.offset": SHIFT}


@pytest.fixture
def answered(meet, linear_gaussian):
    torch.manual_seed(3)
    return meet(lambda n: 3 + 1.5 * torch.randn(n))


@pytest.fixture
def exact_with_globals(answered, linear_gaussian):
    """Mean, covariance and log evidence of (belief.shift.weight, the offsets' shift, eps), by one joint normal.

    y = base + H theta + noise,   theta ~ Normal(0, D)
    """
    model, _ = linear_gaussian
    n, people = answered.n_answers, answered.n_participants
    with torch.no_grad():
        x = model.problems(answered)
        at = x.at(answered.problem)
        z = model.participants(answered.profile, torch.zeros(people, 2)).at(answered.participant)
        variance = model.answer_dist(model.belief_dist(at, z), at, z).variance
        base = (answered.reference + x.shift[:, 0] - model.encoder.offset[:, 0])[answered.problem]
        rows = torch.arange(n)
        offset, eps = torch.zeros(n, 5), torch.zeros(n, people, 2)
        offset[rows, answered.problem] = 1.0
        eps[rows, answered.participant] = x.loadings[answered.problem]
        design = torch.cat([answered.profile[answered.participant], offset, eps.flatten(1)], dim=1)
    prior = torch.cat([torch.ones(2), torch.full((5,), 0.25), torch.ones(2 * people)])
    covariance = torch.linalg.inv(torch.diag(1 / prior) + (design / variance[:, None]).T @ design)
    residual = answered.given - base
    mean = covariance @ ((design / variance[:, None]).T @ residual)
    marginal = torch.distributions.MultivariateNormal(
        torch.zeros(n), (design * prior) @ design.T + torch.diag(variance)
    )
    return mean.numpy(), covariance.numpy(), marginal.log_prob(residual).item()


def stacked(values):
    return np.concatenate([np.ravel(values[name]) for name in ("belief.shift.weight", "encoder.offset", "eps")])


def test_nuts_finds_the_exact_posterior_of_eps(answered, linear_gaussian, exact):
    model, _ = linear_gaussian
    found = sample_posterior(model, answered, num_samples=250, warmup_steps=80, seed=1)
    truth = exact(model, answered)
    z = (found.mean()["eps"] - truth["mean"].numpy()) / found.mcse()["eps"]
    # 24 coordinates at 4 standard errors: error rate .0015.
    assert np.abs(z).max() < 4
    sd = truth["covariance"].diagonal(dim1=-2, dim2=-1).sqrt().numpy()
    # A standard deviation of 150 or more effective draws is known to 6%.
    np.testing.assert_allclose(found.sd()["eps"], sd, rtol=0.24)
    assert found.r_hat()["eps"].max() < 1.05
    assert found.n_divergent == 0


@pytest.mark.slow
def test_nuts_and_stock_svi_agree_with_the_joint_normal(answered, linear_gaussian, exact_with_globals):
    model, _ = linear_gaussian
    mean, covariance, _ = exact_with_globals
    sd = np.sqrt(np.diag(covariance))
    sampled = sample_posterior(model, answered, CHOSEN, num_samples=1200, warmup_steps=300, num_chains=2, seed=2)
    # 31 coordinates at 4 standard errors: error rate .002.
    assert np.abs((stacked(sampled.mean()) - mean) / stacked(sampled.mcse())).max() < 4
    np.testing.assert_allclose(stacked(sampled.sd()), sd, rtol=0.15)
    assert stacked(sampled.r_hat()).max() < 1.02
    fitted = approximate_posterior(model, answered, CHOSEN, num_steps=6000, num_particles=2, num_samples=4000, seed=2)
    assert np.abs((stacked(fitted.mean()) - stacked(sampled.mean())) / sd).max() < 0.1
    np.testing.assert_allclose(stacked(fitted.sd()), sd, rtol=0.15)


def test_the_program_has_the_density_of_the_joint_normal(answered, linear_gaussian, exact_with_globals):
    """log p(theta, y) - log p(theta | y) is the evidence at every theta: each prior counted, and counted once."""
    model, _ = linear_gaussian
    mean, covariance, evidence = (torch.as_tensor(each) for each in exact_with_globals)
    posterior = torch.distributions.MultivariateNormal(mean, covariance)
    program = LiftedCrowd(model, CHOSEN)
    torch.manual_seed(4)
    for theta in posterior.sample((5,)):
        parts = {
            "belief.shift.weight": theta[None, :2],
            "encoder.offset": theta[2:7, None],
            "eps": theta[7:].reshape(-1, 2),
        }
        told = poutine.trace(poutine.condition(program, data=parts)).get_trace(answered, True)
        torch.testing.assert_close(told.log_prob_sum() - posterior.log_prob(theta), evidence)


def test_priors_are_those_of_log_prior(linear_gaussian):
    model, _ = linear_gaussian
    model.encoder.offset_scale = 0.3
    program = LiftedCrowd(model, CHOSEN)
    torch.testing.assert_close(program.scales["encoder.offset"], torch.full((5, 1), 0.3))
    torch.testing.assert_close(program.scales["belief.shift.weight"], torch.ones(1, 2))


def test_drawn_answers_come_with_drawn_parameters(meet, linear_gaussian):
    model, _ = linear_gaussian
    torch.manual_seed(0)
    story = poutine.trace(LiftedCrowd(model, CHOSEN)).get_trace(meet(), True)
    assert {"belief.shift.weight", "encoder.offset", "eps", "y"} <= set(story.nodes)
    assert "weights" not in story.nodes


def test_delta_is_sampled_when_it_is_not_integrated_out(answered, linear_gaussian):
    model, _ = linear_gaussian
    found = sample_posterior(model, answered, num_samples=10, warmup_steps=10, integrate=False)
    assert found.draws["delta"].shape == (1, 10, answered.n_answers, 1)


def test_equal_seeds_equal_draws_and_nothing_of_the_callers_is_touched(answered, linear_gaussian):
    model, _ = linear_gaussian
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    settings = {"num_samples": 6, "warmup_steps": 4}
    first, again, other = (
        sample_posterior(model, answered, CHOSEN, **settings, seed=seed, num_chains=2) for seed in (0, 0, 1)
    )
    fitted = [approximate_posterior(model, answered, CHOSEN, num_steps=5, num_samples=3, seed=s) for s in (0, 0, 1)]
    for one, two, three in ((first, again, other), fitted):
        assert all(np.array_equal(one.draws[name], two.draws[name]) for name in one.draws)
        assert not np.array_equal(one.draws["eps"], three.draws["eps"])
    assert not np.array_equal(first.draws["eps"][0], first.draws["eps"][1])
    assert torch.equal(state[0], torch.get_rng_state())
    assert (state[1] == np.random.get_state()[1]).all()
    assert state[2] == random.getstate()
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_summaries_are_those_of_independent_draws():
    rng = np.random.default_rng(0)
    posterior = Posterior({"a": rng.normal(2.0, 3.0, (4, 1000)), "b": rng.normal(size=(4, 1000, 2, 3))})
    frame = posterior.to_frame()
    assert list(frame.index[:3]) == ["a", "b[0, 0]", "b[0, 1]"]
    # Standard errors: .05 of the mean, 1.1% of the sd; ess is within 20% for independent draws.
    assert frame.loc["a", "mean"] == pytest.approx(2.0, abs=0.2)
    assert frame.loc["a", "sd"] == pytest.approx(3.0, rel=0.05)
    assert frame["ess"].between(3000, 5000).all()
    assert frame["r_hat"].between(0.99, 1.01).all()
    apart = Posterior({"a": rng.normal(size=(2, 100)) + np.array([[0.0], [5.0]])})
    assert apart.r_hat()["a"] > 2
    assert posterior.flat(10)["b"].shape == (400, 2, 3)
    dataset = posterior.to_dataset()
    assert dataset["b"].dims == ("chain", "draw", "b_dim_0", "b_dim_1")
    assert dataset["a"].shape == (4, 1000)


def test_arviz_reads_the_posterior():
    arviz = pytest.importorskip("arviz")
    posterior = Posterior({"b": np.random.default_rng(0).normal(size=(2, 500, 3))})
    data = arviz.InferenceData.from_datatree(posterior_to_datatree(posterior))
    summary = arviz.summary(data, round_to="none")
    np.testing.assert_allclose(summary["mean"], posterior.mean()["b"])
    # Rank-normalised there, plain here: alike for normal draws.
    np.testing.assert_allclose(summary["r_hat"], posterior.r_hat()["b"], atol=0.01)
    np.testing.assert_allclose(summary["ess_bulk"], posterior.ess()["b"], rtol=0.2)


def test_what_cannot_be_sampled_is_named(answered, linear_gaussian, ordinal):
    model, _ = linear_gaussian
    with pytest.raises(ModelError, match="no parameter 'belief.shift'; it has encoder.offset"):
        sample_posterior(model, answered, ["belief.shift"])
    with pytest.raises(ModelError, match="gives 'encoder.affine.bias' no normal prior"):
        sample_posterior(model, answered, ["encoder.affine.bias"])
    with pytest.raises(ModelError, match="give a list of names"):
        sample_posterior(model, answered, "encoder.offset")
    with pytest.raises(ModelError, match="batch has 12 of 40 participants"):
        sample_posterior(model, replace(answered, population=40))
    with pytest.raises(ModelError, match="batch has no response"):
        sample_posterior(model, replace(answered, response=None))
    with pytest.raises(ModelError, match="num_samples=3"):
        sample_posterior(model, answered, num_samples=3)
    flat, _ = ordinal(n_eps=0)
    with pytest.raises(ModelError, match="name a parameter"):
        sample_posterior(flat, answered)
    words = r"step \d+: the loss is (nan|inf); lower lr=1e\+200"
    with pytest.warns(UserWarning, match="NaN"), pytest.raises(ModelError, match=words):
        approximate_posterior(model, answered, num_steps=4, lr=1e200)
    with pytest.raises(ModelError, match="thin=0"):
        Posterior({"a": np.zeros((1, 4))}).flat(0)


def test_a_program_with_noise_of_its_own_is_refused(answered, linear_gaussian):
    class Noisy(JointModel):
        """Averages the belief over a few draws, as where no closed form is known."""

        def response_dist(self, delta, x, z):
            return super().response_dist(delta, x, z)

    base, _ = linear_gaussian
    model = Noisy(base.encoder, base.belief, base.blender)
    with pytest.raises(ModelError, match="integrate=True: the program draws noise of its own"):
        sample_posterior(model, answered)
    assert sample_posterior(model, answered, num_samples=4, warmup_steps=2, integrate=False).draws["eps"].shape[1] == 4
