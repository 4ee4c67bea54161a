"""The grid of the simulation: how many workers, how many tasks each, how noisy, how diverse."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from ..errors import DataError

WORKERS, TASKS = (5, 10, 20, 50, 100), (5, 10, 20, 40)
NOISES, DIVERSITIES = (0, 1, 2), (0, 1, 2)


@dataclass(frozen=True)
class Design:
    """One point of the grid.

    Attributes
    ----------
    noise, diversity
        Standard deviations of the responses' errors and of the beliefs, in the unit of the response.
    workers, tasks
        People, and problems that each of them answers.
    """

    noise: int
    diversity: int
    workers: int
    tasks: int

    @staticmethod
    def protocol_of(noise: int, diversity: int) -> str:
        """Name of a protocol."""
        return f"noise{noise}_diversity{diversity}"

    @staticmethod
    def method_of(workers: int, tasks: int) -> str:
        """Name of a method."""
        return f"{workers}x{tasks}"

    @classmethod
    def of(cls, protocol: str, method: str) -> Design:
        """Read both names."""
        how, many = re.fullmatch(r"noise(\d+)_diversity(\d+)", protocol), re.fullmatch(r"(\d+)x(\d+)", method)
        if how is None or many is None:
            raise DataError(f"protocol {protocol!r}, method {method!r}: write noise1_diversity2 and 20x10.")
        return cls(int(how[1]), int(how[2]), int(many[1]), int(many[2]))


def designs(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of results with the columns `noise, diversity, workers, tasks, annotations`."""
    keys = frame[["protocol", "method"]].drop_duplicates()
    found = pd.DataFrame([vars(Design.of(*key)) for key in keys.itertuples(index=False, name=None)], index=keys.index)
    joined = frame.merge(pd.concat([keys, found], axis=1), on=["protocol", "method"], how="left")
    return joined.assign(annotations=joined["workers"] * joined["tasks"])
