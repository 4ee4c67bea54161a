"""Valid files of each reader, made once a process."""

from __future__ import annotations

import functools
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdpyro import Ballot, Categorical, Continuous, Crowd, CrowdData, CrowdLLM, FitConfig, Ordinal

SCALES = (
    Ordinal.range(1, 5),
    Categorical(("yes", "no", "None")),
    Continuous(0, 100),
    Continuous(),
    Ballot(("A", "B", "C"), "approval"),
    Ballot(("A", "B", "C"), "rank", 2),
    Ballot(("A", "B", "C"), "points", 10),
)


@functools.cache
def scratch() -> Path:
    """One folder for all; files are written over."""
    place = tempfile.TemporaryDirectory(prefix="crowdpyro-fuzz-")
    _KEPT.append(place)
    return Path(place.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
PROBLEMS = pd.DataFrame({"problem": ["a", "b"], "text": ["one", "two"]})


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
    folder = model.fit(data, seed=0).save(scratch() / "fitted")
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
    folder = learned.save(scratch() / "learned")
    return (folder / "profiles.json").read_bytes(), (folder / "profiles.safetensors").read_bytes()


@functools.cache
def valid_store() -> dict[str, bytes]:
    """Files of a crowd's store, by place."""
    described, arrays = valid_model()
    folder = scratch() / "stored"
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
    return crowd.to_netcdf(scratch() / "valid.nc").read_bytes()


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

    path = scratch() / "valid.sqlite"
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
    return {
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
        "store": tuple(bytes([place]) + store[name] for place, name in enumerate(sorted(store))),
    }
