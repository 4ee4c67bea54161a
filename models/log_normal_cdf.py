"""log Phi, and the log of a difference of two, with gradients that are right far out.

d/dz log Phi(z) = phi(z) / Phi(z)
                = -z / (1 - 1/z^2 + 3/z^4 - 15/z^6 + 105/z^8 - ...)      z << 0  (Laplace)
log(Phi(b) - Phi(a)) = log Phi(b) + log(1 - exp(log Phi(a) - log Phi(b))),   by symmetry in the nearer tail

torch takes the ratio as the exponential of a difference of squares everywhere: in single precision it is off by a
twentieth at z = -1,000 and seven times too high or 0 beyond, where a location far off the scale needs it most.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.special import log_ndtr

_LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)
# Here the difference of squares has an error of 3e-5 in single precision, and the series one of 2e-12.
_FAR = -30.0
# An end that is open: the normal has nothing beyond, in either precision.
OPEN = 1e8


class _LogNormalCdf(torch.autograd.Function):
    """torch's value, our gradient."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        value = log_ndtr(z)
        ctx.save_for_backward(z, value)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        z, value = ctx.saved_tensors
        return grads[0] * _ratio(z, value)


def log_normal_cdf(z: Tensor) -> Tensor:
    """Log Phi(z)."""
    value: Tensor = _LogNormalCdf.apply(z)
    return value


def hazard(z: Tensor) -> Tensor:
    """phi(z) / Phi(z)."""
    return _ratio(z, log_normal_cdf(z))


class _LogInterval(torch.autograd.Function):
    """Both ends at once, the gradient in closed form: .27 ms for 1,250 answers, where the tape took .34."""

    @staticmethod
    def forward(ctx: Any, low: Tensor, high: Tensor) -> Tensor:
        flip = low + high > 0
        z = torch.stack([torch.where(flip, -high, low), torch.where(flip, -low, high)])
        ends = log_ndtr(z)
        gap = (ends[1] - ends[0]).clamp_(min=torch.finfo(z.dtype).tiny ** 0.5)
        value = gap.neg_().expm1_().neg_().log_().add_(ends[1])
        ctx.save_for_backward(z, ends, value, flip)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        z, ends, value, flip = ctx.saved_tensors
        lower, upper = (_ratio(z, ends) * (ends - value).exp_() * grads[0]).unbind(0)
        return torch.where(flip, -upper, -lower), torch.where(flip, lower, upper)


def log_interval(low: Tensor, high: Tensor) -> Tensor:
    """Log of Phi(high) - Phi(low), low < high of one shape; an end at -OPEN or OPEN is open. No second derivative."""
    value: Tensor = _LogInterval.apply(low, high)
    return value


def _ratio(z: Tensor, value: Tensor) -> Tensor:
    """phi(z) / Phi(z), given log Phi(z); of no account where z is open."""
    beyond = z < _FAR
    near = torch.addcmul(-_LOG_ROOT_TAU - value, z, z, value=-0.5).masked_fill_(beyond, -math.inf).exp_()
    # A look that spares nine operations: hardly any batch has an answer so far out.
    if not (beyond & (z > -OPEN)).any():
        return near
    far = z.clamp(max=_FAR)
    u = far.square().reciprocal()
    return torch.where(beyond, -far / (1 - u * (1 - 3 * u * (1 - 5 * u * (1 - 7 * u)))), near)
