"""Every reader of a file from outside, as a function of bytes.

A reader returns, or raises one of the named exceptions; anything else is a finding. Pytest and
`coverage_guided.py` share them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
from valid_files import PROBLEMS, SCALES, scratch, valid_generator, valid_model, valid_store

from crowdpyro import (
    Crowd,
    CrowdData,
    CrowdLLM,
    CrowdPyroError,
    References,
    parse_scale,
)

# An example takes milliseconds; on a loaded machine a hundred times that.
SECONDS = 20.0


class HangError(BaseException):
    """A reader that does not come back; no `OSError`, as a TimeoutError would be."""


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `HangError` in the block when it takes longer."""

    def late(number: int, frame: FrameType | None) -> None:
        raise HangError(f"no answer in {seconds:g} s")

    if not seconds:
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def named(
    reader: Callable[[bytes], object], content: bytes, seconds: float = SECONDS
) -> CrowdPyroError | OSError | None:
    """The named error that a reader raised; None when it read. What is not named comes through.

    No clock runs with `seconds=0`: libFuzzer has one of its own, on the same signal.
    """
    try:
        with in_time(seconds):
            reader(content)
    except (CrowdPyroError, OSError) as error:
        return error
    return None


def _written(name: str, content: bytes) -> Path:
    path = scratch() / name
    path.write_bytes(content)
    return path


def _scale(content: bytes) -> tuple[Any, bytes]:
    """The first byte says on which scale the rest is read."""
    return SCALES[content[0] % len(SCALES) if content else 0], content[1:]


def read_csv(content: bytes) -> object:
    from crowdpyro.tables import read_table

    return read_table(_written("table.csv", content), ("None",))


def read_gz(content: bytes) -> object:
    from crowdpyro.tables import read_table

    return read_table(_written("table.csv.gz", content))


def read_parquet(content: bytes) -> object:
    from crowdpyro.tables import read_table

    return read_table(_written("table.parquet", content))


def read_people(content: bytes) -> object:
    from crowdpyro.data import read_participants

    return read_participants(_written("people.csv", content))


def read_problems(content: bytes) -> object:
    from crowdpyro.data import read_problems as read

    return read(_written("problems.csv", content))


def read_answers(content: bytes) -> object:
    scale, rest = _scale(content)
    problems = _written("asked.csv", PROBLEMS.to_csv(index=False).encode())
    data = CrowdData.read(_written("answers.csv", rest), problems, scale=scale)
    return Crowd.from_data(data).to_frame()


def read_references(content: bytes) -> object:
    scale, rest = _scale(content)
    return References.read(_written("references.csv", rest), scale=scale).fill("mean").to_frame()


def read_margins(content: bytes) -> object:
    from crowdpyro.recruitment import Margins

    return Margins.read(_written("margins.csv", content))


def read_scale(content: bytes) -> object:
    from crowdpyro.models.scales import scale_from_dict, scale_to_dict

    scale = parse_scale(content.decode("utf-8", "replace"))
    assert scale_from_dict(json.loads(json.dumps(scale_to_dict(scale)))) == scale
    return scale


def read_filter(content: bytes) -> object:
    from crowdpyro.recruitment.filters import Filter

    frame = pd.DataFrame({"age": [20, 60, 33], "gender": ["woman", "man", None], "years here": [1.5, np.nan, 3.0]})
    return Filter(content.decode("utf-8", "replace")).mask(frame)


def read_pb(content: bytes) -> object:
    from crowdpyro.voting.pabulib import read_pb as read

    election = read(_written("election.pb", content))
    return election.scale(), election.budget, election.costs, election.picks()


def read_options(content: bytes) -> object:
    from crowdpyro.runs.options import RunOptions, read_yaml

    return RunOptions.of(read_yaml(_written("run.yaml", content)))


def read_prompt(content: bytes) -> object:
    from crowdpyro.llm.prompts import Prompt

    return Prompt.read(_written("prompt.yaml", content)).flat


def read_crowd(content: bytes) -> object:
    crowd = Crowd.open(_written("crowd.nc", content))
    return crowd.to_frame(), repr(crowd)


def read_cache(content: bytes) -> object:
    from crowdpyro.llm.cache_file import CacheFile

    for name in ("cache.sqlite-wal", "cache.sqlite-shm"):
        (scratch() / name).unlink(missing_ok=True)
    cache = CacheFile(_written("cache.sqlite", content), patience=0.2)
    return cache.holdings(), cache.find([b"key", b"other"])


def read_checkpoint(content: bytes) -> object:
    from crowdpyro.checkpoint import Checkpoint

    checkpoint = Checkpoint(_written("fit.checkpoint", content))
    checkpoint.made_from = {"seed": "1"}
    return checkpoint.restore()


def read_arrays(content: bytes) -> object:
    """`model.safetensors` beside a description that fits it."""
    described = valid_model()[0]
    described["arrays"] = hashlib.sha256(content).hexdigest()
    return _load(described, content)


def read_description(content: bytes) -> object:
    """`model.json` beside the arrays of a valid model."""
    return _load_text(content, valid_model()[1])


def read_generator(content: bytes) -> object:
    """`profiles.json` beside the arrays of a valid generator of profiles."""
    from crowdpyro.recruitment.learned import LearnedProfiles

    folder = scratch() / "generator"
    folder.mkdir(exist_ok=True)
    (folder / "profiles.json").write_bytes(content)
    (folder / "profiles.safetensors").write_bytes(valid_generator()[1])
    return LearnedProfiles.load(folder).draw(3, seed=0)


def read_store(content: bytes) -> object:
    """One file of a store, metadata or a chunk; the first byte says which."""
    store = valid_store()
    changed = sorted(store)[content[0] % len(store) if content else 0]
    folder = scratch() / "crowd.zarr"
    shutil.rmtree(folder, ignore_errors=True)
    for path, held in store.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[1:] if path == changed else held)
    crowd = Crowd.open(folder)
    return crowd.counts(), crowd.problems, repr(crowd), crowd.to_frame()


READERS: dict[str, Callable[[bytes], object]] = {
    name.removeprefix("read_"): function
    for name, function in list(globals().items())
    if name.startswith("read_") and callable(function)
}


def _load(described: dict[str, Any], arrays: bytes) -> object:
    return _load_text(json.dumps(described).encode(), arrays)


def _load_text(text: bytes, arrays: bytes) -> object:
    folder = scratch() / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_bytes(text)
    (folder / "model.safetensors").write_bytes(arrays)
    model = CrowdLLM.load(folder)
    # What was let in can be used.
    return model.generate(3, seed=0).to_frame()
