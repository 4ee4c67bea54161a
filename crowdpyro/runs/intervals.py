"""Intervals on a person's own files: a run's people cross-fitted, or answers, twins and a crowd made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crowd_intervals import design_arguments
from ..data import amounts, read_participants
from ..errors import DataError
from ..estimator import CrowdLLM
from ..survey import WEIGHT, SurveyDesign, checked_weights, taken_off
from ..table_writing import write_csv
from ..tables import read_table, require_columns, row_of, rows_named, rows_of, shown
from ..theory.interval import crowd_interval
from ..theory.interval_result import CrowdInterval
from ..theory.pooled import pooled_interval
from ..theory.shares import share_interval
from .folder import Say, read_options, read_people, read_references

Cells = npt.NDArray[Any]
_COLUMNS = ("problem", "participant", "response")


def interval_run(
    run: Path, say: Say, *, population: Path | None = None, seed: int = 0, device: str = "cpu", **how: Any
) -> CrowdInterval:
    """Intervals of what a run's people answer on average, from models of its settings, each without a fold of them.

    Parameters
    ----------
    run
        Its folder.
    say
        Told what was read and done.
    population
        File of profiles of those who are to be spoken for.
    seed, device
        Of the fits.
    **how
        Anything else of `CrowdLLM.interval`.
    """
    options = read_options(run)
    data = read_people(options)
    references = read_references(options, data.problems, data.scale, run, say)
    say(f"read {amounts(data)}")
    people = None if population is None else read_participants(population)
    if people is None:
        say("no --population: the crowd has these people's own profiles, and adds nothing to them")
    say(f"fitting {how.get('k', 5)} models, each without a fold of the people")
    return CrowdLLM(options.model, device=device).interval(data, references, population=people, seed=seed, **how)


def interval_files(
    humans: Path,
    twins: Path,
    crowd: Path,
    say: Say,
    *,
    participants: Path | None = None,
    shares: bool = False,
    pooled: bool = False,
    simultaneous: bool = False,
    **how: Any,
) -> CrowdInterval:
    """Intervals from three files of `problem, participant, response`.

    Parameters
    ----------
    humans
        People's answers.
    twins
        The same people's twins' answers to the same problems, which have not seen them.
    crowd
        Answers of a crowd that was made as the twins were.
    say
        Told what was read.
    participants
        File of the people, for its columns `weight`, `stratum`, `psu`; a column `weight` of the crowd's file is read
        there.
    shares, pooled, simultaneous
        As in `CrowdLLM.interval`.
    **how
        `alpha`, `method`, `alternative` of `crowd_interval`.
    """
    if shares and pooled:
        raise DataError("shares and pooled: a share of all problems together has no name; give one of them.")
    frames = [_read(path, shares) for path in (humans, twins, crowd)]
    people, problems = (pd.Index(sorted(frames[0][key].unique()), name=key) for key in ("participant", "problem"))
    members = pd.Index(frames[2]["participant"].unique())
    n = [f"{len(each):,}" for each in (frames[0], people, frames[2], members)]
    say(f"read {n[0]} answers of {n[1]} people, and {n[2]} of a crowd of {n[3]}")
    y, twin, virtual = (
        _matrix(frame, rows, problems) for frame, rows in zip(frames, (people, people, members), strict=True)
    )
    lacks = pd.notna(y) & pd.isna(twin)
    if lacks.any():
        person, problem = (int(each) for each in np.argwhere(lacks)[0])
        raise DataError(
            f"file {str(twins)!r}: the twin of {shown(people[person])} has no answer to problem "
            f"{shown(problems[problem])} ({int(lacks.sum())} such); add it, or drop the person's."
        )
    for path, matrix in ((humans, y), (crowd, virtual)):
        given = pd.notna(matrix).sum(axis=0)
        if not pooled and (given < 2).any():
            few = int(given.argmin())
            raise DataError(
                f"file {str(path)!r}: problem {shown(problems[few])} has {given[few]} answers "
                f"({int((given < 2).sum())} such); an interval takes two: add some, drop it from the people's, or give "
                "--pooled."
            )
    if participants is not None:
        how |= design_arguments(_design(participants, people, say), None, pooled=pooled)
    if WEIGHT in frames[2].columns:
        member = frames[2].groupby("participant")[WEIGHT].first().reindex(members)
        how["crowd_weights"] = checked_weights(member, len(members))
    if pooled:
        return pooled_interval(y, twin, virtual, **how)
    if shares:
        options = sorted({each for frame in frames for each in frame["response"]})
        return share_interval(
            y, twin, virtual, options=options, missing="omit", labels=problems, simultaneous=simultaneous, **how
        )
    return crowd_interval(y, twin, virtual, missing="omit", labels=problems, simultaneous=simultaneous, **how)


def _design(path: Path, people: pd.Index, say: Say) -> SurveyDesign | None:
    """How these people were sampled."""
    _, design, notes = taken_off(read_participants(path))
    for note in notes:
        say(f"  {note}")
    return None if design is None else design.rows(rows_of(people, design.table.index, "participant"))


def write_intervals(interval: CrowdInterval, path: Path, *, safe: bool = False) -> Path:
    """Write `to_frame` as `.csv` or `.csv.gz`, whole or not at all; `safe` for spreadsheets."""
    return write_csv(interval.to_frame(), path, safe=safe, index=True)


def _read(path: Path, shares: bool) -> pd.DataFrame:
    """Answers that are there, numbers unless options are counted, one a person and problem."""
    frame = read_table(path)
    require_columns(frame, _COLUMNS, str(path))
    frame = frame.dropna(subset=list(_COLUMNS))
    if frame.empty:
        raise DataError(f"file {str(path)!r}: no row has a problem, a participant and a response; fill some.")
    repeated = frame.duplicated(["problem", "participant"], keep=False)
    if repeated.any():
        first = frame[repeated].iloc[0]
        rows = frame.index[(frame[["problem", "participant"]] == first[["problem", "participant"]]).all(axis=1)]
        raise DataError(
            f"file {str(path)!r}: {shown(first['participant'])} answered {shown(first['problem'])} more than once "
            f"({rows_named(rows)}); keep one answer each."
        )
    if shares:
        return frame.assign(response=frame["response"].map(str))
    numbers = pd.to_numeric(frame["response"], errors="coerce")
    if numbers.isna().any():
        raise DataError(
            f"file {str(path)!r}: response {shown(frame['response'][numbers.isna()].iloc[0])} "
            f"({row_of(frame.index[numbers.isna()])}) is not a number; give --shares for an interval of every option."
        )
    return frame.assign(response=numbers)


def _matrix(frame: pd.DataFrame, people: pd.Index, problems: pd.Index) -> Cells:
    """A row a person, a column a problem; NaN where there is no answer, and what is asked of nobody is left out."""
    numeric = pd.api.types.is_numeric_dtype(frame["response"])
    found: Cells = np.full((len(people), len(problems)), np.nan, dtype=float if numeric else object)
    person, problem = (
        people.get_indexer(pd.Index(frame["participant"])),
        problems.get_indexer(pd.Index(frame["problem"])),
    )
    known = (person >= 0) & (problem >= 0)
    found[person[known], problem[known]] = frame["response"].to_numpy()[known]
    return found
