"""References: distributions of an LLM's answers, with gaps that are never filled in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Continuous, DataError, MissingReferenceError, Ordinal, References
from crowdpyro.tables import write_whole

SCALE = Ordinal.range(1, 3)
DRAWS = pd.DataFrame(
    {
        "problem": ["a", "a", "b", "b", "c"],
        "model": "m",
        "persona": ["", "", "", "p", "p"],
        "answer": [1, 3, 2, 9, 1],
    }
)


def test_draws_become_frequencies_and_strangers_become_missing():
    references = References.from_frame(DRAWS, scale=SCALE)
    assert references.probabilities().tolist()[:2] == [[0.5, 0, 0.5], [0, 1, 0]]
    assert np.isnan(references.probabilities()[2]).all()
    assert "1 of 5 answers empty or outside the scale" in references.report[0]
    assert references.missing().to_dict("records") == [{"problem": "c", "source": "m"}]


def test_probability_columns_are_checked():
    frame = pd.DataFrame({"problem": ["a", "b"], "p_1": [0.2, 0.5], "p_2": [0.3, 0.5], "p_3": [0.5, 0.5]})
    with pytest.raises(DataError, match=r"'p_1' to 'p_3'.*row 1.*sum to one"):
        References.from_frame(frame, scale=SCALE)
    good = References.from_frame(frame.iloc[:1], scale=SCALE)
    assert good.expected() == pytest.approx([0.2 + 0.6 + 1.5])


def test_a_problem_without_a_reference_is_named():
    references = References.from_frame(DRAWS, scale=SCALE)
    with pytest.raises(MissingReferenceError, match="problem 'z'.*has no reference.*ask the LLM"):
        references.select(["a", "z"])
    with pytest.raises(MissingReferenceError, match="problem 'c'.*of 'm'.*name a policy"):
        references.fill("error")


def test_policies_fill_and_say_so():
    one = References.from_frame(DRAWS, scale=SCALE)
    filled = one.fill("mean")
    assert filled.probabilities()[2] == pytest.approx([0.25, 0.5, 0.25])
    assert "1 missing references filled by policy 'mean'" in filled.report[-1]
    other = References.from_frame(pd.DataFrame({"problem": list("abc"), "answer": [3, 3, 3]}), scale=SCALE, name="n")
    panel = References.panel(one, other).fill("panel")
    assert panel.probabilities("m")[2].tolist() == [0, 0, 1]
    with pytest.raises(MissingReferenceError, match="'c' has no reference of any LLM"):
        one.fill("panel")
    with pytest.raises(DataError, match="policy='zero'"):
        one.fill("zero")


def test_a_panel_aligns_problems_and_refuses_twins():
    first = References.from_frame(pd.DataFrame({"problem": ["a", "b"], "answer": [1, 2]}), scale=SCALE, name="x")
    second = References.from_frame(pd.DataFrame({"problem": ["b", "c"], "answer": [3, 1]}), scale=SCALE, name="y")
    panel = References.panel(first, second)
    assert list(panel.problems) == ["a", "b", "c"]
    assert panel.expected() == pytest.approx([1.0, 2.5, 1.0])
    with pytest.raises(DataError, match="names repeat"):
        References.panel(first, first)
    with pytest.raises(DataError, match="different scales"):
        References.panel(first, References.from_frame(DRAWS, scale=Ordinal.range(1, 9)))


def test_personas_stand_beside_zero_shot():
    frame = pd.DataFrame(
        {"problem": list("aaa"), "persona": ["", "old", "young"], "answer": [1, 2, 3]},
    )
    source = References.from_frame(frame, scale=SCALE).source()
    assert source.base().tolist() == [[1, 0, 0]]
    assert source.persona_mean().tolist() == [[0, 0.5, 0.5]]


def test_continuous_references_are_draws():
    frame = pd.DataFrame({"problem": ["a", "a", "b"], "answer": [1.0, 3.0, 5.0]})
    references = References.from_frame(frame, scale=Continuous(0, 10))
    assert references.expected() == pytest.approx([2.0, 5.0])
    with pytest.raises(DataError, match="discrete"):
        references.probabilities()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_files_round_trip(tmp_path, suffix):
    references = References.from_frame(DRAWS, scale=SCALE)
    again = References.read(references.write(tmp_path / f"r{suffix}"), scale=SCALE)
    for source in references:
        np.testing.assert_allclose(again.source(source.name).values, source.values)
        assert again.source(source.name).personas == source.personas


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "kept.csv"
    path.write_text("old")

    def fail(file):
        file.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["kept.csv"]


def test_written_files_have_ordinary_permissions(tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("x")
    made = write_whole(tmp_path / "deep" / "made.txt", lambda file: file.write_text("x"))
    assert made.stat().st_mode == plain.stat().st_mode
