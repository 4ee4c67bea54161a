"""The urn of Polya: n points, each a fresh opinion or one more for an option that has some already.

P(next point to j | x_j points of x so far) = (a_j + x_j) / (A + x),    a = c M softmax(l),  A = c M

P(x) = n! / prod_j x_j!  prod_j a_j (a_j + 1) ... (a_j + x_j - 1) / (A (A + 1) ... (A + n - 1))

This is the Dirichlet-multinomial, written so that no gamma function of a tiny or a huge number is taken: c towards 0
puts all points on one option, c towards infinity is the multinomial, and both are reached without a NaN.

Eggenberger and Polya (1923).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from .ballot_distribution import BallotDistribution


class PolyaUrn(BallotDistribution):
    """n whole points spread over M options.

    Parameters
    ----------
    logits
        Utilities, shape `batch_shape x M`.
    concentration
        c, positive, shape `batch_shape`.
    n
        Points.
    """

    def __init__(self, logits: Tensor, concentration: Tensor, n: int) -> None:
        self.n = n
        shape = torch.broadcast_shapes(logits.shape[:-1], concentration.shape)
        super().__init__(logits.expand(*shape, logits.shape[-1]))
        self.concentration = concentration.expand(shape)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Whole numbers that sum to n."""
        return constraints.multinomial(self.n)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> PolyaUrn:
        """The same distribution over a larger batch."""
        return PolyaUrn(
            self.logits.expand(*batch_shape, self.n_options), self.concentration.expand(batch_shape), self.n
        )

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Ballots, shape `sample_shape x batch_shape x M`, one point after the other."""
        with torch.no_grad():
            log_weight = self._log_weight.expand(self._extended_shape(sample_shape))
            points = torch.zeros_like(log_weight)
            for _ in range(self.n):
                held = torch.logaddexp(log_weight, points.log())
                noisy = held - torch.empty_like(held).exponential_().log()
                points.scatter_add_(-1, noisy.argmax(-1, keepdim=True), torch.ones_like(points[..., :1]))
            return points

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of ballots `(..., M)`."""
        steps = self._steps
        weight = self._log_weight
        # The first factor by its logarithm: a_j may underflow.
        further = (torch.log(weight.exp()[..., None] + steps) * (steps < value[..., None])).sum(-1)
        rising = torch.where(value > 0, weight + further, 0.0).sum(-1)
        total = self._log_total
        below = total + torch.log(total.exp()[..., None] + steps).sum(-1)
        ways = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)
        return ways + rising - below

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient, exact; the information is that of the fresh opinions alone.

        Of the points of option j, u_j = sum_{i < x_j} a_j / (a_j + i) are fresh opinions on average, U in all. The
        gradient is u_j - U softmax(l)_j; a multinomial of U opinions has the information U p_j (1 - p_j).
        """
        steps = self._steps
        weight = self._log_weight.exp()[..., None]
        repeated = (weight / (weight + steps) * (steps < value[..., None])).sum(-1)
        fresh = torch.where(value > 0, 1.0 + repeated, 0.0)
        total, share = fresh.sum(-1, keepdim=True), torch.softmax(self.logits, dim=-1)
        return fresh - total * share, total * share * (1 - share)

    @property
    def mean(self) -> Tensor:
        """Expected points, shape `batch_shape x M`."""
        return self.n * torch.softmax(self.logits, dim=-1)

    @property
    def _steps(self) -> Tensor:
        """1, ..., n - 1."""
        return torch.arange(1, self.n, dtype=self.logits.dtype, device=self.logits.device)

    @property
    def _log_total(self) -> Tensor:
        """Log of A = c M, shape `batch_shape`."""
        return self.concentration.log() + math.log(self.n_options)

    @property
    def _log_weight(self) -> Tensor:
        """Log of a, shape `batch_shape x M`."""
        return torch.log_softmax(self.logits, dim=-1) + self._log_total[..., None]
