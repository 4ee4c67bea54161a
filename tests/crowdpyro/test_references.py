"""References: distributions of an LLM's answers, with gaps that are never filled in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import Categorical, Continuous, DataError, MissingReferenceError, Ordinal, References, parse_scale
from crowdpyro.reference_draws import drawn_reference
from crowdpyro.references import ReferenceSource
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


def test_probabilities_of_a_file_may_be_rounded():
    scale = Ordinal.range(1, 7)
    exact = np.random.default_rng(0).dirichlet(np.ones(7), 200)
    for decimals in (2, 3, 6):
        frame = pd.DataFrame(exact.round(decimals), columns=[f"p_{k}" for k in range(1, 8)]).assign(problem=range(200))
        read = References.from_frame(frame, scale=scale).probabilities()
        np.testing.assert_allclose(read.sum(axis=1), 1.0, atol=1e-12)
        assert np.abs(read - exact).max() < 5 * 10.0**-decimals
    # Rounding to three decimals makes no more of it than .0035.
    first = pd.DataFrame([[0.150, 0.223, 0.004, 0.0, 0.12, 0.356, 0.147]], columns=frame.columns[:-1], index=["a"])
    first = first.rename_axis("problem").reset_index()
    References.from_frame(first.assign(p_1=0.153), scale=scale)
    with pytest.raises(DataError, match=r"they sum to 1.005"):
        References.from_frame(first.assign(p_1=0.155), scale=scale)


def test_a_problem_without_a_reference_is_named():
    references = References.from_frame(DRAWS, scale=SCALE)
    with pytest.raises(MissingReferenceError, match="problem 'z'.*has no reference.*ask the LLM"):
        references.select(["a", "z"])
    assert np.isnan(references.select(["a", "z"], "missing").probabilities()[1]).all()
    with pytest.raises(MissingReferenceError, match="problem 'y'.*has no reference"):
        references.select(["y", "z"], "missing")
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
    dropped = References.panel(one, other).fill("drop")
    assert list(dropped.problems) == ["a", "b"]
    assert "1 problems dropped for want of a reference, such as 'c'" in dropped.report[-1]
    assert one.fill("mean", one.select(["b"])).probabilities()[2].tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="calibration= is for policy='mean', not 'drop'"):
        one.fill("drop", one)
    with pytest.raises(DataError, match="calibration is of n on .*; give answers of m on"):
        one.fill("mean", other)


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


PROBABILITIES = pd.DataFrame({"problem": ["a", "b"], "p_1": [0.2, 0.5], "p_2": [0.3, 0.5], "p_3": [0.5, 0.0]})


@pytest.mark.parametrize(
    ("scale", "answers"),
    [
        (Ordinal((1_000_001, 1_000_002)), [1_000_001, 1_000_002]),
        (Ordinal((0.1, 0.1000001)), ["0.1", "0.1000001"]),
        (Categorical(("01", "1")), ["01", 1.0]),
        (Categorical(("1e3", "inf")), ["1e3", "inf"]),
    ],
)
def test_close_levels_are_told_apart(scale, answers):
    frame = pd.DataFrame({"problem": ["a", "b"], "answer": pd.Series(answers, dtype=object)})
    assert References.from_frame(frame, scale=scale).probabilities().tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("answer", [3.0000001, np.nan, np.inf, "three", 0, 6])
def test_an_answer_off_the_scale_is_missing_never_the_nearest(answer):
    frame = pd.DataFrame({"problem": ["a", "b"], "answer": pd.Series([answer, 3], dtype=object)})
    references = References.from_frame(frame, scale=SCALE)
    assert np.isnan(references.probabilities()[0]).all()
    assert "1 of 2 answers empty or outside the scale" in references.report[0]


def test_rows_are_told_apart_whatever_the_frames_index():
    once = References.from_frame(DRAWS, scale=SCALE)
    joined = pd.concat([DRAWS.iloc[:3], DRAWS.iloc[3:].set_axis([0, 1])])
    again = References.from_frame(joined, scale=SCALE)
    np.testing.assert_array_equal(again.source().values, once.source().values)


@pytest.mark.parametrize("empty", [None, " "])
@pytest.mark.parametrize("column", ["problem", "model"])
def test_an_empty_key_is_refused(column, empty):
    with pytest.raises(DataError, match=f"'{column}' of references is empty in row 1 .1 such rows.; fill it"):
        References.from_frame(DRAWS.assign(**{column: ["a", empty, "b", "c", "d"]}), scale=SCALE)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (PROBABILITIES.iloc[:0], "'references' has no rows; give at least one"),
        (PROBABILITIES[["problem"]], "neither a column 'answer' nor columns 'p_1'.*it has 'problem'. Add"),
        (
            PROBABILITIES[["problem"]].assign(answr=1),
            "it has 'problem', 'answr'. .*mean 'answr'. Rename it to 'answer'",
        ),
        (PROBABILITIES.drop(columns="p_2"), "lacks column 'p_2'"),
        (
            PROBABILITIES.astype(object).assign(p_1=["x", 0.5]),
            "'p_1' of references: 'x' is not a number .row 0, 1 such rows.; correct or empty it",
        ),
        (PROBABILITIES.assign(p_1=[np.inf, 0.5]), r"row 0 holds \[inf.*correct them"),
        (PROBABILITIES.assign(p_1=[np.nan, 0.5]), r"row 0 holds \[nan.*correct them"),
        (pd.concat([PROBABILITIES, PROBABILITIES]), "problem 'a' has two or more rows.*keep one"),
        (PROBABILITIES.assign(temperature="warm"), "'temperature' of references: 'warm' is not a number"),
    ],
)
def test_bad_probability_tables_name_column_value_and_remedy(frame, words):
    with pytest.raises(DataError, match=words):
        References.from_frame(frame, scale=SCALE)


def source_of(values):
    return ReferenceSource("m", "", "", 0.0, pd.Index(["a"]), ("",), np.array([[values]]))


def test_a_source_is_a_distribution_over_the_scales_levels():
    with pytest.raises(DataError, match="values of 'm', problem 'a': not probabilities.*normalise"):
        References(SCALE, (source_of([0.2, 0.2, 0.2]),))
    with pytest.raises(DataError, match="values of 'm' have 2 options; the scale has 3 levels: 1, 2, 3"):
        References(SCALE, (source_of([0.5, 0.5]),))
    assert not References(SCALE, (source_of([np.nan] * 3),)).missing().empty
    with pytest.raises(DataError, match="panel are none; give at least one"):
        References.panel()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_provenance_and_kinds_survive_a_file(tmp_path, suffix):
    llm = References.from_frame(
        PROBABILITIES, scale=SCALE, name="m", revision="r1", prompt="Rate\n{text}, please", temperature=0.7
    )
    twins = References.from_frame(PROBABILITIES.assign(participant=["7", "8"]), scale=SCALE, name="twin")
    panel = References.panel(llm, twins)
    again = References.read(panel.write(tmp_path / f"r{suffix}"), scale=SCALE)
    for before, after in zip(panel, again, strict=True):
        for field in ("name", "revision", "prompt", "temperature", "personas", "kind"):
            assert getattr(after, field) == getattr(before, field), field
        np.testing.assert_allclose(after.values, before.values)


def test_a_column_of_rendered_prompts_is_not_the_prompt():
    frame = PROBABILITIES.assign(prompt=["Rate a.", "Rate b."])
    assert References.from_frame(frame, scale=SCALE, prompt="Rate {text}.").source().prompt == "Rate {text}."


def test_a_label_that_looks_empty_is_an_answer(tmp_path):
    scale = Categorical(("None", "Some"))
    pd.DataFrame({"problem": ["a", "b", "c"], "answer": ["None", "Some", "NA"]}).to_csv(tmp_path / "r.csv", index=False)
    references = References.read(tmp_path / "r.csv", scale=scale)
    assert references.probabilities()[:2].tolist() == [[1, 0], [0, 1]]
    assert references.missing()["problem"].tolist() == ["c"]


def test_missing_draws_are_filled_by_the_mixture_of_the_others():
    scale = Continuous()
    short = References.from_frame(
        pd.DataFrame({"problem": list("aabb"), "answer": [1.0, 3, 5, 7]}), scale=scale, name="s"
    )
    long = References.from_frame(
        pd.DataFrame({"problem": list("aaaccc"), "answer": [0.0, 0, 0, 2, 4, 9]}), scale=scale, name="l"
    )
    panel = References.panel(short, long)
    filled = panel.fill("panel")
    assert filled.source("s").values[2, 0].tolist() == [3.0, 6.5]
    np.testing.assert_array_equal(filled.source("s").values[:2], panel.source("s").values[:2])
    assert filled.source("l").values[1, 0] == pytest.approx([5 + 1 / 3, 6.0, 7 - 1 / 3])
    assert panel.fill("mean").source("s").values[2, 0] == pytest.approx([2.5, 5.5])


@given(st.data())
def test_any_draws_become_their_frequencies(data):
    codes = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=30))
    frame = pd.DataFrame(codes, columns=["problem", "answer"])
    references = References.from_frame(frame, scale=SCALE)
    expected = frame.groupby("problem")["answer"].value_counts(normalize=True)
    for row, problem in enumerate(references.problems):
        assert references.probabilities()[row] == pytest.approx([expected.get((problem, k), 0.0) for k in (1, 2, 3)])
    again = References.from_frame(references.to_frame(), scale=SCALE)
    np.testing.assert_allclose(again.source().values, references.source().values)


def test_percents_are_told_from_nonsense():
    percents = pd.DataFrame({"problem": ["a"], "p_1": [20.0], "p_2": [30.0], "p_3": [49.9]})
    with pytest.raises(DataError, match=r"row 0 .*sum to one; they sum to 99.9: divide by 100"):
        References.from_frame(percents, scale=Ordinal.range(1, 3))
    with pytest.raises(DataError, match=r"correct them .they sum to 53. or leave all of them empty"):
        References.from_frame(percents.assign(p_3=3.0), scale=Ordinal.range(1, 3))


@pytest.mark.parametrize(
    ("scale", "given", "words"),
    [
        (parse_scale("x,y"), True, "as a number, which categorical answers are not; give reference='expected'"),
        (parse_scale("choose:1:x,y"), True, "as a number, which ballot answers are not; give reference='expected'"),
        (parse_scale("x,y"), False, "as a number, which categorical answers are not"),
        (Ordinal.range(1, 3), False, "draws the LLM's answers; pass references= of the problems"),
    ],
)
def test_what_cannot_be_drawn_says_why(scale, given, words):
    labels = parse_scale("x,y")
    references = References.from_frame(pd.DataFrame({"problem": ["a"], "answer": ["x"]}), scale=labels)
    with pytest.raises(MissingReferenceError, match=words):
        drawn_reference(
            references if given else None, "shared_draw", pd.Index(["a"]), 3, scale, np.random.default_rng()
        )


def test_a_suffix_of_references_may_be_in_capitals(tmp_path):
    scale = Ordinal.range(1, 3)
    references = References.from_frame(pd.DataFrame({"problem": ["a"], "answer": [2]}), scale=scale)
    for name in ("R.CSV", "R.Parquet"):
        again = References.read(references.write(tmp_path / name), scale=scale)
        assert again.probabilities().tolist() == [[0, 1, 0]]
