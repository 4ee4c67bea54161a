"""`crowdpyro interval` on a run and on three files; `crowdpyro study intervals` on real people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.runs.intervals import interval_files
from crowdpyro.theory import crowd_interval, pooled_interval, share_interval

SMALL = ["--set", "training.epochs=2", "--set", "training.every=2", "--set", "training.margin_steps=2"]
SMALL += ["--set", "n_components=0", "--set", "n_eps=1", "--set", "n_hidden=4"]


def long(matrix, names):
    rows = [
        {"problem": f"q{t}", "participant": name, "response": value}
        for name, row in zip(names, matrix, strict=True)
        for t, value in enumerate(row)
        if not pd.isna(value)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def files(tmp_path):
    """Twelve people, their twins and a crowd of thirty; profiles of theirs and of a population."""
    rng = np.random.default_rng(0)
    y = np.clip(np.round(3 + rng.normal(size=(12, 3))), 1, 5)
    twin, crowd = np.round(0.5 * y + rng.normal(size=y.shape), 3), np.round(1.5 + rng.normal(size=(30, 3)), 3)
    y[4, 1] = np.nan
    people = [f"p{i:02d}" for i in range(12)]
    for name, matrix, names in (("humans", y, people), ("twins", twin, people), ("crowd", crowd, range(30))):
        long(matrix, names).sample(frac=1, random_state=0).to_csv(tmp_path / f"{name}.csv", index=False)
    pd.DataFrame({"problem": ["q0", "q1", "q2"], "text": ["a", "b", "c"]}).to_csv(
        tmp_path / "problems.csv", index=False
    )
    home = rng.choice(["town", "land"], 12)
    pd.DataFrame({"participant": people, "home": home}).to_csv(tmp_path / "people.csv", index=False)
    population = pd.DataFrame({"participant": range(40), "home": rng.choice(["town", "land"], 40)})
    population.to_csv(tmp_path / "population.csv", index=False)
    return tmp_path, y, twin, crowd


def three(folder):
    return ["--humans", folder / "humans.csv", "--twins", folder / "twins.csv", "--crowd", folder / "crowd.csv"]


def test_three_files_give_the_intervals_of_their_matrices(command, files):
    folder, y, twin, crowd = files
    code, out, err = command(
        "interval", *three(folder), "--out", folder / "t.csv", "--picture", folder / "f.png", "--method", "power_tuned"
    )
    assert (code, err) == (0, "")
    assert "read 35 answers of 12 people, and 90 of a crowd of 30" in out
    assert "people alone" in out
    table = pd.read_csv(folder / "t.csv", index_col="problem")
    expected = crowd_interval(y, twin, crowd, method="power_tuned", missing="omit")
    np.testing.assert_allclose(table["low"], expected.low, rtol=1e-9)
    np.testing.assert_allclose(table["human_high"], expected.human_only.high, rtol=1e-9)
    assert table["n"].tolist() == [12, 11, 12]
    assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")


def test_options_reach_the_intervals(files):
    folder, y, twin, crowd = files
    paths = [folder / f"{name}.csv" for name in ("humans", "twins", "crowd")]
    said: list[str] = []
    pooled = interval_files(*paths, said.append, pooled=True, alpha=0.2)
    assert pooled.low == pytest.approx(float(pooled_interval(y, twin, crowd, 0.2).low), rel=1e-9)
    together = interval_files(*paths, said.append, simultaneous=True, alternative="smaller")
    expected = crowd_interval(y, twin, crowd, missing="omit", simultaneous=True, alternative="smaller")
    np.testing.assert_allclose(together.high, expected.high, rtol=1e-9)
    rng = np.random.default_rng(1)
    given = [rng.choice(["yes", "no"], size=(size, 2)) for size in (9, 9, 20)]
    for path, matrix in zip(paths, given, strict=True):
        long(matrix, [f"p{i}" for i in range(len(matrix))]).to_csv(path, index=False)
    shares = interval_files(*paths, said.append, shares=True)
    np.testing.assert_allclose(shares.low, share_interval(*given, options=["no", "yes"]).low, rtol=1e-9)
    assert shares.to_frame().index[1] == ("q0", "yes")
    with pytest.raises(DataError, match=r"response 'yes|no' .* is not a number; give --shares"):
        interval_files(*paths, said.append)
    with pytest.raises(DataError, match="shares and pooled"):
        interval_files(*paths, said.append, shares=True, pooled=True)


def test_a_run_is_cross_fitted(command, files):
    folder, y, *_ = files
    fit = ["fit", folder / "humans.csv", "--problems", folder / "problems.csv", "--scale", "1:5"]
    assert command(*fit, "--participants", folder / "people.csv", "--out", folder / "run", *SMALL)[0] == 0
    words = ["interval", folder / "run", "--folds", 2, "--out", folder / "t.csv"]
    code, out, _ = command(*words, "--population", folder / "population.csv")
    assert code == 0
    assert "fitting 2 models" in out
    table = pd.read_csv(folder / "t.csv", index_col="problem")
    assert (table["n_crowd"] == 40).all()
    np.testing.assert_allclose(table["human_estimate"], np.nanmean(y, axis=0), rtol=1e-9)
    code, out, _ = command(*words)
    assert code == 0
    assert "no --population: the crowd has these people's own profiles" in out
    assert (pd.read_csv(folder / "t.csv")["n_crowd"] == 12).all()


def test_errors_are_one_line(command, files):
    folder, *_ = files
    twins = pd.read_csv(folder / "twins.csv")
    twins[1:].to_csv(folder / "short.csv", index=False)
    pd.concat([twins, twins[:1]]).to_csv(folder / "twice.csv", index=False)
    everybody = pd.read_csv(folder / "crowd.csv")
    everybody[everybody["problem"] != "q1"].to_csv(folder / "gap.csv", index=False)
    twins.assign(response=np.nan).to_csv(folder / "blank.csv", index=False)
    humans, crowd = ["--humans", folder / "humans.csv"], ["--crowd", folder / "crowd.csv"]
    for words, message in (
        ([], "give the folder of a run"),
        ([folder, *three(folder)], "give the folder of a run"),
        ([*humans, *crowd], "give the folder of a run"),
        ([*three(folder), "--population", folder / "people.csv"], "give the folder of a run"),
        ([folder], "holds no run.yaml"),
        ([*three(folder), "--alpha", 2], "alpha=2.0: give a chance"),
        ([*three(folder), "--method", "ppi"], "method='ppi': give one of"),
        ([*three(folder), "--out", "t.xlsx"], "the suffix must be .csv"),
        ([*three(folder), "--picture", "t.jpg"], "the suffix must be .png"),
        ([*humans, *crowd, "--twins", folder / "short.csv"], "has no answer to problem"),
        ([*humans, *crowd, "--twins", folder / "twice.csv"], "more than once"),
        ([*humans, *crowd, "--twins", folder / "blank.csv"], "no row has a problem"),
        ([*three(folder)[:4], "--crowd", folder / "gap.csv"], "problem 'q1' has 0 answers (1 such); an interval"),
    ):
        code, _, err = command("interval", *words)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert message in err


def test_the_study_command_writes_its_table(command, monkeypatch, tmp_path):
    from crowdpyro.studies import intervals

    def small(resamples, cross_fitted, out, references, *, seed, report):
        rng = np.random.default_rng(seed)
        y = 3 + rng.normal(size=(20, resamples, 2))
        found = crowd_interval(y, 0.5 * y, 1.5 + rng.normal(size=(50, resamples, 2)))
        measured = intervals._measured(found, np.array([3.0, 3.0]))
        rows = [intervals._row(20, "twins", "rectified", measured), intervals._row(20, "", "human_only", measured)]
        return intervals._written(pd.DataFrame(rows), out / "intervals.csv")

    monkeypatch.setattr(intervals, "run", small)
    code, out, _ = command("study", "intervals", "--resamples", 40, "--no-pooled", "--out", tmp_path)
    assert code == 0
    assert "truth: 2,400 people" in out
    table = pd.read_csv(tmp_path / "intervals.csv")
    assert (table["ratio"] == 1).all()
    assert (table["studies"] == 40).all()


@pytest.mark.slow
def test_coverage_on_2400_people():
    from crowdpyro.studies import intervals

    table = intervals.run(500).set_index(["n", "twins", "method"])
    kind = f"mean of {intervals.N_DRAWS} draws"
    for n in intervals.SIZES:
        ours = [table.loc[n, kind, method] for method in ("rectified", "power_tuned")] + [
            table.loc[n, "", "human_only"]
        ]
        for row in ours:
            # Six levels and skewed items: at n = 10 the humans' own t interval covers .932.
            assert abs(row["coverage"] - 0.95) < (0.015 if n >= 30 else 0.035)
            assert row["ratio"] < 1.03
        assert table.loc[n, kind, "theorem_4_6"]["coverage"] > 0.999
        assert table.loc[n, kind, "theorem_4_6"]["ratio"] > 2


@pytest.mark.slow
def test_pooled_coverage_on_raters(popquorn_dir):
    from crowdpyro.studies import intervals

    table = intervals.run_pooled(300, folder=popquorn_dir.parent).set_index(["n", "twins", "method"])
    for n in intervals.POOLED_SIZES:
        for method in ("human_only", "rectified", "power_tuned"):
            assert table.loc[n, "clustered", method]["coverage"] > 0.88
            assert table.loc[n, "not clustered", method]["coverage"] < 0.6
