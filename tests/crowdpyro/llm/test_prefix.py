"""The trie of shared prefixes, and passes over it: everything read once, within the budget, and to the same numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro.errors import DataError
from crowdpyro.llm import FrozenLLM
from crowdpyro.llm.backbone import Query
from crowdpyro.llm.passes import Passes
from crowdpyro.llm.prefix import LEAST, WORTH, Branch, Pass, share

PREFACE = "Choose one number. How much do you agree with this statement? "
PROBLEMS = [f"The weather is {'fine and ' * n}I agree." for n in range(1, 7)]
PERSONAS = ["", *(f"You are a {'nurse and a ' * n}farmer of {n}. " for n in range(1, 4))]
PROBLEM_FIRST = [f"{PREFACE}{text} {who}Answer:" for text, who in itertools.product(PROBLEMS, PERSONAS)]
PERSONA_FIRST = [f"{PREFACE}{who}{text} Answer:" for text, who in itertools.product(PROBLEMS, PERSONAS)]
OPTIONS = ["1", "10", "agree", "strongly agree"]


def walk(branch: Branch, before: tuple[int, ...] = ()) -> Iterator[tuple[Branch, tuple[int, ...]]]:
    held = before + branch.tokens
    yield branch, held
    for each in branch.branches:
        yield from walk(each, held)


rows = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=60), min_size=0, max_size=40)


@settings(max_examples=200, deadline=None)
@given(rows, st.lists(st.integers(0, 1), max_size=3))
def test_every_pass_hangs_once_on_its_own_beginning(contexts: list[list[int]], tail: list[int]) -> None:
    """Long runs of few tokens, so that most rows are beginnings of others."""
    passes = [Pass(i, (0,) * 20 + tuple(context), tuple(tail)) for i, context in enumerate(contexts)]
    found: list[Pass] = []
    read = 0
    for branch, held in walk(share(passes)):
        assert len(held) == branch.depth
        below = [one for each, _ in walk(branch) for one in each.passes]
        if held:
            assert len(branch.tokens) >= LEAST
            assert (len(below) - 1) * len(branch.tokens) >= WORTH
        for one in below:
            assert one.tokens[: len(held)] == held
            assert len(held) <= one.first
        found += branch.passes
        read += len(branch.tokens) + sum(len(one) - branch.depth for one in branch.passes)
    assert sorted(one.query for one in found) == list(range(len(passes)))
    assert read <= sum(len(one) for one in passes)


def test_a_chain_of_beginnings_is_no_deeper_than_it_pays() -> None:
    passes = [Pass(i, (1,) * (i + 1)) for i in range(3000)]
    root = share(passes)
    depth = n_passes = 0
    below = [root]
    while below:
        depth, n_passes = depth + 1, n_passes + sum(len(branch.passes) for branch in below)
        below = [each for branch in below for each in branch.branches]
    assert n_passes == 3000
    assert depth <= 1 + 3000 // LEAST


@pytest.fixture(scope="module")
def unshared(tiny_folder: Path) -> FrozenLLM:
    return FrozenLLM(tiny_folder, threads=1, batch_tokens=1, share_prefixes=False)


@pytest.mark.parametrize("prompts", [PROBLEM_FIRST, PERSONA_FIRST], ids=["problem first", "persona first"])
@pytest.mark.parametrize("budget", [1, 300, 600, 1200, 10_000])
def test_the_budget_holds_and_changes_nothing(
    tiny_folder: Path, unshared: FrozenLLM, monkeypatch: pytest.MonkeyPatch, prompts: list[str], budget: int
) -> None:
    llm = FrozenLLM(tiny_folder, threads=1, batch_tokens=budget)
    in_sight, read = [], []
    forward = Passes._forward

    def watched(self: Passes, levels: Any, rows: Any, *how: Any, **more: Any) -> Any:
        width, before = max(len(row.tokens) for row in rows), max(row.depth for row in rows)
        in_sight.append(len(rows) * (width + before) + sum(level.tokens for level in levels))
        read.append(len(rows) * width)
        return forward(self, levels, rows, *how, **more)

    monkeypatch.setattr(Passes, "_forward", watched)
    together = llm.log_probabilities(prompts, OPTIONS)
    if budget > 1:
        assert max(in_sight) <= budget
    apart = sum(len(llm._tokens([prompt])[0]) * 2 for prompt in prompts)  # two tails of each
    assert sum(read) < 0.6 * apart
    monkeypatch.undo()
    np.testing.assert_allclose(together, unshared.log_probabilities(prompts, OPTIONS), atol=1e-4)


def test_padding_asks_for_no_position_beyond_the_last() -> None:
    """A deep short row beside a shallow long one, in a network whose table of positions ends with the deep one."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=9, n_positions=65, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1)
    network = GPT2LMHeadModel(config).eval()
    rows = [(prefix,) * depth + (last,) * n for prefix, depth, n in ((1, 60, 5), (2, 50, 8)) for last in (3, 4)]
    passes = [Pass(i, row, (), (0,), ((5,),)) for i, row in enumerate(rows)]
    batches = list(Passes(network, budget=4096, threads=1, shared=True).run(passes))
    assert [len(batch) for batch in batches] == [4]
    with torch.inference_mode():
        for one, (log,) in batches[0]:
            plain = torch.log_softmax(network(torch.tensor([one.tokens])).logits[0, -1], -1)[5]
            assert log == pytest.approx(float(plain), abs=1e-5)


def test_queries_come_once_each_and_in_batches(tiny_folder: Path, unshared: FrozenLLM) -> None:
    llm = FrozenLLM(tiny_folder, threads=1, batch_tokens=400)
    options = [("1", "2"), ("agree", "strongly agree", "not sure"), ("yes", "no")]
    queries = [Query(prompt, options[i % 3], f"query {i}") for i, prompt in enumerate(PROBLEM_FIRST)]
    batches = list(llm.score(queries))
    assert len(batches) > 3
    assert sorted(at for positions, _ in batches for at in positions) == list(range(len(queries)))
    for positions, values in batches:
        for at, value in zip(positions, values, strict=True):
            expected = unshared.log_probabilities([queries[at].prompt], queries[at].options)[0]
            np.testing.assert_allclose(value, expected, atol=1e-4)


def test_nothing_is_asked_of_nothing(unshared: FrozenLLM) -> None:
    assert list(unshared.score([])) == []
    assert list(unshared.write([], n=1, temperature=1.0, max_tokens=1, seed=0)) == []


def test_a_query_that_cannot_be_read_is_named(unshared: FrozenLLM) -> None:
    for query, message in (
        (Query("word " * 200, ("1", "2"), "problem 'long'"), "problem 'long'.*reads 128"),
        (Query("", ("1", "1"), "problem 'a'"), "same tokens"),
        (Query("How?", (), "problem 'a'"), "options of problem 'a'"),
    ):
        with pytest.raises(DataError, match=message):
            list(unshared.score([query]))
