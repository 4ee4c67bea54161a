"""The study of Zurich's votes: cells on made-up files, the bars on the real ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro import Ballot
from crowdpyro.models.plackett_luce import PlackettLuceSet
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.runner import run
from crowdpyro.studies.store import ResultsStore
from crowdpyro.studies.zurich_voting import SOURCES, STUDY
from crowdpyro.studies.zurich_voting_methods import folds, utilities


def test_cells_on_made_up_files(zurich_folder, tmp_path):
    """Every method once but the slow regression, which has a test of its own; what a cell must hold."""
    store = ResultsStore(tmp_path / "store")
    methods = tuple(method.name for method in STUDY.methods if method.name != "mrp")
    done = run(
        STUDY, store, protocols=("voters",), references=("told",), methods=methods, seeds=(0,), data=zurich_folder
    )
    assert not done.failed
    frame = store.read()
    overall = frame[(frame["n_virtual"] == 0) & (frame["aggregator"] == "")]
    table = overall.pivot_table(index="method", columns="metric", values="value")
    assert set(methods) == set(table.index)
    assert table.loc["llm_gpt4_persona", ["mae", "jaccard"]].tolist() == [0.0, 1.0]
    assert (table["mae"] <= table["rmse"] + 1e-9).sum() == table["mae"].notna().sum()
    assert table["cosine_similarity"].dropna().between(0, 1 + 1e-9).all()
    assert table.loc["uniform", "ballot_log_score"] == pytest.approx(-np.log(42_504))
    assert table.loc["crowdllm", "ballot_log_score"] > table.loc["uniform", "ballot_log_score"]
    assert table.loc["stage_fixed_belief", "zero_vote_projects"] == 19
    drawn = frame[frame["n_virtual"] == 12]
    assert set(drawn["metric"]) == {"mae", "rmse", "cosine_similarity", "count_wasserstein"}
    overlap = frame[frame["metric"] == "outcome_overlap"]
    assert set(overlap["aggregator"]) == {"counts", "greedy", "equal_shares"}
    assert (overlap.loc[overlap["method"] == "llm_gpt4_persona", "value"] == 1).all()
    units = store.read(units=True, metrics=["mae"])
    assert units.groupby(["method", "n_virtual"])["unit"].nunique().eq(24).all()
    assert [title for title, _, _ in STUDY.figures(frame)] == ["From one belief to a crowd (figure 8)"]
    assert [title for title, _, _ in STUDY.tables(frame)][-1] == "Spoiled ballots of LLMs"
    for pictures in (STUDY.figures(frame), STUDY.figures(frame[frame["method"] == "uniform"])):
        for title, sentence, figure in pictures:
            assert title
            assert sentence.endswith(".")
            figure.canvas.draw()
    assert all(len(table) for _, _, table in STUDY.tables(frame))


def test_held_out_projects(zurich_folder):
    data = STUDY.load(zurich_folder)
    cell = Cell("zurich_voting", "projects", "", "uniform", 3)
    rows = STUDY.evaluate(cell, data)
    share = data.format("top5").papers.votes.mean()
    assert rows.loc[rows["metric"] == "mae", "value"].mean() == pytest.approx(36 * np.abs(share - 5 / 24).mean())
    held = list(folds(share.index, 3))
    assert sorted(each for part in held for each in part) == sorted(share.index)
    assert [len(part) for part in held] == [4] * 6
    assert held == list(folds(share.index, 3))
    assert held != list(folds(share.index, 4))


@pytest.mark.slow
def test_regression(zurich_folder):
    rows = STUDY.evaluate(Cell("zurich_voting", "voters", "", "mrp", 1), STUDY.load(zurich_folder))
    assert set(rows["metric"]) == {"mae", "rmse", "cosine_similarity", "count_wasserstein", "jaccard"}


def test_other_formats(zurich_folder):
    data = STUDY.load(zurich_folder)
    rows = STUDY.evaluate(Cell("zurich_voting", "points10", "", "crowdllm_no_llm", 1), data)
    share = STUDY.evaluate(Cell("zurich_voting", "points10", "", "uniform", 1), data)
    assert "ballot_log_score" in set(rows["metric"])
    assert "jaccard" not in set(rows["metric"])
    mae = [each.loc[each["metric"] == "mae", "value"].mean() for each in (rows, share)]
    assert mae[0] < mae[1]


def test_utilities_give_back_the_shares():
    scale = Ballot(tuple("abcdef"), "choose", 2)
    shares = np.array([[0.9, 0.5, 0.3, 0.2, 0.09, 0.01], [1 / 3] * 6])
    found = PlackettLuceSet(torch.as_tensor(utilities(shares, scale)), 2).mean
    np.testing.assert_allclose(found, shares, atol=1e-5)


def test_every_recorded_condition_is_a_method():
    names = {method.name for method in STUDY.methods if method.kind == "llm"}
    assert names == set(SOURCES)
    assert len(set(SOURCES.values())) == 20


@pytest.mark.slow
def test_the_bars_on_the_real_votes(data_dir, tmp_path):
    """Held-out voters, seeds 0 to 19: MAE <= 1.95, RMSE <= 2.50, CS >= .96, and ballots better than any share's."""
    if not (data_dir / "zurich_pb").is_dir():
        pytest.skip("CROWDPYRO_DATA holds no zurich_pb folder")
    store = ResultsStore(tmp_path / "store")
    methods = ("crowdllm", "training_share", "district_share")
    run(STUDY, store, protocols=("voters",), references=("told",), methods=methods, data=data_dir)
    frame = store.read()
    means = frame[frame["n_virtual"] == 0].pivot_table(index="method", columns="metric", values="value")
    ours = means.loc["crowdllm"]
    assert ours["mae"] <= 1.95
    assert ours["rmse"] <= 2.50
    assert ours["cosine_similarity"] >= 0.96
    assert ours["ballot_log_score"] > means["ballot_log_score"].drop("crowdllm").max() + 0.5
    run(STUDY, store, protocols=("projects",), references=("told",), seeds=(0, 1), data=data_dir)
    there = store.read(protocol="projects")
    by_method = there.pivot_table(index="method", columns="metric", values="value")
    rivals = by_method.drop(index=["crowdllm", "crowdllm_no_llm"])
    assert by_method.loc["crowdllm", "mae"] < rivals["mae"].min()
    assert by_method.loc["crowdllm", "rmse"] < rivals["rmse"].min()
    assert by_method.loc["crowdllm", "cosine_similarity"] > rivals["cosine_similarity"].max()


def test_tables_of_nothing_are_nothing():
    assert (
        STUDY.tables(
            pd.DataFrame(
                columns=[
                    "protocol",
                    "references",
                    "method",
                    "seed",
                    "aggregator",
                    "n_virtual",
                    "metric",
                    "unit",
                    "value",
                    "weight",
                ]
            )
        )
        == []
    )
