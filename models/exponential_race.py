"""The exponential race: option j comes in at T_j ~ Exponential(w_j), w_j = exp(logits_j), all independent.

The order of arrival is a Plackett-Luce ranking, so that what depends on the first n alone is an integral over one time.
In x = log t such an integrand is analytic in |Im x| < pi/2 and dies out on both sides, and the trapezoid rule of step h
errs by a multiple of exp(-pi^2 / h): 2e-11 at h = .4, 7e-18 at h = .25 (Trefethen and Weideman 2014).

What an option gains by coming in after k others, g(k) with g(k) = 0 from k = n on, is worth on average

E g(N_j) = integral w_j t exp(-w_j t) E[g(N_j(t))] dx

where N_j(t), how many of the others came in by t, is a sum of Bernoullis of 1 - exp(-w_i t). Its expectation for every
j at once is a product of what the options before j and those after j do, each one pass over the options.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Rows, nodes, numbers and options of a block together: about 64 MB in float32.
_BLOCK = 2**24


class Nodes(NamedTuple):
    """Equally spaced x = log t, shape `(n_nodes,)`, and their step."""

    x: Tensor
    step: float


def nodes(left: float, right: float, n: int, like: Tensor) -> Nodes:
    """Nodes from `left` to `right` at least, for the first n to come in, in the precision of `like`."""
    finest, narrow = (0.25, 0.6) if like.dtype == torch.float64 else (0.4, 1.0)
    # The n-th comes in at a time that is known ever better, on the scale of its logarithm: measured, the log
    # probability of a choice errs by less than 1e-5 (float32) and 1e-10 (float64) for n = 1 to 30.
    step = min(finest, narrow / math.sqrt(n + 1))
    count = 1 + math.ceil((right - left) / step)
    return Nodes(left + step * torch.arange(count, dtype=like.dtype, device=like.device), step)


def depth(like: Tensor) -> float:
    """L with exp(-L) the precision of `like`."""
    return -math.log(torch.finfo(like.dtype).eps)


def log_arrived(y: Tensor) -> Tensor:
    """log(1 - exp(-exp(y))): log probability that an option has come in by y = logit + log t."""
    # Beyond -40 it is y, beyond 4 it is 0, to the last digit of float64.
    return torch.where(y < -40.0, y, torch.log(-torch.expm1(-y.clamp(-40.0, 4.0).exp())))


def expected_gain(logits: Tensor, gain: Tensor) -> Tensor:
    """E g(N_j) of every option, shape that of `logits`.

    Parameters
    ----------
    logits
        Shape `(..., M)`.
    gain
        g(0), ..., g(n - 1), what an option gains by coming in first to n-th.
    """
    flat = _without_gulfs(logits.reshape(-1, logits.shape[-1]), len(gain))
    flat = flat - flat.max(-1, keepdim=True).values
    precise = depth(flat)
    # No later than the first n + 1 options have come in, at the latest when the last has.
    slowest = flat.sort(-1, descending=True).values[:, min(len(gain), flat.shape[-1] - 1)]
    right = math.log(precise + math.log(len(gain) + 1)) - float(slowest.detach().min()) if len(flat) else 0.0
    grid = nodes(-precise, right, len(gain), flat)
    rows = max(1, _BLOCK // (len(grid.x) * len(gain) * flat.shape[-1]))
    parts = [_expected_gain(part, gain, grid) for part in flat.split(rows)]
    return torch.cat(parts).reshape(logits.shape)


def _expected_gain(logits: Tensor, gain: Tensor, grid: Nodes) -> Tensor:
    """The same of a few rows, `(n_rows, M)`, on a grid."""
    # By exp(6) times its mean every option has come in; without the clamp, single precision overflows.
    hazard = (logits[..., None] + grid.x).clamp(max=6.0).exp()
    waiting, arrived = torch.exp(-hazard)[..., None], -torch.expm1(-hazard)[..., None]
    n_options = logits.shape[-1]
    # What coming in after k of those before j is worth, those after j averaged out.
    worth = [gain.expand(*hazard.shape[:1], *hazard.shape[2:], len(gain))]
    for j in range(n_options - 1, 0, -1):
        later = torch.nn.functional.pad(worth[-1][..., 1:], (0, 1))
        worth.append(waiting[:, j] * worth[-1] + arrived[:, j] * later)
    before = torch.zeros_like(worth[0])
    before[..., 0] = 1.0
    means = []
    for j in range(n_options):
        value = (before * worth[n_options - 1 - j]).sum(-1)
        means.append((hazard[:, j] * waiting[:, j, :, 0] * value).sum(-1) * grid.step)
        before = waiting[:, j] * before + arrived[:, j] * torch.nn.functional.pad(before[..., :-1], (1, 0))
    return torch.stack(means, dim=-1)


def _without_gulfs(logits: Tensor, n: int) -> Tensor:
    """Logits whose n + 1 highest lie at most 40 apart, one from the next: beyond, their order is certain anyway."""
    ordered, order = logits.sort(-1, descending=True)
    n = min(n, logits.shape[-1] - 1)
    excess = (ordered[:, :n] - ordered[:, 1 : n + 1] - 40.0).clamp(min=0.0).cumsum(-1)
    lifted = torch.cat([ordered[:, :1], ordered[:, 1 : n + 1] + excess, ordered[:, n + 1 :] + excess[:, -1:]], dim=-1)
    return torch.zeros_like(logits).scatter(-1, order, lifted)
