"""Persons on one's own files: known from a few answers, replayed in another world, compared with a crowd."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .. import individuation, replay
from ..conditioning import ConditionedPeople
from ..crowd import Crowd
from ..data import CrowdData, answer_words, read_participants, read_problems
from ..errors import DataError
from ..estimator import CrowdLLM
from ..references import References
from ..tables import counted, read_table, require_columns, shown
from .folder import Say, load_run, new_references


def condition_run(
    run: Path,
    waves: Sequence[Path],
    say: Say,
    *,
    participants: Path | None = None,
    problems: Path | None = None,
    references: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[ConditionedPeople, pd.DataFrame | None, References | None]:
    """Condition a run's model on people's answers, wave by wave.

    Parameters
    ----------
    run
        Its folder.
    waves
        Files of `problem, participant, response`.
    say
        Told what was read.
    participants
        File of their profiles; without it they must be people of the run, or the run have no profiles.
    problems, references
        Files of further problems, answered or to be predicted, and of the LLM's answers to them.
    seed, device
        As in `CrowdLLM.condition`.

    Returns
    -------
    people, problems, references
        What is known of the people, and what they may be asked: the run's problems and the further ones.
    """
    model = load_run(run, device)
    further = None if problems is None else read_problems(problems)
    asked = None if further is None else _union(model.problems, further)
    told = new_references(model, run, further, references, say)
    frames = [read_table(path, answer_words(model.scale)) for path in waves]
    for path, frame in zip(waves, frames, strict=True):
        require_columns(frame, ("problem", "participant", "response"), str(path))
    who = _people(model, frames, participants, say)
    found = model.condition(frames[0], who, asked, told, seed=seed)
    for frame in frames[1:]:
        found = found.update(frame, asked, told)
    data = found.data
    say(
        f"read {counted(data.n_answers, 'answer')} of {counted(data.n_participants, 'person', 'people')} in "
        f"{counted(len(waves), 'wave')}"
    )
    for note in found.report:
        say(f"  {note}")
    return found, asked, told


def replay_run(
    run: Path,
    participants: int,
    say: Say,
    *,
    references: Path | None = None,
    persona: str | None = None,
    margins: replay.Shares | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> replay.Replay:
    """Let a run's crowd answer its problems twice: as it is, and under other references or other margins.

    Parameters
    ----------
    run
        Its folder.
    participants
        How many.
    say
        Told what was read.
    references, persona
        File of other answers to the run's problems, and whose role of them.
    margins
        As in `replay.under_margins`, instead.
    seed, device
        As in `CrowdLLM.generate`.
    """
    if (references is None) == (margins is None):
        raise DataError("give --references with another LLM's answers, or --margin with a trait's shares, not both.")
    if persona is not None and references is None:
        raise DataError(f"persona={persona!r}: name the file of its answers by --references.")
    model = load_run(run, device)
    if margins is not None:
        return replay.under_margins(model, margins, participants, seed=seed)
    other = References.read(str(references), scale=model.scale)
    for note in other.report:
        say(f"  {note}")
    return replay.under_references(model, other, participants, persona=persona, seed=seed)


def margins_of(words: Sequence[str]) -> replay.Shares:
    """Margins from the command line: `gender=man:0.5,woman:0.5` each."""
    found: dict[str | tuple[str, ...], dict[Any, float]] = {}
    for word in words:
        trait, _, rest = word.partition("=")
        shares: dict[Any, float] = {}
        for part in rest.split(","):
            level, _, share = part.rpartition(":")
            try:
                shares[level.strip()] = float(share)
            except ValueError:
                level = ""
            if not level.strip():
                raise DataError(f"margin={word!r}: write a trait's shares as gender=man:0.5,woman:0.5.")
        found[trait.strip()] = shares
    return found


def compare_files(
    crowd: Path, humans: Path, say: Say, *, participants: Path | None = None, scales: Path | None = None, seed: int = 0
) -> individuation.Individuation:
    """The individuation report of files.

    Parameters
    ----------
    crowd
        A crowd's `.nc`.
    humans
        Another one, or answers: `problem, participant, response`.
    say
        Told what was read.
    participants
        Profiles of the humans.
    scales
        Table `problem, scale`: which items make up a scale.
    seed
        Of the report.
    """
    ours = Crowd.open(crowd)
    if humans.suffix == ".nc":
        theirs = Crowd.open(humans)
    else:
        problems = pd.DataFrame({"problem": ours.problems, "text": [str(each) for each in ours.problems]})
        people = None if participants is None else read_participants(participants).reset_index()
        frame = read_table(humans, answer_words(ours.scale))
        theirs = Crowd.from_data(CrowdData.from_frames(frame, problems, people, scale=ours.scale))
    say(f"{ours.n_participants:,} members of a crowd, {theirs.n_participants:,} humans")
    items = None
    if scales is not None:
        table = read_table(scales)
        require_columns(table, ("problem", "scale"), str(scales))
        items = table.set_index("problem")["scale"]
    return individuation.report(ours, theirs, items, seed=seed)


def _union(own: pd.DataFrame, further: pd.DataFrame) -> pd.DataFrame:
    """The run's problems and the further ones; the same id is to be the same text."""
    both = own.index.intersection(further.index)
    differ = both[(own.loc[both, "text"] != further.loc[both, "text"]).to_numpy()]
    if len(differ):
        raise DataError(f"problem {shown(differ[0])} has another text in the run; give it another id.")
    return pd.concat([own[["text"]], further.loc[further.index.difference(own.index, sort=False), ["text"]]])


def _people(model: CrowdLLM, frames: Sequence[pd.DataFrame], path: Path | None, say: Say) -> pd.DataFrame:
    """Profiles of all waves' people."""
    if path is not None:
        return read_participants(path)
    ids = pd.Index(pd.concat([frame["participant"] for frame in frames]).dropna().unique(), name="participant")
    if not model.profiles.shape[1]:
        return pd.DataFrame(index=ids)
    strangers = ids.difference(model.profiles.index)
    if len(strangers):
        raise DataError(
            f"participant {shown(strangers[0])} ({len(strangers)} such) is none of the run's people, and its model "
            f"reads profiles ({', '.join(map(str, model.profiles.columns))}); give --participants with theirs."
        )
    say("these are people that the run was fitted to: it knows their profiles")
    return model.profiles.reindex(ids)
