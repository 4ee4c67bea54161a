"""The majority vote as a model: everybody is right equally often."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .base import AnnotationModel, Params, coin_confusion
from .labels import Labels


@dataclass(frozen=True)
class Multinomial(AnnotationModel):
    """One accuracy for all workers.

    accuracy ~ Beta(right, wrong)
    for item t:
        truth_t ~ Categorical(prevalence)                    equal shares
        for label j of item t:
            label_j = truth_t with probability accuracy, else any other class alike

    An item's counts of labels are multinomial, and P(truth | labels) = softmax(counts * log(accuracy (K - 1) / (1 -
    accuracy))): with equal shares its mode is the majority vote for every accuracy above 1 / K.

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for equal shares.
    right, wrong
        Of the Beta prior.
    """

    prevalence: float | None = None
    right: float = 3.0
    wrong: float = 1.5

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Site `accuracy`, a scalar."""
        right, wrong = torch.tensor([self.right, self.wrong], dtype=torch.float64)
        return {"accuracy": pyro.sample("accuracy", dist.Beta(right, wrong))}

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """The same for every worker."""
        right = torch.atleast_1d(params["accuracy"])
        table = coin_confusion(right.log(), (-right).log1p(), labels.n_classes)
        return table.expand(*right.shape[:-1], labels.n_workers, *table.shape[-2:])
