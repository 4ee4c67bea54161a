"""Free answers: the LLM writes, and what can be read of its texts are draws.

What cannot be read is missing; every text is kept beside what was read of it, so that nothing has to be believed.
"""

from __future__ import annotations

import pandas as pd

from ..models.ballot import SEPARATOR, Ballot
from ..models.scales import Continuous, Ordinal, Scale
from ..reference_table import parse
from .backbone import FloatArray, Query, Scorer
from .interview import Interview, named
from .queries import written
from .reading import read_answer

_SHOWN = 60


def answer_line(scale: Scale) -> str:
    """What kind of answer is wanted, for `{options}`."""
    if isinstance(scale, Continuous):
        return _number_line(scale)
    listed = ", ".join(scale.labels)
    if not isinstance(scale, Ballot):
        return f"Choose one {'number' if isinstance(scale, Ordinal) else 'answer'}: {listed}."
    form = {
        "approval": f"Name all that you approve of, joined by {SEPARATOR}, or none",
        "choose": f"Choose exactly {scale.n}, joined by {SEPARATOR}",
        "rank": f"Rank the best {scale.n}, the best first, joined by {SEPARATOR}",
        "points": f"Spread {scale.n} points, written OPTION=POINTS and joined by {SEPARATOR}",
    }
    return f"{form[scale.rule]}: {listed}."


def _number_line(scale: Continuous) -> str:
    """Name the bounds that there are."""
    bounds = [
        f"{word} {bound:g}" for word, bound in (("from", scale.low), ("to", scale.high)) if abs(bound) < float("inf")
    ]
    return f"Answer with one number{''.join(f' {each}' for each in bounds)}."


def write_answers(
    interview: Interview,
    scorer: Scorer,
    scale: Scale,
    *,
    n: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    progress: bool | None,
) -> pd.DataFrame:
    """One row a draw: `model, problem, persona, draw, text, answer`; the answer is empty where none could be read."""
    items = interview.items(())
    line = answer_line(scale)
    queries = [Query(interview.text(item, line), (), interview.name(item)) for item in items]
    texts = written(scorer, queries, n=n, temperature=temperature, max_tokens=max_tokens, seed=seed, progress=progress)
    rows = [
        (scorer.name, interview.problems[item.problem], item.persona, draw, text, read_answer(text, scale))
        for item, drawn in zip(items, texts, strict=True)
        for draw, text in enumerate(drawn)
    ]
    return pd.DataFrame(rows, columns=["model", "problem", "persona", "draw", "text", "answer"])


def unread_note(who: str, texts: pd.DataFrame) -> str:
    """One line for the report: how many texts gave no answer, and the first of them."""
    unread = texts[texts["answer"].isna()]
    note = f"{who}: {len(unread)} of {len(texts)} texts gave no answer on the scale, taken as missing"
    if unread.empty:
        return f"{note}."
    first = unread.iloc[0]
    said = first["text"] if len(first["text"]) <= _SHOWN else f"{first['text'][:_SHOWN]}..."
    where = named(first["problem"], first["persona"])
    return f"{note}, such as {said!r} at {where}; all are in References.texts."


def values_of(texts: pd.DataFrame, scale: Scale, n_personas: int) -> FloatArray:
    """Values of a `ReferenceSource`: relative frequencies of what was read, shares of ballots, draws of numbers."""
    cell = (texts.groupby(["problem", "persona"], sort=False).ngroup()).to_numpy()
    one = texts.assign(problem=cell, persona="")[["problem", "persona", "answer"]]
    (table,), _ = parse(one, scale, "llm", "", "", 0.0)
    return table.values.reshape(-1, n_personas, table.values.shape[-1])
