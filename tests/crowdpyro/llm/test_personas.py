from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro.errors import DataError
from crowdpyro.llm.personas import describe, personas_of


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ({"gender": "female", "age": 52, "education": "Doctorate"}, "a woman of 52 with a doctorate"),
        ({"Sex": "M", "AGE": 20.0}, "a man of 20"),
        (
            {"gender": "Non-binary", "age": ">65", "occupation": "Retired"},
            "a non-binary person aged over 65 who is retired",
        ),
        (
            {
                "gender": "Woman",
                "age": "50-54",
                "education": "Graduate degree",
                "occupation": "Student",
                "race": "Asian",
            },
            "a woman aged 50-54 with a graduate degree who is a student (race: Asian)",
        ),
        (
            {"education": "finished high school", "occupation": "Engineer"},
            "a person who finished high school and is an engineer",
        ),
        ({"education": "Less than a high school diploma"}, "a person with less than a high school diploma"),
        ({"education": "college graduate"}, "a person who is a college graduate"),
        ({"education": 3, "gender": "other", "district": 4.0}, "a person (education: 3; district: 4)"),
        ({"age": np.nan, "gender": "Prefer not to disclose", "education": None, "job": ""}, "a person"),
        ({}, "a person"),
    ],
)
def test_rows_read_as_people(person: dict[str, object], expected: str) -> None:
    assert describe(person) == expected


def test_a_table_of_people_becomes_personas_by_id() -> None:
    people = pd.DataFrame({"participant": [7, 8], "gender": ["man", "woman"], "party": ["A", "B"]})
    assert personas_of(people) == {"7": "You are a man (party: A).", "8": "You are a woman (party: B)."}
    assert personas_of(people, "A voter of {party}.") == {"7": "A voter of A.", "8": "A voter of B."}


def test_ids_are_kept_whatever_they_read() -> None:
    people = pd.DataFrame({"age": [30, 40]}, index=pd.Index([1.0, "other"], dtype=object))
    assert personas_of(people) == {"1": "You are a person of 30.", "other": "You are a person of 40."}


@pytest.mark.parametrize(
    ("people", "template", "message"),
    [
        (pd.DataFrame({"age": [1, 2]}, index=["a", "a"]), "{person}", "'a' twice"),
        (pd.DataFrame({"age": []}), "{person}", "no rows"),
        (pd.DataFrame({"age": [1]}), "{party}", r"unknown field \{party\}"),
        (pd.DataFrame({"age": [1]}), "{", "double a brace"),
        (pd.DataFrame({"age": [1, None]}, index=["a", "b"]), "{age}", "column 'age' is empty at participant 'b'"),
    ],
)
def test_tables_that_do_not_fit(people: pd.DataFrame, template: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        personas_of(people, template)
