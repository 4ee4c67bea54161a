"""Free text: n continuations of every prompt, sampled in batches.

Token k of draw d after prompt c is the inverse of the cumulative distribution at a uniform number of its own,

    w_k = min {w : P(W <= w | c, w_1, ..., w_{k-1}) >= u},    u = u(seed, c, d, k),    P ~ softmax(f / tau),

so that a text depends on the seed and the prompt, and neither on what shares its batch nor on torch's random state,
which stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..pretrained import torch_threads
from .chains import Tokens


@dataclass(frozen=True)
class _Draw:
    """One text to be written."""

    query: int
    number: int
    context: Tokens


def write(
    network: Any,
    tokenizer: Any,
    contexts: Sequence[Tokens],
    *,
    n: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    budget: int,
    threads: int | None,
    known: Collection[int],
) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Positions of contexts but the known ones and their `n` texts, by groups of whole queries.

    A pass has at most `budget` tokens, what is written included.
    """
    everything = list(range(len(contexts)))
    known = frozenset(known)
    groups = list(_groups(contexts, everything, n, max_tokens, budget))
    if any(0 < len(group.intersection(known)) < len(group) for group, _ in groups):
        # As in `plan.left_of`: beside known queries, those that are left are grouped on their own.
        unknown = [query for query in everything if query not in known]
        groups = list(_groups(contexts, unknown, n, max_tokens, budget))
    for group, batches in groups:
        if not group.isdisjoint(known):
            continue
        texts: dict[int, list[str]] = {}
        for batch in batches:
            with torch.inference_mode(), torch_threads(threads):
                written = _generate(network, batch, temperature, max_tokens, seed).tolist()
            written = [_ended(row, network.generation_config.eos_token_id) for row in written]
            for draw, text in zip(batch, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True):
                texts.setdefault(draw.query, []).append(str(text))
        yield list(texts), list(texts.values())


def _groups(
    contexts: Sequence[Tokens], queries: Sequence[int], n: int, max_tokens: int, budget: int
) -> Iterator[tuple[frozenset[int], list[list[_Draw]]]]:
    """Queries, longest first, and their draws in batches: as many whole queries as fit one batch, or one in several."""
    left = sorted(queries, key=lambda query: -len(contexts[query]))
    while left:
        size = max(1, budget // (len(contexts[left[0]]) + max_tokens))
        several = max(1, size // n)
        group, left = left[:several], left[several:]
        draws = [_Draw(query, number, contexts[query]) for query in group for number in range(n)]
        yield frozenset(group), [draws[start : start + size] for start in range(0, len(draws), size)]


def _generate(network: Any, batch: Sequence[_Draw], temperature: float, max_tokens: int, seed: int) -> Tensor:
    """Tokens after each context, `(n_draws, n_written)`."""
    width = max(len(draw.context) for draw in batch)
    # Padding on the left: all texts begin at the same place.
    ids, mask = np.zeros((2, len(batch), width), dtype=np.int64)
    for row, draw in enumerate(batch):
        ids[row, width - len(draw.context) :] = draw.context
        mask[row, width - len(draw.context) :] = 1
    chosen = []
    if temperature > 0:
        uniform = np.stack([_uniform(draw, seed, max_tokens) for draw in batch])
        chosen = [_Inverse(torch.as_tensor(uniform, dtype=torch.float32), width, temperature)]
    written = network.generate(
        input_ids=torch.as_tensor(ids, device=network.device),
        attention_mask=torch.as_tensor(mask, device=network.device),
        do_sample=False,
        max_new_tokens=max_tokens,
        logits_processor=chosen,
    )
    return torch.as_tensor(written)[:, width:]


def _ended(row: list[int], end: int | list[int] | None) -> list[int]:
    """Tokens before the first that ends a text; what follows it is padding, not always of a special token."""
    ends = set(end) if isinstance(end, list) else {end}
    return row[: next((k for k, token in enumerate(row) if token in ends), len(row))]


def _uniform(draw: _Draw, seed: int, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers in (0, 1], the draw's own."""
    digest = hashlib.sha256(np.array(draw.context, dtype="<i8").tobytes()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return 1 - np.random.default_rng([seed, draw.number, *words]).random(n)


class _Inverse:
    """Leaves the one token that a uniform number chooses, for a search that takes the likeliest."""

    def __init__(self, uniform: Tensor, start: int, temperature: float) -> None:
        self.uniform, self.start, self.temperature = uniform, start, temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores that are zero at the chosen token and minus infinity elsewhere."""
        cumulative = torch.softmax(scores.float() / self.temperature, -1).cumsum(-1)
        at = self.uniform[:, input_ids.shape[1] - self.start].to(scores.device)[:, None] * cumulative[:, -1:]
        token = (cumulative < at).sum(-1, keepdim=True)
        return torch.full_like(scores, -torch.inf).scatter_(-1, token, 0.0)
