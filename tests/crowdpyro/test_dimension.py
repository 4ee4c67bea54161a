"""Dimensions of people's noise by cross-validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import CrowdData, CrowdLLM, DataError, FitConfig, Ordinal
from crowdpyro.dimension import choose_n_eps


def two_traits(loading, n=90):
    """Eight statements of two traits that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    latent = 3 + loading * np.repeat(rng.normal(size=(n, 2)), 4, axis=1) + 0.7 * rng.normal(size=(n, 8))
    person, problem = np.indices((n, 8)).reshape(2, -1)
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": np.clip(np.round(latent), 1, 5).ravel()}),
        pd.DataFrame({"problem": range(8), "text": [f"statement {k}" for k in range(8)]}),
        scale=Ordinal.range(1, 5),
    )


def estimator():
    training = FitConfig(epochs=30, margin_steps=20, batch_size=30)
    return CrowdLLM(training=training, n_components=2, text_encoder="tfidf", n_hidden=4, progress=False)


def test_the_true_dimension_is_found():
    found = choose_n_eps(estimator(), two_traits(1.2), candidates=(0, 1, 2), k=2, seed=1)
    assert (found.best, found.smallest) == (2, 2)
    # Of 45 people an answer gains .13 and .05 nats; seeds move that by some .01.
    assert found.table["joint"].diff().dropna().gt(0.02).all()
    # The single score sees next to nothing of it.
    assert found.table["single"].max() - found.table["single"].min() < 0.1
    assert found.table.loc[2, "difference"] == 0


def test_people_alike_need_none():
    found = choose_n_eps(estimator(), two_traits(0.0), candidates=(0, 2), k=2, seed=1)
    assert found.smallest == 0


def test_wrong_candidates_are_named():
    for candidates in ((), (-1, 2), (2, 2)):
        with pytest.raises(DataError, match="give different dimensions of at least 0"):
            choose_n_eps(estimator(), two_traits(1.0, 10), candidates=candidates)
