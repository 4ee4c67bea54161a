"""A fitted model of 150 problems, a digest of a store's bytes, and two worker processes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import CrowdData, CrowdLLM, FitConfig, Ordinal

N_PROBLEMS = 150


def _people(n_problems=N_PROBLEMS, scale=None, n=80, seed=0):
    """Answers of people to problems, every second pair."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, 1)) + rng.normal(size=n_problems) + rng.normal(size=(n, n_problems))
    person, problem = np.nonzero(rng.random(latent.shape) < 0.5)
    scale = Ordinal.range(1, 5) if scale is None else scale
    cut = np.clip(np.floor(latent[person, problem] + 2.5), 0, 4)
    answers = latent[person, problem] if scale.kind == "continuous" else scale.decode(cut % scale.n_levels)
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": answers}),
        pd.DataFrame({"problem": range(n_problems), "text": [f"statement number {t}" for t in range(n_problems)]}),
        pd.DataFrame(
            {
                "participant": range(n),
                "group": rng.choice(["ü", "v", "w"], n),
                "age": rng.integers(18, 80, n),
            }
        ),
        scale=scale,
    )


def _fitted(data, **settings):
    """A model of these people, hardly trained."""
    training = FitConfig(epochs=2, margin_steps=2, every=2)
    return CrowdLLM(training=training, text_encoder="tfidf", n_components=2, **settings).fit(data, seed=1)


@pytest.fixture(scope="session")
def model():
    """On a scale from 1 to 5."""
    return _fitted(_people())


@pytest.fixture(scope="session")
def folder(model, tmp_path_factory):
    """Where it is saved, for other processes."""
    return model.save(tmp_path_factory.mktemp("scale") / "RUN")


def _digest(store):
    """SHA-256 of every file of a store, by its place."""
    files = sorted(path for path in Path(store).rglob("*") if path.is_file())
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="package")
def client():
    """Of a scheduler and two worker processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster) as connected,
    ):
        yield connected


@pytest.fixture(scope="session")
def people():
    """Makes data sets: `people(n_problems, scale)`."""
    return _people


@pytest.fixture(scope="session")
def fitted():
    """Makes models: `fitted(data, **settings)`."""
    return _fitted


@pytest.fixture(scope="session")
def digest():
    """Tells a store's bytes: `digest(path)`."""
    return _digest
