"""Medians of repeated runs, ours and a peer's in turn, as a ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

REPEATS = 5


def compare(subject: str, ours: Callable[[], object], peer: Callable[[], object], work: float, unit: str) -> None:
    """Print one row: subject, medians in ms, ratio peer / ours with its range, our rate in `unit` a second."""
    ours(), peer()
    times = [(_clock(ours), _clock(peer)) for _ in range(REPEATS)]
    mine, theirs = (statistics.median(each) for each in zip(*times, strict=True))
    ratios = sorted(b / a for a, b in times)
    print(
        f"{subject:<44} ours {1e3 * mine:9.2f} ms   peer {1e3 * theirs:9.2f} ms   ratio {theirs / mine:7.1f} "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f})   {work / mine:,.0f} {unit}/s"
    )


def _clock(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
