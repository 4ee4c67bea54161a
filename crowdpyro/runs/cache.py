"""What the command line says of a cache, and takes out of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..llm.cache_file import CacheFile

DAY = 86_400.0
MEGABYTE = 1e6


def cache_lines(path: Path) -> Iterator[str]:
    """What is in a cache, two lines a model, its settings and the way of asking."""
    held = CacheFile(path, create=False).holdings()
    yield f"{path}: {sum(each.n for each in held):,} answers, {_size(path.stat().st_size)}"
    for each in held:
        oldest, newest = (datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d") for when in (each.oldest, each.newest))
        what = f"{each.n:,} {'scores' if each.mode == 'score' else 'texts'}, {_size(each.n_bytes)}"
        damaged = f", {each.n_damaged:,} damaged, asked anew when next wanted" if each.n_damaged else ""
        yield f"  {each.asker.name}, {each.asker.revision}, {each.asker.settings}"
        yield f"    {what}, {oldest} to {newest}{damaged}"


def prune_cache(path: Path, model: str | None, days: float | None, megabytes: float | None) -> str:
    """Take answers out, and say how many."""
    file = CacheFile(path, create=False)
    taken = file.prune(
        model=model,
        older_than=None if days is None else days * DAY,
        max_bytes=None if megabytes is None else megabytes * MEGABYTE,
    )
    return f"took {taken:,} answers out of {path}, which has {_size(path.stat().st_size)} now"


def _size(n_bytes: float) -> str:
    return f"{n_bytes / MEGABYTE:,.1f} MB" if n_bytes >= MEGABYTE else f"{n_bytes / 1000:,.1f} kB"
