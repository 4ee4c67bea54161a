"""Contextual calibration: what the LLM says to a text without content is divided out.

    q(o) ~ p(o | x) / p_0(o),      p_0 = mean_j p(o | x_j),     x_j in {"N/A", "[MASK]", ""}

so that a text that is as empty as those has the uniform distribution. Each order of options and each persona has its
own p_0. It is the diagonal form of the source, W = diag(p_0)^-1 and b = 0, normalised by the sum.

Source: Zhao et al. (2021), Calibrate before use: improving few-shot performance of language models, ICML, section 5.
"""

from __future__ import annotations

import numpy as np

from .backbone import FloatArray
from .distributions import log_normalised

CONTENT_FREE = ("N/A", "[MASK]", "")


def calibrated(logs: FloatArray, content_free: FloatArray) -> FloatArray:
    """Log q, normalised.

    Parameters
    ----------
    logs
        Log-probabilities, shape `(n_problems, ..., n_options)`.
    content_free
        Those of the texts without content, shape `(n_texts, ..., n_options)`.
    """
    prior = np.exp(log_normalised(content_free)).mean(axis=0)
    # An option that no empty text gives any probability keeps a finite weight.
    return log_normalised(logs - np.log(np.maximum(prior, np.finfo(float).tiny)))
