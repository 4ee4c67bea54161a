"""Commands of persons on one's own files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Crowd, DataError, cli
from crowdpyro.runs.persons import margins_of

SMALL = ["--set", "training.epochs=6", "--set", "training.every=2", "--set", "training.margin_steps=5"]
SMALL += ["--set", "text_encoder=tfidf", "--set", "n_components=3", "--set", "n_eps=1", "--set", "n_hidden=4"]
IDS = [f"p{k:02d}" for k in range(50)]


def references(path, model, problems, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.dirichlet(np.ones(5), len(problems)), columns=[f"p_{k}" for k in range(1, 6)])
    frame.assign(problem=problems, model=model).to_csv(path, index=False)


@pytest.fixture
def files(tmp_path, fitted):
    """A folder of one's own with what `fitted` made."""
    return Path(shutil.copytree(fitted, tmp_path / "files"))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run of thirty people and four problems, twenty others, and another LLM's answers."""
    tmp_path = tmp_path_factory.mktemp("persons")
    rng = np.random.default_rng(0)
    trait = rng.normal(size=50)
    answers = pd.DataFrame(
        {
            "participant": np.repeat(IDS, 4),
            "problem": list("abcd") * 50,
            "response": np.clip(np.round(3 + np.repeat(trait, 4) + rng.normal(size=200)), 1, 5).astype(int),
        }
    )
    answers[:120].to_csv(tmp_path / "answers.csv", index=False)
    answers[120:].to_csv(tmp_path / "others.csv", index=False)
    for name, asked in (("first", "ab"), ("second", "c")):
        wave = answers[120:]
        wave[wave["problem"].isin(list(asked))].to_csv(tmp_path / f"{name}.csv", index=False)
    profiles = pd.DataFrame({"participant": IDS, "home": rng.choice(["town", "land"], 50)})
    profiles[:30].to_csv(tmp_path / "people.csv", index=False)
    profiles[30:].to_csv(tmp_path / "strangers.csv", index=False)
    for name, ids in (("problems", "abcd"), ("new", "ef")):
        texts = [f"statement {k}" for k in ids]
        pd.DataFrame({"problem": list(ids), "text": texts}).to_csv(tmp_path / f"{name}.csv", index=False)
    references(tmp_path / "one.csv", "one", list("abcd"), 1)
    references(tmp_path / "two.csv", "two", list("abcd"), 2)
    references(tmp_path / "new_one.csv", "one", list("ef"), 3)
    words = ["fit", tmp_path / "answers.csv", "--problems", tmp_path / "problems.csv", "--scale", "1:5", *SMALL]
    words += ["--participants", tmp_path / "people.csv", "--references", tmp_path / "one.csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["crowdpyro", *map(str, words), "--out", str(tmp_path / "RUN")])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert not stop.value.code
    return tmp_path


def test_waves_become_predictions_a_table_and_a_crowd(command, files):
    code, out, _ = command(
        "condition", files / "RUN", files / "first.csv", files / "second.csv", "--participants",
        files / "strangers.csv", "--problems", files / "new.csv", "--references", files / "new_one.csv", "--out",
        files / "predicted.csv", "--people", files / "known.csv", "--crowd", files / "crowd.csv",
    )  # fmt: skip
    assert (code, "read 60 answers of 20 people in 2 waves" in out) == (0, True)
    predicted = pd.read_csv(files / "predicted.csv")
    assert len(predicted) == 20 * 6
    assert predicted["given"].notna().sum() == 60
    assert (predicted["low"] <= predicted["high"]).all()
    known = pd.read_csv(files / "known.csv")
    assert (known["n_answers"] == 3).all()
    crowd = pd.read_csv(files / "crowd.csv").set_index(["participant", "problem"])["response"]
    told = pd.read_csv(files / "others.csv").set_index(["participant", "problem"])["response"]
    told = told[told.index.get_level_values("problem") != "d"]
    assert (crowd[told.index] == told).all()
    again = command(
        "condition", files / "RUN", files / "others.csv", "--participants", files / "strangers.csv", "--out",
        files / "all.parquet", "--coverage", "0.5",
    )  # fmt: skip
    assert again[0] == 0
    assert len(pd.read_parquet(files / "all.parquet")) == 80


def test_people_of_the_run_need_no_profiles_and_strangers_do(command, files):
    out = files / "out.csv"
    code, said, _ = command("condition", files / "RUN", files / "answers.csv", "--out", out)
    assert (code, "these are people that the run was fitted to" in said) == (0, True)
    code, _, error = command("condition", files / "RUN", files / "first.csv", "--out", out)
    assert code == 2
    assert "participant 'p30' (20 such) is none of the run's people" in error
    code, said, _ = command(
        "condition", files / "RUN", files / "answers.csv", "--participants", files / "people.csv", "--out", out
    )
    assert (code, "gave no answer" in said) == (0, False)


def test_bad_answers_are_named(command, files):
    said = pd.read_csv(files / "first.csv")
    out, who = files / "out.csv", ["--participants", files / "strangers.csv"]
    for change, message in (
        ({"response": 9}, "9"),
        ({"problem": "z"}, "'z'"),
    ):
        said.assign(**change).drop_duplicates(["participant", "problem"]).to_csv(files / "bad.csv", index=False)
        code, _, error = command("condition", files / "RUN", files / "bad.csv", "--out", out, *who)
        assert (code, message in error, "DataError" in error) == (2, True, True)
    said.assign(response=said["response"] % 5 + 1).to_csv(files / "bad.csv", index=False)
    code, _, error = command("condition", files / "RUN", files / "first.csv", files / "bad.csv", "--out", out, *who)
    assert (code, "in an earlier wave (40 such); keep one" in error) == (2, True)
    code, _, error = command("condition", files / "RUN", files / "first.csv", "--out", "out.nc", *who)
    assert (code, "the suffix must be one of .csv, .csv.gz, .parquet" in error) == (2, True)


def test_worlds_are_contrasted(command, files):
    code, out, _ = command(
        "replay", files / "RUN", "--references", files / "two.csv", "--participants", 60, "--out", files / "table.csv"
    )
    assert (code, "references: two instead of one" in out) == (0, True)
    table = pd.read_csv(files / "table.csv")
    assert list(table["problem"]) == list("abcd")
    assert (table["se_paired"] < table["se_unpaired"]).all()
    code, out, _ = command("replay", files / "RUN", "--margin", "home=town:0.9,land:0.1", "--shares")
    assert (code, "margins of home" in out) == (0, True)
    for words, message in (
        ((), "not both"),
        (("--persona", "old", "--margin", "home=town:1"), "persona='old'"),
        (("--margin", "home=town:0.9,land:0.1", "--references", files / "two.csv"), "not both"),
    ):
        code, _, error = command("replay", files / "RUN", *words)
        assert (code, message in error) == (2, True)
    with pytest.raises(DataError, match="margin='home=town': write a trait's shares as gender=man:0.5,woman:0.5"):
        margins_of(["home=town"])
    assert margins_of(["a=x:0.4,y: 0.6"]) == {"a": {"x": 0.4, "y": 0.6}}


def test_a_crowd_is_compared_with_people(command, files):
    assert command("generate", files / "RUN", "--participants", "80", "--out", files / "crowd.nc")[0] == 0
    pd.DataFrame({"problem": list("abcd"), "scale": ["s", "s", "t", "t"]}).to_csv(files / "scales.csv", index=False)
    code, out, _ = command(
        "individuation", files / "crowd.nc", files / "others.csv", "--participants", files / "strangers.csv",
        "--scales", files / "scales.csv", "--out", files / "report",
    )  # fmt: skip
    assert (code, "80 members of a crowd, 20 humans" in out) == (0, True)
    assert {path.name for path in (files / "report").iterdir()} == {
        *(f"{name}.csv" for name in ("summary", "reliability", "grouping", "subgroups", "pairs")),
        "page.png",
    }
    assert list(pd.read_csv(files / "report" / "reliability.csv")["scale"]) == ["s", "t"]
    own = Crowd.open(files / "crowd.nc")
    own.to_netcdf(files / "same.nc")
    code, out, _ = command("individuation", files / "crowd.nc", files / "same.nc", "--out", files / "report")
    assert (code, "80 members of a crowd, 80 humans" in out) == (0, True)
