"""A semi-implicit distribution as one site's own (Yin and Zhou 2018).

q(z)   = E_{omega ~ N(0, I)} q(z | omega)
z      ~ q(z | omega_0)
q_K(z) = (1 / (K + 1)) sum_{k=0}^{K} q(z | omega_k),    omega_0, ..., omega_K independent

The site draws from the first component and is scored by all of them, its own noise included. Then E log q_K(z) falls
to E log q(z) as K grows, so that an ELBO built on it is a bound that rises with K. Without its own component the
average is no bound: it overestimates. Because the mixture is the site's distribution, any stock ELBO and Predictive
work on it; its KL is left to sampling, no closed form being registered.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor


class SemiImplicit(TorchDistribution):
    """The equal mixture of K + 1 components that were made from independent noise.

    Parameters
    ----------
    components
        Batch shape `(K + 1) x batch_shape`. More than one draw (`sample_shape`) takes the components in turn, so that
        draws up to the (K + 1)-th are independent.
    """

    arg_constraints: ClassVar[dict[str, object]] = {}
    has_rsample = True

    def __init__(self, components: TorchDistribution, validate_args: bool | None = None) -> None:
        self.components = components
        super().__init__(components.batch_shape[1:], components.event_shape, validate_args=False)

    @property
    def n_components(self) -> int:
        """K + 1."""
        return int(self.components.batch_shape[0])

    @property
    def support(self) -> object:
        """The components' support."""
        return self.components.support

    @property
    def mean(self) -> Tensor:
        """Mean over the components, shape `batch_shape x event_shape`."""
        return self.components.mean.mean(0)

    @property
    def variance(self) -> Tensor:
        """Their mean variance, and the variance of their means."""
        between = self.components.mean.var(0, correction=0)
        return self.components.variance.mean(0) + between

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draws of shape `sample_shape x batch_shape x event_shape`, each from a component of its own."""
        n = math.prod(sample_shape)
        rounds = -(-n // self.n_components)
        draws = self.components.rsample(torch.Size([rounds])).flatten(0, 1)[:n]
        return draws.reshape(*sample_shape, *self.batch_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log of q_K, shape `sample_shape x batch_shape`."""
        # The components' axis goes right before the batch, whatever sample axes the value has.
        at = value.dim() - len(self.batch_shape) - len(self.event_shape)
        scores = self.components.log_prob(value.unsqueeze(at))
        return torch.logsumexp(scores, dim=at) - math.log(self.n_components)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> SemiImplicit:
        """The same components over a larger batch; nothing is drawn anew."""
        shape = torch.Size(batch_shape)
        if shape == self.batch_shape:
            return self
        return SemiImplicit(self.components.expand(torch.Size([self.n_components, *shape])))
