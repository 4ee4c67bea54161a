"""A frozen LLM behind an OpenAI-compatible server that gives log-probabilities of next tokens.

An option is walked along its tokens, each the longest that the server lists and that continues the option:

    log P(o | c) = sum_k log P(w_k | c w_1 ... w_{k-1}),      w_1 w_2 ... = o,   read off `top_logprobs`

which needs one request for each different beginning of an option. A space that is a token of its own before all
options, as before digits, belongs to c. A token that is not listed is looked up by `echo`, the log-probabilities of the
prompt c o itself, where the server gives them rightly; else its option has probability 0, and the report says how many
do.

server              top_logprobs      echo                                     to be started with
vLLM                20 by default     yes                                      --max-logprobs for more
llama-cpp-python    any number        wrong without a BOS token (0.3.36)       --logits_all true
llama.cpp           any number        no

What a server can do is tried out when it is first met. Tested on llama-cpp-python 0.3.36; the other two by their
documents only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..models.errors import DataError, ModelError
from .backbone import FloatArray, Query
from .chains import disjoint_logs
from .endpoint import Endpoint
from .referring import Referring

# How many next tokens are asked for, the first number that the server takes.
LISTED = (1000, 100, 20, 5)
# The whole distribution: no top-k, no min-p, no penalty, which llama.cpp's server has by default.
SAMPLING: Mapping[str, Any] = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}
_PROBE = "1 2 3 4 5 6 7 8 9 10 11"
# Rounding of a quantised model in another batch is well below; another token's log-probability is not.
_ECHO_TOLERANCE = 0.05
_TRIES = 8
# Control tokens of a chat template: "<|im_end|>", "<end_of_turn>", "[INST]".
_MARKS = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")

T = TypeVar("T")


@dataclass(frozen=True)
class Listed:
    """Tokens that may come next with their log-probabilities."""

    tokens: dict[str, float]

    def longest(self, text: str) -> str | None:
        """The longest token that `text` begins with."""
        return max((token for token in self.tokens if token and text.startswith(token)), key=len, default=None)


class ServerLLM(Referring):
    r"""A causal language model behind a server, asked for its distribution over options.

    Parameters
    ----------
    url
        Of an OpenAI-compatible server, such as `http://localhost:8000/v1`.
    model
        Name of the model; the only one that is served when None.
    revision
        What is recorded as the revision: the server does not tell it.
    chat_template
        Text around `{prompt}`, as the model was trained on, such as
        `"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"`; None for plain prompts. A text that holds one
        of its marks is refused. In plain prompts, a server reads control tokens as such.
    listed
        How many next tokens to ask for; as many of 1000, 100, 20 or 5 as the server takes when None.
    workers
        Requests at a time.
    sampling
        What is sent along when texts are written. The default turns off what shortens the distribution; give `{}` where
        a server does not know these names.
    api_key_variable, timeout, retries, backoff
        As in `Endpoint`.

    Attributes
    ----------
    name, revision, settings
        Recorded with every reference. The settings name the server's url.
    echoes
        Whether the server gives the log-probabilities of a prompt.

    Raises
    ------
    ModelError
        The server cannot be reached, serves no such model, or gives no log-probabilities.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        revision: str = "as served",
        chat_template: str | None = None,
        listed: int | None = None,
        workers: int = 4,
        sampling: Mapping[str, Any] | None = None,
        api_key_variable: str = "CROWDPYRO_API_KEY",
        timeout: float = 60.0,
        retries: int = 5,
        backoff: float = 0.5,
    ) -> None:
        if workers < 1:
            raise ModelError(f"workers={workers}: give at least one request at a time.")
        if listed is not None and listed < 1:
            raise ModelError(f"listed={listed}: give at least one token.")
        if chat_template is not None and "{prompt}" not in chat_template:
            raise ModelError(f"chat_template={chat_template!r}: no {{prompt}} in it; say where the prompt goes.")
        self._endpoint = Endpoint(
            url, api_key_variable=api_key_variable, timeout=timeout, retries=retries, backoff=backoff
        )
        self.name, self.revision, self.chat = self._served(model), revision, chat_template is not None
        self._template, self._workers = chat_template, workers
        self._marks = sorted(set(_MARKS.findall(chat_template or "")))
        self._sampling = dict(SAMPLING if sampling is None else sampling)
        self._listed, first = self._tried((listed,) if listed is not None else LISTED)
        self.echoes = self._tried_echo(first)
        how = f"chat template {_short(chat_template)}" if chat_template is not None else "plain prompt"
        self.settings = f"{how}, server {self._endpoint.url}, {self._listed} tokens listed{', echo' * self.echoes}"

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """Score options: log P(option | prompt), `(n_options,)` a query, in nats, not normalised, at temperature 1.

        An option is -inf where one of its tokens is neither listed nor echoed.
        """
        return self._each(queries, known, self._scored)

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
        """Write `n` free texts a query of at most `max_tokens` tokens each, a request and a seed each.

        Raises
        ------
        DataError
            For a mark of the chat template in a text, and when the server does not answer.
        ModelError
            When what it answers is no completion.
        """

        def drawn(query: Query) -> list[str]:
            body = {"prompt": self._turn(query), "max_tokens": max_tokens, "temperature": temperature}
            seeds = [_seed(seed, query.prompt, draw) for draw in range(n)]
            return [_choice(self._ask(query.name, {**self._sampling, **body, "seed": each}))["text"] for each in seeds]

        return self._each(queries, known, drawn)

    def _each(
        self, queries: Sequence[Query], known: Collection[int], work: Callable[[Query], T]
    ) -> Iterator[tuple[list[int], list[T]]]:
        """Do several queries at a time, each yielded when it is done."""
        pool = ThreadPoolExecutor(self._workers)
        try:
            places = {pool.submit(work, query): place for place, query in enumerate(queries) if place not in known}
            for done in as_completed(places):
                yield [places[done]], [done.result()]
        finally:
            pool.shutdown(cancel_futures=True)

    def _scored(self, query: Query) -> FloatArray:
        context, options = self._parted(query)
        listings: dict[str, Listed] = {}
        walks = [self._walked(query.name, context, option, listings) for option in options]
        apart = all(walk[0] == " " for walk in walks if walk is not None)
        numbers: dict[str, int] = {}
        begins, chains = np.empty(len(options)), []
        for place, (option, walk) in enumerate(zip(options, walks, strict=True)):
            if walk is not None:
                begins[place] = _sum_along(walk, listings)
            else:
                begins[place] = self._echoed(query.name, context, option) if self.echoes else -np.inf
            # An option whose tokens are not known stands for itself among the chains.
            chains.append(tuple(numbers.setdefault(token, len(numbers)) for token in walk or (option,)))
        space = listings[""].tokens.get(" ", 0.0) if apart else 0.0
        return disjoint_logs(begins - space, chains)

    def _walked(self, name: str, context: str, option: str, listings: dict[str, Listed]) -> tuple[str, ...] | None:
        """The tokens of an option, None where one is not listed; what comes next is asked where it is not known."""
        said, walk = "", []
        while said != option:
            if said not in listings:
                listings[said] = self._next(name, context + said)
            token = listings[said].longest(option[len(said) :])
            if token is None:
                return None
            walk.append(token)
            said += token
        return tuple(walk)

    def _parted(self, query: Query) -> tuple[str, list[str]]:
        """The context, and the options as they follow it: after one space unless the prompt ends with white space."""
        text = self._turn(query)
        if self.chat or (text[-1:].isspace() and not text.endswith(" ")):
            return text, list(query.options)
        return text.removesuffix(" "), [f" {option}" for option in query.options]

    def _turn(self, query: Query) -> str:
        """The prompt in its chat; a server would read the chat's marks in it as the chat's own."""
        if self._template is None:
            return query.prompt
        found = next((mark for mark in self._marks if mark in query.prompt), None)
        if found is not None:
            raise DataError(f"text at {query.name}: {found!r} is a mark of the chat template; take it out of the text.")
        return self._template.replace("{prompt}", query.prompt)

    def _next(self, name: str, text: str) -> Listed:
        """What may come next after a text."""
        body = {"prompt": text, "max_tokens": 1, "temperature": 0.0, "logprobs": self._listed}
        for attempt in range(_TRIES):
            # llama.cpp lists nothing where the next token ends the text. What it lists does not depend on the
            # temperature, at which almost any other token is drawn.
            drawn = {**self._sampling, "temperature": 5.0, "seed": attempt} if attempt else {}
            listed = _listed(_choice(self._ask(name, {**body, **drawn})))
            if listed is not None:
                return listed
        raise DataError(f"text at {name}: the answer of server {self._endpoint.url} holds no top_logprobs.")

    def _echoed(self, name: str, context: str, option: str) -> float:
        """Score an option, log P(option | context), from the log-probabilities of both as a prompt."""
        body = {"prompt": context + option, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "echo": True}
        told = _choice(self._ask(name, body)).get("logprobs") or {}
        ends = [*told["text_offset"][1:], len(context + option)]
        steps = zip(told["text_offset"], ends, told["token_logprobs"], strict=False)
        return float(sum(log_p for start, end, log_p in steps if end > len(context) and start < len(context + option)))

    def _ask(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._endpoint.ask("/completions", {"model": self.name, **body})
        except DataError as error:
            raise DataError(f"text at {name}: {error}") from error

    def _served(self, model: str | None) -> str:
        """The model's name, checked against those that are served."""
        listed = self._endpoint.ask("/models").get("data")
        names = [str(each.get("id")) for each in listed] if isinstance(listed, list) else []
        if model is None and len(names) == 1:
            return names[0]
        if model is None or model not in names:
            raise ModelError(
                f"model={model!r}: server {self._endpoint.url} serves {', '.join(map(repr, names)) or 'none'}; "
                "name one of them."
            )
        return model

    def _tried(self, numbers: Sequence[int]) -> tuple[int, Listed]:
        """The first number of next tokens that the server lists, and those after the probe."""
        refusal: DataError | None = None
        for self._listed in numbers:
            try:
                return self._listed, self._next("the first request", _PROBE)
            except DataError as error:
                refusal = error
        raise ModelError(
            f"server {self._endpoint.url} lists no log-probabilities ({refusal}). Start llama-cpp-python with "
            "--logits_all true, vLLM with --max-logprobs, or give listed= a smaller number."
        ) from refusal

    def _tried_echo(self, first: Listed) -> bool:
        """Whether the log-probability of a prompt's last token is what was listed for it as the next."""
        token, log_p = max(first.tokens.items(), key=lambda each: each[1])
        try:
            return abs(self._echoed("the first request", _PROBE, token) - log_p) < _ECHO_TOLERANCE
        except (DataError, KeyError, TypeError):
            return False


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    """The one choice of a completion."""
    choices = answer.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict) and "text" in choices[0]):
        raise ModelError(f"the server's answer holds no choices with a text, but {sorted(answer)}; is it a completion?")
    return choices[0]


def _listed(choice: dict[str, Any]) -> Listed | None:
    """Next tokens of a choice, in the form of completions or in that of chats, which llama.cpp has for both."""
    told = choice.get("logprobs") or {}
    content, top = told.get("content"), told.get("top_logprobs")
    if content:
        return Listed({each["token"]: float(each["logprob"]) for each in content[0]["top_logprobs"]})
    if top and top[0]:
        return Listed({token: float(log_p) for token, log_p in top[0].items()})
    return None


def _sum_along(walk: Sequence[str], listings: Mapping[str, Listed]) -> float:
    """Log-probability of tokens one after the other."""
    return sum(listings["".join(walk[:place])].tokens[token] for place, token in enumerate(walk))


def _seed(seed: int, prompt: str, draw: int) -> int:
    """A seed of its own for every draw, the same wherever the query stands."""
    return int.from_bytes(hashlib.sha256(f"{seed} {draw} {prompt}".encode("utf-8", "replace")).digest()[:4], "big") >> 1


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
