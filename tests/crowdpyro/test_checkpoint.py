"""Interrupted fits: killed at any step, they go on to the weights of a fit that never stopped, bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro import CrowdData, CrowdLLM, FitConfig, ModelError, parse_scale
from crowdpyro.checkpoint import Checkpoint

SCALES = {"ordinal": "1:5", "continuous": "continuous", "categorical": "r,g,b"}


def people(scale="1:5", seed=0):
    rng = np.random.default_rng(seed)
    person, problem = np.indices((40, 8)).reshape(2, -1)
    latent = rng.normal(size=40)[person] + np.linspace(-1, 1, 8)[problem] + rng.normal(size=len(person))
    kind = parse_scale(scale)
    code = np.clip(np.round(latent + 2), 0, getattr(kind, "n_levels", 1) - 1)
    return CrowdData.from_frames(
        pd.DataFrame(
            {
                "participant": person,
                "problem": problem,
                "response": latent if scale == "continuous" else kind.decode(code),
            }
        ),
        pd.DataFrame({"problem": range(8), "text": [f"statement {k}" for k in range(8)]}),
        pd.DataFrame({"participant": range(40), "group": rng.choice(["u", "v"], 40)}),
        scale=kind,
    )


def untrained(**settings):
    training = FitConfig(epochs=12, margin_steps=20, every=2, batch_size=10, patience=4)
    small = {"n_components": 4, "text_encoder": "tfidf", "n_eps": 2, "n_hidden": 8, "training": training}
    return CrowdLLM(progress=False, **{**small, **settings})


def weights(model):
    return {f"{part}.{n}": v for part in ("model", "guide") for n, v in getattr(model, part).state_dict().items()}


def assert_same(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.history == other.history


class CrashError(Exception):
    pass


class EverySeventh(Checkpoint):
    """Writes at every seventh step, and stops there as a crash would."""

    steps = 0

    def offer(self, take):
        self.steps += 1
        if self.steps == 7:
            self.seconds = 0.0
            super().offer(take)
            raise CrashError


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_fit_stopped_again_and_again_ends_as_if_it_had_not(tmp_path, scale, dropout):
    whole = untrained(dropout=dropout).fit(people(scale), seed=5)
    crashes = 0
    while True:
        try:
            model = untrained(dropout=dropout)
            model.fit(people(scale), seed=5, checkpoint=EverySeventh(tmp_path / "fit", seconds=1e9))
            break
        except CrashError:
            crashes += 1
    assert crashes >= 5
    assert_same(model, whole)


def _fit(path, steps):
    """What the killed process runs; it counts its steps where the killer sees them."""

    class Counting(Checkpoint):
        def offer(self, take):
            super().offer(take)
            with steps.get_lock():
                steps.value += 1

    torch.set_num_threads(1)
    untrained().fit(people(), seed=5, checkpoint=Counting(path, seconds=0))


def test_killed_ten_times_at_random_steps_a_fit_ends_with_the_same_weights(tmp_path):
    whole = untrained().fit(people(), seed=5)
    context = multiprocessing.get_context("fork")
    targets = np.random.default_rng(0).integers(1, 6, size=10)
    for target in targets:
        steps = context.Value("i", 0)
        child = context.Process(target=_fit, args=(tmp_path / "fit", steps))
        child.start()
        while steps.value < target and child.is_alive():
            time.sleep(0.0005)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    model = untrained().fit(people(), seed=5, checkpoint=tmp_path / "fit")
    assert_same(model, whole)
    assert not [path for path in tmp_path.iterdir() if path.name != "fit" and not path.name.startswith(".")]


def test_a_finished_fit_called_again_returns_the_same_model_at_once(tmp_path):
    first = untrained().fit(people(), seed=5, checkpoint=Checkpoint(tmp_path / "fit", seconds=0))

    class Counting(Checkpoint):
        steps = 0

        def offer(self, take):
            self.steps += 1

    again = Counting(tmp_path / "fit")
    assert_same(untrained().fit(people(), seed=5, checkpoint=again), first)
    assert again.steps == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"n_eps": 3}}, "n_eps was 2, is 3"),
        ({"settings": {"training": FitConfig(epochs=13, margin_steps=20)}}, "training.epochs was 12, is 13"),
        ({"seed": 6}, "seed was 5, is 6"),
        ({"data": people(seed=1)}, "the answers changed"),
        ({"data": people("1:6")}, "scale was .*5.0.*, is .*6.0"),
    ],
)
def test_another_fit_does_not_go_on_from_it_and_is_told_what_changed(tmp_path, change, words):
    path = tmp_path / "fit"
    with pytest.raises(CrashError):
        untrained().fit(people(), seed=5, checkpoint=EverySeventh(path, seconds=1e9))
    before = path.read_bytes()
    with pytest.raises(ModelError, match=f"{words}.*Put that back to go on, or delete the file"):
        untrained(**change.get("settings", {})).fit(
            change.get("data", people()), seed=change.get("seed", 5), checkpoint=path
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / "fit").write_bytes(content)
    with pytest.raises(ModelError, match="checkpoint .*fit.* cannot be read.*Delete it"):
        untrained().fit(people(), seed=5, checkpoint=tmp_path / "fit")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_fit_after_its_step_with_everything_kept(tmp_path, number):
    class Signalled(Checkpoint):
        steps = 0

        def offer(self, take):
            self.steps += 1
            if self.steps == 9:
                os.kill(os.getpid(), number)
            super().offer(take)

    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match=f"{signal.Signals(number).name}.* goes on from"):
        untrained().fit(people(), seed=5, checkpoint=Signalled(tmp_path / "fit", seconds=1e9))
    assert signal.getsignal(number) is handler
    # 9 steps of 4 an epoch: two whole epochs and a step.
    saved = Checkpoint(tmp_path / "fit").peek()
    assert (len(saved["history"]["loss"]), saved["step"]) == (2, 1)
    model = untrained().fit(people(), seed=5, checkpoint=tmp_path / "fit")
    assert_same(model, untrained().fit(people(), seed=5))


def test_the_checkpoint_waits_between_writings(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("crowdpyro.checkpoint.time.monotonic", lambda: now[0])
    written = []
    checkpoint = Checkpoint(tmp_path / "fit", seconds=10)
    monkeypatch.setattr(checkpoint, "_write", written.append)
    for second in range(35):
        now[0] = float(second)
        checkpoint.offer(lambda second=second: second)
    assert written == [10, 20, 30]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_seconds_are_checked(seconds):
    with pytest.raises(ModelError, match="seconds="):
        Checkpoint(Path("fit"), seconds)
