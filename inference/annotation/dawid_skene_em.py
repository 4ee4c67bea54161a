"""Dawid and Skene's EM (1979) with Dirichlet priors and workers' history, on labels sorted once.

M-step  confusion_wkl = (C_wlk + h_wkl + a_kl - 1) / sum_l' (C_wl'k + h_wkl' + a_kl' - 1)
        pi_k          = (n_k + a0 - 1) / sum_k' (n_k' + a0 - 1)

C are expected counts, h the history, a the concentrations of `DawidSkene`. With a = a0 = 1 it is maximum likelihood,
iteration by iteration that of crowd-kit: a label that was given has an expected count of at least 1e-10.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...models.annotation.dawid_skene import DawidSkene
from ...models.annotation.labels import Labels
from .em import FLOOR, Step, earlier, log_dirichlet_constant, maximise, mode_counts, prevalence_step, weighed
from .posterior import AnnotationFit
from .votes import FloatArray, Votes


def fit_dawid_skene(
    model: DawidSkene,
    labels: Labels,
    *,
    n_iter: int = 500,
    tol: float = 1e-8,
    dtype: npt.DTypeLike = np.float64,
) -> AnnotationFit:
    """Mode of the posterior of `DawidSkene`, from the majority vote on.

    Parameters
    ----------
    model
        Its priors; `DawidSkene(prevalence=1, diagonal=1, off_diagonal=1)` is maximum likelihood.
    labels
        The table.
    n_iter, tol
        See `maximise`.
    dtype
        float64, or float32 for two thirds of the memory: ten million labels take 0.5 GB.

    Raises
    ------
    ModelError
        For a concentration below 1, which has no mode.
    """
    for name in ("diagonal", "off_diagonal"):
        mode_counts(name, getattr(model, name))
    votes = Votes(labels, dtype)
    told = earlier(labels, votes.dtype)
    # Rows of one truth, in the Pyro program; columns, in the order of the votes.
    concentration = model.concentration(labels).numpy().T.astype(votes.dtype)
    constant = labels.n_workers * log_dirichlet_constant(concentration.T)
    added = concentration - 1 if told is None else told + (concentration - 1)
    given = votes.given()[:, :, None] > 0
    # A label that nobody gave and no prior expects has a share of 0, which is asked for by no item.
    least = np.where(given if told is None else given | (told > 0), FLOOR, 0.0).astype(votes.dtype)

    def m_step(counts: FloatArray, n_items: FloatArray) -> Step:
        counts += added
        np.maximum(counts, least, out=counts)
        total = counts.sum(axis=1, keepdims=True)
        if not total.all():
            # Of a worker without labels nothing is known: all shares are modes, and equal ones are taken.
            counts += total == 0
            total = counts.sum(axis=1, keepdims=True)
        counts /= total
        with np.errstate(divide="ignore"):
            log_table = np.log(counts)
        log_prevalence, log_prior = prevalence_step(model, n_items)
        log_prior += constant + weighed(concentration - 1, log_table.sum(axis=0))
        if told is not None:
            log_prior += weighed(told, log_table)
        params = {"confusion": counts.swapaxes(1, 2)}
        if model.prevalence is not None:
            params["prevalence"] = np.exp(log_prevalence)
        return Step(log_prevalence, log_table, log_prior, params)

    return maximise(votes, m_step, n_iter=n_iter, tol=tol)
