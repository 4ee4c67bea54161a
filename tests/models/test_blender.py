"""Blenders: the belief is integrated out exactly, and the guide's evidence is the likelihood's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from crowdpyro import Categorical, Continuous, ModelError, Ordinal
from crowdpyro.models import CutNormalBlender, NormalBlender, SoftmaxBlender, blender_for

DOUBLE = torch.float64


def belief(loc, scale, n=1):
    loc = torch.full((1, n), loc, dtype=DOUBLE)
    return Independent(Normal(loc, torch.full_like(loc, scale)), 1)


@pytest.mark.parametrize("scale", [Ordinal.range(1, 5), Ordinal.range(0, 1), Ordinal((1.0, 2.0, 4.0)), Continuous()])
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


def test_evidence_is_gradient_and_information_of_the_normal():
    blender = NormalBlender(1.2).double()
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
    mean = blender.expected(blender.response_dist(torch.tensor([50.0]), torch.zeros(1, 2)))
    assert mean.item() == pytest.approx(4.0, abs=1e-4)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ModelError, match="no blender is known"):
        blender_for("ballot")
