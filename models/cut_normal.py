"""The normal cut between the levels of an ordinal scale, open at both ends.

P(y = k) = Phi((c_k - m) / s) - Phi((c_{k-1} - m) / s),    c_{-1} = -inf,  c_{K-1} = +inf

The location m and the scale s are in the unit of the response, so that y_ref + delta keeps the
additive form of the paper's Eq. 2; the ordered probit of McKelvey and Zavoina (1975).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.special import ndtr

from .log_normal_cdf import OPEN, log_interval


class CutNormal(TorchDistribution):
    """Ordinal answers `0..n_levels-1` from a latent normal and `n_levels - 1` cut points.

    Parameters
    ----------
    loc, scale
        Location and scale of the latent normal in the unit of the response, shape `batch_shape`.
    cuts
        Increasing cut points in the same unit, shape `batch_shape x (n_levels - 1)`.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "cuts": constraints.real_vector,
    }
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, cuts: Tensor, validate_args: bool | None = None) -> None:
        shape = _broadcast(_broadcast(loc.shape, scale.shape), cuts.shape[:-1])
        self.loc, self.scale = loc.expand(shape), scale.expand(shape)
        self.cuts = cuts.expand(*shape, cuts.shape[-1])
        super().__init__(shape, validate_args=validate_args)

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return self.cuts.shape[-1] + 1

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """Codes `0..n_levels-1`."""
        return constraints.integer_interval(0, self.n_levels - 1)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> CutNormal:
        """The same distribution over a larger batch."""
        shape = torch.Size(batch_shape)
        if shape == self.batch_shape:
            return self
        return CutNormal(
            self.loc.expand(shape),
            self.scale.expand(shape),
            self.cuts.expand(*shape, self.cuts.shape[-1]),
            validate_args=False,
        )

    @property
    def probs(self) -> Tensor:
        """Probabilities of the levels, shape `batch_shape x n_levels`."""
        below = ndtr((self.cuts - self.loc[..., None]) / self.scale[..., None])
        return torch.diff(
            below, dim=-1, prepend=torch.zeros_like(below[..., :1]), append=torch.ones_like(below[..., :1])
        )

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Codes as floats, shape `sample_shape x batch_shape`."""
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            latent = self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            return (latent[..., None] > self.cuts).sum(-1).to(self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of codes, computed in the nearer tail so that no answer underflows."""
        code = value.long()
        shape = _broadcast(code.shape, self.loc.shape)
        code, cuts = code.expand(shape), self.cuts.expand(*shape, self.cuts.shape[-1])
        last = self.cuts.shape[-1] - 1
        upper = cuts.gather(-1, code.clamp(max=last)[..., None])[..., 0]
        lower = cuts.gather(-1, (code - 1).clamp(min=0)[..., None])[..., 0]
        high = ((upper - self.loc) / self.scale).masked_fill(code > last, OPEN)
        low = ((lower - self.loc) / self.scale).masked_fill(code < 1, -OPEN)
        return log_interval(low, high)

    @property
    def mean(self) -> Tensor:
        """Expected code, shape `batch_shape`."""
        return (self.probs * torch.arange(self.n_levels, dtype=self.loc.dtype, device=self.loc.device)).sum(-1)


def _broadcast(one: torch.Size, other: torch.Size) -> torch.Size:
    """Shape of both together; the usual case of equal shapes is spared torch's slow general one."""
    return one if one == other else torch.broadcast_shapes(one, other)
