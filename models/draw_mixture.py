"""The equal mixture over draws: what is left of a distribution when its location is averaged over J beliefs."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor


class DrawMixture(TorchDistribution):
    """The equal mixture of the components along one batch axis of a distribution.

    log p(y) = logsumexp_j log p_j(y) - log J

    Parameters
    ----------
    components
        Batch shape `J x batch_shape`.
    n_right
        Batch axes to the right of that of the components, where it is not the first: `expand` adds axes before it.
    """

    arg_constraints: ClassVar[dict[str, object]] = {}

    def __init__(self, components: TorchDistribution, n_right: int | None = None) -> None:
        self.components = components
        self.n_right = len(components.batch_shape) - 1 if n_right is None else n_right
        shape = list(components.batch_shape)
        del shape[-self.n_right - 1]
        super().__init__(torch.Size(shape), components.event_shape, validate_args=False)

    @property
    def n_components(self) -> int:
        """J."""
        return int(self.components.batch_shape[-self.n_right - 1])

    @property
    def support(self) -> object:
        """The components' support."""
        return self.components.support

    @property
    def probs(self) -> Tensor:
        """Probabilities of the levels, shape `batch_shape x n_levels`."""
        probs: Tensor = self.components.probs.mean(-self.n_right - 2)
        return probs

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture, shape `batch_shape x event_shape`."""
        mean: Tensor = self.components.mean.mean(self._axis)
        return mean

    @property
    def variance(self) -> Tensor:
        """The components' mean variance, and the variance of their means."""
        between = self.components.mean.var(self._axis, correction=0)
        variance: Tensor = self.components.variance.mean(self._axis) + between
        return variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mean-exp over the components, shape `sample_shape x batch_shape`."""
        # A value of fewer axes, such as one answer to all, needs none of its own for the components.
        if value.dim() > self.n_right + len(self.event_shape) - 1:
            value = value.unsqueeze(value.dim() + 1 + self._axis)
        scores = self.components.log_prob(value)
        return torch.logsumexp(scores, dim=-self.n_right - 1) - math.log(self.n_components)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """One answer from one component, shape `sample_shape x batch_shape x event_shape`."""
        with torch.no_grad():
            answers = self.components.sample(sample_shape).movedim(self._axis, 0)
            rows = (*sample_shape, *self.batch_shape)
            chosen = torch.randint(len(answers), rows, device=answers.device)
            chosen = chosen.reshape(1, *rows, *(1 for _ in self.event_shape)).expand(1, *answers.shape[1:])
            return answers.gather(0, chosen)[0]

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> Self:
        """The same components over a larger batch; nothing is drawn anew."""
        shape = list(batch_shape)
        if torch.Size(shape) == self.batch_shape:
            return self
        shape.insert(len(shape) - self.n_right, self.n_components)
        return type(self)(self.components.expand(torch.Size(shape)), self.n_right)

    @property
    def _axis(self) -> int:
        """Of the components, in a value of theirs."""
        return -self.n_right - 1 - len(self.event_shape)
