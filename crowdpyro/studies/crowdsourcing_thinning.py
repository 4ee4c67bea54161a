"""How much human data: parts of a training sample along four axes (the paper's Figures 4, 5, 12 to 23).

workers, problems, ratings     a share of them, drawn by the seed: 1, 5, 10, 25, 50, 100 %
per_problem                    at most so many workers a problem, 1 to 8
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..data import CrowdData
from ..errors import DataError
from ..inference.seeds import generator

SHARES = (1, 5, 10, 25, 50, 100)
COUNTS = (1, 2, 3, 4, 6, 8)
AXES: dict[str, tuple[int, ...]] = {"workers": SHARES, "problems": SHARES, "ratings": SHARES, "per_problem": COUNTS}


def thinned(train: CrowdData, axis: str, size: int, seed: int) -> CrowdData:
    """A part of the sample; people and problems that are left without an answer are left out.

    Parameters
    ----------
    train
        The sample.
    axis, size
        A name of `AXES`, and a percentage or, per problem, a number of workers.
    seed
        Of the draw: smaller parts are within larger ones.
    """
    if axis not in AXES or size < 1 or (axis != "per_problem" and size > 100):
        raise DataError(
            f"axis={axis!r}, size={size}: give one of {', '.join(AXES)} and 1 to 100 %, or 1 worker and more."
        )
    rng = generator(seed)
    if axis == "workers":
        return answered(train, _first(rng, train.n_participants, size)[train.participant_code])
    if axis == "problems":
        return answered(train, _first(rng, train.n_problems, size)[train.problem_code])
    if axis == "ratings":
        return answered(train, _first(rng, train.n_answers, size))
    order = np.lexsort((rng.random(train.n_answers), train.problem_code))
    starts = np.searchsorted(train.problem_code[order], np.arange(train.n_problems))
    rank = np.empty(train.n_answers, dtype=np.int64)
    rank[order] = np.arange(train.n_answers) - starts[train.problem_code[order]]
    return answered(train, rank < size)


def answered(train: CrowdData, kept: npt.NDArray[np.bool_]) -> CrowdData:
    """The answers that are kept, `(n_answers,)`, with their people and problems."""
    part = replace(
        train,
        participant_code=train.participant_code[kept],
        problem_code=train.problem_code[kept],
        response=train.response[kept],
    )
    return part.select(
        participants=part.participants.index[np.unique(part.participant_code)],
        problems=part.problems.index[np.unique(part.problem_code)],
    )


def _first(rng: np.random.Generator, n: int, percent: int) -> npt.NDArray[np.bool_]:
    """Which of n units a share holds, at least one."""
    kept = np.zeros(n, dtype=bool)
    kept[rng.permutation(n)[: max(1, round(n * percent / 100))]] = True
    return kept
