"""Predictive checks: central where the model is right, extreme where it is wrong; closed forms of the transforms."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch.nn.functional import softplus

from crowdpyro import DataError, ModelError
from crowdpyro.inference import bayesian_p_value, loo_pit
from crowdpyro.inference.checks import STATISTICS, correlation
from crowdpyro.inference.importance import log_likelihoods, proposals, resampled
from crowdpyro.inference.pit import transform
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import CensoredNormal, DrawMixture

ERROR_RATE = 1e-3
LEVELS = np.arange(1.0, 6.0)


def one_trait(rng, n=60, loading=1.0, absent=0.2):
    """Answers 1 to 5 that share a trait, NaN where absent."""
    latent = loading * rng.normal(size=(n, 1)) + rng.normal(size=(n, 6))
    answers = np.clip(np.round(3 + latent), 1, 5)
    answers[rng.random(answers.shape) < absent] = np.nan
    return answers


def as_absent(matrix, answers):
    return np.where(np.isnan(answers), np.nan, matrix)


def test_p_values_are_ranks_among_replicates():
    replicated = np.arange(99.0)[:, None, None] * np.ones((99, 2, 2))
    for value, p_value in ((-1.0, 0.02), (49.0, 1.0), (98.5, 0.02), (97.0, 0.06), (9.5, 0.22)):
        check = bayesian_p_value("mean", replicated, np.full((2, 2), value))
        assert check.p_values[0] == pytest.approx(p_value)


def test_right_models_are_rejected_no_more_often_than_said():
    """Observed answers from the model itself: P(p <= .1) <= .1, by a binomial tail."""
    rng, small = np.random.default_rng(1), 0
    for _ in range(300):
        answers = one_trait(rng)
        check = bayesian_p_value(
            "correlation", (as_absent(one_trait(rng, absent=0), answers) for _ in range(39)), answers
        )
        small += check.p_values[0] <= 0.1
    assert stats.binom.ppf(ERROR_RATE, 300, 0.1) <= small <= stats.binom.ppf(1 - ERROR_RATE, 300, 0.1)


def test_people_who_differ_are_missed_by_a_model_without_traits():
    rng = np.random.default_rng(2)
    answers = one_trait(rng)
    # Each answer with the right margin, but on its own.
    alone = [
        as_absent(np.clip(np.round(3 + 2**0.5 * rng.normal(size=answers.shape)), 1, 5), answers) for _ in range(400)
    ]
    frame = bayesian_p_value(list(STATISTICS), alone, answers, levels=LEVELS).to_frame()
    assert set(frame.index[frame["p_value"] < 0.01]) >= {"correlation", "between_people"}
    assert (frame.loc[["mean", "sd", "extremes", *(f"share[{k}]" for k in range(1, 6))], "p_value"] > 0.01).all()
    assert (frame["low"] <= frame["high"]).all()
    assert (frame["p_holm"] >= frame["p_value"]).all()


def test_statistics_agree_with_pandas():
    answers = one_trait(np.random.default_rng(3), n=40)
    answers[0] = np.nan
    frame = pd.DataFrame(answers)
    matrix = frame.corr().to_numpy()
    assert correlation(answers) == pytest.approx(matrix[~np.eye(6, dtype=bool)].mean())
    long = pd.Series(answers[~np.isnan(answers)])
    assert STATISTICS["mean"](answers) == pytest.approx(long.mean())
    assert STATISTICS["sd"](answers) == pytest.approx(long.std(ddof=0))
    np.testing.assert_allclose(
        STATISTICS["share"](answers, LEVELS), long.value_counts(normalize=True).sort_index(), rtol=1e-12
    )
    assert STATISTICS["extremes"](answers, LEVELS) == pytest.approx(long.isin([1, 5]).mean())
    centred = (frame - frame.mean()).mean(axis=1)
    assert STATISTICS["between_people"](answers) == pytest.approx(centred.var(ddof=0))
    assert STATISTICS["within_people"](answers) == pytest.approx(frame.var(axis=1, ddof=1).mean())
    assert STATISTICS["between_problems"](answers) == pytest.approx(frame.mean().var(ddof=0))


def test_undefined_statistics_are_nan_and_not_evidence():
    alike = np.full((5, 3), 2.0)
    rng = np.random.default_rng(0)
    check = bayesian_p_value(["correlation", "mean"], rng.normal(size=(9, 5, 3)), alike)
    assert np.isnan(check.p_values[0])
    assert check.p_values[1] == pytest.approx(0.2)
    some = bayesian_p_value("correlation", [alike, *rng.normal(size=(8, 5, 3))], rng.normal(size=(5, 3)))
    assert 0 < some.p_values[0] <= 1
    assert np.isfinite(some.to_frame()["mean"]).all()
    none = bayesian_p_value("correlation", [alike], alike).to_frame()
    assert none.isna().all(axis=None)


def test_functions_and_names_stand_side_by_side():
    rng = np.random.default_rng(0)

    def first_problem(answers):
        return np.nanmean(answers[:, 0])

    replicated, observed = rng.normal(size=(20, 6, 2)), rng.normal(size=(6, 2))
    assert bayesian_p_value(first_problem, replicated, observed).names == ("first_problem",)
    both = bayesian_p_value({"m": "mean", "by": lambda a: np.nanmean(a, axis=0)}, replicated, observed)
    assert both.names == ("m", "by[0]", "by[1]")
    assert both.replicated.shape == (20, 3)


def test_wrong_uses_are_named():
    matrix = np.zeros((3, 2))
    with pytest.raises(DataError, match="statistic='skew' is unknown; give a function, or one of mean, sd"):
        bayesian_p_value("skew", [matrix], matrix)
    with pytest.raises(DataError, match="needs levels="):
        bayesian_p_value("share", [matrix], matrix)
    with pytest.raises(DataError, match="0 absent answers; give observed's shape, .3, 2., and NaN in the same 1"):
        bayesian_p_value("mean", [matrix], np.array([[0, 1], [np.nan, 1], [1, 1]]))
    with pytest.raises(DataError, match="replicated is empty"):
        bayesian_p_value("mean", [], matrix)
    with pytest.raises(DataError, match=r"observed has shape \(3,\)"):
        bayesian_p_value("mean", [matrix], np.zeros(3))
    with pytest.raises(DataError, match="coverage=2"):
        bayesian_p_value("mean", [matrix], matrix).to_frame(coverage=2)


# -- transforms ------------------------------------------------------------------------------------------------------


def told_by(model, batch, seed=0):
    """The batch with answers of the model's own people."""
    with seeded(seed), torch.no_grad():
        return replace(batch, response=model.crowd(replace(batch, response=None), integrate=True))


def second_answers(batch):
    """Rows of everybody's second answer, people side by side."""
    person = batch.participant
    same = person[1:] == person[:-1]
    fresh = torch.cat([torch.tensor([True]), ~same])
    return (torch.nonzero(fresh[:-1] & same)[:, 0] + 1).numpy()


@pytest.fixture
def traits(ordinal):
    """An ordinal program whose people differ much."""
    model, guide = ordinal()
    with torch.no_grad():
        model.encoder.affine.bias[5:7] = torch.tensor([1.2, -0.8])
    return model.eval(), guide


def test_transforms_are_uniform_under_the_truth(meet, traits):
    model, guide = traits
    batch = told_by(model, meet(n_people=300))
    # Given the earlier answers they are independent: error rate 1e-3.
    found = loo_pit(model, batch, guide, given="earlier", n_draws=256)
    assert found.u.shape == (batch.n_answers,)
    assert found.p_value() > ERROR_RATE
    assert np.median(found.ess) > 50
    for given in ("others", "none"):
        # Dependent ones: within .05 of uniform, where 300 independent people are within .094 at this error rate.
        u = loo_pit(model, batch, guide, given=given, n_draws=256).u
        assert stats.kstest(u, "uniform").statistic < 0.094


def test_people_who_differ_are_seen_by_what_follows_from_earlier_answers(meet, linear_gaussian):
    """Predicted one by one, answers look right to a model with the same margins and no traits as well."""
    model, guide = linear_gaussian
    with torch.no_grad():
        model.encoder.affine.bias[5:7] = torch.tensor([0.9, -0.6])
        batch = told_by(model, meet(n_people=300))
        x = model.problems(batch)
        alone = copy.deepcopy(model)
        alone.encoder.affine.weight[5:7] = alone.encoder.affine.bias[5:7] = alone.encoder.offset[:, 1:3] = 0.0
        # What the traits did to the variance, the decision does: softplus(raw + c) = scale / .8, softplus(c) = 1.
        before = softplus(x.shape[:, 0] + np.log(np.expm1(1.0))) * 0.8
        after = (before.square() + x.loadings.square().sum(1)).sqrt()
        alone.encoder.offset[:, 3] += torch.expm1(after / 0.8).log() - torch.expm1(before / 0.8).log()
    right, wrong = (loo_pit(each, batch, given="none", n_draws=4096).u for each in (model, alone))
    # 4,096 draws: standard error at most .008.
    np.testing.assert_allclose(right, wrong, atol=0.04)
    assert loo_pit(model, batch, guide, given="earlier", n_draws=256).p_value() > ERROR_RATE
    frame = {
        each: loo_pit(each_model, batch, given="earlier", n_draws=256).u
        for each, each_model in (("right", model), ("wrong", alone))
    }
    second = second_answers(batch)
    # Under the wrong model a person's first and second transforms are correlated.
    first = frame["wrong"][second - 1], frame["wrong"][second]
    assert stats.pearsonr(*first).pvalue < 1e-4
    assert stats.pearsonr(frame["right"][second - 1], frame["right"][second]).pvalue > ERROR_RATE


def test_transforms_have_the_closed_form_of_the_joint_normal(meet, linear_gaussian):
    """u = Phi of the standardised residual of y_t given the person's other, or earlier, answers, or none."""
    model, guide = linear_gaussian
    batch = told_by(model, meet())
    with torch.no_grad():
        x = model.problems(batch).at(batch.problem)
        z = model.participants(batch.profile, None).at(batch.participant)
        answer = model.answer_dist(model.belief_dist(x, z), x, z)
        mean, variance, loadings = answer.mean, answer.variance, x.loadings
    truth = {given: np.empty(batch.n_answers) for given in ("none", "others", "earlier")}
    for person in range(batch.n_participants):
        mine = torch.nonzero(batch.participant == person)[:, 0]
        covariance = loadings[mine] @ loadings[mine].T + torch.diag(variance[mine])
        residual = (batch.given - mean)[mine]
        for place, row in enumerate(mine.tolist()):
            known = {
                "none": [],
                "others": [k for k in range(len(mine)) if k != place],
                "earlier": list(range(place)),
            }
            for given, at in known.items():
                gain = torch.linalg.solve(covariance[at][:, at], covariance[at, place])
                left = residual[place] - gain @ residual[at]
                scale = (covariance[place, place] - gain @ covariance[at, place]).sqrt()
                truth[given][row] = stats.norm.cdf((left / scale).item())
    for given, proposer in itertools.product(truth, (guide, None)):
        found = loo_pit(model, batch, proposer, given=given, n_draws=20_000, seed=1)
        # A thousand or more effective draws of a number in [0, 1]: standard error below .008.
        assert found.ess.min() > 1000
        np.testing.assert_allclose(found.u, truth[given], atol=0.035)


def test_discrete_transforms_are_spread_over_their_step():
    """All of u between P(Y < y) and P(Y <= y), evenly."""
    answer = torch.distributions.Categorical(torch.tensor([0.2, 0.5, 0.3]).expand(4000, 3))
    torch.manual_seed(0)
    u = transform(answer, torch.ones(4000), torch.rand(4000)).numpy()
    assert stats.kstest((u - 0.2) / 0.5, "uniform").pvalue > ERROR_RATE
    y, v = answer.sample().float(), torch.rand(4000)
    assert stats.kstest(transform(answer, y, v).numpy(), "uniform").pvalue > ERROR_RATE


def test_mass_at_the_bounds_is_spread_too():
    torch.manual_seed(1)
    parts = CensoredNormal(torch.tensor([[0.2], [1.1]]).expand(2, 4000), torch.tensor(0.6), 0.0, 1.0)
    answer = DrawMixture(parts)
    u = transform(answer, answer.sample(), torch.rand(4000)).numpy()
    assert stats.kstest(u, "uniform").pvalue > ERROR_RATE


def test_resampled_draws_are_the_posterior(meet, linear_gaussian, exact):
    model, guide = linear_gaussian
    batch = told_by(model, meet())
    truth = exact(model, batch)
    with seeded(2):
        draws = resampled(model, None, batch, 1500, 15_000)
    z = (draws.mean(0) - truth["mean"]) / truth["covariance"].diagonal(dim1=-2, dim2=-1).sqrt()
    # Two stages of sampling, 24 coordinates: about 5 standard errors.
    assert z.abs().max() < 5 * (1 / 1500 + 1 / 1000) ** 0.5
    with seeded(3):
        eps, log_weight = proposals(model, guide, batch, 4000)
        total = log_weight + log_likelihoods(model, batch, eps)
    evidence = torch.logsumexp(total, 0) - np.log(4000)
    torch.testing.assert_close(evidence, truth["evidence"], atol=0.08, rtol=0)
    assert log_weight.max() <= np.log(2) + 1e-9


def test_earlier_is_by_the_batchs_order_within_each_person(meet, linear_gaussian):
    """People interleaved or side by side: the same, up to the draws."""
    model, guide = linear_gaussian
    batch = told_by(model, meet())
    by_problem = torch.argsort(batch.problem, stable=True)
    one = loo_pit(model, batch, guide, given="earlier", n_draws=20_000).u
    other = loo_pit(model, batch.meetings(by_problem), guide, given="earlier", n_draws=20_000).u
    np.testing.assert_allclose(other, one[by_problem.numpy()], atol=1e-9)


def test_without_noise_of_people_every_kind_is_the_same(meet, ordinal):
    model, guide = ordinal(n_eps=0)
    batch = told_by(model.eval(), meet())
    found = [loo_pit(model, batch, guide, given=given) for given in ("none", "others", "earlier")]
    assert np.isinf(found[0].ess).all()
    kinds = [each.u for each in found]
    np.testing.assert_allclose(kinds[0], kinds[1], atol=1e-6)
    np.testing.assert_allclose(kinds[0], kinds[2], atol=1e-6)


def test_absent_answers_have_no_transform(meet, traits):
    model, guide = traits
    batch = told_by(model, meet())
    there = torch.arange(batch.n_answers) % 3 > 0
    assert len(loo_pit(model, replace(batch, took_part=there), guide, n_draws=8).u) == there.sum()


def test_transforms_refuse_what_they_cannot_do(meet, traits):
    model, guide = traits
    batch = told_by(model, meet())
    with pytest.raises(DataError, match="given='both'"):
        loo_pit(model, batch, guide, given="both")
    with pytest.raises(ModelError, match="n_draws=3: give an even"):
        loo_pit(model, batch, guide, n_draws=3)
    with pytest.raises(ModelError, match="n_draws=50: give 1 to a tenth"):
        resampled(model, guide, batch, 50, 100)

    class Other(type(model)):
        def crowd(self, batch, integrate=False):
            return super().crowd(batch, integrate)

    other = Other(model.encoder, model.belief, model.blender)
    with pytest.raises(ModelError, match="Other has a program of its own"):
        loo_pit(other, batch)
    ballots = replace(batch, response=torch.zeros(batch.n_answers, 3))
    with pytest.raises(DataError, match="ballots"):
        loo_pit(model, ballots)
