"""Stores through kills, full disks and damage: what is done stays, what is not is said."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from crowdpyro import Crowd, DataError, ModelError

N, PROBLEMS, HOW = 60_000, range(64), {"seed": 7, "memory": "18 MB"}  # 15 blocks

MOUNT = shutil.which("mount")
KILLED = """
import sys
from crowdpyro import CrowdLLM
CrowdLLM.load(sys.argv[1]).generate({N}, range(64), seed=7, memory="18 MB", path=sys.argv[2])
"""


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    return model.generate(N, PROBLEMS, path=tmp_path_factory.mktemp("whole") / "crowd.zarr", **HOW)


def blocks(path):
    """Files of blocks that are done; a killed process may leave a half beside them."""
    return [file for file in Path(path).glob("response/c/*/*") if file.name.isdecimal()]


def done(path):
    return len(blocks(path))


def test_a_run_that_is_killed_twice_ends_in_the_same_bytes(model, folder, whole, digest, tmp_path):
    path = tmp_path / "crowd.zarr"
    counts = []
    for wanted in (2, 6):
        process = subprocess.Popen([sys.executable, "-c", KILLED.format(N=N), folder, path])
        while done(path) < wanted:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts.append(done(path))
    assert wanted <= counts[1] < 15
    with pytest.raises(DataError, match=f"lacks {15 - counts[1]} of 15 blocks; the call that began it goes on"):
        Crowd.open(path)
    before = {file: file.stat().st_mtime_ns for file in blocks(path)}
    (path / "response" / "c" / "0" / "0.dead.partial").write_bytes(b"half")
    model.generate(N, PROBLEMS, path=path, **HOW)
    assert digest(path) == digest(whole.path)
    # Blocks that were done were not computed again.
    assert all(file.stat().st_mtime_ns == time_before for file, time_before in before.items())


def test_a_full_disk_is_named_and_the_run_goes_on(model, whole, digest, tmp_path):
    if MOUNT is None:
        pytest.skip("a small disk cannot be mounted here: there is no `mount`")
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=600k", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(
            OSError, match=r"store '.*crowd.zarr' cannot be written \(No space left on device\); make ro"
        ):
            model.generate(N, PROBLEMS, path=path / "crowd.zarr", **HOW)
        some = done(path / "crowd.zarr")
        assert 0 < some < 15
        subprocess.run([MOUNT, "-o", "remount,size=20m", path], check=True)
        model.generate(N, PROBLEMS, path=path / "crowd.zarr", **HOW)
        assert digest(path / "crowd.zarr") == digest(whole.path)
    finally:
        subprocess.run([f"{MOUNT[:-5]}umount", path], check=True)


def test_an_error_of_the_disk_leaves_no_half_block(model, whole, digest, tmp_path, monkeypatch):
    import zarr.storage._local as local

    path, put = tmp_path / "crowd.zarr", local._put

    def fails(file, value, *args, **how):
        if file.parts[-4:-2] == ("response", "c") and file.parts[-2] == "4":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return put(file, value, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(local, "_put", fails)
        with pytest.raises(OSError, match="make room, and the same call goes on"):
            model.generate(N, PROBLEMS, path=path, **HOW)
    assert done(path) == 4
    # As a power cut leaves a file that was renamed before it was written.
    (path / "response" / "c" / "2" / "0").write_bytes(b"")
    with pytest.raises(DataError, match="lacks 12 of 15 blocks"):
        Crowd.open(path)
    model.generate(N, PROBLEMS, path=path, **HOW)
    assert digest(path) == digest(whole.path)


def test_a_store_of_another_crowd_is_refused_and_named(model, people, fitted, whole):
    for change, message in (
        ({"seed": 8}, "seed was 7, is 8"),
        ({"participants": N + 1}, "participants was 60000, is 60001"),
        ({"problems": range(63)}, "problems changed"),
        ({"decision": "expected"}, "decision was draw, is expected"),
        ({"participation": 0.5}, "participation was None, is 0.5"),
    ):
        how = {"participants": N, "problems": PROBLEMS, "seed": 7, "path": whole.path} | change
        with pytest.raises(ModelError, match=f"belongs to another crowd: {message}"):
            model.generate(**how)
    other = fitted(people(), n_eps=1)
    with pytest.raises(ModelError, match="another crowd: model changed"):
        other.generate(N, PROBLEMS, seed=7, path=whole.path)


def test_what_is_no_store_is_refused(model, tmp_path, whole):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("file", "empty"):
        with pytest.raises(DataError, match=f"path '.*{name}' is no store of a crowd"):
            model.generate(10, path=tmp_path / name)
    with pytest.raises(DataError, match="is no store of a crowd"):
        Crowd.open(tmp_path / "empty")
    with pytest.raises(DataError, match="does not exist"):
        Crowd.open(tmp_path / "absent.zarr")


def test_damage_is_named_wherever_it_is_read(tmp_path, whole):
    copy = shutil.copytree(whole.path, tmp_path / "damaged.zarr")
    trait = min(each.name for each in copy.glob("profile_*"))
    for name, block in (("response", "3/0"), (trait, "2")):
        chunk = copy / name / "c" / block
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 1
        chunk.write_bytes(content if name == "response" else b"\0")
    crowd = Crowd.open(copy)
    with pytest.raises(DataError, match="answers of people 12288 to 16383 are damaged"):
        crowd.counts()
    for part in (13_000, [13_000, 13_001]):
        with pytest.raises(DataError, match="answers of people 12288 to 16383 are damaged"):
            crowd.dataset["response"][part].compute()
    with pytest.raises(DataError, match=f"{trait} of people 8192 to 12287 are damaged"):
        crowd.dataset[trait].compute()


def test_an_unwritable_place_is_named(model, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="cannot be written"):
        model.generate(10, path=tmp_path / "file" / "crowd.zarr")


def test_a_reloaded_model_goes_on(model, folder, whole, digest, tmp_path):
    from crowdpyro import CrowdLLM

    path = tmp_path / "crowd.zarr"
    shutil.copytree(whole.path, path)
    for block in (1, 7):
        (path / "response" / "c" / str(block) / "0").unlink()
    # With more memory its blocks would be larger; those of the store stay.
    again = CrowdLLM.load(folder).generate(N, PROBLEMS, path=path, seed=7)
    assert digest(path) == digest(whole.path)
    assert again.counts().sum() == N * len(PROBLEMS)
    np.testing.assert_array_equal(again.problems, whole.problems)
