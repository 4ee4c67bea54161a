"""Who computes the blocks: this process one after the other, or the workers of a dask.distributed cluster.

A lost worker's blocks go to others, and draw the same answers there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .grid import Block
from .plan import Plan
from .store import Store

if TYPE_CHECKING:
    from distributed import Client


def generate_blocks(plan: Plan, path: str | Path, client: Client | None = None, progress: bool | None = None) -> Store:
    """Compute the blocks of a store that are not there yet.

    Parameters
    ----------
    plan
        Of the crowd.
    path
        The store's folder; with a client, one that all workers see.
    client
        Of the cluster; None computes here.
    progress
        Show a bar; by default only on a terminal.

    Raises
    ------
    ModelError
        For a store of another crowd, and a cluster without workers.
    OSError
        When a block cannot be written; those that are done stay.
    """
    store = Store.prepared(Path(path).absolute(), plan)
    # A store that is gone on with keeps its blocks, whatever memory is given now.
    plan = replace(plan, grid=store.grid)
    with _bar(progress, len(store.grid.blocks)) as tick:
        missing = store.missing()
        tick(len(store.grid.blocks) - len(missing))
        if client is None:
            for block in missing:
                store.write(block, plan)
                tick(1)
        else:
            from .cluster import mapped

            for _ in mapped(client, _Writing(store, plan), missing):
                tick(1)
    store.tidy()
    return store


class _Writing:
    """A store and its plan, as a worker holds them."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan

    def __call__(self, block: Block) -> None:
        self.store.write(block, self.plan)


@contextmanager
def _bar(progress: bool | None, n: int) -> Iterator[Callable[[int], object]]:
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda done: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=n, desc="generate", unit="block", leave=False) as bar:
        yield bar.update
