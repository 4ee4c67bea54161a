"""EM for workers whose errors fall on all other classes alike: one-coin, each with an accuracy, and the majority model.

M-step  accuracy_w = (r_w + a - 1) / (r_w + e_w + a + b - 2)

with r_w and e_w the expected numbers of right labels and of errors, history included, and (a, b) the Beta prior; of the
majority model r and e are summed over workers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...models.annotation.labels import Labels
from ...models.annotation.multinomial import Multinomial
from ...models.annotation.one_coin import OneCoin
from .em import FLOOR, Step, earlier, log_dirichlet_constant, maximise, mode_counts, prevalence_step, weighed
from .posterior import AnnotationFit
from .votes import FloatArray, Votes


def fit_coins(
    model: OneCoin | Multinomial,
    labels: Labels,
    *,
    n_iter: int = 500,
    tol: float = 1e-8,
    dtype: npt.DTypeLike = np.float64,
) -> AnnotationFit:
    """Mode of the posterior of `OneCoin` or `Multinomial`, from the majority vote on.

    Parameters
    ----------
    model
        Its priors; `OneCoin(prevalence=1, right=1, wrong=1)` is maximum likelihood.
    labels
        The table.
    n_iter, tol
        See `maximise`.
    dtype
        float64, or float32 for less memory.

    Raises
    ------
    ModelError
        For a concentration below 1, which has no mode.
    """
    prior = np.array([mode_counts("right", model.right), mode_counts("wrong", model.wrong)])
    votes = Votes(labels, dtype)
    told = earlier(labels, votes.dtype)
    n_classes = votes.n_classes
    right = np.eye(n_classes, dtype=bool)
    shared = isinstance(model, Multinomial)
    n_coins = 1 if shared else labels.n_workers
    constant = n_coins * log_dirichlet_constant(prior + 1)

    def m_step(counts: FloatArray, n_items: FloatArray) -> Step:
        if told is not None:
            counts += told
        hits = np.einsum("wkk->w", counts)
        tosses = np.stack([hits, counts.sum(axis=(1, 2)) - hits], axis=1).astype(np.float64)
        if n_classes == 1:  # always reported right: that tells nothing
            tosses[:] = 0.0
        if shared:
            tosses = tosses.sum(axis=0, keepdims=True)
        weight = np.maximum(tosses + prior, FLOOR)
        share = weight / weight.sum(axis=1, keepdims=True)
        log_share = np.log(share)
        wrong = log_share[:, 1] - np.log(max(n_classes - 1, 1))
        table = np.where(right, log_share[:, :1, None], wrong[:, None, None]) if n_classes > 1 else np.zeros((1, 1, 1))
        table = table.astype(votes.dtype)
        table = np.broadcast_to(table, (labels.n_workers, n_classes, n_classes))
        log_prevalence, log_prior = prevalence_step(model, n_items)
        log_prior += constant + weighed(prior, log_share)
        if told is not None:
            log_prior += weighed(told, table)
        params = {"accuracy": share[0, 0] if shared else share[:, 0]}
        if model.prevalence is not None:
            params["prevalence"] = np.exp(log_prevalence)
        return Step(log_prevalence, table, log_prior, params)

    return maximise(votes, m_step, n_iter=n_iter, tol=tol)
