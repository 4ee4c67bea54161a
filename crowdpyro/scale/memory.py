"""How much memory a job takes, and how it is cut to keep within what it is given.

    generation      6 b bytes a cell of a block, b being an answer's, and 48 a cell of a tile, or an option of it
    aggregation     b + 17 bytes a cell of a chunk that is being read, times the threads

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


def cells_within(memory: int | str | None, size: int, options: int, tile: tuple[int, int]) -> int:
    """Cells of a block that is generated within so much memory.

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
    smallest, block, once = tile[0] * tile[1], 6 * size * options, 48 * options
    cells = (bytes_of(memory) - once * smallest) // block
    if cells < smallest:
        raise DataError(
            f"memory={memory!r}: a tile of {tile[0]:,} people and {tile[1]:,} problems takes "
            f"{(once + block) * smallest / 1e6:,.0f} MB; give at least that."
        )
    return min(cells, CELLS)


def threads_within(memory: int | str | None, each: int, cells: int) -> int:
    """Threads that may each read a chunk of so many cells at a time, `each` bytes an answer; at most one a core.

    Raises
    ------
    DataError
        When not even one chunk fits.
    """
    need = (each + 17) * cells
    found = bytes_of(memory) // need
    if found < 1:
        raise DataError(f"memory={memory!r}: a chunk of this store takes {need / 1e6:,.0f} MB; give at least that.")
    return int(min(found, len(os.sched_getaffinity(0))))
