"""The paper's objective: Eq. 4 term by term, and its pairings with beliefs."""

from __future__ import annotations

import itertools
import math

import pyro
import pytest
import torch

from crowdpyro import Categorical, ModelError
from crowdpyro.inference import PaperELBO, ParticipantGuide, PredictiveELBO, StoryGuide
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import BeliefGenerator, DescriptionDecoder, JointModel, ProblemEncoder, blender_for
from crowdpyro.models.scales import parse_scale

N_FEATURES, N_PROBLEMS, N_HIDDEN = 3, 5, 4


def program(scale="1:5", n_eps=0, decoder=True, **belief):
    torch.manual_seed(0)
    kind = parse_scale(scale)
    blender = blender_for(kind, 0.8)
    widths = (N_HIDDEN, blender.n_belief, blender.n_belief * n_eps, blender.n_shape)
    encoder = ProblemEncoder(N_FEATURES, N_PROBLEMS, widths)
    generator = BeliefGenerator(2, n_eps, N_HIDDEN, blender.n_belief, 0.8, **belief)
    description = DescriptionDecoder(blender.n_belief, N_HIDDEN, N_FEATURES) if decoder else None
    model = JointModel(encoder, generator, blender, decoder=description)
    return model, StoryGuide(model)


@pytest.fixture
def answered(meet):
    def build(scale="1:5"):
        kind = parse_scale(scale)
        torch.manual_seed(1)
        batch = meet(lambda n: torch.randint(getattr(kind, "n_levels", 5), (n,)).float())
        if isinstance(kind, Categorical):
            batch = type(batch)(**{**vars(batch), "reference": torch.zeros(N_PROBLEMS, kind.n_levels)})
        return batch

    return build


@pytest.mark.parametrize("scale", ["1:5", "continuous", "r,g,b"])
def test_every_term_is_that_of_equation_4(answered, scale):
    """By hand with the same draws: mean over people of the mean over their answers."""
    batch = answered(scale)
    model, guide = program(scale)
    lam, n_draws = 0.7, 6
    with seeded(3):
        value = PaperELBO(lam, n_draws).differentiable_loss(model, guide, batch)
    with seeded(3):
        x = model.problems(batch).at(batch.problem)
        z = model.participants(batch.profile, None).at(batch.participant)
        belief = model.belief_dist(x, z)
        delta = belief.rsample()
        draws = belief.rsample((n_draws,))
    m, s = belief.mean, belief.stddev
    kl = (0.5 * (s.square() + m.square() - 1) - s.log()).sum(-1)
    described = model.decoder(delta, z)
    description = torch.distributions.Normal(described.mean, described.stddev).log_prob(batch.features[batch.problem])
    decisions = model.response_dist(draws, x, z)
    if scale == "r,g,b":
        chance = decisions.probs[:, range(batch.n_answers), batch.given.long()].mean(0)
        decision = -chance.log()
    else:
        levels = model.blender.values(batch.given)
        decision = (model.blender.expected(decisions).mean(0) - levels).square()
    each = kl - description.sum(-1) + lam * decision
    people = [
        each[batch.participant == i].mean() for i in range(batch.n_participants) if (batch.participant == i).any()
    ]
    # Whoever answered nothing is counted in N, with nothing.
    torch.testing.assert_close(value, torch.stack(people).sum() / batch.n_participants)


def test_a_semi_implicit_belief_is_bounded_from_above_and_k_tightens_it(answered):
    """The sampled KL overestimates, and the less the larger K; the other terms are the same in law."""
    batch = answered()
    values = []
    for k in (0, 3, 30):
        model, guide = program(n_omega=2, n_mixture=k)
        with torch.no_grad():
            model.belief.noise.weight.normal_(0.0, 2.0)
            model.belief.readout.weight.normal_(0.0, 1.0)
        torch.manual_seed(5)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        with seeded(4), torch.no_grad():
            objective = PaperELBO()
            draws = torch.tensor([objective.loss(model, guide, batch) for _ in range(300)])
        values.append((draws.mean().item(), draws.std().item() / 300**0.5))
    for (loose, e1), (tight, e2) in itertools.pairwise(values):
        assert tight < loose + 4 * math.hypot(e1, e2)
    assert values[-1][0] < values[0][0] - 4 * math.hypot(values[0][1], values[-1][1])


@pytest.mark.parametrize("n_eps", [0, 2])
@pytest.mark.parametrize("decoder", [True, False])
def test_all_parts_learn_and_no_other(answered, n_eps, decoder):
    batch = answered()
    model, guide = program(n_eps=n_eps, decoder=decoder)
    pyro.set_rng_seed(0)
    PaperELBO().loss_and_grads(model, guide, batch)
    silent = {name for name, p in model.named_parameters() if p.grad is None and p.numel()}
    assert not silent
    assert (guide.correction.weight.grad is not None) == (n_eps > 0)


def test_the_kl_of_persistent_noise_takes_the_warm_up(answered):
    batch = answered()
    model, guide = program(n_eps=2)
    values = []
    for beta in (0.0, 0.5, 1.0):
        with seeded(2):
            values.append(PaperELBO(beta=beta).loss(model, guide, batch))
    assert values[0] < values[1] < values[2]
    assert values[1] == pytest.approx((values[0] + values[2]) / 2, abs=1e-5)


def test_a_predictive_guide_is_refused_by_the_paper(answered):
    model, _ = program()
    with pytest.raises(ModelError, match="site 'delta' of the model is not in the guide, which has none"):
        PaperELBO().loss(model, ParticipantGuide(model), answered())


def test_a_guide_of_the_story_is_refused_by_predictive(answered):
    with pytest.raises(ModelError, match="site 'delta' of the guide is not latent in the model"):
        PredictiveELBO().loss(*program(), answered())


def test_a_loss_that_does_not_fit_the_scale_is_named(answered):
    model, guide = program("r,g,b")
    with pytest.raises(ModelError, match="decision_loss='squared' does not fit Categorical answers.*give 'log'"):
        PaperELBO(decision_loss="squared").loss(model, guide, answered("r,g,b"))


def test_the_loss_of_numbers_may_be_logarithmic(answered):
    batch, (model, guide) = answered(), program()
    values = []
    for loss in ("auto", "squared", "log"):
        with seeded(1):
            values.append(PaperELBO(decision_loss=loss).loss(model, guide, batch))
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("settings", [{"decision_weight": -1.0}, {"n_draws": 0}, {"decision_loss": "0-1"}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ModelError, match=next(iter(settings))):
        PaperELBO(**settings)
