"""Settings of a run, from a file and from the command line: every mistake one message that names the option."""

from __future__ import annotations

import pandas as pd
import pytest

from crowdpyro import DataError, ModelError
from crowdpyro.runs.options import RunOptions, assigned, merged, read_yaml


def test_yaml_keeps_a_scale_a_text_and_starts_paths_at_its_folder(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("responses: a.csv\nproblems: b.csv\nscale: 1:5\ntraining:\n  lr: 1\nmodel:\n  n_eps: 3\n")
    options = RunOptions.of(merged(read_yaml(path), {"seed": 4, "scale": None, "model": {"holdout": "problem"}}))
    assert (options.scale, options.seed, options.responses) == ("1:5", 4, tmp_path / "a.csv")
    assert (options.model.n_eps, options.model.holdout, options.model.training.lr) == (3, "problem", 1.0)


BASE = {"responses": "a.csv", "problems": "b.csv", "scale": "1:5"}


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"problems": "b.csv", "scale": "1:5"}, DataError, "option 'responses' is missing; give it"),
        ({**BASE, "referenzes": "c.csv"}, ModelError, "'referenzes' is unknown; did you mean 'references'"),
        ({**BASE, "x": 1}, ModelError, "option 'x' is unknown; known are responses"),
        ({**BASE, "model": {"n_epz": 2}}, ModelError, "model 'n_epz' is unknown; did you mean 'n_eps'"),
        ({**BASE, "model": {"training": {}}}, ModelError, "model 'training' is unknown"),
        ({**BASE, "model": {"n_eps": 2.5}}, DataError, "option model.n_eps=2.5: give a whole number"),
        ({**BASE, "model": {"n_eps": True}}, DataError, "option model.n_eps=True: give a whole number"),
        ({**BASE, "training": {"lr": "fast"}}, DataError, "option training.lr='fast': give a number"),
        ({**BASE, "training": {"lr": -1}}, ModelError, "lr=-1.0: give a positive"),
        ({**BASE, "training": [1]}, DataError, "option 'training' is .*; write `name: value`"),
        ({**BASE, "model": {"holdout": "people"}}, DataError, "holdout='people': give one of 'participant'"),
        ({**BASE, "missing_reference": "guess"}, DataError, "missing_reference='guess': give one of 'error'"),
        ({**BASE, "scale": 5}, DataError, "option scale=5: give a text, such as 1:5"),
        ({**BASE, "seed": -1}, DataError, "seed=-1: give a whole number from 0 to"),
        ({**BASE, "n_eps": 2}, ModelError, "option 'n_eps' is unknown; write it under `model:`"),
        ({**BASE, "lr": 2}, ModelError, "option 'lr' is unknown; write it under `training:`"),
        ({**BASE, "model": {"seed": 2}}, ModelError, "model 'seed' is unknown; it is an option of its own: --seed"),
        ({**BASE, "overwrite": True}, ModelError, "option 'overwrite' is unknown; give it on the command line"),
        ({**BASE, "references": 5}, DataError, "option references=5: give a text"),
        ({**BASE, "references": "r.csv", "llm": "embedded"}, DataError, "give one of them"),
        ({**BASE, "question": "How?"}, DataError, "give llm as well"),
        ({**BASE, "llm": "embedded", "personas": ["a"]}, DataError, "option 'personas' is .*; write `name: desc"),
    ],
)
def test_options_are_checked_by_name(given, error, words):
    with pytest.raises(error, match=words):
        RunOptions.of(given)


@pytest.mark.parametrize(("name", "held"), [("training", [1]), ("model", "big")])
def test_settings_that_are_none_are_named_before_they_are_merged(name, held):
    with pytest.raises(DataError, match=f"option {name!r} is .*; write `name: value` lines"):
        merged({name: held}, {"model": {}, "training": {}})


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ([2, 4, 3], "whole numbers from 2 to 4: write --scale LOW:HIGH"),
        (["no", "yes", "no"], "such as --scale no,yes"),
        ([0.1, 2.5, 3.0], "write --scale 1:5 for whole-number"),
    ],
)
def test_a_missing_scale_is_suggested_from_the_answers(tmp_path, column, hint):
    path = tmp_path / "a.csv"
    pd.DataFrame({"problem": 1, "participant": range(3), "response": column}).to_csv(path, index=False)
    with pytest.raises(DataError, match=f"option 'scale' is missing; .*{hint}"):
        RunOptions.of({"responses": path, "problems": "b.csv"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "holds a list; write one"),
        ("a,b\nc,d\n", "holds one text; write one"),
        ("a: [", "cannot be read as YAML: line 1, column 5: .*; write one"),
        ("a: 1\na: 2\n", "as YAML.*duplicate"),
        ("\tproblems: x\n", "as YAML: line 1, column 1: .*; write one"),
    ],
)
def test_a_yaml_file_that_is_none_is_named(tmp_path, text, words):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=f"(?s)run.yaml.*{words}"):
        read_yaml(path)
    with pytest.raises(DataError, match="does not exist"):
        read_yaml(tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("pair", "words"),
    [("n_eps", "write NAME="), ("n_eps=[", "is no value"), ("n_eps=", "NAME=VALUE"), ("=3", "NAME=VALUE")],
)
def test_settings_on_the_command_line_are_assignments(pair, words):
    with pytest.raises(DataError, match=words):
        assigned([pair])
    assert assigned(["n_eps=3", "training.lr=0.5", "use_profile=false"]) == {
        "model": {"n_eps": 3, "use_profile": False},
        "training": {"lr": 0.5},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate", "NOWHERE", "--out", "c.csv"], "ModelError: folder 'NOWHERE' does not exist; give a folder"),
        (["generate", ".", "--out", "c.csv"], "ModelError: folder '.' holds no model; give a folder that"),
        (["generate", ".", "--out", "c.csv", "--participants", "1e3"], "DataError: participants='1e3': give a whole"),
        (["generate", ".", "--out", "c.csv", "--seed", "-1"], "Usage: "),
        (["evaluate", ".", "h.csv", "--out", "n.xlsx"], "DataError: file 'n.xlsx': the suffix must be .csv"),
        (["generate", "NOWHERE", "--out", "c.xlsx"], "DataError: file 'c.xlsx': the suffix must be one of .nc"),
        (["show", "NOWHERE"], "DataError: folder 'NOWHERE' does not exist"),
        (["show", "."], "DataError: folder '.' holds no run"),
        (["fit", "a.csv", "--problems", "b.csv", "--scale", "1:5"], "DataError: file 'a.csv' does not exist"),
        (["fit", "a.csv", "--problems", "b.csv", "--scale", "1:5", "--set", "x"], "DataError: --set 'x': write NAME"),
        (["evaluate", "NOWHERE", "h.csv"], "ModelError: folder 'NOWHERE' does not exist; give a folder"),
    ],
)
def test_errors_are_one_message_and_exit_code_two(command, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*words)
    assert code == 2
    assert err.startswith(message)
    assert "Traceback" not in err
