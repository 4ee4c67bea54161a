from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from crowdpyro.llm.contextual_calibration import calibrated
from crowdpyro.llm.distributions import log_normalised, tempered


def test_closed_form() -> None:
    rng = np.random.default_rng(0)
    logs, free = rng.normal(size=(5, 2, 3)), rng.normal(size=(3, 2, 3))
    prior = np.exp(log_softmax(free, axis=-1)).mean(axis=0)
    weighted = np.exp(logs) / prior
    np.testing.assert_allclose(
        np.exp(calibrated(logs, free)), weighted / weighted.sum(axis=-1, keepdims=True), rtol=1e-12
    )


def test_a_prior_that_is_added_to_everything_is_taken_off_exactly() -> None:
    rng = np.random.default_rng(1)
    content, prior = rng.normal(size=(5, 4)), rng.normal(size=4, scale=3)
    says = calibrated(content + prior, np.tile(prior, (3, 1)))
    np.testing.assert_allclose(says, log_softmax(content, axis=-1), atol=1e-12)
    np.testing.assert_allclose(calibrated(prior[None], np.tile(prior, (3, 1))), np.log(0.25), atol=1e-12)


def test_options_that_empty_texts_never_get_stay_finite() -> None:
    free = np.array([[0.0, -np.inf]])
    assert np.isfinite(np.exp(calibrated(np.log([[0.5, 0.5]]), free))).all()
    np.testing.assert_array_equal(np.exp(calibrated(np.array([[0.0, -np.inf]]), free)), [[1, 0]])


def test_temperature_acts_on_options() -> None:
    logs = np.array([[-3.0, -2.0, -1.0]])
    p = np.exp(log_normalised(logs))
    np.testing.assert_allclose(tempered(logs, 0.5), p**2 / (p**2).sum(), rtol=1e-12)
    np.testing.assert_array_equal(tempered(logs, 0), [[0, 0, 1]])
    np.testing.assert_array_equal(tempered(np.array([[-1.0, -1.0]]), 0), [[1, 0]])
    np.testing.assert_allclose(tempered(logs, 1e-300), [[0, 0, 1]])
    np.testing.assert_allclose(tempered(logs, 1e300), 1 / 3)
    for temperature in (0, 1, 2):
        assert np.isnan(tempered(np.full((1, 3), -np.inf), temperature)).all()
