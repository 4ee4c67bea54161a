"""`weight`, `stratum` and `psu` on the command line: fit, evaluate, interval, generate; the study of weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Crowd, CrowdData, CrowdLLM, DataError, FitConfig, Ordinal
from crowdpyro.runs.intervals import interval_files
from crowdpyro.studies import weights as study
from crowdpyro.theory import crowd_interval

SMALL = ["--set", "training.epochs=2", "--set", "training.every=2", "--set", "training.margin_steps=2"]
SMALL += ["--set", "n_components=0", "--set", "n_eps=1", "--set", "n_hidden=4"]


@pytest.fixture
def folder(tmp_path):
    """Twenty people in two strata of two PSUs each, their weights, and files of them."""
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.integers(1, 6, size=(20, 3)), columns=["q0", "q1", "q2"]).rename_axis("participant")
    y.reset_index().melt("participant", var_name="problem", value_name="response").to_csv(
        tmp_path / "answers.csv", index=False
    )
    pd.DataFrame({"problem": y.columns, "text": list("abc")}).to_csv(tmp_path / "problems.csv", index=False)
    people = pd.DataFrame({"participant": y.index, "home": rng.choice(["town", "land"], 20)})
    people["Weight"] = rng.uniform(0.2, 3, 20).round(3)
    people["stratum"], people["psu"] = np.repeat(["a", "b"], 10), np.repeat([1, 2, 1, 2], 5)
    people.to_csv(tmp_path / "people.csv", index=False)
    return tmp_path


def fit(command, folder, *more):
    words = ["fit", folder / "answers.csv", "--problems", folder / "problems.csv", "--scale", "1:5"]
    return command(*words, "--participants", folder / "people.csv", "--out", folder / "run", *SMALL, *more)


def test_a_run_honours_the_columns(command, folder):
    code, out, err = fit(command, folder)
    assert (code, err) == (0, "")
    assert "column 'weight' of participants taken as survey weights: 20 people, worth" in out
    model = CrowdLLM.load(folder / "run")
    people = pd.read_csv(folder / "people.csv")
    np.testing.assert_allclose(model.weights, people["Weight"] / people["Weight"].mean())
    assert list(model.profiles.columns) == ["home"]
    code, out, _ = command("interval", folder / "run", "--folds", 2, "--out", folder / "t.csv")
    assert code == 0
    assert "design effect" in out
    table = pd.read_csv(folder / "t.csv")
    y = pd.read_csv(folder / "answers.csv").pivot_table(index="participant", columns="problem", values="response")
    np.testing.assert_allclose(table["human_estimate"], np.average(y, axis=0, weights=people["Weight"]), rtol=1e-9)
    # The people of training, their weights known to the run, and the same from a file.
    told = []
    for more in ([], ["--participants", folder / "people.csv"]):
        out = folder / f"e{len(more)}.csv"
        assert command("evaluate", folder / "run", folder / "answers.csv", "--out", out, *more)[0] == 0
        told.append(pd.read_csv(out).set_index(["method", "aggregator", "metric"])["value"])
    np.testing.assert_allclose(told[0], told[1])
    plain = people.drop(columns=["Weight", "stratum", "psu"])
    plain.to_csv(folder / "plain.csv", index=False)
    out = folder / "plain-e.csv"
    command("evaluate", folder / "run", folder / "answers.csv", "--out", out, "--participants", folder / "plain.csv")
    other = pd.read_csv(out).set_index(["method", "aggregator", "metric"])["value"]
    key = ("uniform", "mean", "mae")
    assert other[key] != pytest.approx(told[0][key])
    mean = np.average(y, axis=0, weights=people["Weight"])
    assert told[0][key] == pytest.approx(np.abs(mean - 3).mean(), rel=1e-6)
    crowd = folder / "crowd.csv"
    command("generate", folder / "run", "--participants", folder / "people.csv", "--out", crowd)
    assert "weight" in pd.read_csv(crowd).columns


def test_a_column_of_that_name_may_be_a_trait(command, folder):
    code, out, _ = fit(command, folder, "--weight", "none", "--stratum", "none", "--psu", "none")
    assert code == 0
    assert "survey weights" not in out
    model = CrowdLLM.load(folder / "run")
    assert model.weights is None
    assert set(model.profiles.columns) == {"home", "Weight", "stratum", "psu"}
    code, _, err = fit(command, folder, "--weight", "w8")
    assert code == 2
    assert "weight='w8': participants have no such column" in err


def test_three_files_and_the_peoples_design(folder):
    rng = np.random.default_rng(1)
    y = pd.read_csv(folder / "answers.csv").pivot_table(index="participant", columns="problem", values="response")
    twin, crowd = y * 0.5 + 1, pd.DataFrame(rng.normal(3, 1, (30, 3)), columns=y.columns).rename_axis("participant")
    member = rng.uniform(0.5, 2, 30)
    for name, frame in (("twins", twin), ("crowd", crowd)):
        long = frame.reset_index().melt("participant", var_name="problem", value_name="response")
        if name == "crowd":
            long["weight"] = member[long["participant"]]
        long.to_csv(folder / f"{name}.csv", index=False)
    files = [folder / f"{name}.csv" for name in ("answers", "twins", "crowd")]
    found = interval_files(*files, lambda text: None, participants=folder / "people.csv")
    people = pd.read_csv(folder / "people.csv")
    expected = crowd_interval(
        y,
        twin,
        crowd,
        weights=people["Weight"],
        crowd_weights=member,
        strata=people["stratum"],
        clusters=people["stratum"] + people["psu"].astype(str),
    )
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], rtol=1e-9)
    assert (found.human_only.df == 2).all()
    people.iloc[1:].to_csv(folder / "few.csv", index=False)
    with pytest.raises(DataError, match="participant"):
        interval_files(*files, lambda text: None, participants=folder / "few.csv")


def small_survey():
    """Four items of 400 people, two of which differ between genders or ages."""
    rng = np.random.default_rng(0)
    woman, young = rng.random(400) < 0.6, rng.random(400) < 0.5
    lean = np.stack([1.5 * woman, 1.2 * young, 0 * woman, 0 * woman], axis=1)
    given = np.clip(np.round(2.5 + lean + rng.normal(size=(400, 4))), 1, 6)
    rows = pd.DataFrame(given, columns=list("abcd")).rename_axis("participant").reset_index()
    people = pd.DataFrame(
        {"participant": range(400), "gender": np.where(woman, "woman", "man"), "age": 20.0 + 30 * ~young}
    )
    problems = pd.DataFrame({"problem": list("abcd"), "text": list("abcd")})
    answers = rows.melt("participant", var_name="problem", value_name="response")
    return CrowdData.from_frames(answers, problems, people, scale=Ordinal.range(1, 6))


def test_biased_samples_of_the_study_are_drawn_three_to_one_and_weighted_back(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "load_personality", small_survey)
    data, groups = study.population()
    assert data.problems.index[study.differing(data, groups)].tolist() == ["a", "b"]
    counts, means = np.zeros(400), []
    for seed in range(120):
        sample = study.biased_sample(data, groups, 80, seed)
        counts[sample.participants.index] += 1
        means.append([Crowd.from_data(each).aggregate("mean") for each in (replace(sample, design=None), sample)])
        assert sample.participants.index.is_unique
    chance = 3.0 ** groups.sum(axis=1).to_numpy()
    by_chance = [counts[chance == each].mean() / 120 for each in (1, 3, 9)]
    # 120 samples of 80: each chance within a fifth, four standard errors of the smallest.
    np.testing.assert_allclose(by_chance, np.array([1, 3, 9]) * 80 / chance.sum(), rtol=0.2)
    np.testing.assert_allclose(sample.design.table["weight"], chance.sum() / 80 / chance[sample.participants.index])
    # Four standard errors of a standard deviation of 120; plain means are off by the bias, weighted ones by none.
    np.testing.assert_allclose(np.std(means, axis=0), study.errors(data, groups, 80), rtol=4 / np.sqrt(240))
    off = np.mean(means, axis=0) - Crowd.from_data(data).aggregate("mean").to_numpy()
    wanted = np.stack([study.bias(data, groups), np.zeros(4)])
    assert (np.abs(off - wanted) < 4 * np.std(means, axis=0) / np.sqrt(120)).all()
    assert study.pays(data, groups, 80).tolist() == [True, True, False, False]
    with pytest.raises(DataError, match="n=300: some would be drawn for certain"):
        study.biased_sample(data, groups, 300, 0)
    monkeypatch.setattr(study, "TRAINING", FitConfig(epochs=2, margin_steps=2))
    methods, items = study.run(2, 80, "both", tmp_path, jobs=1)
    truth = Crowd.from_data(data).aggregate("mean")
    rows = pd.read_csv(tmp_path / "weights_both.csv")
    sample = study.biased_sample(data, groups, 80, 1)
    own = Crowd.from_data(sample).aggregate("mean")
    error = rows[(rows["method"] == "histograms, weighted") & (rows["seed"] == 1)].set_index("item")["error"]
    np.testing.assert_allclose(error, own - truth, atol=1e-9)
    plain = chance @ (data.matrix() + 1) / chance.sum() - truth
    np.testing.assert_allclose(items["bias"], plain, atol=1e-9)
    with pytest.raises(DataError, match="over='old': give one of both, women, young"):
        study.run(1, 80, "old")
    assert items["differs"].tolist() == [True, True, False, False]
    assert items["pays"].tolist() == [True, True, False, False]
    assert methods.loc["histograms, unweighted", "differing items won"] == 0
    assert methods.loc["histograms, weighted", "of those that pay"] <= 2
    assert len(methods) == 5
