"""Token chains: the options of a scale as a language model reads them.

An option is a chain of tokens w = (w_1, ..., w_m) after the context. To score it, the model must be
fed w_1, ..., w_{m-1}; one pass over the longest such tail scores every option that lies along it.
The probability that an answer *begins* with w contains that of every option that begins so, and is
split into disjoint events by

    P(w) = P(begins w) - sum_{w'} P(begins w'),       w' the shortest options that properly extend w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..models.errors import DataError

Tokens: TypeAlias = tuple[int, ...]


def forced_tails(chains: Sequence[Tokens]) -> list[Tokens]:
    """List the fewest tails that score every chain: `chain[:-1]` unless another tail begins so."""
    tails = {chain[:-1] for chain in chains}
    return sorted(t for t in tails if not any(o != t and o[: len(t)] == t for o in tails))


def disjoint_logs(begins: npt.NDArray[np.float64], chains: Sequence[Tokens]) -> npt.NDArray[np.float64]:
    """Log-probabilities of disjoint options from those of "begins with its tokens", `(n_options,)`."""
    logs = begins.copy()
    for short in range(len(chains)):
        longer = [o for o in range(len(chains)) if short in _begun(chains, o)]
        nearest = [o for o in longer if not any(p in longer for p in _begun(chains, o) if p != short)]
        if nearest:
            share = np.exp(begins[nearest] - begins[short]).sum()
            logs[short] += np.log1p(-share) if share < 1 else -np.inf
    return logs


def _begun(chains: Sequence[Tokens], option: int) -> list[int]:
    """Other options whose tokens begin those of `option`."""
    chain = chains[option]
    return [o for o, other in enumerate(chains) if o != option and chain[: len(other)] == other]


def common_prefix(rows: Sequence[Sequence[int]]) -> Tokens:
    """Read tokens while all `rows` agree."""
    shared = []
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return tuple(shared)


def check_chains(chains: Sequence[Tokens], options: Sequence[str]) -> None:
    """Raise `DataError` on an option without tokens, or two with the same."""
    seen: dict[Tokens, str] = {}
    for chain, option in zip(chains, options, strict=True):
        if not chain:
            raise DataError(f"option {option!r} has no token of its own; choose another label.")
        if chain in seen:
            raise DataError(f"options {seen[chain]!r} and {option!r} are the same tokens; rename one.")
        seen[chain] = option
