"""Several processes that fit one model, each with its part of every minibatch (`torchrun`, or one's own group).

    gradient = sum over shards s of (n_s / n) gradient_s,    each shard's noise from a stream of its own

so that the number of processes leaves no trace but rounding: two take the very steps of one that does both shards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..models.errors import ModelError


def grouped() -> bool:
    """Whether this process belongs to a group; asked without importing what only groups need."""
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def place() -> tuple[int, int]:
    """Number of this process in its group, and how many there are; (0, 1) outside of one."""
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if grouped() else (0, 1)


@contextmanager
def launched(device: str = "cpu") -> Iterator[None]:
    """Join the group of `torchrun` for a block, where it started this process: by gloo, on accelerators by NCCL.

    Parameters
    ----------
    device
        Where the process computes: `cuda` for NCCL, on the GPU of its local rank, else gloo.

    Yields
    ------
    None
        Inside the group, which is left at the end; nothing happens outside of `torchrun`, or in a group.
    """
    if grouped() or "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    accelerated = torch.device(device).type == "cuda"
    if accelerated:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if accelerated else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def first_before_others() -> Iterator[None]:
    """A block that the group's first process is through before the others enter, who find what it left."""
    rank, n = place()
    if rank:
        torch.distributed.barrier()
    yield
    if n > 1 and not rank:
        torch.distributed.barrier()


def shards_here(n_shards: int) -> list[int]:
    """Numbers of the shards that this process computes.

    Raises
    ------
    ModelError
        When the group's processes cannot share them evenly.
    """
    rank, n = place()
    if n_shards % n:
        raise ModelError(
            f"shards={n_shards}: {n} processes take as many each; set training.shards to a multiple of {n}, and to the "
            "same to repeat the fit on fewer."
        )
    return list(range(rank, n_shards, n))


class SharedLoss(nn.Module):
    """The loss of this process's shards, whose gradient becomes the group's.

    Parameters
    ----------
    both
        Model and guide.
    loss
        Of the shards that are given: a number that is the group's when summed over its processes.
    """

    def __init__(self, both: nn.Module, loss: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.both, self.loss = both, loss

    def forward(self, shards: Any) -> Tensor:
        """The loss; 0 where nobody answered."""
        found = self.loss(shards)
        # The others wait for a gradient from each process.
        return found if found.requires_grad else sum((0.0 * each.sum() for each in self.both.parameters()), found)

    def backward(self, shards: Any) -> float:
        """Leave the group's gradient in the parameters; the group's loss."""
        n = place()[1]
        if n == 1:
            loss = self(shards)
            loss.backward()
            return loss.item()
        loss = self._parallel()(shards)
        # Their gradients are averaged.
        (n * loss).backward()
        total = loss.detach().clone()
        torch.distributed.all_reduce(total)
        return total.item()

    def _parallel(self) -> nn.Module:
        if "parallel" not in self.__dict__:
            from torch.nn.parallel import DistributedDataParallel

            # Not a submodule of its own submodule.
            self.__dict__["parallel"] = DistributedDataParallel(self, find_unused_parameters=True)
        parallel: nn.Module = self.__dict__["parallel"]
        return parallel
