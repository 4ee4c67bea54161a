"""The plan of a job: which rows of a trie are read together and in which order, before anything is read.

The trie is walked depth first, batches of siblings at a time. A step holds one batch of branches and reads what ends on
them, in groups of whole queries. Held tokens and the rows of a pass together stay within a budget.

A plan depends on all the queries of a job. So a job that was stopped goes on by the same plan, without the groups whose
answers are known: what is left is computed in the same batches as it would have been, and to the same bits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

from .prefix import Branch, Pass

# Bounds the logits of one pass: 2**25 numbers in float32 are 134 MB.
KEPT_LOGITS = 2**25
# Padding allowed in a batch: this share of it, or as many tokens as `Limits.slack`.
PADDING = 0.1


@dataclass(frozen=True)
class Row:
    """What is read now after a held prefix: the rest of a pass, or a branch.

    Parameters
    ----------
    what
        The pass or branch.
    path
        The branch that it hangs on at each level.
    depth
        Tokens held.
    """

    what: Pass | Branch
    path: tuple[int, ...]
    depth: int

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens to be read."""
        return self.what.tokens if isinstance(self.what, Branch) else self.what.tokens[self.depth :]

    @property
    def places(self) -> range:
        """Where among them logits are needed; of a branch nowhere, but one place is always computed."""
        return range(1) if isinstance(self.what, Branch) else range(self.what.first - self.depth, len(self.tokens))


Batch: TypeAlias = list[Row]


@dataclass(frozen=True)
class Group:
    """Whole queries, whose passes are read in some batches and handed on together."""

    batches: list[Batch]
    queries: frozenset[int]


@dataclass(frozen=True)
class Step:
    """Branches that are held together, none at the root, and the groups that are read on them.

    `depth` is how many levels of branches are held already.
    """

    depth: int
    branches: Batch
    groups: list[Group]


@dataclass(frozen=True)
class Limits:
    """What bounds a batch.

    Parameters
    ----------
    budget
        Most tokens in sight at once: rows of a pass, padding and prefixes included, and held branches.
    slack
        Padding that costs no more than another pass would, in tokens.
    vocabulary
        Logits of one place.
    """

    budget: int
    slack: int
    vocabulary: int

    def fitting(self, rows: Sequence[Row], room: int) -> int:
        """How many rows, longest first, make a batch: within `room` tokens, the bound on logits, and little padding."""
        width = deepest = padding = 0
        places: set[int] = set()
        for n, row in enumerate(rows, start=1):
            length = len(row.tokens)
            width, deepest = max(width, length), max(deepest, row.depth)
            padding += width - length
            places.update(row.places)
            fits = n * (width + deepest) <= room and n * len(places) * self.vocabulary <= KEPT_LOGITS
            if n > 1 and not (fits and padding <= max(self.slack, PADDING * n * width)):
                return n - 1
        return len(rows)

    def groups(self, reads: Sequence[Row], room: int) -> Iterator[Group]:
        """Passes in groups: as many queries as there are rows in a batch, by the longest of each."""
        by_query: dict[int, list[Row]] = {}
        for row in reads:
            if isinstance(row.what, Pass):
                by_query.setdefault(row.what.query, []).append(row)
        left = list(by_query)
        while left:
            n = self.fitting([by_query[query][0] for query in left], room)
            queries, left = left[:n], left[n:]
            rows = _longest_first(chain.from_iterable(by_query[query] for query in queries))
            batches = []
            while rows:
                n = self.fitting(rows, room)
                batches.append(rows[:n])
                rows = rows[n:]
            yield Group(batches, frozenset(queries))


def plan(root: Branch, limits: Limits) -> list[Step]:
    """Steps of a trie, each before those that need what it holds."""
    branches, reads = _on(root, ())
    steps = [Step(0, [], list(limits.groups(reads, limits.budget)))]
    # Branches that are still to be held: on how many levels, and with what room.
    waiting = [(0, branches, limits.budget)]
    while waiting:
        depth, branches, room = waiting.pop()
        if not branches:
            continue
        # Half of the room, so that there is some for what grows on them.
        n = limits.fitting(branches, room // 2)
        batch, rest = branches[:n], branches[n:]
        waiting.append((depth, rest, room))
        room = max(room - n * max(len(row.tokens) for row in batch), 0)
        grown = [_on(row.what, (*row.path, i)) for i, row in enumerate(batch) if isinstance(row.what, Branch)]
        branches, reads = (_longest_first(chain.from_iterable(part)) for part in zip(*grown, strict=True))
        steps.append(Step(depth, batch, list(limits.groups(reads, room))))
        waiting.append((depth + 1, branches, room))
    return steps


def left_of(steps: Sequence[Step], known: Collection[int]) -> list[Step] | None:
    """Steps without groups of known queries and the branches that only those need; None where a group is half known."""
    groups = [group for step in steps for group in step.groups]
    if any(0 < len(group.queries.intersection(known)) < len(group.queries) for group in groups):
        return None
    kept: list[Step] = []
    for step in reversed(steps):
        unknown = [group for group in step.groups if group.queries.isdisjoint(known)]
        # What follows a step at a greater depth, before anything at its own, stands on it.
        if unknown or (kept and kept[-1].depth > step.depth):
            kept.append(replace(step, groups=unknown))
    return kept[::-1]


def _on(branch: Branch, path: tuple[int, ...]) -> tuple[list[Row], list[Row]]:
    """Branches and passes that grow on `branch`, which `path` leads to."""
    below, reads = ([Row(what, path, branch.depth) for what in grown] for grown in (branch.branches, branch.passes))
    return _longest_first(below), _longest_first(reads)


def _longest_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (len(row.tokens), row.depth), reverse=True)
