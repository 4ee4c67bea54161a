"""Killed and started again: only the batch in flight is computed twice, and the answers are the same to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro.references import References

pytestmark = pytest.mark.filterwarnings("ignore::crowdpyro.llm.LowOptionMassWarning")

N = 500
# Every batch is noted when it has been computed and before the cache sees it.
LOGGED = """
import sys, time
import pandas as pd
from crowdpyro import FrozenLLM, Ordinal

class Logged(FrozenLLM):
    log, pause = None, 0.0

    def score(self, queries, **how):
        for positions, values in super().score(queries, **how):
            with open(self.log, "a", encoding="utf-8") as file:
                file.write("".join(f"{len(positions)} {queries[at].name}\\n" for at in positions))
            time.sleep(self.pause)
            yield positions, values

def refer(model, problems, cache, log, pause):
    llm = Logged(model, threads=1, batch_tokens=600)
    llm.log, llm.pause = log, pause
    return llm.refer(pd.read_csv(problems, index_col="problem"), Ordinal.range(1, 5), cache=cache, progress=False)
"""
RUN = "model, problems, cache, log, out = sys.argv[1:]\nrefer(model, problems, cache, log, 0.01).write(out)\n"


def problems_of(path: Path) -> Path:
    """500 texts of one to seven words, no two alike."""
    rng = np.random.default_rng(0)
    words = ["weather", "children", "evening", "nurse", "farmer", "statement", "agree", "disagree", "number", "fine"]
    texts = [f"{n} {' '.join(rng.choice(words, rng.integers(1, 8)))}" for n in range(N)]
    pd.DataFrame({"problem": [f"p{n}" for n in range(N)], "text": texts}).to_csv(path, index=False)
    return path


def killed_after(n: int, words: list[str], log: Path) -> None:
    """Start a process and kill it when its log has `n` lines."""
    process = subprocess.Popen([sys.executable, *words], env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= n:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait(timeout=60) == -signal.SIGKILL


def interrupted(tiny_folder: Path, folder: Path, kills: list[int]) -> tuple[References, References, str]:
    """References after some kills, those of an uninterrupted run, and the log of what was computed for the first."""
    problems, cache, log = problems_of(folder / "problems.csv"), folder / "cache", folder / "log"
    out = folder / "references.parquet"
    for n in kills:
        killed_after(n, ["-c", LOGGED + RUN, *map(str, (tiny_folder, problems, cache, log, out))], log)
        assert not out.exists()
        assert 0 < log.read_text().count("\n") < N
    ours: dict[str, object] = {}
    exec(LOGGED, ours)
    refer = ours["refer"]
    assert callable(refer)
    resumed = refer(tiny_folder, problems, cache, log, 0.0)
    calm = refer(tiny_folder, problems, None, folder / "calm", 0.0)
    return resumed, calm, log.read_text()


def check(resumed: References, calm: References, log: str, n_kills: int) -> None:
    np.testing.assert_array_equal(resumed.source().values, calm.source().values)
    assert resumed.source().values.shape == (N, 1, 5)
    sizes, names = zip(*(line.split(" ", 1) for line in log.splitlines()), strict=True)
    assert len(set(names)) == N
    assert len(names) - N <= n_kills * max(map(int, sizes))
    assert max(Counter(names).values()) <= 1 + n_kills
    (note,) = [note for note in resumed.report if note.startswith("cache ")]
    assert f"of {N} prompts found" in note


def test_a_killed_run_goes_on_where_it_was(tiny_folder: Path, tmp_path: Path) -> None:
    check(*interrupted(tiny_folder, tmp_path, [200]), 1)


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    check(*interrupted(tiny_folder, tmp_path, [1, 60, 150, 151, 300, 450]), 6)
