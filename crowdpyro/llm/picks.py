"""Ballots of an LLM: the share of the votes that each option may expect.

utilities    one query; w_o = p(o | c), the option that it likes best, are Plackett-Luce weights:
                 P(o_1, ..., o_n) = prod_j w_{o_j} / (W - w_{o_1} - ... - w_{o_{j-1}})
sequential   a query a pick: P(o_1, ..., o_n) = prod_j p(o_j | c, "already chosen: o_1, ..., o_{j-1}")
approval     a yes-or-no query an option

    share_o = sum_j b_j P(o_j = o) / sum_j b_j,     b_j = 1 of choices, n + 1 - j of rankings (Borda)

An LLM that obeys Luce's axiom has equal shares under the first two. Points are spread one by one with the weights w.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from ..inference.seeds import generator
from ..models.ballot import Ballot
from ..models.errors import DataError
from .backbone import FloatArray, Scorer
from .distributions import tempered
from .interview import Interview, Item, Scores

Picks: TypeAlias = Literal["utilities", "sequential"]
Chosen: TypeAlias = tuple[int, ...]

YES_NO = ("yes", "no")
# As many different beginnings of a ballot are all followed; of more, as many are drawn as the caller says.
_MOST_FOLLOWED = 64


def expected_shares(weights: FloatArray, scale: Ballot) -> FloatArray:
    """Shares under Plackett-Luce, shape that of the weights `(..., n_options)`; NaN where they are.

    P(o is among the first k) = int_0^inf w_o e^(-w_o t) P(fewer than k of the others come before t) dt, the options
    being exponential clocks of rate w; the trapezoid rule on log t converges faster than any power of its step.
    """
    if scale.n is None or scale.rule == "points" or scale.n == 1:
        return weights
    rows = weights.reshape(-1, weights.shape[-1])
    shares = np.full(rows.shape, np.nan)
    for place, row in enumerate(rows):
        if not np.isnan(row).any():
            first = _among_first(row, scale.n)
            total = first if scale.rule == "rank" else first[-1:]
            shares[place] = total.sum(axis=0) / total.sum()
    return shares.reshape(weights.shape)


def approval_line(option: str) -> str:
    """What is asked about one option of an approval ballot."""
    return f"Would you approve of this option: {option}? "


def approvals(
    interview: Interview, scorer: Scorer, scale: Ballot, temperature: float, progress: bool | None
) -> tuple[FloatArray, Scores]:
    """P(yes) of every option, `(n_problems, n_personas, n_options)`, and what was scored."""
    items = [
        Item(item.problem, item.persona, YES_NO, approval_line(option))
        for item in interview.items(())
        for option in scale.options
    ]
    scores = interview.score(scorer, items, progress)
    said = tempered(np.stack(scores.logs), temperature)[:, 0]
    return said.reshape(len(interview.problems), len(interview.personas), scale.n_levels), scores


def sequential(
    interview: Interview,
    scorer: Scorer,
    scale: Ballot,
    temperature: float,
    *,
    n_draws: int,
    seed: int,
    progress: bool | None,
) -> tuple[FloatArray, Scores]:
    """Shares when picks are made one after the other, `(n_problems, n_personas, n_options)`, and what was scored.

    All beginnings of a ballot are followed, weighted by their probability, where they are few; else `n_draws` ballots
    are drawn a problem and persona.
    """
    if scale.n is None or scale.rule not in ("choose", "rank"):
        raise DataError(f"picks='sequential' on a ballot of {scale.rule}: only choose and rank are made pick by pick.")
    cells = interview.items(scale.options)
    exact = _n_beginnings(scale) <= _MOST_FOLLOWED
    rng = generator(seed)
    ahead: list[dict[Chosen, float]] = [{(): 1.0 if exact else float(n_draws)} for _ in cells]
    shares = np.zeros((len(cells), scale.n_levels))
    scored: list[Scores] = []
    for pick in range(scale.n):
        points = scale.n - pick if scale.rule == "rank" else 1
        asked = [(at, chosen) for at, beginnings in enumerate(ahead) for chosen in beginnings]
        items = [_next_pick(cells[at], chosen, scale) for at, chosen in asked]
        scored.append(interview.score(scorer, items, progress))
        following: list[dict[Chosen, float]] = [defaultdict(float) for _ in cells]
        for (at, chosen), logs in zip(asked, scored[-1].logs, strict=True):
            p, weight = tempered(logs, temperature), ahead[at][chosen]
            left = [option for option in range(scale.n_levels) if option not in chosen]
            # A pick that nothing is known of leaves the whole ballot unknown.
            gained = weight * p if exact or np.isnan(p).any() else rng.multinomial(int(weight), p).astype(float)
            shares[at, left] += points * gained
            for option, share in zip(left, gained, strict=True):
                if share > 0:
                    following[at][_begun([*chosen, option], scale)] += share
        ahead = following
    shares = np.where(np.isnan(shares).any(axis=1, keepdims=True), np.nan, shares)
    shares /= shares.sum(axis=1, keepdims=True)
    together = Scores(
        [], np.concatenate([each.mass for each in scored]), [name for each in scored for name in each.names]
    )
    return shares.reshape(len(interview.problems), len(interview.personas), scale.n_levels), together


def _next_pick(cell: Item, chosen: Chosen, scale: Ballot) -> Item:
    """The item of one pick, when others were made."""
    left = tuple(label for option, label in enumerate(scale.options) if option not in chosen)
    if not chosen:
        return Item(cell.problem, cell.persona, left)
    word = "ranked, best first" if scale.rule == "rank" else "chosen"
    made = ", ".join(scale.options[option] for option in chosen)
    return Item(cell.problem, cell.persona, left, f"Already {word}: {made}. ")


def _begun(chosen: Sequence[int], scale: Ballot) -> Chosen:
    """A beginning of a ballot: the order of choices does not count, that of a ranking does."""
    return tuple(chosen) if scale.rule == "rank" else tuple(sorted(chosen))


def _n_beginnings(scale: Ballot) -> int:
    """Most different beginnings of a ballot that have equally many picks."""
    count = math.perm if scale.rule == "rank" else math.comb
    return max(count(scale.n_levels, pick) for pick in range(scale.n or 1))


def _among_first(weights: FloatArray, n: int) -> FloatArray:
    """P(option is among the first k) for k = 1 .. n, shape `(n, n_options)`."""
    # Options that get nothing come last, in any order; a trillionth keeps the clocks' range finite.
    w = np.maximum(weights / weights.max(), 1e-12)
    s = np.arange(-45.0, 5.0 - math.log(w.min()), 0.05)
    t = np.exp(s)[:, None]
    early = -np.expm1(-w * t)
    density = w * t * np.exp(-w * t) * 0.05
    chances = np.empty((n, len(w)))
    for option in range(len(w)):
        # Law of how many others come before t, up to n - 1 of them.
        before = np.zeros((len(s), n))
        before[:, 0] = 1.0
        for other in range(len(w)):
            if other != option:
                came = early[:, other, None]
                moved = np.concatenate([np.zeros((len(s), 1)), before[:, :-1]], axis=1)
                before = before * (1 - came) + moved * came
        chances[:, option] = density[:, option] @ before.cumsum(axis=1)
    return chances
