"""What a fit went through: losses, held-out scores, and where it was kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FitHistory:
    """What a fit went through.

    Attributes
    ----------
    loss
        Training loss of every epoch, nats per answer.
    score
        `(epoch, joint, single)` held-out log scores, nats per answer.
    best_epoch
        Where stage one was kept.
    margins
        Log likelihood of the margins in stage two, step by step, nats per answer.
    """

    loss: list[float] = field(default_factory=list)
    score: list[tuple[int, float, float]] = field(default_factory=list)
    best_epoch: int = 0
    margins: list[float] = field(default_factory=list)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> FitHistory:
        """The inverse of `dataclasses.asdict`, after a way through JSON."""
        score = [(int(epoch), joint, single) for epoch, joint, single in saved["score"]]
        return cls(saved["loss"], score, saved["best_epoch"], saved["margins"])
