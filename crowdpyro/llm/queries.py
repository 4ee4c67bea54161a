"""Queries put to a scorer: each different one once, with a bar that shows the rate and the time left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..models.errors import DataError
from .backbone import FloatArray, Query

if TYPE_CHECKING:
    from .backbone import Scorer

Answer = TypeVar("Answer")


def scored(scorer: Scorer, queries: Sequence[Query], progress: bool | None = None) -> list[FloatArray]:
    """Values of every query, log P(option | prompt), `(n_options,)` each, in the order of `queries`.

    Queries that read alike, such as two people of one profile, are scored once. `progress` None shows a bar on a
    terminal only.
    """
    first, place = _unlike(queries)
    return _collected(scorer.name, scorer.score(first), place, len(first), progress)


def written(
    scorer: Scorer,
    queries: Sequence[Query],
    *,
    n: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    progress: bool | None = None,
) -> list[list[str]]:
    """`n` free texts of every query, in the order of `queries`; those that read alike have the same."""
    first, place = _unlike(queries)
    batches = scorer.write(first, n=n, temperature=temperature, max_tokens=max_tokens, seed=seed)
    return _collected(scorer.name, batches, place, len(first), progress)


def _unlike(queries: Sequence[Query]) -> tuple[list[Query], list[int]]:
    """The queries that differ in more than their name, and where each of `queries` stands among them."""
    seen: dict[tuple[str, tuple[str, ...]], int] = {}
    first: list[Query] = []
    place = []
    for query in queries:
        _check_text(query)
        at = seen.setdefault((query.prompt, query.options), len(first))
        if at == len(first):
            first.append(query)
        place.append(at)
    return first, place


def _check_text(query: Query) -> None:
    """Raise `DataError` where a tokenizer would find no text."""
    for part in (query.prompt, *query.options):
        try:
            part.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"text at {query.name}: {part[error.start]!a} is half of a surrogate pair, no character; read the text "
                "from its file as UTF-8, or take it out."
            ) from error


def _collected(
    name: str,
    batches: Iterator[tuple[list[int], list[Answer]]],
    place: Sequence[int],
    n: int,
    progress: bool | None,
) -> list[Answer]:
    """Answers of all batches, in the order of `place`."""
    from tqdm.auto import tqdm

    answers: dict[int, Answer] = {}
    with tqdm(total=n, desc=f"asking {name}", unit="prompt", disable=None if progress is None else not progress) as bar:
        for positions, values in batches:
            answers.update(zip(positions, values, strict=True))
            bar.update(len(positions))
    return [answers[at] for at in place]
