"""Every reader of a file from outside, as a function of bytes; and valid files for each, from which bad ones are made.

A reader returns, or raises one of the named exceptions; anything else is a finding. Pytest, `run.py` and
`coverage_guided.py` share them.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

from crowdpyro import (
    Ballot,
    Categorical,
    Continuous,
    Crowd,
    CrowdData,
    CrowdLLM,
    CrowdPyroError,
    FitConfig,
    Ordinal,
    References,
    parse_scale,
)

SCALES = (
    Ordinal.range(1, 5),
    Categorical(("yes", "no", "None")),
    Continuous(0, 100),
    Continuous(),
    Ballot(("A", "B", "C"), "approval"),
    Ballot(("A", "B", "C"), "rank", 2),
    Ballot(("A", "B", "C"), "points", 10),
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
    path = _folder() / name
    path.write_bytes(content)
    return path


@functools.cache
def _folder() -> Path:
    """One folder for all; files are written over."""
    place = tempfile.TemporaryDirectory(prefix="crowdpyro-fuzz-")
    _KEPT.append(place)
    return Path(place.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
PROBLEMS = pd.DataFrame({"problem": ["a", "b"], "text": ["one", "two"]})


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
        (_folder() / name).unlink(missing_ok=True)
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

    folder = _folder() / "generator"
    folder.mkdir(exist_ok=True)
    (folder / "profiles.json").write_bytes(content)
    (folder / "profiles.safetensors").write_bytes(valid_generator()[1])
    return LearnedProfiles.load(folder).draw(3, seed=0)


def read_store(content: bytes) -> object:
    """The metadata of one array or group of a store; the first byte says of which."""
    store = valid_store()
    names = sorted(store)
    chosen = [name for name in names if name.endswith("zarr.json")]
    name = chosen[content[0] % len(chosen)] if content else chosen[0]
    folder = _folder() / "crowd.zarr"
    shutil.rmtree(folder, ignore_errors=True)
    for path, held in store.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[1:] if path == name else held)
    crowd = Crowd.open(folder)
    return crowd.counts(), crowd.problems, repr(crowd)


READERS: dict[str, Callable[[bytes], object]] = {
    name.removeprefix("read_"): function
    for name, function in list(globals().items())
    if name.startswith("read_") and callable(function)
}


def _load(described: dict[str, Any], arrays: bytes) -> object:
    return _load_text(json.dumps(described).encode(), arrays)


def _load_text(text: bytes, arrays: bytes) -> object:
    folder = _folder() / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_bytes(text)
    (folder / "model.safetensors").write_bytes(arrays)
    model = CrowdLLM.load(folder)
    # What was let in can be used.
    return model.generate(3, seed=0).to_frame()


# -- valid files -------------------------------------------------------------------------------------------------


@functools.cache
def _model() -> tuple[str, bytes]:
    rng = np.random.default_rng(0)
    person, problem = np.indices((12, 4)).reshape(2, -1)
    data = CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": rng.integers(1, 6, len(person))}),
        pd.DataFrame({"problem": range(4), "text": [f"statement {k}" for k in range(4)]}),
        pd.DataFrame({"participant": range(12), "group": ["u", "v"] * 6, "age": rng.integers(18, 80, 12)}),
        scale=SCALES[0],
    )
    training = FitConfig(epochs=1, margin_steps=0)
    model = CrowdLLM(n_components=2, text_encoder="tfidf", n_eps=1, n_hidden=4, training=training, progress=False)
    folder = model.fit(data, seed=0).save(_folder() / "fitted")
    return (folder / "model.json").read_text(encoding="utf-8"), (folder / "model.safetensors").read_bytes()


def valid_model() -> tuple[dict[str, Any], bytes]:
    """Description and arrays of a fitted model."""
    text, arrays = _model()
    return json.loads(text), arrays


@functools.cache
def valid_generator() -> tuple[bytes, bytes]:
    """Description and arrays of a learned generator of profiles."""
    from crowdpyro.inference.profile_training import ProfileFitConfig
    from crowdpyro.recruitment.learned import LearnedProfiles

    rng = np.random.default_rng(0)
    people = pd.DataFrame({"group": ["u", "v"] * 20, "age": rng.integers(18, 80, 40), "place": "here"})
    people["education"] = pd.Categorical(rng.choice(["a", "b", "c"], 40), ordered=True)
    learned = LearnedProfiles.fit(people, config=ProfileFitConfig(n_classes=(2,), num_steps=3), seed=0)
    folder = learned.save(_folder() / "learned")
    return (folder / "profiles.json").read_bytes(), (folder / "profiles.safetensors").read_bytes()


@functools.cache
def valid_store() -> dict[str, bytes]:
    """Files of a crowd's store, by place."""
    described, arrays = valid_model()
    folder = _folder() / "stored"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(arrays)
    path = folder / "crowd.zarr"
    CrowdLLM.load(folder).generate(5, seed=0, path=path)
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def _netcdf() -> bytes:
    crowd = Crowd.from_matrix(
        [[0, 1], [2, np.nan]],
        scale=SCALES[0],
        problems=PROBLEMS.set_index("problem"),
        participants=pd.DataFrame({"group": ["u", "v"]}, index=["p", "q"]),
        weights=[1.0, 3.0],
    )
    return crowd.to_netcdf(_folder() / "valid.nc").read_bytes()


def _newer(content: bytes) -> bytes:
    """The same crowd in HDF5's newest form."""
    import h5py

    out = io.BytesIO()
    with h5py.File(io.BytesIO(content), "r") as old, h5py.File(out, "w", libver="latest") as new:
        new.attrs.update(old.attrs)
        for name in old:
            new.create_dataset(name, data=old[name][()], dtype=old[name].dtype)
    return out.getvalue()


def _cache() -> bytes:
    from crowdpyro.llm.cache_file import Asker, CacheFile

    path = _folder() / "valid.sqlite"
    CacheFile(path).keep(Asker("llm", "1", "float32"), "score", {b"key": b"value", b"other": b"more"})
    return path.read_bytes()


def _checkpoint() -> bytes:
    import torch
    from safetensors.torch import save

    numbers = {"stage": "margins", "history": {"loss": [1.0], "score": [], "best_epoch": 0, "margins": []}}
    metadata = {"numbers": json.dumps(numbers), "made_from": json.dumps({"seed": "1"})}
    return save({"model.weight": torch.ones(2), "random.cpu": torch.get_rng_state()}, metadata)


def _parquet() -> bytes:
    return pd.DataFrame({"problem": ["a", "b"], "age": [1, 2]}).to_parquet(None)


@functools.cache
def valid() -> dict[str, tuple[bytes, ...]]:
    """Files that each reader reads."""
    table = b"problem,participant,response\na,p,%s\nb,p,%s\n"
    answers = [(b"1", b"5"), (b"yes", b"None"), (b"0.5", b"99"), (b"-1", b"1e9"), (b"A|C", b"none"), (b"B|A", b"C|A"),
               (b"A=3|C=7", b"B=10")]  # fmt: skip
    draws = b"problem,model,answer\na,m,%s\nb,m,%s\n"
    described, arrays = valid_model()
    store = valid_store()
    found = {
        "csv": (b"problem,text\na,one\n", b"sep=;\nproblem;x\na;1,5\n", "problem\ttext\nä\tö\n".encode("utf-16")),
        "gz": (gzip.compress(b"problem,text\na,one\n", mtime=0),),
        "parquet": (_parquet(),),
        "people": (b"participant,age,group,weight\np,20,u,1\nq,30,v,2\n",),
        "problems": (b"problem,text,cost\na,one,1\nb,two,2\n",),
        "answers": tuple(bytes([k]) + table % pair for k, pair in enumerate(answers)),
        "references": (
            b"\0problem,model,p_1,p_2,p_3,p_4,p_5\na,m,.2,.2,.2,.2,.2\nb,m,0,0,0,0,1\n",
            *(bytes([k]) + draws % pair for k, pair in enumerate(answers[:4])),
        ),
        "margins": (b"trait,level,share\ngender,woman,.5\ngender,man,.5\n",),
        "scale": (b"1:5", b"continuous:0:100", b"yes,no", b"rank:2:A,B,C", b"points:10:A,B", b"approval:A,B,C"),
        "filter": (b"age >= 60 and gender in ['woman', 'man'] or not `years here` < 2",),
        "pb": (
            b"META\nkey;value\nbudget;100\nvote_type;cumulative\nmax_sum_points;10\nPROJECTS\nproject_id;cost\n1;10\n"
            b"2;20\nVOTES\nvoter_id;vote;points\nv;1,2;7,3\n",
        ),
        "options": (
            b"responses: a.csv\nproblems: b.csv\nscale: 1:5\nseed: 1\nmodel: {n_eps: 3}\ntraining: {lr: .1}\n",
        ),
        "prompt": (b"template: '{persona}{question} {text} {options}'\ndescription: |\n  How much?\n",),
        "crowd": (_netcdf(), _newer(_netcdf())),
        "cache": (_cache(),),
        "checkpoint": (_checkpoint(),),
        "arrays": (arrays,),
        "generator": (valid_generator()[0],),
        "description": (json.dumps(described).encode(),),
        "store": tuple(
            bytes([place]) + store[name]
            for place, name in enumerate(name for name in sorted(store) if name.endswith("zarr.json"))
        ),
    }
    assert found.keys() == READERS.keys()
    return found


# -- bad files ---------------------------------------------------------------------------------------------------

HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 3, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "0", "x", "\0",
    "../../x", "/etc/passwd", "'; DROP TABLE answers; --", "\u202e", "x" * 5000, [], [[]], {}, {"": None}, [None],
    [1, "a"], {"kind": "ordinal"},
)  # fmt: skip


def changed(tree: Any, choose: Callable[[int], int]) -> Any:
    """A JSON tree with one node replaced, removed or doubled; `choose(n)` gives a number below n."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(tree)
    if not places:
        return HOSTILE[choose(len(HOSTILE))]
    node, key = places[choose(len(places))]
    what = choose(len(HOSTILE) + 3)
    if what < len(HOSTILE):
        node[key] = HOSTILE[what]
    elif what == len(HOSTILE):
        del node[key]
    elif isinstance(node, list):
        node.insert(key, node[key])
    else:
        node[f"{key}_"] = node.pop(key)
    return tree


def damaged(content: bytes, choose: Callable[[int], int]) -> bytes:
    """Bytes cut off, flipped, doubled or overwritten at a few places."""
    raw = bytearray(content)
    for _ in range(1 + choose(4)):
        at = choose(len(raw) + 1)
        match choose(5):
            case 0:
                del raw[at:]
            case 1 if at < len(raw):
                raw[at] ^= 1 << choose(8)
            case 2:
                raw[at : at + 1 + choose(8)] = bytes(choose(256) for _ in range(choose(8)))
            case 3:
                raw[at:at] = raw[: choose(64)]
            case _:
                del raw[at : at + 1 + choose(16)]
    return bytes(raw)


def mutated(name: str, choose: Callable[[int], int]) -> bytes:
    """A bad file of a reader: JSON changed as JSON, arrays as arrays, anything else as bytes."""
    known = valid()[name]
    content = known[choose(len(known))]
    if name in ("description", "generator", "store") and choose(4):
        first = content[:1] if name == "store" else b""
        return first + json.dumps(changed(json.loads(content[len(first) :]), choose)).encode()
    if name == "arrays" and choose(4):
        return _array_changed(content, choose)
    if name == "gz" and choose(2):
        return gzip.compress(damaged(gzip.decompress(content), choose), mtime=0)
    return damaged(content, choose)


def _array_changed(content: bytes, choose: Callable[[int], int]) -> bytes:
    """One array of another shape, type or value, or none."""
    from safetensors.numpy import load, save

    arrays = load(content)
    name = sorted(arrays)[choose(len(arrays))]
    array = arrays[name]
    match choose(6):
        case 0:
            del arrays[name]
        case 1:
            arrays[name] = array.reshape(-1)[: choose(array.size + 1)]
        case 2:
            arrays[name] = np.full_like(array, np.nan if array.dtype.kind == "f" else 0)
        case 3:
            arrays[name] = np.zeros((choose(4),) * choose(4), dtype=array.dtype)
        case 4:
            arrays[name] = array.astype(("float16", "int64", "bool", "float64")[choose(4)])
        case _:
            arrays[name] = array[None]
    return save({each: np.ascontiguousarray(value) for each, value in arrays.items()})


def parquet_of(frame: pd.DataFrame) -> bytes:
    """A frame as the bytes of a Parquet file."""
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()
