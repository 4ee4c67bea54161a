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

import torch
from torch import Tensor

from .draw_mixture import DrawMixture


class SemiImplicit(DrawMixture):
    """The equal mixture of K + 1 components that were made from independent noise.

    Parameters
    ----------
    components
        Batch shape `(K + 1) x batch_shape`. More than one draw (`sample_shape`) takes the components in turn, so that
        draws up to the (K + 1)-th are independent.
    """

    has_rsample = True

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draws of shape `sample_shape x batch_shape x event_shape`, each from a component of its own."""
        n = math.prod(sample_shape)
        rounds = -(-n // self.n_components)
        drawn = self.components.rsample(torch.Size([rounds])).movedim(self._axis, 1)
        return drawn.flatten(0, 1)[:n].reshape(*sample_shape, *self.batch_shape, *self.event_shape)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """`rsample` without its gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)
