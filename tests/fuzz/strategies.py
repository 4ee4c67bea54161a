"""Hypothesis strategies of what comes in: scales, frames of answers, references, ballots, files of a reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import mutations
import numpy as np
import pandas as pd

from crowdpyro import Ballot, Categorical, Continuous, Ordinal
from crowdpyro.models.scales import Scale

# Of ids and labels: no blanks, no separators of ballots; an x before it, so that CSV does not take it for empty.
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="|=,:"), min_size=1)
names = words.map(lambda word: f"x{word}"[:9])
numbers = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda number: round(number, 6))


def options(least: int = 2, most: int = 5) -> st.SearchStrategy[tuple[str, ...]]:
    """Labels that differ, whatever their case."""
    return st.lists(names, min_size=least, max_size=most, unique_by=str.casefold).map(tuple)


@st.composite
def ballots(draw: st.DrawFn) -> Ballot:
    """A ballot of any rule."""
    rule = draw(st.sampled_from(["approval", "choose", "rank", "points"]))
    chosen = draw(options(3))
    if rule == "approval":
        return Ballot(chosen, "approval")
    return Ballot(chosen, rule, draw(st.integers(1, 10 if rule == "points" else len(chosen))))  # type: ignore[arg-type]


def scales() -> st.SearchStrategy[Scale]:
    """Any scale."""
    levels = st.lists(numbers, min_size=2, max_size=7, unique=True).map(lambda each: Ordinal(tuple(sorted(each))))
    ends = st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])
    return st.one_of(
        levels, options().map(Categorical), ends.map(lambda pair: Continuous(*pair)), st.just(Continuous()), ballots()
    )


@st.composite
def answers(draw: st.DrawFn, scale: Scale) -> pd.DataFrame:
    """Answers of up to four people to the problems `a` and `b`, all on the scale."""
    pairs = draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=8, unique=True))
    problem, person = zip(*pairs, strict=True)
    return pd.DataFrame(
        {"problem": problem, "participant": person, "response": [draw(_answer(scale)) for _ in problem]}
    )


def _answer(scale: Scale) -> st.SearchStrategy[Any]:
    if isinstance(scale, Ordinal):
        return st.sampled_from(scale.levels)
    if isinstance(scale, Continuous):
        return st.floats(max(scale.low, -1e6), min(scale.high, 1e6), allow_subnormal=False)
    if isinstance(scale, Ballot):
        return _ballot(scale)
    return st.sampled_from(scale.labels)


def _ballot(scale: Ballot) -> st.SearchStrategy[str]:
    """All options in some order, as many as the rule takes; points go to the first two."""
    n = scale.n or 1
    order = st.permutations(scale.options)
    if scale.rule == "points":

        def written(of: list[str], k: int) -> str:
            return "|".join(f"{name}={each}" for name, each in ((of[0], k), (of[1], n - k)) if each)

        return st.builds(written, order, st.integers(0, n))
    if scale.rule == "approval":
        return st.builds(lambda of, k: "|".join(of[:k]) or "none", order, st.integers(0, len(scale.options)))
    return order.map(lambda of: "|".join(of[:n]))


@st.composite
def references(draw: st.DrawFn, scale: Scale) -> pd.DataFrame:
    """A frame of one LLM's answers to `a` and `b`: distributions, or draws of a continuous scale."""
    if isinstance(scale, Continuous):
        drawn = [draw(_answer(scale)) for _ in range(4)]
        return pd.DataFrame({"problem": list("aabb"), "model": "llm", "answer": drawn})
    rows = []
    for problem in "ab":
        weights = np.array(draw(st.lists(st.integers(1, 9), min_size=len(scale.labels), max_size=len(scale.labels))))
        shares = (weights / weights.sum()).tolist()
        columns = [f"p_{label}" for label in scale.labels]
        rows.append({"problem": problem, "model": "llm"} | dict(zip(columns, shares, strict=True)))
    return pd.DataFrame(rows)


@st.composite
def hostile(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a few cells, a name or a column that no person meant."""
    wild = st.sampled_from([value for value in mutations.HOSTILE if not isinstance(value, list | dict)])
    frame = frame.astype(object)
    for _ in range(draw(st.integers(1, 3))):
        row, column = draw(st.integers(0, len(frame) - 1)), draw(st.integers(0, frame.shape[1] - 1))
        match draw(st.integers(0, 5)):
            case 0:
                frame = frame.rename(columns={frame.columns[column]: str(draw(wild))})
            case 1:
                frame = pd.concat([frame, frame.iloc[[row]]], ignore_index=True)
            case _:
                frame.isetitem(column, [*frame.iloc[:row, column], draw(wild), *frame.iloc[row + 1 :, column]])
    return frame


@st.composite
def files(draw: st.DrawFn, name: str) -> bytes:
    """A bad file of a reader: mostly made of a valid one, or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    choose: Callable[[int], int] = lambda n: draw(st.integers(0, max(n - 1, 0)))  # noqa: E731 - of one line
    return mutations.mutated(name, choose)
