"""Where a crowd is cut: tiles, which have random streams of their own, and blocks of them, which are written whole.

    tile (i, j)    people 4,096 i, ..., 4,096 (i + 1) - 1    x    problems 64 j, ..., 64 (j + 1) - 1

Tiles belong to the seed rule and never change; blocks are as many tiles as is handy, so that memory, executor and
order of the work leave no trace in the answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Block: TypeAlias = tuple[int, int]

# Recruiting takes about a millisecond a tile of people, whatever its size; 4,096 people hide it from 25 problems on.
TILE = (4096, 64)
# A file of 1.5 MB and a third of a second on a core: 25,000 of them for 10^11 decisions.
CELLS = 2**22


@dataclass(frozen=True)
class Grid:
    """A crowd of people and problems, cut.

    Attributes
    ----------
    shape
        Participants and problems.
    tile
        Participants and problems of a tile.
    tiles
        Tiles of a block along either axis.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    tiles: tuple[int, int]

    @classmethod
    def of(cls, n_participants: int, n_problems: int, *, cells: int = CELLS, whole_rows: bool = False) -> Grid:
        """Blocks of about so many cells, a tile at least.

        Parameters
        ----------
        n_participants, n_problems
            Of the crowd.
        cells
            At most so many in a block.
        whole_rows
            A tile holds all problems: of programs whose people cannot be told apart from what they answer.
        """
        tile = (TILE[0], n_problems if whole_rows else TILE[1])
        across = -(-n_problems // tile[1])
        columns = min(across, max(1, cells // (tile[0] * tile[1])))
        rows = max(1, cells // (tile[0] * min(n_problems, columns * tile[1])))
        return cls((n_participants, n_problems), tile, (min(rows, -(-n_participants // tile[0])), columns))

    @property
    def block(self) -> tuple[int, int]:
        """Participants and problems of a block."""
        return self.tile[0] * self.tiles[0], self.tile[1] * self.tiles[1]

    @property
    def n_blocks(self) -> tuple[int, int]:
        """Blocks along either axis."""
        (people, problems), (rows, columns) = self.shape, self.block
        return -(-people // rows), -(-problems // columns)

    @property
    def blocks(self) -> list[Block]:
        """All of them, those of the same people one after the other."""
        down, across = self.n_blocks
        return [(i, j) for i in range(down) for j in range(across)]

    def span(self, block: Block) -> tuple[slice, slice]:
        """Rows and columns of a block."""
        return _span(block[0], self.block[0], self.shape[0]), _span(block[1], self.block[1], self.shape[1])

    def tiles_of(self, block: Block) -> Iterator[tuple[int, slice, list[tuple[int, slice]]]]:
        """Tiles of a block: number and rows of each tile of people, with number and columns of each of problems."""
        across = [
            (j, _span(j, self.tile[1], self.shape[1]))
            for j in range(block[1] * self.tiles[1], (block[1] + 1) * self.tiles[1])
            if j * self.tile[1] < self.shape[1]
        ]
        for i in range(block[0] * self.tiles[0], (block[0] + 1) * self.tiles[0]):
            if i * self.tile[0] < self.shape[0]:
                yield i, _span(i, self.tile[0], self.shape[0]), across


def _span(number: int, size: int, end: int) -> slice:
    return slice(number * size, min((number + 1) * size, end))
