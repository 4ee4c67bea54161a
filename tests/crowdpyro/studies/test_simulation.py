"""The simulation: the population is what it says, cells repeat, statements are told apart, pictures are drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from crowdpyro import theory
from crowdpyro.errors import DataError
from crowdpyro.studies import simulation, simulation_insights, simulation_report
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.pipeline_calibration_world import World
from crowdpyro.studies.simulation_design import Design
from crowdpyro.studies.simulation_population import SimulatedPopulation


@pytest.fixture(scope="module")
def population() -> SimulatedPopulation:
    """The crowd of a small world."""
    world = World.of("ratings", 3)
    return SimulatedPopulation.of("small", world.data(world.people(80, 0)), world.references, n=200)


def test_beliefs_differ_by_the_diversity_and_responses_err_by_the_noise(population: SimulatedPopulation) -> None:
    rng = np.random.default_rng(0)
    everybody, problems = np.arange(200)[:, None], np.arange(population.n_problems)
    for diversity in (0, 1, 2):
        exact = population.answers(everybody, problems, diversity, 0, rng)
        np.testing.assert_allclose(exact.mean(axis=0), population.mean, atol=1e-5)
        np.testing.assert_allclose(exact.std(axis=0), diversity, atol=1e-5)
    noisy = population.answers(everybody, problems, 0, 2, rng) - population.mean
    # 2,400 draws: the standard error of their standard deviation is .03.
    assert noisy.std() == pytest.approx(2, abs=0.12)
    assert population.mean.min() >= 1
    assert population.mean.max() <= 5
    # A person's own noise binds their beliefs.
    correlation = np.corrcoef(population.belief.T)[np.triu_indices(population.n_problems, 1)]
    assert np.abs(correlation).mean() > 0.1


def test_nobody_meets_a_problem_that_is_held_out(population: SimulatedPopulation) -> None:
    data, workers = population.sample(10, 5, 1, 1, seed=4)
    asked, held_out = population.parts(4)
    assert data.n_answers == 50
    assert set(data.problems.index) <= set(population.problems.index[asked])
    assert len(held_out) == round(0.2 * population.n_problems)
    assert list(population.people.index[np.sort(workers)]) == sorted(
        data.participants.index, key=population.people.index.get_loc
    )
    assert (np.bincount(data.participant_code) == 5).all()


def test_a_cell_repeats_and_has_every_number(population: SimulatedPopulation) -> None:
    cell = Cell("simulation", "noise1_diversity1", "", "10x5", 2)
    one, other = (simulation.evaluate(cell, population) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    found = one.set_index(["metric", "n_virtual"])["value"]
    assert {("mae", 20), ("mae", 0), ("mae_line", 0), ("twin_correlation", 0)} <= set(found.index)
    # Diversity and noise of 1 each; 200 people at 2 problems.
    assert found["answer_sd", 0] == pytest.approx(2**0.5, abs=0.25)
    assert 0 < found["mae", 20] < 3
    with pytest.raises(DataError, match="has 10 problems to ask"):
        simulation.evaluate(Cell("simulation", "noise1_diversity1", "", "10x40", 2), population)


def test_the_line_is_least_squares(population: SimulatedPopulation) -> None:
    data, _ = population.sample(20, 8, 1, 1, seed=0)
    assert population.references is not None
    x = population.references.select(data.problems.index).expected()[data.problem_code]
    slope, intercept = np.polyfit(x, data.response, 1)
    found = simulation.simple(data, population.references, population.references, 12)
    np.testing.assert_allclose(found["mae_line"], intercept + slope * population.references.expected())
    assert set(simulation.simple(data, None, None, 12)) == {"mae_training_mean"}


def results(error: dict[str, float] | None = None, seeds: int = 10, spread: float = 0.01) -> pd.DataFrame:
    """Rows of a whole grid whose MAE is a law of one's choice: base + noise + slope log2(workers), repeats apart."""
    law = {"base": 0.5, "noise": 0.1, "diversity": 0.1, "workers": -0.05} | (error or {})
    rng = np.random.default_rng(0)
    rows = []
    for noise, diversity, n, k, seed in itertools.product(
        (0, 1, 2), (0, 1, 2), (5, 10, 20, 50, 100), (5, 10, 20, 40), range(seeds)
    ):
        mean = law["base"] + law["noise"] * noise + law["diversity"] * diversity + law["workers"] * np.log2(n / 5)
        key = {"protocol": Design.protocol_of(noise, diversity), "method": Design.method_of(n, k), "seed": seed}
        columns = (("mae", "mean", 20), ("mae", "mean", 0), ("mae_line", "", 0), ("answer_sd", "", 0))
        for metric, aggregator, n_virtual in (*columns, ("twin_sd", "", 0), ("twin_correlation", "", 0)):
            value = max(mean + spread * rng.normal(), 0.01)
            rows.append(key | {"metric": metric, "aggregator": aggregator, "n_virtual": n_virtual, "value": value})
    return pd.DataFrame(rows).assign(study="simulation", references="", unit="", weight=1.0)


def test_statements_are_confirmed_where_they_hold_and_refuted_where_they_do_not() -> None:
    falling = simulation_insights.findings(results()).groupby("insight")["finding"].agg(set)
    assert falling[1] == {"refuted"}
    assert falling[2] == {"confirmed"}
    assert falling[5] == {"confirmed"}
    rising = simulation_insights.findings(results({"workers": 0.05, "noise": -0.1, "diversity": -0.1}))
    assert set(rising.loc[rising["insight"] == 1, "finding"]) == {"confirmed"}
    assert set(rising.loc[rising["insight"].isin([2, 5]), "finding"]) == {"refuted"}
    # Workers gain nothing: ten are as good as any number, and nothing waits for 800 annotations.
    flat = simulation_insights.findings(results({"workers": 0.0}))
    assert set(flat.loc[flat["insight"] == 4, "finding"]) == {"confirmed"}
    assert "refuted" in set(flat.loc[flat["insight"] == 3, "finding"])


def test_slopes_and_contrasts_are_the_laws() -> None:
    found = simulation_insights.findings(results(spread=1e-9)).set_index("insight")["mean"]
    np.testing.assert_allclose(found[1], -0.05, atol=1e-6)
    np.testing.assert_allclose(found[2], [-0.1, -0.2], atol=1e-6)
    np.testing.assert_allclose(found[5], 0.1, atol=1e-6)


def test_the_report_draws_the_papers_axes_and_feeds_the_power_table() -> None:
    frame = results()
    (title, sentence, figure), _ = simulation_report.figures(frame)
    assert "Figure 9" in title
    assert "error of the responses" in sentence
    assert len(figure.axes) == 9
    assert {axes.get_xlabel() for axes in figure.axes} == {"workers", ""}
    power = theory.PowerTable(simulation_report.power_rows(frame))
    plan = power.plan(0.45, noise=0, diversity=0)
    # .5 - .05 log2(n / 5) is .45 at ten people.
    assert plan.n_people == pytest.approx(10, abs=1)
    said = simulation_report.verdict(frame)
    assert len(said.because) == 6
    assert "of 180 designs" in said.winner
    line = frame["metric"] == "mae_line"
    for times, word, first in ((0.0, "walk away", "A straight line"), (9.0, "trust", "The crowd's mean is closer")):
        moved = frame.assign(value=frame["value"].where(~line, times * frame["value"]))
        assert simulation_report.verdict(moved).word == word
        assert simulation_report.verdict(moved).winner.startswith(first)
    assert simulation_report.verdict(frame[~line]).word == "correct first"


def test_partial_grids_are_stood() -> None:
    frame = results(seeds=1)
    assert simulation_insights.parts(frame) == []
    assert len(simulation_report.figures(frame)) == 2
    few = frame[frame["method"] == "5x5"]
    assert simulation_report.tables(few)
    nothing = frame.iloc[:0]
    assert simulation_report.figures(nothing) == []
    assert simulation_report.tables(nothing) == []
    assert "Not told" in simulation_insights.sentences(nothing)[0]


def test_a_full_grid_that_has_begun_does_not_hide_the_quick_one() -> None:
    frame = results(seeds=3)
    quick = frame["method"].isin(["5x5", "10x5", "100x5", "5x20", "10x20", "100x20"])
    one, both = (simulation_insights.findings(frame[kept]) for kept in (quick, quick | (frame["seed"] == 0)))
    pd.testing.assert_frame_equal(one, both)
    # A fourth repeat under way leaves the three that are whole.
    more = results(seeds=4)
    under_way = more[(more["seed"] < 3) | more["method"].isin(["5x5"])]
    assert set(simulation_insights.findings(under_way)["repeats"]) == {3}


def test_names_of_designs_are_read_back() -> None:
    assert Design.of("noise2_diversity1", "50x40") == Design(2, 1, 50, 40)
    with pytest.raises(DataError, match="write noise1_diversity2 and 20x10"):
        Design.of("noise", "50x40")
    assert len(simulation.STUDY.cells()) == 1800
    assert len(simulation.STUDY.quick_cells()) == 162
