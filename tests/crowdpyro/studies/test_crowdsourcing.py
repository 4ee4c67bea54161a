"""Protocols, methods and metrics of the crowdsourcing studies, on people whose answers are simulated."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from crowdpyro import CrowdConfig, CrowdData, DataError, Ordinal, References, metrics
from crowdpyro.inference.training import FitConfig
from crowdpyro.studies import (
    crowdsourcing,
    crowdsourcing_efficiency,
    crowdsourcing_methods,
    crowdsourcing_metrics,
    crowdsourcing_workers,
)
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.crowdsourcing_backbones import PANEL, Material
from crowdpyro.studies.crowdsourcing_fixed import one_person
from crowdpyro.studies.crowdsourcing_methods import Backbone, defined, independent, predict
from crowdpyro.studies.crowdsourcing_metrics import AS_PEOPLE, Gold, aggregated, floors, histograms, shares_of
from crowdpyro.studies.crowdsourcing_printed import printed
from crowdpyro.studies.crowdsourcing_protocols import PROTOCOLS, Trial
from crowdpyro.studies.crowdsourcing_thinning import AXES, answered, thinned
from crowdpyro.studies.crowdsourcing_workers import some_workers
from crowdpyro.studies.names import find
from crowdpyro.studies.rows import Rows, checked

SCALE = Ordinal.range(1, 5)
SMALL = CrowdConfig(n_components=0, n_eps=1, training=FitConfig(epochs=4, every=2, margin_steps=2))
LLM_METHODS = ("llm_zero_shot", "llm_multi_persona", "llm_self_consistency", "calibration_table", "ridge_calibration")


@pytest.fixture(scope="module")
def material() -> Material:
    """Sixty problems of a known mean, forty people, two LLMs: one near the truth, one at random."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, 60)
    problem, person = np.nonzero(rng.random((60, 40)) < 0.3)
    response = np.clip(np.round(truth[problem] + rng.normal(0, 1, len(problem))), 1, 5).astype(int)
    people = CrowdData.from_frames(
        pd.DataFrame({"problem": problem, "participant": person, "response": response}),
        pd.DataFrame({"problem": range(60), "text": [f"text {t}" for t in range(60)]}),
        pd.DataFrame({"participant": range(40), "gender": np.where(np.arange(40) % 2, "woman", "man")}),
        scale=SCALE,
    )
    near, noise = np.clip(np.round(truth), 1, 5), rng.integers(1, 6, (60, 3))
    rows = [("near", t, "", near[t]) for t in range(60)]
    rows += [("near", t, f"p{k}", np.clip(near[t] + k - 1, 1, 5)) for t in range(60) for k in range(3)]
    rows += [("noise", t, "", noise[t, 0]) for t in range(60)]
    answers = pd.DataFrame(rows, columns=["model", "problem", "persona", "answer"])
    return Material("made", people, References.from_frame(answers, scale=SCALE), "How much?", table_llm="near")


@pytest.fixture
def small(monkeypatch):
    """The chosen settings, but of a fit that takes a second."""
    for module in (crowdsourcing_methods, crowdsourcing_workers):
        monkeypatch.setattr(module, "CHOSEN", SMALL)


def test_protocols_hold_out_what_they_say(material):
    for name in PROTOCOLS:
        trial = Trial.of(material.people, name, 3)
        people, problems = trial.train.participants.index, trial.train.problems.index
        if name == "problem":
            assert not len(problems.intersection(trial.gold.problems.index))
            assert (len(problems), trial.gold.n_problems) == (48, 12)
        else:
            assert (len(people), trial.train.n_problems) == (32, 60)
            assert problems.equals(trial.gold.problems.index)
        if name == "participant":
            assert not len(people.intersection(trial.gold.participants.index))
        if name == "all":
            assert trial.gold.n_answers == material.people.n_answers
            assert trial.train.n_answers < trial.gold.n_answers
    with pytest.raises(DataError, match="protocol='worker': give problem, participant, all"):
        Trial.of(material.people, "worker", 0)


def test_aggregates_of_answers_are_numpy_s():
    codes = np.array([[0, 4, np.nan], [0, 3, np.nan], [2, 3, np.nan], [4, np.nan, np.nan]])
    np.testing.assert_allclose(aggregated(codes, "mean", SCALE), [2.5, 4 + 1 / 3, np.nan])
    np.testing.assert_allclose(aggregated(codes, "median", SCALE), [2.0, 4.0, np.nan])
    np.testing.assert_allclose(aggregated(codes, "majority", SCALE), [1.0, 4.0, np.nan])
    np.testing.assert_allclose(histograms(codes, 5)[0], [2, 0, 1, 0, 1])
    assert np.isnan(shares_of(histograms(codes, 5))[2]).all()


@pytest.mark.parametrize("name", ["dawid_skene", "glad"])
def test_models_of_workers_find_a_truth_that_most_of_them_tell(name):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 40)
    codes = np.where(rng.random((9, 40)) < 0.8, truth, rng.integers(0, 5, (9, 40))).astype(float)
    codes[:, 7] = np.nan
    found = aggregated(codes, name, SCALE)
    assert np.isnan(found[7])
    others = np.arange(40) != 7
    assert (found[others] == SCALE.values[truth[others]]).mean() > 0.9


def test_rows_are_the_metrics_of_the_package(material):
    trial, gold = material.trial("all", 0)
    shares = predict("training_marginal", trial, None).shares
    rows = Rows()
    crowdsourcing_metrics.add_exact(rows, shares, gold)
    codes = independent(shares)(20, 5)
    crowdsourcing_metrics.add_drawn(rows, codes, gold, 20, units=True)
    crowdsourcing_metrics.add_drawn(rows, codes[:8], gold, 8)
    frame = checked(rows.frame(), crowdsourcing.METRICS, "here", 1.0)
    whole = frame[frame["unit"] == ""].set_index(["n_virtual", "metric", "aggregator"])["value"]
    human = gold.counts / gold.counts.sum(axis=1, keepdims=True)
    assert whole[0, "wasserstein1", ""] == pytest.approx(metrics.wasserstein1(shares, human, SCALE.values))
    assert whole[0, "log_loss", ""] == pytest.approx(metrics.log_loss(shares, gold.counts))
    for n in (8, 20):
        drawn = histograms(codes[:n], 5) / n
        error = metrics.mean_absolute_error(drawn @ SCALE.values, human @ SCALE.values)
        assert whole[n, "mae", "mean"] == pytest.approx(error)
        assert whole[n, "cosine_similarity", ""] == pytest.approx(metrics.cosine_similarity(drawn, human))
        root = metrics.root_mean_square_error(aggregated(codes[:n], "median", SCALE), gold.aggregate("median"))
        assert whole[n, "rmse", "median"] == pytest.approx(root)
    assert (20, "log_loss", "") not in whole.index


def test_the_floor_is_what_draws_of_the_distribution_score():
    rng = np.random.default_rng(2)
    p, counts = rng.dirichlet(np.ones(5), 400), np.full((400, 5), 2.0)
    found = floors(p, counts, SCALE.values, 0)
    entropy = -(p * np.log(p)).sum(axis=1).mean()
    # Twenty draws of 4,000 answers each: standard error below .004.
    assert found["log_loss"] == pytest.approx(entropy, abs=0.02)
    sd = np.sqrt((p * SCALE.values**2).sum(axis=1) - (p @ SCALE.values) ** 2) / np.sqrt(10)
    assert found["mae"] == pytest.approx((sd * np.sqrt(2 / np.pi)).mean(), rel=0.03)


def test_independent_draws_follow_their_shares():
    shares = np.array([[0.5, 0.2, 0.0, 0.3, 0.0], [0, 0, 0, 0, 1.0]])
    drawn = histograms(independent(shares)(20_000, 0), 5) / 20_000
    assert np.abs(drawn - shares).max() < 5 * np.sqrt(0.25 / 20_000)


@pytest.mark.parametrize("method", [*LLM_METHODS, "independent_histograms", "resampled_people", "second_humans"])
def test_every_yardstick_gives_distributions_and_answers(material, method):
    for protocol in PROTOCOLS:
        trial, _ = material.trial(protocol, 1)
        for llm in ("near", PANEL):
            if not defined(method, protocol):
                with pytest.raises(DataError, match=f"method='{method}' under protocol='{protocol}'"):
                    predict(method, trial, material.backbone(llm))
                continue
            found = predict(method, trial, material.backbone(llm))
            assert found.shares.shape == (trial.gold.n_problems, 5)
            np.testing.assert_allclose(found.shares.sum(axis=1), 1)
            codes = found.draw(3, 0)
            assert codes.shape == (3, trial.gold.n_problems)
            assert set(np.unique(codes)) <= set(range(5))


def test_calls_of_an_llm_are_counted(material):
    trial, _ = material.trial("problem", 0)
    llm = material.backbone("near")
    assert llm.calls() == 4
    assert predict("llm_zero_shot", trial, llm).calls(20) == 20 * 12
    assert predict("llm_self_consistency", trial, llm).calls(20) == 8 * 20 * 12
    assert predict("calibration_table", trial, llm).calls(20) == 60
    assert predict("ridge_calibration", trial, llm).calls(20) == 4 * 60
    with pytest.raises(DataError, match="method='mrp' reads an LLM's answers"):
        predict("mrp", trial, None)
    with pytest.raises(DataError, match="method='oracle': give uniform"):
        predict("oracle", trial, None)


def test_an_llm_that_knows_is_worth_more_than_none(material):
    trial, gold = material.trial("problem", 2)
    human = gold.shares

    def w1(method, llm):
        backbone = None if llm is None else material.backbone(llm)
        return metrics.wasserstein1(predict(method, trial, backbone).shares, human, SCALE.values)

    assert w1("ridge_calibration", "near") < w1("training_marginal", None) < w1("uniform", None) + 0.2
    assert w1("ridge_calibration", "near") < w1("ridge_calibration", "noise")
    # The panel's table is that of its strongest LLM.
    assert w1("calibration_table", PANEL) == w1("calibration_table", "near")


def test_a_cell_has_every_size_aggregator_and_cost(material, small):
    frame = crowdsourcing.evaluate(Cell("made", "problem", "near", "crowdllm", 0), material)
    again = crowdsourcing.evaluate(Cell("made", "problem", "near", "crowdllm", 0), material)
    same = frame["metric"] != "seconds"
    pd.testing.assert_frame_equal(frame[same], again[same])
    frame = checked(frame, crowdsourcing.METRICS, "here", 1.0)
    whole = frame[frame["unit"] == ""].set_index(["n_virtual", "metric", "aggregator"])["value"]
    for n in (8, 20, AS_PEOPLE):
        for aggregator in ("mean", "median", "majority", "dawid_skene", "glad"):
            assert {"mae", "rmse", "resolution_rate"} <= set(whole.xs((n, aggregator), level=[0, 2]).index)
    assert whole[20, "llm_calls", ""] == 4 * 60
    assert {"risk_gap", "won", "kappa", "people_sd_crowd", "wasserstein1_floor"} <= set(whole.loc[0].index.levels[0])


def test_as_many_answers_as_people_gave(material):
    trial, gold = material.trial("all", 0)
    codes = crowdsourcing.as_people(predict("uniform", trial, None), gold, 0)
    np.testing.assert_array_equal((~np.isnan(codes)).sum(axis=0), gold.counts.sum(axis=1))


def test_parts_of_a_sample_are_nested_and_as_large_as_said(material):
    people = material.people
    for axis in AXES:
        parts = [thinned(people, axis, size, 4) for size in AXES[axis]]
        sets = [set(zip(part.answers["problem"], part.answers["participant"], strict=True)) for part in parts]
        assert all(one <= other for one, other in pairwise(sets))
        assert all(part.answered().any(axis=0).all() and part.answered().any(axis=1).all() for part in parts)
    assert thinned(people, "workers", 25, 0).n_participants == 10
    assert thinned(people, "problems", 50, 0).n_problems == 30
    assert thinned(people, "ratings", 10, 0).n_answers == round(people.n_answers / 10)
    assert thinned(people, "per_problem", 2, 0).counts().sum(axis=1).max() == 2
    assert thinned(people, "ratings", 100, 0).n_answers == people.n_answers
    with pytest.raises(DataError, match="axis='days', size=3"):
        thinned(people, "days", 3, 0)


def test_the_mean_of_one_person_depends_on_the_person(material, small):
    """Between crowds, means of one person vary by the person; between crowds of many they hardly do."""
    trial, _ = material.trial("problem", 0)
    found = predict("crowdllm", trial, material.backbone("near"))
    asked = material.backbone("near").references.select(trial.gold.problems.index)
    crowds = [one_person(found.model, trial.gold.problems, asked, 200, seed) for seed in range(30)]
    means = np.stack([codes.mean(axis=0) for codes in crowds])
    many = np.stack([found.draw(200, seed).mean(axis=0) for seed in range(30)])
    assert means.std(axis=0).mean() > 1.5 * many.std(axis=0).mean()


def test_efficiency_and_workers_give_what_their_studies_ask(material, small):
    cells = (
        (crowdsourcing_efficiency, "offensiveness_efficiency", "workers=10"),
        (crowdsourcing_efficiency, "offensiveness_efficiency", "per_problem=2"),
        (crowdsourcing_workers, "offensiveness_workers", "nine"),
        (crowdsourcing_workers, "offensiveness_workers", "problem"),
    )
    for module, name, protocol in cells:
        study, frames = find(name), []
        for method in study.methods:
            if method.protocols and protocol not in method.protocols:
                continue
            cell = Cell(name, protocol, "near" if method.references else "", method.name, 0)
            rows = checked(module.evaluate(cell, material), module.METRICS, str(cell), 1.0)
            frames.append(rows[rows["unit"] == ""].assign(**cell.columns))
        frame = pd.concat(frames, ignore_index=True)
        assert [len(figure.axes) for _, _, figure in study.figures(frame)]
        if module is crowdsourcing_workers:
            reached = frame[frame["metric"] == "reached"]
            by_n = reached.pivot_table(index=["method", "aggregator"], columns="n_virtual", values="value")
            assert (by_n.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_some_workers_are_the_mean_of_so_many_answers(material):
    llm = material.backbone("near").references
    one, every = some_workers(llm, 1, 0), some_workers(llm, 4, 0)
    np.testing.assert_allclose(one.probabilities().max(axis=1), 1)
    np.testing.assert_allclose(every.probabilities(), llm.sources[0].values.mean(axis=1))
    assert every.sources[0].personas == ("",)


def test_workers_of_an_llm_without_personas_are_draws_of_its_distribution():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(5), 3000)
    frame = pd.DataFrame(shares, columns=[f"p_{k}" for k in range(1, 6)]).assign(problem=range(3000))
    llm = References.from_frame(frame, scale=Ordinal.range(1, 5))
    one, many = (some_workers(llm, n, 0).probabilities() for n in (1, 12))
    assert set(np.unique(one)) == {0.0, 1.0}
    # Twelve of the same draws, the first among them; a mean of 3,000 is off by .009, and four of these are allowed.
    assert (many[one == 1] >= 1 / 12 - 1e-9).all()
    np.testing.assert_allclose((many - shares).mean(axis=0), 0, atol=4 * 0.5 / np.sqrt(12 * 3000))


def test_nothing_answered_is_left_out(material):
    people = material.people
    kept = np.zeros(people.n_answers, dtype=bool)
    kept[[0, 5]] = True
    part = answered(people, kept)
    assert part.n_answers == 2
    assert part.answers["response"].tolist() == people.answers["response"][kept].tolist()


def test_the_printed_tables_are_whole():
    for table, w1 in (("Table 1", 0.51), ("Table 2", 0.74)):
        rows = printed(table)
        assert len(rows) == 6 * 12
        ours = {each.column: each.value for each in rows if each.method == "crowdllm"}
        assert ours["wasserstein1@20"] == w1


def test_figures_and_tables_of_partial_results(material, small):
    study = find("offensiveness")
    frames = []
    for method, llm in (("crowdllm", "near"), ("calibration_table", "near"), ("uniform", ""), ("crowdllm", "noise")):
        cell = Cell("offensiveness", "problem", llm, method, 0)
        rows = checked(crowdsourcing.evaluate(cell, material), study.metrics, str(cell), 1.0)
        frames.append(rows[rows["unit"] == ""].assign(**cell.columns))
    frame = pd.concat(frames, ignore_index=True)
    assert len(study.figures(frame)) == 4
    assert len(study.tables(frame)) == 4
    assert len(study.figures(frame[frame["method"] == "uniform"])) == 1
    assert not study.figures(frame.iloc[:0])
    assert not study.tables(frame.iloc[:0])


def test_an_unrecorded_llm_is_named(material):
    alone = Material("made", material.people, None, "How much?")
    with pytest.raises(DataError, match="references='panel': no LLM's answers were recorded for 'made'"):
        alone.backbone(PANEL)
    assert isinstance(material.backbone("noise"), Backbone)


def test_the_embedded_llm_is_asked_once(material, monkeypatch, tmp_path):
    import crowdpyro.llm

    asked = []

    class Llm:
        def __init__(self, name):
            assert name == "embedded"

        def refer(self, problems, scale, *, question, cache):
            asked.append((question, cache.suffix))
            return material.recorded

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(crowdpyro.llm, "FrozenLLM", Llm)
    for question in ("How much?", "How much?", "How little?"):
        found = Material("made", material.people, None, question).backbone("embedded")
        near = material.recorded.probabilities("near")
        np.testing.assert_allclose(found.references.probabilities("near"), near)
    assert asked == [("How much?", ".sqlite"), ("How little?", ".sqlite")]


def test_the_random_row_of_all_answers_is_the_paper_s(popquorn_dir):
    """8 uniform draws a problem: the paper prints MAE 1.27, RMSE 1.44, CS .56, W1 1.31; not what its text says."""
    material = find("offensiveness").load(popquorn_dir.parent)
    trial, gold = material.trial("all", 0)
    codes = predict("uniform", trial, None).draw(8, 0)
    rows = Rows()
    crowdsourcing_metrics.add_drawn(rows, codes, gold, 8)
    found = rows.frame().set_index(["metric", "aggregator"])["value"]
    assert found["mae", "mean"] == pytest.approx(1.27, abs=0.03)
    assert found["rmse", "mean"] == pytest.approx(1.44, abs=0.03)
    assert found["cosine_similarity", ""] == pytest.approx(0.56, abs=0.02)
    assert found["wasserstein1", ""] == pytest.approx(1.31, abs=0.03)
    # Gold of held-out people alone has W1 1.50.
    narrow = Gold(Trial.of(material.people, "participant", 0).gold)
    alone = shares_of(histograms(codes, 5))
    assert metrics.wasserstein1(alone, narrow.shares, SCALE.values) > 1.4
