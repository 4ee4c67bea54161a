"""The selection model's law against brute force, in both orders in which it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pyro import poutine

from crowdpyro.errors import ModelError
from crowdpyro.models import (
    Batch,
    BeliefGenerator,
    Continuous,
    CutNormalBlender,
    NormalBlender,
    Ordinal,
    ProblemEncoder,
    SelectionModel,
    SelectiveParticipation,
)

SCALE = Ordinal.range(1, 4)


def model_of(blender, gamma=0.8, participation="selective"):
    torch.manual_seed(0)
    widths = (4, 1, 2, blender.n_shape)
    part = SelectiveParticipation(3, 2, 2, gamma, 2.5, 1.2) if participation else None
    with torch.no_grad():
        for parameter in part.parameters() if part else ():
            parameter.normal_()
    return SelectionModel(ProblemEncoder(2, 0, widths), BeliefGenerator(3, 2, 4, 1), blender, participation=part).eval()


@pytest.fixture
def model():
    return model_of(CutNormalBlender(SCALE))


def batch_of(n_people, n_problems, response=None, took_part=None):
    torch.manual_seed(1)
    person, problem = torch.meshgrid(torch.arange(n_people), torch.arange(n_problems), indexing="ij")
    return Batch(
        features=torch.randn(n_problems, 2),
        known=torch.full((n_problems,), -1),
        reference=torch.full((n_problems,), 2.5),
        profile=torch.randn(n_people, 3),
        rows=torch.arange(n_people),
        participant=person.ravel(),
        problem=problem.ravel(),
        response=response,
        participation=torch.ones(()),
        population=n_people,
        took_part=took_part,
    )


def test_observed_sites_sum_to_the_selection_model_of_every_answer(model):
    """log p(phi, y) is log F(y) + log p(y) of whoever answered, log sum_k F(k) (1 - p(k)) of whoever did not."""
    response = torch.tensor([0.0, 3.0, 1.0, 0.0, 2.0, 0.0])
    took_part = torch.tensor([True, True, True, False, True, False])
    batch = batch_of(2, 3, response, took_part)
    eps = torch.randn(2, 2)
    trace = poutine.trace(poutine.condition(model.crowd, {"eps": eps})).get_trace(batch, integrate=True)
    trace.compute_log_prob()
    told = trace.nodes["phi"]["log_prob"] + trace.nodes["y"]["log_prob"]
    x, z = model.met(batch), model.participants(batch.profile, eps).at(batch.participant)
    probs = model.answer_dist(model.belief_dist(x, z), x, z).probs
    part = model.participation
    logit = (
        part.of_profile(batch.profile)[batch.participant]
        + part.of_problem(batch.features)[batch.problem]
        + (part.loadings * z.eps).sum(-1)
    )
    p = torch.sigmoid(logit[:, None] + 0.8 * (torch.tensor([1.0, 2.0, 3.0, 4.0]) - 2.5) / 1.2)
    given = (probs * p).gather(1, response.long()[:, None])[:, 0].log()
    silent = (probs * (1 - p)).sum(1).log()
    torch.testing.assert_close(told, torch.where(took_part, given, silent), atol=1e-5, rtol=1e-4)


def test_a_crowd_has_everybodys_answer_and_phi_says_who_gives_it(model):
    """Two problems met by 60,000 equal people without noise: shares of y are F, those of y with phi the tilted ones."""
    n = 60_000
    batch = batch_of(1, 2)
    person = torch.zeros(2 * n, dtype=torch.long)
    batch = replace(batch, participant=person, problem=torch.arange(2).repeat(n))
    zero = torch.zeros(1, 2)
    torch.manual_seed(2)
    trace = poutine.trace(poutine.condition(model.crowd, {"eps": zero})).get_trace(batch, integrate=True)
    y, phi = trace.nodes["y"]["value"].long().reshape(n, 2), trace.nodes["phi"]["value"].reshape(n, 2)
    x, z = model.met(batch), model.participants(batch.profile, zero).at(person)
    probs = model.answer_dist(model.belief_dist(x, z), x, z).probs[:2]
    log_told, _ = model.told_or_kept(model.answer_dist(model.belief_dist(x, z), x, z), batch, z)
    for t in range(2):
        shares = torch.bincount(y[:, t], minlength=4) / n
        # Four standard errors of a share of 60,000.
        torch.testing.assert_close(shares, probs[t], atol=0.009, rtol=0)
        of_told = torch.bincount(y[phi[:, t] > 0, t], minlength=4) / n
        torch.testing.assert_close(of_told, log_told[t].exp(), atol=0.009, rtol=0)


def test_it_asks_for_what_it_needs():
    with pytest.raises(ModelError, match="give a SelectiveParticipation"):
        model_of(CutNormalBlender(SCALE), participation=None)
    with pytest.raises(ModelError, match="sums over the levels of a rating"):
        model_of(NormalBlender(Continuous()))
