"""Zurich's experiment: its layout on made-up files, its numbers on the real ones."""

from __future__ import annotations

import numpy as np
import pytest

from crowdpyro import Ballot, DataError
from crowdpyro.studies.zurich_voting import SOURCES
from crowdpyro.voting import load_zurich_voting


def test_the_layout(zurich_folder):
    found = load_zurich_voting("top5", zurich_folder)
    assert found.data.scale == Ballot(tuple(map(str, range(1, 25))), "choose", 5)
    assert found.data.n_answers == 60
    assert set(found.data.participants.columns) >= {"district", "pref_nature", "importance_district"}
    assert found.data.participants["importance_topic"].eq(2).all()
    assert set(found.projects.columns) == {"name", "district", "category", "cost"}
    assert set(found.sources) == set(SOURCES.values())
    assert len(found.told()) == 4
    spoiled = found.llm["gpt4, zero_shot, t=2"]
    assert spoiled.spoiled["fault"].value_counts().to_dict() == {"unknown option": 2, "too few": 2, "option twice": 1}
    assert found.report[0] == "voters: 60 ballots, none spoiled"


def test_recorded_votes_are_references(zurich_folder):
    found = load_zurich_voting("top5", zurich_folder)
    references = found.references()
    assert references.names == found.sources
    for source in references:
        told = source.name in found.told()
        assert source.kind == ("participant" if told else "persona")
        assert len(source.personas) == (60 if told else 1)
        np.testing.assert_allclose(source.base()[0] * 5, found.llm[source.name].votes.mean(), atol=1e-12)
        np.testing.assert_allclose(source.base().sum(), 1)
        assert source.temperature == float(source.name.split(", ")[2][2:])
    # GPT-4's persona votes were made to be each voter's own ballot.
    twins = found.references(["gpt4, persona, t=1"]).source()
    own = found.data.response[found.data.participant_code == 7][0]
    place = twins.personas.index(str(found.data.participants.index[7]))
    np.testing.assert_allclose(twins.values[0, place] * 5, own)
    with pytest.raises(DataError, match="source 'gpt5' is none of them; recorded are"):
        found.references(["gpt5"])
    with pytest.raises(DataError, match="sources is empty"):
        found.references([])


def test_spoiled_ballots_can_be_counted_by_what_can_be_read(zurich_folder):
    out, share = (load_zurich_voting("top5", zurich_folder, policy) for policy in ("out", "share"))
    name = "gpt4, zero_shot, t=2"
    assert len(out.llm[name].votes) == 55
    assert len(share.llm[name].votes) == 60
    assert "5 of them counted by what can be read" in share.llm[name].report(name)


@pytest.mark.parametrize("name", ["approval", "points5", "points10", "rank5", "top5_points10"])
def test_other_formats(zurich_folder, name):
    found = load_zurich_voting(name, zurich_folder)
    assert found.data.n_answers == 60
    assert len(found.llm) == (name == "approval")


def test_mistakes_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CROWDPYRO_DATA", raising=False)
    with pytest.raises(DataError, match="format='top3': give one of 'approval', 'top5'"):
        load_zurich_voting("top3", tmp_path)
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match="zurich_pb' does not exist; name the folder that holds 'zurich_pb'"):
            load_zurich_voting("top5", folder)


def test_the_real_files(data_dir):
    """Every spoiled ballot of the recorded votes, by hand from the files, and GPT-4's figures of the literature."""
    if not (data_dir / "zurich_pb").is_dir():
        pytest.skip("CROWDPYRO_DATA holds no zurich_pb folder")
    found = load_zurich_voting("top5", data_dir)
    assert found.data.n_answers == 180
    spoiled = {name: papers.summary() for name, papers in found.llm.items()}
    assert len(spoiled) == 20
    worst = spoiled["llama2_70b, zero_shot, t=2"]
    assert (worst["papers"], worst["valid"], worst["unknown option"]) == (178, 74, 9)
    assert (worst["too few"], worst["too many"]) == (75, 20)
    assert spoiled["gpt4, cot, t=1"] == {
        **dict.fromkeys(worst, 0),
        "papers": 180,
        "valid": 175,
        "too few": 4,
        "too many": 1,
    }
    assert sum(each["papers"] - each["valid"] for each in spoiled.values()) == 139
    counts = found.data.counts()[0]
    assert counts.sum() == 900
    assert dict(zip(found.projects.index, counts, strict=True))["14"] == 82
    rank = load_zurich_voting("rank5", data_dir)
    assert rank.data.n_answers == 179
    assert rank.papers.spoiled["fault"].tolist() == ["too few"]
    points = load_zurich_voting("points10", data_dir)
    assert points.llm["llama2_70b, zero_shot, t=1"].summary()["wrong total"] == 157
