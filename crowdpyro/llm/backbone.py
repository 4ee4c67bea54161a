"""Backbones: what a crowd asks of a frozen LLM, whatever stands behind it.

A `Backbone` answers problems with references. A `Scorer` is one that has weights, or a server that
gives log-probabilities; all that it must know is how to score and how to write:

    score    log P(o | c) of every option o after a prompt c, at temperature 1, not normalised
    write    n free continuations of c

`crowdpyro.llm.referring` makes the one into the other, and `crowdpyro.llm.cache` is a `Scorer` around
a `Scorer`. Both methods yield batch by batch, as computed, so that a crash loses one batch at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

    from ..models.scales import Scale
    from ..references import References

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """One thing to be scored, or to be answered in free text.

    Parameters
    ----------
    prompt
        The whole text (persona, problem and question filled in); the chat template comes later.
    options
        What may follow; empty where the answer is free text.
    name
        Stands for the query in messages: "problem 'a', persona 'nurse'".
    """

    prompt: str
    options: tuple[str, ...]
    name: str


@runtime_checkable
class Scorer(Protocol):
    """Weights, or a server, that give log-probabilities.

    Attributes
    ----------
    name, revision
        Which weights; recorded with every reference.
    settings
        What else decides the numbers: dtype, quantisation, chat template, thinking. Part of a cache's key.
    """

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def revision(self) -> str:
        """Revision or hash of the weights."""
        ...

    @property
    def settings(self) -> str:
        """What else decides the numbers, in one line."""
        ...

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """Score options: log P(option | prompt), `(n_options,)` a query, in nats, not normalised, at temperature 1.

        Parameters
        ----------
        queries
            All that the job asks, so that it can be planned as a whole.
        known
            Positions of those whose answers the caller has from an earlier call; they are left out.

        Yields
        ------
        positions, values
            Positions in `queries`, and their values, batch by batch as computed; every position once.
        """
        ...

    def write(
        self,
        queries: Sequence[Query],
        *,
        n: int,
        temperature: float,
        max_tokens: int,
        seed: int,
        known: Collection[int] = (),
    ) -> Iterator[tuple[list[int], list[list[str]]]]:
        """Write `n` free texts a query of at most `max_tokens` tokens each.

        Yields
        ------
        positions, texts
            Positions in `queries`, and their texts, batch by batch as computed; every position once.
        """
        ...


@runtime_checkable
class Backbone(Protocol):
    """What estimators, studies and the command line take: problems in, references out."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def revision(self) -> str:
        """Revision or hash of what answers."""
        ...

    def refer(self, problems: pd.DataFrame, scale: Scale, *args: Any, **asking: Any) -> References:
        """References of every problem, on `scale`."""
        ...
