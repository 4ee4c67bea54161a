"""Descent on the loss of a Pyro ELBO by Adam, whose rate falls to 0 as a half cosine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro.infer import ELBO

from ..models.errors import ModelError


def descend(
    elbo: ELBO, model: Callable[[Any], Any], guide: torch.nn.Module, data: Any, *, num_steps: int, lr: float
) -> list[float]:
    """Fit the parameters of a guide.

    Parameters
    ----------
    elbo, model, guide, data
        Of Pyro; the guide has been called once.
    num_steps, lr
        Steps, and the first of their rates.

    Returns
    -------
    list
        Loss before each step, nats.

    Raises
    ------
    ModelError
        When the loss is not finite.
    """
    optimizer = torch.optim.Adam(guide.parameters(), lr=lr, foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    losses = []
    for step in range(num_steps):
        optimizer.zero_grad()
        # Pyro checks shapes and supports at the first step only.
        with pyro.validation_enabled(step == 0):
            loss = elbo.differentiable_loss(model, guide, data)
        if not math.isfinite(loss.item()):
            raise ModelError(f"step {step}: the loss is {loss.item()}; lower lr={lr:g}.")
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
