"""Blenders: one contract for all of them, the belief integrated out exactly, the guide's evidence the likelihood's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Normal

from crowdpyro import Ballot, Categorical, Continuous, ModelError, Ordinal
from crowdpyro.models import (
    CensoredNormalBlender,
    CutNormalBlender,
    NormalBlender,
    SoftmaxBlender,
    blender_for,
)

DOUBLE = torch.float64
OPTIONS = ("a", "b", "c", "d")
SCALES = {
    "ordinal": Ordinal.range(1, 5),
    "two_levels": Ordinal.range(0, 1),
    "categorical": Categorical(OPTIONS),
    "continuous": Continuous(),
    "bounded": Continuous(0.0, 4.0),
    "bounded_below": Continuous(low=0.0),
    "approval": Ballot(OPTIONS, "approval"),
    "choose": Ballot(OPTIONS, "choose", 2),
    "choose_one": Ballot(OPTIONS, "choose", 1),
    "rank": Ballot(OPTIONS, "rank", 3),
    "points": Ballot(OPTIONS, "points", 3),
}


@pytest.fixture(params=SCALES)
def scale(request):
    """Every kind of answer."""
    return SCALES[request.param]


def support(scale):
    """Every encoded answer, `(n_answers, ...)`, of a discrete scale; of a continuous one, its bounds."""
    if isinstance(scale, Continuous):
        return torch.tensor([each for each in (scale.low, scale.high) if math.isfinite(each)], dtype=DOUBLE)
    if not isinstance(scale, Ballot):
        return torch.arange(scale.n_levels, dtype=DOUBLE)
    rows = itertools.product(range(scale.highest + 1), repeat=scale.n_levels)
    texts = {scale.decode(np.array(row)).item() for row in rows}
    return torch.as_tensor(scale.encode(sorted(text for text in texts if scale.valid([text]).all())))


def inner(scale):
    """Edges of fine bins strictly between the bounds of a continuous scale, and how far they reach."""
    return np.linspace(max(scale.low, -15.0) + 1e-9, min(scale.high, 19.0) - 1e-9, 4001)


def placed(scale, blender, rows=1):
    """A location and shape numbers away from any special point."""
    rng = np.random.default_rng(4)
    wide = () if isinstance(scale, Continuous | Ordinal) else (scale.n_levels,)
    location = torch.as_tensor(rng.normal(1.2, 0.8, (rows, *wide)))
    return location, torch.as_tensor(rng.normal(0, 0.4, (rows, blender.n_shape)))


def test_probabilities_sum_to_one(scale):
    blender = blender_for(scale, 0.9).double()
    f = blender.response_dist(*placed(scale, blender))
    answers = support(scale)
    total = f.log_prob(answers.reshape(len(answers), 1, *answers.shape[1:])).exp().sum(0)
    if isinstance(scale, Continuous):
        edges = torch.as_tensor(inner(scale))
        total = total + torch.trapezoid(f.log_prob(edges[:, None]).exp(), edges, dim=0)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)


def test_a_million_draws_have_the_probabilities_and_the_mean(scale):
    """Error rate 1e-4 each, fixed seed."""
    n, blender = 1_000_000, blender_for(scale, 0.9)
    location, shape = (each.float() for each in placed(scale, blender))
    f = blender.response_dist(location, shape)
    torch.manual_seed(5)
    drawn = f.sample(torch.Size([n]))[:, 0].double()
    if isinstance(scale, Continuous):
        edges = inner(scale)
        density = f.log_prob(torch.as_tensor(edges, dtype=torch.float32)[:, None])[:, 0].double().exp().numpy()
        probs = ((density[1:] + density[:-1]) / 2 * np.diff(edges)).reshape(40, 100).sum(axis=1)
        counts = np.histogram(drawn, edges[::100])[0]
        answers = support(scale)
        counts = np.append(counts, [(drawn == each).sum() for each in answers])
        probs = np.append(probs, f.log_prob(answers.float()[:, None])[:, 0].exp())
    else:
        answers = support(scale)
        # One number an answer, whatever its width.
        code = (7.0 ** torch.arange(answers[0].numel(), dtype=DOUBLE)).reshape(answers.shape[1:])
        key = (answers * code).reshape(len(answers), -1).sum(1)
        order = key.argsort()
        place = torch.searchsorted(key[order], (drawn * code).reshape(n, -1).sum(1))
        counts = torch.bincount(place, minlength=len(answers)).numpy()
        rows = answers[order].float()
        probs = f.log_prob(rows.reshape(len(rows), 1, *rows.shape[1:]))[:, 0].double().exp().numpy()
    assert counts.sum() == n
    likely = n * probs > 10
    rest = [counts[~likely].sum()], [n * probs[~likely].sum() + 1e-9]
    observed, expected = np.append(counts[likely], rest[0]), np.append(n * probs[likely], rest[1])
    keep = expected > 1e-3
    assert stats.chisquare(observed[keep], expected[keep] * observed[keep].sum() / expected[keep].sum()).pvalue > 1e-4
    mean = blender.expected(f)[0].double()
    if isinstance(scale, Categorical):
        assert mean == torch.as_tensor(counts).argmax()
        return
    values = blender.values(drawn)
    bound = stats.norm.isf(0.5e-4 / mean.numel()) * values.double().std(0) / n**0.5
    assert ((values.double().mean(0) - mean).abs() < bound + 1e-6).all()


def test_gradients_are_right(scale):
    blender = blender_for(scale, 0.9).double()
    location, shape = (each.requires_grad_() for each in placed(scale, blender, rows=3))
    torch.manual_seed(6)
    answers = blender.response_dist(location, shape).sample()
    inputs = (location, shape) if blender.n_shape else (location,)
    numbers = shape.detach()

    def log_prob(place, shape=numbers):
        return blender.response_dist(place, shape).log_prob(answers)

    assert torch.autograd.gradcheck(log_prob, inputs)
    if not isinstance(scale, Categorical):
        assert torch.autograd.gradcheck(
            lambda place, shape=numbers: blender.expected(blender.response_dist(place, shape)), inputs
        )


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_extreme_locations_and_spreads_stay_finite(scale, dtype):
    blender = blender_for(scale, 0.9).to(dtype)
    answers = support(scale).to(dtype)
    if isinstance(scale, Continuous):
        answers = torch.cat([answers, torch.tensor([0.5, 2.0], dtype=dtype)])
    answers = answers.reshape(len(answers), 1, *answers.shape[1:])
    wide = answers.shape[2:]
    for place in (-1e4, 1e4):
        for raw in (-50.0, 0.0, 50.0):
            location = torch.full((1, *wide), place, dtype=dtype)
            if isinstance(scale, Categorical):
                location = torch.full((1, 4), place, dtype=dtype)
            if location.ndim == 2:
                location[0, 0] *= -1
            location.requires_grad_()
            shape = torch.full((1, blender.n_shape), 0.0, dtype=dtype)
            shape[:, : blender.n_spread] = raw
            shape.requires_grad_()
            f = blender.response_dist(location, shape)
            log_prob = f.log_prob(answers)
            gradients = torch.autograd.grad(log_prob.sum(), (location, shape), allow_unused=True)
            for each in (log_prob, blender.expected(f), *gradients):
                assert each is None or torch.isfinite(each).all(), (place, raw)


def test_the_first_numbers_of_the_shape_are_spreads(scale):
    """A higher raw spread makes the answers more random, and nothing else is a spread."""
    blender = blender_for(scale, 0.9).double()
    assert 0 <= blender.n_spread <= blender.n_shape
    assert not set(range(blender.n_spread)) & set(blender.margin_columns)
    if not blender.n_spread:
        return
    location, shape = placed(scale, blender)
    torch.manual_seed(7)
    spread = []
    for raw in (-2.0, 0.0, 2.0):
        shape[:, 0] = raw
        drawn = blender.response_dist(location, shape).sample(torch.Size([20_000]))
        spread.append(blender.values(drawn).double().std(0).mean().item())
    assert spread == sorted(spread)


def test_evidence_is_the_gradient_at_the_mean_belief(scale):
    blender = blender_for(scale, 0.9).double()
    location, shape = placed(scale, blender, rows=4)
    mean = torch.zeros(4, blender.n_belief, dtype=DOUBLE, requires_grad=True)
    # Hardly any belief, so that it does not matter whether its variance is added.
    certain = Independent(Normal(mean, torch.full_like(mean, 1e-6)), 1)
    torch.manual_seed(8)
    answers = blender.response_dist(location, shape).sample()
    log_prob = blender.response_dist(blender.location(location, mean), shape).log_prob(answers)
    gradient = torch.autograd.grad(log_prob.sum(), mean)[0]
    found, information = blender.evidence(answers, location, certain, shape)
    assert found.shape == information.shape == (4, blender.n_belief)
    assert (information >= 0).all()
    if isinstance(scale, Ordinal):
        # Documented: that of the value itself, as if it were not cut.
        residual = blender.values(answers) - location
        assert (found[:, 0] * residual >= 0).all()
    else:
        torch.testing.assert_close(found, gradient, atol=1e-7, rtol=1e-7)


def belief(loc, scale, n=1):
    loc = torch.full((1, n), loc, dtype=DOUBLE)
    return Independent(Normal(loc, torch.full_like(loc, scale)), 1)


@pytest.mark.parametrize(
    "scale",
    [
        Ordinal.range(1, 5),
        Ordinal.range(0, 1),
        Ordinal((1.0, 2.0, 4.0)),
        Continuous(),
        Continuous(0, 1),
        Continuous(high=1),
    ],
)
def test_integrated_equals_quadrature_over_delta(scale):
    blender = blender_for(scale, 0.9).double()
    reference = torch.tensor([2.1], dtype=DOUBLE)
    shape = torch.linspace(-0.5, 0.7, blender.n_shape, dtype=DOUBLE)[None]
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    delta = torch.as_tensor(0.4 + 0.8 * nodes)[:, None, None]
    answers = torch.tensor([0.0, 1.0], dtype=DOUBLE)
    for answer in answers:
        inner = blender.response_dist(blender.location(reference, delta), shape[None]).log_prob(answer).exp()
        quadrature = (inner[:, 0] * torch.as_tensor(weights)).sum() / np.sqrt(2 * np.pi)
        closed = blender.integrated(reference, belief(0.4, 0.8), shape).log_prob(answer).exp()
        assert closed.item() == pytest.approx(quadrature.item(), abs=1e-8)


@pytest.mark.parametrize(("n_levels", "n_shape"), [(2, 1), (3, 3), (5, 5)])
def test_cuts_increase_and_zero_is_the_midpoints(n_levels, n_shape):
    blender = CutNormalBlender(Ordinal.range(1, n_levels))
    assert blender.n_shape == n_shape
    cuts = blender.cuts(torch.randn(50, n_shape, generator=torch.Generator().manual_seed(0)))
    assert cuts.shape == (50, n_levels - 1)
    if n_levels > 2:
        assert torch.allclose((cuts[:, 0] + cuts[:, -1]) / 2, torch.tensor((n_levels + 1) / 2))
    assert (cuts.diff(dim=1) > 0).all()
    assert torch.allclose(blender.cuts(torch.zeros(1, n_shape))[0], torch.arange(1, n_levels) + 0.5)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_approvals_are_averaged_over_the_belief_option_by_option(scale):
    ballot = Ballot(("a", "b"), "approval")
    blender = blender_for(ballot).double()
    reference = torch.tensor([[-1.3, 0.6]], dtype=DOUBLE)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    delta = torch.as_tensor(0.4 + scale * nodes)[:, None, None]
    chance = torch.sigmoid(reference + delta) * torch.as_tensor(weights / np.sqrt(2 * np.pi))[:, None, None]
    found = blender.integrated(reference, belief(0.4, scale, n=2), torch.zeros(1, 0)).mean
    torch.testing.assert_close(found, chance.sum(0), atol=2e-5, rtol=0)


def test_a_bound_makes_the_censored_normal():
    assert type(blender_for(Continuous())) is NormalBlender
    for bounded in (Continuous(0, 1), Continuous(low=0), Continuous(high=3)):
        assert type(blender_for(bounded)) is CensoredNormalBlender


def test_evidence_is_gradient_and_information_of_the_normal():
    blender = NormalBlender(Continuous(), 1.2).double()
    reference = torch.tensor([0.5], dtype=DOUBLE)
    shape = torch.tensor([[0.3]], dtype=DOUBLE)
    answer = torch.tensor([2.0], dtype=DOUBLE)
    mean = torch.tensor([[0.1]], dtype=DOUBLE, requires_grad=True)
    moving = Independent(Normal(mean, torch.full_like(mean, 0.6)), 1)
    log_prob = blender.integrated(reference, moving, shape).log_prob(answer)
    gradient = torch.autograd.grad(log_prob, mean, create_graph=True)[0]
    curvature = -torch.autograd.grad(gradient, mean)[0]
    found = blender.evidence(answer, reference, moving, shape)
    assert torch.allclose(found[0], gradient)
    assert torch.allclose(found[1], curvature)


def test_evidence_is_gradient_and_information_of_the_softmax():
    blender = SoftmaxBlender(Categorical(("a", "b", "c")))
    reference = torch.tensor([[-1.0, -0.5, -2.0]], dtype=DOUBLE)
    mean = torch.tensor([[0.3, -0.2, 0.0]], dtype=DOUBLE, requires_grad=True)
    moving = Independent(Normal(mean, torch.ones_like(mean)), 1)
    answer = torch.tensor([2.0])
    shape = torch.zeros(1, 0)
    log_prob = blender.response_dist(blender.location(reference, mean), shape).log_prob(answer)
    gradient = torch.autograd.grad(log_prob, mean, create_graph=True)[0]
    found = blender.evidence(answer, reference, moving, shape)
    assert torch.allclose(found[0], gradient)
    hessian = [-torch.autograd.grad(gradient[0, k], mean, retain_graph=True)[0][0, k] for k in range(3)]
    assert torch.allclose(found[1][0], torch.stack(hessian))


def test_codes_carry_the_values_of_the_scale():
    blender = CutNormalBlender(Ordinal((1.0, 2.0, 4.0)))
    assert blender.values(torch.tensor([2.0, 0.0])).tolist() == [4.0, 1.0]
    mean = blender.expected(blender.response_dist(torch.tensor([50.0]), torch.zeros(1, blender.n_shape)))
    assert mean.item() == pytest.approx(4.0, abs=1e-4)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ModelError, match="no blender is known"):
        blender_for("ballot")


def test_a_blender_of_another_scale_is_refused():
    with pytest.raises(ModelError, match=r"scale=Continuous.*: CutNormalBlender serves Ordinal; give the blender"):
        CutNormalBlender(Continuous())


def test_only_densities_are_unbounded():
    kinds = {name: blender_for(scale).is_density for name, scale in SCALES.items()}
    assert {name for name, density in kinds.items() if density} == {"continuous", "bounded", "bounded_below"}
