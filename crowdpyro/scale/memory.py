"""How much memory a job takes, and how it is cut to keep within what it is given.

    aggregation     b + 17 bytes a cell of a block that is being read, b + 45 of numbers, times the threads
    generation      the same for a block, of which a third would do, and 48 bytes a cell of a tile

beside the process itself (about 600 MB with torch and Pyro loaded), the model and its problems; none of it grows with
the number of people. A block is at least a tile.
"""

from __future__ import annotations

import os

from ..errors import DataError
from .grid import CELLS

# When nobody says otherwise: blocks are then as large as they get, for ballots of up to forty options.
DEFAULT = "1 GB"


def bytes_of(memory: int | str | None) -> int:
    """A number of bytes, or one with a unit: `500 MB`, `2GB`, `1GiB`."""
    from . import needed

    dask_utils = needed("dask.utils")
    try:
        found = int(dask_utils.parse_bytes(DEFAULT if memory is None else memory))
    except ValueError as error:
        raise DataError(f"memory={memory!r}: give bytes, or a number with a unit such as '2GB'.") from error
    if found < 1:
        raise DataError(f"memory={memory!r}: give a positive number of bytes.")
    return found


def summing(size: int) -> int:
    """Bytes that an answer of this size takes while it is summed up: itself, and floats made of it."""
    return size + (45 if size >= 4 else 17)


def cells_within(memory: int | str | None, size: int, options: int, tile: tuple[int, int]) -> int:
    """Cells of a block that is generated, and later summed up, within so much memory.

    Parameters
    ----------
    memory
        As `bytes_of` reads it.
    size, options
        Bytes of a number, and numbers of an answer: 1 but for ballots.
    tile
        Participants and problems of the smallest block.

    Raises
    ------
    DataError
        When not even a tile fits.
    """
    smallest, block, once = tile[0] * tile[1], summing(size) * options, 48 * options
    cells = (bytes_of(memory) - once * smallest) // block
    if cells < smallest:
        raise DataError(
            f"memory={memory!r}: a tile of {tile[0]:,} people and {tile[1]:,} problems takes "
            f"{(once + block) * smallest / 1e6:,.0f} MB; give at least that."
        )
    return min(cells, CELLS)


def threads_within(memory: int | str | None, each: int, cells: int) -> int:
    """Threads that may each sum up a chunk of so many cells, of which each takes so many bytes; at most one a core.

    Raises
    ------
    DataError
        When not even one chunk fits.
    """
    need = each * cells
    found = bytes_of(memory) // need
    if found < 1:
        raise DataError(f"memory={memory!r}: a chunk of this store takes {need / 1e6:,.0f} MB; give at least that.")
    return int(min(found, len(os.sched_getaffinity(0))))
