"""What comes from outside: a file may be damaged or hostile, and never runs code, claims memory or ends in a traceback.

A few bytes can name an array of terabytes, so that what a file says of its size is checked before it is believed.
"""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import CrowdPyroError, DataError, ModelError

# What libraries raise on content that they did not expect; a RecursionError is a RuntimeError, JSON's a ValueError.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    csv.Error,
    zlib.error,
)
# A byte of deflate, which gzip and HDF5 pack by, is at most so many of its content.
DEFLATED = 1032
# Where a system does not tell how much memory it has.
_UNKNOWN = 2**34


@contextmanager
def refused(what: str, remedy: str, kind: type[DataError | ModelError] = DataError) -> Iterator[None]:
    """Name whatever goes wrong in the block `{what} (why); {remedy}`; errors of ours come through."""
    try:
        yield
    except CrowdPyroError:
        raise
    except DAMAGE as error:
        why = " ".join(str(error).split()).rstrip(".")[:300]
        raise kind(f"{what} ({type(error).__name__}: {why}); {remedy}.") from error


def machine_bytes() -> int:
    """Memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def is_larger(n_bytes: int, share: float = 0.5) -> bool:
    """Whether content would take more than this share of the machine's memory."""
    return n_bytes > share * machine_bytes()


def refuse_larger(n_bytes: int, what: str, share: float = 0.5) -> None:
    """Raise `DataError` when content would take more than this share of the machine's memory."""
    if is_larger(n_bytes, share):
        raise DataError(
            f"{what} takes {n_bytes / 1e9:,.1f} GB once it is read, more than {share:.0%} of this machine's memory; "
            "split it, or read it on a larger machine."
        )


def json_of(text: str | bytes) -> dict[str, Any]:
    """A JSON object; raises `ValueError` for anything else, however deep it nests."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}, not an object")
    return found
