"""The equal mixture over draws: what is left of a distribution when its location is averaged over J beliefs."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor


class DrawMixture(TorchDistribution):
    """The equal mixture of the components along a distribution's first batch axis.

    log p(y) = logsumexp_j log p_j(y) - log J
    """

    arg_constraints: ClassVar[dict[str, object]] = {}

    def __init__(self, components: TorchDistribution) -> None:
        self.components = components
        super().__init__(components.batch_shape[1:], components.event_shape, validate_args=False)

    @property
    def support(self) -> object:
        """The components' support."""
        return self.components.support

    @property
    def probs(self) -> Tensor:
        """Probabilities of the levels, shape `batch_shape x n_levels`."""
        probs: Tensor = self.components.probs.mean(0)
        return probs

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture."""
        return self.components.mean.mean(0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mean-exp over the components."""
        # The components' axis goes right before the batch, whatever sample axes the value has.
        at = max(value.dim() - len(self.batch_shape) - len(self.event_shape), 0)
        scores = self.components.log_prob(value.unsqueeze(at))
        return torch.logsumexp(scores, dim=at) - math.log(self.components.batch_shape[0])

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """One answer from one component, shape `sample_shape x batch_shape x event_shape`."""
        answers = self.components.sample(sample_shape).movedim(len(sample_shape), 0)
        rows = (*sample_shape, *self.batch_shape)
        chosen = torch.randint(len(answers), rows, device=answers.device)
        chosen = chosen.reshape(1, *rows, *(1 for _ in self.event_shape)).expand(1, *answers.shape[1:])
        return answers.gather(0, chosen)[0]

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> DrawMixture:
        """The same mixture over a larger batch."""
        first = self.components.batch_shape[:1]
        return DrawMixture(self.components.expand(torch.Size([*first, *batch_shape])))
