"""A person's own files through the commands: fit, generate, evaluate, show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Crowd, CrowdLLM
from crowdpyro.checkpoint import Checkpoint
from crowdpyro.runs import folder
from crowdpyro.runs.options import read_yaml

SMALL = ["--set", "training.epochs=4", "--set", "training.every=2", "--set", "training.margin_steps=5"]
SMALL += ["--set", "text_encoder=tfidf", "--set", "n_components=3", "--set", "n_eps=2", "--set", "n_hidden=4"]


def answers(people, problems=("a", "b", "c", "d"), seed=0):
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=len(people))
    rows = [
        {"problem": problem, "participant": person, "response": int(np.clip(round(3 + t + rng.normal()), 1, 5))}
        for person, t in zip(people, trait, strict=True)
        for problem in problems
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def files(tmp_path):
    """Thirty people, four problems, references of one LLM, and twenty other people."""
    people = [f"p{i:02d}" for i in range(50)]
    rng = np.random.default_rng(1)
    answers(people[:30]).to_csv(tmp_path / "answers.csv", index=False)
    answers(people[30:], seed=2).to_csv(tmp_path / "others.csv", index=False)
    profiles = pd.DataFrame({"participant": people, "home": rng.choice(["town", "land"], 50)})
    profiles[:30].to_csv(tmp_path / "people.csv", index=False)
    profiles.to_csv(tmp_path / "everybody.csv", index=False)
    for name, ids in (("problems", "abcd"), ("new", "ef")):
        frame = pd.DataFrame({"problem": list(ids), "text": [f"statement {k}" for k in ids]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    for name, ids in (("refs", "abcd"), ("new_refs", "ef")):
        rows = pd.DataFrame(rng.dirichlet(np.ones(5), len(ids)), columns=[f"p_{k}" for k in range(1, 6)])
        rows.insert(0, "problem", list(ids))
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def fit_words(files, *more, references=True):
    words = ["fit", files / "answers.csv", "--problems", files / "problems.csv", "--scale", "1:5", *SMALL]
    words += ["--participants", files / "people.csv", "--out", files / "RUN", *more]
    return [*words, "--references", files / "refs.csv"] if references else words


@pytest.mark.parametrize(
    ("more", "references", "told"),
    [
        ((), True, "--participants 1000 --out"),
        (("--holdout", "problem"), True, "1000 --problems new.csv --references new_references.csv --out"),
        (("--holdout", "problem"), False, "--participants 1000 --problems new.csv --out"),
    ],
)
def test_what_comes_next_is_what_was_fitted_for(command, files, more, references, told):
    code, out, _ = command(*fit_words(files, *more, references=references))
    assert (code, told in out) == (0, True)


def test_from_files_to_a_crowd_and_back_to_people(command, files):
    code, out, _ = command(*fit_words(files))
    assert code == 0
    assert "read 120 answers of 30 people to 4 problems" in out
    assert {path.name for path in (files / "RUN").iterdir()} == {"model.json", "model.safetensors", "run.yaml"}
    code, out, _ = command("generate", files / "RUN", "--participants", "70", "--out", files / "crowd.csv")
    assert (code, "70 synthetic participants x 4 problems" in out) == (0, True)
    crowd = pd.read_csv(files / "crowd.csv")
    assert list(crowd.columns) == ["participant", "problem", "response", "source", "home"]
    assert set(crowd["source"]) == {"synthetic"}
    assert len(crowd) == 280
    code, out, _ = command(
        "evaluate", files / "RUN", files / "others.csv", "--participants", files / "everybody.csv", "--out",
        files / "numbers.csv",
    )  # fmt: skip
    assert code == 0
    numbers = pd.read_csv(files / "numbers.csv")
    methods = set(numbers["method"])
    assert methods >= {"crowdllm", "uniform", "training_marginal", "calibration_table", "independent_histograms"}
    assert methods >= {"llm_zero_shot", "llm_self_consistency", "constant_mode", "independent_answers"}
    assert {"joint_log_score", "correlation_error", "wasserstein1"} <= set(numbers["metric"])
    code, out, _ = command("show", files / "RUN")
    assert code == 0
    for words in ("people        30, traits: home", "problems      4", "training.epochs=4", "fit --config"):
        assert words in out


@pytest.mark.parametrize("suffix", ["nc", "csv", "csv.gz", "parquet"])
def test_every_export_says_synthetic(command, files, suffix):
    command(*fit_words(files))
    path = files / f"crowd.{suffix}"
    assert command("generate", files / "RUN", "--participants", "9", "--out", path)[0] == 0
    frame = Crowd.open(path).to_frame() if suffix == "nc" else {
        "csv": pd.read_csv, "csv.gz": pd.read_csv, "parquet": pd.read_parquet,
    }[suffix](path)  # fmt: skip
    assert set(frame["source"]) == {"synthetic"}
    assert len(frame) == 36


def test_new_problems_need_the_same_llms_references(command, files):
    command(*fit_words(files))
    new = ["generate", files / "RUN", "--problems", files / "new.csv", "--out", files / "crowd.csv"]
    code, _, err = command(*new)
    assert code == 2
    assert err.startswith("MissingReferenceError: problem 'e' (2 such) is new")
    assert "--references" in err
    assert not (files / "crowd.csv").exists()
    code, _, _ = command(*new, "--references", files / "new_refs.csv", "--participants", files / "everybody.csv")
    assert code == 0
    crowd = pd.read_csv(files / "crowd.csv")
    assert (set(crowd["problem"]), crowd["participant"].nunique()) == ({"e", "f"}, 50)


def test_the_yaml_of_a_run_repeats_it(command, files):
    assert command(*fit_words(files))[0] == 0
    assert command("fit", "--config", files / "RUN" / "run.yaml", "--out", files / "AGAIN")[0] == 0
    one, other = (CrowdLLM.load(files / name) for name in ("RUN", "AGAIN"))
    assert one.made_from == other.made_from
    for name, value in one.model.state_dict().items():
        assert value.equal(other.model.state_dict()[name])
    assert read_yaml(files / "RUN" / "run.yaml") == read_yaml(files / "AGAIN" / "run.yaml")


def test_a_run_is_not_fitted_twice_nor_overwritten_unasked(command, files):
    command(*fit_words(files))
    written = (files / "RUN" / "model.safetensors").stat().st_mtime_ns
    code, out, _ = command(*fit_words(files))
    assert (code, "nothing to do" in out) == (0, True)
    assert (files / "RUN" / "model.safetensors").stat().st_mtime_ns == written
    code, _, err = command(*fit_words(files, "--seed", "3"))
    assert code == 2
    assert "holds the model of another run: seed was 0, is 3" in err
    assert command(*fit_words(files, "--seed", "3", "--overwrite"))[0] == 0
    assert CrowdLLM.load(files / "RUN").made_from["seed"] == "3"
    changed = pd.read_csv(files / "answers.csv")
    changed.loc[0, "response"] = changed.loc[0, "response"] % 5 + 1
    changed.to_csv(files / "answers.csv", index=False)
    assert "another run: the answers changed" in command(*fit_words(files, "--seed", "3"))[2]


def test_evaluation_without_the_training_files_says_what_is_left_out(command, files):
    command(*fit_words(files))
    (files / "answers.csv").unlink()
    code, out, _ = command("evaluate", files / "RUN", files / "others.csv")
    assert code == 0
    assert "yardsticks of the training answers are left out" in out
    assert "no log score; give --participants" in out
    assert "crowdllm" in out


@pytest.mark.parametrize(("scale", "levels"), [("no,yes", ["no", "yes"]), ("continuous:0:10", None)])
def test_other_scales_go_through_every_command(command, files, scale, levels):
    frames = {name: pd.read_csv(files / f"{name}.csv") for name in ("answers", "others")}
    for name, frame in frames.items():
        given = frame["response"].map(lambda x: levels[int(x > 3)]) if levels else frame["response"] * 1.5
        frame.assign(response=given).to_csv(files / f"{name}.csv", index=False)
    words = [scale if word == "1:5" else word for word in fit_words(files, references=False)]
    assert command(*words)[0] == 0
    assert command("generate", files / "RUN", "--out", files / "crowd.csv")[0] == 0
    code, out, _ = command("evaluate", files / "RUN", files / "others.csv")
    assert code == 0
    assert ("log loss" in out) == bool(levels)


def test_a_sleeping_laptop_loses_nothing(files):
    """SIGTERM in the middle: exit code 130, the state kept, `show` says so, and the same command ends the fit."""
    words = [sys.executable, "-m", "crowdpyro", *map(str, fit_words(files, "--set", "training.epochs=4000"))]
    words += ["--set", "training.patience=4000", "--checkpoint-seconds", "0.05"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not (files / "RUN" / "fit.checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "SIGTERM: the fit stopped" in err
    assert "The same command goes on" in err
    show = subprocess.run(
        [sys.executable, "-m", "crowdpyro", "show", str(files / "RUN")], capture_output=True, text=True, check=True
    )
    assert "unfinished" in show.stdout
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    first = [process.stdout.readline() for _ in range(2)]
    process.kill()
    process.communicate()
    assert any("going on after epoch" in line for line in first)


def test_one_yaml_file_names_the_folder_too(command, files):
    (files / "all.yaml").write_text(
        "responses: answers.csv\nproblems: problems.csv\nscale: 1:5\nout: THERE\n"
        "model: {text_encoder: tfidf, n_hidden: 4}\ntraining: {epochs: 2, margin_steps: 3}\n"
    )
    assert command("fit", "--config", files / "all.yaml")[0] == 0
    assert "out" not in read_yaml(files / "THERE" / "run.yaml")
    assert command("fit", "--config", files / "all.yaml", "--out", files / "HERE")[0] == 0
    assert (files / "HERE" / "model.json").exists()


def test_a_run_without_an_llm_answers_new_problems(command, files):
    """The fallback of a model without references is a number, and is one again when it is read back."""
    command(*fit_words(files, references=False))
    new = ["generate", files / "RUN", "--problems", files / "new.csv", "--participants", "7"]
    assert command(*new, "--out", files / "crowd.csv")[0] == 0
    assert set(pd.read_csv(files / "crowd.csv")["problem"]) == {"e", "f"}
    code, out, _ = command(*new, "--references", files / "new_refs.csv", "--out", files / "same.csv")
    assert (code, "does not read the references" in out) == (0, True)
    assert (files / "same.csv").read_bytes() == (files / "crowd.csv").read_bytes()


@pytest.mark.parametrize(("policy", "code"), [("error", 2), ("panel", 2), ("mean", 0), ("drop", 0)])
def test_a_problem_without_a_row_of_references_is_one_without_an_answer(command, files, policy, code):
    refs = pd.read_csv(files / "refs.csv")
    refs[:-1].to_csv(files / "refs.csv", index=False)
    found, out, err = command(*fit_words(files, "--missing-reference", policy))
    assert found == code
    words = {
        "error": "problem 'd' (1 such) has no reference",
        "panel": "'mean' takes the LLM's own",
        "mean": "1 missing references filled by policy 'mean'",
        "drop": "such as 'd' (policy 'drop')\n  30 answers to them left out",
    }
    assert words[policy] in out + err
    if code == 0:
        kept = CrowdLLM.load(files / "RUN").problems.index
        assert list(kept) == list("abc" if policy == "drop" else "abcd")


def test_people_and_problems_without_answers_are_said(command, files):
    frame = pd.read_csv(files / "answers.csv")
    frame[(frame["problem"] != "d") & (frame["participant"] > "p04")].to_csv(files / "answers.csv", index=False)
    _, out, _ = command(*fit_words(files))
    assert "5 of 30 people have no answer" in out
    assert "1 of 4 problems have no answer" in out


def test_other_problems_of_the_humans_are_named_with_their_option(command, files):
    command(*fit_words(files))
    frame = pd.read_csv(files / "others.csv")
    frame.loc[3, "problem"] = "e"
    frame.to_csv(files / "others.csv", index=False)
    code, _, err = command("evaluate", files / "RUN", files / "others.csv")
    assert (code, "problem 'e' (line 5, 1 such) is none of the run's" in err, "--problems" in err) == (2, True, True)


def test_a_crowd_beyond_memory_is_an_error(command, files):
    command(*fit_words(files))
    code, _, err = command("generate", files / "RUN", "--participants", 10**12, "--out", files / "crowd.csv")
    assert (code, "does not fit in memory; give --store" in err) == (2, True)


def test_a_run_is_not_written_over_a_file(command, files):
    code, _, err = command(*fit_words(files, "--out", files / "refs.csv"))
    assert (code, "is a file; give a folder" in err) == (2, True)


def _stop(monkeypatch):
    """The next fit ends at its fifth step as by a signal, its state kept."""

    class Stopped(Checkpoint):
        steps = 0

        def offer(self, take):
            self.steps += 1
            if self.steps == 5:
                self._write(take())
                raise KeyboardInterrupt

    monkeypatch.setattr(folder, "Checkpoint", Stopped)


def test_an_interrupted_fit_that_overwrites_goes_on(command, files, monkeypatch):
    assert command(*fit_words(files, "--seed", "3"))[0] == 0
    whole = (files / "RUN" / "model.safetensors").read_bytes()
    assert command(*fit_words(files, "--overwrite"))[0] == 0
    with monkeypatch.context() as patch:
        _stop(patch)
        assert command(*fit_words(files, "--overwrite", "--seed", "3"))[0] == 130
    # What stands there is the old model with its own options, and a fit that is on its way.
    assert read_yaml(files / "RUN" / "run.yaml")["seed"] == 0
    assert "unfinished" in command("show", files / "RUN")[1]
    code, _, err = command(*fit_words(files, "--seed", "4"))
    assert (code, "seed was 3, is 4" in err, "another --out, or --overwrite" in err) == (2, True, True)
    code, out, _ = command(*fit_words(files, "--overwrite", "--seed", "3"))
    assert (code, "going on after epoch" in out) == (0, True)
    assert (files / "RUN" / "model.safetensors").read_bytes() == whole
    assert read_yaml(files / "RUN" / "run.yaml")["seed"] == 3
    with monkeypatch.context() as patch:
        _stop(patch)
        assert command(*fit_words(files, "--overwrite", "--seed", "5"))[0] == 130
    code, out, _ = command(*fit_words(files, "--overwrite", "--seed", "6"))
    assert (code, "going on" in out, CrowdLLM.load(files / "RUN").made_from["seed"]) == (0, False, "6")


@pytest.mark.parametrize("left", [b"", None])
def test_a_run_killed_between_its_two_files_is_fitted_again(command, files, left):
    command(*fit_words(files))
    arrays = files / "RUN" / "model.safetensors"
    whole = arrays.read_bytes()
    arrays.unlink()
    if left is not None:
        arrays.write_bytes(left)
    code, _, err = command(*fit_words(files, "--seed", "3"))
    assert (code, "another run: seed was 0, is 3" in err) == (2, True)
    assert command(*fit_words(files))[0] == 0
    assert arrays.read_bytes() == whole
    (files / "RUN" / "run.yaml").write_text("seed: 9\n")
    assert "nothing to do" in command(*fit_words(files))[1]
    assert read_yaml(files / "RUN" / "run.yaml")["seed"] == 0
    (files / "RUN" / "model.json").write_text("{")
    assert "holds no readable model" in command(*fit_words(files))[2]


def test_a_full_disk_leaves_the_run_as_it_was(command, files, monkeypatch):
    command(*fit_words(files))
    before = {path.name: path.read_bytes() for path in (files / "RUN").iterdir()}

    def full(file, text, **how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = command(*fit_words(files, "--overwrite", "--seed", "3"))
    assert (code, "model.json' cannot be written (No space left on device); give another place" in err) == (2, True)
    assert {path.name: path.read_bytes() for path in (files / "RUN").iterdir()} == before


def test_who_takes_part_is_chosen_on_the_command_line(command, files):
    command(*fit_words(files))
    words = ["generate", files / "RUN", "--participants", "400", "--out", files / "crowd.CSV"]
    assert command(*words, "--participation", "0.25")[0] == 0
    rows = len(pd.read_csv(files / "crowd.CSV"))
    # 1,600 coins of .25: standard deviation 17, four of them.
    assert abs(rows - 400) < 70
    assert command(*words, "--participation", "0.25", "--per-problem", "20")[0] == 0
    assert set(pd.read_csv(files / "crowd.CSV")["problem"].value_counts()) == {20}
    code, _, err = command(*words, "--participation", "1.5")
    assert (code, "participation=1.5: give probabilities in [0, 1]" in err) == (2, True)
    code, _, err = command(*words, "--per-problem", "401")
    assert (code, "per_problem=401: problem number 0 finds 400 who would take part" in err) == (2, True)


@pytest.mark.parametrize(
    "settings",
    [["participation=learned"], ["guide=semi_implicit"], ["training.objective=paper"],
     ["guide=semi_implicit", "training.objective=paper", "n_eps=0"]],
)  # fmt: skip
def test_every_kind_of_model_is_set_from_the_command_line(command, files, settings):
    words = [word for setting in settings for word in ("--set", setting)]
    assert command(*fit_words(files, *words))[0] == 0
    code, out, _ = command("show", files / "RUN")
    assert code == 0
    for setting in settings:
        assert setting in out
    assert command("generate", files / "RUN", "--participants", "20", "--out", files / "crowd.csv")[0] == 0
    rows = len(pd.read_csv(files / "crowd.csv"))
    assert 0 < rows < 80 if settings == ["participation=learned"] else rows == 80


def test_a_run_of_an_older_format_is_fitted_again(command, files):
    command(*fit_words(files))
    path = files / "RUN" / "model.json"
    whole = path.read_text()
    path.write_text(whole.replace('"format": 2', '"format": 1'))
    code, _, err = command("generate", files / "RUN", "--out", files / "crowd.csv")
    assert (code, "has format 1; this version reads 2: fit it again" in err) == (2, True)
    assert command(*fit_words(files))[0] == 0
    assert path.read_text() == whole


def test_old_and_new_problems_are_evaluated_together(command, files):
    command(*fit_words(files))
    problems = pd.concat([pd.read_csv(files / f"{name}.csv") for name in ("problems", "new")])
    problems.to_csv(files / "all.csv", index=False)
    answers([f"q{k}" for k in range(20)], "abef", seed=3).to_csv(files / "others.csv", index=False)
    words = ["evaluate", files / "RUN", files / "others.csv", "--problems", files / "all.csv"]
    code, out, _ = command(*words, "--references", files / "new_refs.csv")
    assert code == 0
    assert "yardsticks of the LLM are left out: 2 problems have no row in the references given" in out


def test_gaps_of_the_people_evaluated_are_filled_from_training(command, files):
    people = pd.read_csv(files / "everybody.csv").assign(age=range(50), town=[f"t{k}" for k in range(50)])
    for count, name in ((30, "people"), (50, "everybody")):
        some = people[:count].assign(town=[f"t{k % 10}" for k in range(count)])
        some["age"] = some["age"].where(some.index != 40)
        some.to_csv(files / f"{name}.csv", index=False)
    assert command(*fit_words(files))[0] == 0
    people = pd.read_csv(files / "everybody.csv").assign(name=[f"n{k}" for k in range(50)])
    people.to_csv(files / "everybody.csv", index=False)
    code, out, _ = command("evaluate", files / "RUN", files / "others.csv", "--participants", files / "everybody.csv")
    assert code == 0
    assert "profile 'age': 1 missing, set to training's median 14.5" in out
    assert "joint log score" in out
