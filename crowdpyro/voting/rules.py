"""Who gets the money: voting rules on anybody's ballots, through `pabutools`.

rule            funds, as long as money is left
counts          the project with the most votes (or points) that can be paid for
greedy          the one with the most votes per franc
equal_shares    the method of equal shares, each voter's share paying for cost; what is left goes by `counts`

Of projects that are equally good the one that comes first among the projects is taken. Outcomes are compared by
|A n B| / |A u B|, 1 where the same projects are funded.

D. Peters, G. Pierczyński, P. Skowron (2021), Proportional participatory budgeting with additive utilities, NeurIPS.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from ..errors import DataError
from ..tables import require_columns, shown

VotingRule: TypeAlias = Literal["counts", "greedy", "equal_shares"]
RULES: tuple[VotingRule, ...] = get_args(VotingRule)


def funded(
    ballots: pd.DataFrame, projects: pd.DataFrame, budget: float, rule: VotingRule = "counts"
) -> tuple[str, ...]:
    """Projects that are funded, in the order of `projects`.

    Parameters
    ----------
    ballots
        Votes or points, one row a voter, one column a project.
    projects
        Indexed by project, with a column `cost`.
    budget
        What may be spent.
    rule
        See the module.

    Returns
    -------
    tuple of str
        Ids of projects, which cost no more than the budget together.

    Raises
    ------
    DataError
        When `pabutools` is not installed, a rule is unknown, or costs or budget are no positive numbers.
    """
    if rule not in RULES:
        raise DataError(f"rule={rule!r}: give one of {', '.join(map(repr, RULES))}.")
    votes, costs = _checked(ballots, projects, budget)
    election, rules, breaking = _pabutools()
    place = {name: k for k, name in enumerate(votes.columns)}
    listed = {name: election.Project(name, cost=_exact(costs[name])) for name in votes.columns}
    instance = election.Instance(listed.values(), budget_limit=_exact(budget))
    profile = election.CardinalProfile(
        [
            election.CardinalBallot({listed[name]: _exact(vote) for name, vote in zip(votes.columns, row, strict=True)})
            for row in votes.to_numpy(dtype=float)
        ],
        instance=instance,
    )
    # Satisfaction by cost, so that what is bought per franc is votes; by votes, what is bought is votes per franc.
    by_cost = _times_cost(election)
    first = breaking.TieBreakingRule(lambda _, __, project: place[project.name])
    how: dict[str, Any] = {"tie_breaking": first}
    start: Any = None
    if rule == "equal_shares":
        start = rules.method_of_equal_shares(instance, profile, sat_class=by_cost, **how)
    kind = election.Additive_Cardinal_Sat if rule == "greedy" else by_cost
    won = rules.greedy_utilitarian_welfare(
        instance, profile, sat_class=kind, initial_budget_allocation=start, is_sat_additive=True, **how
    )
    names = {project.name for project in won}
    return tuple(name for name in votes.columns if name in names)


def outcome_overlap(a: Collection[str], b: Collection[str]) -> float:
    """|A n B| / |A u B| of two sets of funded projects; 1 where nothing is funded in either.

    Parameters
    ----------
    a, b
        Ids of projects.

    Returns
    -------
    float
        Jaccard's index, from 0 to 1.

    References
    ----------
    P. Jaccard (1912), The distribution of the flora in the alpine zone, New Phytologist 11.
    """
    either = set(a) | set(b)
    return len(set(a) & set(b)) / len(either) if either else 1.0


def _times_cost(election: Any) -> Any:
    """A voter's points for a project times its cost."""

    class CostSatisfaction(election.AdditiveSatisfaction):  # type: ignore[misc]
        def __init__(self, instance: Any, profile: Any, ballot: Any) -> None:
            super().__init__(
                instance, profile, ballot, lambda _, __, ballot, project, ___: ballot.get(project, 0) * project.cost
            )

    return CostSatisfaction


def _checked(ballots: pd.DataFrame, projects: pd.DataFrame, budget: float) -> tuple[pd.DataFrame, dict[str, float]]:
    """Ballots of the projects in their order, and costs."""
    require_columns(projects, ("cost",), "projects")
    names = projects.index.astype(str)
    given = ballots.set_axis(ballots.columns.astype(str), axis=1)
    lost = names.difference(given.columns)
    if len(lost) or len(names) != given.shape[1]:
        what = (
            f"project {shown(lost[0])} has no column"
            if len(lost)
            else f"{given.shape[1]} columns, {len(names)} projects"
        )
        raise DataError(f"ballots: {what}; give one column for each project.")
    if not len(given):
        raise DataError("ballots hold no voter; give at least one.")
    costs = pd.to_numeric(projects["cost"], errors="coerce").to_numpy(dtype=float)
    bad = ~(np.isfinite(costs) & (costs > 0))
    if bad.any():
        given_cost = shown(projects["cost"].to_numpy()[bad][0])
        raise DataError(f"column 'cost' of projects holds {given_cost}; give positive numbers.")
    if not (np.isfinite(budget) and budget > 0):
        raise DataError(f"budget={budget}: give a positive number.")
    votes = given[list(names)]
    wrong = ~(np.isfinite(votes.to_numpy(dtype=float)) & (votes.to_numpy(dtype=float) >= 0))
    if wrong.any():
        raise DataError("ballots hold a number below 0 or none at all; give votes or points, 0 where there are none.")
    return votes.reset_index(drop=True), dict(zip(names, costs, strict=True))


def _exact(number: float) -> int | float:
    """Whole numbers as such: fractions of floats are long."""
    return int(number) if float(number).is_integer() else float(number)


def _pabutools() -> tuple[Any, Any, Any]:
    """The package's parts, or how to get them."""
    try:
        from pabutools import election, rules, tiebreaking
    except ImportError as error:
        raise DataError("package 'pabutools' is not installed; pip install 'crowdpyro[voting]'.") from error
    return election, rules, tiebreaking
