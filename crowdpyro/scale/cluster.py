"""Parts of a job on a dask.distributed cluster, one replica of the job a worker.

The scheduler holds the replica and hands it to workers that come later as well. A few parts a thread are under way at
any time, so that the scheduler's memory does not grow with the number of them; what a lost worker had goes to others.
"""

from __future__ import annotations

import ctypes
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Any, TypeVar

import cloudpickle
from distributed import Client, WorkerPlugin, get_worker

from ..errors import ModelError
from .in_order import in_order

Part = TypeVar("Part")
Found = TypeVar("Found")

# A block takes a third of a second, a task's way to a worker and back a hundredth.
_AHEAD = 3
# Of glibc's malloc.h: when freed memory is given back, and from what size an array is mapped on its own.
_TRIM, _MMAP = -1, -3
# Threads of a worker share its replica.
_UNPICKLING = Lock()


class _Replica(WorkerPlugin):
    """A job, as every worker holds it.

    Pickled until the first part comes: to unpickle it imports torch, seconds in which a worker's event loop would be
    deaf.
    """

    def __init__(self, job: Callable[[Any], Any]) -> None:
        self._pickled = cloudpickle.dumps(job)
        self._job: Callable[[Any], Any] | None = None

    def __call__(self, part: Any) -> Any:
        with _UNPICKLING:
            if self._job is None:
                _keep_memory()
                self._job = cloudpickle.loads(self._pickled)
        return self._job(part)


def _keep_memory() -> None:
    """Let this worker keep what it frees, up to 64 MB.

    Dask's nannies have glibc hand every freed megabyte back, and each step of a block takes it anew: 12 million
    decisions took 3.2 s of a worker's processor, and .9 s when it may keep the pages.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_TRIM, 1 << 26)
            mallopt(_MMAP, 1 << 26)


def mapped(client: Client, job: Callable[[Part], Found], parts: Iterable[Part]) -> Iterator[tuple[Part, Found]]:
    """Apply a job to parts on a cluster, one replica of it a worker; results in their order.

    Parameters
    ----------
    client
        Of the cluster.
    job
        Pickled once a worker.
    parts
        What it is called with, small.
    """
    if not client.nthreads():
        raise ModelError(f"client {client!r} has no workers; start some, or leave client= out.")
    name = f"crowdpyro-{secrets.token_hex(8)}"
    client.register_plugin(_Replica(job), name=name)
    ahead = _AHEAD * sum(client.nthreads().values())
    try:
        yield from in_order(lambda part: client.submit(_apply, name, part, pure=False), parts, ahead)
    finally:
        client.unregister_worker_plugin(name)


def _apply(name: str, part: Any) -> Any:
    replica: Any = get_worker().plugins[name]
    return replica(part)
