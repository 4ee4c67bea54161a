"""Shared prefixes: which beginnings of many prompts are worth reading once.

Prompts of a job agree from the left: a preface all of them, a problem its personas, a persona its
problems. Sorted by their tokens they are a trie. A branch of s tokens under which k passes lie costs
k s tokens to read apart and s together, so

    saved = (k - 1) s

tokens, at the price of one more row in one more forward pass. Branches that save too little are read
with what follows them; whether problems stand under personas or personas under problems is for the
prompt to say, and the trie takes what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .chains import Tokens

# A forward pass of SmolLM2-135M costs as much as 10 to 20 more tokens in another (one CPU thread).
WORTH = 32
# Keeps the trie of a prompt that is a beginning of the next, and so on, from growing a level a token.
LEAST = 4


@dataclass(frozen=True)
class Pass:
    """One row that is read: a query's context and the option tokens fed after it.

    Parameters
    ----------
    query
        Position of the query it belongs to.
    context, tail
        Tokens of the prompt, and those of an option but its last.
    options
        Positions of the options whose tokens are scored along this tail.
    chains
        Their tokens.
    """

    query: int
    context: Tokens
    tail: Tokens = ()
    options: tuple[int, ...] = ()
    chains: tuple[Tokens, ...] = ()
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", self.context + self.tail)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def first(self) -> int:
        """Position whose logits give the first option token; no shared prefix may reach it."""
        return len(self.context) - 1


@dataclass
class Branch:
    """A shared prefix: its own tokens after those of the branch above, and what grows on it.

    Parameters
    ----------
    tokens
        Tokens after the branch above; none at the root.
    depth
        How many tokens of a pass are read once this branch is, the ones above included.
    branches
        Longer shared prefixes.
    passes
        What is read directly after it.
    """

    tokens: Tokens = ()
    depth: int = 0
    branches: list[Branch] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)


def share(passes: Sequence[Pass]) -> Branch:
    """Root of the trie of `passes`, with the branches alone that are worth a row of their own."""
    root = Branch()
    growing = [(sorted(passes, key=lambda one: one.tokens), root, 0)]
    while growing:
        rows, branch, known = growing.pop()
        if len(rows) < 2:
            branch.passes.extend(rows)
            continue
        common = _common(rows[0].tokens, rows[-1].tokens, known, min(one.first for one in rows))
        own = common - branch.depth
        if own >= LEAST and (len(rows) - 1) * own >= WORTH:
            grown = Branch(rows[0].tokens[branch.depth : common], common)
            branch.branches.append(grown)
            branch = grown
        branch.passes.extend(one for one in rows if one.first == common)
        growing.extend((group, branch, common) for group in _split(rows, common))
    return root


def _common(one: Tokens, other: Tokens, known: int, most: int) -> int:
    """Count the tokens that two rows share, up to `most`, the first `known` being known to agree."""
    for at in range(known, most):
        if one[at] != other[at]:
            return at
    return most


def _split(rows: Sequence[Pass], at: int) -> list[list[Pass]]:
    """Rows that go on past `at`, by their token there."""
    groups: dict[int, list[Pass]] = {}
    for one in rows:
        if one.first > at:
            groups.setdefault(one.tokens[at], []).append(one)
    return list(groups.values())
