"""Aggregation of anyone's table: recovery, reports by hand, and whatever people hand in."""

from __future__ import annotations

from unittest import mock

import arviz as az
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crowdpyro as cp
from crowdpyro.aggregation.reports import spammer_score
from crowdpyro.aggregation.table import LabelTable
from crowdpyro.aggregation.truth import METHODS
from crowdpyro.models.annotation import DawidSkene

N_PROBLEMS, N_PEOPLE, N_EACH = 80, 12, 6
ANIMALS = np.array(["cat", "dog", "eel"])


def simulated(seed: int = 0, words: bool = True) -> tuple[pd.DataFrame, pd.Series]:
    """Twelve people, of whom the last says the first animal whatever he sees, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, N_PROBLEMS)
    problem = np.repeat(np.arange(N_PROBLEMS), N_EACH)
    person = np.concatenate([rng.permutation(N_PEOPLE)[:N_EACH] for _ in range(N_PROBLEMS)])
    skill = np.linspace(0.95, 0.5, N_PEOPLE)
    label = np.where(rng.random(len(person)) < skill[person], truth[problem], rng.integers(0, 3, len(person)))
    label[person == N_PEOPLE - 1] = 0
    levels = ANIMALS if words else np.arange(1, 4)
    frame = pd.DataFrame({"problem": problem, "participant": person, "response": levels[label]})
    return frame.sample(frac=1, random_state=seed), pd.Series(levels[truth])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_truth_and_reports_without_gaps(method):
    frame, truth = simulated(words=method != "cut_normal_ratings")
    found = cp.aggregate(frame, method)
    assert found.labels.index.equals(pd.RangeIndex(N_PROBLEMS).rename("problem"))
    # Chance is a third, the majority at .93: a loss of everything but luck would show.
    assert (found.labels == truth).mean() > 0.85
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    assert (found.posterior.idxmax(axis=1) == found.labels).mean() > 0.95
    for report in (found.participants, found.problems, found.posterior):
        assert not report.isna().any(axis=None)
        assert np.isfinite(report.select_dtypes("number")).all(axis=None)
    np.testing.assert_allclose(found.confusion.sum(axis=2), 1)
    if method != "multinomial":
        assert found.participants["spammer_score"].idxmin() == N_PEOPLE - 1
    assert found.participants.loc[N_PEOPLE - 1, "bias_towards"] in ("cat", 1)
    assert found.participants["accuracy"].corr(pd.Series(np.linspace(0.95, 0.5, N_PEOPLE))) > 0.7
    # The hierarchical model's is a bound that its iteration does not climb: at the fixed point it falls by 5e-5 here.
    fall = 1e-3 if method == "hierarchical_dawid_skene" else 1e-6
    assert np.diff(found.log_likelihood).min(initial=0) > -fall
    assert found.converged
    assert method in repr(found)


def test_reports_by_hand():
    # Ann and Ben agree on x; on y they do not, and gold says that Ben is right.
    frame = pd.DataFrame({"task": list("xxyy"), "worker": ["Ann", "Ben"] * 2, "label": [1, 1, 1, 3]})
    found = cp.aggregate(frame, "majority", golden={"y": 3})
    assert found.labels.to_dict() == {"x": 1, "y": 3}
    people = found.participants
    assert people["accuracy"].to_dict() == {"Ann": 0.5, "Ben": 1.0}
    assert people.loc["Ann", ["bias", "bias_towards", "shift"]].to_list() == [0.5, 1, -1.0]
    assert people["n_labels"].to_list() == [2, 2]
    assert found.problems["difficulty"].to_dict() == {"x": 0.0, "y": 0.5}
    assert found.problems["entropy"].to_list() == [0.0, 0.0]
    # Half a vote more in each cell: Ann has (1.5, .5) and (1.5, .5), Ben (1.5, .5) and (.5, 1.5).
    np.testing.assert_allclose(found.confusion[0], [[0.75, 0.25], [0.75, 0.25]])
    assert people["spammer_score"].to_list() == [0.0, 0.25]


def test_spammer_scores_equal_the_sum_over_pairs():
    confusion = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 4))
    pairs = [(k, j) for k in range(4) for j in range(k)]
    by_hand = [sum(((one[k] - one[j]) ** 2).sum() for k, j in pairs) / 12 for one in confusion]
    np.testing.assert_allclose(spammer_score(confusion), by_hand)
    assert spammer_score(np.eye(3)[None]) == pytest.approx(1)
    assert spammer_score(np.full((1, 3, 3), 1 / 3)) == pytest.approx(0)
    assert spammer_score(np.ones((1, 1, 1))) == 0


def test_the_order_of_rows_and_crowd_kits_names_change_nothing():
    frame, _ = simulated()
    one = cp.aggregate(frame, "dawid_skene")
    other = cp.aggregate(
        frame.sort_values(["participant", "problem"]).rename(
            columns={"problem": "task", "participant": "worker", "response": "label"}
        ),
        "dawid_skene",
    )
    pd.testing.assert_frame_equal(one.posterior, other.posterior, rtol=0, atol=1e-12)
    pd.testing.assert_series_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", None, "b", " "], ["a", "b"]),
        ([True, False, None, True, np.nan], [False, True]),
        ([2, 1, np.nan, 2, np.nan], [1, 2]),
        ([2.5, 1, np.nan, 2.5, np.nan], [1.0, 2.5]),
        (pd.array([2, 1, None, 2, None], dtype="Int64"), [1, 2]),
        (pd.array([True, False, None, True, None], dtype="boolean"), [False, True]),
        (pd.Categorical(["b", "a", None, "b", None], ["b", "c", "a"]), ["b", "c", "a"]),
        ([3, "a", None, 3, None], [3, "a"]),
    ],
)
@pytest.mark.parametrize("method", ["majority", "dawid_skene", "glad"])
def test_labels_of_every_kind_with_missing_values(labels, classes, method):
    frame = pd.DataFrame({"task": [1, 1, 1, 2, 3], "worker": [*"abcab"]})
    frame["label"] = labels
    found = cp.aggregate(frame, method)
    assert found.posterior.columns.to_list() == classes
    assert found.labels[2] == labels[3]
    assert found.labels.index.to_list() == [1, 2]
    assert not found.posterior.isna().any(axis=None)
    assert "2 empty labels taken as no label" in found.report
    assert "1 problem without any label left out" in found.report


thin = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=15)
@given(thin)
def test_thin_tables_give_finite_numbers(method: str, rows: list[tuple[int, int, int]]) -> None:
    # A single person, a single label, people with one label, repeated pairs: all of them come up.
    found = cp.aggregate(pd.DataFrame(rows, columns=["problem", "participant", "response"]), method)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    for report in (found.participants, found.problems):
        assert np.isfinite(report.select_dtypes("number")).all(axis=None)
    repeats = len(rows) - len({row[:2] for row in rows})
    assert any("repeat" in note for note in found.report) == (repeats > 0)


def test_golden_truths_hold_and_teach():
    frame, truth = simulated()
    golden = truth[:20]
    found = cp.aggregate(frame, "dawid_skene", golden=golden)
    np.testing.assert_array_equal(found.labels[:20], golden)
    np.testing.assert_allclose(found.posterior.max(axis=1)[:20], 1)
    assert found.problems["entropy"][:20].max() == 0
    # Gold of one class only, and a problem that nobody labelled.
    one = truth[truth == "eel"][:3].rename(index={})
    found = cp.aggregate(frame, "dawid_skene", golden=pd.concat([one, pd.Series({999: "cat"})]))
    assert (found.labels[one.index] == "eel").all()
    assert "1 golden problem without a label left out" in found.report
    table = pd.DataFrame({"task": golden.index, "label": golden})
    assert cp.aggregate(frame, "glad", golden=table).labels[:20].equals(golden.rename("label").rename_axis("problem"))


def test_history_teaches_whom_to_trust():
    # Two people disagree about everything; nothing in the table tells who is right.
    frame = pd.DataFrame(
        {"task": [*range(6)] * 2, "worker": ["a"] * 6 + ["b"] * 6, "label": ["u"] * 3 + ["v"] * 6 + ["u"] * 3}
    )
    past = pd.DataFrame(
        {"participant": ["a", "a", "b", "z"], "truth": ["u", "v", "u", "u"], "response": ["u", "v", "v", "u"]}
    ).assign(count=[30, 30, 5, 1])
    for method in ("dawid_skene", "one_coin", "glad", "hierarchical_dawid_skene"):
        found = cp.aggregate(frame, method, history=past)
        assert found.labels.to_list() == ["u"] * 3 + ["v"] * 3
        assert "1 rows of history of people without a label left out" in found.report


@pytest.mark.parametrize(
    ("first", "dtype"), [(-128, "int8"), (250, "uint8"), (-9, "int64"), (2**63, "uint64"), (2**63 - 9, "uint64")]
)
def test_ids_are_kept_whatever_their_type(first, dtype):
    ids = np.array([first, first + 1, first + 5 if dtype != "int8" else 127], dtype=dtype)
    frame = pd.DataFrame({"task": ids.repeat(2), "worker": [*"abcabc"], "label": [1, 1, 2, 2, 1, 1]})
    for method in ("majority", "dawid_skene"):
        assert cp.aggregate(frame, method).labels.to_dict() == dict(zip(ids.tolist(), [1, 2, 1], strict=True))


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(-6, 9), min_size=1, max_size=40),
    by_id=st.booleans(),
    low=st.sampled_from([0, -(2**31), 2**31 - 5, 2**40, -(2**63) + 10, 2**63 - 12]),
)
def test_whole_numbers_become_the_codes_of_their_order(ids, by_id, low):
    # Sorted without a gap, sorted with one, in any order, and at the ends of the types: each has its own short way.
    ids = low + np.array(sorted(ids) if by_id else ids, dtype=np.int64)
    with mock.patch("crowdpyro.aggregation.table._ROWS", 3):  # looked through three rows at a time
        table = LabelTable.from_frame(pd.DataFrame({"problem": ids, "participant": ids[::-1], "response": 1}))
    codes, found = pd.factorize(ids, sort=True)
    np.testing.assert_array_equal(table.labels.item, codes)
    np.testing.assert_array_equal(table.labels.worker, codes[::-1])
    assert table.problems.tolist() == table.participants.tolist() == found.tolist()


def test_a_scale_names_labels_that_nobody_gave():
    frame = pd.DataFrame({"task": [1, 1, 2], "worker": [*"aba"], "label": [1, 2, 2]})
    found = cp.aggregate(frame, "dawid_skene", scale=cp.Ordinal.range(1, 4), golden={1: 4})
    assert found.posterior.columns.to_list() == [1, 2, 3, 4]
    assert found.labels[1] == 4
    with pytest.raises(cp.DataError, match=r"'response': answer 1 \(row 7, 1 such"):
        cp.aggregate(frame.set_index(pd.Index([7, 8, 9])), "majority", scale=cp.Ordinal.range(2, 4))


BAD = [
    ({"frame": pd.DataFrame({"task": [], "worker": [], "label": []})}, "has no rows"),
    ({"frame": pd.DataFrame({"task": [1], "worker": [1], "label": [None]})}, "no label at all"),
    ({"frame": pd.DataFrame({"task": [1, None], "worker": [1, 1], "label": [1, 2]})}, "column 'problem'.*row 1"),
    ({"frame": pd.DataFrame({"task": [1], "worker": [None], "label": [1]})}, "column 'participant'.*row 0"),
    (
        {"frame": pd.DataFrame({"task": [1], "label": [1]})},
        r"lacks column 'participant' \(or 'worker'\); it has 'task', 'label'",
    ),
    (
        {"frame": pd.DataFrame({"task": [1], "worker": [1], "lbl": [1]})},
        r"lacks column 'response' \(or 'label'\); it has 'task', 'worker', 'lbl'",
    ),
    ({"frame": pd.DataFrame({"problem": [1], "participant": [1]})}, "lacks column 'response'; it has 'problem'"),
    ({"frame": pd.DataFrame({"task": [1, 1], "worker": [1, 2], "label": [1.0, np.inf]})}, "infinity"),
    ({"method": "dawid_skeen"}, "method='dawid_skeen': give majority, "),
    ({"inference": "mcmc"}, "inference='mcmc': give 'map', 'svi' or 'nuts'"),
    ({"method": "majority", "inference": "svi"}, "counts votes"),
    ({"method": "majority", "n_iter": 3}, "counts votes"),
    ({"n_iters": 3}, "no option 'n_iters'; give one of n_iter, tol"),
    ({"inference": "nuts", "n_draws": 3}, "no option 'n_draws'; give one of num_samples.*target_accept_prob"),
    ({"n_iter": "3"}, "n_iter='3'"),
    ({"tol": float("nan")}, "tol=nan"),
    ({"inference": "svi", "lr": -1.0}, "lr=-1.0"),
    ({"frame": "labels.csv"}, "table 'labels' is of type str; give a pandas DataFrame"),
    ({"frame": pd.DataFrame({"task": [1], "worker": [1], "label": [["a"]]})}, "'response' holds cells of unhashable"),
    ({"golden": ["cat"]}, "golden is of type list"),
    (
        {"history": pd.DataFrame({"worker": [1], "truth": ["cat"], "label": ["cat"], "count": ["x"]})},
        "column 'count' of history",
    ),
    ({"method": "cut_normal_ratings"}, "order of the labels"),
    ({"golden": {1: "cow"}}, "golden truth: 'cow'.*nobody gave.*scale"),
    ({"golden": {"one": "cat"}}, "golden: none of its 1 problems"),
    ({"golden": pd.Series(["cat", "dog"], index=[1, 1])}, "twice or more"),
    ({"golden": pd.DataFrame({"task": [1]})}, r"lacks column 'truth' \(or 'label'\); it has 'task'"),
    ({"golden": pd.DataFrame({"item": [1], "label": [1]})}, r"lacks column 'problem' \(or 'task'\).*'item', 'label'"),
    ({"history": pd.DataFrame({"worker": [1], "label": [1]})}, "lacks column 'truth'; it has 'worker', 'label'"),
    ({"history": pd.DataFrame({"worker": [1], "truth": ["cow"], "label": ["cat"]})}, "truth of history: 'cow'"),
    (
        {"history": pd.DataFrame({"worker": [1], "truth": ["cat"], "label": ["cat"], "count": [-1]})},
        "column 'count' of history",
    ),
    ({"scale": cp.Continuous()}, "labels are levels"),
    ({"seed": -1, "method": "majority"}, "seed=-1"),
]


@pytest.mark.parametrize(("bad", "message"), BAD, ids=[message[:24] for _, message in BAD])
def test_bad_input_is_named(bad, message):
    frame, _ = simulated()
    # A tie, so that the seed of ties is used.
    tie = pd.DataFrame({"problem": [999, 999], "participant": [0, 1], "response": ["cat", "dog"]})
    given = {"frame": pd.concat([frame, tie], ignore_index=True), "method": "dawid_skene", **bad}
    with pytest.raises(cp.CrowdPyroError, match=message):
        _ = cp.aggregate(**given).labels


def test_one_class_needs_a_scale_to_be_sampled():
    frame = pd.DataFrame({"task": [1, 2], "worker": [1, 1], "label": ["a", "a"]})
    assert cp.aggregate(frame, "dawid_skene").labels.to_list() == ["a", "a"]
    with pytest.raises(cp.DataError, match="one label, 'a'"):
        cp.aggregate(frame, "dawid_skene", "nuts")


def test_a_model_with_priors_of_ones_own():
    frame, _ = simulated()
    flat = cp.aggregate(frame, DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0), n_iter=5, tol=0.0)
    assert flat.method == "DawidSkene"
    assert flat.n_iter == 5
    assert not flat.converged
    assert (flat.confusion < 1e-6).any()


@pytest.mark.parametrize(("inference", "options"), [("svi", {"num_steps": 30}), ("nuts", {"num_samples": 12})])
def test_draws_and_the_tree_for_arviz(inference, options):
    frame, _ = simulated()
    if inference == "nuts":
        options = {**options, "warmup_steps": 8, "num_chains": 2}
    found = cp.aggregate(frame[frame["problem"] < 8], "one_coin", inference, seed=1, **options)
    again = cp.aggregate(frame[frame["problem"] < 8], "one_coin", inference, seed=1, **options)
    pd.testing.assert_frame_equal(found.posterior, again.posterior)
    assert (found.uncertainty["accuracy"] > 0).all()
    assert (found.participants["accuracy_sd"] > 0).all()
    tree = found.to_datatree()
    assert tree["posterior"]["accuracy"].dims == ("chain", "draw", "participant")
    summary = az.summary(az.InferenceData.from_datatree(tree), var_names=["accuracy"])
    assert len(summary) == len(found.participants)
    np.testing.assert_allclose(summary["mean"], found.fit.params["accuracy"], atol=6e-4)


def test_a_point_estimate_is_one_draw_for_arviz(tmp_path):
    frame, _ = simulated()
    tree = cp.aggregate(frame, "dawid_skene").to_datatree()
    assert tree["posterior"]["confusion"].dims == ("chain", "draw", "participant", "truth", "label")
    assert tree["posterior"].sizes["draw"] == 1
    assert tree["truth"]["probability"].sizes == {"problem": N_PROBLEMS, "label": 3}
    assert tree["observed_data"].sizes["row"] == N_PROBLEMS * N_EACH
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")


def test_a_crowd_is_aggregated_by_a_model():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 30)
    codes = np.where(rng.random((9, 30)) < 0.7, truth, rng.integers(0, 3, (9, 30))).astype(float)
    codes[rng.random(codes.shape) < 0.2] = np.nan
    codes[:, 7] = np.nan
    frames = {
        "problems": pd.DataFrame(index=pd.RangeIndex(30, name="problem")),
        "participants": pd.DataFrame(index=pd.RangeIndex(9, name="participant")),
    }
    rated = cp.Crowd.from_matrix(codes, scale=cp.Ordinal.range(1, 3), **frames)
    answers = rated.aggregate("dawid_skene")
    assert answers.name == "dawid_skene"
    assert np.isnan(answers[7])
    assert (answers.drop(7) == truth[answers.drop(7).index] + 1).mean() > 0.9
    named = cp.Crowd.from_matrix(codes, scale=cp.Categorical(("x", "y", "z")), **frames)
    same = named.aggregate("dawid_skene").map({"x": 1.0, "y": 2.0, "z": 3.0})
    pd.testing.assert_series_equal(same, answers)
    assert (rated.aggregate("cut_normal_ratings", seed=1, n_iter=50).dropna().isin([1, 2, 3])).all()
    with pytest.raises(cp.DataError, match="takes no golden"):
        rated.aggregate("mean", golden={})
    number = cp.Crowd.from_matrix(codes, scale=cp.Continuous(), **frames)
    with pytest.raises(cp.DataError, match="method='glad' needs drawn answers"):
        number.aggregate("glad")
