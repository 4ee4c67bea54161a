"""GLAD (Whitehill et al. 2009): workers of different ability, items of different difficulty."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from .base import AnnotationModel, Params, coin_confusion
from .labels import Labels


@dataclass(frozen=True)
class Glad(AnnotationModel):
    """The logit of a right label is ability times ease.

    for worker w:
        ability_w ~ Normal(ability_mean, ability_scale)              below 0: says the opposite
    for item t:
        log_ease_t ~ Normal(ease_mean, ease_scale)                   difficulty is exp(-log_ease)
        truth_t    ~ Categorical(prevalence)                         equal shares, as published
        for label j of item t:
            label_j = truth_t with probability sigmoid(ability * exp(log_ease)), else any other class alike

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for equal shares.
    ability_mean, ability_scale, ease_mean, ease_scale
        Of the normal priors; all 1 in the authors' code and in crowd-kit.
    """

    prevalence: float | None = None
    ability_mean: float = 1.0
    ability_scale: float = 1.0
    ease_mean: float = 1.0
    ease_scale: float = 1.0

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Sites `ability`, shape `(n_workers,)`, and `log_ease`, shape `(n_items,)`."""
        with pyro.plate("workers", labels.n_workers):
            ability = pyro.sample("ability", _normal(self.ability_mean, self.ability_scale))
        with pyro.plate("eased_items", labels.n_items):
            return {"ability": ability, "log_ease": pyro.sample("log_ease", _normal(self.ease_mean, self.ease_scale))}

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """For an item at the prior mean of `log_ease`."""
        usual = torch.tensor(self.ease_mean, dtype=torch.float64)
        return _coin(params["ability"] * usual.exp(), labels.n_classes)

    def log_table(self, params: Params, labels: Labels) -> Tensor:
        """Right with probability sigmoid(ability * ease)."""
        return _coin(self.logit(params, labels), labels.n_classes)

    def logit(self, params: Params, labels: Labels) -> Tensor:
        """Ability times ease of each label, shape `(..., n_labels)`."""
        return params["ability"][..., labels.worker] * params["log_ease"][..., labels.item].exp()


def _normal(mean: float, scale: float) -> TorchDistribution:
    return dist.Normal(torch.tensor(mean, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))


def _coin(logit: Tensor, n_classes: int) -> Tensor:
    return coin_confusion(logsigmoid(logit), logsigmoid(-logit), n_classes)
