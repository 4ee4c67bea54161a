"""The guide and the bound against closed forms of the linear-Gaussian program."""

from __future__ import annotations

import pyro
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from crowdpyro.inference import PredictiveELBO, log_score


@pytest.fixture
def answered(meet, linear_gaussian):
    torch.manual_seed(3)
    return meet(lambda n: 3 + 1.5 * torch.randn(n))


def test_the_untrained_guide_is_the_exact_posterior(answered, linear_gaussian, exact):
    model, guide = linear_gaussian
    truth = exact(model, answered)
    posterior = guide.eps_dist(answered)
    torch.testing.assert_close(posterior.loc, truth["mean"], rtol=0, atol=1e-9)
    torch.testing.assert_close(posterior.covariance_matrix, truth["covariance"], rtol=0, atol=1e-9)
    # Nobody's answers: the prior.
    torch.testing.assert_close(posterior.loc[0], torch.zeros(2))


def test_the_kl_is_torchs_own(double):
    torch.manual_seed(0)
    root = torch.randn(5, 3, 3).tril()
    root.diagonal(dim1=-2, dim2=-1).exp_()
    q = MultivariateNormal(torch.randn(5, 3), scale_tril=root)
    mean, scale = torch.randn(5, 3), torch.rand(5, 3) + 0.5
    p = Independent(Normal(mean, scale), 1)
    dense = MultivariateNormal(mean, torch.diag_embed(scale.square()))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q, dense))


def test_the_bound_equals_the_log_evidence_when_the_guide_is_exact(answered, linear_gaussian, exact):
    model, guide = linear_gaussian
    pyro.set_rng_seed(0)
    objective = PredictiveELBO()
    draws = torch.tensor([-objective.loss(model, guide, answered) for _ in range(4000)])
    target = exact(model, answered)["evidence"].sum() + model.log_prior().detach()
    error = 4 * draws.std() / 4000**0.5
    assert abs(draws.mean() - target) < error
    assert error < 0.2  # else the check above would be no check


def test_the_bound_is_flat_at_the_exact_posterior(answered, linear_gaussian):
    """At the optimum of the guide its expected gradient is zero."""
    model, guide = linear_gaussian
    pyro.set_rng_seed(1)
    objective = PredictiveELBO()
    parameters = list(guide.parameters())
    gradients = []
    for _ in range(1500):
        gradients.append(
            torch.cat(
                [
                    g.ravel()
                    for g in torch.autograd.grad(objective.differentiable_loss(model, guide, answered), parameters)
                ]
            )
        )
    stacked = torch.stack(gradients)
    z = stacked.mean(0) / (stacked.std(0) / len(gradients) ** 0.5).clamp(min=1e-12)
    # Some 30 coordinates at 5 standard errors: error rate below 2e-5.
    assert z.abs().max() < 5
    assert stacked.std(0).max() > 1e-3


def test_a_minibatch_speaks_for_the_population(answered, linear_gaussian):
    """The expected loss over all minibatches is the full one, in total log density."""
    model, guide = linear_gaussian
    pyro.set_rng_seed(2)
    n = 600

    def total(batch):
        objective = PredictiveELBO()
        return torch.tensor([objective.loss(model, guide, batch) for _ in range(n)])

    full = total(answered)
    halves = [total(answered.people(torch.arange(start, 12, 2))) for start in (0, 1)]
    prior = model.log_prior().detach()
    mean = sum(half.mean() + prior for half in halves) / 2
    error = 4 * (full.var() / n + sum(half.var() for half in halves) / 4 / n).sqrt()
    assert abs(full.mean() + prior - mean) < error


def test_the_joint_score_is_the_log_evidence(answered, linear_gaussian, exact):
    model, _ = linear_gaussian
    truth = exact(model, answered)["evidence"].sum() / answered.n_answers
    score = log_score(model, answered, n_draws=8192)
    assert score.joint == pytest.approx(truth.item(), abs=5e-3)


def test_a_score_that_has_seen_the_answers_is_caught(answered, linear_gaussian, exact):
    """eps from q(eps | y) flatters the score far beyond the evidence; eps from the prior does not."""
    model, guide = linear_gaussian
    # Person variance half of the total: loadings of norm about that of the noise.
    with torch.no_grad():
        start = model.encoder.widths[0] + 1
        model.encoder.affine.bias[start : start + 2] = 0.75
    torch.manual_seed(5)
    eps = torch.randn(answered.n_participants, 2)
    x = model.problems(answered).at(answered.problem)
    z = model.participants(answered.profile, eps).at(answered.participant)
    y = model.answer_dist(model.belief_dist(x, z), x, z).sample().detach()
    batch = type(answered)(**{**vars(answered), "response": y})
    truth = exact(model, batch)["evidence"].sum().item()
    with torch.no_grad():
        draws = guide.eps_dist(batch).sample(torch.Size([4096]))
        leaked = torch.zeros(len(draws), batch.n_participants)
        for s, each in enumerate(draws):
            z = model.participants(batch.profile, each).at(batch.participant)
            log_prob = model.answer_dist(model.belief_dist(x, z), x, z).log_prob(y)
            leaked[s].index_add_(0, batch.participant, log_prob)
        flattered = (torch.logsumexp(leaked, 0) - torch.tensor(float(len(draws))).log()).sum().item()
    honest = log_score(model, batch, n_draws=8192).joint * batch.n_answers
    assert honest == pytest.approx(truth, abs=0.3)
    assert flattered > truth + 3.0
