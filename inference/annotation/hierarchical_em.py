"""Variational EM for hierarchical Dawid-Skene: confusion matrices have a posterior, the population a point.

max over pi, pool, q    E_q log p(labels, truth, confusion, pi, pool) + H(q),     q = q(truth) q(confusion)

q(confusion_wk) = Dirichlet(pool_k + C_w.k)                       C the expected counts of `votes`, history included
q(truth_i = k) ~ pi_k exp(sum_j E_q log confusion[w_j, k, l_j])   an E-step on a table of digammas
pool           = argmax sum_wk log [B(pool_k + C_w.k) / B(pool_k)] + log p(pool)       q(confusion) put in, B the beta

The last climbs by the fixed point of Minka (2000), sum_w [psi(pool_kl + C_wlk) - psi(pool_kl)] set in proportion, with
the gamma prior in its fraction; its direction is one of ascent, and a step that went too far is halved. So the bound
never falls. It is below the log density of labels, pi and pool, truth and confusion integrated out. (The joint density
of pool and confusion has no mode of use: it is unbounded where all workers are alike.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, xlogy

from ...models.annotation.hierarchical_dawid_skene import HierarchicalDawidSkene
from ...models.annotation.labels import Labels
from ...models.errors import ModelError
from .em import Step, earlier, maximise, prevalence_step
from .posterior import AnnotationFit
from .votes import FloatArray, Votes


def fit_hierarchical(
    model: HierarchicalDawidSkene,
    labels: Labels,
    *,
    n_iter: int = 500,
    tol: float = 1e-8,
    dtype: npt.DTypeLike = np.float64,
) -> AnnotationFit:
    """Climb the bound from the majority vote on.

    Parameters
    ----------
    model
        Its priors; `shape` must be at least 1.
    labels
        The table.
    n_iter, tol
        See `maximise`.
    dtype
        Of the sums over labels.

    Returns
    -------
    AnnotationFit
        `params` are the points of `prevalence` and `pool` and the posterior means of `confusion`; `log_likelihood` is
        the bound.
    """
    if model.shape < 1:
        raise ModelError(f"shape={model.shape}: a gamma density of that shape has no mode inside; give at least 1.")
    votes, rate = Votes(labels, dtype), model.rate(labels).numpy().T
    told = earlier(labels, np.dtype(np.float64))
    pool = model.shape / rate

    def m_step(counts: FloatArray, n_items: FloatArray) -> Step:
        nonlocal pool
        known = counts.astype(np.float64) if told is None else counts + told
        heard = known.sum(axis=1)
        evidence = _evidence(pool, known, heard, model.shape, rate)
        for _ in range(_STEPS):
            pool, evidence = _climb(pool, evidence, known, heard, model.shape, rate)
        posterior = pool + known
        log_table = digamma(posterior) - digamma(posterior.sum(axis=1, keepdims=True))
        log_prevalence, log_prior = prevalence_step(model, n_items)
        # E log p(confusion) + H(q(confusion)): the evidence of the counts, less what the E-step has of them itself.
        log_prior += evidence - float((counts * log_table).sum())
        params = {
            "pool": pool.T,
            "confusion": (posterior / posterior.sum(axis=1, keepdims=True)).swapaxes(1, 2),
        }
        if model.prevalence is not None:
            params["prevalence"] = np.exp(log_prevalence)
        return Step(log_prevalence, log_table.astype(votes.dtype), log_prior, params)

    return maximise(votes, m_step, n_iter=n_iter, tol=tol)


# Of the fixed point in each iteration.
_STEPS = 3


def _climb(
    pool: FloatArray, evidence: float, counts: FloatArray, heard: FloatArray, shape: float, rate: FloatArray
) -> tuple[FloatArray, float]:
    """One step of the fixed point, halved in the logarithm until the evidence does not fall."""
    total = pool.sum(axis=0)
    rise = pool * (digamma(pool + counts) - digamma(pool)).sum(axis=0) + shape - 1
    fall = (digamma(total + heard) - digamma(total)).sum(axis=0) + rate
    ratio = rise / (pool * fall)
    for _ in range(_HALVINGS):
        moved = pool * ratio
        better = _evidence(moved, counts, heard, shape, rate)
        if better >= evidence:
            return moved, better
        ratio = np.sqrt(ratio)
    return pool, evidence


# A step of 1e-6 of the first: there rounding decides.
_HALVINGS = 20


def _evidence(pool: FloatArray, counts: FloatArray, heard: FloatArray, shape: float, rate: FloatArray) -> float:
    """Log probability of the counts with confusion integrated out, and log prior density of the pool."""
    total = pool.sum(axis=0)
    rows = (gammaln(total) - gammaln(total + heard)).sum() + (gammaln(pool + counts) - gammaln(pool)).sum()
    prior = (shape * np.log(rate) - gammaln(shape) + xlogy(shape - 1, pool) - rate * pool).sum()
    return float(rows + prior)
