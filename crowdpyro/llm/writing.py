"""Free text: n continuations of every prompt, sampled in batches.

Token k of draw d after prompt c is the inverse of the cumulative distribution at a uniform number of its own,

    w_k = min {w : P(W <= w | c, w_1, ..., w_{k-1}) >= u},    u = u(seed, c, d, k),    P ~ softmax(f / tau),

so that a text depends on the seed and the prompt, and neither on what shares its batch nor on torch's random state,
which stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
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
) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Positions of contexts and their `n` texts, batch by batch, within `budget` tokens, what is written included."""
    draws = [_Draw(query, number, context) for query, context in enumerate(contexts) for number in range(n)]
    draws.sort(key=lambda draw: (-len(draw.context), draw.query))
    texts: dict[int, list[str]] = {}
    while draws:
        size = max(1, budget // (len(draws[0].context) + max_tokens))
        batch, draws = draws[:size], draws[size:]
        with torch.inference_mode(), torch_threads(threads):
            written = _generate(network, batch, temperature, max_tokens, seed).tolist()
        written = [_ended(row, network.generation_config.eos_token_id) for row in written]
        for draw, text in zip(batch, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True):
            texts.setdefault(draw.query, []).append(str(text))
        whole = [query for query, found in texts.items() if len(found) == n]
        if whole:
            yield whole, [texts.pop(query) for query in whole]


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
