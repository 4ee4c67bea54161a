"""How much memory a job takes, and how it is cut to keep within what it is given.

    generation      6 b bytes a cell of a block, b being an answer's, and 48 a cell of a tile
    aggregation     (b + 17) bytes a cell of a chunk that is being read, times the threads

beside the process itself (about 600 MB with torch and Pyro loaded), the model and its problems; none of it grows with
the number of people. A block is at least a tile.
"""

from __future__ import annotations

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


def cells_within(memory: int | str | None, each: int, tile: tuple[int, int]) -> int:
    """Cells of a block that is generated within so much memory.

    Parameters
    ----------
    memory
        As `bytes_of` reads it.
    each
        Bytes of an answer, all its options together.
    tile
        Participants and problems of the smallest block.

    Raises
    ------
    DataError
        When not even a tile fits.
    """
    smallest = tile[0] * tile[1]
    room = bytes_of(memory) - 48 * smallest * max(each // 4, 1)
    cells = room // (6 * each)
    if cells < smallest:
        least = (48 * max(each // 4, 1) + 6 * each) * smallest
        raise DataError(
            f"memory={memory!r}: a tile of {tile[0]:,} people and {tile[1]:,} problems takes {least / 1e6:,.0f} MB; "
            "give at least that."
        )
    return min(cells, CELLS)


def threads_within(memory: int | str | None, each: int, cells: int) -> int:
    """Threads that may each read a chunk of so many cells at a time, `each` bytes an answer; at most one a core.

    Raises
    ------
    DataError
        When not even one chunk fits.
    """
    import os

    need = (each + 17) * cells
    found = bytes_of(memory) // need
    if found < 1:
        raise DataError(f"memory={memory!r}: a chunk of this store takes {need / 1e6:,.0f} MB; give at least that.")
    return int(min(found, len(os.sched_getaffinity(0))))
