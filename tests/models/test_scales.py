"""Scales: every answer is one of theirs or refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import Categorical, Continuous, DataError, Ordinal, parse_scale
from crowdpyro.models.scales import scale_from_dict, scale_to_dict

SCALES = [
    Ordinal.range(1, 7),
    Ordinal((0.5, 1.0, 4.0)),
    Categorical(("yes", "no", "1")),
    Continuous(0, 10),
    Continuous(),
]


@pytest.mark.parametrize("scale", SCALES[:3])
@given(data=st.data())
def test_discrete_answers_round_trip(scale, data):
    codes = data.draw(st.lists(st.integers(0, scale.n_levels - 1), min_size=1, max_size=20))
    np.testing.assert_array_equal(scale.encode(scale.decode(codes)), codes)


@pytest.mark.parametrize("scale", SCALES)
def test_scales_survive_json(scale):
    import json

    assert scale_from_dict(json.loads(json.dumps(scale_to_dict(scale)))) == scale


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Ordinal((1.0,)), "at least two"),
        (lambda: Ordinal((2.0, 1.0)), "strictly increasing"),
        (lambda: Ordinal((1.0, np.inf)), "finite"),
        (lambda: Categorical(("a", "a")), "repeat"),
        (lambda: Categorical(("a",)), "at least two"),
        (lambda: Continuous(3, 3), "low must be below high"),
        (lambda: parse_scale("one to five"), "LOW:HIGH"),
        (lambda: scale_from_dict({"kind": "star"}), "'star' is unknown"),
    ],
)
def test_impossible_scales_are_refused(build, words):
    with pytest.raises(DataError, match=words):
        build()


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("1:5", Ordinal.range(1, 5)),
        ("-2:2", Ordinal.range(-2, 2)),
        ("yes, no", Categorical(("yes", "no"))),
        ("continuous", Continuous()),
        ("continuous:0:1.5", Continuous(0, 1.5)),
        (" Continuous: -1e3 : 2", Continuous(-1000, 2)),
    ],
)
def test_scales_are_read_from_text(text, scale):
    assert parse_scale(text) == scale


@pytest.mark.parametrize("bad", [np.nan, np.inf, "a", 11.0, -0.1])
def test_numbers_outside_the_bounds_are_refused(bad):
    with pytest.raises(DataError, match="'age'.*row 1"):
        Continuous(0, 10).encode([1.0, bad], name="age")


def test_labels_match_whole_numbers_read_as_floats():
    assert Categorical(("1", "2")).encode([2.0, 1]).tolist() == [1, 0]
    with pytest.raises(DataError, match="'3'.*one of 1, 2"):
        Categorical(("1", "2")).encode([3])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_round_trip(numbers):
    scale = Continuous()
    np.testing.assert_array_equal(scale.decode(scale.encode(numbers)), numbers)


@pytest.mark.parametrize("bad", [0, 6, 2.5, np.nan, np.inf, -np.inf, "often", None])
def test_what_is_no_level_is_refused_with_column_value_and_remedy(bad):
    shown = repr(bad) if bad is None or isinstance(bad, str) else f"{bad:g}"
    with pytest.raises(DataError, match=f"'mood': answer {shown} .row 1, 1 such rows. is not.*declare another scale"):
        Ordinal.range(1, 5).encode([1, bad, 5], name="mood")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5:1", "write LOW:HIGH, the lower first, such as 1:5"),
        ("1:1", "write LOW:HIGH, the lower first, such as 1:5"),
        ("1-5", "write LOW:HIGH, the lower first, such as 1:5"),
        ("1\u20135", "write LOW:HIGH, the lower first, such as 1:5"),
        ("1..5", "write LOW:HIGH, the lower first, such as 1:5"),
        ("1 to 5", "write LOW:HIGH, the lower first, such as 1:5"),
        ("", "write LOW:HIGH, such as 1:5, .*LABEL,LABEL"),
        ("a", "write LOW:HIGH, such as 1:5, .*LABEL,LABEL"),
        ("1:", "write LOW:HIGH, such as 1:5"),
        ("1:1000000", "that is 1000000 levels; write continuous:1:1000000"),
        ("yes,no,", "a label is empty; write LABEL,LABEL,... without a comma too many"),
        ("continuous:0:x", "write continuous:LOW:HIGH, two numbers, the lower first"),
        ("continuous:5:1", "write continuous:LOW:HIGH, two numbers, the lower first"),
    ],
)
def test_a_scale_written_otherwise_shows_how(text, words):
    with pytest.raises(DataError, match=f"scale='{text}': {words}"):
        parse_scale(text)


RATING, SHARE, VOTE = Ordinal.range(1, 5), Continuous(0, 1), Categorical(("agree", "disagree"))


@pytest.mark.parametrize(
    ("scale", "answers", "words"),
    [
        (RATING, [7, 1, 6], "answer 7 .line 9, 2 such rows; also 6. is not one of 1, 2, 3, 4, 5.*such as 1:7[.]"),
        (RATING, [0, 1], "answer 0 .*such as 0:5[.]"),
        (RATING, [99, 1], "answer 99 .*no answer, such as 99, is to be left empty"),
        (RATING, [2.5, 1], "answer 2.5 .*another scale, such as continuous[.]"),
        (RATING, range(9, 20), "answer 9 .line 9, 11 such rows; also 10, 11, 12, 13, .... is not one of"),
        (
            RATING,
            ["agree", "not", "agree"],
            "'agree' .line 9, 3 such rows; also 'not'.*such as agree,not; or write the",
        ),
        (RATING, ["agree", 3], "'agree' .line 9, 1 such rows. .*LABEL,LABEL,...; or write the numbers 1, 2, 3, 4, 5"),
        (RATING, ["3,5", 3], "'3,5' .line 9.*Decimals have a point: write 3.5[.]"),
        (SHARE, ["0,5"], "'0,5' .line 9.*Decimals have a point: write 0.5[.]"),
        (SHARE, [0.5, 2], "answer 2 .line 10, 1 such rows. is not in .0, 1.. Correct or drop"),
        (SHARE, ["much"], "'much' .line 9, 1 such rows. is not a finite number.*such as the labels themselves"),
        (VOTE, ["agree", " Agree"], "' Agree' .line 10, 1 such rows. is not one of agree, disagree.*mean 'agree'[?]"),
    ],
)
def test_an_answer_off_the_scale_leads_to_the_next_step(scale, answers, words):
    lines = pd.RangeIndex(9, 9 + len(answers), name="line")
    with pytest.raises(DataError, match=f"column 'mood': answer {words.removeprefix('answer ')}"):
        scale.encode(answers, "mood", lines)
