"""Ratings on an ordered scale: every worker has a bias and a spread, in steps of the scale."""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..cut_normal import CutNormal
from .base import AnnotationModel, Params
from .labels import Labels


@dataclass(frozen=True)
class CutNormalRatings(AnnotationModel):
    """What a worker perceives is normal around the truth, and is rounded to the scale.

    prevalence ~ Dirichlet(prevalence)
    for worker w:
        bias_w      ~ Normal(0, bias_scale)                          in steps of the scale
        log_scale_w ~ Normal(log_scale_mean, log_scale_scale)
    for item t:
        truth_t ~ Categorical(prevalence)
        for label j of item t:
            label_j = Normal(truth_t + bias, scale), cut at the midpoints between levels

    Two numbers a worker stand for the K (K - 1) of a confusion matrix: for rating scales with few labels a worker.

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every level's share; None for equal shares.
    bias_scale
        Prior standard deviation of a bias.
    log_scale_mean, log_scale_scale
        Prior mean and standard deviation of the logarithm of a spread.
    """

    bias_scale: float = 0.5
    log_scale_mean: float = -0.5
    log_scale_scale: float = 0.5

    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Sites `bias` and `log_scale`, shape `(n_workers,)` each."""
        one = torch.ones((), dtype=torch.float64)
        with pyro.plate("workers", labels.n_workers):
            bias = pyro.sample("bias", dist.Normal(0.0 * one, self.bias_scale * one))
            spread = dist.Normal(self.log_scale_mean * one, self.log_scale_scale * one)
            return {"bias": bias, "log_scale": pyro.sample("log_scale", spread)}

    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """Log probabilities of the cut normal at each level."""
        if labels.n_classes == 1:
            return torch.zeros_like(params["bias"])[..., None, None]
        levels = torch.arange(labels.n_classes, dtype=torch.float64)
        location = (params["bias"][..., None] + levels)[..., None]
        scale = params["log_scale"].exp()[..., None, None]
        return CutNormal(location, scale, levels[:-1] + 0.5, validate_args=False).log_prob(levels)
