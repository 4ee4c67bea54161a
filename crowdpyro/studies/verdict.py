"""Whether a study's crowd may be trusted, must be corrected first, or is not worth it: a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["trust", "correct first", "walk away"]


@dataclass(frozen=True)
class Verdict:
    """A word and its evidence.

    Attributes
    ----------
    word
        `trust`, `correct first` or `walk away`.
    winner
        First sentence of the report: who is best.
    because
        Sentences of evidence, the deciding one first.
    """

    word: Word
    winner: str
    because: tuple[str, ...]
