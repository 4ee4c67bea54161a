"""CSV that a spreadsheet opens: no cell of it is run, numbers are numbers, and without the option nothing changes."""

from __future__ import annotations

import csv
import gzip
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import Crowd, Ordinal
from crowdpyro.aggregation.truth import aggregate
from crowdpyro.table_writing import harmless, write_csv

# What OWASP's page on CSV injection lists, and a call that has reached shells.
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_a_formula_is_a_text_wherever_it_stands(tmp_path, text):
    frame = pd.DataFrame({text: [text, "plain"], "number": [-1.5, 2.0]}, index=pd.Index([text, "b"], name=text))
    path = write_csv(frame, tmp_path / "a.csv", safe=True, index=True)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [[f"'{text}", f"'{text}", "number"], [f"'{text}", f"'{text}", "-1.5"], ["b", "plain", "2.0"]]
    assert frame.columns[0] == text
    inside = write_csv(pd.DataFrame({"a": [f"x{text}"]}), path, safe=True)
    with inside.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a"], [f"x{text}"]]


@given(
    st.lists(st.one_of(st.text(max_size=4), st.none(), st.integers(-3, 3), st.floats(), st.booleans()), max_size=5),
    st.sampled_from(["object", "category", "string"]),
)
def test_nothing_else_changes(values, kind):
    column = pd.Series(values, dtype=object)
    if kind == "string":
        column = column.map(str)
    frame = pd.DataFrame({"a": column.astype(kind), "b": np.arange(len(values))})
    safe = harmless(frame)
    for before, after in zip(frame["a"], safe["a"], strict=True):
        formula = isinstance(before, str) and re.match("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", before)
        assert (pd.isna(before) and pd.isna(after)) or after == (f"'{before}" if formula else before)
    pd.testing.assert_series_equal(safe["b"], frame["b"])


def test_two_columns_of_one_name_and_several_levels_of_ids(tmp_path):
    index = pd.MultiIndex.from_tuples([("=a", 1), ("b", 2)], names=["=x", "y"])
    frame = pd.DataFrame([["=1", -2], ["c", 3]], columns=["same", "same"], index=index)
    safe = harmless(frame)
    assert safe.index.tolist() == [("'=a", 1), ("b", 2)]
    assert safe.index.names == ["'=x", "y"]
    assert safe.to_numpy().tolist() == [["'=1", -2], ["c", 3]]


def test_a_crowd_and_an_aggregation_are_written_so(tmp_path):
    people = pd.DataFrame({"group": ["@x", "v"]}, index=["=p", "q"])
    problems = pd.DataFrame({"text": ["one"]}, index=["-a"])
    crowd = Crowd.from_matrix([[0], [1]], scale=Ordinal((-1, 1)), problems=problems, participants=people)
    for name, opened in (("a.csv", open), ("a.csv.gz", gzip.open)):
        with opened(crowd.write(tmp_path / name, safe=True), "rt", encoding="utf-8") as file:
            text = file.read()
        assert "'=p" in text
        assert "'-a" in text
        assert "'@x" in text
        assert ",-1," in text
    assert crowd.to_frame().equals(pd.read_parquet(crowd.write(tmp_path / "a.parquet", safe=True)))
    labels = pd.DataFrame({"problem": ["a", "a", "b"], "participant": ["=p", "q", "q"], "response": ["x", "x", "y"]})
    found = aggregate(labels, "majority")
    found.write(tmp_path / "safe", safe=True)
    found.write(tmp_path / "plain")
    assert '\n"\'=p",' in (tmp_path / "safe" / "participants.csv").read_text()
    assert "\n=p," in (tmp_path / "plain" / "participants.csv").read_text()


def test_the_command_line_has_the_option(command, tmp_path):
    (tmp_path / "labels.csv").write_text("task,worker,label\na,=p,x\na,q,x\nb,q,y\n")
    code, _, errors = command(
        "aggregate", tmp_path / "labels.csv", "--out", tmp_path / "out", "--method", "majority", "--safe-csv"
    )
    assert (code, errors) == (0, "")
    assert '\n"\'=p",' in (tmp_path / "out" / "participants.csv").read_text()
