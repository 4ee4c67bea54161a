"""Two worker processes: the same bytes as one, through the loss of a worker; an LLM's replica in each."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Crowd, DataError, ModelError, Ordinal
from crowdpyro.scale import connected, needed
from crowdpyro.scale.referring import refer_on

# The workers cannot import tests.
pytest.importorskip("cloudpickle").register_pickle_by_value(sys.modules[__name__])
N = 60_000


def test_a_lost_worker_leaves_no_trace(model, client, digest, tmp_path):
    how = {"participants": N, "problems": range(64), "seed": 7, "memory": "18 MB"}
    alone = model.generate(**how, path=tmp_path / "alone.zarr")
    path = tmp_path / "crowd.zarr"
    before = set(client.run(os.getpid).values())

    def kill():
        while len(list(path.glob("response/c/*/*"))) < 2:
            time.sleep(0.001)
        os.kill(min(before), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    crowd = model.generate(**how, path=path, client=client)
    killer.join()
    assert digest(path) == digest(alone.path)
    client.wait_for_workers(2, timeout=60)
    assert set(client.run(os.getpid).values()) != before
    # The cluster sums up as well, in the same order.
    np.testing.assert_array_equal(crowd.counts(), alone.counts())


@pytest.mark.usefixtures("client")
def test_a_crowd_becomes_a_file_while_a_client_is_about(model, tmp_path):
    crowd = model.generate(20, range(3), seed=0)
    assert Crowd.open(crowd.to_netcdf(tmp_path / "crowd.nc")).dataset.identical(crowd.dataset)


class Failing:
    """Fails at one part, in a worker."""

    def __call__(self, part):
        if part == 3:
            raise OSError(28, "No space left on device")
        return os.getpid(), part


def test_errors_come_back_and_both_workers_work(client):
    from crowdpyro.scale.cluster import mapped

    with pytest.raises(OSError, match="No space left"):
        list(mapped(client, Failing(), range(20)))
    found = list(mapped(client, Failing(), range(4, 60)))
    assert [part for part, _ in found] == [part for _, (_, part) in found] == list(range(4, 60))
    assert len({pid for _, (pid, _) in found}) == 2


class Replica:
    """A backbone that says which process it was loaded in, by the digits of its number."""

    def __init__(self, name, notes):
        self.name, self.revision, self.made = name, "1", f"{os.getpid()}"
        with Path(notes).open("a") as file:
            file.write(f"{os.getpid()}\n")

    def refer(self, problems, scale, *, persona="", seed=0):
        import warnings

        from crowdpyro.references import References, ReferenceSource

        warnings.warn("of little use", UserWarning, stacklevel=2)
        values = np.zeros((len(problems), 1, scale.n_levels))
        codes = problems["text"].str.extract(r"(\d+)")[0].astype(int).to_numpy() % scale.n_levels
        values[np.arange(len(problems)), 0, codes] = 1.0
        texts = pd.DataFrame({"problem": problems.index, "seed": seed})
        source = ReferenceSource(self.name, self.revision, persona, 1.0, problems.index, ("",), values)
        return References(scale, (source,), (f"of {len(problems)}",), texts)


def test_references_come_in_order_from_one_replica_a_worker(client, tmp_path):
    notes = tmp_path / "notes"
    problems = pd.DataFrame({"problem": [f"p{k}" for k in range(300)], "text": [f"number {k}" for k in range(300)]})
    with pytest.warns(UserWarning, match="of little use") as caught:
        found = refer_on(client, partial(Replica, "r", notes), problems, Ordinal.range(1, 5), persona="x", seed=3)
    assert len(caught) == 1
    loaded = notes.read_text().split()
    assert len(set(loaded)) == len(loaded) <= 2
    np.testing.assert_array_equal(found.expected(), np.arange(300) % 5 + 1)
    assert list(found.problems) == list(problems["problem"])
    assert found.report == ("of 64", "of 44")
    assert found.sources[0].prompt == "x"
    # A block draws from a seed of its own, whoever draws.
    assert found.texts.groupby("seed").size().tolist().count(64) == 4
    again = refer_on_quietly(client, notes, problems)
    pd.testing.assert_frame_equal(again.texts, found.texts)


def refer_on_quietly(client, notes, problems):
    with pytest.warns(UserWarning, match="of little use"):
        return refer_on(client, partial(Replica, "r", notes), problems, Ordinal.range(1, 5), persona="x", seed=3)


def test_the_command_line_reaches_a_scheduler(model, folder, client, tmp_path, digest):
    from typer.testing import CliRunner

    from crowdpyro.cli import app

    words = ["generate", str(folder), "--participants", "5000", "--seed", "3", "--store", str(tmp_path / "crowd.zarr")]
    run = CliRunner().invoke(app, [*words, "--scheduler", client.scheduler.address], catch_exceptions=False)
    assert "wrote 5,000 synthetic participants x 150 problems" in run.output
    alone = model.generate(5000, seed=3, path=tmp_path / "alone.zarr")
    assert digest(tmp_path / "crowd.zarr") == digest(alone.path)
    assert Crowd.open(tmp_path / "crowd.zarr").n_participants == 5000
    for more, message in (
        (["--out", str(tmp_path / "crowd.csv")], "give --out, a file, or --store"),
        (["--memory", "1 MB"], "give at least that"),
    ):
        with pytest.raises(DataError, match=message):
            CliRunner().invoke(app, words + more, catch_exceptions=False)


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    import distributed

    def refused(address, timeout):
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "Client", refused)
    with (
        pytest.raises(DataError, match=r"scheduler='tcp://nowhere:1' does not answer \(Timed out"),
        connected("tcp://nowhere:1"),
    ):
        pass


def test_a_cluster_without_workers_is_named():
    from crowdpyro.scale.cluster import mapped

    class Empty:
        def nthreads(self):
            return {}

    with pytest.raises(ModelError, match="has no workers; start some"):
        next(mapped(Empty(), Failing(), range(3)))


def test_without_the_extra_the_error_says_how_to_install_it():
    with pytest.raises(
        DataError, match=r"not_there is needed for stores and clusters; pip install 'crowdpyro\[scale\]'"
    ):
        needed("not_there.at_all")
