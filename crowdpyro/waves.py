"""Waves of people's answers, checked for a fitted model and joined."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from .data import CrowdData
from .errors import DataError
from .fitted import Fitted
from .models.ballot import Ballot
from .profiles import clean_profiles
from .tables import shown

logger = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]


def people_of_wave(
    fitted: Fitted, answers: pd.DataFrame | CrowdData | None, participants: pd.DataFrame | None
) -> pd.DataFrame:
    """Profiles as a fitted model reads them, indexed by participant.

    Parameters
    ----------
    fitted
        Whose training says which traits are numbers, and what fills a gap.
    answers
        Whose people they are where `participants` is None: those of a `CrowdData`, or the ids of a long frame, which
        will do for a model that reads no profile.
    participants
        A frame of profiles, its index the ids, or a column `participant`.
    """
    if participants is None and isinstance(answers, CrowdData):
        participants = answers.participants
    if participants is None:
        reads = [*fitted.profile_encoder.numeric, *fitted.profile_encoder.nominal]
        if reads:
            raise DataError(
                f"participants=None: the model reads profiles ({', '.join(reads)}); give a frame of them, one row a "
                "person."
            )
        if isinstance(answers, pd.DataFrame):
            for column in ("participant", "worker"):
                if column in answers.columns:
                    return pd.DataFrame(index=pd.Index(answers[column].dropna().unique(), name="participant"))
        raise DataError("participants=None and no answers: say who these people are.")
    frame = participants.set_index("participant") if "participant" in participants.columns else participants
    if frame.empty and not len(frame.index):
        raise DataError("table 'participants' has no rows; give at least one.")
    repeated = frame.index[frame.index.duplicated()]
    if len(repeated):
        raise DataError(f"participants: {shown(repeated[0])} stands there twice or more; keep one row.")
    cleaned, notes = clean_profiles(frame.rename_axis("participant"), fitted.profiles)
    for note in notes:
        logger.warning("participants: %s", note)
    return cleaned


def wave_of(
    fitted: Fitted, answers: pd.DataFrame | CrowdData | None, problems: pd.DataFrame, people: pd.DataFrame
) -> CrowdData:
    """Their answers, on these problems; None, or a frame without rows, for people who gave none.

    Raises
    ------
    DataError
        For an answer outside the scale, two answers of one person to one problem, a problem or a person that is not
        listed, or another scale.
    """
    if isinstance(answers, CrowdData):
        if answers.scale != fitted.scale:
            raise DataError(f"answers are on {answers.scale}, the model on {fitted.scale}; put them on one scale.")
        answers = answers.answers
    nobody = np.zeros(0, dtype=np.int64)
    if answers is None or answers.empty:
        shape = (0, fitted.scale.n_levels) if isinstance(fitted.scale, Ballot) else (0,)
        return CrowdData(fitted.scale, problems, people, nobody, nobody, np.zeros(shape))
    # The traits stand aside while the answers are joined: what is no trait among few people was one in training.
    ids = people.index.to_frame(index=False)
    data = CrowdData.from_frames(answers, problems.reset_index(names="problem"), ids, scale=fitted.scale)
    vast = data.response[np.abs(data.response) > np.sqrt(np.finfo(np.float32).max)]
    if len(vast):
        raise DataError(
            f"column 'response': answer {vast.flat[0]:g} ({len(vast)} such) has a square beyond single precision; "
            "correct it, or leave it out."
        )
    return replace(data, participants=people)


def with_a_chance(data: CrowdData, log_evidence: npt.NDArray[np.float64]) -> None:
    """Raise `DataError` where somebody's answers have none under the model, their log evidence being -inf."""
    never = np.flatnonzero(np.isneginf(log_evidence))
    if len(never):
        raise DataError(
            f"column 'response': the answers of participant {shown(data.participants.index[never[0]])} are too far "
            f"from all that the model has seen to have any chance ({len(never)} such people); correct them, or leave "
            "them out."
        )


def joined(before: CrowdData, wave: CrowdData) -> CrowdData:
    """Two waves of the same people as one; an answer that stands in both counts once.

    Raises
    ------
    DataError
        When somebody's answer contradicts the earlier one, or a problem has another text.
    """
    both = before.problems.index.intersection(wave.problems.index)
    reworded = both[(before.problems.loc[both, "text"] != wave.problems.loc[both, "text"]).to_numpy()]
    if len(reworded):
        raise DataError(
            f"problem {shown(reworded[0])} has another text in an earlier wave ({len(reworded)} such); give it another "
            "id."
        )
    fresh = ~wave.problems.index.isin(before.problems.index)
    problems = pd.concat([before.problems, wave.problems[fresh]])
    place = problems.index.get_indexer(wave.problems.index)
    old = before.participant_code * len(problems) + before.problem_code
    new = wave.participant_code * len(problems) + place[wave.problem_code]
    same = pd.Index(old).get_indexer(pd.Index(new))
    again = np.flatnonzero(same >= 0)
    differs = before.response[same[again]] != wave.response[again]
    differs = differs.any(axis=1) if differs.ndim > 1 else differs
    if differs.any():
        late = again[differs][0]
        person, problem = divmod(int(new[late]), len(problems))
        said = [scale_text(each, row) for each, row in ((wave, late), (before, same[late]))]
        raise DataError(
            f"column 'response': participant {shown(before.participants.index[person])} answered {said[0]} to problem "
            f"{shown(problems.index[problem])}, and {said[1]} in an earlier wave ({int(differs.sum())} such); keep "
            "one, or give a second asking a problem of its own."
        )
    kept = same < 0
    cell = np.concatenate([old, new[kept]])
    order = np.argsort(cell, kind="stable")
    return replace(
        before,
        problems=problems,
        participant_code=(cell // len(problems))[order],
        problem_code=(cell % len(problems))[order],
        response=np.concatenate([before.response, wave.response[kept]])[order],
    )


def scale_text(data: CrowdData, row: int) -> str:
    """An answer as a message shows it."""
    answer = data.scale.decode(data.response[[row]])[0]
    return f"{answer:g}" if isinstance(answer, float | np.floating) else repr(answer)
