"""Differences and their intervals: closed forms, coverage at the stated rate, what stands beside what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crowdpyro import DataError
from crowdpyro.studies.comparison import Comparison, Row, UnitValues, bootstrap, over_seeds
from crowdpyro.studies.metric import METRICS, Column

MAE, RMSE, BIAS = METRICS["mae"], METRICS["rmse"], METRICS["bias"]
CROWD, TABLE, MARGINAL = Row("gpt4", "crowd"), Row("gpt4", "table"), Row("", "marginal")


def unit_values(values: np.ndarray, weights: np.ndarray | None = None) -> UnitValues:
    frame = pd.DataFrame(values)
    return UnitValues(frame, pd.DataFrame(np.ones_like(values) if weights is None else weights))


def splits(rng, n_problems, n_seeds, sd_fit):
    """Differences of two methods on random fifths of the problems: of the problem, of the fit, and noise of both."""
    problem = rng.normal(0, 0.1, n_problems)
    values = np.full((n_problems, n_seeds), np.nan)
    for seed in range(n_seeds):
        held = rng.choice(n_problems, n_problems // 5, replace=False)
        values[held, seed] = problem[held] + rng.normal(0, sd_fit) + rng.normal(0, 0.1, len(held))
    return values[~np.isnan(values).all(axis=1)]


def test_one_seed_has_the_interval_of_a_mean():
    values = np.random.default_rng(0).normal(1, 2, size=(400, 1))
    found = bootstrap(unit_values(values), None, BIAS, n_boot=20_000)
    se = values.std() / np.sqrt(400)
    assert found.estimate == pytest.approx(values.mean())
    # The Monte-Carlo error of a quantile from 20,000 draws is 2 % of the standard error.
    assert found.low == pytest.approx(values.mean() - 1.96 * se, abs=0.1 * se)
    assert found.high == pytest.approx(values.mean() + 1.96 * se, abs=0.1 * se)


def test_estimates_are_weighted_by_answers_and_paired_by_seed_and_unit():
    nan = np.nan
    a = unit_values(np.array([[1.0, nan], [3.0, 5.0], [nan, 7.0]]), np.array([[1.0, nan], [3.0, 1.0], [nan, 1.0]]))
    b = unit_values(np.array([[0.0, nan], [0.0, 1.0]]), np.ones((2, 2)))
    # Seed 0: (1 + 9) / 4 - 0; seed 1: unit 2 is not there for b, so 5 - 1.
    found = bootstrap(a, b, MAE)
    assert found.estimate == pytest.approx((2.5 + 4) / 2)
    assert (found.n_units, found.n_seeds) == (2, 2)


def test_a_root_metric_is_the_root_of_each_methods_mean():
    a, b = unit_values(np.array([[1.0], [9.0]])), unit_values(np.array([[4.0], [4.0]]))
    assert bootstrap(a, b, RMSE).estimate == pytest.approx(np.sqrt(5) - 2)


def test_methods_that_share_no_problem_are_not_compared():
    a, b = unit_values(np.array([[1.0], [np.nan]])), unit_values(np.array([[np.nan], [1.0]]))
    with pytest.raises(DataError, match="share no scored problem"):
        bootstrap(a, b, MAE)


def test_seeds_that_share_their_data_have_wider_intervals():
    values = np.array([0.1, 0.2, 0.3, 0.6])
    alone, shared = over_seeds(values, 0.0), over_seeds(values, 0.2)
    half = stats.t.ppf(0.975, 3) * values.std(ddof=1)
    assert alone.high - alone.estimate == pytest.approx(half / 2)
    assert shared.high - shared.estimate == pytest.approx(half * np.sqrt(1 / 4 + 1 / 4))
    assert not over_seeds(values[:1], 0.2).excludes_zero


def test_infinite_losses_differ_where_only_one_is_infinite():
    assert over_seeds(np.array([-np.inf, -np.inf]), 0.0).excludes_zero
    assert not over_seeds(np.array([-np.inf, 0.1]), 0.0).excludes_zero
    assert over_seeds(np.array([np.nan, np.nan]), 0.0).estimate == 0


def test_fits_that_differ_widen_the_interval_by_students_t():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.01, size=(400, 4)) + np.array([-1.0, 0.5, 1.0, 0.3])
    found = bootstrap(unit_values(values), None, BIAS)
    half = stats.t.ppf(0.975, 3) * values.mean(axis=0).std(ddof=1) / 2
    assert found.high - found.estimate == pytest.approx(half, rel=0.01)
    alike = bootstrap(unit_values(values - values.mean(axis=0)), None, BIAS)
    assert alike.high - alike.low < 0.01


# Measured: .93 to .97 with ten or twenty seeds. At this rate fewer than `least` of n have a chance of 1 in 10,000.
RATE = 0.92


def coverage(seed, n_studies, n_seeds, sd_fit):
    rng = np.random.default_rng(seed)
    found = [
        bootstrap(unit_values(splits(rng, 300, n_seeds, sd_fit)), None, BIAS, held_out=0.2, n_boot=400)
        for _ in range(n_studies)
    ]
    return sum(each.low <= 0 <= each.high for each in found)


def voters_apart(seed, n_studies):
    """Of intervals over 24 projects that every seed scores, a fifth of 180 voters held out: how many cover."""
    rng, covered = np.random.default_rng(seed), 0
    for _ in range(n_studies):
        project, voter = rng.normal(0, 0.5, 24), rng.normal(0, 0.9, 180)
        held = np.array([voter[rng.choice(180, 36, replace=False)].mean() for _ in range(20)])
        values = project[:, None] + held + rng.normal(0, 0.2, (24, 20))
        found = bootstrap(unit_values(values), None, BIAS, held_out=0.2, same_units=True, n_boot=400)
        covered += found.low <= 0 <= found.high
    return covered


def test_intervals_cover_when_seeds_share_their_units_and_hold_out_people():
    # Taking the projects' variance off the seeds', as where units are held out, covers .78.
    assert voters_apart(0, 250) >= stats.binom.ppf(1e-4, 250, RATE)


def test_seeds_that_hold_out_nothing_say_nothing_of_other_units():
    values = np.array([0.1, 0.2, 0.3])
    found = over_seeds(values, 0.0, same_units=True)
    assert found.estimate == pytest.approx(0.2)
    assert not found.excludes_zero


def test_rounding_is_no_difference():
    values = 0.3 + np.random.default_rng(0).normal(size=(30, 4)) * 1e-17
    other = unit_values(np.full((30, 4), 0.1 + 0.2))
    found = bootstrap(unit_values(values), other, BIAS)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)
    assert over_seeds(np.array([1e-17, -2e-17]), 0.0).high == 0


def test_who_is_best_is_told_on_seeds_that_all_share(simulated, store):
    whole, units = store.read(metrics=["mae"]), store.read(units=True, metrics=["mae"])
    # The marginal was run on half of the seeds, of which one was easy.
    lucky = (whole["method"] == "marginal") & (whole["seed"] == 0)
    values = whole["value"].where(~lucky, 0.01)
    values = values.where((whole["seed"] != 0) | (whole["method"] == "marginal"), 0.005)
    short = whole.assign(value=values)[(whole["method"] != "marginal") | (whole["seed"] < 2)]
    compared = Comparison(simulated, "problem", Column.parse("mae:mean"), short, units)
    assert compared.best() == CROWD
    once = short[(short["method"] != "marginal") | (short["seed"] == 0)]
    compared = Comparison(simulated, "problem", Column.parse("mae:mean"), once, units)
    assert compared.mean(MARGINAL) < compared.mean(CROWD)
    assert compared.best() == CROWD


def test_intervals_cover_when_fits_differ_much():
    # Problems alone would cover .77 here.
    assert coverage(0, 250, 10, 0.03) >= stats.binom.ppf(1e-4, 250, RATE)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [5, 10, 20])
@pytest.mark.parametrize("sd_fit", [0.0, 0.01, 0.03])
def test_intervals_cover_whatever_fits_do_and_are_no_wider_than_that(n_seeds, sd_fit):
    least = stats.binom.ppf(1e-4, 1000, RATE - 0.01 * (n_seeds < 10))
    assert least <= coverage(1, 1000, n_seeds, sd_fit) <= stats.binom.ppf(1 - 1e-4, 1000, 0.97)


def test_an_infinite_loss_has_a_mean_and_no_spread(simulated, store):
    whole = store.read(metrics=["mae"]).copy()
    whole.loc[(whole["method"] == "alone") & (whole["references"] == "gpt4"), "value"] = np.inf
    compared = Comparison(simulated, "problem", Column.parse("mae:mean"), whole, store.read(units=True))
    alone = Row("gpt4", "alone")
    assert compared.mean(alone) == np.inf
    assert np.isnan(compared.sd(alone))
    found = compared.difference(CROWD, alone)
    assert found.excludes_zero
    assert found.estimate == -np.inf


def test_what_a_store_says_is_what_the_bootstrap_says(simulated, store):
    compared = Comparison(
        simulated, "problem", Column.parse("mae:mean"), store.read(), store.read(units=True, protocol="problem")
    )
    found = compared.difference(CROWD, TABLE)
    assert found.estimate == pytest.approx(compared.mean(CROWD) - compared.mean(TABLE))
    assert found.low < found.estimate < found.high < 0
    assert (found.n_seeds, found.n_better) == (4, 4)
    mirrored = compared.difference(TABLE, CROWD)
    assert (mirrored.estimate, mirrored.n_better) == (pytest.approx(-found.estimate), 0)
    assert mirrored.low == pytest.approx(-found.high)


def test_competitors_read_the_same_llm_or_none_and_a_panels_any(simulated, store):
    whole, units = store.read(), store.read(units=True)

    def competitors(study, row):
        return {
            str(each) for each in Comparison(study, "problem", Column.parse("mae:mean"), whole, units).competitors(row)
        }

    single = competitors(simulated, CROWD)
    assert single == {str(row) for row in (TABLE, MARGINAL, Row("gpt4", "alone"))}
    assert competitors(replace(simulated, panel="gpt4"), CROWD) == single | {
        str(Row("llama", "table")),
        str(Row("llama", "alone")),
    }
    best = Comparison(simulated, "problem", Column.parse("mae:mean"), whole, units).best_competitor(CROWD)
    assert best == TABLE


def test_a_metric_without_units_is_compared_over_seeds(simulated, store):
    compared = Comparison(simulated, "problem", Column.parse("cosine_similarity"), store.read(), store.read(units=True))
    found = compared.difference(CROWD, MARGINAL)
    assert (found.n_units, found.n_better) == (0, 4)
    assert found.low > 0
    assert compared.best_competitor(CROWD) == TABLE


def test_methods_of_other_seeds_cannot_be_paired(simulated, store):
    whole = store.read()
    apart = whole[(whole["method"] != "table") | (whole["seed"] > 1)]
    apart = apart[(apart["method"] != "crowd") | (apart["seed"] < 2)]
    compared = Comparison(simulated, "problem", Column.parse("mae:mean"), apart, store.read(units=True))
    assert TABLE not in compared.competitors(CROWD)
    with pytest.raises(DataError, match="share no seed in 'problem'"):
        compared.difference(CROWD, TABLE)
