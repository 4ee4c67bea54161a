"""Expectation-maximisation for models in which what a label tells depends on worker, label and truth alone.

theta_0   = argmax of the M-step at the shares of votes                     (cold start: the right mode of K! ones)
E         q_i    = p(z_i | labels, theta_t)
M         theta_{t+1} = argmax_theta  sum_wlk C_wlk log p(l | k, w) + sum_k n_k log pi_k + log p(theta)

with C the expected counts of `votes`, n_k = sum_i q_ik. Each step raises log p(labels, theta), truth summed out, which
is the density of the Pyro program (Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import gammaln

from ...models.annotation.base import AnnotationModel
from ...models.annotation.labels import Labels
from ...models.errors import ModelError
from .posterior import AnnotationFit
from .votes import FloatArray, Votes

# Least expected count of a label that was given: without a prior, a share may tend to 0 and its logarithm to infinity.
FLOOR = 1e-10


@dataclass(frozen=True)
class Step:
    """Parameters that an M-step found.

    Attributes
    ----------
    log_prevalence
        Log shares of the classes, shape `(n_classes,)`.
    log_table
        Log p(label | truth), shape `(n_workers, n_classes, n_classes)`: by worker, label and truth.
    log_prior
        Log density of the parameters and of the workers' history, nats.
    params
        By site of the Pyro program.
    """

    log_prevalence: FloatArray
    log_table: FloatArray
    log_prior: float
    params: Mapping[str, FloatArray]


def maximise(
    votes: Votes, m_step: Callable[[FloatArray, FloatArray], Step], *, n_iter: int = 500, tol: float = 1e-8
) -> AnnotationFit:
    """Alternate the two steps.

    Parameters
    ----------
    votes
        The labels.
    m_step
        Of the expected counts by worker, label and truth, and of the expected number of items of each class.
    n_iter
        Most iterations.
    tol
        Stop when one raises the log joint density by no more, nats a label; 0 goes on until rounding ends the rise,
        minus infinity to the last iteration.

    Returns
    -------
    AnnotationFit
        The truth given the last parameters, which `n_iter` M-steps after the first have made; `log_likelihood` has one
        value more than that.
    """
    check_stop(n_iter, tol)
    truth = votes.shares()
    history: list[float] = []
    converged = False
    while True:
        counts, n_items = votes.counts(truth), truth.sum(axis=0)
        del truth  # the next one takes as much memory, 40 MB of a million items and five classes
        step = m_step(counts, n_items)
        del counts
        table = step.log_table.reshape(-1, votes.n_classes)
        truth, likelihood = votes.posterior(step.log_prevalence, table)
        history.append(likelihood + step.log_prior)
        converged = len(history) > 1 and history[-1] - history[-2] <= tol * votes.n_labels
        if converged or len(history) > n_iter:
            break
    params = {name: torch.as_tensor(value).double().contiguous() for name, value in step.params.items()}
    return AnnotationFit(torch.as_tensor(truth).double(), params, tuple(history), len(history) - 1, converged)


def check_stop(n_iter: int, tol: float, least: int = 0) -> None:
    """Raise `ModelError` unless these say when to stop."""
    if not isinstance(n_iter, int | np.integer) or n_iter < least:
        raise ModelError(f"n_iter={n_iter!r}: give a whole number, {least} or more.")
    if not isinstance(tol, float | int | np.number) or np.isnan(tol):
        raise ModelError(f"tol={tol!r}: give a number.")


def prevalence_step(model: AnnotationModel, n_items: FloatArray) -> tuple[FloatArray, float]:
    """Log shares of the classes, proportional to n_k + prevalence - 1, and their log prior."""
    n_classes = len(n_items)
    if model.prevalence is None:
        return np.full(n_classes, -np.log(n_classes), n_items.dtype), 0.0
    weight = np.maximum(n_items + mode_counts("prevalence", model.prevalence), FLOOR)
    log_share = np.log(weight / weight.sum())
    concentration = np.full(n_classes, model.prevalence)
    return log_share, log_dirichlet_constant(concentration) + weighed(concentration - 1, log_share)


def mode_counts(name: str, concentration: float) -> float:
    """What a Dirichlet or Beta prior adds to the counts at its mode; raises `ModelError` where it has none inside."""
    if concentration < 1:
        raise ModelError(
            f"{name}={concentration}: a density of that concentration has no mode inside; give at least 1, or "
            "inference='svi' or 'nuts'."
        )
    return concentration - 1


def log_dirichlet_constant(concentration: FloatArray) -> float:
    """Logarithms of the normalisers of Dirichlet densities over the last axis, summed."""
    return float(gammaln(concentration.sum(-1)).sum() - gammaln(concentration).sum())


def weighed(weight: FloatArray, log_share: FloatArray) -> float:
    """Sum of weight log(share), in which a weight of 0 takes a share of 0."""
    return float(np.sum(weight * np.where(weight == 0, 0, log_share), dtype=np.float64))


def earlier(labels: Labels, dtype: np.dtype[Any]) -> FloatArray | None:
    """Workers' history as counts by worker, label and truth."""
    return None if labels.history is None else labels.history.numpy().astype(dtype).swapaxes(1, 2)
