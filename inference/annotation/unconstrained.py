"""The parameters of a model of annotation as one vector of real numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pyro import poutine
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import Transform, biject_to

from ...models.annotation.base import AnnotationModel, Params
from ...models.annotation.labels import Labels
from ..runtime import seeded

# Of unconstrained coordinates: a probability of 3e-4.
_INSIDE = 8.0


@dataclass(frozen=True)
class Unconstrained:
    """Coordinates of all sites that a model draws before the truth.

    Attributes
    ----------
    priors
        Distribution of each site, by name.
    transforms
        From its coordinates to its support.
    """

    priors: Mapping[str, TorchDistributionMixin]
    transforms: Mapping[str, Transform]

    @classmethod
    def of(cls, model: AnnotationModel, labels: Labels) -> Unconstrained:
        """Those of a model of these labels; supports must not depend on other sites."""
        priors = prior_dists(model, labels)
        return cls(priors, {name: biject_to(prior.support) for name, prior in priors.items()})

    def vector(self, params: Params) -> Tensor:
        """Coordinates of these values, in one row."""
        return torch.cat([self.transforms[name].inv(params[name]).flatten() for name in self.priors])

    def params(self, vector: Tensor) -> dict[str, Tensor]:
        """Values at these coordinates, by site."""
        shapes = {name: self.transforms[name].inverse_shape(prior.shape()) for name, prior in self.priors.items()}
        pieces = vector.split([torch.Size(shape).numel() for shape in shapes.values()])
        pairs = zip(shapes.items(), pieces, strict=True)
        return {name: self.transforms[name](piece.reshape(shape)) for (name, shape), piece in pairs}

    def inside(self, params: Params) -> dict[str, Tensor]:
        """These values, moved off the edge of their supports where a point estimate may lie and no gradient is."""
        return self.params(self.vector(params).nan_to_num().clamp(-_INSIDE, _INSIDE))


def prior_dists(model: AnnotationModel, labels: Labels) -> dict[str, TorchDistributionMixin]:
    """Distribution of each parameter given one draw of those before it, by site."""
    with seeded(0), torch.no_grad():
        nodes = poutine.trace(model.parameters).get_trace(labels).nodes
    # Plates are traced as sites too, of their subsample.
    return {name: node["fn"] for name, node in nodes.items() if isinstance(node.get("fn"), TorchDistributionMixin)}
