"""Any program, by running it: crowds and scores of models that tell another story than `JointModel.crowd`.

joint   (1/A) sum_i log mean_s prod_t p(y_it | latents_i^(s)),   latents from the program's own prior

Slower than `generate` and `score`, which know the joint model's structure, and right for whatever latent sites a
program has: none of them ever sees the answers. A program must have the site `y`, one answer a row of the plate
`answers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel

# Meetings of a block: what a program keeps of each may be large.
_BLOCK = 65_536


def tells_the_story(model: Any) -> bool:
    """Whether a model's `crowd` and `eps_dist` are the joint model's own, whatever else of it is overridden."""
    kind = type(model)
    return issubclass(kind, JointModel) and (kind.crowd, kind.eps_dist) == (JointModel.crowd, JointModel.eps_dist)


@torch.no_grad()
def run_crowd(model: Any, batch: Batch, attending: bool = False) -> Tensor:
    """Answers of every participant of a batch to every problem of it.

    Parameters
    ----------
    model
        Has the program `crowd(batch)`.
    batch
        Problems and people; its meetings and answers are not read.
    attending
        NaN where the program's `phi` is 0.

    Returns
    -------
    Tensor
        Shape `(n_participants, n_problems, ...)`.

    Raises
    ------
    ModelError
        When the program has no site `y`.
    """
    blocks = []
    for met in everybody_meets_everything(batch):
        with pyro.validation_enabled(False):
            trace = poutine.trace(model.crowd).get_trace(met)
        answers = _site_y(trace)["value"]
        if attending:
            # Codes drawn by a categorical are integers, which have no NaN.
            answers = answers.to(batch.profile).masked_fill(trace.nodes["phi"]["value"] == 0, torch.nan)
        blocks.append(answers.reshape(met.n_participants, -1, *answers.shape[1:]))
    return torch.cat(blocks)


def everybody_meets_everything(batch: Batch) -> Iterator[Batch]:
    """All pairs of a batch's people and problems, nobody having answered, in blocks of people."""
    n_problems, device = len(batch.features), batch.rows.device
    for rows in torch.arange(batch.n_participants, device=device).split(max(1, _BLOCK // n_problems)):
        place = torch.arange(len(rows), device=device)
        yield replace(
            batch,
            profile=batch.profile[rows],
            rows=place,
            twins=None if batch.twins is None else batch.twins[rows],
            participant=place.repeat_interleave(n_problems),
            problem=torch.arange(n_problems, device=device).repeat(len(rows)),
            response=None,
            took_part=None,
            population=len(rows),
            met=None,
            survey_weight=None,
        )


@torch.no_grad()
def run_score(model: Any, batch: Batch, n_draws: int) -> tuple[Tensor, Tensor]:
    """Log probability of every person's answers and of every answer, latents drawn from the program's prior.

    Parameters
    ----------
    model
        With a program `crowd(batch, integrate)`.
    batch
        People and their answers.
    n_draws
        Runs of the program.

    Returns
    -------
    joint, single
        Shapes `(n_participants,)` and `(n_answers,)`, log-mean-exp over the draws; the caller has seeded.

    Raises
    ------
    ModelError
        When the program has no site `y`.
    """
    batch = batch.answered()
    crowd = poutine.trace(partial(model.crowd, integrate=True))
    people, answers = [], []
    for _ in range(n_draws):
        site = _site_y(crowd.get_trace(batch))
        answers.append(site["fn"].log_prob(site["value"]))
        zero = answers[-1].new_zeros(batch.n_participants)
        people.append(zero.index_add(0, batch.participant, answers[-1]))
    log_n = torch.tensor(float(n_draws)).log()
    return torch.stack(people).logsumexp(0) - log_n, torch.stack(answers).logsumexp(0) - log_n


def _site_y(trace: poutine.Trace) -> dict[str, Any]:
    site: dict[str, Any] | None = trace.nodes.get("y")
    if site is None:
        raise ModelError("the program `crowd` has no site 'y'; sample the answers there, in the plate 'answers'.")
    return site
