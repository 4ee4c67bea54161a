"""Distributions over options, from what an LLM's scores are.

    p_tau(o) ~ exp(l_o / tau),     l_o = log P(o | c) + const;     tau = 0: all on the first of the likeliest options

A row in which no option has any probability is no distribution: it is NaN, a missing reference.
"""

from __future__ import annotations

import numpy as np

from .backbone import FloatArray


def log_normalised(logs: FloatArray) -> FloatArray:
    """Log-probabilities that sum to one over the last axis; NaN where none is finite."""
    highest = logs.max(axis=-1, keepdims=True)
    shifted = logs - np.where(np.isfinite(highest), highest, np.nan)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def tempered(logs: FloatArray, temperature: float) -> FloatArray:
    """p_tau of log-probabilities at temperature 1, the options along the last axis; NaN where none is finite."""
    base = log_normalised(logs)
    missing = np.isnan(base)
    if temperature == 0:
        return np.where(missing, np.nan, np.eye(base.shape[-1])[np.where(missing, -np.inf, base).argmax(axis=-1)])
    with np.errstate(over="ignore"):
        return np.exp(log_normalised(base / temperature))
