"""Seeds: whole numbers that torch, numpy and Python all take."""

from __future__ import annotations

import numpy as np

from ..models.errors import ModelError


def checked_seed(seed: int) -> int:
    """The seed itself; raises `ModelError` unless it is a whole number from 0 to 2**32 - 1."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**32:
        raise ModelError(f"seed={seed!r}: give a whole number from 0 to {2**32 - 1}.")
    return int(seed)


def generator(seed: int) -> np.random.Generator:
    """Numpy's generator of a checked seed."""
    return np.random.default_rng(checked_seed(seed))
