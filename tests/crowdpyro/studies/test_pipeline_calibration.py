"""Known worlds are what they say; coverage, ranks and warnings are counted right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro.studies import pipeline_calibration, pipeline_calibration_report
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.pipeline_calibration_checks import CHECKS, person_fit
from crowdpyro.studies.pipeline_calibration_world import RIGHT, WRONG, World


@pytest.mark.parametrize("kind", [*RIGHT, *WRONG])
def test_equal_seeds_give_equal_people_and_others_others(kind: str) -> None:
    worlds = [World.of(kind, seed) for seed in (0, 0, 1)]
    people = [world.people(30, 5) for world in worlds]
    np.testing.assert_array_equal(people[0].answers, people[1].answers)
    assert not np.array_equal(people[0].answers, people[2].answers)
    assert np.array_equal(people[0].answers, people[0].thoughts) == (kind != "spammers")
    assert worlds[0].data(people[0]).n_answers == 30 * 12


def test_wrong_worlds_are_wrong_in_the_way_they_say() -> None:
    spam = World.of("spammers", 0).people(2000, 0)
    guilty = (spam.answers != spam.thoughts).any(axis=1)
    # Two-sided bounds of four standard errors: .25 less the chance of agreeing with oneself twelve times.
    assert guilty.mean() == pytest.approx(0.25, abs=4 * 0.0097)
    np.testing.assert_allclose(
        np.bincount(spam.answers[guilty].ravel().astype(int)) / guilty.sum() / 12, 0.2, atol=0.03
    )
    curved = World.of("curved", 0)
    asked, everybody = (curved.people(1000, 0, respondents=each).profiles["age"].mean() for each in (True, False))
    assert asked > everybody + 10
    biased = World.of("biased_llm", 0)
    people = biased.people(300, 0)
    twin = biased.told(people.profiles).source().values @ np.arange(5)
    small = (people.profiles["group"] == "c").to_numpy()
    assert (twin[:, small].mean(axis=1) < twin[:, ~small].mean(axis=1)).all()


def test_person_fit_tells_coin_tossers_from_people_who_agree() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=12)
    answers = shared + 0.5 * rng.normal(size=(200, 12))
    spam = answers.copy()
    spam[:50] = rng.normal(size=(50, 12)) * answers.std()
    assert person_fit(answers)[0] > 0.7
    assert person_fit(spam)[0] < 0.4
    # Left out of the means that they are compared with: one disagreeing person, exactly.
    three = np.array([[1.0, 2, 3], [1, 2, 3], [3, 2, 1]])
    assert person_fit(three)[1] == pytest.approx(np.median([0, 0, -1]), abs=1e-9)


def test_a_cell_of_intervals_covers_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 studies of 12 problems: the standard error of a coverage is below .02, bounds are four of them."""
    monkeypatch.setattr(pipeline_calibration, "_STUDIES", 200)
    monkeypatch.setattr(pipeline_calibration, "_POPULATION", 1000)
    monkeypatch.setattr(pipeline_calibration, "SIZES", (50,))
    cell = Cell("pipeline_calibration", "numbers", "", "intervals", 7)
    one, other = (pipeline_calibration.evaluate(cell, None) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    found = one.set_index(["metric", "aggregator"])["value"]
    for level, name in zip(pipeline_calibration.LEVELS, ("50", "80", "90", "95"), strict=True):
        se = np.sqrt(level * (1 - level) / 200 / 3)
        assert found[f"coverage_{name}", "rectified-50"] == pytest.approx(level, abs=4 * se)
    assert found["coverage_95", "theorem_4_6-50"] > 0.995


def row(protocol: str, method: str, seed: int, metric: str, aggregator: str, value: float) -> dict[str, object]:
    return locals()


def frame(off: float = 0.0, p_values: dict[str, float] | None = None, wrong: tuple[str, ...] = WRONG) -> pd.DataFrame:
    """Four repeats; checks of these p-values in the wrong worlds, and of .5 elsewhere."""
    rows = []
    for seed in range(4):
        for kind in (*RIGHT, *wrong):
            for level in (0.5, 0.95):
                name = f"coverage_{100 * level:.0f}"
                rows.append(row(kind, "intervals", seed, name, "rectified-50", level + off + 0.001 * (-1) ** seed))
                rows.append(row(kind, "intervals", seed, name, "theorem_4_6-50", 1.0))
            rows.append(row(kind, "checks", seed, "mean_error", "", 0.1))
            for check in CHECKS:
                p_value = (p_values or {}).get(check, 0.5) if kind in wrong else 0.5
                rows.append(row(kind, "checks", seed, "p_value", check, p_value))
        for place in range(10):
            rows.append(row("numbers", "sbc", seed, "ranks", f"eps.eps_0.{place}", 24.0))
            rows.append(
                row("numbers", "sbc", seed, "ranks", f"global.belief.shift.weight_0_1.{place}", 60.0 * (place < 4))
            )
    return pd.DataFrame(rows).assign(n_virtual=0, unit="", references="", study="pipeline_calibration", weight=1.0)


def test_coverage_and_ranks_are_pooled_over_worlds() -> None:
    covered = pipeline_calibration_report.coverage(frame(0.01))
    first = covered[(covered["interval"] == "rectified") & (covered["world"] == "ratings")]
    np.testing.assert_allclose(first["off"], 0.01, atol=1e-12)
    np.testing.assert_allclose(first["se"], 0.001 * (4 / 3) ** 0.5 / 2, rtol=1e-9)
    uniform = pipeline_calibration_report.ranks(frame()).set_index("quantity")
    assert uniform.loc["eps_0", "ranks"] == 4 * 240
    assert uniform.loc["eps_0", "p_value"] > 0.5
    assert uniform.loc["belief.shift.weight_0_1", "p_value"] < 1e-6


def test_the_verdict_wants_coverage_and_a_warning_in_every_wrong_world() -> None:
    silent = pipeline_calibration_report.verdict(frame())
    assert silent.word == "correct first"
    assert any("spammers: no check" in each for each in silent.because)
    told = frame(p_values={"careless": 0.001})
    assert pipeline_calibration_report.warned(told) == {world: ["careless"] for world in WRONG}
    assert pipeline_calibration_report.verdict(told).word == "trust"
    assert pipeline_calibration_report.verdict(frame(0.05, {"careless": 0.001})).word == "correct first"
    names = [title for title, *_ in pipeline_calibration_report.tables(told)]
    assert names[:2] == ["Coverage where the model is right", "Coverage that is off"]
    assert [len(figure.axes) for *_, figure in pipeline_calibration_report.figures(told)] == [3, 1]


def test_a_check_that_warns_as_often_where_the_model_is_right_tells_nothing() -> None:
    told = frame(p_values={"careless": 0.001})
    everywhere = told.assign(value=told["value"].where(told["aggregator"] != "careless", 0.001))
    assert pipeline_calibration_report.warned(everywhere) == {world: [] for world in WRONG}


def test_nothing_is_trusted_of_which_a_part_was_not_run() -> None:
    told = frame(p_values={"careless": 0.001})
    for part in (
        told["method"] == "checks",
        told["method"] == "sbc",
        told["protocol"] != "labels",
        told["protocol"] != "hidden",
        told["seed"] == 0,
    ):
        assert pipeline_calibration_report.verdict(told[part]).word == "correct first"


def test_partial_results_are_stood() -> None:
    nothing = frame().iloc[:0]
    assert pipeline_calibration_report.tables(nothing) == []
    assert pipeline_calibration_report.figures(nothing) == []
    assert pipeline_calibration_report.warned(nothing) == {}
    one = frame()[lambda rows: (rows["seed"] == 0) & (rows["protocol"] == "ratings")]
    assert pipeline_calibration_report.tables(one)
    assert pipeline_calibration_report.figures(one)
