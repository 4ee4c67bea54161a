"""Who qualifies: every comparison against pandas' own answer, and nothing but comparisons."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro.errors import DataError
from crowdpyro.recruitment import Filter

PEOPLE = pd.DataFrame(
    {
        "age": [19.0, 34, 60, 71, np.nan],
        "gender": ["woman", "man", None, "woman", "woman"],
        "years here": [1, 5, 2, 30, 7],
        "member": [True, False, True, True, False],
        "class": pd.Categorical(["low", "mid", "high", "low", "mid"], ["low", "mid", "high"], ordered=True),
    }
)


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("age >= 60", [0, 0, 1, 1, 0]),
        ("age >= 60 and gender == 'woman'", [0, 0, 0, 1, 0]),
        ("age < 20 or gender == 'man'", [1, 1, 0, 0, 0]),
        ("not age >= 60", [1, 1, 0, 0, 1]),
        ("18 <= age < 35", [1, 1, 0, 0, 0]),
        ("`years here` in [1, 30]", [1, 0, 0, 1, 0]),
        ("gender not in ['man', 'x']", [1, 0, 0, 1, 1]),
        ("gender != 'man'", [1, 0, 0, 1, 1]),
        ("member and `years here` > 1", [0, 0, 1, 1, 0]),
        ("`class` >= 'mid'", [0, 1, 1, 0, 1]),
        ("age > `years here`", [1, 1, 1, 1, 0]),
        ("-1 < age and 60 == age", [0, 0, 1, 0, 0]),
    ],
)
def test_comparisons(expression, met):
    assert Filter(expression).mask(PEOPLE).tolist() == [bool(each) for each in met]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("__import__('os').system('true')", "is no comparison"),
        ("age.real > 3", "is no comparison"),
        ("(lambda: 1)() == age", "is no comparison"),
        ("gender[0] == 'w'", "is no comparison"),
        ("[x for x in age] == 1", "is no comparison"),
        ("age + 1 > 3", "is no comparison"),
        ("age > 60 & gender == 'woman'", "is no comparison"),
        ("age is 3", "is no comparison"),
        ("f'{age}' == gender", "is no comparison"),
        ("age in range(3)", "write a list after `in`"),
        ("@limit > 3", "cannot be read"),
        ("age >", "cannot be read"),
        ("not " * 200 + "age > 3", "nests deeper"),
        ("age > 3 and " * 2000 + "age > 3", "characters"),
        ("agee > 3", "did you mean 'age'?"),
        ("gender == woman", "A text stands in quotation marks"),
        ("age > '60'", "holds numbers, '60' is a text"),
        ("`class` > 'middle'", "is no level of 'class'"),
        ("gender", "alone is no comparison"),
        ("age == gender", "of two kinds"),
        ("3 > 2", "with no column"),
    ],
)
def test_anything_else_is_refused(expression, told):
    with pytest.raises(DataError, match=re.escape(told)):
        Filter(expression).mask(PEOPLE)


def test_a_number_is_no_filter():
    with pytest.raises(DataError, match="the filter is 5; write a text"):
        Filter(5)


def test_nobody_meets_it_says_which_part():
    with pytest.raises(DataError, match="no profile of 5 meets it; alone are met: age > 60 by 1; gender == 'man' by 1"):
        Filter("age > 60 and gender == 'man'").only(PEOPLE)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="age`gender'\"()[]<>=!.,_ 019andortin@&|~+\\", max_size=40))
def test_any_text_is_read_or_refused(expression):
    try:
        mask = Filter(expression).mask(PEOPLE)
    except DataError:
        return
    assert mask.shape == (5,)
    assert mask.dtype == bool
