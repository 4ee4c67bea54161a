"""Hierarchical Dawid-Skene: workers' confusion matrices come from a population, and borrow strength from it."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .base import AnnotationModel, Params
from .labels import Labels


@dataclass(frozen=True)
class HierarchicalDawidSkene(AnnotationModel):
    """Dirichlet rows whose concentrations are learned: how often the crowd says l of class k, and how alike people are.

    prevalence ~ Dirichlet(prevalence)
    for classes k, l:
        pool_kl ~ Gamma(shape, rate_kl)        mean `right` on the diagonal, `wrong` over a row's other classes together
    for worker w, class k:
        confusion_wk ~ Dirichlet(pool_k)
    for item t:
        truth_t ~ Categorical(prevalence)
        for label j of item t:
            label_j ~ Categorical(confusion[worker_j, truth_t])

    pool_k / sum(pool_k) is the crowd's mean row, sum(pool_k) how many labels it is worth in each worker's posterior.
    (Paun et al. 2018 pool normal logits; here the population is conjugate, which is what makes it fast.)

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for equal shares.
    shape
        Of the Gamma priors, at least 1.
    right, wrong
        Prior means of pool on the diagonal and, summed, off it.
    """

    shape: float = 2.0
    right: float = 4.0
    wrong: float = 2.0

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Sites `pool`, `(n_classes, n_classes)`, and `confusion`, `(n_workers, n_classes, n_classes)`."""
        rate = self.rate(labels)
        pool = pyro.sample("pool", dist.Gamma(torch.full_like(rate, self.shape), rate).to_event(2))
        with pyro.plate("workers", labels.n_workers):
            return {"pool": pool, "confusion": pyro.sample("confusion", dist.Dirichlet(pool).to_event(1))}

    def rate(self, labels: Labels) -> Tensor:
        """Rates of the Gamma priors, shape `(n_classes, n_classes)`."""
        n = labels.n_classes
        eye = torch.eye(n, dtype=torch.bool)
        return torch.where(eye, self.shape / self.right, self.shape * max(n - 1, 1) / self.wrong).double()

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """The logarithm of the site."""
        return params["confusion"].log()
