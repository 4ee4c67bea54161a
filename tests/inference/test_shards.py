"""Minibatches in shards: the same gradient, and the same fit by one process and by two."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro import CrowdData, CrowdLLM, FitConfig, ModelError, Ordinal
from crowdpyro.inference import processes


def frames(n=60, n_problems=8):
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n, 1)) + rng.normal(size=n_problems) + rng.normal(size=(n, n_problems))
    person, problem = np.nonzero(rng.random(latent.shape) < 0.7)
    answers = np.clip(np.round(latent[person, problem] + 3), 1, 5).astype(int)
    return (
        pd.DataFrame({"participant": person, "problem": problem, "response": answers}),
        pd.DataFrame({"problem": range(n_problems), "text": [f"statement number {t}" for t in range(n_problems)]}),
        pd.DataFrame({"participant": range(n), "age": rng.integers(18, 80, n)}),
    )


def fit(n_eps=2, **training):
    data = CrowdData.from_frames(*frames(), scale=Ordinal.range(1, 5))
    settings = FitConfig(**{"epochs": 4, "margin_steps": 3, "every": 2, "batch_size": 17} | training)
    return CrowdLLM(training=settings, text_encoder="tfidf", n_components=2, n_eps=n_eps, dropout=0.0).fit(data, seed=1)


def test_without_noise_shards_leave_no_trace_but_rounding():
    # Minibatches of 17 and 9 people in parts of 6, 6, 5 and of 3, 3, 3, with different numbers of answers each.
    whole, parts = fit(n_eps=0), fit(n_eps=0, shards=3)
    np.testing.assert_allclose(parts.history.loss, whole.history.loss, rtol=2e-6)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_noise_is_a_shards_own():
    first, again, other = fit(shards=2), fit(shards=2), fit(shards=3)
    assert first.history.loss == again.history.loss
    assert first.history.loss != other.history.loss


def test_shards_are_shared_evenly(monkeypatch):
    assert processes.shards_here(4) == [0, 1, 2, 3]
    monkeypatch.setattr(processes, "place", lambda: (1, 2))
    assert processes.shards_here(4) == [1, 3]
    for n in (1, 3):
        with pytest.raises(
            ModelError, match=rf"shards={n}: 2 processes take as many each; set training.shards to a mu"
        ):
            processes.shards_here(n)
    with pytest.raises(ModelError, match="shards=0: give at least 1"):
        FitConfig(shards=0)


@pytest.mark.slow
def test_two_processes_fit_what_one_fits(tmp_path):
    for frame, name in zip(frames(), ("answers", "problems", "people"), strict=True):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    words = ["fit", "answers.csv", "--problems", "problems.csv", "--participants", "people.csv", "--scale", "1:5"]
    for each in ("text_encoder=tfidf", "n_components=2", "training.epochs=6", "training.shards=2", "training.every=2"):
        words += ["--set", each]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    told = {}
    for name, command in (("one", ["-m", "crowdpyro"]), ("two", [*launcher, "-m", "crowdpyro"])):
        run = subprocess.run(
            [sys.executable, *command, *words, "--out", name],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.count(f"wrote {name}") == 1
        told[name] = json.loads((tmp_path / name / "model.json").read_text())["history"]
        assert not (tmp_path / name / "fit.checkpoint").exists()
    assert len(told["one"]["loss"]) == 6
    np.testing.assert_allclose(told["two"]["loss"], told["one"]["loss"], rtol=1e-5)
    np.testing.assert_allclose(told["two"]["score"], told["one"]["score"], rtol=1e-4)
