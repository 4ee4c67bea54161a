"""What a stranger hands over runs nothing: a canary file that a payload would make is looked for after each reading."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load as unpacked
from safetensors.numpy import save as packed

from crowdpyro import (
    Crowd,
    CrowdData,
    CrowdLLM,
    CrowdPyroError,
    DataError,
    FitConfig,
    FrozenLLM,
    ModelError,
    Ordinal,
    References,
)
from crowdpyro.checkpoint import Checkpoint
from crowdpyro.encoders import SentenceEncoder
from crowdpyro.llm.cache_file import CacheFile
from crowdpyro.llm.prompts import Prompt
from crowdpyro.recruitment.learned import LearnedProfiles
from crowdpyro.runs.folder import read_options
from crowdpyro.studies.store import ResultsStore
from crowdpyro.tables import read_table

SCALE = Ordinal.range(1, 5)


class Payload:
    """Unpickled, it makes the file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def canary(tmp_path):
    """A file that must not be there in the end."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def payload(canary):
    return pickle.dumps(Payload(canary))


def test_the_payload_works(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))  # noqa: S301 - that is what others do
    assert (tmp_path / "canary").exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    rng = np.random.default_rng(0)
    person, problem = np.indices((12, 4)).reshape(2, -1)
    data = CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": rng.integers(1, 6, len(person))}),
        pd.DataFrame({"problem": range(4), "text": [f"statement {k}" for k in range(4)]}),
        pd.DataFrame({"participant": range(12), "group": ["u", "v"] * 6}),
        scale=SCALE,
    )
    training = FitConfig(epochs=1, margin_steps=0)
    model = CrowdLLM(n_components=2, text_encoder="tfidf", n_eps=1, n_hidden=4, training=training, progress=False)
    return model.fit(data, seed=0).save(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def replaced(folder: Path, described: dict[str, object], arrays: bytes | None = None) -> None:
    """Write a changed description, and arrays that it says are its own."""
    found = json.loads((folder / "model.json").read_text()) | described
    if arrays is not None:
        (folder / "model.safetensors").write_bytes(arrays)
        found["arrays"] = hashlib.sha256(arrays).hexdigest()
    (folder / "model.json").write_text(json.dumps(found))


def test_a_pickle_in_place_of_arrays_or_beside_them_is_not_opened(folder, payload):
    for name in ("model.pkl", "model.pt", "pytorch_model.bin", "data.pkl", "guide.joblib"):
        (folder / name).write_bytes(payload)
    # What lies beside is nobody's.
    assert CrowdLLM.load(folder).generate(3, seed=0).n_participants == 3
    replaced(folder, {}, payload)
    with pytest.raises(ModelError, match="holds no readable model"):
        CrowdLLM.load(folder)
    (folder / "model.json").write_bytes(payload)
    with pytest.raises(ModelError, match="holds no readable model"):
        CrowdLLM.load(folder)


def test_a_torch_checkpoint_in_place_of_arrays_is_not_opened(folder, canary):
    torch.save({"model.weight": Payload(canary)}, folder / "model.safetensors")
    replaced(folder, {}, (folder / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="holds no readable model"):
        CrowdLLM.load(folder)


def test_every_poison_of_arrays_is_named(folder):
    arrays = unpacked((folder / "model.safetensors").read_bytes())
    described = json.loads((folder / "model.json").read_text())
    weight = next(name for name in arrays if name.startswith("model.") and arrays[name].ndim == 2 and arrays[name].size)
    wrong = {
        "NaN": (arrays | {weight: np.full_like(arrays[weight], np.nan)}, f"array '{weight}' .* holds NaN"),
        "wider": (arrays | {weight: np.ones((9, 9), np.float32)}, "size mismatch"),
        "integers": (arrays | {"covariates": arrays["covariates"].astype(np.int64)}, "expected floats"),
        "one problem more": (arrays | {"reference": np.vstack([arrays["reference"]] * 2)}, "array 'reference' is"),
        "none": ({name: value for name, value in arrays.items() if name != weight}, "[Mm]issing"),
        "a path": (
            {f"../../{name}" if name == weight else name: value for name, value in arrays.items()},
            "[Mm]issing",
        ),
    }
    for what, (changed, told) in wrong.items():
        replaced(folder, described, packed({name: np.asarray(each, order="C") for name, each in changed.items()}))
        with pytest.raises(ModelError, match=told):
            CrowdLLM.load(folder)
        assert not list(folder.parent.glob("*.weight")), what
    whole = packed(arrays)
    for cut in (0, 7, len(whole) // 2, len(whole) - 1):
        replaced(folder, described, whole[:cut])
        with pytest.raises(ModelError, match="holds no readable model"):
            CrowdLLM.load(folder)
    replaced(folder, described | {"format": 99}, whole)
    with pytest.raises(ModelError, match="has format 99; this version reads"):
        CrowdLLM.load(folder)


def test_a_description_names_no_file_and_no_code(folder, canary):
    described = json.loads((folder / "model.json").read_text())
    code = f"__import__('os').system('touch {canary}')"
    for changed in (
        {"parts": {"guide": f"os:{code}"}},
        {"parts": {"model": "../../etc/passwd"}},
        {"scale": {"kind": code}},
        {"features": described["features"] | {"text": {"encoder": code}}},
        {"config": described["config"] | {code: 1}},
        {"config": described["config"] | {"guide": code}},
    ):
        replaced(folder, described | changed)
        with pytest.raises(CrowdPyroError):
            CrowdLLM.load(folder)


def test_a_checkpoint_or_profile_generator_is_no_pickle(tmp_path, payload):
    (tmp_path / "fit.checkpoint").write_bytes(payload)
    checkpoint = Checkpoint(tmp_path / "fit.checkpoint")
    checkpoint.made_from = {}
    with pytest.raises(ModelError, match="cannot be read"):
        checkpoint.restore()
    (tmp_path / "profiles.json").write_text('{"format": 1}')
    (tmp_path / "profiles.safetensors").write_bytes(payload)
    with pytest.raises(ModelError, match="holds no readable profile generator"):
        LearnedProfiles.load(tmp_path)


def test_a_cache_runs_no_sql_and_no_pickle(tmp_path, payload, canary):
    path = tmp_path / "cache"
    path.write_bytes(payload)
    with pytest.raises(DataError, match="no cache"):
        CacheFile(path)
    path.unlink()
    CacheFile(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON scorers BEGIN DELETE FROM answers; END")
    connection.close()
    with pytest.raises(DataError, match="other tables than a cache"):
        CacheFile(path).holdings()


def test_an_entry_with_a_right_checksum_is_still_no_answer(tmp_path, payload, tiny):
    problems = pd.DataFrame({"text": ["fine"]}, index=["a"])
    path = tmp_path / "cache"
    tiny.refer(problems, SCALE, prompt="{text}", cache=path)
    for value in (payload, np.full(5, np.nan).tobytes(), np.zeros(4).tobytes(), b"", b"[" * 9**5):
        with sqlite3.connect(path) as connection:
            ((key,),) = connection.execute("SELECT key FROM answers").fetchall()
            checksum = hashlib.sha256(key + value).digest()[:8]
            connection.execute("UPDATE answers SET value = ?, checksum = ?", (value, checksum))
        connection.close()
        with pytest.raises(DataError, match="the entry of problem 'a' is damaged"):
            tiny.refer(problems, SCALE, prompt="{text}", cache=path)


@pytest.fixture(scope="module")
def tiny_network(tmp_path_factory):
    """A language model of a few weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<s>": 0, "fine": 1, **{str(k): k + 1 for k in range(1, 6)}}, unk_token="<s>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="<s>")  # noqa: S106
    config = LlamaConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llm")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tiny_network):
    return FrozenLLM(tiny_network, threads=1)


@pytest.fixture
def network(tiny_network, tmp_path):
    return Path(shutil.copytree(tiny_network, tmp_path / "network"))


def encoder(folder):
    """An encoder of texts, as a model names one."""
    return SentenceEncoder("a stranger's", str(folder), None)


LOADERS = [FrozenLLM, encoder]


@pytest.mark.parametrize("load", LOADERS)
def test_a_network_is_its_weights(load, network, canary):
    (network / "model.safetensors").unlink()
    # Of another protocol, torch warns before it refuses.
    (network / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(canary), protocol=2))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(network)
    torch.save({"lm_head.weight": Payload(canary)}, network / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(network)


@pytest.mark.parametrize("load", LOADERS)
def test_code_beside_a_network_is_not_run(load, network, canary):
    (network / "modeling_evil.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    config = json.loads((network / "config.json").read_text())
    name = {"AutoModelForCausalLM": "modeling_evil.Evil", "AutoModel": "modeling_evil.Evil"}
    for changed in (
        {"auto_map": {**name, "AutoConfig": "modeling_evil.Evil"}, "model_type": "evil"},
        {"attn_implementation": "somebody/kernel"},
        {"_attn_implementation": "somebody/kernel"},
    ):
        (network / "config.json").write_text(json.dumps(config | changed))
        if "auto_map" in changed:
            with pytest.raises(ModelError, match="cannot be loaded"):
                load(network)
            continue
        try:
            load(network)
        except ModelError as error:
            assert "asks for code of the hub" in str(error)  # noqa: PT017 - or it is not asked for at all


def test_a_prompt_reaches_nothing_but_its_fields(tmp_path, tiny):
    (tmp_path / "p.yaml").write_text("template: '{text} {text.__class__.__init__.__globals__} {0}'\n")
    prompt = Prompt.read(tmp_path / "p.yaml")
    assert "{text.__class__.__init__.__globals__}" in prompt.flat


def test_a_store_unpickles_nothing(tmp_path, canary):
    zarr = pytest.importorskip("zarr")
    payload = pickle.dumps(np.array([[Payload(canary)]], dtype=object))
    described = {"shape": [1, 1], "chunks": [1, 1], "dtype": "|O", "compressor": None, "fill_value": 0, "order": "C"}
    for filters in ([{"id": "pickle"}], [{"id": "vlen-utf8"}, {"id": "pickle"}]):
        path = tmp_path / f"{len(filters)}.zarr"
        group = zarr.open_group(str(path), mode="w", zarr_format=2)
        group.attrs.update(scale=json.dumps({"kind": "ordinal", "levels": [1, 2]}), tile="1x1")
        (path / "response").mkdir()
        (path / "response" / ".zarray").write_text(json.dumps({"zarr_format": 2, **described, "filters": filters}))
        (path / "response" / "0.0").write_bytes(payload)
        with pytest.raises(DataError, match="is no store of a crowd"):
            Crowd.open(path)


def test_a_store_leads_nowhere_else(saved, tmp_path):
    pytest.importorskip("zarr")
    model = CrowdLLM.load(saved)
    path, elsewhere = tmp_path / "crowd.zarr", tmp_path / "elsewhere"
    model.generate(5, seed=0, path=path)
    shutil.move(path / "response" / "c" / "0", elsewhere)
    (path / "response" / "c" / "0").symlink_to(elsewhere)
    with pytest.raises(DataError, match="is no row of blocks"):
        model.generate(5, seed=0, path=path)
    (path / "response" / "c" / "0").unlink()
    shutil.move(path / "problem", elsewhere)
    (path / "problem").symlink_to(elsewhere)
    with pytest.raises(DataError, match="'problem' is no array"):
        Crowd.open(path)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.nc"])
def test_a_pickle_under_the_name_of_a_table_is_refused(tmp_path, payload, name):
    path = tmp_path / name
    path.write_bytes(payload)
    with pytest.raises(DataError):
        Crowd.open(path) if name.endswith(".nc") else read_table(path)
    with pytest.raises(DataError):
        References.read(path, scale=SCALE)


def test_objects_in_a_parquet_file_stay_bytes(tmp_path, payload):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"problem": ["a"], "text": [payload]}).to_parquet(path)
    assert read_table(path)["text"].tolist() == [payload]


def test_a_runs_folder_is_plain_yaml(tmp_path, canary):
    for text in (
        f"responses: !!python/object/apply:os.system ['touch {canary}']\n",
        f"responses: !!python/name:os.system ''\nproblems: {canary}\nscale: 1:5\n",
    ):
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(DataError):
            read_options(tmp_path)


def test_results_of_a_stranger_are_named(tmp_path, payload):
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a--b.parquet").write_bytes(payload)
    (tmp_path / "study.json").write_text("[1]")
    store = ResultsStore(tmp_path)
    with pytest.raises(DataError, match="a cell that cannot be read"):
        store.read()
    with pytest.raises(DataError, match="is not JSON"):
        store.origin()
