"""The paper's five statements about its Figure 9, each as a number with an interval and a rule laid down beforehand.

Numbers are contrasts of MAE (of 20 virtual participants) within a repeat, so that repeats are the independent units:
mean over repeats with Student's interval. A statement of several parts holds when each of them does, each at the stated
level. `confirmed` when the whole interval lies where the statement says, `refuted` when it lies beyond, `undecided`
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from .metric import Column
from .simulation_design import designs

FloatArray = npt.NDArray[np.float64]
Finding = Literal["confirmed", "refuted", "undecided"]

HEADLINE = Column.parse("mae:mean@20")
# Where the paper sees the curves settle, and what "settle" and "strong" are taken to mean: within a tenth of designs
# with several times the annotations, within a quarter of the largest design.
BUDGET, SETTLED, STRONG = (500, 1000), 0.10, 0.25


@dataclass(frozen=True)
class Part:
    """One number of a statement.

    Attributes
    ----------
    insight
        Number of the statement, 1 to 5.
    says
        What the number is, and where the statement wants it.
    mean, low, high
        Over repeats.
    bound, side
        The statement wants the number `above` or `below` the bound.
    n
        Repeats.
    """

    insight: int
    says: str
    mean: float
    low: float
    high: float
    bound: float
    side: Literal["above", "below"]
    n: int

    @property
    def finding(self) -> Finding:
        """What the interval says."""
        low, high = (self.low, self.high) if self.side == "above" else (-self.high, -self.low)
        bound = self.bound if self.side == "above" else -self.bound
        return "confirmed" if low > bound else "refuted" if high < bound else "undecided"


STATEMENTS = {
    1: "With noisy responses and no diversity of beliefs, more workers do not help: the MAE rises with workers.",
    2: "Without noise, a diversity of 0 is best.",
    3: "A diversity of 2 needs some 800 annotations before the MAE settles, whatever the noise.",
    4: "At a diversity of 1, ten workers with five or ten tasks each are nearly as good as any number.",
    5: "The quality of the responses limits the best MAE that can be had.",
}


def parts(frame: pd.DataFrame, level: float = 0.95) -> list[Part]:
    """All numbers for which the grid has the cells, and two repeats.

    Parameters
    ----------
    frame
        Rows of the store.
    level
        Of each interval.
    """
    rows = frame
    for column, value in HEADLINE.place.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        return []
    # Designs that are repeated as often as any, but for one repeat that may be under way: a quick grid of three repeats
    # is not lost when a full one begins.
    counts = rows.groupby(["protocol", "method"])["seed"].transform("nunique")
    cells = designs(rows[counts >= counts.max() - 1]).set_index("seed")
    found = []
    for insight, says, bound, side, each in _contrasts(cells):
        values = each.dropna()
        n = len(values)
        if n > 1:
            mean, reach = float(values.mean()), float(values.std(ddof=1) / n**0.5 * student.isf((1 - level) / 2, n - 1))
            found.append(Part(insight, says, mean, mean - reach, mean + reach, bound, side, n))
    return found


Contrast = tuple[int, str, float, Literal["above", "below"], "pd.Series[float]"]


def _contrasts(cells: pd.DataFrame) -> Iterator[Contrast]:
    """Each part's values, one a repeat."""

    def at(**where: int) -> pd.DataFrame:
        """Cells of these levels."""
        kept = cells
        for name, value in where.items():
            kept = kept[kept[name] == value]
        return kept

    def mean(some: pd.DataFrame) -> pd.Series[float]:
        """Mean over designs of each repeat that has as many of them as any."""
        sizes = some.groupby("seed").size()
        return some.groupby("seed")["value"].mean()[sizes == sizes.max()] if len(sizes) else pd.Series(dtype=float)

    for noise in (1, 2):
        yield (
            1, f"noise {noise}, diversity 0: rise of MAE with each doubling of workers, wanted above 0", 0.0, "above",
            at(noise=noise, diversity=0).groupby("seed")[["workers", "tasks", "value"]].apply(_slope),
        )  # fmt: skip
    for diversity in (1, 2):
        gap = mean(at(noise=0, diversity=0)) - mean(at(noise=0, diversity=diversity))
        yield 2, f"noise 0: MAE of diversity 0 less that of {diversity}, wanted below 0", 0.0, "below", gap
    for noise in (0, 1, 2):
        some = at(noise=noise, diversity=2)
        few = mean(some[some["annotations"] <= BUDGET[0] // 2])
        some_way, many = mean(some[some["annotations"].between(*BUDGET)]), mean(some[some["annotations"] > BUDGET[1]])
        yield (
            3, f"noise {noise}, diversity 2: log MAE of up to {BUDGET[0] // 2} annotations less that of {BUDGET[0]} to "
            f"{BUDGET[1]:,}, wanted above {SETTLED}", SETTLED, "above", _logs(few, some_way),
        )  # fmt: skip
        yield (
            3, f"the same of {BUDGET[0]} to {BUDGET[1]:,} less that of more, wanted below {SETTLED}", SETTLED, "below",
            _logs(some_way, many),
        )  # fmt: skip
    for noise in (0, 1, 2):
        some = at(noise=noise, diversity=1)
        largest = mean(some[some["annotations"] == some["annotations"].max()])
        ten = mean(some[(some["workers"] == 10) & (some["tasks"] <= 10)])
        yield (
            4, f"noise {noise}, diversity 1: log MAE of ten workers with five or ten tasks less that of the largest "
            f"design, wanted below {STRONG}", STRONG, "below", _logs(ten, largest),
        )  # fmt: skip
    largest = cells[cells["annotations"] == cells["annotations"].max()]
    for noise in (1, 2):
        gap = mean(largest[largest["noise"] == noise]) - mean(largest[largest["noise"] == noise - 1])
        yield (
            5,
            f"largest design: MAE of noise {noise} less that of noise {noise - 1}, wanted above 0",
            0.0,
            "above",
            gap,
        )


def _logs(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    """Difference of logarithms, repeat by repeat."""
    return one.map(np.log) - other.map(np.log)


def _slope(cells: pd.DataFrame) -> float:
    """Least-squares slope of MAE on log2 of workers, tasks held."""
    x = np.log2(cells["workers"])
    x = x - x.groupby(cells["tasks"]).transform("mean")
    square = float((x**2).sum())
    return float((x * cells["value"]).sum()) / square if square > 0 else float("nan")


def findings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a number: `insight, says, mean, low, high, repeats, finding`."""
    rows = [
        {
            "insight": each.insight,
            "number": each.says,
            "mean": each.mean,
            "low": each.low,
            "high": each.high,
            "repeats": each.n,
            "finding": each.finding,
        }
        for each in parts(frame)
    ]
    return pd.DataFrame(rows)


def sentences(frame: pd.DataFrame) -> list[str]:
    """One sentence a statement, its numbers and intervals in it."""
    found: list[str] = []
    every = parts(frame)
    for number, statement in STATEMENTS.items():
        some = [each for each in every if each.insight == number]
        if not some:
            found.append(f"{number}. {statement} Not told: the grid lacks its cells, or repeats.")
            continue
        words = {each.finding for each in some}
        word = "Confirmed" if words == {"confirmed"} else "Not confirmed" if "refuted" in words else "Undecided"
        numbers = "; ".join(
            f"{each.says}: {each.mean:+.3f} [{each.low:+.3f}, {each.high:+.3f}], {each.finding}" for each in some
        )
        found.append(f"{number}. {statement} {word}: {numbers}.")
    return found
