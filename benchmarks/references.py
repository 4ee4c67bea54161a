"""References by scoring against sampling with `generate`, and with shared prefixes against without; one thread.

Comments of POPQUORN are rated by the embedded LLM, from 1 to 5; without $CROWDPYRO_DATA there is nothing to measure.

1.  The distribution of 200 comments, against K = 8 answers each by `generate`: same prompts, sorted by length,
    `num_return_sequences=8`, as many new tokens as the longest option has (one), KV cache on, the best of three batch
    sizes (found on 8 comments).
2.  Zero-shot and 11 personas of 100 comments, against 12 independent scorings that share nothing: with the persona
    last, which shares each comment among its personas, and with the default, which shares each persona and the question
    among the comments.

Where a preface of P tokens is shared and c are a prompt's own, K answers cost K (P + c) tokens and a distribution c:
the ratio is at most K (1 + P / c), and that of the default under 2 is at most 1 + P / c.

Seconds are of the processor's time in this process: a run takes minutes, and neighbours come and go. Each is run once,
ours first, so that the peak of memory after ours is ours; a peer on every tenth comment, its time taken times ten.
"""

from __future__ import annotations

import copy
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from timing import Table

from crowdpyro import FrozenLLM
from crowdpyro.datasets import load_offensiveness
from crowdpyro.llm import LowOptionMassWarning
from crowdpyro.llm.backbone import Query
from crowdpyro.llm.prompts import PERSONA_LAST, PLAIN, Prompt

K, PART = 8, 10
SHORT = "How offensive is this comment, from 1 (not at all) to 5 (very)?"
LONG = (
    "How offensive is this comment? 1 means that nobody would mind it, 2 that it is a little rude, 3 that it is "
    "somewhat offensive, 4 that it is offensive, and 5 that it is very offensive."
)
GROUPS = ("Asian", "Black", "White")
PERSONAS = {
    f"{group} {who}".strip(): f"You are {'an' if group == 'Asian' else 'a'} {group} {who}.".replace("  ", " ")
    for group in ("", *GROUPS)
    for who in ("female", "male", *(("person",) if group else ()))
}

if "CROWDPYRO_DATA" not in os.environ:
    print("### References\n\nNot measured: CROWDPYRO_DATA does not name the folder of the human data.\n")
    sys.exit()
warnings.simplefilter("ignore", LowOptionMassWarning)
torch.set_num_threads(1)
data, _ = load_offensiveness()
llm = FrozenLLM("embedded", threads=1)
alone = copy.copy(llm)
alone.share_prefixes = False


def refer(asked: FrozenLLM, problems: pd.DataFrame, **how: object) -> None:
    """References as a user makes them."""
    asked.refer(problems, data.scale, progress=False, **how)


def asked(question: str) -> list[str]:
    """The prompts of 200 comments, as `refer` puts them."""
    heard: list[Query] = []

    def listen(queries: Sequence[Query], **how: object) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        heard.extend(queries)
        yield list(range(len(queries))), [np.log(np.full(len(query.options), 0.2)) for query in queries]

    listening = copy.copy(llm)
    listening.score = listen
    refer(listening, many, question=question)
    return [query.prompt for query in heard]


def sample(prompts: list[str], size: int) -> None:
    """K answers a prompt by `generate`; the space before the answer is read, not written, as in scoring."""
    tokenizer = llm._tokenizer
    tokenizer.padding_side, tokenizer.pad_token_id = "left", tokenizer.eos_token_id
    prompts = sorted((f"{prompt} " for prompt in prompts), key=lambda prompt: len(tokenizer(prompt)["input_ids"]))
    with torch.inference_mode():
        for start in range(0, len(prompts), size):
            ids = tokenizer(prompts[start : start + size], return_tensors="pt", padding=True)
            llm._network.generate(
                **ids,
                do_sample=True,
                num_return_sequences=K,
                max_new_tokens=1,
                use_cache=True,
                temperature=1.0,
                top_k=0,
            )


def seconds(run: Callable[[], None]) -> float:
    """Processor time of one run."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak() -> str:
    """Most memory of this process so far."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB"


def compared(ours: float, theirs: float, work: int) -> tuple[str, ...]:
    """Cells of a row."""
    return f"{ours:.1f} s", f"{theirs:.1f} s", f"{theirs / ours:.3g}", f"{work / ours:.1f}"


def twelve(problems: pd.DataFrame, prompt: Prompt) -> None:
    """Independent scorings."""
    how = {"question": SHORT, "prompt": prompt}
    refer(alone, problems, **how)
    for who, description in PERSONAS.items():
        refer(alone, problems, **how, personas={who: description}, include_zero_shot=False)


def best_size(prompts: list[str]) -> int:
    """Prompts that `generate` does best with at once."""
    trials = {size: seconds(partial(sample, prompts[:8], size)) for size in (2, 4, 8)}
    return min(trials, key=lambda size: trials[size])


many, hundred = data.problems.iloc[:200], data.problems.iloc[:100]
loaded = peak()
table = Table(
    f"References by the embedded LLM ({loaded} once loaded)",
    ("subject", "peer", "ours", "peer's", "ratio", "distributions a second", "peak after ours"),
)
mine = {question: (seconds(partial(refer, llm, many, question=question)), peak()) for question in (SHORT, LONG)}
for layout, prompt in (("persona last", PERSONA_LAST), ("persona first", PLAIN)):
    personas = partial(refer, llm, hundred, question=SHORT, prompt=prompt, personas=PERSONAS)
    ours, memory = seconds(personas), peak()
    theirs = PART * seconds(partial(twelve, hundred.iloc[::PART], prompt))
    cells = compared(ours, theirs, 12 * len(hundred))
    table.add(f"100 comments x 12, {layout}", "12 scorings that share nothing", *cells, memory)
for name, question in (("short question", SHORT), ("levels explained", LONG)):
    prompts = asked(question)
    size = best_size(prompts)
    theirs = PART * seconds(partial(sample, prompts[::PART], size))
    ours, memory = mine[question]
    table.add(f"200 comments, {name}", f"generate, {size} x {K} rows", *compared(ours, theirs, len(many)), memory)
table.close()
