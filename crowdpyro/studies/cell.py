"""A cell of a study: one method, on one split of one protocol, with one reference."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, fields

from ..errors import DataError


@dataclass(frozen=True, order=True)
class Cell:
    """What is run as a whole, and stored as a whole.

    Attributes
    ----------
    study, protocol, references, method
        Names; `references` is "" for a method that reads none.
    seed
        Of the split and of everything random.

    Raises
    ------
    DataError
        When `seed` is below 0.
    """

    study: str
    protocol: str
    references: str
    method: str
    seed: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError(f"seed={self.seed}: give 0 or a positive whole number.")

    @property
    def columns(self) -> dict[str, str | int]:
        """What the store writes beside every row of this cell."""
        return asdict(self)

    @property
    def key(self) -> str:
        """Its file's name without the suffix: words that a person can read, and a digest that no two cells share."""
        words = [word(name) for name in (self.protocol, self.references, self.method) if name]
        digest = hashlib.sha256(repr(tuple(self.columns.values())).encode()).hexdigest()[:10]
        return f"{'--'.join(words)}--{self.seed}-{digest}"

    def __str__(self) -> str:
        """As messages name it."""
        references = f", {self.references}" if self.references else ""
        return f"{self.study}, {self.protocol}{references}, {self.method}, seed {self.seed}"


def word(name: str) -> str:
    """A name as a part of a file's name."""
    return re.sub(r"[^\w.=-]+", "_", name)[:40]


CELL_COLUMNS = tuple(field.name for field in fields(Cell))
