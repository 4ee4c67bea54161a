"""Results of many small jobs in the order of the jobs, a few under way at any time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

Part = TypeVar("Part")


def in_order(submit: Callable[[Part], Any], parts: Iterable[Part], ahead: int) -> Iterator[tuple[Part, Any]]:
    """Each part with what came of it; sums over them are then the same whoever computed what.

    Parameters
    ----------
    submit
        Begins a part and returns its future.
    parts
        What to compute.
    ahead
        Parts under way, so that neither tasks nor results pile up.
    """
    waiting = iter(parts)
    under_way = deque((part, submit(part)) for part in islice(waiting, ahead))
    try:
        while under_way:
            part, future = under_way.popleft()
            found = future.result()
            under_way.extend((more, submit(more)) for more in islice(waiting, 1))
            yield part, found
    finally:
        for _, future in under_way:
            future.cancel()
