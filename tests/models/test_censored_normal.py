"""The censored normal: density inside, mass at the bounds, finite wherever the location is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from crowdpyro.models import CensoredNormal

DOUBLE = torch.float64
BOUNDS = [(0.0, 10.0), (0.0, math.inf), (-math.inf, 10.0), (-math.inf, math.inf)]


def censored(loc, scale, low=0.0, high=10.0, dtype=DOUBLE):
    return CensoredNormal(torch.as_tensor(loc, dtype=dtype), torch.as_tensor(scale, dtype=dtype), low, high)


def density(f, y):
    return f.log_prob(torch.as_tensor(y, dtype=DOUBLE)).exp().item()


@settings(max_examples=25, deadline=None)
@given(st.floats(-8, 18), st.floats(0.3, 6), st.sampled_from(BOUNDS))
def test_mass_and_density_sum_to_one_and_give_the_mean(loc, scale, bounds):
    low, high = bounds
    f = censored(loc, scale, low, high)
    # Strictly inside, so that the mass at the bounds is counted once; beyond 12 scales there is nothing.
    ends = max(low, loc - 12 * scale) + 1e-9, min(high, loc + 12 * scale) - 1e-9
    total = mean = 0.0
    if ends[0] < ends[1]:
        where = {"limit": 200, "points": [min(max(loc, ends[0]), ends[1])]}
        total = integrate.quad(lambda y: density(f, y), *ends, **where)[0]
        mean = integrate.quad(lambda y: density(f, y) * y, *ends, **where)[0]
    for bound in bounds:
        if math.isfinite(bound):
            total, mean = total + density(f, bound), mean + density(f, bound) * bound
    assert total == pytest.approx(1.0, abs=1e-6)
    assert f.mean.item() == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_log_prob_is_that_of_scipy(bounds):
    f = censored([3.0, 12.0, -5.0], [1.0, 3.0, 2.0], *bounds)
    for y in (0.0, 1e-3, 4.0, 10.0):
        expected = stats.norm.logpdf(y, f.loc, f.scale)
        if y == bounds[0]:
            expected = stats.norm.logcdf(y, f.loc, f.scale)
        if y == bounds[1]:
            expected = stats.norm.logsf(y, f.loc, f.scale)
        np.testing.assert_allclose(f.log_prob(torch.tensor(y, dtype=DOUBLE)), expected, rtol=1e-10)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_gradients_and_evidence_are_exact(bounds):
    loc = torch.tensor([-3.0, 1.0, 4.0, 13.0], dtype=DOUBLE, requires_grad=True)
    scale = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=DOUBLE, requires_grad=True)
    for y in (0.0, 2.5, 10.0):
        answer = torch.full((4,), y, dtype=DOUBLE)
        assert torch.autograd.gradcheck(lambda m, s, y=answer: CensoredNormal(m, s, *bounds).log_prob(y), (loc, scale))
        f = CensoredNormal(loc, scale, *bounds)
        gradient = torch.autograd.grad(f.log_prob(answer).sum(), loc, create_graph=True)[0]
        # With bounds at neither y the gradient is linear, and its derivative a constant without a graph.
        second = torch.autograd.grad(gradient.sum(), loc)[0]
        found = f.evidence(answer)
        torch.testing.assert_close(found[0], gradient)
        torch.testing.assert_close(found[1], -second)
    assert torch.autograd.gradcheck(lambda m, s: CensoredNormal(m, s, *bounds).mean, (loc, scale))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("loc", [-1e4, 0.0, 5.0, 10.0, 1e4])
def test_extremes_stay_finite(loc, scale, dtype):
    m = torch.full((4,), loc, dtype=dtype, requires_grad=True)
    s = torch.full((4,), scale, dtype=dtype, requires_grad=True)
    f = CensoredNormal(m, s, 0.0, 10.0)
    log_prob = f.log_prob(torch.tensor([0.0, 1e-6, 5.0, 10.0], dtype=dtype))
    gradients = torch.autograd.grad(log_prob.sum() + f.mean.sum(), (m, s))
    evidence = f.evidence(torch.tensor([0.0, 1e-6, 5.0, 10.0], dtype=dtype))
    for each in (log_prob, f.mean, *gradients, *evidence):
        assert torch.isfinite(each).all()
    assert ((f.mean >= 0) & (f.mean <= 10)).all()
    assert (evidence[1] >= 0).all()


def test_samples_pile_up_at_the_bounds():
    torch.manual_seed(0)
    n, f = 200_000, censored(9.0, 3.0)
    drawn = f.sample(torch.Size([n])).numpy()
    assert f.support.check(torch.as_tensor(drawn)).all()
    edges = np.linspace(0, 10, 21)
    inside = np.histogram(drawn[(drawn > 0) & (drawn < 10)], edges)[0]
    counts = np.concatenate([[(drawn == 0).sum()], inside, [(drawn == 10).sum()]])
    below = stats.norm.cdf(edges, 9.0, 3.0)
    probs = np.concatenate([below[:1], np.diff(below), 1 - below[-1:]])
    # Error rate 1e-4, fixed seed.
    assert stats.chisquare(counts, n * probs).pvalue > 1e-4


def test_expand_keeps_the_distribution():
    f = censored([1.0, 11.0], [1.0, 2.0]).expand(torch.Size([4, 2]))
    assert f.batch_shape == f.mean.shape == (4, 2)
    y = torch.full((4, 2), 10.0, dtype=DOUBLE)
    assert torch.equal(f.log_prob(y)[0], f.log_prob(y)[3])
