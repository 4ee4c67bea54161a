"""Ballots of which only some options are looked at."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from crowdpyro.models.errors import ModelError
from crowdpyro.models.plackett_luce import PlackettLuceSet
from crowdpyro.models.short_choice import ShortChoice


def test_it_is_the_set_of_each_ballots_own_size():
    torch.manual_seed(0)
    logits = torch.randn(7, 5, dtype=torch.float64)
    votes = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]] + [[0, 1, 0, 1, 1]] * 3)
    votes = votes.to(logits)
    found = ShortChoice(logits).log_prob(votes)
    for row, size in enumerate([1, 2, 0, 5, 3, 3, 3]):
        wanted = PlackettLuceSet(logits[row], size).log_prob(votes[row]) if size else torch.zeros(())
        assert found[row].item() == pytest.approx(float(wanted), abs=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_chances_of_all_ballots_of_a_size_sum_to_one(size):
    logits = torch.as_tensor(np.random.default_rng(1).normal(0, 1.5, 5))
    ballots = torch.zeros(0, 5, dtype=torch.float64)
    for options in itertools.combinations(range(5), size):
        row = torch.zeros(1, 5, dtype=torch.float64)
        row[0, list(options)] = 1.0
        ballots = torch.cat([ballots, row])
    assert ShortChoice(logits).log_prob(ballots).exp().sum().item() == pytest.approx(1.0, abs=1e-8)


def test_who_comes_first_among_some_does_not_depend_on_the_others():
    """200,000 rankings of six options, of which four are looked at; the best of these, by 4 binomial errors."""
    torch.manual_seed(2)
    logits = torch.tensor([0.4, -0.3, 1.0, 0.0, 2.0, 1.5])
    noisy = logits - torch.empty(200_000, 6).exponential_().log()
    first = noisy[:, :4].argmax(1)
    share = torch.bincount(first, minlength=4) / 200_000
    wanted = ShortChoice(logits[:4]).log_prob(torch.eye(4)).exp()
    assert (share - wanted).abs().max() < 4 * (0.25 / 200_000) ** 0.5


def test_evidence_is_the_gradient():
    torch.manual_seed(3)
    logits = torch.randn(4, 5, dtype=torch.float64).requires_grad_()
    votes = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 1]]).to(logits)
    gradient = torch.autograd.grad(ShortChoice(logits).log_prob(votes).sum(), logits)[0]
    found, information = ShortChoice(logits.detach()).evidence(votes)
    torch.testing.assert_close(found, gradient, atol=1e-8, rtol=0)
    assert (information >= 0).all()


def test_they_are_not_drawn():
    with pytest.raises(ModelError, match="short ballots are scored, not drawn"):
        ShortChoice(torch.zeros(3)).sample()
    assert ShortChoice(torch.zeros(3)).expand(torch.Size([4])).batch_shape == (4,)
