"""The runner: resumed runs end in the same tables, failures are named, processes die with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.studies.runner import run
from crowdpyro.studies.store import ResultsStore

RUN = (
    "from simulated import STUDY; from crowdpyro.studies.runner import run; "
    "from crowdpyro.studies.store import ResultsStore; run(STUDY, ResultsStore({folder!r}), jobs=2)"
)


def tables(store: ResultsStore) -> list[pd.DataFrame]:
    return [store.read(), store.read(units=True)]


def wait_until(there, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie is dead already.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc for processes that were left behind")
def test_a_run_killed_in_the_middle_resumes_to_the_same_tables(simulated, store, tmp_path):
    killed = ResultsStore(tmp_path / "killed")
    pids = tmp_path / "pids"
    pids.mkdir()
    env = {
        **os.environ,
        "SIMULATED_SLEEP": "0.2",
        "SIMULATED_PIDS": str(pids),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    code = RUN.format(folder=str(killed.folder))
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
    wait_until(lambda: sum(killed.done(cell) for cell in simulated.cells()) >= 5, 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    workers = [int(path.name) for path in pids.iterdir()]
    wait_until(lambda: not any(map(alive, workers)), 30)
    before = sum(killed.done(cell) for cell in simulated.cells())
    assert len(workers) == 2
    assert 5 <= before < len(simulated.cells())
    outcome = run(simulated, killed)
    assert outcome.skipped == before
    assert outcome.done == len(simulated.cells()) - before
    for one, other in zip(tables(killed), tables(store), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_cell_that_raises_and_one_that_kills_its_process_are_named_and_the_rest_goes_on(
    simulated, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("SIMULATED_RAISES", "table-0")
    monkeypatch.setenv("SIMULATED_DIES", "marginal-0")
    broken = ResultsStore(tmp_path)
    said: list[str] = []
    part = {"protocols": ("problem",), "references": ("gpt4",), "seeds": (0,)}
    outcome = run(simulated, broken, jobs=2, report=said.append, **part)
    assert {cell.method: error for cell, error in outcome.failed.items()} == {
        "table": "ValueError: no <answer> came",
        "marginal": "its process died twice; is there enough memory? Fewer --jobs need less.",
    }
    assert outcome.done == 3
    assert set(broken.failures()) == {str(cell) for cell in outcome.failed}
    assert any(text.startswith("5 of 5 cells, 0 s left") for text in said)
    monkeypatch.delenv("SIMULATED_RAISES")
    monkeypatch.delenv("SIMULATED_DIES")
    again = run(simulated, broken, **part)
    assert (again.done, again.skipped, again.failed) == (2, 3, {})
    assert broken.failures() == {}
    whole = store.read(protocol="problem")
    mine = whole[(whole["seed"] == 0) & whole["references"].isin(["", "gpt4"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(broken.read(), mine)


def test_quick_is_a_part_of_the_full_run(simulated, tmp_path):
    store = ResultsStore(tmp_path)
    assert run(simulated, store, quick=True).done == len(simulated.quick_cells()) == 5
    assert run(simulated, store, quick=True, seeds=(0, 1)).skipped == 5
    assert run(simulated, store).skipped == 10


def test_time_left_is_each_methods_mean_time_over_the_processes(simulated, tmp_path, monkeypatch):
    from crowdpyro.studies import runner

    ticks = iter([0.0, 100.0, 100.0, 300.0, 300.0, 310.0])
    monkeypatch.setattr(runner, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    said: list[str] = []
    part = {"protocols": ("problem",), "references": ("gpt4",), "seeds": (0, 1)}
    store = ResultsStore(tmp_path)
    run(simulated, store, report=said.append, methods=("crowd", "marginal"), **part | {"seeds": (0,)})
    # The second method is not known yet, and is taken for like the first.
    assert [text.split(" left")[0] for text in said] == ["1 of 2 cells, 2 min", "2 of 2 cells, 0 s"]
    run(simulated, store, report=said.append, methods=("crowd",), **part)
    assert said[-1].startswith("2 of 2 cells, 0 s left; simulated, problem, gpt4, crowd, seed 1")


def test_results_of_other_data_or_another_revision_are_refused(simulated, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").write_text("1")
    study = replace(simulated, files=("a.csv",))
    store = ResultsStore(tmp_path / "out")
    run(study, store, quick=True, data=data)
    assert run(study, store, quick=True, data=data).skipped == 5
    with pytest.raises(DataError, match="revision 1, not 2"):
        run(replace(study, revision=2), store, data=data)
    (data / "a.csv").write_text("2")
    with pytest.raises(DataError, match="of files with digests"):
        run(study, store, data=data)


def test_cells_without_their_origin_are_not_gone_on_with(simulated, tmp_path):
    store = ResultsStore(tmp_path)
    run(simulated, store, protocols=("problem",), methods=("marginal",), seeds=(0,), report=lambda text: None)
    (tmp_path / "study.json").unlink()
    with pytest.raises(DataError, match=r"holds cells, and no study\.json"):
        run(simulated, store, protocols=("problem",), methods=("marginal",), seeds=(1,), report=lambda text: None)


def test_data_that_cannot_be_read_end_the_run_and_leave_nothing(simulated, tmp_path):
    store = ResultsStore(tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        run(simulated, store, data=tmp_path / "nowhere")
    assert not store.folder.exists()
    with pytest.raises(DataError, match="holds no results"):
        store.read()


@pytest.mark.parametrize(
    ("part", "message"),
    [({"methods": ("tabel",)}, "Did you mean 'table'"), ({"seeds": (-1,)}, "seed=-1"), ({"jobs": 0}, "jobs=0")],
)
def test_bad_arguments_are_named(simulated, tmp_path, part, message):
    with pytest.raises(DataError, match=message):
        run(simulated, ResultsStore(tmp_path), **part)


def test_the_callers_random_state_and_threads_stay(simulated, tmp_path):
    import torch

    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    run(simulated, ResultsStore(tmp_path), quick=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
