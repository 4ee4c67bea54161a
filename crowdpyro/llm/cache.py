"""A scorer that remembers: what was asked before is looked up, the rest is asked and stored, batch by batch.

    key = SHA-256(model, revision, settings, mode, prompt, options)

where `settings` is whatever else decides the numbers (dtype, chat template, ...) and the mode is "score", or "write"
with n, temperature, most tokens and seed. Scores are stored at temperature 1 and as they are, in float64: one entry
serves every temperature, and what is found is to the bit what was computed.

A job that was killed and is run again asks what is left in the batches of its first run, so that its answers are to the
bit those of one go. A file that another job has filled with some of the queries leaves other batches, whose float32
sums round otherwise: differences up to 2.4e-6 in probability were seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from ..outside import refused
from .backbone import FloatArray, Query, Scorer
from .cache_file import Asker, CacheFile, Mode

T = TypeVar("T")


class CachedScorer:
    """A `Scorer` around a `Scorer`, with a cache file between.

    Equal queries of one call are asked once. Several processes may share the file; what both ask at the same time is
    computed by both and stored once.

    Parameters
    ----------
    scorer
        Whom to ask what is not in the file.
    path
        The file, see `CacheFile`.

    Attributes
    ----------
    hits, misses
        Queries answered from the file, or as another of the same call; queries that the scorer was asked.
    damaged
        Entries that failed their checksum; each is among the misses and was stored anew.
    """

    def __init__(self, scorer: Scorer, path: str | os.PathLike[str]) -> None:
        self.scorer, self.file = scorer, CacheFile(path)
        self.name, self.revision, self.settings = scorer.name, scorer.revision, scorer.settings
        self.hits = self.misses = self.damaged = 0

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """As `Scorer.score`; what is in the file comes first."""
        return self._through("score", "score", queries, known, self.scorer.score, _pack_floats, _unpack_floats)

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
        """As `Scorer.write`; what is in the file comes first."""
        ask = partial(self.scorer.write, n=n, temperature=temperature, max_tokens=max_tokens, seed=seed)
        how = f"write n={n} temperature={float(temperature)!r} max_tokens={max_tokens} seed={seed}"
        return self._through("write", how, queries, known, ask, _pack_texts, _unpack_texts)

    def report(self) -> str:
        """Say how much was found, in one line."""
        n = self.hits + self.misses
        line = f"cache {self.file.path}: {self.hits:,} of {n:,} prompts found, {self.misses:,} asked"
        return f"{line}; {self.damaged:,} damaged entries asked anew." if self.damaged else f"{line}."

    def _unpacked(self, raw: bytes, unpack: Callable[[bytes], T], query: Query) -> T:
        """An answer of the file; raises `DataError` when it is none."""
        with refused(f"cache {self.file.path}: the entry of {query.name} is damaged", "delete the file"):
            value = unpack(raw)
            if _is_answer(value, query):
                return value
            raise ValueError("it is no answer")

    def _through(
        self,
        mode: Mode,
        how: str,
        queries: Sequence[Query],
        known: Collection[int],
        ask: Callable[..., Iterator[tuple[list[int], list[T]]]],
        pack: Callable[[T], bytes],
        unpack: Callable[[bytes], T],
    ) -> Iterator[tuple[list[int], list[T]]]:
        asker = Asker(self.name, self.revision, self.settings)
        places: dict[bytes, list[int]] = {}
        for place, query in enumerate(queries):
            places.setdefault(key_of(asker, how, query), []).append(place)
        keys = list(places)
        wanted = {key: [place for place in places[key] if place not in known] for key in keys}
        found, damaged = self.file.find(key for key in keys if wanted[key])
        self.damaged += damaged
        if found:
            here = [(place, key) for key in found for place in wanted[key]]
            self.hits += len(here)
            yield (
                [place for place, _ in here],
                [self._unpacked(found[key], unpack, queries[place]) for place, key in here],
            )
        settled = {row for row, key in enumerate(keys) if key in found or not wanted[key]}
        if len(settled) == len(keys):
            return
        # All are told, so that what is left is computed as if nothing had stopped.
        with self.file.held():
            for rows, values in ask([queries[places[key][0]] for key in keys], known=settled):
                answers = {keys[row]: value for row, value in zip(rows, values, strict=True)}
                self.file.keep(asker, mode, {key: pack(value) for key, value in answers.items()})
                same = [(place, value) for key, value in answers.items() for place in wanted[key]]
                self.misses += len(answers)
                self.hits += len(same) - len(answers)
                yield [place for place, _ in same], [value for _, value in same]


def _is_answer(value: object, query: Query) -> bool:
    """Whether what was unpacked is texts, or a log-probability an option: a stranger's checksum is right as well."""
    if isinstance(value, np.ndarray):
        return value.shape == (len(query.options),) and not np.isnan(value).any()
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def key_of(asker: Asker, how: str, query: Query) -> bytes:
    """The key of a query: a hash over all parts, each after its length, so that no two run into each other."""
    digest = hashlib.sha256()
    for part in (asker.name, asker.revision, asker.settings, how, query.prompt, *query.options):
        # Half of a surrogate pair is no text, but the scorer shall say so, not the cache.
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


def _pack_floats(value: FloatArray) -> bytes:
    return np.asarray(value, dtype="<f8").tobytes()


def _unpack_floats(raw: bytes) -> FloatArray:
    return np.frombuffer(raw, dtype="<f8").astype(np.float64)


def _pack_texts(value: list[str]) -> bytes:
    return json.dumps(value).encode()


def _unpack_texts(raw: bytes) -> list[str]:
    found: list[str] = json.loads(raw)
    return found
