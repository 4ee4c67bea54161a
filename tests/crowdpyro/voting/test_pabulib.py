"""Pabulib's files, there and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro import Ballot, DataError
from crowdpyro.voting import Election, election_of, read_papers, read_pb, simulate_city, write_pb
from crowdpyro.voting.pabulib import format_pb, parse_pb

TEXT = "\r\n".join(
    [
        "META",
        "key;value",
        "description;Two votes\r",
        "budget;100",
        "vote_type;ordinal",
        "max_length;2",
        "PROJECTS",
        "project_id;cost;name",
        'p1;60;"Trees; many"',
        "p2;50,5;A road",
        "p3;40;Swings\r",
        "VOTES",
        "voter_id;age;vote",
        "7;34;p2,p1",
        "9;;p1,p3",
        "",
    ]
)


def test_a_file_of_windows_is_read():
    found = parse_pb(TEXT)
    assert found.budget == 100
    assert found.costs.to_dict() == {"p1": 60.0, "p2": 50.5, "p3": 40.0}
    assert found.projects["name"].tolist() == ["Trees; many", "A road", "Swings"]
    assert found.meta["description"] == "Two votes"
    assert found.scale() == Ballot(("p1", "p2", "p3"), "rank", 2)
    assert read_papers(found.picks(), found.scale()).answers.to_dict() == {"7": "p2|p1", "9": "p1|p3"}


CELL = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=6).map(lambda text: text.strip())
ID = st.text("abcXYZ019-_", min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), ids=st.lists(ID, min_size=1, max_size=5, unique=True), n=st.integers(1, 4))
def test_writing_and_reading_gives_the_same(data, ids, n):
    costs = data.draw(st.lists(st.integers(0, 10**6), min_size=len(ids), max_size=len(ids)))
    names = data.draw(st.lists(CELL, min_size=len(ids), max_size=len(ids)))
    votes = [",".join(data.draw(st.permutations(ids))) for _ in range(n)]
    election = Election(
        {"budget": "10", "vote_type": "ordinal", "max_length": str(len(ids)), "description": data.draw(CELL)},
        pd.DataFrame({"cost": list(map(str, costs)), "name": names}, index=pd.Index(ids, name="project_id")),
        pd.DataFrame({"vote": votes, "note": data.draw(CELL)}, index=pd.Index(map(str, range(n)), name="voter_id")),
    )
    text = format_pb(election)
    for again in (parse_pb(text), parse_pb(text.replace("\n", "\r\n"))):
        assert again.meta == election.meta
        pd.testing.assert_frame_equal(
            again.projects, election.projects, check_dtype=False, check_index_type=False, check_column_type=False
        )
        pd.testing.assert_frame_equal(
            again.votes, election.votes, check_dtype=False, check_index_type=False, check_column_type=False
        )
    assert format_pb(parse_pb(text)) == text


@pytest.mark.parametrize("rule", ["choose", "rank", "points", "approval"])
def test_ballots_survive_a_file(tmp_path, rule):
    scale = Ballot(("a", "b", "c"), rule, None if rule == "approval" else 2)
    text = {"choose": ["a|b", "c|a"], "rank": ["c|a", "b|c"], "points": ["a=2", "b=1|c=1"], "approval": ["a", "a|b|c"]}
    ballots = pd.DataFrame(scale.encode(text[rule]), index=["v1", "v2"], columns=["a", "b", "c"])
    projects = pd.DataFrame({"cost": [5, 6.5, 7]}, index=["a", "b", "c"])
    voters = pd.DataFrame({"home": ["n", "s"]}, index=["v1", "v2"])
    path = write_pb(election_of(ballots, scale, projects, 10, voters, description="x"), tmp_path / "vote.pb")
    again = read_pb(path)
    assert again.scale() == scale
    assert again.costs.to_dict() == {"a": 5.0, "b": 6.5, "c": 7.0}
    assert again.votes["home"].tolist() == ["n", "s"]
    np.testing.assert_array_equal(read_papers(again.picks(), again.scale()).votes, ballots)


def test_pabutools_reads_what_we_write(tmp_path):
    from pabutools.election import parse_pabulib

    city = simulate_city(30)
    ballots = pd.DataFrame(city.data.response, index=city.data.participants.index, columns=city.projects.index)
    election = election_of(ballots, city.data.scale, city.projects, 60_000, city.data.participants)
    instance, profile = parse_pabulib(str(write_pb(election, tmp_path / "city.pb")))
    assert instance.budget_limit == 60_000
    assert {project.name: float(project.cost) for project in instance} == city.projects["cost"].to_dict()
    votes = pd.Series([project.name for ballot in profile for project in ballot]).value_counts()
    assert votes.to_dict() == {name: n for name, n in ballots.sum().items() if n}


def read_whole(text):
    election = parse_pb(text)
    return election.scale(), election.budget


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("META", "HEAD"), "line 1: 'HEAD' stands before any section; begin with META"),
        (("key;value", "name;value"), "line 2: META begins with 'name'; its header's first column is 'key'"),
        (("budget;100", "budget;a lot"), "budget is 'a lot'; give a number of at least 0"),
        (("budget;100", "money;100"), "META lacks 'budget'; add the line 'budget;...'"),
        (("p3;40;Swings", "p3;40;Swings;4"), "4 cells under 3 columns of PROJECTS; quote what holds a semicolon"),
        (("p3;40", "p2;40"), "project_id 'p2' stands there twice; keep one"),
        (("9;;", "7;;"), "voter_id '7' stands there twice; keep one"),
        (("vote_type;ordinal", "vote_type;scoring"), "vote_type 'scoring' is not one of approval"),
        (("max_length;2", "max_length;2.5"), "max_length is '2.5'; give a whole number"),
        (("voter_id;age;vote", "voter_id;age;votes"), "'vote'"),
    ],
)
def test_mistakes_are_named(change, words):
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        read_whole(TEXT.replace(*change))


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_pb(tmp_path / "no.pb")
    (tmp_path / "cut.pb").write_text(TEXT.partition("VOTES")[0], newline="")
    with pytest.raises(DataError, match="section VOTES is missing or empty"):
        read_pb(tmp_path / "cut.pb")
    (tmp_path / "latin.pb").write_bytes("META\nkey;value\nunit;Zürich\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_pb(tmp_path / "latin.pb")
    with pytest.raises(DataError, match=r"the suffix must be \.pb"):
        write_pb(parse_pb(TEXT), tmp_path / "vote.csv")
    commas = parse_pb(TEXT).projects.rename(index={"p1": "p,1"})
    with pytest.raises(DataError, match="'p,1' holds a comma"):
        Election({"budget": "1", "vote_type": "approval"}, commas, parse_pb(TEXT).votes)
    points = Election(
        {"budget": "1", "vote_type": "cumulative", "max_sum_points": "3"},
        pd.DataFrame({"cost": ["1", "2"]}, index=["a", "b"]),
        pd.DataFrame({"vote": ["a,b"], "points": ["3"]}, index=["v"]),
    )
    with pytest.raises(DataError, match="voter 'v' has 1 points for 2 projects"):
        points.picks()
