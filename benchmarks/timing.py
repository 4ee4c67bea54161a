"""Medians of repeated runs, ours and a peer's in turn, as a ratio; tables in Markdown."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

REPEATS = 5
RATIOS = ("subject", "ours", "peer", "ratio (range)", "rate")


class Table:
    """Rows that are printed together.

    Parameters
    ----------
    title
        Printed above it.
    columns
        Names of the columns; those of a comparison by default.
    """

    def __init__(self, title: str, columns: tuple[str, ...] = RATIOS) -> None:
        self.title, self.rows = title, [columns, ("---",) * len(columns)]

    def add(self, *cells: str) -> None:
        """One row."""
        self.rows.append(cells)

    def compare(
        self,
        subject: str,
        ours: Callable[[], object],
        peer: Callable[[], object],
        work: float = 1,
        unit: str = "",
        repeats: int = REPEATS,
    ) -> None:
        """One row: medians of `repeats` runs in turn, the ratio that is better when larger, our work a second."""
        ours(), peer()
        times = [(clock(ours), clock(peer)) for _ in range(repeats)]
        mine, theirs = (statistics.median(each) for each in zip(*times, strict=True))
        ratios = sorted(b / a for a, b in times)
        self.add(
            subject,
            _milliseconds(mine),
            _milliseconds(theirs),
            f"{theirs / mine:.3g} ({ratios[0]:.3g} to {ratios[-1]:.3g})",
            f"{work / mine:,.0f} {unit}/s" if unit else "",
        )

    def close(self) -> None:
        """Print it, and the process's peak memory below."""
        print(f"### {self.title}\n")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")
        print(f"\nPeak memory of this script: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB.\n")


def clock(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.3g} ms"
