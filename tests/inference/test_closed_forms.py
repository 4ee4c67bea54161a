"""The bound, its gradient and its optimum in the linear-Gaussian program, where all of them are known.

There the integrand is quadratic in eps, so that four draws at +-sqrt(2) along the axes of q, whose mean and covariance
are those of q exactly, integrate it without error: what is compared is the objective itself and not its noise.
"""

from __future__ import annotations

import pyro
import pytest
import torch
from pyro.distributions import MultivariateNormal
from pyro.nn import PyroModule
from torch import nn

from crowdpyro.inference import ParticipantGuide, PredictiveELBO

AXES = 2**0.5 * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)


class OnAxes(MultivariateNormal):
    """Of the four particles, one is at each end of either axis."""

    def rsample(self, sample_shape=torch.Size()):
        assert self.batch_shape[0] == 4
        return self.loc + (self.scale_tril @ AXES[:, None, :, None])[..., 0]


def exact_elbo():
    return PredictiveELBO(num_particles=4, vectorize_particles=True)


class AmortisedOnAxes(ParticipantGuide):
    """The guide itself, its draws on the axes."""

    def eps_dist(self, batch):
        told = super().eps_dist(batch)
        return OnAxes(told.loc, scale_tril=told.scale_tril, validate_args=False)


class FullCovariance(PyroModule):
    """A free mean and a free Cholesky factor for everybody, wherever they start."""

    def __init__(self, n_people):
        super().__init__()
        self.mean = nn.Parameter(torch.full((n_people, 2), 2.0))
        self.log_diagonal = nn.Parameter(torch.full((n_people, 2), -1.0))
        self.below = nn.Parameter(torch.full((n_people,), 0.5))

    def forward(self, batch, integrate=True):
        with pyro.plate("participants", batch.population, subsample=batch.rows):
            pyro.sample("eps", self.eps_dist(batch))

    def eps_dist(self, batch):
        root = torch.diag_embed(self.log_diagonal.exp())
        root = root + torch.nn.functional.pad(self.below[:, None, None], (0, 1, 1, 0))
        return OnAxes(self.mean, scale_tril=root)


@pytest.fixture
def answered(meet, linear_gaussian):
    torch.manual_seed(3)
    return meet(lambda n: 3 + 1.5 * torch.randn(n))


def exact_loss(model, guide, batch):
    return exact_elbo().differentiable_loss(model, guide, batch)


def closed_bound(model, told, batch):
    """The bound by hand: sum over answers of E log N(y | m + a . eps, s^2), less the KL, plus the log prior.

    E (r - a . eps)^2 = (r - a . mean)^2 + a' C a,   KL = (tr C + |mean|^2 - 2 - log det C) / 2
    """
    x = model.problems(batch).at(batch.problem)
    z = model.participants(batch.profile, None).at(batch.participant)
    answer = model.answer_dist(model.belief_dist(x, z), x, z)
    mean, covariance = told.loc[batch.participant], told.covariance_matrix[batch.participant]
    square = (batch.given - answer.mean - (x.loadings * mean).sum(1)).square()
    square = square + torch.einsum("ad,ade,ae->a", x.loadings, covariance, x.loadings)
    fit = -0.5 * (square / answer.variance + (2 * torch.pi * answer.variance).log())
    trace = told.covariance_matrix.diagonal(dim1=1, dim2=2).sum(1)
    kl = 0.5 * (trace + told.loc.square().sum(1) - 2 - torch.logdet(told.covariance_matrix))
    return fit.sum() - kl.sum() + model.log_prior()


# Through these eps acts nonlinearly, so that four draws are not enough; being 0, they leave the bound quadratic.
NONLINEAR = ("belief.hidden", "belief.readout", "belief.scale")


def amortised(linear_gaussian, kind=AmortisedOnAxes):
    """A guide that is off its optimum."""
    model, _ = linear_gaussian
    torch.manual_seed(7)
    guide = kind(model)
    with torch.no_grad():
        guide.correction.weight.normal_(0.0, 0.2)
        guide.correction.bias.normal_(0.0, 0.3)
    return model, guide


def test_bound_and_gradients_are_those_of_the_closed_form(answered, linear_gaussian):
    model, guide = amortised(linear_gaussian)
    by_hand = -closed_bound(model, guide.eps_dist(answered), answered)
    loss = exact_loss(model, guide, answered)
    torch.testing.assert_close(loss, by_hand)
    named = {f"guide.{name}": each for name, each in guide.named_parameters()}
    named |= {name: each for name, each in model.named_parameters() if not name.startswith(NONLINEAR)}
    assert "encoder.offset" in named
    assert "belief.shift.weight" in named
    truth = torch.autograd.grad(by_hand, list(named.values()), materialize_grads=True)
    found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
    for name, one, other in zip(named, found, truth, strict=True):
        assert one.numel() == 0 or other.abs().max() > 1e-3, name
        torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")


def test_gradients_of_plain_draws_are_unbiased(answered, linear_gaussian):
    model, guide = amortised(linear_gaussian, ParticipantGuide)
    parameters = [*guide.parameters(), model.encoder.offset, model.belief.shift.weight]
    truth = torch.autograd.grad(-closed_bound(model, guide.eps_dist(answered), answered), parameters)
    pyro.set_rng_seed(3)
    elbo, draws = PredictiveELBO(), []
    for _ in range(1000):
        loss = elbo.differentiable_loss(model, guide, answered)
        draws.append(torch.cat([each.ravel() for each in torch.autograd.grad(loss, parameters)]))
    stacked = torch.stack(draws)
    error = stacked.std(0) / len(draws) ** 0.5
    z = (stacked.mean(0) - torch.cat([each.ravel() for each in truth])) / error.clamp(min=1e-9)
    # Some 50 coordinates at 5 standard errors: error rate below 4e-5.
    assert z.abs().max() < 5
    assert (error / truth[0].abs().max()).max() < 0.5


def by_adam(guide, loss):
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700)
    for _ in range(700):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()


def by_lbfgs(guide, loss):
    """Without noise, L-BFGS gets through the valley of weights that people share in a tenth of Adam's steps."""
    optimizer = torch.optim.LBFGS(guide.parameters(), max_iter=400, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


@pytest.mark.parametrize("kind", ["free", "amortised"])
def test_from_a_wrong_start_the_guide_becomes_the_posterior(answered, linear_gaussian, exact, kind):
    model, guide = amortised(linear_gaussian) if kind == "amortised" else (linear_gaussian[0], FullCovariance(12))
    truth = exact(model, answered)
    before = guide.eps_dist(answered)
    assert (before.loc - truth["mean"]).abs().max() > 0.2
    model.requires_grad_(False)
    minimise = by_lbfgs if kind == "amortised" else by_adam
    minimise(guide, lambda: exact_loss(model, guide, answered))
    told = guide.eps_dist(answered)
    torch.testing.assert_close(told.loc, truth["mean"], rtol=0, atol=1e-3)
    torch.testing.assert_close(told.covariance_matrix, truth["covariance"], rtol=0, atol=1e-3)
    evidence = truth["evidence"].sum() + model.log_prior()
    bound = -exact_loss(model, guide, answered)
    torch.testing.assert_close(bound, evidence, rtol=0, atol=1e-3)
    assert bound <= evidence + 1e-9


def test_the_bound_does_not_know_the_order_of_people_or_answers(answered, linear_gaussian):
    model, guide = amortised(linear_gaussian)
    loss = exact_loss(model, guide, answered)
    torch.manual_seed(0)
    people = torch.randperm(12)
    torch.testing.assert_close(exact_loss(model, guide, answered.people(people)), loss)
    shuffled = torch.randperm(answered.n_answers)
    torch.testing.assert_close(exact_loss(model, guide, answered.meetings(shuffled)), loss)


def test_the_bound_is_the_sum_of_its_minibatches(answered, linear_gaussian):
    """Each stands for the population: their mean, weighted by people, is the whole, and here without any noise."""
    model, guide = amortised(linear_gaussian)
    whole = exact_loss(model, guide, answered)
    torch.manual_seed(1)
    for size in (2, 3, 4, 6):
        losses = []
        for chosen in torch.randperm(12).split(size):
            losses.append(exact_loss(model, guide, answered.people(chosen)) * len(chosen) / 12)
        torch.testing.assert_close(torch.stack(losses).sum(), whole, msg=lambda text, size=size: f"size {size}: {text}")
