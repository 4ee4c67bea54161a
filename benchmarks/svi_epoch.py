"""An epoch of SVI against the same model in plain torch: same layers, order, draws and optimiser, one thread.

The peer is written as one would write it without Pyro: one function for the loss, problems encoded once, each answer's
row gathered once, the KL in closed form; no trace, no plate, no distribution object. Both take the same minibatches and
the same draws of eps; their losses must stay equal to 1e-5 from step to step, or the benchmark stops.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyro
import torch
from timing import Table, clock
from torch import Tensor
from torch.nn.functional import silu, softplus
from torch.special import log_ndtr

from crowdpyro import CrowdConfig, Ordinal
from crowdpyro.fitted import build_model
from crowdpyro.inference import PredictiveELBO
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import Batch

REPEATS = 22
COLUMNS = ("ours", "peer", "ours / peer (range)", "largest difference of losses")
UNIT = math.log(math.expm1(1.0))


def people(n_people: int, n_problems: int, n_each: int, seed: int = 0) -> Batch:
    """Answers of `n_people` to `n_each` of the problems, on five levels."""
    rng = np.random.default_rng(seed)
    problem = np.concatenate([np.sort(rng.permutation(n_problems)[:n_each]) for _ in range(n_people)])
    return Batch(
        features=torch.as_tensor(rng.normal(size=(n_problems, 42)) / 6, dtype=torch.float32),
        known=torch.arange(n_problems),
        reference=torch.as_tensor(rng.uniform(2, 4, n_problems), dtype=torch.float32),
        profile=torch.as_tensor(rng.normal(size=(n_people, 10)) / 3, dtype=torch.float32),
        rows=torch.arange(n_people),
        participant=torch.arange(n_people).repeat_interleave(n_each),
        problem=torch.as_tensor(problem),
        response=torch.as_tensor(rng.integers(5, size=len(problem)), dtype=torch.float32),
        participation=torch.ones(()),
        population=n_people,
    )


class Plain:
    """The parameters of a model and its guide, and the loss as a function of them."""

    def __init__(self, model: torch.nn.Module, guide: torch.nn.Module) -> None:
        self.w = {
            f"{part}.{name}": value.detach().clone().requires_grad_()
            for part, module in (("model", model), ("guide", guide))
            for name, value in module.named_parameters()
        }
        self.widths, self.n_eps = model.encoder.widths, model.n_eps
        self.spread, self.half = model.belief.spread, model.blender.spread
        self.weight_scale, self.offset_scale = model.belief.weight_scale, model.encoder.offset_scale
        self.levels, self.midpoints = model.blender.levels, model.blender.midpoints

    def loss(self, batch: Batch, beta: float = 1.0) -> Tensor:
        """Negative bound in nats per answer."""
        w, n_hidden = self.w, self.widths[0]
        who = batch.participant
        table = torch.addmm(w["model.encoder.affine.bias"], batch.features, w["model.encoder.affine.weight"].T)
        table = torch.cat([table[:, :n_hidden], table[:, n_hidden:] + w["model.encoder.offset"]], dim=1)
        row, reference = table.index_select(0, batch.problem), batch.reference[batch.problem]
        hidden_x, shift_x, loadings, shape = row.split(self.widths, dim=1)
        cuts = self.cuts(shape)
        noise = self.half * softplus(shape[:, 0] + UNIT).clamp(min=1e-3)
        # Belief at eps = 0, for the guide.
        wh, ws = w["model.belief.hidden.weight"], w["model.belief.scale.weight"]
        n_profile = batch.profile.shape[1]
        hidden_v = batch.profile @ wh[:, :n_profile].T
        shift_v = batch.profile @ w["model.belief.shift.weight"].T
        spread_v = batch.profile @ ws[:, :n_profile].T
        base_x = reference + shift_x[:, 0]
        loc, scale = self.belief(hidden_x + hidden_v.index_select(0, who), spread_v.index_select(0, who))
        base = base_x + shift_v.index_select(0, who)[:, 0]
        information = (noise.square() + scale.square()).reciprocal()
        response = batch.response.long()
        gradient = (self.levels[response] - base - loc) * information
        correction = torch.addmm(
            w["guide.correction.bias"], torch.cat([row, gradient[:, None]], 1), w["guide.correction.weight"].T
        )
        weight = correction[:, 0].exp()
        outer = (loadings * (weight * information)[:, None])[:, :, None] * loadings[:, None, :]
        linear = loadings * (weight * gradient)[:, None] + correction[:, 1:]
        n_people, n_eps = batch.n_participants, self.n_eps
        precision = torch.eye(n_eps).expand(n_people, -1, -1).index_add(0, who, outer)
        evidence = torch.zeros(n_people, n_eps).index_add(0, who, linear)
        mirrored = torch.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1).mT
        root = torch.linalg.solve_triangular(mirrored, torch.eye(n_eps).expand_as(precision), upper=False)
        mean = (root @ (root.mT @ evidence[..., None]))[..., 0]
        eps = mean + (root @ torch.randn(n_people, n_eps)[..., None])[..., 0]
        log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        kl = 0.5 * (root.square().sum((-2, -1)) + mean.square().sum(-1) - n_eps) - log_det
        # Belief and answer given eps.
        hidden_z = (hidden_v + eps @ wh[:, n_profile:].T).index_select(0, who)
        loc, scale = self.belief(hidden_x + hidden_z, (spread_v + eps @ ws[:, n_profile:].T).index_select(0, who))
        loc = base + loc + (loadings * eps.index_select(0, who)).sum(-1)
        scale = (noise.square() + scale.square()).sqrt()
        log_prob = cut_normal(response, loc, scale, cuts)
        squares = torch.stack(
            [w[f"model.belief.{name}.weight"].square().sum() for name in ("hidden", "shift", "scale", "readout")]
        ).sum()
        prior = -0.5 * squares / self.weight_scale**2
        prior = prior - 0.5 * (
            (w["model.encoder.affine.weight"] / self.weight_scale).square().sum()
            + (w["model.encoder.offset"] / self.offset_scale).square().sum()
        )
        bound = batch.weight * (log_prob.sum() - beta * kl.sum()) + prior
        return -bound / (batch.weight * batch.n_answers)

    def belief(self, hidden: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Network's part of the mean, and the scale, of delta."""
        w = self.w
        out = torch.addmm(w["model.belief.readout.bias"], silu(hidden), w["model.belief.readout.weight"].T)
        return out[:, 0], self.spread * softplus(out[:, 1] + spread[:, 0] + UNIT).clamp(min=1e-3)

    def cuts(self, shape: Tensor) -> Tensor:
        """Cut points of every answer's problem."""
        first, last = self.midpoints[:1], self.midpoints[-1:]
        share = torch.softmax(self.midpoints.diff().log() + shape[:, 2:], dim=-1)
        inner = first + (last - first) * share[:, :-1].cumsum(-1)
        cuts = torch.cat([first.expand(len(shape), 1), inner, last.expand(len(shape), 1)], dim=-1)
        middle = (first + last) / 2
        return middle + softplus(shape[:, 1:2] + UNIT) * (cuts - middle)


def cut_normal(code: Tensor, loc: Tensor, scale: Tensor, cuts: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)) in the nearer tail."""
    last = cuts.shape[1] - 1
    upper = cuts.gather(1, code.clamp(max=last)[:, None])[:, 0]
    lower = cuts.gather(1, (code - 1).clamp(min=0)[:, None])[:, 0]
    high = torch.where(code > last, 1e8, (upper - loc) / scale)
    low = torch.where(code < 1, -1e8, (lower - loc) / scale)
    flip = low + high > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    log_high = log_ndtr(high)
    gap = (log_high - log_ndtr(low)).clamp(min=torch.finfo(low.dtype).tiny ** 0.5)
    return log_high + torch.log(-torch.expm1(-gap))


def epoch(loss: Callable[[Batch], Tensor], optimizer: torch.optim.Optimizer, data: Batch, seed: int) -> list[float]:
    """One pass over the people in minibatches of 50; the loss of every step."""
    losses = []
    with seeded(seed):
        for chosen in torch.randperm(data.n_participants).split(50):
            batch = data.people(chosen)
            optimizer.zero_grad(set_to_none=True)
            value = loss(batch)
            value.backward()
            optimizer.step()
            losses.append(value.item())
    return losses


def main() -> None:
    """Three sizes: the survey of the demo, the ratings of the first study, and a larger survey."""
    table = Table(
        "An epoch of SVI (the peer is the same model in plain torch)", ("people x answers of problems", *COLUMNS)
    )
    pyro.enable_validation(False)
    for n_people, n_each, n_problems in ((200, 25, 25), (262, 50, 1500), (1000, 50, 300)):
        data = people(n_people, n_problems, n_each)
        with seeded(0):
            model, guide = build_model(
                Ordinal.range(1, 5), CrowdConfig(), 1.2, n_features=42, n_known=n_problems, n_profile=10
            )
        plain = Plain(model, guide)
        ours = _ours(model, guide), _adam([*model.parameters(), *guide.parameters()])
        peer = plain.loss, _adam(list(plain.w.values()))
        times, apart = [], 0.0
        for seed in range(REPEATS):
            losses: list[list[float]] = []
            times.append(
                [clock(lambda each=each: losses.append(epoch(*each, data, seed))) for each in (ours, peer)]  # noqa: B023
            )
            apart = max(apart, *(abs(a - b) for a, b in zip(*losses, strict=True)))
        if apart > 1e-5:
            raise SystemExit(f"the losses of the two differ by {apart}")
        ratios = sorted(mine / theirs for mine, theirs in times[2:])
        mine, theirs = (statistics.median(each) for each in zip(*times[2:], strict=True))
        table.add(
            f"{n_people:,} x {n_each} of {n_problems:,}",
            f"{1e3 * mine:.1f} ms",
            f"{1e3 * theirs:.1f} ms",
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            f"{apart:.0e}",
        )
    table.close()


def _ours(model: torch.nn.Module, guide: torch.nn.Module) -> Callable[[Batch], Tensor]:
    """A step of `crowdpyro.inference.training`: problems encoded once, then the bound in nats per answer."""
    elbo = PredictiveELBO()

    def loss(batch: Batch) -> Tensor:
        batch = replace(batch, met=model.met(batch))
        return elbo.differentiable_loss(model, guide, batch) / (batch.weight * batch.n_answers)

    return loss


def _adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-2, foreach=True)


if __name__ == "__main__":
    main()
