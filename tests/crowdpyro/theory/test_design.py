"""Intervals under a design: weights, strata and PSUs against the textbook's sums, statsmodels, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from crowdpyro import DataError
from crowdpyro.theory import crowd_interval, pooled_interval


def by_hand(y, w, strata, psu):
    """Mean, Taylor variance and degrees of freedom, unit by unit."""
    there = ~np.isnan(y)
    at = np.sum(w[there] * y[there]) / np.sum(w[there])
    z = np.where(there, w * (np.where(there, y, 0.0) - at), 0.0) / np.sum(w[there])
    variance, units = 0.0, 0
    for stratum in set(strata):
        totals = [z[(strata == stratum) & (psu == each)].sum() for each in sorted(set(psu[strata == stratum]))]
        count = len(totals)
        units += count
        mean = sum(totals) / count
        variance += count / (count - 1) * sum((each - mean) ** 2 for each in totals)
    return at, variance, units - len(set(strata))


@pytest.fixture
def sample():
    """Three strata of 2, 3 and 4 PSUs of unequal size, unequal weights."""
    rng = np.random.default_rng(0)
    psu = np.repeat(np.arange(9), [3, 5, 2, 4, 6, 3, 3, 2, 7])
    strata = np.array(["a", "a", "b", "b", "b", "c", "c", "c", "c"])[psu]
    return rng.normal(size=(35, 2)) + psu[:, None] * 0.2, rng.uniform(0.3, 3, size=35), strata, psu


def test_weighted_strata_and_psus_are_the_textbooks(sample):
    y, w, strata, psu = sample
    y[4, 1] = np.nan
    found = crowd_interval(y, method="human_only", weights=w, strata=strata, clusters=psu, missing="omit")
    for place in range(2):
        at, variance, df = by_hand(y[:, place], w, strata, psu)
        np.testing.assert_allclose(
            [found.estimate[place], found.se[place], found.df[place]], [at, variance**0.5, df], rtol=1e-12
        )
        reach = student.ppf(0.975, df) * variance**0.5
        np.testing.assert_allclose([found.low[place], found.high[place]], [at - reach, at + reach], rtol=1e-12)
    np.testing.assert_allclose(found.n_effective[0], w.sum() ** 2 / (w**2).sum(), rtol=1e-12)
    spread = np.sum(w * (y[:, 0] - found.estimate[0]) ** 2) / w.sum() / 34
    np.testing.assert_allclose(found.design_effect[0], found.se[0] ** 2 / spread, rtol=1e-12)


def test_people_are_units_where_no_psu_is_named(sample):
    y, w, strata, _ = sample
    found = crowd_interval(y[:, 0], method="human_only", weights=w, strata=strata)
    at, variance, df = by_hand(y[:, 0], w, strata, np.arange(35))
    np.testing.assert_allclose([found.estimate, found.se, found.df], [at, variance**0.5, df], rtol=1e-12)
    # Proportional allocation of equal weights: the classical sum of strata's variances.
    plain = crowd_interval(y[:, 0], method="human_only", strata=strata)
    parts = [y[strata == h, 0] for h in "abc"]
    classical = sum((len(part) / 35) ** 2 * part.var(ddof=1) / len(part) for part in parts)
    # Linearised about the mean of all, whose share of each stratum is fixed: the same.
    assert plain.se**2 == pytest.approx(classical, rel=1e-12)
    assert plain.df == 32


def test_moments_are_those_of_statsmodels(sample):
    weightstats = pytest.importorskip("statsmodels.stats.weightstats", reason="statsmodels is not installed")
    y, w, *_ = sample
    peer = weightstats.DescrStatsW(y, weights=w, ddof=0)
    found = crowd_interval(y, method="human_only", weights=w)
    np.testing.assert_allclose(found.estimate, peer.mean, rtol=1e-12)
    # Its weights are frequencies; the variance of a mean under sampling weights is sum of squared shares of them.
    share = w / w.sum()
    taylor = 35 / 34 * ((share[:, None] * (y - peer.mean)) ** 2).sum(axis=0)
    np.testing.assert_allclose(found.se**2, taylor, rtol=1e-12)
    np.testing.assert_allclose(found.design_effect, taylor / (peer.var / 34), rtol=1e-12)


def test_one_stratum_is_clusters_alone_and_equal_weights_are_none(sample):
    y, w, _, psu = sample
    alone = crowd_interval(y, method="human_only", clusters=psu)
    one = crowd_interval(y, method="human_only", clusters=psu, strata=np.zeros(35), weights=np.full(35, 7.0))
    for name in ("estimate", "low", "high", "df", "design_effect"):
        np.testing.assert_allclose(getattr(one, name), getattr(alone, name), rtol=1e-12)
    weighted = crowd_interval(y, method="human_only", clusters=psu, strata=np.zeros(35), weights=w)
    kish = crowd_interval(y, method="human_only", clusters=psu, weights=w)
    np.testing.assert_allclose(weighted.se, kish.se, rtol=1e-12)
    assert (weighted.df == 8).all()
    assert (kish.df < 8).all()
    simple = crowd_interval(y, method="human_only")
    assert (simple.design_effect == 1).all()
    assert (simple.n_effective == 35).all()


@pytest.mark.parametrize("method", ["rectified", "power_tuned"])
def test_a_crowd_of_the_same_people_adds_nothing_under_any_design(sample, method):
    """Twins that are the crowd: y_bar and its own variance, whatever lam, strata, PSUs and weights."""
    y, w, strata, psu = sample
    twin = 0.6 * y + np.random.default_rng(1).normal(size=y.shape)
    design = {"weights": w, "strata": strata, "clusters": psu}
    crowd = {f"crowd_{name}": each for name, each in design.items()}
    found = crowd_interval(y, twin, twin, method=method, overlap=True, **design, **crowd)
    np.testing.assert_allclose(found.estimate, found.human_only.estimate, rtol=1e-10)
    np.testing.assert_allclose(found.se, found.human_only.se, rtol=1e-8)


def test_pooled_intervals_take_a_design(sample):
    """One problem pooled is that problem; psu in the place of participants, weights of members too."""
    y, w, strata, psu = sample
    rng = np.random.default_rng(2)
    twin, crowd = y + rng.normal(size=y.shape), rng.normal(size=(50, 2))
    members = rng.uniform(0.5, 2, size=50)
    pooled = pooled_interval(
        y[:, :1], twin[:, :1], crowd[:, :1], weights=w, crowd_weights=members, participants=psu, strata=strata
    )
    single = crowd_interval(
        y[:, 0],
        twin[:, 0],
        crowd[:, 0],
        weights=w,
        crowd_weights=members,
        clusters=psu,
        strata=strata,
        crowd_clusters=np.arange(50),
    )
    np.testing.assert_allclose([pooled.low, pooled.high], [single.low, single.high], rtol=1e-12)
    assert pooled.design_effect == pytest.approx(float(single.design_effect))
    with pytest.raises(DataError, match=r"crowd_weights have shape \(3,\)"):
        pooled_interval(y, twin, crowd, crowd_weights=[1, 2, 3])


def test_bad_designs_are_named(sample):
    y, w, strata, psu = sample
    lonely = np.where(strata == "a", "a", "b").astype(object)
    lonely[0] = "West"
    with pytest.raises(DataError, match=r"stratum 'West' has one primary sampling unit.*join it"):
        crowd_interval(y, method="human_only", strata=lonely)
    wrong = strata.copy()
    wrong[1] = "c"
    with pytest.raises(DataError, match=r"answer number 1 stands in strata 'c', 'a'|stands in strata 'a', 'c'"):
        crowd_interval(y, method="human_only", strata=wrong, clusters=psu)
    with pytest.raises(DataError, match="strata of y have shape"):
        crowd_interval(y, method="human_only", strata=["a"])
    missing = strata.astype(object)
    missing[3] = None
    with pytest.raises(DataError, match="answer number 3 has none"):
        crowd_interval(y, method="human_only", strata=missing)
    few = np.full(35, np.nan)
    few[[0, 9, 20]] = 1.0, 2.0, 3.0
    with pytest.raises(DataError, match="no more units than strata"):
        crowd_interval(few, method="human_only", strata=strata, missing="omit")
    for bad, words in ((-w, "at least 0"), (0 * w, "sum to 0")):
        with pytest.raises(DataError, match=words):
            crowd_interval(y, method="human_only", weights=bad, strata=strata)


def two_stage(rng, n_replicates):
    """Six strata of unequal weight, four PSUs each of five people; the truth is sum_h W_h mu_h."""
    stratum, psu = np.repeat(np.arange(6), 20), np.repeat(np.arange(24), 5)
    mu, size = np.array([1.0, 2.0, 2.5, 3.0, 3.5, 5.0]), np.array([1.0, 1.5, 2.0, 2.0, 2.5, 3.0])
    y = mu[stratum][:, None] + 0.5 * rng.normal(size=(24, n_replicates))[psu] + rng.normal(size=(120, n_replicates))
    return y, size[stratum], stratum, psu, (size * mu).sum() / size.sum()


def test_coverage_under_strata_and_psus():
    """2,000 samples: .95 within 4 binomial standard errors (.0195); ignoring the PSUs falls short of it."""
    y, w, stratum, psu, truth = two_stage(np.random.default_rng(3), 2000)
    design = {"weights": w, "strata": stratum, "clusters": psu}

    def covers(**how):
        found = crowd_interval(y, method="human_only", **how)
        return ((found.low <= truth) & (truth <= found.high)).mean()

    assert covers(**design) == pytest.approx(0.95, abs=0.0195)
    assert covers(weights=w, strata=stratum) < 0.88
    assert covers(strata=stratum, clusters=psu) < 0.7  # unweighted: the mean of another population
    assert covers(weights=w, clusters=psu) > 0.98  # without strata: their differences count as noise


@pytest.mark.parametrize("method", ["rectified", "power_tuned"])
def test_coverage_of_a_crowd_beside_weighted_people(method):
    """Women three times as likely to be asked; twins know gender and some of the person; 2,000 samples of 100."""
    rng = np.random.default_rng(4)
    n, N, replicates = 100, 1000, 2000
    woman = rng.random((n, replicates)) < 0.75  # of a population of halves, 3 : 1
    inner = rng.normal(size=(n, replicates))
    y = 3 + 1.2 * woman + inner + 0.7 * rng.normal(size=(n, replicates))
    twin = 2.5 + woman + 0.5 * inner
    member = rng.random((N, replicates)) < 0.5
    crowd = 2.5 + member + 0.5 * rng.normal(size=(N, replicates))
    weights = np.where(woman, 1.0, 3.0)

    def covers(found):
        return ((found.low <= 3.6) & (found.high >= 3.6)).mean()

    assert covers(crowd_interval(y, twin, crowd, method=method, weights=weights)) == pytest.approx(0.95, abs=0.0195)
    assert covers(crowd_interval(y, method="human_only", weights=weights)) == pytest.approx(0.95, abs=0.0195)
    assert covers(crowd_interval(y, method="human_only")) < 0.5
