"""MACE (Hovy, Berg-Kirkpatrick, Vaswani and Hovy 2013): workers either know the truth or do not look."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .base import AnnotationModel, Params
from .labels import Labels


@dataclass(frozen=True)
class Mace(AnnotationModel):
    """Spammers, and what they say when they do not look.

    prevalence ~ Dirichlet(prevalence)
    for worker w:
        trust_w   ~ Beta(trusted, spam)
        pattern_w ~ Dirichlet(pattern)                           what w says without looking
    for item t:
        truth_t ~ Categorical(prevalence)
        for label j of item t:
            label_j = truth_t with probability trust of worker_j, else Categorical(pattern of worker_j)

    Whether a worker looked is summed out.

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for equal shares, as published: there a frequent class is
        taken for the habit of many spammers.
    trusted, spam
        Of the Beta prior; the authors' .5 and .5 have no mode inside, and are for SVI and NUTS.
    pattern
        Dirichlet concentration of every class in a spammer's labels.
    """

    trusted: float = 2.0
    spam: float = 1.5
    pattern: float = 1.5

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Sites `trust`, shape `(n_workers,)`, and `pattern`, shape `(n_workers, n_classes)`."""
        trusted, spam = torch.tensor([self.trusted, self.spam], dtype=torch.float64)
        concentration = torch.full((labels.n_classes,), self.pattern, dtype=torch.float64)
        with pyro.plate("workers", labels.n_workers):
            trust = pyro.sample("trust", dist.Beta(trusted, spam))
            return {"trust": trust, "pattern": pyro.sample("pattern", dist.Dirichlet(concentration))}

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """log(trust [label = truth] + (1 - trust) pattern)."""
        trust, eye = params["trust"][..., None, None], torch.eye(labels.n_classes, dtype=torch.float64)
        return (trust * eye + (1 - trust) * params["pattern"][..., None, :]).log()
