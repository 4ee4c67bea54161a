"""What is known of projects, and how voters and projects match: the covariates of a vote.

x_j    attributes of project j: one column a level of a text, one a number; standardised over the projects of training
m_ij   matches of voter i and project j, standardised over the pairs of training
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..tables import require_columns, shown

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """One way in which a voter and a project match.

    Parameters
    ----------
    voter
        A column of the voters; or, for each level of `project`, the column that says how much a voter cares for it.
    project
        A column of the projects.
    times
        A column of numbers of the voters by which the match is multiplied, less its mean over the voters of training.

    Notes
    -----
    A text and a text match where they are equal (1, else 0), a number and a number by their product; with a mapping,
    the match is the number in the column of the project's level, 0 for a level that the mapping lacks.

    Examples
    --------
    >>> voters = pd.DataFrame({"home": ["north", "south"], "green": [0.8, 0.3]})
    >>> projects = pd.DataFrame({"place": ["south", "north"], "topic": ["park", "road"]})
    >>> Match("home", "place").of(voters, projects)
    array([[0., 1.],
           [1., 0.]])
    >>> Match({"park": "green"}, "topic").of(voters, projects)
    array([[0.8, 0. ],
           [0.3, 0. ]])
    """

    voter: str | Mapping[str, str]
    project: str
    times: str | None = None

    @property
    def name(self) -> str:
        """As messages name it."""
        voter = self.voter if isinstance(self.voter, str) else ", ".join(self.voter.values())
        return f"{voter} ~ {self.project}{f' x {self.times}' if self.times else ''}"

    def of(self, voters: pd.DataFrame, projects: pd.DataFrame) -> FloatArray:
        """The match before `times`, shape `(n_voters, n_projects)`.

        Raises
        ------
        DataError
            When a column is missing, or holds no numbers where numbers are multiplied.
        """
        require_columns(projects, (self.project,), "projects")
        given = projects[self.project]
        if not isinstance(self.voter, str):
            require_columns(voters, tuple(self.voter.values()), "voters")
            columns = [self.voter.get(str(level)) for level in given]
            known = {name: _numbers(voters, name) for name in self.voter.values()}
            zero = np.zeros(len(voters))
            return np.stack([zero if name is None else known[name] for name in columns], axis=1)
        require_columns(voters, (self.voter,), "voters")
        if pd.api.types.is_numeric_dtype(given):
            return np.multiply.outer(_numbers(voters, self.voter), _numbers(projects, self.project))
        mine, theirs = voters[self.voter].astype(str).to_numpy(), given.astype(str).to_numpy()
        return np.asarray(mine[:, None] == theirs, dtype=np.float64)


@dataclass(frozen=True)
class MatchEncoder:
    """Matches on a common scale.

    Attributes
    ----------
    matches
        In the order of the last axis.
    means
        Mean of each one's `times` over the voters of training, 0 without.
    centres, scales
        Mean and standard deviation of each one over the pairs of training.
    """

    matches: tuple[Match, ...]
    means: tuple[float, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def fit(cls, matches: Iterable[Match], voters: pd.DataFrame, projects: pd.DataFrame) -> MatchEncoder:
        """Means and scales of these voters and projects."""
        matches = tuple(matches)
        means = tuple(0.0 if each.times is None else float(_times(voters, each).mean()) for each in matches)
        raw = [_raw(each, mean, voters, projects) for each, mean in zip(matches, means, strict=True)]
        scales = tuple(float(each.std()) or 1.0 for each in raw)
        return cls(matches, means, tuple(float(each.mean()) for each in raw), scales)

    def transform(self, voters: pd.DataFrame, projects: pd.DataFrame) -> FloatArray:
        """Matches of all pairs, shape `(n_voters, n_projects, n_matches)`."""
        found = np.zeros((len(voters), len(projects), len(self.matches)))
        for k, each in enumerate(self.matches):
            raw = _raw(each, self.means[k], voters, projects)
            found[..., k] = (raw - self.centres[k]) / self.scales[k]
        return found


@dataclass(frozen=True)
class AttributeEncoder:
    """Attributes of projects as standardised columns of unit mean squared norm in all.

    Attributes
    ----------
    levels
        Of each column, the levels of a text, or nothing for a number.
    centre, scale
        Of the columns over the projects of training.
    """

    levels: dict[str, tuple[str, ...]]
    centre: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, columns: Iterable[str], projects: pd.DataFrame) -> AttributeEncoder:
        """Levels, centres and scales of these projects; a column that does not vary is left without a say."""
        columns = tuple(columns)
        require_columns(projects, columns, "projects")
        levels: dict[str, tuple[str, ...]] = {}
        for name in columns:
            numeric = pd.api.types.is_numeric_dtype(projects[name])
            levels[name] = () if numeric else tuple(sorted(projects[name].astype(str).unique()))
        raw = _columns(levels, projects)
        spread = raw.std(axis=0)
        return cls(levels, raw.mean(axis=0), np.where(spread > 0, spread, np.inf))

    def transform(self, projects: pd.DataFrame) -> FloatArray:
        """Columns of these projects, shape `(n_projects, n_columns)`; an unknown level is none of the known ones."""
        raw = _columns(self.levels, projects)
        return np.asarray((raw - self.centre) / self.scale / np.sqrt(max(raw.shape[1], 1)))


def _columns(levels: Mapping[str, tuple[str, ...]], projects: pd.DataFrame) -> FloatArray:
    """One column a level, one a number, shape `(n_projects, n_columns)`."""
    parts = [
        np.stack([(projects[name].astype(str) == level).to_numpy(dtype=float) for level in known], axis=1)
        if known
        else _numbers(projects, name)[:, None]
        for name, known in levels.items()
    ]
    return np.concatenate([np.zeros((len(projects), 0)), *parts], axis=1)


def _times(voters: pd.DataFrame, match: Match) -> FloatArray:
    require_columns(voters, (str(match.times),), "voters")
    return _numbers(voters, str(match.times))


def _raw(match: Match, mean: float, voters: pd.DataFrame, projects: pd.DataFrame) -> FloatArray:
    raw = match.of(voters, projects)
    return raw if match.times is None else raw * (_times(voters, match) - mean)[:, None]


def _numbers(table: pd.DataFrame, name: str) -> FloatArray:
    """A column of finite numbers."""
    numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise DataError(
            f"column {name!r} holds {shown(table[name].to_numpy()[wrong][0])} ({int(wrong.sum())} such rows), which is "
            "no number; code it, or fill it."
        )
    return numbers
