"""Plackett-Luce, ranked and as a set, against all orders written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from crowdpyro.models import PlackettLuce, PlackettLuceSet

DOUBLE = torch.float64
SIZES = [(m, n) for m in range(2, 7) for n in range(1, m + 1)]


def utilities(m, scale, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(0, scale, m), dtype=DOUBLE)


def orders(logits, n):
    """Every ordered choice of n options and its probability."""
    weight = logits.exp()
    for order in itertools.permutations(range(len(logits)), n):
        p, there = 1.0, set(range(len(logits)))
        for option in order:
            p = p * weight[option] / weight[list(there)].sum()
            there.remove(option)
        yield order, p


def ballot(order, m, scores):
    value = torch.zeros(m, dtype=DOUBLE)
    value[list(order)] = scores
    return value


@pytest.mark.parametrize("scale", [0.3, 2.0, 6.0])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_both_agree_with_all_orders(m, n, scale):
    logits = utilities(m, scale)
    ranked, chosen = PlackettLuce(logits, n), PlackettLuceSet(logits, n)
    sets, borda, taken = {}, torch.zeros(m, dtype=DOUBLE), torch.zeros(m, dtype=DOUBLE)
    for order, p in orders(logits, n):
        value = ballot(order, m, ranked.scores)
        assert ranked.log_prob(value).item() == pytest.approx(p.log().item(), abs=1e-10)
        borda, taken = borda + p * value, taken + p * (value > 0)
        sets[frozenset(order)] = sets.get(frozenset(order), 0.0) + p
    for options, p in sets.items():
        found = chosen.log_prob(ballot(options, m, 1.0)).item()
        assert found == pytest.approx(p.log().item(), abs=1e-8)
    np.testing.assert_allclose(ranked.mean, borda, atol=1e-8)
    np.testing.assert_allclose(chosen.mean, taken, atol=1e-8)


@pytest.mark.parametrize("kind", [PlackettLuce, PlackettLuceSet])
@pytest.mark.parametrize(("m", "n"), [(2, 1), (5, 2), (5, 4), (5, 5)])
def test_gradients_and_the_diagonal_of_the_information_are_exact(kind, m, n):
    logits = torch.stack([utilities(m, 1.5, seed) for seed in range(3)]).requires_grad_()
    torch.manual_seed(1)
    value = kind(logits, n).sample()
    assert torch.autograd.gradcheck(lambda each: kind(each, n).log_prob(value), logits)
    assert torch.autograd.gradcheck(lambda each: kind(each, n).mean, logits)
    gradient = torch.autograd.grad(kind(logits, n).log_prob(value).sum(), logits, create_graph=True)[0]
    found = kind(logits, n).evidence(value)
    torch.testing.assert_close(found[0], gradient, atol=1e-8, rtol=0)
    if n < m or kind is PlackettLuce:
        second = [torch.autograd.grad(gradient[:, k].sum(), logits, retain_graph=True)[0][:, k] for k in range(m)]
        torch.testing.assert_close(found[1], -torch.stack(second, dim=1), atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", [PlackettLuce, PlackettLuceSet])
def test_samples_follow_the_probabilities(kind):
    torch.manual_seed(2)
    f = kind(utilities(4, 1.0), 2)
    drawn = f.sample(torch.Size([200_000]))
    assert f.support.check(drawn).all()
    assert not f.support.check(torch.full((4,), 1.0, dtype=DOUBLE)).any()
    ballots, counts = torch.unique(drawn, dim=0, return_counts=True)
    # Error rate 1e-4, fixed seed.
    assert stats.chisquare(counts, len(drawn) * f.log_prob(ballots).exp().numpy(), sum_check=False).pvalue > 1e-4
    error = (drawn.mean(0) - f.mean).abs()
    assert (error < 4.5 * drawn.std(0) / len(drawn) ** 0.5).all()


@pytest.mark.parametrize("kind", [PlackettLuce, PlackettLuceSet])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_extreme_logits_stay_finite(kind, dtype, n):
    rng = np.random.default_rng(3)
    logits = torch.as_tensor(rng.choice([-1e4, 0.0, 30.0, 1e4], (200, 6)), dtype=dtype).requires_grad_()
    f = kind(logits, n)
    first = torch.as_tensor(rng.permuted(np.tile(np.arange(6), (200, 1)), axis=1)[:, :n].copy())
    value = torch.zeros(200, 6, dtype=dtype).scatter(1, first, f.scores.expand(200, n))
    log_prob, mean = f.log_prob(value), f.mean
    gradient = torch.autograd.grad(log_prob.sum(), logits, retain_graph=True)[0]
    for each in (log_prob, gradient, mean, *f.evidence(value)):
        assert torch.isfinite(each).all()
    torch.testing.assert_close(mean.sum(1), f.scores.sum().expand(200), atol=1e-4, rtol=0)
    assert (log_prob <= 1e-5).all()


def test_single_precision_is_near_double_for_many_options():
    logits = torch.as_tensor(np.random.default_rng(4).normal(0, 2, (50, 24)))
    for n in (1, 5, 12, 22):
        torch.manual_seed(n)
        value = PlackettLuceSet(logits, n).sample()
        exact, single = PlackettLuceSet(logits, n), PlackettLuceSet(logits.float(), n)
        error = (exact.log_prob(value) - single.log_prob(value.float())).abs().max()
        assert error < 3e-5
        assert (exact.mean - single.mean).abs().max() < 2e-6


def test_expand_and_sample_shapes():
    f = PlackettLuceSet(torch.zeros(3, 4), 2)
    assert f.batch_shape == (3,)
    assert f.event_shape == (4,)
    wide = f.expand(torch.Size([5, 3]))
    assert type(wide) is PlackettLuceSet
    assert wide.sample(torch.Size([7])).shape == (7, 5, 3, 4)
    assert wide.log_prob(f.sample()).shape == wide.mean.shape[:-1] == (5, 3)
