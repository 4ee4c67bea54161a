"""One-coin Dawid and Skene (1979): every worker is right with a probability of their own, whatever the class."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .base import AnnotationModel, Params, coin_confusion
from .labels import Labels


@dataclass(frozen=True)
class OneCoin(AnnotationModel):
    """One accuracy a worker.

    prevalence ~ Dirichlet(prevalence)
    for worker w:
        accuracy_w ~ Beta(right, wrong)
    for item t:
        truth_t ~ Categorical(prevalence)
        for label j of item t:
            label_j = truth_t with probability accuracy of worker_j, else any other class alike

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for equal shares.
    right, wrong
        Of the Beta prior; 1 and 1 are flat.
    """

    right: float = 3.0
    wrong: float = 1.5

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Site `accuracy`, shape `(n_workers,)`."""
        right, wrong = torch.tensor([self.right, self.wrong], dtype=torch.float64)
        with pyro.plate("workers", labels.n_workers):
            return {"accuracy": pyro.sample("accuracy", dist.Beta(right, wrong))}

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """Accuracy on the diagonal, the rest spread evenly."""
        right = params["accuracy"]
        return coin_confusion(right.log(), (-right).log1p(), labels.n_classes)
