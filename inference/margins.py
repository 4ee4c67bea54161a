"""Margins: the second stage of fitting, on the answers' distribution problem by problem.

maximise  sum_{t,k} n_tk log [ (1/S) sum_s F(k | x_t, v_s, eps_s) ]  + log prior(encoder)

n_tk counts the training answers k to problem t, by survey weight where people have one; v_s is drawn from the training
profiles, likewise by weight, eps_s from its prior, both along one Sobol sequence (32 people at random lean a way that
400 do not, and the shifts would make up for it). Only shift and cut points move; loadings, spread and network stay, so
that the answers' dependence does. It is the limited-information idea of Olsson (1979) - thresholds from the margins,
dependence from the joint - and mends what the bound of the first stage leaves: its posterior of eps is Gaussian, and
the slack goes into the margins. Moving the spread as well would weaken the dependence: correlations of simulated people
of .64 came out at .50, and come out at .59 this way, which is where the first stage had left them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from ..models.batch import Batch
from ..models.joint import JointModel
from .belief_draws import belief_draws
from .history import FitHistory
from .score import normal_draws
from .snapshot import Keeper, Snapshot, put_back, take

# Cells times people times options of a block: about 200 MB of a step's memory, ten times as much of choices.
_BLOCK = 2**18


@dataclass(frozen=True)
class Cells:
    """Distinct (problem, answer) pairs and how often each was given.

    Attributes
    ----------
    problem, count
        Row of the problem, and how many gave this answer or the sum of their weights, shape `(n_cells,)`.
    response
        The answer, shape `(n_cells,)`; of ballots `(n_cells, n_options)`.
    """

    problem: Tensor
    response: Tensor
    count: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Cells:
        """Count a batch's answers."""
        answers = batch.given.flatten(1) if batch.given.ndim > 1 else batch.given[:, None]
        pairs = torch.cat([batch.problem.to(answers)[:, None], answers], dim=1)
        unique, place, count = torch.unique(pairs, dim=0, return_inverse=True, return_counts=True)
        if batch.survey_weight is not None:
            weight = batch.survey_weight.to(pairs)[batch.participant]
            count = weight.new_zeros(len(unique)).index_add(0, place, weight)
        response = unique[:, 1:].reshape(len(unique), *batch.given.shape[1:])
        return cls(unique[:, 0].long(), response, count.to(pairs))

    def split(self, size: int) -> list[Cells]:
        """Blocks of at most `size` cells."""
        return [Cells(*part) for part in zip(*(each.split(size) for each in vars(self).values()), strict=True)]


class Margins:
    """Marginal log likelihood of problems' answers under a fixed sample of people.

    Parameters
    ----------
    model
        Its encoder is what moves.
    batch
        Training answers; the people are drawn from its profiles.
    n_people
        S, a power of two; by default 32 to 128, the fewer the more numbers there are in the distinct answers.
    seed
        Of the people drawn.
    """

    def __init__(self, model: JointModel, batch: Batch, n_people: int | None = None, seed: int = 0) -> None:
        self.model, self.batch = model, batch
        if n_people is None:
            # Not by the number of answers: 25 items of 1,000 people are 150 cells, and with the 32 people that 25,000
            # answers would allow, their W1 was .075; with 128 it is .069, which is the sample's own.
            numbers = max(len(Cells.of(batch).count), 1) * model.blender.n_belief
            n_people = 2 ** min(7, max(5, int(math.log2(100_000 / numbers))))
        draws = normal_draws(n_people, 1 + model.n_eps, seed).to(batch.profile)
        with torch.no_grad():
            leaning = _by_leaning(model.participants(batch.profile, None).shift)
            people = leaning[_places(torch.special.ndtr(draws[:, 0]), batch, leaning)]
            self.people = model.participants(batch.profile[people], draws[:, 1:]).crossed()
        self.twins = None if batch.twins is None else batch.twins[people]

    def log_likelihood(self, cells: Cells) -> Tensor:
        """Mean log probability of the counted answers, in nats per answer, shape `()`."""
        x = self.model.problems(self.batch).at(cells.problem).crossed()
        if self.twins is not None:
            x = replace(x, reference=self.twins[:, cells.problem])
        # Of a belief without a closed form, one draw a person and cell: the average over people stands for both.
        with belief_draws(self.model, 1):
            answer = self.model.answer_dist(self.model.belief_dist(x, self.people), x, self.people)
        log_prob = torch.logsumexp(answer.log_prob(cells.response), dim=0) - math.log(len(self.people.hidden))
        return (log_prob * cells.count).sum() / cells.count.sum()

    def gradients(self, cells: Cells, parameters: list[Tensor]) -> tuple[float, list[Tensor]]:
        """Log likelihood, and the gradients of minus it and the log prior; blocks of cells bound the memory."""
        total = cells.count.sum()
        prior = -self.model.encoder.log_prior() / total
        gradients = list(torch.autograd.grad(prior, parameters, materialize_grads=True))
        log_likelihood = 0.0
        for part in cells.split(max(1, _BLOCK // (len(self.people.hidden) * self.model.blender.n_belief))):
            value = self.log_likelihood(part) * (part.count.sum() / total)
            for place, gradient in enumerate(torch.autograd.grad(-value, parameters)):
                gradients[place] = gradients[place] + gradient
            log_likelihood += value.item()
        return log_likelihood, gradients


def _places(uniform: Tensor, batch: Batch, order: Tensor) -> Tensor:
    """Places in an order of the people, each as likely as their survey weight."""
    last = batch.n_participants - 1
    if batch.survey_weight is None:
        return (uniform * batch.n_participants).long().clamp(max=last)
    upto = batch.survey_weight[order].cumsum(0)
    return torch.searchsorted(upto, uniform * upto[-1], right=True).clamp(max=last)


def _by_leaning(shift: Tensor) -> Tensor:
    """Rows of people in the order of where their profiles lean, `shift` being `(n_participants, n_belief)`."""
    centred = shift - shift.mean(0)
    # The direction in which they differ most.
    main = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    return torch.argsort(centred @ main, stable=True)


def fit_margins(
    model: JointModel,
    batch: Batch,
    *,
    n_steps: int = 100,
    lr: float = 0.03,
    n_people: int | None = None,
    seed: int = 0,
    history: FitHistory | None = None,
    guide: nn.Module | None = None,
    keeper: Keeper | None = None,
    saved: Snapshot | None = None,
) -> list[float]:
    """Fit the margins of the problems by full-batch Adam.

    Parameters
    ----------
    model
        Changed in place.
    batch
        Training answers.
    n_steps, lr
        Steps and learning rate.
    n_people, seed
        As in `Margins`.
    history
        Of the whole fit, whose `margins` are filled.
    guide
        Kept in the snapshots beside the model; not changed.
    keeper, saved
        Where snapshots go, and the one to go on from.

    Returns
    -------
    list of float
        Log likelihood before every step, in nats per answer.

    Raises
    ------
    ModelError
        When `saved` is of another model.
    """
    history = FitHistory() if history is None else history
    moves = _moving(model)
    modules: dict[str, nn.Module] = {"model": model} if guide is None else {"model": model, "guide": guide}
    optimizer = torch.optim.Adam(list(moves), lr=lr, foreach=True)
    was_training = model.training
    model.eval()
    if saved is not None:
        put_back(saved, modules, optimizer)
    # After the model is what it shall be: the people's part of the network is computed once.
    margins, cells = Margins(model, batch, n_people, seed), Cells.of(batch)

    def snapshot() -> Snapshot:
        return take({"stage": "margins", "history": asdict(history)}, modules, optimizer)

    while len(history.margins) < n_steps:
        with pyro.validation_enabled(False):
            log_likelihood, gradients = margins.gradients(cells, list(moves))
        for (parameter, mask), gradient in zip(moves.items(), gradients, strict=True):
            parameter.grad = gradient * mask
        optimizer.step()
        history.margins.append(log_likelihood)
        if keeper is not None:
            keeper.offer(snapshot)
    for parameter in moves:
        parameter.grad = None
    model.train(was_training)
    return history.margins


def _moving(model: JointModel) -> dict[Tensor, Tensor]:
    """The encoder's parameters, each with a mask that is 1 where the columns of shift and cut points move."""
    encoder: Any = model.encoder
    n_hidden, n_shift, n_loadings, _ = encoder.widths
    columns = encoder.affine.bias.new_zeros(sum(encoder.widths))
    columns[n_hidden : n_hidden + n_shift] = 1.0
    for column in model.blender.margin_columns:
        columns[n_hidden + n_shift + n_loadings + column] = 1.0
    masks = {encoder.affine.weight: columns[:, None], encoder.affine.bias: columns}
    if len(encoder.offset):
        masks[encoder.offset] = columns[None, n_hidden:]
    return masks
