"""Approval ballots: every option is approved or not, independently given its logit.

P(y) = prod_j p_j^{y_j} (1 - p_j)^{1 - y_j},    p_j = 1 / (1 + exp(-l_j))
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import softplus

from .ballot_distribution import BallotDistribution


class Approvals(BallotDistribution):
    """Any number of M options: 1 for an approved one, 0 for the rest.

    Parameters
    ----------
    logits
        Log odds of approval, shape `batch_shape x M`.
    """

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Zeros and ones."""
        return constraints.independent(constraints.boolean, 1)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> Approvals:
        """The same distribution over a larger batch."""
        return Approvals(self.logits.expand(*batch_shape, self.n_options))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Ballots, shape `sample_shape x batch_shape x M`."""
        with torch.no_grad():
            return torch.bernoulli(self.mean.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of ballots `(..., M)`."""
        return (value * self.logits - softplus(self.logits)).sum(-1)

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Votes less their probabilities, and the variances: exact."""
        return value - self.mean, self.mean * (1 - self.mean)

    @property
    def mean(self) -> Tensor:
        """Probabilities of approval, shape `batch_shape x M`."""
        return torch.sigmoid(self.logits)
