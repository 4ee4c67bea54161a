"""Crowds: what they hold, count and write."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crowdpyro import Categorical, Continuous, Crowd, CrowdData, DataError, Ordinal

SCALE = Ordinal.range(1, 4)
PROBLEMS = pd.DataFrame({"text": ["one", "two", "three"]}, index=pd.Index(["a", "b", "c"], name="problem"))


def crowd(n=60, seed=0, scale=SCALE, **attrs):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 4, (n, 3)).astype(float)
    matrix[rng.random(matrix.shape) < 0.3] = np.nan
    people = pd.DataFrame({"age": rng.normal(size=n), "home": rng.choice(["x", "y"], n)})
    return Crowd.from_matrix(matrix, scale=scale, problems=PROBLEMS, participants=people, seed=3, **attrs), matrix


def test_codes_are_small_and_absence_is_minus_one():
    made, matrix = crowd()
    assert made.dataset["response"].dtype == np.int8
    assert ((made.dataset["response"] == -1).to_numpy() == np.isnan(matrix)).all()
    np.testing.assert_array_equal(made.codes(), matrix)
    np.testing.assert_array_equal(made.values(), matrix + 1)


def test_counts_shares_and_correlation_agree_with_pandas():
    made, matrix = crowd()
    frame = pd.DataFrame(matrix)
    direct = np.stack([frame[k].value_counts().reindex(range(4), fill_value=0) for k in range(3)])
    np.testing.assert_array_equal(made.counts(), direct)
    np.testing.assert_allclose(made.shares().sum(axis=1), 1)
    np.testing.assert_allclose(made.correlation(), frame.corr(), atol=1e-12)
    assert made.correlation(min_pairs=1000).isna().all().all()


def test_constant_problems_have_no_correlation():
    matrix = np.column_stack([np.ones(20), np.arange(20) % 4, np.arange(20) % 2])
    made = Crowd.from_matrix(matrix, scale=SCALE, problems=PROBLEMS, participants=pd.DataFrame(index=range(20)))
    assert made.correlation().loc["a"].isna().all()
    assert np.isfinite(made.correlation().loc["b", "c"])


def test_the_long_frame_says_where_it_comes_from():
    made, matrix = crowd()
    frame = made.to_frame()
    assert len(frame) == (~np.isnan(matrix)).sum()
    assert set(frame["source"]) == {"synthetic"}
    assert {"age", "home"} <= set(frame.columns)


def test_files_round_trip_and_survive_a_failing_write(tmp_path, monkeypatch):
    made, _ = crowd()
    path = made.to_netcdf(tmp_path / "crowd.nc")
    again = Crowd.open(path)
    assert again.dataset.identical(made.dataset)
    assert again.scale == SCALE
    before = path.read_bytes()

    def fail(self, file, **options):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="disk full"):
        made.to_netcdf(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["crowd.nc"]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Crowd.open(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("hello")
    with pytest.raises(DataError, match="is no crowd"):
        Crowd.open(tmp_path / "text.nc")
    with pytest.raises(DataError, match="lacks a variable 'response'"):
        Crowd(xr.Dataset())


def test_humans_come_in_the_same_container():
    answers = pd.DataFrame({"problem": ["a", "b"], "participant": [1, 1], "response": [2, 4]})
    humans = Crowd.from_data(CrowdData.from_frames(answers, PROBLEMS.reset_index(), scale=SCALE))
    assert humans.dataset.attrs["source"] == "human"
    assert humans.aggregate("mean").to_dict() == pytest.approx({"a": 2.0, "b": 4.0, "c": np.nan}, nan_ok=True)


def test_expected_decisions_are_numbers():
    made, _ = crowd(decision="expected")
    assert made.dataset["response"].dtype == np.float32
    with pytest.raises(DataError, match="drawn answers"):
        made.counts()
    with pytest.raises(DataError, match="drawn answers"):
        made.aggregate("majority")


def test_labels_have_a_majority_and_no_mean():
    made, _ = crowd(scale=Categorical(("p", "q", "r", "s")))
    top = made.aggregate("majority", seed=1)
    counts = made.counts()
    assert [counts[k].max() == counts[k]["pqrs".index(top.iloc[k])] for k in range(3)] == [True] * 3
    with pytest.raises(DataError, match="labels have no mean"):
        made.aggregate("mean")


def test_continuous_crowds_have_no_levels():
    made, _ = crowd(scale=Continuous())
    assert made.dataset["response"].dtype == np.float32
    with pytest.raises(DataError, match="discrete scale"):
        made.counts()


def test_the_tree_has_arvizs_groups():
    made, matrix = crowd()
    answers = pd.DataFrame({"problem": ["a", "b"], "participant": [1, 1], "response": [2, 4]})
    tree = made.to_datatree(CrowdData.from_frames(answers, PROBLEMS.reset_index(), scale=SCALE))
    assert set(tree.children) == {"posterior_predictive", "constant_data", "observed_data"}
    assert tree["posterior_predictive/y"].sizes == {"chain": 1, "draw": 60, "problem": 3}
    np.testing.assert_array_equal(tree["posterior_predictive/y"].to_numpy()[0], matrix + 1)
    assert tree["observed_data/y"].sizes["participant"] == 1


def test_arviz_reads_the_tree():
    arviz = pytest.importorskip("arviz")
    matrix = np.random.default_rng(0).integers(0, 4, (60, 3))
    made = Crowd.from_matrix(matrix, scale=SCALE, problems=PROBLEMS, participants=pd.DataFrame(index=range(60)))
    if not hasattr(arviz, "InferenceData"):
        pytest.skip("ArviZ 1 reads the tree as it is")
    data = arviz.InferenceData.from_datatree(made.to_datatree())
    mean = arviz.summary(data, group="posterior_predictive", var_names="y", kind="stats", hdi_prob=0.94)["mean"]
    np.testing.assert_allclose(mean, made.values().mean(axis=0), atol=0.01)
