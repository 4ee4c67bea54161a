"""Long-form results: aggregates of distributions, paired differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from crowdpyro import DataError, Ordinal, parse_scale
from crowdpyro.studies.display import print_paired, print_summary, wide_console
from crowdpyro.studies.scoring import COLUMNS, Results, aggregate_shares, ordinal, paired, summary

SCALE = Ordinal.range(1, 3)


def test_aggregates_of_a_distribution_are_those_of_its_people():
    people = np.array([1, 1, 2, 3, 3, 3])
    shares = np.array([[2, 1, 3]]) / 6
    assert aggregate_shares(shares, "mean", SCALE)[0] == pytest.approx(people.mean())
    assert aggregate_shares(shares, "median", SCALE)[0] == np.median(people)
    assert aggregate_shares(shares, "majority", SCALE)[0] == 3
    even = np.array([[0.5, 0, 0.5]])
    assert aggregate_shares(even, "median", SCALE)[0] == 2
    assert {aggregate_shares(even, "majority", SCALE, seed)[0] for seed in range(20)} == {1, 3}


def results():
    frames = []
    for seed, (ours, theirs) in enumerate([(0.1, 0.2), (0.3, 0.25), (0.2, 0.4)]):
        made = Results("s", "problem", "llm", seed)
        made.add("crowdllm", "wasserstein1", ours)
        made.add("table", "wasserstein1", theirs)
        made.add("crowdllm", "cosine_similarity", 1 - ours)
        made.add("table", "cosine_similarity", 1 - theirs)
        frames.append(made.frame())
    return pd.concat(frames, ignore_index=True)


def test_paired_differences_know_which_way_is_better():
    frame = results()
    assert tuple(frame.columns) == COLUMNS
    table = paired(frame, "crowdllm", "table").set_index("metric")
    assert table.loc["wasserstein1", "mean"] == pytest.approx(-0.25 / 3)
    assert table["better"].to_dict() == {"wasserstein1": 2, "cosine_similarity": 2}
    assert (table["seeds"] == 3).all()


def test_summary_and_tables(capsys):
    frame = results()
    mean = summary(frame)["mean"]
    assert mean.loc[("problem", "llm", "crowdllm"), "wasserstein1"] == pytest.approx(0.2)
    console = wide_console()
    print_summary(frame, "problem", console, "title")
    print_paired(frame, "crowdllm", "table", console)
    shown = capsys.readouterr().out
    assert "0.200 (0.100)" in shown
    assert "2 of 3" in shown


def test_shares_are_scored_where_people_answered():
    made = Results("s", "problem", "llm", 0)
    shares = np.array([[1.0, 0, 0], [0, 0, 1.0]])
    made.add_shares("m", shares, np.array([[2.0, 0, 0], [0, 0, 0]]), SCALE)
    values = made.frame().set_index(["metric", "aggregator"])["value"]
    assert values["mae", "mean"] == 0
    assert values["wasserstein1", ""] == 0
    assert values["log_loss", ""] == 0


def test_only_ratings_are_scored():
    with pytest.raises(DataError, match="ordinal"):
        ordinal(parse_scale("yes,no"))


@pytest.mark.parametrize("width", [80, 110, 160])
def test_no_title_and_no_number_is_cut(capsys, width):
    frames = []
    for seed in range(2):
        made = Results("s", "humans", "llm", seed)
        for method in ("crowdllm", "crowdllm_predictive_semi_implicit"):
            made.add(method, "mae", 0.3, "mean")
            for metric in ("cosine_similarity", "wasserstein1", "log_loss", "correlation_error"):
                made.add(method, metric, 0.3)
            made.add(method, "joint_log_score", -1.51)
            made.add(method, "single_log_score", -1.52)
        frames.append(made.frame())
    print_summary(pd.concat(frames), "humans", Console(width=width), "title")
    shown = capsys.readouterr().out
    for title in ("MAE", "CS", "W1", "log loss", "corr. error", "joint log score", "single log score"):
        assert shown.count(f" {title} ") == 1
    assert shown.count("-1.510 (0.000)") == 2
    assert "crowdllm_predictive_semi_implicit" in shown
    assert "…" not in shown
