"""Zurich's experiment in participatory budgeting: 180 voters, 24 projects, six formats, and LLMs in their place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import pandas as pd

from ..data import CrowdData
from ..errors import DataError
from ..models.ballot import Ballot, Rule
from ..references import References
from ..tables import read_table
from .match import Match
from .papers import Papers, Policy, read_papers

Format: TypeAlias = Literal["approval", "top5", "points5", "points10", "rank5", "top5_points10"]

_RULES: dict[str, tuple[Rule, int | None]] = {
    "approval": ("approval", None),
    "top5": ("choose", 5),
    "points5": ("points", 5),
    "points10": ("points", 10),
    "rank5": ("rank", 5),
    "top5_points10": ("points", 10),
}
# The formats in which LLMs voted, by ours.
_LLM_FORMATS = {"approval": "approval", "top5": "top5", "points10": "points", "rank5": "rank5"}
_LEVELS = (
    "Not important at all",
    "Slightly important",
    "Moderately important",
    "Very important",
    "Extremely important",
)
_PREFERENCES = {"Transportation": "pref_transport", "Culture": "pref_culture", "Nature": "pref_nature"}
_IMPORTANCES = ("importance_district", "importance_topic", "importance_cost")
# These were told whom they vote for: a ballot is a twin of its voter.
TOLD = ("persona", "cot")
ATTRIBUTES = ("category", "cost")
MATCHES = (
    Match("district", "district"),
    Match("district", "district", times="importance_district"),
    Match(_PREFERENCES, "category"),
    Match(_PREFERENCES, "category", times="importance_topic"),
    Match("importance_cost", "cost"),
)


@dataclass(frozen=True, eq=False)
class ZurichVoting:
    """One format of the experiment.

    Attributes
    ----------
    data
        Ballots of the voters, one problem, `vote`; profiles are district, three preferences in percent, importances
        from 0 to 4.
    projects
        Index `project`; columns `name, district, category, cost`.
    papers
        The voters' papers.
    llm
        Papers of the LLMs, by source: model, prompt, temperature, and the file where it was run more than once.
    """

    data: CrowdData
    projects: pd.DataFrame
    papers: Papers
    llm: dict[str, Papers]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the recorded conditions."""
        return tuple(self.llm)

    @property
    def report(self) -> tuple[str, ...]:
        """Spoiled ballots by source, the voters' own first."""
        return (self.papers.report("voters"), *(papers.report(name) for name, papers in self.llm.items()))

    def told(self) -> tuple[str, ...]:
        """Sources that were told whom they vote for."""
        return tuple(name for name in self.llm if name.split(", ")[1] in TOLD)

    def references(self, sources: Iterable[str] | None = None) -> References:
        """Recorded votes as references; those that were told of the voter are references per participant.

        Parameters
        ----------
        sources
            Names of `sources`; all when None.

        Raises
        ------
        DataError
            When a recorded source is unknown, or none is named.
        """
        chosen = self.sources if sources is None else tuple(sources)
        unknown = [name for name in chosen if name not in self.llm]
        if unknown or not chosen:
            what = f"source {unknown[0]!r} is none of them" if unknown else "sources is empty"
            raise DataError(f"{what}; recorded are {'; '.join(self.sources)}.")
        return References.panel(*(self._reference(name) for name in chosen))

    def _reference(self, name: str) -> References:
        papers, (_, prompt, temperature, *_) = self.llm[name], name.split(", ")
        scale = papers.scale
        if papers.votes.empty:
            raise DataError(f"source {name!r}: each of its {papers.n} ballots is spoiled; leave it out.")
        shares = papers.votes / (scale.total or 1.0)
        if prompt in TOLD:
            frame = shares.add_prefix("p_").rename_axis("participant").reset_index()
        else:
            frame = shares.mean().to_frame().T.add_prefix("p_")
        frame = frame.assign(problem="vote", model=name)
        made = References.from_frame(frame, scale=scale, prompt=prompt, temperature=float(temperature[2:]))
        return References(made.scale, made.sources, (papers.report(name),))


def load_zurich_voting(
    format: Format = "top5",  # noqa: A002
    folder: str | Path | None = None,
    spoiled: Policy = "out",
) -> ZurichVoting:
    """Zurich's voters, projects, ballots of one format, and LLMs' recorded votes in it.

    Parameters
    ----------
    format
        `approval`, `top5` (the paper's), `points5`, `points10`, `rank5` or `top5_points10`; LLMs voted in the first
        two, `points10` and `rank5`.
    folder
        Holds `zurich_pb/`; `$CROWDPYRO_DATA` when None.
    spoiled
        What becomes of LLMs' spoiled ballots (see `papers`); those of people are always left out.

    Returns
    -------
    ZurichVoting
        Ballots and projects, and the papers of voters and of LLMs.

    Raises
    ------
    DataError
        When the folder is not there.

    References
    ----------
    J. C. Yang, C. I. Hausladen, D. Peters, E. Pournaras, R. Hänggli Fricker, D. Helbing (2024), Designing digital
    voting systems for citizens: achieving fairness and legitimacy in participatory budgeting, Digital Government:
    Research and Practice 5 (3); the LLMs' votes: Yang, Dailisan, Korecki, Hausladen, Helbing (2024), LLM voting, AIES.
    """
    if format not in get_args(Format):
        raise DataError(f"format={format!r}: give one of {', '.join(map(repr, get_args(Format)))}.")
    place = _folder(folder)
    projects = read_table(place / "projects.csv").rename(columns={"project_id": "project"})
    projects = projects.assign(project=projects["project"].astype(str)).set_index("project")
    scale = Ballot(tuple(projects.index), *_RULES[format])
    people = read_table(place / "voters.csv")
    long = read_table(place / "ballots_long.csv")
    long = long.rename(columns={"agent_id": "voter", "project_id": "option", "response": "value"})
    papers = read_papers(long[long["format"] == format], scale)
    problems = pd.DataFrame({"problem": ["vote"], "text": ["Which of the projects shall the city pay for?"]})
    answers = papers.answers.rename_axis("participant").reset_index().assign(problem="vote")
    data = CrowdData.from_frames(answers, problems, _profiles(people), scale=scale)
    votes = read_table(place / "llm_votes.csv.gz")
    votes = votes[votes["format"] == _LLM_FORMATS.get(format, "")]
    return ZurichVoting(data, projects, papers, _recorded(votes, scale, spoiled))


def _folder(folder: str | Path | None) -> Path:
    root = folder or os.environ.get("CROWDPYRO_DATA")
    place = None if root is None else Path(root) / "zurich_pb"
    if place is None or not place.is_dir():
        raise DataError(
            f"folder {str(place or 'zurich_pb')!r} does not exist; name the folder that holds 'zurich_pb' "
            "by --data or by the variable CROWDPYRO_DATA."
        )
    return place


def _profiles(people: pd.DataFrame) -> pd.DataFrame:
    """What the study knows of a voter, importances as numbers."""
    coded = {name: people[name].map(_LEVELS.index).astype(float) for name in _IMPORTANCES}
    kept = people[["agent_id", "district", *_PREFERENCES.values()]].rename(columns={"agent_id": "participant"})
    return kept.assign(**coded)


def _recorded(votes: pd.DataFrame, scale: Ballot, policy: Policy) -> dict[str, Papers]:
    """Papers by source."""
    votes = votes.rename(columns={"agent_id": "voter", "project_id": "option", "response": "value"})
    files = votes.groupby(["model", "prompt", "temperature"])["source_file"].transform("nunique")
    found = {}
    for (model, prompt, temperature, file), rows in votes.groupby(["model", "prompt", "temperature", "source_file"]):
        name = f"{model}, {prompt}, t={temperature:g}"
        if files.loc[rows.index].iloc[0] > 1:
            name = f"{name}, {file}"
        found[name] = read_papers(rows, scale, policy)
    return found
