"""Elections in Pabulib's format: a `.pb` file has the sections META, PROJECTS and VOTES, semicolons between cells.

Carriage returns are stripped wherever they stand: files made on Windows have them before every line's end, and some
published ones inside cells as well.

D. Stolicki, S. Szufa, N. Talmon (2020), Pabulib: a participatory budgeting library, arXiv 2012.06539.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..models.ballot import Ballot, Rule
from ..tables import require_columns, shown, write_whole

_SECTIONS = ("META", "PROJECTS", "VOTES")
_FIRST = {"META": "key", "PROJECTS": "project_id", "VOTES": "voter_id"}
_TYPES: dict[str, Rule] = {"approval": "approval", "choose-1": "choose", "ordinal": "rank", "cumulative": "points"}


@dataclass(frozen=True, eq=False)
class Election:
    """What a `.pb` file holds.

    Attributes
    ----------
    meta
        Keys and values as text; `budget` and `vote_type` must be there.
    projects
        Index `project_id`, column `cost` and any others as text.
    votes
        Index `voter_id`, column `vote` (ids joined by commas, in order of preference where that counts), `points` of
        cumulative votes likewise, and any others as text.
    source
        What messages call it.

    Raises
    ------
    DataError
        When a key or column is missing, an id repeats, or it holds a comma.
    """

    meta: dict[str, str]
    projects: pd.DataFrame
    votes: pd.DataFrame
    source: str = field(default="election")

    def __post_init__(self) -> None:
        for key in ("budget", "vote_type"):
            if not self.meta.get(key):
                raise DataError(f"{self.source}: META lacks {key!r}; add the line '{key};...'.")
        require_columns(self.projects, ("cost",), f"PROJECTS of {self.source}")
        require_columns(self.votes, ("vote",), f"VOTES of {self.source}")
        for table, what in ((self.projects, "project_id"), (self.votes, "voter_id")):
            if table.index.has_duplicates:
                twice = table.index[table.index.duplicated()][0]
                raise DataError(f"{self.source}: {what} {shown(twice)} stands there twice; keep one.")
        joined = [each for each in self.projects.index if "," in str(each)]
        if joined:
            raise DataError(f"{self.source}: project_id {shown(joined[0])} holds a comma, which joins ids; rename it.")

    @property
    def budget(self) -> float:
        """What may be spent.

        Raises
        ------
        DataError
            When it is no number.
        """
        return _number(self.meta["budget"], "budget", self.source)

    @property
    def costs(self) -> pd.Series:
        """Cost of every project.

        Raises
        ------
        DataError
            When one is no number.
        """
        return self.projects["cost"].map(lambda cost: _number(cost, "cost", self.source)).astype(float)

    def scale(self) -> Ballot:
        """What a ballot may be: approvals of a fixed number are a choice.

        Raises
        ------
        DataError
            For a vote type that no rule of `Ballot` is, or one that says too little.
        """
        kind, options = self.meta["vote_type"], tuple(str(each) for each in self.projects.index)
        if kind not in _TYPES:
            raise DataError(f"{self.source}: vote_type {kind!r} is not one of {', '.join(_TYPES)}.")
        rule = _TYPES[kind]
        least, most = (self.meta.get(name, "") for name in ("min_length", "max_length"))
        if rule == "choose":
            return Ballot(options, "choose", 1)
        if rule == "approval":
            fixed = least == most and most != ""
            return Ballot(options, "choose", self._whole(most, "max_length")) if fixed else Ballot(options, rule)
        name = "max_sum_points" if rule == "points" else "max_length"
        return Ballot(options, rule, self._whole(self.meta.get(name, ""), name))

    def picks(self) -> pd.DataFrame:
        """One row a pick, as `read_papers` takes them: `voter, option`, and `value` of ranks and points.

        Raises
        ------
        DataError
            When a voter has not one number of points for each project.
        """
        rule = _TYPES.get(self.meta["vote_type"], "approval")
        if rule == "points":
            require_columns(self.votes, ("points",), f"VOTES of {self.source}")
        rows: list[tuple[object, str, float]] = []
        scores = self.votes["points"] if rule == "points" else self.votes["vote"]
        for (voter, vote), score in zip(self.votes["vote"].items(), scores, strict=True):
            named = [each.strip() for each in str(vote).split(",") if each.strip()]
            values = list(np.arange(1.0, len(named) + 1))
            if rule == "points":
                given = [each for each in str(score).split(",") if each.strip()]
                values = [_number(each, "points", self.source) for each in given]
            if len(values) != len(named):
                raise DataError(
                    f"{self.source}: voter {shown(voter)} has {len(values)} points for {len(named)} projects."
                )
            rows.extend(zip([voter] * len(named), named, values, strict=True))
        return pd.DataFrame(rows, columns=["voter", "option", "value"])

    def _whole(self, text: str, name: str) -> int:
        number = _number(text, name, self.source)
        if number != int(number):
            raise DataError(f"{self.source}: {name} is {text!r}; give a whole number.")
        return int(number)


def election_of(
    ballots: pd.DataFrame,
    scale: Ballot,
    projects: pd.DataFrame,
    budget: float,
    voters: pd.DataFrame | None = None,
    **meta: str,
) -> Election:
    """An election of encoded ballots.

    Parameters
    ----------
    ballots
        Votes or points, one row a voter, one column a project.
    scale
        What a ballot is.
    projects
        Indexed by project, with a column `cost`.
    budget
        What may be spent.
    voters
        Traits of the same voters, written as further columns of VOTES.
    **meta
        Further keys of META, such as `description`.

    Returns
    -------
    Election
        As `read_pb` would read it.

    Raises
    ------
    DataError
        When `projects` lacks the column `cost`, an id repeats, or it holds a comma.
    """
    kind = {"approval": "approval", "choose": "approval", "rank": "ordinal", "points": "cumulative"}[scale.rule]
    head = {
        "vote_type": kind,
        "budget": f"{budget:g}",
        "num_projects": str(len(projects)),
        "num_votes": str(len(ballots)),
    }
    if scale.rule in ("choose", "rank"):
        head |= {"min_length": str(scale.n), "max_length": str(scale.n)}
    if scale.rule == "points":
        head |= {"max_sum_points": str(scale.n)}
    names = ballots.columns.astype(str).to_numpy()
    numbers = ballots.to_numpy(dtype=float)
    order = [np.argsort(-row, kind="stable")[: int((row > 0).sum())] for row in numbers]
    votes = pd.DataFrame(
        {"vote": [",".join(names[place]) for place in order]}, index=ballots.index.astype(str).rename("voter_id")
    )
    if scale.rule == "points":
        votes["points"] = [",".join(f"{n:g}" for n in row[p]) for row, p in zip(numbers, order, strict=True)]
    if voters is not None:
        traits = voters.astype(str).set_axis(votes.index)
        votes = pd.concat([traits, votes], axis=1)
    table = projects.astype(str).assign(cost=projects["cost"].map(lambda cost: f"{float(cost):g}"))
    return Election(head | meta, table.set_axis(table.index.astype(str).rename("project_id")), votes)


def read_pb(path: str | Path) -> Election:
    """Read a `.pb` file.

    Parameters
    ----------
    path
        Of the file, UTF-8.

    Returns
    -------
    Election
        Its tables as texts.

    Raises
    ------
    DataError
        When it is no such file, naming the line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"file {str(path)!r} is not UTF-8 text ({error}); save it as UTF-8.") from error
    return parse_pb(text, f"file {str(path)!r}")


def parse_pb(text: str, source: str = "election") -> Election:
    """The election in a text of Pabulib's format; `source` is what messages call it."""
    tables: dict[str, list[list[str]]] = {}
    section = ""
    reader = csv.reader(io.StringIO(text.replace("\r", "")), delimiter=";")
    for row in reader:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        name = cells[0].upper()
        if name in _SECTIONS and len([cell for cell in cells if cell]) == 1 and name not in tables:
            section = name
            tables[section] = []
            continue
        if not section:
            raise DataError(
                f"{source}, line {reader.line_num}: {cells[0]!r} stands before any section; begin with META."
            )
        head = tables[section][0] if tables[section] else None
        if head is None and cells[0] != _FIRST[section]:
            raise DataError(
                f"{source}, line {reader.line_num}: {section} begins with {cells[0]!r}; its header's first column is "
                f"{_FIRST[section]!r}."
            )
        if head is not None and len(cells) != len(head):
            raise DataError(
                f"{source}, line {reader.line_num}: {len(cells)} cells under {len(head)} columns of {section}; quote "
                "what holds a semicolon."
            )
        tables[section].append(cells)
    for name in _SECTIONS:
        if len(tables.get(name, [])) < 2:
            raise DataError(f"{source}: section {name} is missing or empty; a .pb file has {', '.join(_SECTIONS)}.")
    frames = {name: pd.DataFrame(rows[1:], columns=rows[0], dtype=object) for name, rows in tables.items()}
    require_columns(frames["META"], ("key", "value"), f"META of {source}")
    meta = dict(zip(frames["META"]["key"], frames["META"]["value"], strict=True))
    return Election(
        meta, frames["PROJECTS"].set_index("project_id"), frames["VOTES"].set_index("voter_id"), source=source
    )


def format_pb(election: Election) -> str:
    """Text of a `.pb` file; line breaks and carriage returns within a cell become blanks."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\n")
    meta = pd.DataFrame({"value": election.meta}).rename_axis("key")
    for name, table in zip(_SECTIONS, (meta, election.projects, election.votes), strict=True):
        writer.writerow([name])
        flat = table.rename_axis(_FIRST[name]).reset_index()
        writer.writerow([_cell(column) for column in flat.columns])
        writer.writerows([[_cell(cell) for cell in row] for row in flat.itertuples(index=False)])
    return out.getvalue()


def write_pb(election: Election, path: str | Path) -> Path:
    """Write a `.pb` file, whole or not at all.

    Parameters
    ----------
    election
        What it shall hold.
    path
        Where, with the suffix `.pb`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        When the suffix is not `.pb`.
    """
    if not str(path).lower().endswith(".pb"):
        raise DataError(f"file {str(path)!r}: the suffix must be .pb.")
    text = format_pb(election)
    return write_whole(path, lambda file: file.write_text(text, encoding="utf-8", newline="\n"))


def _cell(value: object) -> str:
    return " ".join(str(value).split())


def _number(text: object, name: str, source: str) -> float:
    try:
        number = float(str(text).strip().replace(",", "."))
    except ValueError:
        number = float("nan")
    if not (np.isfinite(number) and number >= 0):
        raise DataError(f"{source}: {name} is {shown(text)}; give a number of at least 0.")
    return number
