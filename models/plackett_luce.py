"""Plackett-Luce: n of M options taken one after the other, each with probability proportional to exp(logit).

ranked      P(r_1, ..., r_n) = prod_k exp(l_{r_k}) / sum_{j not in r_1..r_{k-1}} exp(l_j)

unordered   P(S) = sum of the above over all orders of S
                 = integral prod_{s in S} (1 - exp(-w_s t)) W exp(-W t) dt,    W = sum_{j not in S} w_j

The second line is the race of `exponential_race`: all of S has come in when the first of the others does. In units of
1/W its integrand peaks between t = 1 and n + 1 whatever the logits, so that one grid serves all of them.

Luce (1959); Plackett (1975).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from .ballot_distribution import BallotDistribution, Shuffled
from .exponential_race import Nodes, depth, expected_gain, log_arrived, nodes


class PlackettLuce(BallotDistribution):
    """Rankings of the best n of M options: n for the best down to 1, 0 for the rest.

    Parameters
    ----------
    logits
        Utilities, shape `batch_shape x M`.
    n
        Options that are ranked, at most M.
    """

    def __init__(self, logits: Tensor, n: int) -> None:
        self.n = n
        super().__init__(logits)

    @property
    def scores(self) -> Tensor:
        """What the options get that are taken first to n-th, shape `(n,)`."""
        return torch.arange(self.n, 0, -1, dtype=self.logits.dtype, device=self.logits.device)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """The scores on any n of the options."""
        return Shuffled(torch.nn.functional.pad(self.scores, (0, self.n_options - self.n)))

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> PlackettLuce:
        """The same distribution over a larger batch."""
        return type(self)(self.logits.expand(*batch_shape, self.n_options), self.n)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Ballots, shape `sample_shape x batch_shape x M`, by the n highest of logits plus Gumbel noise."""
        with torch.no_grad():
            logits = self.logits.expand(self._extended_shape(sample_shape))
            noisy = logits - torch.empty_like(logits).exponential_().log()
            first = noisy.topk(self.n, dim=-1).indices
            return torch.zeros_like(logits).scatter(-1, first, self.scores.expand_as(first))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of ballots `(..., M)`."""
        ordered, _ = self._in_order(value)
        return (ordered - _log_remaining(ordered))[..., : self.n].sum(-1)

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient, and the diagonal of minus the second derivative: both exact."""
        ordered, order = self._in_order(value)
        # Of step k, the chances of those still there: shape (..., n, M).
        share = ordered[..., None, :] - _log_remaining(ordered)[..., : self.n, None]
        gone = torch.ones_like(share, dtype=torch.bool).tril(-1)
        share = share.masked_fill(gone, -math.inf).exp()
        gradient = (value.sort(-1, descending=True).values > 0).to(share) - share.sum(-2)
        return _put_back(gradient, order), _put_back((share * (1 - share)).sum(-2), order)

    @property
    def mean(self) -> Tensor:
        """Expected scores, shape `batch_shape x M`."""
        return expected_gain(self.logits, self.scores)

    def _in_order(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Logits with the options of a ballot first, and which they are."""
        order = value.argsort(dim=-1, descending=True, stable=True)
        shape = torch.broadcast_shapes(self.logits.shape, order.shape)
        order = order.expand(shape)
        return self.logits.expand(shape).gather(-1, order), order


class PlackettLuceSet(PlackettLuce):
    """The same choices without their order: 1 for each of the n options taken, 0 for the rest.

    Parameters
    ----------
    logits
        Utilities, shape `batch_shape x M`.
    n
        Options that are taken, at most M.
    """

    @property
    def scores(self) -> Tensor:
        """Ones, shape `(n,)`."""
        return torch.ones(self.n, dtype=self.logits.dtype, device=self.logits.device)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of ballots `(..., M)`."""
        ordered, _ = self._in_order(value)
        if self.n == self.n_options:
            return 0.0 * ordered.sum(-1)
        y, grid = self._race(ordered)
        return torch.logsumexp(_log_integrand(y, grid), dim=-1) + math.log(grid.step)

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient, and the diagonal of minus the second derivative, by moments over the time t of the race.

        With y_s = l_s + log t and r(y) = e^y / (exp(e^y) - 1), the derivatives under the integral are r(y_s) for s in
        S and 1 - W t for log W; those of the log of the integral are their means, and minus second ones less variances.
        """
        ordered, order = self._in_order(value)
        if self.n == self.n_options:
            return torch.zeros_like(ordered), torch.zeros_like(ordered)
        y, grid = self._race(ordered)
        chance = torch.softmax(_log_integrand(y, grid), dim=-1)
        age = y.clamp(-40.0, 4.0).exp()
        rate = torch.where(y < 4.0, age / torch.expm1(age), 0.0)
        pull = _mean(rate, chance[..., None, :])
        # Log-concave in the logits (Prekopa), hence never below 0 but for rounding.
        curve = _mean(rate * (age + rate - 1), chance[..., None, :])
        inside = (curve - _mean(rate.square(), chance[..., None, :]) + pull.square()).clamp(min=0.0)
        time = grid.x.exp()
        late = _mean(time, chance)[..., None]
        spread = _mean(time.square(), chance)[..., None] - late.square()
        share = torch.softmax(ordered[..., self.n :], dim=-1)
        outside = share.square() * (late - spread) + share * (1 - share) * (late - 1)
        gradient = torch.cat([pull, share * (1 - late)], dim=-1)
        information = torch.cat([inside, outside.clamp(min=0.0)], dim=-1)
        return _put_back(gradient, order), _put_back(information, order)

    def _race(self, ordered: Tensor) -> tuple[Tensor, Nodes]:
        """y_s = l_s + log t of the options in S, shape `(..., n, n_nodes)`, and the grid of log t in units of 1/W."""
        precise, late = depth(ordered), self.n + 1
        # The integrand falls off no slower than t exp(-t) on the left, than Gamma(n + 2) on the right.
        right = math.log(late + math.sqrt(2 * late * precise) + precise)
        grid = nodes(-precise, right, self.n, ordered)
        log_outside = ordered[..., self.n :].logsumexp(-1, keepdim=True)
        return (ordered[..., : self.n] - log_outside)[..., None] + grid.x, grid


def _log_integrand(y: Tensor, grid: Nodes) -> Tensor:
    """Log of prod_s (1 - exp(-exp(y_s))) t exp(-t), shape `(..., n_nodes)`."""
    return log_arrived(y).sum(-2) + grid.x - grid.x.exp()


def _log_remaining(ordered: Tensor) -> Tensor:
    """Log weight of the options from each place on, shape that of `ordered`."""
    return ordered.flip(-1).logcumsumexp(-1).flip(-1)


def _put_back(ordered: Tensor, order: Tensor) -> Tensor:
    """Numbers of the options in their own places."""
    return torch.zeros_like(ordered).scatter(-1, order, ordered)


def _mean(value: Tensor, chance: Tensor) -> Tensor:
    """Mean over the nodes."""
    return (value * chance).sum(-1)
