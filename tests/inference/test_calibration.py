"""Calibration: uniform ranks under exact posteriors, and an alarm for wrong ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal

from crowdpyro import DataError, ModelError
from crowdpyro.inference import (
    Calibration,
    crowd_calibration,
    ecdf_band,
    guide_posterior,
    sample_posterior,
    simulation_based_calibration,
    uniform_p_value,
)
from crowdpyro.inference.calibration import rank
from crowdpyro.inference.importance import resampled
from crowdpyro.inference.uniformity import holm

ERROR_RATE = 1e-3


def normal_mean(sd_factor=1.0):
    """theta ~ N(0, 1), y | theta ~ N(theta, 1): the posterior is N(y / 2, 1 / 2)."""

    def simulate(seed):
        theta, noise = np.random.default_rng(seed).normal(size=2)
        return {"theta": theta}, theta + noise

    def posterior(y, n_draws, seed):
        return {"theta": np.random.default_rng(seed).normal(y / 2, sd_factor * 0.5**0.5, n_draws)}

    return simulate, posterior


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (0.5**0.5, False), (2**0.5, False)])
@pytest.mark.parametrize("method", ["ecdf", "chi2"])
def test_wrong_spreads_are_seen_and_right_ones_pass(factor, right, method):
    found = simulation_based_calibration(*normal_mean(factor), n_simulations=600, n_draws=39, seed=1)
    assert found.names == ("theta",)
    assert (found.rejected(ERROR_RATE, method) == []) == right
    frame = found.to_frame(method)
    assert frame.loc["theta", "n_simulations"] == 600
    # Too narrow a posterior leaves the truth at the ends.
    assert (frame.loc["theta", "sd"] > 0.31) == (factor < 1)


def test_equal_seeds_equal_ranks_and_more_simulations_keep_the_first():
    ranks = [
        simulation_based_calibration(*normal_mean(), n_simulations=n, n_draws=9, seed=seed).ranks
        for n, seed in ((20, 3), (20, 3), (30, 3), (20, 4))
    ]
    np.testing.assert_array_equal(ranks[0], ranks[1])
    np.testing.assert_array_equal(ranks[0], ranks[2][:20])
    assert not np.array_equal(ranks[0], ranks[3])


def test_ties_are_broken_evenly():
    """A coin's posterior is full of ties: ranks of 0 and 1 alone would never be uniform."""
    rng = np.random.default_rng(0)
    ranks = [rank(rng.integers(2), rng.integers(2, size=19), rng) for _ in range(4000)]
    assert uniform_p_value(np.bincount(ranks, minlength=20), "chi2") > ERROR_RATE
    assert rank(1.0, np.array([0.0, 0.0, 2.0]), rng) == 2
    np.testing.assert_array_equal(rank(np.array([0.0, 5.0]), np.ones((7, 2)), rng), [0, 7])


def test_bins_hold_equally_many_ranks():
    found = Calibration(np.arange(100)[:, None], ("a",), 99)
    np.testing.assert_array_equal(found.counts(), np.full((1, 20), 5))
    np.testing.assert_array_equal(found.counts(4), [[25] * 4])
    with pytest.raises(DataError, match=r"n_bins=30 does not divide the 100 ranks equally; give one of \[2, 4, 5"):
        found.counts(30)
    # 8 ranks: seven draws.
    assert Calibration(np.arange(8)[:, None], ("a",), 7).counts().shape == (1, 8)


def test_the_simultaneous_test_keeps_its_error_rate():
    rng = np.random.default_rng(5)
    for n, n_bins in ((40, 8), (700, 20)):
        counts = rng.multinomial(n, np.full(n_bins, 1 / n_bins), size=3000)
        small = sum(uniform_p_value(count) <= 0.05 for count in counts[:800])
        # Two-sided binomial tail at 1e-3, less below, where the test is discrete.
        assert stats.binom.ppf(5e-4, 800, 0.035) <= small <= stats.binom.ppf(1 - 5e-4, 800, 0.05)
        low, high = ecdf_band(n, n_bins, 0.9)
        cumulative = counts.cumsum(axis=1)[:, :-1]
        covered = ((cumulative >= low) & (cumulative <= high)).all(axis=1).sum()
        assert stats.binom.ppf(5e-4, 3000, 0.9) <= covered <= stats.binom.ppf(1 - 5e-4, 3000, 0.93)


def test_the_band_of_one_point_is_the_binomials():
    low, high = ecdf_band(100, 2, 0.95)
    assert (low[0], high[0]) == (stats.binom.ppf(0.025, 100, 0.5), stats.binom.ppf(0.975, 100, 0.5))
    counts = [40, 60]
    assert uniform_p_value(counts) == pytest.approx(stats.binomtest(40, 100).pvalue, rel=1e-6)


def test_holm_is_between_bonferroni_and_nothing():
    raw = np.array([0.03, np.nan, 0.001, 0.2])
    adjusted = holm(raw)
    np.testing.assert_allclose(adjusted, [0.06, np.nan, 0.003, 0.2])
    assert holm([]).shape == (0,)


def test_eps_is_calibrated_under_the_exact_guide(meet, linear_gaussian):
    model, guide = linear_gaussian
    found = crowd_calibration(model, meet(), guide_posterior(guide), n_simulations=50, n_draws=19, seed=2)
    assert found.names == ("eps[0]", "eps[1]", "log_likelihood")
    assert found.n_simulations == 50 * 12
    assert found.rejected(ERROR_RATE) == []


class Wrong:
    """A guide whose covariance is scaled, or that never looks at an answer."""

    def __init__(self, guide, factor=1.0, blind=False):
        self.guide, self.factor, self.blind = guide, factor, blind

    def eps_dist(self, batch):
        right = self.guide.eps_dist(batch)
        if self.blind:
            return MultivariateNormal(torch.zeros_like(right.loc), torch.eye(2))
        return MultivariateNormal(right.loc, scale_tril=right.scale_tril * self.factor**0.5)


def test_half_the_variance_is_rejected(meet, linear_gaussian):
    model, guide = linear_gaussian
    found = crowd_calibration(model, meet(), guide_posterior(Wrong(guide, 0.5)), n_simulations=50, n_draws=19, seed=2)
    assert {"eps[0]", "eps[1]"} <= set(found.rejected(ERROR_RATE))


def test_the_likelihood_tells_a_guide_that_never_looks(meet, linear_gaussian):
    """Draws from the prior have uniform ranks of eps, and answers that fit them no better than anybody's."""
    model, guide = linear_gaussian
    found = crowd_calibration(model, meet(), guide_posterior(Wrong(guide, blind=True)), n_draws=19, seed=2)
    assert found.rejected(ERROR_RATE) == ["log_likelihood"]


def test_resampling_mends_a_wrong_guide(meet, ordinal):
    """On an ordinal scale no normal guide is right; weighted draws of a bad one are."""
    model, guide = ordinal()
    with torch.no_grad():
        model.encoder.affine.bias[5:7] = torch.tensor([1.5, -1.0])

    def posterior(batch, n_draws, seed):
        return {"eps": resampled(model, Wrong(guide, 0.3), batch, n_draws, 1024)}

    batch = meet(n_people=60)
    found = crowd_calibration(model.eval(), batch, posterior, n_simulations=12, n_draws=19, seed=3)
    assert found.rejected(ERROR_RATE) == []
    unmended = crowd_calibration(model, batch, guide_posterior(Wrong(guide, 0.3)), n_simulations=12, n_draws=19, seed=3)
    assert unmended.rejected(ERROR_RATE) != []


def test_absent_answers_are_no_evidence(meet, linear_gaussian):
    """Half of the meetings come to nothing: the guide, told of the others alone, is still exact."""
    model, guide = linear_gaussian
    batch = replace(meet(), participation=torch.tensor(0.5, dtype=torch.float64))
    found = crowd_calibration(model, batch, guide_posterior(guide), n_draws=19, seed=4)
    assert found.rejected(ERROR_RATE) == []


@pytest.mark.slow
def test_a_global_parameter_is_calibrated_by_nuts(meet, linear_gaussian):
    model, _ = linear_gaussian
    chosen = ["belief.shift.weight"]
    thin = 3

    def posterior(batch, n_draws, seed):
        drawn = sample_posterior(model, batch, chosen, num_samples=thin * n_draws, warmup_steps=60, seed=seed)
        return drawn.flat(thin)

    batch = meet(n_people=6)
    found = crowd_calibration(model, batch, posterior, parameters=chosen, n_simulations=80, n_draws=19, seed=5)
    assert {"belief.shift.weight[0, 0]", "eps[1]", "log_likelihood"} <= set(found.names)
    assert found.n_simulations == 80
    assert found.rejected(ERROR_RATE) == []


@pytest.mark.slow
def test_eps_of_an_ordinal_program_is_calibrated_by_nuts(meet, ordinal):
    model, _ = ordinal()
    with torch.no_grad():
        model.encoder.affine.bias[5:7] = torch.tensor([1.5, -1.0])
    thin = 4

    def posterior(batch, n_draws, seed):
        return sample_posterior(model, batch, num_samples=thin * n_draws, warmup_steps=60, seed=seed).flat(thin)

    found = crowd_calibration(model.eval(), meet(), posterior, n_simulations=25, n_draws=19, seed=6)
    assert found.rejected(ERROR_RATE) == []


def test_wrong_uses_are_named(meet, linear_gaussian, ordinal):
    _, guide = linear_gaussian
    flat, _ = ordinal(n_eps=0)
    with pytest.raises(ModelError, match="no parameter is random"):
        crowd_calibration(flat, meet(), guide_posterior(guide))
    with pytest.raises(DataError, match="n_draws=0"):
        simulation_based_calibration(*normal_mean(), n_draws=0)
    with pytest.raises(DataError, match="hold NaN"):
        rank(0.0, np.array([np.nan]), np.random.default_rng(0))
    with pytest.raises(DataError, match="the truth"):
        rank(np.zeros(2), np.zeros((5, 3)), np.random.default_rng(0))
    with pytest.raises(DataError, match="one a name"):
        Calibration(np.zeros((5, 2), dtype=int), ("a",), 9)
    with pytest.raises(DataError, match="between 0 and n_draws"):
        Calibration(np.full((5, 1), 10), ("a",), 9)
    with pytest.raises(DataError, match="at least two bins"):
        uniform_p_value([3])
    with pytest.raises(DataError, match="'ecdf' or 'chi2'"):
        uniform_p_value([3, 4], "ks")
    with pytest.raises(DataError, match="coverage=1"):
        ecdf_band(10, 5, 1.0)
