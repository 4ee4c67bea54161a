"""Ballot papers as they were filled in: which are spoiled, by what, and what becomes of them.

fault             the paper
unknown option    names what is not on the ballot
option twice      names an option twice
too few           has fewer options than the rule asks for, an approval ballot none
too many          has more
wrong total       spreads more or fewer points than there are, or no whole ones, or its ranks are not 1 to n

The policy `out` is that of most elections: a spoiled paper is not counted, and its voter did not vote. With `share`,
for LLMs whose intent shall count, a spoiled paper is one vote all the same, spread over the options on it that exist
(by points where it has any, evenly otherwise); a paper with none of them stays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..models.ballot import SEPARATOR, Ballot
from ..tables import require_columns

FloatArray = npt.NDArray[np.float64]
Policy: TypeAlias = Literal["out", "share"]
FAULTS = ("unknown option", "option twice", "too few", "too many", "wrong total")


@dataclass(frozen=True, eq=False)
class Papers:
    """Ballots that were read, and those that were spoiled.

    Attributes
    ----------
    scale
        What a ballot may be.
    answers
        Text of every valid ballot, as `CrowdData` takes it, by voter.
    votes
        Votes or points of every ballot that counts, columns the options, by voter; of a spoiled one that counts under
        `share`, fractions that sum to what a ballot has.
    spoiled
        Index `voter`, columns `fault`, `picks` (how many options the paper names) and `counted`.
    """

    scale: Ballot
    answers: pd.Series
    votes: pd.DataFrame
    spoiled: pd.DataFrame

    @property
    def n(self) -> int:
        """Papers in all."""
        return len(self.answers) + len(self.spoiled)

    def summary(self) -> dict[str, int]:
        """How many papers there are, how many are valid, and how many have each fault."""
        faults = self.spoiled["fault"].value_counts()
        return {"papers": self.n, "valid": len(self.answers), **{name: int(faults.get(name, 0)) for name in FAULTS}}

    def report(self, name: str) -> str:
        """One line for a person."""
        counts = self.summary()
        faults = ", ".join(f"{counts[fault]} {fault}" for fault in FAULTS if counts[fault])
        if not faults:
            return f"{name}: {self.n} ballots, none spoiled"
        kept = int(self.spoiled["counted"].sum())
        done = f"{kept} of them counted by what can be read" if kept else "not counted"
        return f"{name}: {len(self.spoiled)} of {self.n} ballots spoiled ({faults}), {done}"


def read_papers(picks: pd.DataFrame, scale: Ballot, policy: Policy = "out") -> Papers:
    """Sort papers into ballots and spoiled ones.

    Parameters
    ----------
    picks
        Columns `voter`, `option` and, where the rule has numbers, `value`: points, or ranks from 1, the best. One row
        a pick; a voter without a row handed in nothing.
    scale
        What a ballot may be.
    policy
        What becomes of a spoiled one (see the module).

    Returns
    -------
    Papers
        Valid ballots by voter, the votes that count, and what is wrong with the spoiled ones.

    Raises
    ------
    DataError
        When `policy` is unknown.
    """
    if policy not in get_args(Policy):
        raise DataError(f"policy={policy!r}: give one of {', '.join(map(repr, get_args(Policy)))}.")
    valued = scale.rule in ("rank", "points")
    require_columns(picks, ("voter", "option", *(("value",) if valued else ())), "picks")
    options = picks["option"].astype(str).str.strip()
    values = pd.to_numeric(picks["value"], errors="coerce") if valued else pd.Series(1.0, picks.index)
    answers: dict[object, str] = {}
    votes: dict[object, FloatArray] = {}
    spoiled: dict[object, tuple[str, int, bool]] = {}
    for voter, rows in picks.groupby("voter", sort=True).groups.items():
        named, given = np.asarray(options.loc[rows], dtype=object), np.asarray(values.loc[rows], dtype=np.float64)
        fault = _fault(named, given, scale)
        if fault is None:
            answers[voter] = _text(named, given, scale)
            votes[voter] = scale.encode([answers[voter]])[0]
            continue
        part = _readable(named, given, scale) if policy == "share" else None
        if part is not None:
            votes[voter] = part
        spoiled[voter] = (fault, len(named), part is not None)
    return Papers(
        scale,
        pd.Series(answers, dtype=object, name="response").rename_axis("voter"),
        pd.DataFrame.from_dict(votes, orient="index", columns=list(scale.options), dtype=float)
        .rename_axis("voter")
        .sort_index(),
        pd.DataFrame.from_dict(spoiled, orient="index", columns=["fault", "picks", "counted"]).rename_axis("voter"),
    )


def _fault(named: npt.NDArray[np.object_], given: FloatArray, scale: Ballot) -> str | None:
    """The first fault of a paper in the order of `FAULTS`; None of a valid one."""
    n = len(named)
    if not np.isin(named, scale.options).all():
        return "unknown option"
    if len(set(named)) < n:
        return "option twice"
    if scale.rule in ("choose", "rank") and scale.n is not None and n != scale.n:
        return "too few" if n < scale.n else "too many"
    whole = np.isfinite(given).all() and (given == np.round(given)).all()
    if scale.rule == "points":
        right = whole and (given >= 0).all() and given.sum() == scale.n
        return None if right else "wrong total"
    if scale.rule == "rank":
        return None if whole and sorted(given) == list(range(1, n + 1)) else "wrong total"
    return None


def _text(named: npt.NDArray[np.object_], given: FloatArray, scale: Ballot) -> str:
    """The ballot as `Ballot` writes it."""
    if scale.rule == "points":
        return SEPARATOR.join(f"{name}={points:.0f}" for name, points in zip(named, given, strict=True) if points)
    order = np.argsort(given, kind="stable") if scale.rule == "rank" else np.arange(len(named))
    return SEPARATOR.join(named[order])


def _readable(named: npt.NDArray[np.object_], given: FloatArray, scale: Ballot) -> FloatArray | None:
    """One vote on what a spoiled paper names and the ballot has; None where that is nothing."""
    place = pd.Index(scale.options).get_indexer(pd.Index(named))
    known = place >= 0
    weight = np.where(np.isfinite(given) & (given > 0), given, 0.0) if scale.rule == "points" else np.ones(len(named))
    votes = np.zeros(scale.n_levels)
    np.add.at(votes, place[known], weight[known])
    if scale.rule != "points":
        votes = np.minimum(votes, 1.0)
    if votes.sum() == 0:
        return None
    return votes if scale.total is None else votes * (scale.total / votes.sum())
