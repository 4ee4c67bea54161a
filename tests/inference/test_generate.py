"""Crowds follow the model, whatever the blocks; the state around a computation is restored."""

from __future__ import annotations

import random

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from scipy import stats

from crowdpyro.inference import decisions, shares
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import DrawMixture, JointModel


@pytest.fixture
def setting(meet, ordinal):
    model, _ = ordinal()
    batch = meet()
    with seeded(0), torch.no_grad():
        z = model.participants(torch.randn(20, 2), torch.randn(20, 2))
    return model.eval(), model.problems(batch), z


def test_decisions_follow_the_shares(setting):
    model, x, z = setting
    with seeded(1):
        crowd = torch.cat([decisions(model, x, z) for _ in range(1500)])
    expected = shares(model, x, z).double().numpy()
    expected /= expected.sum(axis=1, keepdims=True)
    for problem in range(5):
        counts = np.bincount(crowd[:, problem].long().numpy(), minlength=5)
        # The people are fixed, so that the counts vary a little less than multinomial ones: error rate below 1e-4.
        assert stats.chisquare(counts, counts.sum() * expected[problem]).pvalue > 1e-4


def test_expected_decisions_average_the_belief_out(setting):
    model, x, z = setting
    with seeded(2):
        mean = decisions(model, x, z, expected=4000)
    view, people = x.crossed(), z.crossed()
    closed = model.answer_dist(model.belief_dist(view, people), view, people).probs @ torch.arange(1.0, 6.0)
    # 4,000 draws of a belief whose effect on the mean is below 1: standard error below .016.
    assert (mean - closed).abs().max() < 0.065


def test_the_program_has_the_sites_and_plates_it_promises(meet, ordinal):
    model, _ = ordinal()
    trace = poutine.trace(model.crowd).get_trace(meet())
    sites = {name for name, site in trace.nodes.items() if site["type"] == "sample"}
    assert {"eps", "phi", "delta", "y", "participants", "answers"} <= sites
    assert "delta" not in poutine.trace(model.crowd).get_trace(meet(), integrate=True).nodes
    flat, _ = ordinal(n_eps=0)
    assert "eps" not in poutine.trace(flat.crowd).get_trace(meet()).nodes


def test_predictive_needs_no_guide(meet, ordinal):
    model, _ = ordinal()
    with seeded(3):
        draws = Predictive(model.crowd, num_samples=7, return_sites=("y", "delta"))(meet())
    assert draws["y"].shape == (7, meet().n_answers)
    assert set(draws["y"].unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_an_overridden_response_is_used_everywhere(meet, ordinal):
    class Stubborn(JointModel):
        """Everybody answers by a die loaded by delta's sign."""

        def response_dist(self, delta, x, z):
            high = (delta[..., 0] > 0).float()[..., None]
            return pyro.distributions.Categorical(torch.cat([1 - high, high], -1) * 0.8 + 0.1)

    base, _ = ordinal()
    model = Stubborn(base.encoder, base.belief, base.blender, n_draws=2000)
    batch = meet()
    x = model.problems(batch).at(batch.problem)
    eps = torch.zeros(batch.n_participants, 2)
    z = model.participants(batch.profile, eps).at(batch.participant)
    belief = model.belief_dist(x, z)
    with seeded(4):
        answer = model.answer_dist(belief, x, z)
    assert isinstance(answer, DrawMixture)
    up = 1 - torch.distributions.Normal(belief.mean[:, 0], belief.stddev[:, 0]).cdf(torch.zeros(()))
    # 2,000 draws: standard error of a probability at most .009 on a range of .8.
    torch.testing.assert_close(answer.log_prob(torch.ones(batch.n_answers)).exp(), 0.1 + 0.8 * up, atol=0.04, rtol=0)


def test_state_is_restored_even_after_an_error():
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    threads = torch.get_num_threads()
    with seeded(7):
        first = torch.rand(3)
    with pytest.raises(ZeroDivisionError), seeded(7):
        _ = torch.rand(1).item() / 0
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()
    assert threads == torch.get_num_threads()
    with seeded(7):
        assert torch.equal(first, torch.rand(3))
