"""The mode of any model of annotation, by quasi-Newton steps up its marginal likelihood.

d/dtheta log p(labels, theta) = sum_ik q_ik d/dtheta log p(labels of i, z_i = k, theta),    q = p(z | labels, theta)

(Fisher's identity): one E-step gives the value and the gradient with the truth summed out, so that a step costs what
one of EM does, and far fewer are needed. The density is that of the Pyro program at its own sites; steps are taken in
unconstrained coordinates, whose Jacobian is left out, so that the mode is that of the sites.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

from ...models.annotation.base import AnnotationModel, Params
from ...models.annotation.labels import Labels
from .em import check_stop
from .posterior import AnnotationFit
from .unconstrained import Unconstrained
from .votes import FloatArray, Votes

Density = Callable[[Params], tuple[float, Tensor]]

# Of unconstrained coordinates: a probability of 1e-13, beyond which 1 - p has lost its digits.
_FARTHEST = 30.0


def posterior_mode(model: AnnotationModel, labels: Labels, *, n_iter: int = 2000, tol: float = 1e-12) -> AnnotationFit:
    """Maximise the density of the Pyro program with the truth summed out, from the majority vote.

    Parameters
    ----------
    model
        Any, one's own too. A hierarchical one has no mode worth having: its density is highest where workers are alike.
    labels
        The table.
    n_iter, tol
        Most iterations of L-BFGS, and the relative rise below which it stops.

    Returns
    -------
    AnnotationFit
        `log_likelihood` is the log joint density after each iteration.

    Raises
    ------
    ModelError
        When `n_iter` or `tol` says no stop.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal, C. Zhu (1995), A limited memory algorithm for bound constrained optimization, SIAM
    Journal on Scientific Computing 16.
    """
    check_stop(n_iter, tol, least=1)
    sites, votes = Unconstrained.of(model, labels), Votes(labels)
    start = sites.vector({name: prior.mean for name, prior in sites.priors.items()})
    if type(model).log_table is AnnotationModel.log_table:
        complete, density = _complete(model, labels, votes), _marginal(model, labels, votes)
    else:
        complete, density = _complete_by_label(model, labels, votes), _by_label(model, labels)
    # What the table says of workers when the votes are taken for the truth; then the truth is set free.
    start = _climb(sites, complete, start, n_iter, tol)[0]
    best, history, converged = _climb(sites, density, start, n_iter, tol)
    with torch.no_grad():
        params = sites.params(best)
        truth = model.truth_posterior(params, labels)
    return AnnotationFit(truth, params, tuple(history), len(history), converged)


def _climb(
    sites: Unconstrained, density: Density, start: Tensor, n_iter: int, tol: float
) -> tuple[Tensor, list[float], bool]:
    """Best vector, density after each iteration, and whether it stopped by itself."""
    history: list[float] = []

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        vector = torch.tensor(point, requires_grad=True)
        value, surrogate = density(sites.params(vector))
        (gradient,) = torch.autograd.grad(surrogate, vector)
        return -value, -gradient.numpy()

    found = minimize(
        loss,
        start.clamp(-_FARTHEST, _FARTHEST).numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(-_FARTHEST, _FARTHEST),
        callback=lambda intermediate_result: history.append(-float(intermediate_result.fun)),
        options={"maxiter": n_iter, "maxfun": 20 * n_iter, "ftol": tol, "gtol": 1e-8, "maxcor": 20},
    )
    return torch.as_tensor(found.x), history or [-float(found.fun)], bool(found.success)


def _marginal(model: AnnotationModel, labels: Labels, votes: Votes) -> Density:
    """Log density with the truth summed out, and a term whose gradient is its gradient."""

    def density(params: Params) -> tuple[float, Tensor]:
        shares, table = model.log_prevalence(params, labels), model.log_confusion(params, labels)
        by_label = table.detach().mT.reshape(-1, votes.n_classes).numpy()
        truth, likelihood = votes.posterior(shares.detach().numpy(), by_label)
        prior = model.log_prior(params, labels)
        return likelihood + prior.item(), prior + _expected(votes, truth, shares, table)

    return density


def _complete(model: AnnotationModel, labels: Labels, votes: Votes) -> Density:
    """Log density with the shares of votes as the truth."""
    truth = votes.shares()

    def density(params: Params) -> tuple[float, Tensor]:
        shares, table = model.log_prevalence(params, labels), model.log_confusion(params, labels)
        value = model.log_prior(params, labels) + _expected(votes, truth, shares, table)
        return value.item(), value

    return density


def _by_label(model: AnnotationModel, labels: Labels) -> Density:
    """Log density of a model in which labels depend on more than worker and truth."""

    def density(params: Params) -> tuple[float, Tensor]:
        value = model.log_joint(params, labels)
        return value.item(), value

    return density


def _complete_by_label(model: AnnotationModel, labels: Labels, votes: Votes) -> Density:
    """That of `_complete`, where labels depend on more than worker and truth."""
    truth = torch.as_tensor(votes.shares())
    weight, n_items = truth[labels.item].mT, truth.sum(dim=0)

    def density(params: Params) -> tuple[float, Tensor]:
        shares, answers = model.log_prevalence(params, labels), model.log_label(params, labels)
        labelled = torch.where(weight > 0, weight * answers, 0.0).sum()
        value = model.log_prior(params, labels) + labelled + torch.where(n_items > 0, n_items * shares, 0.0).sum()
        return value.item(), value

    return density


def _expected(votes: Votes, truth: FloatArray, shares: Tensor, table: Tensor) -> Tensor:
    """Log probability of labels and truths, averaged over the truth."""
    counts = torch.as_tensor(votes.counts(truth)).mT
    n_items = torch.as_tensor(truth.sum(axis=0, dtype=np.float64))
    labelled = torch.where(counts > 0, counts * table, 0.0).sum()
    return labelled + torch.where(n_items > 0, n_items * shares, 0.0).sum()
