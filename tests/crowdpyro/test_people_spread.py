"""Moments of people by survey weight: unbiased whatever the weights, the textbook's where they are equal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crowdpyro import people_spread

UNEQUAL = np.array([1.0, 5.0, 2.0, 2.0, 0.5, 1.0, 1.0, 3.0, 1.0, 1.0] * 2)
LEVELS = np.array(["a", "b"] * 10, dtype=object)


@pytest.mark.parametrize("weights", [np.ones(20), UNEQUAL])
def test_components_of_variance_are_unbiased(weights):
    """y = b_g + e with var(b) = .25 (two fixed groups at -+.5: .5 about their mean over two) and var(e) = 1."""
    rng, found, nothing = np.random.default_rng(0), [], []
    for _ in range(400):
        noise = rng.normal(size=(20, 4))
        answers = np.where(LEVELS == "a", 0.5, -0.5)[:, None] + noise
        found.append(people_spread.between_over_within(answers, LEVELS, weights))
        nothing.append(people_spread.between_over_within(noise, LEVELS, weights))
    # The ratio to the variance within is biased by df / (df - 2), 18 / 16 with equal weights; unequal ones have Kish's
    # degrees of freedom, 12 to 13 here.
    factor = 18 / 16 if np.ptp(weights) == 0 else 12.5 / 10.5
    assert np.mean(found) == pytest.approx(0.5 * factor, abs=4 * np.std(found) / 400**0.5)
    assert abs(np.mean(nothing)) < 4 * np.std(nothing) / 400**0.5


def test_equal_weights_are_the_one_way_layout():
    rng = np.random.default_rng(1)
    y, group = rng.normal(size=30), np.repeat(["a", "b", "c"], [5, 10, 15]).astype(object)
    y[group == "c"] += 1.0
    parts = [y[group == name] for name in "abc"]
    within = sum(((part - part.mean()) ** 2).sum() for part in parts) / 27
    between = within * stats.f_oneway(*parts).statistic
    n_0 = (30 - (25 + 100 + 225) / 30) / 2
    found = people_spread.between_over_within(y[:, None], group, np.full(30, 0.7))
    assert found == pytest.approx((between - within) / n_0 / within)
    assert people_spread.spread(y, np.full(30, 2.0)) == pytest.approx(y.std(ddof=1))
    mean, error, n = people_spread.mean_and_error(y, np.ones(30))
    assert (mean, error, n) == (pytest.approx(y.mean()), pytest.approx(stats.sem(y)), 30)


def test_weighted_spread_and_error_are_unbiased():
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(4000, 20))
    variance = np.array([people_spread.spread(each, UNEQUAL) ** 2 for each in draws])
    assert variance.mean() == pytest.approx(1.0, abs=4 * variance.std() / 4000**0.5)
    means, errors = np.array([people_spread.mean_and_error(each, UNEQUAL)[:2] for each in draws]).T
    # Of 20 people, by linearisation, a few in a hundred too small.
    assert np.square(errors).mean() == pytest.approx(means.var(), rel=0.12)


def test_little_data_is_no_number_and_no_warning():
    none = np.zeros(3)
    values = np.array([1.0, 2.0, 4.0])
    assert np.isnan(people_spread.spread(values, none))
    assert np.isnan(people_spread.spread(values, np.array([1.0, 0.0, 0.0])))
    assert people_spread.mean_and_error(values, none)[2] == 0
    mean, error, n = people_spread.mean_and_error(values, np.array([0.0, 2.0, 0.0]))
    assert (mean, n) == (2.0, 1)
    assert np.isnan(error)
    assert np.isnan(people_spread.variance_within(values[:, None], np.ones(3)))
    one_group = np.array(["a"] * 3, dtype=object)
    assert np.isnan(people_spread.between_over_within(values[:, None], one_group, np.ones(3)))
    absent = np.full((3, 1), np.nan)
    assert np.isnan(people_spread.between_over_within(absent, one_group, np.ones(3)))
    assert people_spread.column_means(absent, np.ones(3)) == 0.0
