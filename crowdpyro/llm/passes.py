"""Forward passes of a causal language model over a trie of shared prefixes, by a plan.

The keys and values of a batch of branches are held while what grows on them is read, and dropped after. A row's prefix
is laid out on the left of the batch,

    [ . . p p p p | t t t . ]        p: held, t: read now, .: padding that the mask hides,

without gaps, so that distances between tokens, and with them a sliding window, are as in an unbatched
pass; positions are given. Each layer lays its prefix out when it needs it, one layer at a time.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from ..pretrained import torch_threads
from .backbone import FloatArray
from .plan import Limits, Row, Step, left_of, plan
from .prefix import Branch, Pass, share

# Tokens that a pass costs: on a CPU a pass of SmolLM2-135M costs 37 ms and a token 2.5 ms; accelerators leave much idle
# in a small pass.
SLACK, SLACK_ACCELERATED = 16, 512


@dataclass(frozen=True)
class Level:
    """Keys and values of a batch of branches: a tensor `(n_branches, n_heads, width, size)` a layer.

    They are padded on the right; `lengths` says where each ends.
    """

    keys: list[Tensor]
    values: list[Tensor]
    lengths: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens held, padding included."""
        return len(self.lengths) * max(self.lengths)


class Passes:
    """Runs passes through a network and reads the log-probabilities of option tokens.

    Parameters
    ----------
    network
        A causal language model of transformers.
    budget
        Most tokens in sight at once: rows of a pass, padding and prefixes included, and held branches.
    threads
        Torch threads of a forward pass.
    shared
        Read shared prefixes once, where the network's cache is one of keys and values alone.
    """

    def __init__(self, network: Any, budget: int, threads: int | None, shared: bool) -> None:
        self.network, self.threads = network, threads
        parameters = inspect.signature(network.forward).parameters
        self._keeps_logits = "logits_to_keep" in parameters
        self._n_layers = _cached_layers(network.config)
        self.shared = shared and self._n_layers > 0 and {"past_key_values", "position_ids"} <= set(parameters)
        slack = SLACK if network.device.type == "cpu" else SLACK_ACCELERATED
        self.limits = Limits(budget, slack, int(network.config.get_text_config().vocab_size))

    def run(
        self, passes: Sequence[Pass], known: Collection[int] = frozenset()
    ) -> Iterator[list[tuple[Pass, FloatArray]]]:
        """Passes of whole queries as they are read, each with log P(begins with chain) of its chains.

        Parameters
        ----------
        passes
            Of all queries.
        known
            Queries that are left out of the plan of all. Where one would have to be read again beside others, the
            others have a plan of their own.
        """
        steps: list[Step] | None = left_of(self._planned(passes), known)
        if steps is None:
            steps = self._planned([one for one in passes if one.query not in known])
        levels: tuple[Level, ...] = ()
        for step in steps:
            levels = levels[: step.depth]
            if step.branches:
                levels = (*levels, self._hold(levels, step.branches))
            for group in step.groups:
                yield [each for batch in group.batches for each in self._read(levels, batch)]

    def _planned(self, passes: Sequence[Pass]) -> list[Step]:
        return plan(share(passes) if self.shared else Branch(passes=list(passes)), self.limits)

    def _hold(self, levels: tuple[Level, ...], rows: Sequence[Row]) -> Level:
        """Read branches and keep their keys and values."""
        layers = self._forward(levels, rows, [0], hold=True)[1]
        return Level([x.keys for x in layers], [x.values for x in layers], tuple(len(row.tokens) for row in rows))

    def _read(self, levels: tuple[Level, ...], rows: Sequence[Row]) -> list[tuple[Pass, FloatArray]]:
        """Read passes: sums of log P of the tokens of each chain."""
        places = sorted({place for row in rows for place in row.places})
        column = {place: i for i, place in enumerate(places)}
        passes = [row.what for row in rows if isinstance(row.what, Pass)]
        picked, owners, n_chains = [], [], 0
        for r, (row, one) in enumerate(zip(rows, passes, strict=True)):
            for tokens in one.chains:
                picked += [(r, column[row.places[k]], token) for k, token in enumerate(tokens)]
                owners += [n_chains] * len(tokens)
                n_chains += 1
        with torch.inference_mode():
            logits = self._forward(levels, rows, places)[0].float()
            r, c, token = torch.tensor(picked, device=logits.device).T
            steps = logits[r, c, token] - logits.logsumexp(-1)[r, c]
        sums = np.bincount(owners, weights=steps.double().cpu().numpy(), minlength=n_chains)
        ends = np.cumsum([len(one.chains) for one in passes])
        return list(zip(passes, np.split(sums, ends[:-1]), strict=True))

    def _forward(
        self, levels: tuple[Level, ...], rows: Sequence[Row], places: Sequence[int], hold: bool = False
    ) -> tuple[Tensor, list[Any]]:
        """Logits `(n_rows, n_places, vocabulary)`, and the layers of the cache."""
        width, before = max(len(row.tokens) for row in rows), max(row.depth for row in rows)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        mask = np.zeros((len(rows), before + width), dtype=np.int64)
        for r, row in enumerate(rows):
            ids[r, : len(row.tokens)] = row.tokens
            mask[r, before - row.depth : before + len(row.tokens)] = 1
        device = self.network.device
        how: dict[str, Any] = {"attention_mask": torch.as_tensor(mask, device=device), "use_cache": False}
        layers: list[Any] = []
        if levels or hold:
            prefix = _Prefix(levels, rows, before)
            layers = [_Layer(prefix, i, hold) for i in range(self._n_layers)]
            # Padding stays where the row ends: a table of positions may end there, too.
            positions = [row.depth + np.minimum(np.arange(width), len(row.tokens) - 1) for row in rows]
            how |= {"past_key_values": Cache(layers=layers), "use_cache": True}
            how["position_ids"] = torch.as_tensor(np.stack(positions), device=device)
        if self._keeps_logits:
            how["logits_to_keep"] = torch.as_tensor(places, device=device)
        with torch.inference_mode(), torch_threads(self.threads):
            logits = self.network(input_ids=torch.as_tensor(ids, device=device), **how).logits
        return (logits if self._keeps_logits else logits[:, places]), layers


class _Prefix:
    """Lays the held prefixes of the rows of one pass out, for one layer after the other."""

    def __init__(self, levels: tuple[Level, ...], rows: Sequence[Row], width: int) -> None:
        self.levels, self.width = levels, width
        paths = sorted({row.path for row in rows})
        number = {path: i for i, path in enumerate(paths)}
        self.of_row = torch.tensor([number[row.path] for row in rows]) if len(paths) > 1 else None
        self.branches = [torch.tensor([path[i] for path in paths]) for i in range(len(levels))]
        self.source = self._source(paths)

    def _source(self, paths: Sequence[tuple[int, ...]]) -> Tensor | None:
        """Where each token of a path stands once its levels are joined, `(n_paths, width)`; None: in its place."""
        starts = np.cumsum([0, *(max(level.lengths) for level in self.levels)])
        source = np.zeros((len(paths), self.width), dtype=np.int64)
        for i, path in enumerate(paths):
            lengths = [level.lengths[branch] for level, branch in zip(self.levels, path, strict=True)]
            held = [start + np.arange(n) for start, n in zip(starts[:-1], lengths, strict=True)]
            source[i, self.width - sum(lengths) :] = np.concatenate(held) if held else 0
        in_place = self.width == starts[-1] and bool((source == np.arange(self.width)).all())
        return None if in_place else torch.from_numpy(source)

    def before(self, held: Sequence[Tensor], new: Tensor) -> Tensor:
        """`new` with the prefix of each row before it, `(n_rows, n_heads, width + n_new, size)`."""
        if self.width == 0:
            return new
        parts = [part[branch.to(part.device)] for part, branch in zip(held, self.branches, strict=True)]
        joined = torch.cat(parts, -2) if len(parts) > 1 else parts[0]
        if self.source is not None:
            source = self.source.to(joined.device)[:, None, :, None]
            joined = joined.take_along_dim(source.expand(-1, joined.shape[1], -1, joined.shape[3]), -2)
        rows = joined.expand(len(new), -1, -1, -1) if self.of_row is None else joined[self.of_row.to(joined.device)]
        return torch.cat([rows, new], -2)


class _Layer(DynamicLayer):  # type: ignore[misc]
    """A layer of the cache that shows the held prefix, and keeps what is new if asked to.

    It is no sliding layer even where the network has such: all that is held is shown, and the mask cuts the window.
    """

    def __init__(self, prefix: _Prefix, number: int, hold: bool) -> None:
        super().__init__()
        self.prefix, self.number, self.hold = prefix, number, hold

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Prefix and new states together."""
        if self.hold:
            self.keys, self.values, self.is_initialized = key_states, value_states, True
        return (
            self.prefix.before([level.keys[self.number] for level in self.prefix.levels], key_states),
            self.prefix.before([level.values[self.number] for level in self.prefix.levels], value_states),
        )

    def get_seq_length(self) -> int:
        """Tokens before the new ones, padding included."""
        return self.prefix.width

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length that the mask has, and where it starts."""
        return self.prefix.width + query_length, 0


def _cached_layers(config: Any) -> int:
    """Layers of a cache that holds the keys and values of every token; 0 where it holds something else."""
    layers = DynamicCache(config=config).layers
    plain = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    chunks = getattr(config.get_text_config(), "attention_chunk_size", None)
    return len(layers) if plain and chunks is None else 0
