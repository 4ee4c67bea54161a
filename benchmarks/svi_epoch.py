"""An epoch of SVI against the same model in plain torch: same layers, order, draws and optimiser, one thread.

The peer is written as one would write it without Pyro: one function for the loss, problems encoded once, each answer's
row gathered once, the KL in closed form where it has one; no trace, no plate, no distribution object. Both take the
same minibatches and the same draws of eps, omega and delta; their losses must stay equal to 1e-5 (relative, where they
exceed 1) from step to step, or the benchmark stops.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyro
import torch
from timing import Table, clock
from torch import Tensor
from torch.nn.functional import linear, silu, softplus
from torch.special import log_ndtr, ndtr

from crowdpyro import CrowdConfig, FitConfig, Ordinal
from crowdpyro.fitted import build_model
from crowdpyro.inference.runtime import seeded
from crowdpyro.inference.training import objective_for
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
    """The parameters of a model and its guide, and each objective's loss as a function of them."""

    def __init__(self, model: torch.nn.Module, guide: torch.nn.Module, settings: FitConfig) -> None:
        self.w = {
            f"{part}.{name}": value.detach().clone().requires_grad_()
            for part, module in (("model", model), ("guide", guide))
            for name, value in module.named_parameters()
        }
        self.widths, self.n_eps = model.encoder.widths, model.n_eps
        self.n_omega, self.n_mixture = model.belief.n_omega, model.belief.n_mixture
        self.spread, self.half, self.unit = model.belief.spread, model.blender.spread, model.belief.unit
        self.weight_scale, self.offset_scale = model.belief.weight_scale, model.encoder.offset_scale
        self.levels, self.midpoints = model.blender.levels, model.blender.midpoints
        self.decision_weight, self.n_draws = settings.decision_weight, settings.n_belief_draws
        squared = ("hidden", "shift", "scale", "readout")
        self.squared = [self.w[f"model.belief.{name}.weight"] for name in squared]

    def predictive(self, batch: Batch) -> Tensor:
        """Negative bound in nats per answer."""
        row, person, eps, kl = self.infer(batch)
        loc, scale = self.belief(row, person, eps)
        total = (row.noise.square() + scale.square()).sqrt()
        log_prob = cut_normal(batch.response.long(), row.reference + loc, total, row.cuts)
        if self.n_omega:
            log_prob = torch.logsumexp(log_prob, 0) - math.log(1 + self.n_mixture)
        squares = torch.stack([weight.square().sum() for weight in self.squared]).sum()
        prior = -0.5 * squares / self.weight_scale**2 - 0.5 * self.w["model.belief.noise.weight"].square().sum()
        prior = prior - 0.5 * (
            (self.w["model.encoder.affine.weight"] / self.weight_scale).square().sum()
            + (self.w["model.encoder.offset"] / self.offset_scale).square().sum()
        )
        bound = batch.weight * (log_prob.sum() - kl.sum()) + prior
        return -bound / (batch.weight * batch.n_answers)

    def paper(self, batch: Batch) -> Tensor:
        """Eq. 4."""
        row, person, eps, kl = self.infer(batch)
        count = torch.bincount(batch.participant, minlength=batch.n_participants).clamp(min=1)
        mine = 1.0 / (count * batch.n_participants)
        answer = mine[batch.participant]
        loc, scale = self.belief(row, person, eps)
        if self.n_omega:
            delta = loc[0] + scale[0] * torch.randn(1, *scale.shape, 1)[0, 0, :, 0]
            q = normal(delta, loc, scale)
            kl_delta = torch.logsumexp(q, 0) - math.log(1 + self.n_mixture) - normal(delta, 0.0, torch.ones(()))
        else:
            delta = loc + scale * torch.randn(*scale.shape, 1)[:, 0]
            kl_delta = 0.5 * (scale.square() + loc.square() - 1) - scale.log()
        loss = (answer * kl_delta).sum() + (mine * kl).sum()
        w = self.w
        hidden = torch.addmm(w["model.decoder.belief.bias"], delta[:, None], w["model.decoder.belief.weight"].T)
        hidden = silu(hidden + person.hidden_of(eps))
        told = torch.addmm(w["model.decoder.readout.bias"], hidden, w["model.decoder.readout.weight"].T)
        s = softplus(w["model.decoder.raw_scale"] + UNIT).clamp(min=1e-3)
        features = batch.features.index_select(0, batch.problem)
        loss = loss - (answer * normal(features, told, s).sum(-1)).sum()
        # The draws of Eq. 4's y_hat.
        if self.n_omega:
            rounds = -(-self.n_draws // (1 + self.n_mixture))
            noise = torch.randn(rounds, *scale.shape, 1)[..., 0]
            drawn = (loc + scale * noise).flatten(0, 1)[: self.n_draws]
        else:
            drawn = loc + scale * torch.randn(self.n_draws, *scale.shape, 1)[..., 0]
        z = (row.cuts - (row.reference + drawn)[..., None]) / row.noise[:, None]
        below = ndtr(z)
        ones = torch.ones_like(below[..., :1])
        expected = torch.diff(below, dim=-1, prepend=torch.zeros_like(ones), append=ones) @ self.levels
        error = (expected.mean(0) - self.levels[batch.response.long()]).square()
        return loss + self.decision_weight * (answer * error).sum()

    def infer(self, batch: Batch) -> tuple[Row, Person, Tensor, Tensor]:
        """Everything that does not depend on eps, then a draw of eps and its KL."""
        w, n_hidden = self.w, self.widths[0]
        who = batch.participant
        table = torch.addmm(w["model.encoder.affine.bias"], batch.features, w["model.encoder.affine.weight"].T)
        table = torch.cat([table[:, :n_hidden], table[:, n_hidden:] + w["model.encoder.offset"]], dim=1)
        columns = table.index_select(0, batch.problem)
        hidden_x, shift_x, loadings, shape = columns.split(self.widths, dim=1)
        noise = self.half * softplus(shape[:, 0] + UNIT).clamp(min=1e-3)
        person = Person(w, batch.profile, who)
        shift, loadings = self.unit * (shift_x[:, 0] + person.shift), self.unit * loadings
        row = Row(hidden_x, shift, loadings, batch.reference[batch.problem], noise, self.cuts(shape))
        n_people, n_eps = batch.n_participants, self.n_eps
        # Belief at eps = 0, for the guide; of a mixture its moments.
        loc, scale = self.belief(row, person, None)
        if self.n_omega:
            var = scale.square().mean(0) + loc.var(0, correction=0)
            loc = loc.mean(0)
        else:
            var = scale.square()
        information = (row.noise.square() + var).reciprocal()
        gradient = (self.levels[batch.response.long()] - row.reference - loc) * information
        correction = torch.addmm(
            w["guide.correction.bias"],
            torch.cat([columns, self.unit * gradient[:, None]], 1),
            w["guide.correction.weight"].T,
        )
        weight = correction[:, 0].exp()
        outer = (loadings * (weight * information)[:, None])[:, :, None] * loadings[:, None, :]
        linear = loadings * (weight * gradient)[:, None] + correction[:, 1:]
        precision = torch.eye(n_eps).expand(n_people, -1, -1).index_add(0, who, outer)
        evidence = torch.zeros(n_people, n_eps).index_add(0, who, linear)
        mirrored = torch.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1).mT
        root = torch.linalg.solve_triangular(mirrored, torch.eye(n_eps).expand_as(precision), upper=False)
        mean = (root @ (root.mT @ evidence[..., None]))[..., 0]
        eps = mean + (root @ torch.randn(n_people, n_eps)[..., None])[..., 0]
        log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return row, person, eps, 0.5 * (root.square().sum((-2, -1)) + mean.square().sum(-1) - n_eps) - log_det

    def belief(self, row: Row, person: Person, eps: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and scale of delta; one row a component of a mixture."""
        w = self.w
        hidden, spread = row.hidden + person.hidden_of(eps), person.spread_of(eps)
        if self.n_omega:
            omega = torch.randn(1 + self.n_mixture, *hidden.shape[:-1], self.n_omega)
            hidden = hidden + omega @ w["model.belief.noise.weight"].T
        out = linear(silu(hidden), w["model.belief.readout.weight"], w["model.belief.readout.bias"])
        loc, scale = (
            self.unit * out[..., 0] + row.shift,
            self.spread * softplus(out[..., 1] + spread + UNIT).clamp(min=1e-3),
        )
        if eps is not None:
            loc = loc + (row.loadings * eps.index_select(0, person.who)).sum(-1)
        return loc, scale

    def cuts(self, shape: Tensor) -> Tensor:
        """Cut points of every answer's problem."""
        first, last = self.midpoints[:1], self.midpoints[-1:]
        share = torch.softmax(self.midpoints.diff().log() + shape[:, 2:], dim=-1)
        inner = first + (last - first) * share[:, :-1].cumsum(-1)
        cuts = torch.cat([first.expand(len(shape), 1), inner, last.expand(len(shape), 1)], dim=-1)
        middle = (first + last) / 2
        return middle + softplus(shape[:, 1:2] + UNIT) * (cuts - middle)


@dataclass(frozen=True)
class Row:
    """What is read off an answer's problem; `shift` with that of the profile."""

    hidden: Tensor
    shift: Tensor
    loadings: Tensor
    reference: Tensor
    noise: Tensor
    cuts: Tensor


class Person:
    """The participants' part of the network, and its rows, one an answer."""

    def __init__(self, w: dict[str, Tensor], profile: Tensor, who: Tensor) -> None:
        self.who, self.n_profile = who, profile.shape[1]
        self.hidden_weight, self.scale_weight = w["model.belief.hidden.weight"], w["model.belief.scale.weight"]
        self.hidden = profile @ self.hidden_weight[:, : self.n_profile].T
        self.spread = profile @ self.scale_weight[:, : self.n_profile].T
        self.shift = (profile @ w["model.belief.shift.weight"].T).index_select(0, who)[:, 0]

    def hidden_of(self, eps: Tensor | None) -> Tensor:
        """First layer, `(n_answers, n_hidden)`."""
        hidden = self.hidden if eps is None else self.hidden + eps @ self.hidden_weight[:, self.n_profile :].T
        return hidden.index_select(0, self.who)

    def spread_of(self, eps: Tensor | None) -> Tensor:
        """Raw scale of the belief, `(n_answers,)`."""
        spread = self.spread if eps is None else self.spread + eps @ self.scale_weight[:, self.n_profile :].T
        return spread.index_select(0, self.who)[:, 0]


def normal(value: Tensor, loc: Tensor | float, scale: Tensor) -> Tensor:
    """Log density."""
    return -0.5 * ((value - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)


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
    """The default at three sizes: the demo's survey, the first study, a larger survey; then the other pairs."""
    table = Table(
        "An epoch of SVI (the peer is the same model in plain torch)", ("people x answers of problems", *COLUMNS)
    )
    pyro.enable_validation(False)
    for size in ((200, 25, 25), (262, 50, 1500), (1000, 50, 300)):
        table.add(f"{size[0]:,} x {size[1]} of {size[2]:,}", *compare(size, CrowdConfig()))
    for objective, guide in (("predictive", "semi_implicit"), ("paper", "vae"), ("paper", "semi_implicit")):
        config = CrowdConfig(guide=guide, training=FitConfig(objective=objective))
        table.add(f"200 x 25 of 25, `{guide}`, `{objective}`", *compare((200, 25, 25), config))
    table.close()


def compare(size: tuple[int, int, int], config: CrowdConfig) -> tuple[str, str, str, str]:
    """Cells of a row: times, ratio, and how far the losses are apart."""
    n_people, n_each, n_problems = size
    data = people(n_people, n_problems, n_each)
    with seeded(0):
        model, guide = build_model(Ordinal.range(1, 5), config, 1.2, n_features=42, n_known=n_problems, n_profile=10)
    plain = Plain(model, guide, config.training)
    ours = _ours(model, guide, config.training), _adam([*model.parameters(), *guide.parameters()])
    peer = getattr(plain, config.training.objective), _adam(list(plain.w.values()))
    times, apart = [], 0.0
    for seed in range(REPEATS):
        losses: list[list[float]] = []
        times.append(
            [clock(lambda each=each: losses.append(epoch(*each, data, seed))) for each in (ours, peer)]  # noqa: B023
        )
        apart = max(apart, *(abs(a - b) / max(1.0, abs(b)) for a, b in zip(*losses, strict=True)))
    if apart > 1e-5:
        raise SystemExit(f"{config.guide}, {config.training.objective}: the losses of the two differ by {apart}")
    ratios = sorted(mine / theirs for mine, theirs in times[2:])
    mine, theirs = (statistics.median(each) for each in zip(*times[2:], strict=True))
    return (
        f"{1e3 * mine:.1f} ms",
        f"{1e3 * theirs:.1f} ms",
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        f"{apart:.0e}",
    )


def _ours(model: torch.nn.Module, guide: torch.nn.Module, settings: FitConfig) -> Callable[[Batch], Tensor]:
    """A step of `crowdpyro.inference.training`: problems encoded once, then the objective."""
    elbo = objective_for(settings)

    def loss(batch: Batch) -> Tensor:
        batch = replace(batch, met=model.met(batch))
        value = elbo.differentiable_loss(model, guide, batch)
        return value if settings.objective == "paper" else value / (batch.weight * batch.n_answers)

    return loss


def _adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
    # Parts that a configuration leaves empty get no gradient.
    return torch.optim.Adam([each for each in parameters if each.numel()], lr=1e-2, foreach=True)


if __name__ == "__main__":
    main()
