"""Answers to learn from, and answers to stop by."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from ..models.batch import Batch
from .seeds import generator


def hold_out(
    batch: Batch, by: Literal["participant", "problem"], share: float, seed: int
) -> tuple[Batch, Batch | None]:
    """Split a batch by participant or by problem, at random.

    Parameters
    ----------
    batch
        All meetings.
    by
        Whose answers stay together.
    share
        Held out, in [0, 1), of those who have an answer; others are never held out.
    seed
        Of the choice.

    Returns
    -------
    train, valid
        The second None where the share comes to nobody, or would leave fewer than two to learn from.
    """
    answered = batch.answered()
    who = torch.unique(answered.participant if by == "participant" else answered.problem)
    n = len(who)
    size = round(share * n)
    if size < 1 or n - size < 2:
        return batch, None
    order = torch.as_tensor(generator(seed).permutation(n), device=batch.rows.device)
    every = batch.n_participants if by == "participant" else len(batch.features)
    held = torch.zeros(every, dtype=torch.bool, device=batch.rows.device)
    held[who[order[:size]]] = True
    if by == "participant":
        train, valid = (batch.people(each.nonzero()[:, 0]) for each in (~held, held))
        return replace(train, population=train.n_participants), replace(valid, population=size)
    return batch.meetings(~held[batch.problem]), batch.meetings(held[batch.problem])
