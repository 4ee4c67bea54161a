"""The cut normal: a proper distribution, right in the tails, with gradients that stay finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crowdpyro.models import CutNormal

CUTS = torch.tensor([1.5, 2.5, 3.5, 4.5], dtype=torch.float64)


def cut_normal(loc, scale, cuts=CUTS):
    return CutNormal(torch.as_tensor(loc, dtype=cuts.dtype), torch.as_tensor(scale, dtype=cuts.dtype), cuts)


@settings(max_examples=60, deadline=None)
@given(st.floats(-4, 10), st.floats(0.2, 5))
def test_probabilities_are_differences_of_the_normal(loc, scale):
    f = cut_normal(loc, scale)
    below = np.concatenate([[0], stats.norm.cdf(CUTS.numpy(), loc, scale), [1]])
    np.testing.assert_allclose(f.probs.numpy(), np.diff(below), atol=1e-12)
    assert f.probs.sum().item() == pytest.approx(1.0, abs=1e-12)
    log_prob = f.log_prob(torch.arange(5.0, dtype=torch.float64))
    np.testing.assert_allclose(log_prob.exp().numpy(), np.diff(below), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loc", [-1e3, -50.0, 3.0, 60.0, 1e3])
def test_extreme_locations_stay_finite(loc, dtype):
    at = torch.tensor(loc, dtype=dtype, requires_grad=True)
    log_prob = CutNormal(at, torch.tensor(1.0, dtype=dtype), CUTS.to(dtype)).log_prob(torch.arange(5.0, dtype=dtype))
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(at.grad)
    # Far off the scale, the pull towards an inner level is that of its nearer cut point: about (cut - loc).
    if abs(loc) >= 60:
        nearest = 0 if loc < 0 else 4
        assert log_prob.argmax().item() == nearest


def test_tails_agree_with_scipy_where_differences_underflow():
    f = cut_normal(30.0, 1.0)
    exact = stats.norm.logsf(30 - 3.5) + np.log1p(-np.exp(stats.norm.logsf(30 - 2.5) - stats.norm.logsf(30 - 3.5)))
    assert f.log_prob(torch.tensor(2.0, dtype=torch.float64)).item() == pytest.approx(exact, rel=1e-9)


def test_gradients_are_those_of_finite_differences():
    loc = torch.tensor([0.3, 2.9, 6.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.7, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    cuts = CUTS.repeat(3, 1).requires_grad_()
    answers = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *args: CutNormal(*args).log_prob(answers), (loc, scale, cuts))


def test_samples_follow_the_probabilities():
    torch.manual_seed(0)
    f = cut_normal(2.2, 1.3)
    n = 200_000
    counts = torch.bincount(f.sample(torch.Size([n])).long(), minlength=5).numpy()
    # Error rate 1e-4, fixed seed.
    assert stats.chisquare(counts, n * f.probs.numpy()).pvalue > 1e-4


def test_expand_keeps_the_distribution():
    f = cut_normal([1.0, 3.0], [1.0, 2.0]).expand(torch.Size([4, 2]))
    assert f.batch_shape == (4, 2)
    assert f.probs.shape == (4, 2, 5)
    assert f.mean.shape == (4, 2)
    assert torch.equal(f.log_prob(torch.ones(4, 2))[0], f.log_prob(torch.ones(4, 2))[3])
