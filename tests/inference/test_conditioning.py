"""The posterior of a person's noise: closed form, a grid, NUTS, calibration, and waves of answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from crowdpyro import ModelError
from crowdpyro.inference import PersonDraws, condition, crowd_calibration, sample_posterior
from crowdpyro.inference.importance import log_likelihoods
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import JointModel

ERROR_RATE = 1e-3


def answered(model, batch, seed=0):
    """The batch with answers of the model's own people."""
    with seeded(seed), torch.no_grad():
        return replace(batch, response=model.crowd(replace(batch, response=None), integrate=True))


@pytest.fixture
def traits(ordinal):
    """An ordinal program whose people differ much, and not only along the linear path."""
    model, guide = ordinal()
    with torch.no_grad():
        model.encoder.affine.bias[5:7] = torch.tensor([1.2, -0.8])
        model.belief.hidden.weight[:, 2:].normal_(0.0, 1.0)
    return model.eval(), guide


class Off:
    """A guide that is far too narrow, and in the wrong place."""

    def __init__(self, guide):
        self.guide = guide

    def eps_dist(self, batch):
        right = self.guide.eps_dist(batch)
        return MultivariateNormal(right.loc + 1.5, scale_tril=0.2 * right.scale_tril)


@pytest.mark.parametrize("proposer", ["guide", "off", "none"])
def test_posterior_is_the_joint_normals(meet, linear_gaussian, exact, proposer):
    """Mean, covariance and evidence of the linear-Gaussian program, whatever proposes."""
    model, guide = linear_gaussian
    batch = answered(model, meet())
    truth = exact(model, batch)
    found = condition(model, {"guide": guide, "off": Off(guide), "none": None}[proposer], batch, n_draws=20_000, seed=1)
    assert found.ess.min() > 5_000
    sd = truth["covariance"].diagonal(dim1=-2, dim2=-1).sqrt()
    # 24 means at 4.5 standard errors: error rate 2e-4.
    assert ((found.mean() - truth["mean"]) / sd * found.ess[:, None].sqrt()).abs().max() < 4.5
    torch.testing.assert_close(found.covariance(), truth["covariance"], atol=0.06, rtol=0)
    torch.testing.assert_close(found.log_evidence, truth["evidence"], atol=0.05, rtol=0)
    # The person without answers keeps the prior.
    assert found.log_evidence[0].abs() < 0.05
    assert found.mean()[0].abs().max() < 0.05


def test_posterior_is_the_grids_where_nothing_is_normal(meet, traits):
    """Ordinal answers, eps in the network as well: every moment against a sum over 161 x 161 points."""
    model, guide = traits
    batch = answered(model, meet())
    axis = torch.linspace(-5, 5, 161)
    grid = torch.cartesian_prod(axis, axis)[:, None].expand(-1, batch.n_participants, -1)
    log_joint = log_likelihoods(model, batch, grid) - 0.5 * grid.square().sum(-1)
    weight = torch.softmax(log_joint, dim=0)[..., None]
    mean = (weight * grid).sum(0)
    variance = (weight * (grid - mean).square()).sum(0)
    evidence = torch.logsumexp(log_joint, 0) + 2 * torch.log(axis[1] - axis[0]) - np.log(2 * np.pi)
    found = condition(model, guide, batch, n_draws=20_000, seed=1)
    assert ((found.mean() - mean) / variance.sqrt() * found.ess[:, None].sqrt()).abs().max() < 4.5
    torch.testing.assert_close(found.covariance().diagonal(dim1=-2, dim2=-1), variance, atol=0.05, rtol=0.05)
    torch.testing.assert_close(found.log_evidence, evidence, atol=0.05, rtol=0)


@pytest.mark.slow
def test_posterior_is_what_nuts_draws(meet, traits):
    model, guide = traits
    batch = answered(model, meet())
    sampled = sample_posterior(model, batch, num_samples=1500, warmup_steps=300, seed=2)
    found = condition(model, guide, batch, n_draws=20_000, seed=1)
    error = np.hypot(sampled.mcse()["eps"], sampled.sd()["eps"] / np.sqrt(found.ess.numpy())[:, None])
    # 24 coordinates at 4.5 standard errors: error rate 2e-4.
    assert np.abs((found.mean().numpy() - sampled.mean()["eps"]) / error).max() < 4.5
    sd = found.covariance().diagonal(dim1=-2, dim2=-1).sqrt().numpy()
    np.testing.assert_allclose(sampled.sd()["eps"], sd, rtol=0.15)


def test_draws_are_calibrated(meet, traits):
    """Simulation-based calibration of 720 people, any quantity rejected with chance 1e-3."""
    model, guide = traits

    def posterior(batch, n_draws, seed):
        return {"eps": condition(model, guide, batch, n_draws=512, seed=seed).resampled(n_draws)}

    found = crowd_calibration(model, meet(n_people=60), posterior, n_simulations=12, n_draws=19, seed=3)
    assert found.n_simulations == 720
    assert found.rejected(ERROR_RATE) == []


def test_a_second_wave_reweighs_the_first(meet, traits):
    """p(eps | y1, y2) is p(eps | y1) p(y2 | eps), normalised: the same as given both at once."""
    model, guide = traits
    batch = answered(model, meet())
    first, second = (batch.meetings(batch.problem % 2 == side) for side in (0, 1))
    one = condition(model, guide, first, n_draws=20_000, seed=1)
    log_weight = one.log_weight + log_likelihoods(model, second, one.eps)
    gained = torch.logsumexp(log_weight, 0)
    turn = PersonDraws(one.eps, log_weight - gained, one.log_evidence + gained)
    union = condition(model, guide, batch, n_draws=20_000, seed=2)
    sd = union.covariance().diagonal(dim1=-2, dim2=-1).sqrt()
    error = sd * (1 / turn.ess + 1 / union.ess).sqrt()[:, None]
    assert ((turn.mean() - union.mean()) / error).abs().max() < 4.5
    torch.testing.assert_close(turn.log_evidence, union.log_evidence, atol=0.06, rtol=0)


def test_resampling_keeps_the_weights_and_shuffles(meet, linear_gaussian):
    model, guide = linear_gaussian
    found = condition(model, guide, answered(model, meet()), n_draws=256, seed=1)
    with seeded(0):
        drawn = found.resampled(1000)
    assert drawn.shape == (1000, 12, 2)
    for person in range(12):
        times = (found.eps[:, None, person] == drawn[None, :, person]).all(-1).sum(1)
        expected = 1000 * found.log_weight[:, person].exp()
        assert ((times - expected).abs() < 1 + 1e-6).all()
    # Not in the order of the draws, so that one row is one draw of everybody.
    assert (drawn[:100].mean(0) - drawn[-100:].mean(0)).abs().max() < 1.0


def test_equal_seeds_equal_draws_and_blocks_of_people_change_nothing_else(meet, traits, monkeypatch):
    model, guide = traits
    batch = answered(model, meet(n_people=40))
    one, again = (condition(model, guide, batch, n_draws=4096, seed=5) for _ in range(2))
    torch.testing.assert_close(one.eps, again.eps, rtol=0, atol=0)
    monkeypatch.setattr("crowdpyro.inference.conditioning._PEOPLE", 7)
    blocked = condition(model, guide, batch, n_draws=4096, seed=5)
    error = one.covariance().diagonal(dim1=-2, dim2=-1).sqrt() * (1 / one.ess + 1 / blocked.ess).sqrt()[:, None]
    # 80 coordinates: error rate 5e-4.
    assert ((one.mean() - blocked.mean()) / error).abs().max() < 4.5


def test_people_without_noise_have_nothing_to_learn(meet, ordinal):
    model, guide = ordinal(n_eps=0)
    batch = answered(model.eval(), meet())
    found = condition(model, guide, batch)
    assert found.eps.shape == (1, 12, 0)
    assert found.ess.tolist() == [1.0] * 12
    torch.testing.assert_close(found.log_evidence, log_likelihoods(model, batch, found.eps)[0])


def test_answers_far_out_leave_weights_that_sum_to_one_or_no_chance(meet, linear_gaussian):
    """Log likelihoods of -1e19 keep nothing of a normalisation in single precision; -inf are no chance."""
    model, guide = linear_gaussian
    batch = answered(model, meet())
    far = batch.participant == batch.participant.max()
    for answer, proposer, chance in ((1e10, guide, True), (torch.inf, None, False)):
        found = condition(model, proposer, replace(batch, response=torch.where(far, answer, batch.response)))
        torch.testing.assert_close(found.log_weight.exp().sum(0), torch.ones(12))
        assert (found.ess > 1 - 1e-4).all()
        assert found.log_evidence.isfinite().tolist() == [True] * 11 + [chance]
        assert found.covariance().isfinite().all()


def test_wrong_uses_are_named(meet, traits):
    model, guide = traits
    batch = answered(model, meet())
    with pytest.raises(ModelError, match="n_draws=40, rounds=2: give 0 rounds or more, and 64 draws"):
        condition(model, guide, batch, n_draws=40)
    with pytest.raises(ModelError, match="batch has no response"):
        condition(model, guide, meet())

    class Other(JointModel):
        def crowd(self, batch, integrate=False):
            return super().crowd(batch, integrate)

    with pytest.raises(ModelError, match="Other overrides `crowd` or `eps_dist`"):
        condition(Other(model.encoder, model.belief, model.blender), guide, batch)
