"""Dawid and Skene (1979): every worker confuses the classes in a way of their own."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .base import AnnotationModel, Params
from .labels import Labels


@dataclass(frozen=True)
class DawidSkene(AnnotationModel):
    """A confusion matrix a worker.

    prevalence ~ Dirichlet(prevalence)
    for worker w, class k:
        confusion_wk ~ Dirichlet(off_diagonal, ..., diagonal at k, ...)      what w says of class k
    for item t:
        truth_t ~ Categorical(prevalence)
        for label j of item t:
            label_j ~ Categorical(confusion[worker_j, truth_t])

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for equal shares.
    diagonal, off_diagonal
        Dirichlet concentrations of the right and of each wrong label. 1 for all three makes the mode of the posterior
        the maximum of the likelihood.
    """

    diagonal: float = 3.0
    off_diagonal: float = 1.2

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Confusion matrices, site `confusion`, shape `(n_workers, n_classes, n_classes)`, rows of one truth."""
        with pyro.plate("workers", labels.n_workers):
            rows = dist.Dirichlet(self.concentration(labels)).to_event(1)
            return {"confusion": pyro.sample("confusion", rows)}

    def concentration(self, labels: Labels) -> Tensor:
        """Dirichlet concentrations of a confusion matrix, shape `(n_classes, n_classes)`."""
        eye = torch.eye(labels.n_classes, dtype=torch.float64)
        return self.off_diagonal + (self.diagonal - self.off_diagonal) * eye

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """The logarithm of the site."""
        return params["confusion"].log()
