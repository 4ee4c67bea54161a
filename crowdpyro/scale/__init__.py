"""Past one machine and through faults: crowds in blocks, stores that are always whole, clusters and processes."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import DataError


def needed(module: str) -> Any:
    """A module of the extra `scale`; raises `DataError` that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{module.partition('.')[0]} is needed for stores and clusters; pip install 'crowdpyro[scale]'."
        ) from error
