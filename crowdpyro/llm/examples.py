"""Few-shot examples: what humans answered to other problems, shown before the one that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..inference.seeds import generator
from ..models.ballot import Ballot
from ..models.errors import DataError
from ..models.scales import Continuous, Scale
from .prompts import Prompt, problem_frame, shown_problems

if TYPE_CHECKING:
    from ..data import CrowdData


def examples_from(data: CrowdData, n: int = 4, seed: int = 0) -> pd.DataFrame:
    """Different problems, each with the answer of one person, both drawn at random.

    Parameters
    ----------
    data
        People's answers, those of training.
    n
        Number of examples.
    seed
        Of the draw.

    Returns
    -------
    DataFrame
        The problems' table, with a column `answer`.

    Raises
    ------
    DataError
        When `n` is below 1 or above the number of problems with answers.

    References
    ----------
    T. B. Brown et al. (2020), Language models are few-shot learners, NeurIPS.
    """
    rng = generator(seed)
    answers = data.answers
    asked = answers["problem"].unique()
    if not 1 <= n <= len(asked):
        raise DataError(f"n={n}: give 1 to {len(asked)} examples, as many as problems with answers.")
    chosen = rng.choice(len(asked), size=n, replace=False)
    rows = [answers[answers["problem"] == asked[each]] for each in chosen]
    picked = [each["response"].iloc[int(rng.integers(len(each)))] for each in rows]
    shown: pd.DataFrame = data.problems.loc[asked[chosen]].assign(answer=picked)
    return shown


def examples_shown(examples: pd.DataFrame, scale: Scale, prompt: Prompt) -> list[tuple[dict[str, Any], str]]:
    """What a prompt shows of every example, and its answer as text; raises `DataError` on an answer off the scale."""
    frame = problem_frame(examples.reset_index(drop=True).drop(columns="problem", errors="ignore"))
    if "answer" not in frame.columns:
        raise DataError(f"examples: no column 'answer' in {list(frame.columns)}; add what a human answered.")
    codes = scale.encode(frame["answer"].to_numpy(), "answer")
    if isinstance(scale, Continuous):
        said = [np.format_float_positional(number, trim="-") for number in codes]
    elif isinstance(scale, Ballot):
        said = [str(ballot) for ballot in scale.decode(codes)]
    else:
        said = [scale.labels[int(code)] for code in codes]
    return list(zip(shown_problems(frame, prompt), said, strict=True))
