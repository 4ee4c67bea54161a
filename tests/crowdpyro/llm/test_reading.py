from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import Ballot, Categorical, Continuous, Ordinal
from crowdpyro.llm.reading import read_answer
from crowdpyro.models.scales import Scale

RATING = Ordinal.range(1, 5)
LABELS = Categorical(("agree", "strongly agree", "disagree"))
PAIR = Ballot(("Park", "Pool", "Bus"), "choose", 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", 4),
        (" 4.\n", 4),
        ("**4**", 4),
        ("4/5", 4),
        ("4 out of 5, because 3 would be too low", 4),
        ("I'd say 4 out of 5.", 4),
        ("Rating: 2", 2),
        ("Four. It is rude.", 4),
        ("<think>Is it 1 or 2?</think>\n\n3", 3),
        ("4\nChoose one number: 1, 2", 4),
        ("", None),
        ("I cannot rate this.", None),
        ("between 2 and 4", None),
        ("2 or 3", None),
        ("1-3", None),
        ("1 to 5", None),
        ("On a scale of 1 to 5, I would give 4", None),
        ("This is not a 3.", None),
        ("3.5", None),
        ("4,5", None),
        ("-3", None),
        ("7", None),
        ("44", None),
        ("<think>It must be 3", None),
        ("B4", None),
    ],
)
def test_ratings(text: str, expected: float | None) -> None:
    assert read_answer(text, RATING) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Agree", "agree"),
        ("strongly agree!", "strongly agree"),
        ("I strongly agree with it", "strongly agree"),
        ("disagree. I agree with nothing in it", "disagree"),
        ("I agree and disagree", None),
        ("agree or disagree", None),
        ("I do not agree", None),
        ("I don't really agree", None),
        ("AGREEMENT", None),
    ],
)
def test_labels(text: str, expected: str | None) -> None:
    assert read_answer(text, LABELS) == expected


def test_labels_that_are_patterns_and_other_letters() -> None:
    scale = Categorical(("C++ (new)", "Straße", "İ"))
    assert read_answer("c++ (NEW)", scale) == "C++ (new)"
    assert read_answer("die straße", scale) == "Straße"
    assert read_answer("i", scale) in (None, "İ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1,234.5", 1234.5), ("about 40%", 40.0), ("\u22122.5 degrees", -2.5), ("12 or 13", None), ("many", None)],
)
def test_numbers(text: str, expected: float | None) -> None:
    assert read_answer(text, Continuous()) == expected


def test_numbers_outside_the_bounds_are_no_answer() -> None:
    assert read_answer("101", Continuous(0, 100)) is None
    assert read_answer("100", Continuous(0, 100)) == 100


@pytest.mark.parametrize(
    ("scale", "text", "expected"),
    [
        (PAIR, "Bus|Park", "Bus|Park"),
        (PAIR, "1. bus\n2. park\nI like the bus.", "Bus|Park"),
        (PAIR, "Park", None),
        (PAIR, "Park, Pool and Bus", None),
        (Ballot(("Park", "Pool", "Bus"), "rank", 2), "First the Pool, then the Bus", "Pool|Bus"),
        (Ballot(("Park", "Pool"), "approval"), "Pool", "Pool"),
        (Ballot(("Park", "Pool"), "approval"), "None of them", "none"),
        (Ballot(("Park", "Pool"), "approval"), "I do not know", None),
        (Ballot(("Park", "Pool"), "points", 10), "Park: 4, Pool = 6", "Park=4|Pool=6"),
        (Ballot(("Park", "Pool"), "points", 10), "Park: 4", None),
        (Ballot(("Park", "Pool"), "points", 10), "Park: 10, Park: 10", None),
    ],
)
def test_ballots(scale: Ballot, text: str, expected: str | None) -> None:
    assert read_answer(text, scale) == expected


@given(text=st.text(), scale=st.sampled_from([RATING, LABELS, PAIR, Continuous(0, 10)]))
def test_what_is_read_is_on_the_scale_or_nothing(text: str, scale: Scale) -> None:
    answer = read_answer(text, scale)
    if answer is not None:
        scale.encode([answer])
