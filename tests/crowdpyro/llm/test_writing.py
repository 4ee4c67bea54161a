"""Free texts: the distribution they are drawn from, and what they may depend on."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from crowdpyro.errors import DataError
from crowdpyro.llm import FrozenLLM
from crowdpyro.llm.backbone import Query

QUERIES = [
    Query(prompt, (), f"query {i}")
    for i, prompt in enumerate(["The weather is", "How much do you agree with this statement? Answer:", "You are"])
]


@pytest.fixture(scope="module")
def llm(tiny_folder: Path) -> FrozenLLM:
    return FrozenLLM(tiny_folder, threads=1)


def texts(llm: FrozenLLM, queries: list[Query], **how: Any) -> list[list[str]]:
    asked = {"n": 4, "temperature": 1.0, "max_tokens": 6, "seed": 3} | how
    found = {
        at: each
        for positions, values in llm.write(queries, **asked)
        for at, each in zip(positions, values, strict=True)
    }
    return [found[i] for i in range(len(queries))]


def test_pairs_of_tokens_follow_the_model(llm: FrozenLLM) -> None:
    """4,000 draws of two tokens at tau = 0.5; the likeliest pairs against exact probabilities, chi-square at 0.1 %."""
    n = 4000
    (context,) = llm._tokens([QUERIES[0].prompt])
    ids = torch.tensor([[*llm._opening, *context]])
    with torch.inference_mode():
        first = torch.softmax(llm._network(ids).logits[0, -1].double() / 0.5, -1)
        after = torch.cat([ids.expand(len(first), -1), torch.arange(len(first))[:, None]], 1)
        second = torch.softmax(llm._network(after).logits[:, -1].double() / 0.5, -1)
    pairs = (first[:, None] * second).flatten()
    likeliest = [divmod(int(at), len(first)) for at in pairs.argsort(descending=True)[:60]]
    likeliest = [pair for pair in likeliest if 1 not in pair and float(pairs[pair[0] * len(first) + pair[1]]) * n > 10]
    assert len(likeliest) > 5
    drawn = Counter(texts(llm, QUERIES[:1], n=n, temperature=0.5, max_tokens=2)[0])
    written = llm._tokenizer.batch_decode(likeliest, skip_special_tokens=True)
    # Two pairs of tokens may read alike; their counts belong together.
    expected: Counter[str] = Counter()
    for text in set(written):
        for at in pairs.argsort(descending=True)[:3000].tolist():
            if llm._tokenizer.decode(divmod(at, len(first)), skip_special_tokens=True) == text:
                expected[text] += float(pairs[at]) * n
    observed = [drawn[text] for text in expected]
    rest = n - sum(expected.values())
    assert stats.chisquare([*observed, n - sum(observed)], [*expected.values(), rest]).pvalue > 1e-3


def test_a_text_depends_on_seed_and_prompt_alone(llm: FrozenLLM, tiny_folder: Path) -> None:
    together = texts(llm, QUERIES)
    assert len({text for each in together for text in each}) > 6
    assert together == texts(llm, QUERIES)
    assert together[::-1] == texts(llm, QUERIES[::-1])
    assert together[1:2] == texts(llm, QUERIES[1:2])
    assert [each[:2] for each in together] == texts(llm, QUERIES, n=2)
    small = FrozenLLM(tiny_folder, threads=1, batch_tokens=1)
    assert together == texts(small, QUERIES)
    assert together != texts(llm, QUERIES, seed=4)


def test_the_random_states_of_the_caller_stay(llm: FrozenLLM) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    texts(llm, QUERIES)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == numbers).all()


def test_settings_of_the_checkpoint_do_not_bend_the_distribution(tiny_folder: Path, tmp_path: Path) -> None:
    """A repetition penalty that comes with the weights is left out; the end token is kept."""
    from transformers import GenerationConfig

    folder = tmp_path / "tiny"
    shutil.copytree(tiny_folder, folder)
    GenerationConfig(do_sample=True, repetition_penalty=5.0, top_k=1, eos_token_id=[1, 7]).save_pretrained(folder)
    bent = FrozenLLM(folder, threads=1)
    assert bent._network.generation_config.eos_token_id == [1, 7]
    ours, theirs = (texts(each, QUERIES, max_tokens=1) for each in (FrozenLLM(tiny_folder, threads=1), bent))
    assert ours == theirs


def test_a_text_ends_where_the_model_ends_it(llm: FrozenLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"temperature": 0, "n": 1, "max_tokens": 8}
    (context,) = llm._tokens([QUERIES[0].prompt])
    ids = torch.tensor([[*llm._opening, *context]])
    long = llm._network.generate(ids, do_sample=False, max_new_tokens=8)[0, ids.shape[1] :].tolist()
    whole, cut = (llm._tokenizer.decode(each, skip_special_tokens=True) for each in (long, long[:2]))
    assert texts(llm, QUERIES, **how)[0] == [whole]
    assert long[2] not in long[:2]
    monkeypatch.setattr(llm._network.generation_config, "eos_token_id", long[2])
    assert texts(llm, QUERIES, **how)[0] == [cut]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"seed": -1}, "seed=-1"),
        ({"temperature": -0.5}, "temperature=-0.5"),
        ({"temperature": float("inf")}, "temperature=inf"),
        ({"max_tokens": 127}, "query 0.*reads 128"),
    ],
)
def test_numbers_that_do_not_fit(llm: FrozenLLM, how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        texts(llm, QUERIES, **how)
