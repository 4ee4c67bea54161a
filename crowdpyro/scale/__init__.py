"""Past one machine and through faults: crowds in blocks, stores that are always whole, clusters and processes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import DataError

if TYPE_CHECKING:
    from distributed import Client


def needed(module: str) -> Any:
    """A module of the extra `scale`; raises `DataError` that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{module.partition('.')[0]} is needed for stores and clusters; pip install 'crowdpyro[scale]'."
        ) from error


@contextmanager
def connected(address: str | None) -> Iterator[Client | None]:
    """A client of the scheduler at an address, None for None; raises `DataError` when nobody answers there."""
    if address is None:
        yield None
        return
    distributed = needed("distributed")
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise DataError(
            f"scheduler={address!r} does not answer ({error}); start one with `dask scheduler`, and workers with `dask "
            "worker ADDRESS`."
        ) from error
    with client:
        yield client
