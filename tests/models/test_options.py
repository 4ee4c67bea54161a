"""Options known by what they are, against the formula written out."""

from __future__ import annotations

import pyro
import pytest
import torch

from crowdpyro.inference.guide import ParticipantGuide
from crowdpyro.inference.predictive import PredictiveELBO
from crowdpyro.models import Ballot
from crowdpyro.models.ballot_blender import ballot_blender
from crowdpyro.models.batch import Batch
from crowdpyro.models.errors import ModelError
from crowdpyro.models.joint import JointModel
from crowdpyro.models.options import OptionBelief, OptionEncoder
from crowdpyro.models.plackett_luce import PlackettLuceSet
from crowdpyro.models.short_choice import ShortChoiceBlender

M, A, K, E, N = 6, 3, 2, 2, 9


def parts(seed=0, n_eps=E):
    torch.manual_seed(seed)
    attributes = torch.randn(M, A)
    encoder = OptionEncoder(attributes, torch.arange(M), M, n_eps)
    belief = OptionBelief(M, K, n_eps)
    with torch.no_grad():
        for parameter in (*encoder.parameters(), *belief.parameters()):
            parameter.normal_()
    return encoder, belief


def batch(response=None, reference=None, m=M, seed=1):
    torch.manual_seed(seed)
    return Batch(
        features=torch.zeros(1, 0),
        known=torch.zeros(1, dtype=torch.long),
        reference=torch.zeros(1, m) if reference is None else reference,
        profile=torch.randn(N, m * K),
        rows=torch.arange(N),
        participant=torch.arange(N),
        problem=torch.zeros(N, dtype=torch.long),
        response=response,
        participation=torch.ones(()),
        population=N,
    )


def utility(encoder, belief, reference, profile, eps, known):
    """The docstring's lines, one number at a time."""
    u = torch.zeros(len(profile), len(encoder.attributes))
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            x, match = encoder.attributes[j], profile[i].reshape(-1, K)[j]
            loading = encoder.loading.T @ x
            u[i, j] = reference[j] + x @ encoder.weight + match @ belief.weight
            if known[j] >= 0:
                u[i, j] += encoder.offset[known[j]]
                loading = loading + encoder.own_loading[known[j]]
            u[i, j] += loading @ eps[i]
    return u


@pytest.mark.parametrize("known", [range(M), [-1, 0, 1, -1, 5, 3]])
def test_utilities_are_the_formula(known):
    encoder, belief = parts()
    known = torch.as_tensor(list(known))
    encoder = encoder.about(encoder.attributes, known)
    model = JointModel(encoder, belief, ballot_blender(Ballot(tuple("abcdef"), "choose", 2)), n_draws=1)
    told, eps = batch(reference=torch.randn(1, M)), torch.randn(N, E)
    x, z = model.met(told), model.participants(told.profile, eps)
    found = model.blender.location(x.reference, model.belief_dist(x, z).mean)
    wanted = utility(encoder, belief, told.reference[0], told.profile, eps, known)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_a_new_option_is_what_it_is_and_an_old_one_keeps_its_place():
    encoder, belief = parts()
    more = torch.cat([encoder.attributes, torch.randn(2, A)])
    other = encoder.about(more, torch.tensor([*range(M), -1, -1]))
    blank = torch.zeros(1, M), torch.zeros(1, M + 2)
    known = torch.zeros(1, dtype=torch.long)
    before, after = encoder(blank[0], known, blank[0]), other(blank[1], known, blank[1])
    torch.testing.assert_close(after.shift[:, :M], before.shift)
    torch.testing.assert_close(after.shift[0, M:], more[M:] @ encoder.weight)
    assert belief.about(M + 2).n_belief == M + 2
    torch.testing.assert_close(belief.about(M + 2).weight, belief.weight)


def test_log_prior_is_that_of_independent_normals():
    encoder, belief = parts()
    wanted = sum(
        torch.distributions.Normal(0.0, scale).log_prob(value).sum()
        - torch.distributions.Normal(0.0, scale).log_prob(torch.zeros_like(value)).sum()
        for value, scale in (
            (encoder.weight, 0.3),
            (encoder.offset, 0.5),
            (encoder.loading, 0.5),
            (encoder.own_loading, 0.5),
            (belief.weight, 1.0),
        )
    )
    torch.testing.assert_close(encoder.log_prior() + belief.log_prior(), wanted)


def test_the_guide_and_the_objective_take_it():
    """Without tastes the loss is minus the log likelihood and the log prior, as they stand in Plackett-Luce."""
    for n_eps in (0, E):
        encoder, belief = parts(n_eps=n_eps)
        scale = Ballot(tuple("abcdef"), "choose", 2)
        model = JointModel(encoder, belief, ballot_blender(scale), n_draws=1)
        torch.manual_seed(3)
        votes = PlackettLuceSet(torch.zeros(N, M), 2).sample()
        told = batch(votes)
        pyro.set_rng_seed(0)
        loss = PredictiveELBO().differentiable_loss(model, ParticipantGuide(model), told)
        loss.backward()
        assert torch.isfinite(belief.weight.grad).all()
        if not n_eps:
            u = utility(encoder, belief, told.reference[0], told.profile, torch.zeros(N, 0), range(M))
            wanted = -PlackettLuceSet(u, 2).log_prob(votes).sum() - model.log_prior()
            assert loss.item() == pytest.approx(wanted.item(), abs=0.2)
            assert (encoder.offset.grad != 0).all()


def test_short_ballots_have_their_own_blender():
    encoder, belief = parts()
    model = JointModel(encoder, belief, ShortChoiceBlender(Ballot(tuple("abcdef"), "choose", 2)), n_draws=1)
    votes = torch.zeros(N, M)
    votes[:, 0], votes[::2, 3], votes[1, 0] = 1.0, 1.0, 0.0
    pyro.set_rng_seed(0)
    loss = PredictiveELBO().differentiable_loss(model, ParticipantGuide(model), batch(votes))
    assert torch.isfinite(loss)


def test_bad_arguments_are_named():
    attributes = torch.zeros(3, 2)
    with pytest.raises(ModelError, match="offset_scale=0: give a positive scale"):
        OptionEncoder(attributes, torch.arange(3), 3, offset_scale=0)
    with pytest.raises(ModelError, match=r"known has shape \(3,\) and rows up to 2; give one row below n_known=2"):
        OptionEncoder(attributes, torch.arange(3), 2)
    with pytest.raises(ModelError, match="weight_scale=-1: give a positive scale"):
        OptionBelief(3, 1, weight_scale=-1)
