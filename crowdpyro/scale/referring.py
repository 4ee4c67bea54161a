"""A frozen LLM on a cluster: one replica a worker, problems in blocks, references in the order of the problems.

A block holds 64 problems whoever asks about it, so that the answers do not depend on the number of workers. With a
cache on a disk that all of them see, a killed job goes on, and a lost worker's block is mostly there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..inference.streams import sequence
from ..llm.backbone import Backbone
from ..llm.prompts import problem_frame
from ..models.scales import Scale
from ..references import References

if TYPE_CHECKING:
    from distributed import Client

BLOCK = 64
_REFERENCES = 3
_NOTES = 10
# Threads of a worker share its replica, which answers one of them at a time.
_ASKING = Lock()


@dataclass
class _Asking:
    """How a worker asks: the replica is loaded when the first block comes."""

    load: Callable[[], Backbone]
    scale: Scale
    how: dict[str, Any]
    loaded: list[Backbone] = field(default_factory=list)

    def __call__(self, part: tuple[pd.DataFrame, int | None]) -> tuple[References, list[tuple[type[Warning], str]]]:
        problems, seed = part
        how = self.how if seed is None else self.how | {"seed": seed}
        with _ASKING, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if not self.loaded:
                self.loaded.append(self.load())
            answers = self.loaded[0].refer(problems, self.scale, **how)
        return answers, [(each.category, str(each.message)) for each in caught]


def refer_on(
    client: Client, load: Callable[[], Backbone], problems: pd.DataFrame, scale: Scale, **how: Any
) -> References:
    """References of problems from the workers of a dask.distributed cluster.

    Parameters
    ----------
    client
        Of the cluster.
    load
        Makes a worker's replica, such as `functools.partial(FrozenLLM, "embedded")`: weights are not sent, but loaded
        where they are used.
    problems, scale
        As in `Referring.refer`.
    **how
        Anything else of it; with `cache=`, a file that all workers see.

    Returns
    -------
    crowdpyro.References
        Of all problems, in their order.

    Raises
    ------
    DataError
        When problems are no table with texts, or the extra `scale` is not installed.
    ModelError
        When `seed` is no whole number from 0 up, or the cluster has no workers.
    """
    from .cluster import mapped

    frame = problem_frame(problems)
    blocks = range(0, len(frame), BLOCK)
    seed = how.pop("seed", None)
    parts = [
        (
            frame.iloc[start : start + BLOCK],
            None if seed is None else int(sequence(seed, _REFERENCES, start // BLOCK).generate_state(1)[0]),
        )
        for start in blocks
    ]
    found, told = [], dict[tuple[type[Warning], str], None]()
    for _, (answers, caught) in mapped(client, _Asking(load, scale, how), parts):
        found.append(answers)
        told |= dict.fromkeys(caught)
    for category, message in told:
        warnings.warn(message, category, stacklevel=2)
    return joined(found)


def joined(parts: list[References]) -> References:
    """References of the same LLM to problems of several blocks, one after the other."""
    first = parts[0]
    sources = tuple(
        replace(
            source,
            problems=pd.Index(np.concatenate([each.sources[k].problems for each in parts]), name="problem"),
            values=np.concatenate([each.sources[k].values for each in parts]),
        )
        for k, source in enumerate(first.sources)
    )
    notes = list(dict.fromkeys(note for each in parts for note in each.report))
    if len(notes) > _NOTES:
        notes = [*notes[:_NOTES], f"and {len(notes) - _NOTES:,} more notes on other blocks of {BLOCK} problems."]
    texts = [each.texts for each in parts if each.texts is not None]
    return replace(
        first, sources=sources, report=tuple(notes), texts=pd.concat(texts, ignore_index=True) if texts else None
    )
