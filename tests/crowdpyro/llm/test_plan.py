"""The plan of a job, and what is left of it: everything once, and the rest of a job as in one go."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro.llm import FrozenLLM
from crowdpyro.llm.backbone import FloatArray, Query
from crowdpyro.llm.plan import Limits, Step, left_of, plan
from crowdpyro.llm.prefix import Pass, share

TEXTS = [f"The weather is {'fine and ' * n}I agree." for n in range(1, 8)]
PEOPLE = ["", *(f"You are a {'nurse and a ' * n}farmer of {n}. " for n in range(1, 4))]
OPTIONS = [("1", "2"), ("agree", "strongly agree", "not sure at all"), ("yes", "no")]
QUERIES = [
    Query(f"Choose one. How much do you agree with this statement? {text} {who}Answer:", OPTIONS[i % 3], f"query {i}")
    for i, (text, who) in enumerate(itertools.product(TEXTS, PEOPLE))
]
jobs = st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=50), st.integers(1, 3)), max_size=30)


def passes_of(job: list[tuple[list[int], int]]) -> list[Pass]:
    """Queries of long runs of few tokens, each with one to three tails."""
    return [Pass(i, (0,) * 20 + tuple(row), (7,) * tail) for i, (row, n) in enumerate(job) for tail in range(n)]


def read(steps: Iterable[Step]) -> list[Pass]:
    """Passes in the order in which they are read, each on branches that hold its beginning."""
    levels: list[list[tuple[int, ...]]] = []
    found = []
    for step in steps:
        assert step.depth <= len(levels)
        levels = levels[: step.depth]
        if step.branches:
            above = [sum((held[at] for held, at in zip(levels, row.path, strict=True)), ()) for row in step.branches]
            assert [len(each) for each in above] == [row.depth for row in step.branches]
            levels.append([row.tokens for row in step.branches])
        for row in (row for group in step.groups for batch in group.batches for row in batch):
            held: tuple[int, ...] = sum((level[at] for level, at in zip(levels, row.path, strict=True)), ())
            assert isinstance(row.what, Pass)
            assert held + row.tokens == row.what.tokens
            found.append(row.what)
    return found


@settings(max_examples=100, deadline=None)
@given(jobs, st.integers(1, 400))
def test_every_pass_is_read_once_and_queries_are_whole(job: list[tuple[list[int], int]], budget: int) -> None:
    passes = passes_of(job)
    steps = plan(share(passes), Limits(budget, 16, 100))
    assert sorted(read(steps), key=lambda one: (one.query, one.tail)) == passes
    groups = [group for step in steps for group in step.groups]
    assert sorted(query for group in groups for query in group.queries) == list(range(len(job)))
    for group in groups:
        assert {row.what.query for batch in group.batches for row in batch} == group.queries  # type: ignore[union-attr]


@settings(max_examples=100, deadline=None)
@given(jobs, st.integers(1, 400), st.data())
def test_what_is_left_is_read_in_the_batches_of_the_whole(
    job: list[tuple[list[int], int]], budget: int, data: st.DataObject
) -> None:
    steps = plan(share(passes_of(job)), Limits(budget, 16, 100))
    groups = [group for step in steps for group in step.groups]
    done = groups[: data.draw(st.integers(0, len(groups)))]
    known = {query for group in done for query in group.queries}
    kept = left_of(steps, known)
    assert kept is not None
    assert [group for step in kept for group in step.groups] == groups[len(done) :]
    assert [one for one in read(steps) if one.query not in known] == read(kept)
    # Whatever is held, something hangs on it.
    for at, step in enumerate(kept):
        assert step.groups or (at + 1 < len(kept) and kept[at + 1].depth > step.depth)


def test_a_group_that_is_half_known_has_no_plan_left() -> None:
    steps = plan(share(passes_of([([1], 1), ([2], 1)])), Limits(400, 16, 100))
    assert left_of(steps, {0}) is None
    assert left_of(steps, {0, 1}) == []


def whole(batches: Iterable[tuple[list[int], list[Any]]]) -> dict[int, Any]:
    """Answers by position, each given once."""
    found: dict[int, Any] = {}
    for positions, values in batches:
        assert not found.keys() & set(positions)
        found |= dict(zip(positions, values, strict=True))
    return found


@pytest.fixture(scope="module", params=[1, 300, 4096])
def llm(request: pytest.FixtureRequest, tiny_folder: Path) -> FrozenLLM:
    return FrozenLLM(tiny_folder, threads=1, batch_tokens=request.param)


def cuts(n: int) -> Iterator[int]:
    yield from sorted({1, n // 3, n - 1})


def test_a_job_that_goes_on_gives_the_scores_of_one_go(llm: FrozenLLM) -> None:
    batches = list(llm.score(QUERIES))
    for n in cuts(len(batches)):
        known = {at for positions, _ in batches[:n] for at in positions}
        again = list(llm.score(QUERIES, known=known))
        assert [positions for positions, _ in again] == [positions for positions, _ in batches[n:]]
        for (_, ours), (_, first) in zip(again, batches[n:], strict=True):
            for one, other in zip(ours, first, strict=True):
                np.testing.assert_array_equal(one, other)
    assert list(llm.score(QUERIES, known=range(len(QUERIES)))) == []


def test_new_queries_beside_known_ones_are_alone_computed(llm: FrozenLLM) -> None:
    expected: dict[int, FloatArray] = whole(llm.score(QUERIES))
    known = set(range(0, len(QUERIES), 2))
    found = whole(llm.score(QUERIES, known=known))
    assert found.keys() == set(range(len(QUERIES))) - known
    for at, value in found.items():
        np.testing.assert_allclose(value, expected[at], atol=1e-4)


def test_a_job_that_goes_on_writes_the_texts_of_one_go(llm: FrozenLLM) -> None:
    how = {"n": 3, "temperature": 1.0, "max_tokens": 2, "seed": 0}
    batches = list(llm.write(QUERIES, **how))
    for n in cuts(len(batches)):
        known = {at for positions, _ in batches[:n] for at in positions}
        assert list(llm.write(QUERIES, **how, known=known)) == batches[n:]
    known = set(range(0, len(QUERIES), 2))
    assert whole(llm.write(QUERIES, **how, known=known)) == {
        at: texts for at, texts in whole(batches).items() if at not in known
    }


def test_blocks_go_on_as_well(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crowdpyro.llm.frozen.BLOCK", 10)
    llm = FrozenLLM(tiny_folder, threads=1)
    batches = list(llm.score(QUERIES))
    assert sorted(at for positions, _ in batches for at in positions) == list(range(len(QUERIES)))
    known = {at for positions, _ in batches[:-2] for at in positions}
    assert [at for at, _ in llm.score(QUERIES, known=known)] == [at for at, _ in batches[-2:]]
