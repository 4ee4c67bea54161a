"""Crowds: what they hold, count and write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crowdpyro import Categorical, Continuous, Crowd, CrowdData, DataError, Ordinal
from crowdpyro.tables import read_table

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

    def fail(file, content):
        with file.open("wb") as stream:
            stream.write(bytes(content)[:10])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        made.to_netcdf(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["crowd.nc"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of a file")
def test_a_full_disk_is_one_error_and_no_crash(tmp_path):
    """A file that may not grow stands for the disk: HDF5, left to write it, killed the process."""
    code = (
        "import resource, sys, numpy as np, pandas as pd\n"
        "from crowdpyro import Crowd, Ordinal\n"
        "matrix = np.random.default_rng(0).integers(0, 4, (50_000, 3))\n"
        "problems = pd.DataFrame({'text': ['a', 'b', 'c']}, index=pd.Index(['a', 'b', 'c'], name='problem'))\n"
        "people = pd.DataFrame(index=range(50_000))\n"
        "crowd = Crowd.from_matrix(matrix, scale=Ordinal.range(1, 4), problems=problems, participants=people)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))\n"
        "try:\n"
        "    crowd.to_netcdf(sys.argv[1])\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "crowd.nc")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "crowd.nc' cannot be written (File too large); give another place, or make room" in done.stdout
    assert not list(tmp_path.iterdir())


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
    data = arviz.InferenceData.from_datatree(made.to_datatree())
    mean = arviz.summary(data, group="posterior_predictive", var_names="y", kind="stats", hdi_prob=0.94)["mean"]
    np.testing.assert_allclose(mean, made.values().mean(axis=0), atol=0.01)


def test_ratings_on_whole_numbers_are_written_as_such(tmp_path):
    made, matrix = crowd()
    assert made.to_frame()["response"].dtype == np.int64
    made.write(tmp_path / "crowd.csv")
    assert {line.split(",")[2] for line in (tmp_path / "crowd.csv").read_text().splitlines()[1:]} == set("1234")
    halves, _ = crowd(scale=Ordinal((0.5, 1.0, 1.5, 2.0)))
    assert set(halves.to_frame()["response"]) == {0.5, 1.0, 1.5, 2.0}
    expected, _ = crowd(decision="expected")
    assert expected.to_frame()["response"].dtype.kind == "f"
    assert not np.isnan(matrix).all()


def test_the_likeliest_label_is_a_label():
    made, matrix = crowd(scale=Categorical(("p", "q", "r", "s")), decision="expected")
    given = matrix[~np.isnan(matrix)].astype(int)
    assert made.to_frame()["response"].tolist() == ["pqrs"[code] for code in given]


@pytest.mark.parametrize("name", ["CROWD.CSV", "crowd.Csv.GZ", "crowd.PARQUET", "crowd.NC"])
def test_a_suffix_may_be_in_capitals(tmp_path, name):
    made, _ = crowd()
    path = made.write(tmp_path / name)
    frame = Crowd.open(path).to_frame() if name.endswith("NC") else read_table(path)
    assert frame["response"].tolist() == made.to_frame()["response"].tolist()
