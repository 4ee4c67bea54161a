"""The normal clipped to the bounds of a scale: a density between them, probability mass at them.

y = min(max(Normal(m, s), low), high)

log p(y) = log phi((y - m) / s) - log s       low < y < high
           log Phi((low - m) / s)             y = low
           log Phi((m - high) / s)            y = high

E y      = low + s [g((m - low) / s) - g((m - high) / s)],    g(z) = z Phi(z) + phi(z)

The location m and the scale s are in the unit of the response and may lie beyond the bounds, so that y_ref + delta
keeps the additive form of the paper's Eq. 2. It is the tobit of Tobin (1958), with a bound on either side.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.special import ndtr

from .log_normal_cdf import hazard, log_normal_cdf

_LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)


class CensoredNormal(TorchDistribution):
    """Answers in `[low, high]` from a latent normal that is clipped there.

    Parameters
    ----------
    loc, scale
        Location and scale of the latent normal in the unit of the response.
    low, high
        The bounds; either may be infinite.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = False

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        low: float = -math.inf,
        high: float = math.inf,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.low, self.high = low, high
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """The interval of the bounds."""
        return constraints.interval(self.low, self.high)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> CensoredNormal:
        """The same distribution over a larger batch."""
        shape = torch.Size(batch_shape)
        return CensoredNormal(
            self.loc.expand(shape), self.scale.expand(shape), self.low, self.high, validate_args=False
        )

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Answers, shape `sample_shape x batch_shape`."""
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            latent = self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            return latent.clamp(self.low, self.high)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density between the bounds, log probability at them."""
        z = (value - self.loc) / self.scale
        inside = -0.5 * z.square() - self.scale.log() - _LOG_ROOT_TAU
        if math.isfinite(self.low):
            inside = torch.where(value <= self.low, log_normal_cdf(z), inside)
        if math.isfinite(self.high):
            inside = torch.where(value >= self.high, log_normal_cdf(-z), inside)
        return inside

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the log probability about the location, and minus its second derivative."""
        z = (value - self.loc) / self.scale
        gradient, information = z, torch.ones_like(z)
        for bound, sign in ((self.low, 1.0), (self.high, -1.0)):
            if not math.isfinite(bound):
                continue
            at = value <= bound if sign > 0 else value >= bound
            pull = hazard(sign * z)
            gradient = torch.where(at, -sign * pull, gradient)
            # In (0, 1) by theory; far out, rounding leaves it.
            information = torch.where(at, (pull * (pull + sign * z)).clamp(0.0, 1.0), information)
        return gradient / self.scale, information / self.scale.square()

    @property
    def mean(self) -> Tensor:
        """Expected answer, shape `batch_shape`."""
        if math.isfinite(self.low):
            mean = self.low + self.scale * _expected_excess((self.loc - self.low) / self.scale)
            if math.isfinite(self.high):
                mean = mean - self.scale * _expected_excess((self.loc - self.high) / self.scale)
        elif math.isfinite(self.high):
            mean = self.high - self.scale * _expected_excess((self.high - self.loc) / self.scale)
        else:
            return self.loc
        return mean.clamp(self.low, self.high)


def _expected_excess(z: Tensor) -> Tensor:
    """E max(Normal(z, 1), 0)."""
    return z * ndtr(z) + torch.exp(-0.5 * z.square() - _LOG_ROOT_TAU)
