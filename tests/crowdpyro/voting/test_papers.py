"""Which ballots are spoiled, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro import Ballot, DataError
from crowdpyro.voting.papers import FAULTS, read_papers

OPTIONS = ("a", "b", "c", "d")
CHOOSE = Ballot(OPTIONS, "choose", 2)


def papers_of(picks, scale=CHOOSE, policy="out"):
    rows = [
        (voter, *(pick if isinstance(pick, tuple) else (pick, 1))) for voter, each in picks.items() for pick in each
    ]
    return read_papers(pd.DataFrame(rows, columns=["voter", "option", "value"]), scale, policy)


def test_every_fault_is_named_and_nothing_spoiled_is_counted():
    found = papers_of({1: "ab", 2: "a", 3: "abc", 4: "ax", 5: "aa", 6: "dc"})
    assert found.answers.to_dict() == {1: "a|b", 6: "d|c"}
    assert found.spoiled["fault"].to_dict() == {2: "too few", 3: "too many", 4: "unknown option", 5: "option twice"}
    assert found.spoiled["picks"].tolist() == [1, 3, 2, 2]
    assert not found.spoiled["counted"].any()
    np.testing.assert_array_equal(found.votes, [[1, 1, 0, 0], [0, 0, 1, 1]])
    assert found.summary() == {"papers": 6, "valid": 2, **dict.fromkeys(FAULTS[:4], 1), "wrong total": 0}
    assert found.report("llm") == (
        "llm: 4 of 6 ballots spoiled (1 unknown option, 1 option twice, 1 too few, 1 too many), not counted"
    )


def test_a_spoiled_ballot_can_be_one_vote_on_what_can_be_read():
    found = papers_of({1: "ab", 2: "a", 3: "abc", 4: "ax", 5: "aa", 6: "xy"}, policy="share")
    assert found.spoiled["counted"].to_dict() == {2: True, 3: True, 4: True, 5: True, 6: False}
    np.testing.assert_allclose(found.votes.loc[2], [2, 0, 0, 0])
    np.testing.assert_allclose(found.votes.loc[3], [2 / 3, 2 / 3, 2 / 3, 0])
    np.testing.assert_allclose(found.votes.loc[4], [2, 0, 0, 0])
    np.testing.assert_allclose(found.votes.loc[5], [2, 0, 0, 0])
    assert list(found.answers.index) == [1]
    assert "4 of them counted by what can be read" in found.report("llm")


def test_where_all_are_spoiled_there_are_no_votes():
    found = papers_of({1: "a", 2: "abc"})
    assert found.votes.shape == (0, 4)
    assert found.votes.sum(axis=1).tolist() == []
    assert len(found.answers) == 0


def test_ranks_points_and_approvals():
    rank = papers_of({1: [("a", 2), ("b", 1)], 2: [("a", 1), ("b", 3)]}, Ballot(OPTIONS, "rank", 2))
    assert rank.answers.to_dict() == {1: "b|a"}
    np.testing.assert_array_equal(rank.votes.loc[1], [1, 2, 0, 0])
    assert rank.spoiled["fault"].tolist() == ["wrong total"]
    picks = {1: [("a", 3), ("c", 2)], 2: [("a", 3), ("c", 7)], 3: [("a", 2.5), ("c", 2.5)]}
    points = papers_of(picks, Ballot(OPTIONS, "points", 5), "share")
    assert points.answers.to_dict() == {1: "a=3|c=2"}
    assert points.spoiled["fault"].tolist() == ["wrong total", "wrong total"]
    np.testing.assert_allclose(points.votes.loc[2], [1.5, 0, 3.5, 0])
    approval = papers_of({1: "abcd", 2: "c", 3: "cx"}, Ballot(OPTIONS, "approval"), "share")
    assert approval.answers.to_dict() == {1: "a|b|c|d", 2: "c"}
    np.testing.assert_array_equal(approval.votes.loc[3], [0, 0, 1, 0])


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.integers(0, 20), st.lists(st.sampled_from("abcdxy"), min_size=1, max_size=5), min_size=1))
def test_every_paper_is_a_ballot_or_spoiled(picks):
    out, share = papers_of(picks), papers_of(picks, policy="share")
    assert out.n == share.n == len(picks)
    assert set(out.answers.index).isdisjoint(out.spoiled.index)
    assert CHOOSE.valid(out.answers.to_numpy()).all()
    assert (out.votes.sum(axis=1) == 2).all()
    np.testing.assert_allclose(share.votes.sum(axis=1), 2)
    assert len(share.votes) == len(out.votes) + share.spoiled["counted"].sum()


def test_bad_arguments_are_named():
    with pytest.raises(DataError, match="policy='count': give one of 'out', 'share'"):
        papers_of({1: "ab"}, policy="count")
    with pytest.raises(DataError, match="'value'"):
        read_papers(pd.DataFrame({"voter": [1], "option": ["a"]}), Ballot(OPTIONS, "rank", 1))
