"""The profile program: its noise, its likelihood against quadrature, and its draws against the program itself."""

from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from scipy.integrate import quad
from scipy.special import ndtri
from scipy.stats import multivariate_normal, norm

from crowdpyro.errors import ModelError
from crowdpyro.models.profile_model import CutNoise, ProfileBatch, ProfileModel

DOUBLE = {"dtype": torch.float64}


def tensor(values):
    return torch.tensor(values, **DOUBLE)


@pytest.fixture
def model():
    return ProfileModel([tensor([0.2, 0.8]), tensor([0.5, 0.3, 0.2])], n_ordered=2, n_classes=2, rank=1)


@pytest.fixture
def params():
    return {
        "prevalence": tensor([0.3, 0.7]),
        "table_0": tensor([[0.9, 0.1], [0.2, 0.8]]),
        "table_1": tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]),
        "loc": tensor([[-1.0, 0.5], [0.6, -0.2]]),
        "scale": tensor([[0.5, 1.0], [0.8, 0.6]]),
        "loadings": tensor([[0.5], [-0.7]]),
    }


def batch(labels, below, share):
    n = len(labels)
    return ProfileBatch(torch.tensor(labels), tensor(below), tensor(share), torch.ones(n, **DOUBLE), n)


def test_noise_stays_between_its_level_and_has_density_one():
    noise = CutNoise(tensor([[0.2, 0.6, 0.0]]), tensor([[0.3, 0.0, 0.1]]))
    torch.manual_seed(0)
    draws = noise.sample(torch.Size([2000]))[:, 0]
    assert (draws[:, 0] > ndtri(0.2) - 1e-9).all()
    assert (draws[:, 0] < ndtri(0.5) + 1e-9).all()
    assert draws[:, 1].unique() == pytest.approx(ndtri(0.6))
    assert (draws[:, 2] < ndtri(0.1)).all()
    single = CutNoise(tensor([0.2]), tensor([0.3]))
    mass, _ = quad(lambda z: float(single.log_prob(tensor([z])).exp()), ndtri(0.2), ndtri(0.5))
    assert mass == pytest.approx(1.0, abs=1e-6)
    expanded = noise.expand(torch.Size([4, 1]))
    assert expanded.sample().shape == (4, 1, 3)


def test_log_score_is_the_probability_of_the_cell(model, params):
    """By importance over the noise, against the exact probability of a rectangle of the classes' normals."""
    below, share = np.array([0.2, 0.6]), np.array([0.3, 0.25])
    torch.manual_seed(0)
    people = batch([[1, 2]] * 4000, [below.tolist()] * 4000, [share.tolist()] * 4000)
    found = model.log_score(params, people, n_draws=5)
    wanted = 0.0
    for k in range(2):
        cov = np.outer(params["loadings"][:, 0], params["loadings"][:, 0]) + np.diag(params["scale"][k].numpy() ** 2)
        normal = multivariate_normal(params["loc"][k].numpy(), cov)
        box = normal.cdf(ndtri(below + share), lower_limit=ndtri(below))
        labels = params["prevalence"][k] * params["table_0"][k, 1] * params["table_1"][k, 2]
        wanted += float(labels) * box
    assert found.exp().mean().item() == pytest.approx(wanted, rel=0.03)


def test_draws_have_the_law_of_the_program(model, params):
    """Means, shares and the covariance of scores, of G_u and of the program itself, to five standard errors."""
    n = 20_000
    torch.manual_seed(1)
    labels, scores = model.draw(params, torch.rand(n, model.n_noise, **DOUBLE))
    told = poutine.condition(poutine.uncondition(model), data=params)
    trace = poutine.trace(told).get_trace(batch(np.zeros((n, 2), int).tolist(), np.zeros((n, 2)), np.zeros((n, 2))))
    for trait in range(2):
        one = torch.bincount(labels[:, trait], minlength=3) / n
        other = torch.bincount(trace.nodes[f"label_{trait}"]["value"], minlength=3) / n
        assert (one - other).abs().max() < 5 * np.sqrt(0.5 / n)
    told_scores = trace.nodes["score"]["value"]
    assert (scores.mean(0) - told_scores.mean(0)).abs().max() < 5 * np.sqrt(2 * 1.5 / n)
    assert (torch.cov(scores.T) - torch.cov(told_scores.T)).abs().max() < 5 * 2.5 / np.sqrt(n)


def test_conditional_draws_are_exact(model, params):
    n = 40_000
    torch.manual_seed(2)
    noise = torch.rand(n, model.n_noise, **DOUBLE)
    allowed = {1: torch.tensor([True, False, True])}
    labels, scores = model.draw(params, noise, allowed)
    assert set(labels[:, 1].tolist()) == {0, 2}
    all_labels, all_scores = model.draw(params, torch.rand(4 * n, model.n_noise, **DOUBLE))
    met = all_labels[:, 1] != 1
    assert model.chance(params, allowed) == pytest.approx(met.double().mean().item(), abs=5 * 0.5 / np.sqrt(4 * n))
    assert model.chance(params, allowed) == pytest.approx(0.3 * 0.5 + 0.7 * 0.8)
    assert (labels[:, 0] == 1).double().mean().item() == pytest.approx(
        (all_labels[met, 0] == 1).double().mean().item(), abs=5 * 0.5 * np.sqrt(1 / n + 1 / int(met.sum()))
    )
    assert (scores.mean(0) - all_scores[met].mean(0)).abs().max() < 5 * 1.2 * np.sqrt(2 / n)


def test_loss_is_the_enumerated_likelihood(model, params):
    """TraceEnum_ELBO of the program equals log p(labels, score) - log q(score) with the class summed out by hand."""
    people = batch([[0, 1], [1, 2]], [[0.1, 0.5], [0.4, 0.7]], [[0.2, 0.1], [0.3, 0.2]])
    score = tensor([[-0.8, 0.1], [0.2, 0.9]])

    def guide(data):
        for name, value in params.items():
            pyro.sample(name, pyro.distributions.Delta(value, event_dim=value.dim()))
        with model.participants(data):
            pyro.sample("score", pyro.distributions.Delta(score, event_dim=1))

    elbo = pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)
    prior = poutine.trace(poutine.condition(model.parameters, data=params)).get_trace().log_prob_sum()
    wanted = prior
    for i in range(2):
        total = 0.0
        for k in range(2):
            loading, scale = params["loadings"][:, 0].numpy(), params["scale"][k].numpy()
            density = multivariate_normal.pdf(
                score[i].numpy(), params["loc"][k].numpy(), np.outer(loading, loading) + np.diag(scale**2)
            )
            label = params["table_0"][k, people.labels[i, 0]] * params["table_1"][k, people.labels[i, 1]]
            total += float(params["prevalence"][k] * label) * density
        wanted += np.log(total)
    assert -elbo.loss(model, guide, people) == pytest.approx(float(wanted), rel=1e-6)


def test_one_class_of_standard_normals_scores_the_margins():
    model = ProfileModel([], n_ordered=1, n_classes=1)
    params = {"prevalence": tensor([1.0]), "loc": tensor([[0.0]]), "scale": tensor([[1.0]])}
    score = model.log_score(params, batch([[]], [[0.2]], [[0.3]]), n_draws=3)
    assert score.exp().item() == pytest.approx(0.3, rel=1e-9)
    assert norm.cdf(ndtri(0.5)) - norm.cdf(ndtri(0.2)) == pytest.approx(0.3)


@pytest.mark.parametrize("wrong", [{"n_classes": 0}, {"n_classes": 2, "rank": -1}, {"n_classes": 2, "smoothing": 0.0}])
def test_sizes_are_checked(wrong):
    with pytest.raises(ModelError, match="give at least 1, 0, and above 0"):
        ProfileModel([], 1, **wrong)
