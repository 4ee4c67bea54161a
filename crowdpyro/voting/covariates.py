"""What a vote's program is told: attributes of projects, matches with voters, and where LLMs' votes let it start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..features import log_weights
from ..models.ballot import Ballot
from ..references import References
from ..tables import shown
from .match import AttributeEncoder, Match, MatchEncoder

if TYPE_CHECKING:
    import torch

    from ..models.batch import Batch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VoteCovariates:
    """Covariates of a vote, fitted on the projects that were voted on.

    Attributes
    ----------
    scale
        The whole ballot.
    projects
        One row an option, in the order of the ballot.
    voted_on
        Options whose votes were looked at.
    own, matches
        Encoders of attributes and matches.
    references
        LLMs' votes; None without.
    even
        Share of an even ballot that they are mixed with.
    level
        Log odds of an approval by the voters; 0 of rules that compare options.
    llm_centre, llm_scale
        Mean and standard deviation of each LLM's log weights over `voted_on`.
    """

    scale: Ballot
    projects: pd.DataFrame
    voted_on: tuple[str, ...]
    own: AttributeEncoder
    matches: MatchEncoder
    references: References | None
    even: float
    level: float
    llm_centre: FloatArray
    llm_scale: FloatArray

    @classmethod
    def fit(
        cls,
        scale: Ballot,
        projects: pd.DataFrame,
        references: References | None,
        voters: pd.DataFrame,
        seen: IntArray,
        votes: FloatArray,
        attributes: Iterable[str],
        matches: Iterable[Match],
        even: float,
    ) -> VoteCovariates:
        """Fit on the options `seen`, `votes` being those on them alone, `(n_voters, n_seen)`."""
        projects = _of_options(projects, scale)
        listed = projects.iloc[seen]
        if references is not None and references.scale != scale:
            raise DataError(f"references are on {references.scale}, the ballots on {scale}; put them on one scale.")
        llm = log_shares(references, scale, even)[seen]
        spread = llm.std(axis=0)
        return cls(
            scale,
            projects,
            tuple(listed.index),
            AttributeEncoder.fit(attributes, listed),
            MatchEncoder.fit(matches, voters, listed),
            references,
            even,
            level_of(votes, scale),
            llm.mean(axis=0),
            np.where(spread > 0, spread, np.inf),
        )

    def attributes(self, rows: IntArray) -> torch.Tensor:
        """x_j of these options, their attributes and the LLMs' votes a block of unit mean squared norm each."""
        import torch

        own = self.own.transform(self.projects.iloc[rows])
        told = (log_shares(self.references, self.scale, self.even)[rows] - self.llm_centre) / self.llm_scale
        columns = [own, told / np.sqrt(max(told.shape[1], 1))]
        return torch.as_tensor(np.concatenate(columns, axis=1), dtype=torch.float32)

    def batch(self, voters: pd.DataFrame, rows: IntArray, votes: FloatArray | None, use_reference: bool) -> Batch:
        """Voters, one answer each, to the vote on these options; without votes they are to be drawn."""
        import torch

        from ..models.batch import Batch

        n = len(voters)
        matches = self.matches.transform(voters, self.projects.iloc[rows])
        start = self.level + start_of(self.references if use_reference else None, self.scale, self.even)[rows]
        return Batch(
            features=torch.zeros(1, 0),
            known=torch.zeros(1, dtype=torch.long),
            reference=torch.as_tensor(start, dtype=torch.float32)[None],
            profile=torch.as_tensor(matches.reshape(n, -1), dtype=torch.float32),
            rows=torch.arange(n),
            participant=torch.arange(n),
            problem=torch.zeros(n, dtype=torch.long),
            response=None if votes is None else torch.as_tensor(votes, dtype=torch.float32),
            participation=torch.ones(()),
            population=n,
        )


def log_shares(references: References | None, scale: Ballot, even: float) -> FloatArray:
    """Each LLM's log weights of the options, its votes mixed with an even ballot, shape `(n_options, n_llms)`."""
    if references is None:
        return np.zeros((scale.n_levels, 0))
    votes = np.stack([source.base()[0] for source in references], axis=1)
    return log_weights((1 - even) * votes + even * _flat(scale), scale)


def start_of(references: References | None, scale: Ballot, even: float) -> FloatArray:
    """Utilities that voters start from: log weights of the LLMs' mean, less their mean over options, `(n_options,)`."""
    if references is None:
        return np.zeros(scale.n_levels)
    votes = np.mean([source.base()[0] for source in references], axis=0)
    start = log_weights((1 - even) * votes + even * _flat(scale), scale)
    return np.asarray(start - start.mean())


def level_of(votes: FloatArray, scale: Ballot) -> float:
    """Log odds of an approval, one more being given and one more refused; 0 of rules that compare options."""
    if scale.total is not None:
        return 0.0
    given, refused = votes.sum() + 1.0, (1.0 - votes).sum() + 1.0
    return float(np.log(given / refused))


def _flat(scale: Ballot) -> float:
    """What an even ballot gives an option."""
    return 0.5 if scale.total is None else 1.0 / scale.n_levels


def _of_options(projects: pd.DataFrame, scale: Ballot) -> pd.DataFrame:
    """Rows of the options, in the order of the ballot."""
    named = projects.set_axis(projects.index.astype(str))
    lost = pd.Index(scale.options).difference(named.index)
    if len(lost) or named.index.has_duplicates:
        what = f"option {shown(lost[0])} is none of them" if len(lost) else "an id stands there twice"
        raise DataError(f"projects: {what}; give one row for each option, indexed by its name.")
    return named.loc[list(scale.options)]
