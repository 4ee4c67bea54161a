"""Voting rules against examples worked by hand."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.voting import RULES, funded, outcome_overlap


def votes(*ballots, names="abc"):
    return pd.DataFrame([[float(name in ballot) for name in names] for ballot in ballots], columns=list(names))


def costs(*given, names="abc"):
    return pd.DataFrame({"cost": given}, index=list(names[: len(given)]))


def test_counts_go_by_votes_and_greedy_by_votes_per_franc():
    # a has 3 votes and costs 6, b 2 and 3, c 1 and 1; the budget is 6.
    ballots, projects = votes("a", "ab", "abc"), costs(6, 3, 1)
    assert funded(ballots, projects, 6, "counts") == ("a",)
    # Per franc: a 1/2, b 2/3, c 1: c, then b, then a cannot be paid for.
    assert funded(ballots, projects, 6, "greedy") == ("b", "c")


def test_what_cannot_be_paid_for_is_passed_over():
    ballots, projects = votes("ab", "ab", "ab", "bc"), costs(5, 8, 2)
    # b has most votes and costs too much; a, then c with what is left.
    assert funded(ballots, projects, 7, "counts") == ("a", "c")


def test_equal_shares_give_a_minority_its_part():
    # Six voters for a and b, three for c alone; 9 francs, one each, every project costs 3.
    ballots = votes(*["ab"] * 6, *["c"] * 3)
    assert funded(ballots, costs(5, 4, 3), 9, "counts") == ("a", "b")
    # Each voter has 1: a costs its six 5/6 each, b would need 4 of the 1 that they have left; c's three pay 1 each.
    # What is left, 1, buys nothing.
    assert funded(ballots, costs(5, 4, 3), 9, "equal_shares") == ("a", "c")


def test_what_equal_shares_leave_goes_by_votes():
    # Nobody's supporters can pay for anything: the rest of the rule is `counts`.
    ballots = votes("a", "b", "b", "c")
    assert funded(ballots, costs(3, 3, 3), 4, "equal_shares") == ("b",)


def test_ties_go_to_the_first_in_the_table():
    for rule in RULES:
        assert funded(votes("a", "b", "c"), costs(2, 2, 2), 2, rule) == ("a",)
        turned = costs(2, 2, 2).loc[["c", "a", "b"]]
        assert funded(votes("a", "b", "c"), turned, 2, rule) == ("c",)


def test_points_count_as_often_as_they_are():
    ballots = pd.DataFrame({"a": [5, 0, 0], "b": [0, 2, 2]})
    assert funded(ballots, costs(1, 1, names="ab"), 1, "counts") == ("a",)
    assert funded((ballots > 0).astype(int), costs(1, 1, names="ab"), 1, "counts") == ("b",)


def test_overlap():
    assert outcome_overlap("ab", "bc") == pytest.approx(1 / 3)
    assert outcome_overlap("ab", "ba") == 1
    assert outcome_overlap("a", "b") == 0
    assert outcome_overlap((), ()) == 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"rule": "borda"}, "rule='borda': give one of 'counts', 'greedy', 'equal_shares'"),
        ({"budget": 0}, "budget=0: give a positive number"),
        ({"projects": costs(1, 0, 1)}, "column 'cost' of projects holds 0; give positive numbers"),
        ({"projects": costs(1, "dear", 1)}, "column 'cost' of projects holds 'dear'"),
        ({"projects": costs(1, 1)}, "3 columns, 2 projects; give one column for each project"),
        ({"ballots": votes("ab", names="ab")}, "project 'c' has no column"),
        ({"ballots": votes("ab")[:0]}, "ballots hold no voter"),
        ({"ballots": -votes("ab")}, "ballots hold a number below 0"),
    ],
)
def test_mistakes_are_named(how, words):
    given = {"ballots": votes("ab", "c"), "projects": costs(1, 1, 1), "budget": 2.0, "rule": "counts"} | how
    with pytest.raises(DataError, match=words):
        funded(**given)


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pabutools", None)
    with pytest.raises(DataError, match=r"pip install 'crowdpyro\[voting\]'"):
        funded(votes("a"), costs(1, 1, 1), 1)
