"""The state around a computation: seeds set and restored, threads kept where they help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyro
import torch
from pyro.util import get_rng_state, set_rng_state

from ..models.errors import ModelError
from .seeds import checked_seed


def usable_device(name: str) -> torch.device:
    """The device of that name; raises `ModelError` when torch knows or finds none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"device={name!r}: torch cannot compute there ({reason}); give 'cpu'.") from error
    return device


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch, numpy and Python for a block, on one thread when on the CPU, and restore everything after.

    A seed that is no whole number from 0 to 2**32 - 1 raises `ModelError`.

    Two torch threads on shared cores spin on the small kernels of these models and slow them sixty-fold.
    """
    seed = checked_seed(seed)
    before = get_rng_state()
    threads = torch.get_num_threads()
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            pyro.set_rng_seed(seed)
            if device.type == "cpu":
                torch.set_num_threads(1)
            yield
        finally:
            torch.set_num_threads(threads)
            set_rng_state(before)
