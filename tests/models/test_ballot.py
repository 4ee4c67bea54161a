"""Ballots: every text is one of them or refused by name, and numbers go back to the same text."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crowdpyro import Ballot, DataError, parse_scale
from crowdpyro.models import Approvals, PolyaUrn
from crowdpyro.models.scales import scale_from_dict, scale_to_dict

DOUBLE = torch.float64
ABC = ("A", "B", "C")
BALLOTS = [Ballot(ABC, "approval"), Ballot(ABC, "choose", 2), Ballot(ABC, "rank", 2), Ballot(ABC, "points", 10)]


@pytest.mark.parametrize(
    ("ballot", "texts", "numbers"),
    [
        (BALLOTS[0], ["A|C", "B", "none", " c | A "], [[1, 0, 1], [0, 1, 0], [0, 0, 0], None]),
        (BALLOTS[1], ["A|C", "C|B"], [[1, 0, 1], [0, 1, 1]]),
        (BALLOTS[2], ["A|C", "C|B"], [[2, 0, 1], [0, 1, 2]]),
        (BALLOTS[3], ["A=3|C=7", "B=10", "A=4|B=0|C=6"], [[3, 0, 7], [0, 10, 0], [4, 0, 6]]),
    ],
)
def test_text_becomes_one_number_an_option(ballot, texts, numbers):
    for text, expected in zip(texts, numbers, strict=True):
        if expected is None:
            assert not ballot.valid([text]).any()
        else:
            assert ballot.encode([text]).tolist() == [expected]


@pytest.mark.parametrize("ballot", BALLOTS, ids=lambda each: each.rule)
@given(data=st.data())
def test_numbers_and_text_round_trip(ballot, data):
    seed = data.draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    if ballot.rule == "approval":
        numbers = rng.integers(0, 2, (5, 3)).astype(float)
    elif ballot.rule == "points":
        numbers = rng.multinomial(10, [0.2, 0.3, 0.5], 5).astype(float)
    else:
        template = [1, 1, 0] if ballot.rule == "choose" else [2, 1, 0]
        numbers = rng.permuted(np.tile(template, (5, 1)), axis=1).astype(float)
    text = ballot.decode(numbers)
    assert text.shape == (5,)
    np.testing.assert_array_equal(ballot.encode(text), numbers)
    if ballot.total is not None:
        assert (numbers.sum(axis=1) == ballot.total).all()
    assert numbers.max() <= ballot.highest


@pytest.mark.parametrize("ballot", BALLOTS, ids=lambda each: each.rule)
def test_ballots_survive_json(ballot):
    assert scale_from_dict(json.loads(json.dumps(scale_to_dict(ballot)))) == ballot


@pytest.mark.parametrize(
    ("text", "ballot"),
    [
        ("approval:A,B,C", BALLOTS[0]),
        (" Choose : 2 : A, B, C", BALLOTS[1]),
        ("rank:2:A,B,C", BALLOTS[2]),
        ("points:10:A,B,C", BALLOTS[3]),
        ("rank:1:see: this,that", Ballot(("see: this", "that"), "rank", 1)),
    ],
)
def test_ballots_are_read_from_the_command_line(text, ballot):
    assert parse_scale(text) == ballot


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Ballot(("A",), "approval"), "at least two options"),
        (lambda: Ballot(("A", "A"), "approval"), "repeat"),
        (lambda: Ballot(("A", "B|C"), "approval"), r"holds a '\|'"),
        (lambda: Ballot(("A", " "), "approval"), "is empty"),
        (lambda: Ballot(("A", "None"), "approval"), "approves nothing; rename"),
        (lambda: Ballot(ABC, "approval", 2), "n=2: an approval ballot.*leave n out"),
        (lambda: Ballot(ABC, "borda", 2), "rule='borda': give one of 'approval'"),
        (lambda: Ballot(ABC, "choose"), "n=None: rule 'choose' needs a whole number"),
        (lambda: Ballot(ABC, "rank", 0), "n=0.*at least 1"),
        (lambda: Ballot(ABC, "points", 2.5), "n=2.5.*whole number"),
        (lambda: Ballot(ABC, "choose", 4), "n=4: there are only 3 options to choose; give fewer"),
        (lambda: parse_scale("choose:A,B"), "write choose:N:OPTION,OPTION"),
        (lambda: parse_scale("rank:two:A,B"), "write rank:N:OPTION,OPTION"),
        (lambda: parse_scale("approval:A,,B"), "an option is empty"),
    ],
)
def test_impossible_ballots_are_refused(build, words):
    with pytest.raises(DataError, match=words):
        build()


@pytest.mark.parametrize(
    ("ballot", "answers", "words"),
    [
        (BALLOTS[1], ["A|B", "A|D"], r"'A\|D' .line 8, 1 such rows. is not 2 options in any order, such as A\|B: the"),
        (BALLOTS[1], ["A|b"], "the option 'b' is unknown, did you mean 'B'?"),
        (BALLOTS[1], ["A|x"], "the option 'x' is unknown; known are A, B, C. Correct or drop"),
        (BALLOTS[1], ["A|A"], "the option 'A' stands there twice"),
        (BALLOTS[1], ["A", "A|B|C"], "'A' .line 7, 2 such rows; also 'A|B|C'. .*it has 1 option. Correct"),
        (BALLOTS[2], ["A|B|C"], "is not 2 options in order, the best first, such as A|B: it has 3 options"),
        (BALLOTS[3], ["A=3|B=6"], "is not 10 points such as A=10, or several.*: its points sum to 9"),
        (BALLOTS[3], ["A=12|B=-2"], "'B=-2' has negative points"),
        (BALLOTS[3], ["A=3.5|B=6.5"], "'A=3.5' is not OPTION=POINTS with whole points"),
        (BALLOTS[3], ["A"], "'A' is not OPTION=POINTS"),
        (BALLOTS[3], ["A=5|A=5"], "the option 'A' stands there twice"),
        (BALLOTS[0], ["A|"], "is not options joined by '.', such as A|B, or 'none': the option '' is unknown"),
        (BALLOTS[0], ["A|none"], "the option 'none' is unknown"),
    ],
)
def test_what_is_no_ballot_is_refused_with_column_row_value_and_remedy(ballot, answers, words):
    lines = pd.RangeIndex(7, 7 + len(answers), name="line")
    with pytest.raises(DataError, match=f"column 'vote': answer .*{words}"):
        ballot.encode(answers, "vote", lines)


def test_numbered_options_survive_a_column_of_numbers():
    ballot = Ballot(("1", "2", "24"), "approval")
    np.testing.assert_array_equal(ballot.encode([24.0, 1, "2|24"]), [[0, 0, 1], [1, 0, 0], [0, 1, 1]])


def test_points_of_the_urn_are_dirichlet_multinomial():
    rng = np.random.default_rng(0)
    logits = torch.as_tensor(rng.normal(size=(3, 4)))
    concentration = torch.tensor([0.05, 1.0, 20.0], dtype=DOUBLE)
    urn = PolyaUrn(logits, concentration, 6)
    peer = dist.DirichletMultinomial(4 * concentration[:, None] * torch.softmax(logits, -1), 6)
    value = torch.as_tensor(rng.multinomial(6, [0.1, 0.2, 0.3, 0.4], 3), dtype=DOUBLE)
    torch.testing.assert_close(urn.log_prob(value), peer.log_prob(value))
    torch.testing.assert_close(urn.mean, peer.mean)


def test_draws_from_the_urn_follow_its_probabilities():
    torch.manual_seed(1)
    urn = PolyaUrn(torch.tensor([0.5, -0.5, 0.0], dtype=DOUBLE), torch.tensor(0.4, dtype=DOUBLE), 4)
    drawn = urn.sample(torch.Size([200_000]))
    assert urn.support.check(drawn).all()
    ballots, counts = torch.unique(drawn, dim=0, return_counts=True)
    assert len(ballots) == 15
    # Error rate 1e-4, fixed seed.
    assert stats.chisquare(counts, len(drawn) * urn.log_prob(ballots).exp().numpy()).pvalue > 1e-4


def test_the_information_of_the_urn_is_near_its_own():
    """Averaged over ballots, fresh opinions hold the information that the curvature has."""
    torch.manual_seed(2)
    logits = torch.tensor([0.8, 0.0, -0.7], dtype=DOUBLE)
    for concentration in (0.2, 1.0, 10.0):
        c = torch.tensor(concentration, dtype=DOUBLE)
        value = PolyaUrn(logits, c, 10).sample(torch.Size([4000]))
        wide = logits.expand(4000, 3).clone().requires_grad_()
        gradient = torch.autograd.grad(PolyaUrn(wide, c, 10).log_prob(value).sum(), wide)[0]
        found, information = PolyaUrn(wide, c, 10).evidence(value)
        torch.testing.assert_close(found, gradient)
        # The variance of the gradient is the information; sampling error of a variance of 4,000 is 3 in 100. That of
        # the fresh opinions leaves out that it is not known which they are: from above, by up to half.
        ratio = (information.mean(0) / gradient.var(0)).detach()
        assert ((ratio > 0.9) & (ratio < 1.6)).all(), (concentration, ratio)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("concentration", [1e-12, 1.0, 1e12])
def test_extreme_urns_and_approvals_stay_finite(concentration, dtype):
    rng = np.random.default_rng(3)
    logits = torch.as_tensor(rng.choice([-1e4, 0.0, 1e4], (100, 5)), dtype=dtype).requires_grad_()
    c = torch.full((100,), concentration, dtype=dtype, requires_grad=True)
    urn = PolyaUrn(logits, c, 7)
    value = torch.as_tensor(rng.multinomial(7, np.full(5, 0.2), 100), dtype=dtype)
    log_prob = urn.log_prob(value)
    gradients = torch.autograd.grad(log_prob.sum(), (logits, c))
    approvals = Approvals(logits)
    votes = (value > 1).to(dtype)
    gradients += torch.autograd.grad(approvals.log_prob(votes).sum(), logits)
    for each in (log_prob, *gradients, *urn.evidence(value), *approvals.evidence(votes), urn.mean, urn.sample()):
        assert torch.isfinite(each).all()
    assert (urn.sample().sum(1) == 7).all()


def test_approvals_are_independent_coins():
    logits = torch.tensor([0.3, -1.0, 2.0], dtype=DOUBLE, requires_grad=True)
    f = Approvals(logits)
    ballots = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=DOUBLE)
    peer = dist.Bernoulli(logits=logits).to_event(1)
    torch.testing.assert_close(f.log_prob(ballots), peer.log_prob(ballots))
    assert f.log_prob(ballots).exp().sum().item() == pytest.approx(1.0)
    assert f.support.check(f.sample(torch.Size([10]))).all()
    assert torch.autograd.gradcheck(lambda each: Approvals(each).log_prob(ballots), logits)
