"""The verdict's rule, word by word, and that a yardstick which wins is named first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdpyro.studies.comparison import Comparison, Row
from crowdpyro.studies.metric import Column
from crowdpyro.studies.rows import Rows, checked
from crowdpyro.studies.summary import number, summarise
from crowdpyro.studies.verdict import judge

CROWD = Row("gpt4", "crowd")


def rows_of(errors: dict[str, float], bias: float = 0.0, n_seeds: int = 3) -> pd.DataFrame:
    """Methods whose absolute errors are these, give or take a hundredth a problem, on some seeds."""
    frames = []
    for seed in range(n_seeds):
        for method, error in errors.items():
            rng = np.random.default_rng([seed, *method.encode()])
            rows = Rows()
            rows.add_units("mae", error + 0.01 * rng.normal(size=40), range(40), "mean")
            rows.add_units("bias", bias + 0.1 * rng.normal(size=40), range(40))
            llm = "" if method == "marginal" else "gpt4"
            cell = {"protocol": "problem", "references": llm, "method": method, "seed": seed}
            frames.append(checked(rows.frame(), (), "here", 1.0).assign(**cell))
    return pd.concat(frames, ignore_index=True)


def verdict_of(study, errors, bias=0.0, calibrated=True, n_seeds=3):
    rows = rows_of(errors, bias, n_seeds)
    whole, units = rows[rows["unit"] == ""], rows[rows["unit"] != ""]
    compared = Comparison(study, "problem", Column.parse("mae:mean"), whole, units)
    found = Comparison(study, "problem", Column.parse("bias"), whole, units)
    calibration = {"bias": (found.metric, found.mean_with_interval(CROWD))} if calibrated else {}
    return judge(compared, CROWD, calibration)


@pytest.mark.parametrize(
    ("errors", "bias", "word"),
    [
        ({"crowd": 0.3, "table": 0.4, "alone": 0.5}, 0.0, "trust"),
        ({"crowd": 0.3, "table": 0.4, "alone": 0.5}, 0.3, "correct first"),
        ({"crowd": 0.4, "table": 0.4, "alone": 0.5}, 0.0, "correct first"),
        ({"crowd": 0.4, "table": 0.3, "alone": 0.5}, 0.0, "walk away"),
        ({"crowd": 0.4, "marginal": 0.3}, 0.0, "walk away"),
        ({"crowd": 0.4, "alone": 0.3, "table": 0.5}, 0.0, "walk away"),
        # A ceiling competes with nobody.
        ({"crowd": 0.3, "table": 0.4, "others": 0.1}, 0.0, "trust"),
        ({"crowd": 0.3}, 0.0, "correct first"),
    ],
)
def test_the_rule(simulated, errors, bias, word):
    assert verdict_of(simulated, errors, bias).word == word


def test_nothing_is_trusted_whose_calibration_was_not_measured(simulated):
    verdict = verdict_of(simulated, {"crowd": 0.3, "table": 0.4}, calibrated=False)
    assert verdict.word == "correct first"
    assert "Its calibration was not measured." in verdict.because


def test_one_seed_is_not_enough_for_trust(simulated):
    errors = {"crowd": 0.3, "table": 0.4}
    assert verdict_of(simulated, errors, n_seeds=2).word == "trust"
    assert verdict_of(simulated, errors, n_seeds=1).word == "correct first"


def test_a_yardstick_that_wins_is_said_first(simulated):
    verdict = verdict_of(simulated, {"crowd": 0.4, "table": 0.3, "others": 0.1})
    assert verdict.winner.startswith("Unseen problems: a simple yardstick is best, table of counts, gpt4, with MAE 0.3")
    assert "crowd, gpt4 is worse than table of counts, gpt4: MAE +0.1" in verdict.winner
    assert verdict.because[0].startswith("crowd, gpt4 is worse than table of counts")


def test_where_larger_is_better_the_rule_turns_round(simulated):
    study = replace(simulated, columns=("cosine_similarity",))
    rows = rows_of({"crowd": 0.9, "table": 0.8}).replace({"metric": {"mae": "cosine_similarity"}})
    rows["aggregator"] = ""
    whole, units = rows[rows["unit"] == ""], rows[rows["unit"] != ""]
    compared = Comparison(study, "problem", Column.parse("cosine_similarity"), whole, units)
    bias = Comparison(study, "problem", Column.parse("bias"), whole, units)
    assert judge(compared, CROWD, {"bias": (bias.metric, bias.mean_with_interval(CROWD))}).word == "trust"


def test_the_summary_holds_the_papers_figures_once_and_ceilings_last(simulated, store):
    summary = summarise(simulated, store, "problem")
    titles = [line.title for line in summary.lines]
    assert titles[0].startswith("crowd")
    assert titles[-2:] == ["other people", "another"]
    printed = {line.title: line.paper["mae:mean"].value for line in summary.lines if line.paper}
    assert printed == {"crowd, gpt4": 0.45, "another": 0.99}
    assert list(summary.columns) == ["mae:mean", "rmse:mean", "cosine_similarity", "llm_calls", "seconds"]
    best = [line.title for line in summary.lines if "mae:mean" in line.entries and line.entries["mae:mean"].best]
    assert best == [titles[0]]
    assert summary.seeds == [0, 1, 2, 3]
    assert next(line for line in summary.lines if line.title == summary.judged).difference is None


def test_a_protocol_without_results_has_no_summary(simulated, store):
    study = replace(simulated, protocols=(*simulated.protocols, replace(simulated.protocols[0], name="other")))
    assert summarise(study, store, "other") is None


@pytest.mark.parametrize(
    ("value", "cost", "text"),
    [(0.12345, False, "0.123"), (1.0, False, "1.000"), (123.45, False, "123.5"), (99000, True, "99,000"),
     (20.0, True, "20"), (np.inf, False, "∞"), (-1.5, False, "-1.500")],
)  # fmt: skip
def test_numbers_are_written_as_people_read_them(value, cost, text):
    assert number(value, cost) == text
