"""What a fit must keep to go on after an interruption as if there had been none.

Parameters, Adam's moments, both random streams and the numbers of the loop, after a whole step: a fit that is restored
takes the very steps that the uninterrupted one would have taken, bit for bit on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..models.errors import ModelError


@dataclass(frozen=True)
class Snapshot:
    """The state of a fit between two steps.

    Attributes
    ----------
    numbers
        JSON-ready: the stage, epoch and step, and the history.
    tensors
        Parameters, moments and random states by name, on the CPU.
    """

    numbers: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix` and a dot, without it."""
        return {n.removeprefix(f"{prefix}."): value for n, value in self.tensors.items() if n.startswith(f"{prefix}.")}


class Keeper(Protocol):
    """Where snapshots go.

    `offer` is called after every step with a function that takes the snapshot; it decides whether to call it, and may
    raise KeyboardInterrupt to end the fit there.
    """

    def restore(self) -> Snapshot | None:
        """The last snapshot of this very fit; None when there is none."""

    def offer(self, take: Callable[[], Snapshot]) -> None:
        """Take a snapshot, or let it pass."""


def take(
    numbers: dict[str, Any], modules: Mapping[str, nn.Module], optimizer: Optimizer, **more: Mapping[str, Tensor]
) -> Snapshot:
    """A snapshot of modules, an optimiser, torch's random state and anything more, copied to the CPU."""
    tensors: dict[str, Tensor] = {}
    for part, module in modules.items():
        tensors |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
    for place, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{place}.{name}": value for name, value in moments.items()}
    for part, named in more.items():
        tensors |= {f"{part}.{name}": value for name, value in named.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    device = next((value.device for value in tensors.values() if value.is_cuda), None)
    if device is not None:
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    return Snapshot(numbers, {name: value.detach().cpu().clone() for name, value in tensors.items()})


def put_back(saved: Snapshot, modules: Mapping[str, nn.Module], optimizer: Optimizer) -> None:
    """Set modules, an optimiser and torch's random state to those of a snapshot.

    Raises
    ------
    ModelError
        When the snapshot is of other modules.
    """
    try:
        for part, module in modules.items():
            module.load_state_dict(saved.under(part))
        optimizer.load_state_dict(
            {"state": _moments(saved, optimizer), "param_groups": optimizer.state_dict()["param_groups"]}
        )
        torch.set_rng_state(saved.tensors["random.cpu"])
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"snapshot does not fit the model ({error}); delete its file to start anew.") from error
    if "random.cuda" in saved.tensors:
        device = next(parameter.device for module in modules.values() for parameter in module.parameters())
        torch.cuda.set_rng_state(saved.tensors["random.cuda"], device)


def _moments(saved: Snapshot, optimizer: Optimizer) -> dict[int, dict[str, Tensor]]:
    """Adam's moments by parameter, which load_state_dict takes in whatever shape they are."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in saved.under("adam").items():
        place, moment = name.split(".")
        if value.ndim and value.shape != parameters[int(place)].shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}")
        moments.setdefault(int(place), {})[moment] = value
    return moments
