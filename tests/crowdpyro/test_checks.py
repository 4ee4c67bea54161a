"""Checks of a fitted CrowdLLM: central on its own people, extreme where people differ and the model has no traits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Categorical, Continuous, CrowdData, CrowdLLM, DataError, FitConfig, Ordinal, checks

N_PEOPLE, N_PROBLEMS = 120, 8
SCALES = {"ordinal": Ordinal.range(1, 5), "continuous": Continuous(), "categorical": Categorical(("r", "g", "b"))}


def people(scale, seed=0, absent=0.2):
    """Answers that share one strong trait."""
    rng = np.random.default_rng(seed)
    person, problem = np.indices((N_PEOPLE, N_PROBLEMS)).reshape(2, -1)
    latent = 1.2 * rng.normal(size=N_PEOPLE)[person] + np.linspace(-1, 1, N_PROBLEMS)[problem]
    latent = latent + rng.normal(size=len(person))
    if not isinstance(scale, Continuous):
        latent = scale.decode(np.clip(np.round(latent + scale.n_levels / 2), 0, scale.n_levels - 1))
    there = rng.random(len(person)) > absent
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": latent})[there],
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement {k}" for k in range(N_PROBLEMS)]}),
        pd.DataFrame({"participant": range(N_PEOPLE), "age": rng.normal(size=N_PEOPLE)}),
        scale=scale,
    )


def fit(scale, n_eps=1, epochs=60):
    training = FitConfig(epochs=epochs, margin_steps=40, batch_size=40, patience=epochs)
    model = CrowdLLM(training=training, n_components=2, text_encoder="tfidf", n_eps=n_eps, n_hidden=4)
    return model.fit(people(scale), seed=1)


@pytest.fixture(scope="module")
def with_trait():
    return fit(SCALES["ordinal"])


def test_traits_are_missed_without_and_found_with_noise_of_people(with_trait):
    fresh = people(SCALES["ordinal"], seed=7)
    frames = {
        n_eps: checks.posterior_predictive_check(model, fresh, n_crowds=150, seed=3).to_frame()
        for n_eps, model in ((1, with_trait), (0, fit(SCALES["ordinal"], 0, 20)))
    }
    missed = frames[0].loc[["correlation", "between_people"]]
    assert (missed["p_value"] < 0.02).all()
    assert (missed["mean"] < missed["observed"]).all()
    # Two samples of 120 people differ by more than the crowds alone: what is left is 1% and above.
    assert (frames[1].loc[["correlation", "between_people"], "p_value"] > 0.01).all()
    assert {"mean", "sd", "extremes", "share[1]", "within_people", "between_problems"} <= set(frames[1].index)


def test_crowds_are_absent_where_people_are_and_equal_seeds_agree(with_trait):
    data = people(SCALES["ordinal"], seed=8)
    found = [
        checks.posterior_predictive_check(
            with_trait,
            data,
            {"n": lambda a: np.isfinite(a).sum(), "top": np.nanmax},
            n_crowds=5,
            seed=seed,
        ).replicated
        for seed in (1, 1)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0][:, 0] == data.n_answers).all()


@pytest.mark.parametrize("kind", SCALES)
def test_every_scale_has_checks_and_transforms(kind):
    model = fit(SCALES[kind], epochs=4)
    data = people(SCALES[kind], seed=9)
    frame = checks.posterior_predictive_check(model, data, n_crowds=9).to_frame()
    assert frame.notna().all(axis=None)
    if kind == "categorical":
        assert list(frame.index) == ["share[0]", "share[1]", "share[2]"]
    transforms = checks.loo_pit(model, data, n_draws=32)
    assert len(transforms.u) == data.n_answers
    assert ((transforms.u >= 0) & (transforms.u <= 1)).all()


def test_predictions_are_about_right_on_fresh_people(with_trait):
    found = checks.loo_pit(with_trait, people(SCALES["ordinal"], seed=10), given="earlier", n_draws=256)
    counts = found.counts(10)
    # Ten bins of some 96: fitted to 120 people, no bin is off by half.
    assert (np.abs(counts / counts.mean() - 1) < 0.5).all()


def test_wrong_uses_are_named(with_trait):
    other = people(Ordinal.range(0, 6))
    with pytest.raises(DataError, match="put them on one scale"):
        checks.posterior_predictive_check(with_trait, other)
    with pytest.raises(DataError, match="put them on one scale"):
        checks.loo_pit(with_trait, other)
    with pytest.raises(DataError, match="n_crowds=0"):
        checks.posterior_predictive_check(with_trait, people(SCALES["ordinal"]), n_crowds=0)
