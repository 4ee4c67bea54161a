"""Protocols of the crowdsourcing studies: who is held out, and whose answers are the gold.

    problem       20 % of the problems are new; gold: everybody's answers to them
    participant   20 % of the people are new; gold: their answers, few a problem (the paper's text)
    all           trained as under `participant`; gold: all answers, those of training included

The paper's printed "Random" row is what `all` gives (8 uniform draws a problem: MAE 1.28, RMSE 1.46, CS .54, W1 1.32
against the printed 1.27, 1.44, .56, 1.31), not what its text says. Under `all` a model may remember what it saw, and so
may the problems' own histograms, which stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..data import CrowdData
from ..errors import DataError

Protocol: TypeAlias = Literal["problem", "participant", "all"]
Unit: TypeAlias = Literal["problem", "participant"]

PROTOCOLS: tuple[str, ...] = get_args(Protocol)
TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Trial:
    """One split under one protocol.

    Attributes
    ----------
    protocol, seed
        Which.
    train
        What a method may learn from.
    gold
        Whose answers it is measured against; its problems are the ones that are asked.
    """

    protocol: str
    seed: int
    train: CrowdData
    gold: CrowdData

    @classmethod
    def of(cls, data: CrowdData, protocol: str, seed: int) -> Trial:
        """Split by a protocol's rule."""
        if protocol not in PROTOCOLS:
            raise DataError(f"protocol={protocol!r}: give {', '.join(PROTOCOLS)}.")
        train, test = data.split("problem" if protocol == "problem" else "participant", TEST_SHARE, seed)
        return cls(protocol, seed, train, data if protocol == "all" else test)

    @property
    def holdout(self) -> Unit:
        """What early stopping of a fit holds back: what the test holds out."""
        return "problem" if self.protocol == "problem" else "participant"

    @property
    def seen(self) -> bool:
        """Whether the problems asked are those of training, in the same order."""
        return self.protocol != "problem"
