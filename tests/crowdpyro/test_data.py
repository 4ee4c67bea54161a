"""Data in: every bad table is refused by name, and nothing is lost on the way."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro import Categorical, Continuous, CrowdData, DataError, Ordinal
from crowdpyro.tables import read_table, write_whole

PROBLEMS = pd.DataFrame({"problem": ["a", "b", "c"], "text": ["one", "two", "three"]})
PEOPLE = pd.DataFrame({"participant": [1, 2, 3], "age": [20.0, 30.0, np.nan], "home": ["x", None, "y"]})
RESPONSES = pd.DataFrame({"problem": list("abcab"), "participant": [2, 1, 1, 1, 3], "response": [1, 2, 3, 4, 5]})


def build(responses=RESPONSES, problems=PROBLEMS, participants=PEOPLE, scale=None, **options):
    return CrowdData.from_frames(responses, problems, participants, scale=scale or Ordinal.range(1, 5), **options)


def with_value(frame, row, column, value):
    changed = frame.astype({column: object})
    changed.loc[row, column] = value
    return changed


def test_answers_come_out_as_they_went_in():
    data = build()
    expected = RESPONSES[["problem", "participant", "response"]].astype({"response": float})
    pd.testing.assert_frame_equal(
        data.answers.sort_values(["participant", "problem"], ignore_index=True),
        expected.sort_values(["participant", "problem"], ignore_index=True),
        check_dtype=False,
    )
    assert (np.diff(data.participant_code) >= 0).all()
    assert data.counts().sum() == len(RESPONSES)
    assert np.nansum(data.matrix()) == data.response.sum()


def test_crowdkit_names_are_accepted():
    renamed = RESPONSES.rename(columns={"problem": "task", "participant": "worker", "response": "label"})
    data = build(
        renamed, PROBLEMS.rename(columns={"problem": "task"}), PEOPLE.rename(columns={"participant": "worker"})
    )
    pd.testing.assert_frame_equal(data.answers, build().answers)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (9, "'response'.*9.*1, 2, 3, 4, 5.*declare another scale"),
        (2.5, "'response'.*2.5"),
        ("lots", "'response'.*'lots'.*finite number"),
        (np.inf, "'response'.*inf.*finite number"),
    ],
)
def test_an_answer_off_the_scale_names_column_value_and_remedy(bad, words):
    with pytest.raises(DataError, match=words):
        build(with_value(RESPONSES, 1, "response", bad))


def test_an_empty_answer_is_no_answer_and_reported():
    data = build(with_value(RESPONSES, 1, "response", np.nan))
    assert data.n_answers == len(RESPONSES) - 1
    assert any("1 empty response" in note for note in data.report)


def test_two_answers_of_one_person_to_one_problem_are_refused():
    twice = pd.concat([RESPONSES, RESPONSES.iloc[[0]]], ignore_index=True)
    with pytest.raises(DataError, match="columns 'participant', 'problem': 2 answered 'a' more than once.*keep one"):
        build(twice)


@pytest.mark.parametrize("text", [None, "", "   "])
def test_a_problem_without_text_is_refused(text):
    with pytest.raises(DataError, match="'text' of problems is empty for problem 'b'.*give every problem"):
        build(problems=with_value(PROBLEMS, 1, "text", text))


def test_a_participant_without_a_profile_row_is_refused():
    with pytest.raises(DataError, match="'participant' of responses: 3.*no row in participants.*add it"):
        build(participants=PEOPLE[PEOPLE["participant"] != 3])


def test_an_answer_to_an_unknown_problem_is_refused():
    with pytest.raises(DataError, match="'problem' of responses: 'c'.*no row in problems"):
        build(problems=PROBLEMS[PROBLEMS["problem"] != "c"])


@pytest.mark.parametrize("which", ["responses", "problems", "participants"])
def test_an_empty_frame_is_refused(which):
    frames = {"responses": RESPONSES, "problems": PROBLEMS, "participants": PEOPLE}
    frames[which] = frames[which].iloc[:0]
    with pytest.raises(DataError, match=f"'?{which}'? has no rows"):
        build(**frames)


def test_a_missing_column_is_named_with_those_that_are_there():
    with pytest.raises(DataError, match="lacks column 'response'.*'answer'"):
        build(RESPONSES.rename(columns={"response": "answer"}))


@pytest.mark.parametrize("column", ["problem", "participant"])
def test_an_empty_id_is_refused(column):
    with pytest.raises(DataError, match=f"'{column}' of responses is empty in row 1"):
        build(with_value(RESPONSES, 1, column, None))


def test_a_repeated_problem_is_refused():
    with pytest.raises(DataError, match="'problem' of problems: 'a' stands there twice"):
        build(problems=pd.concat([PROBLEMS, PROBLEMS.iloc[[0]]]))


def test_missing_profiles_become_levels_medians_and_marks():
    data = build()
    assert data.participants.loc[3, "age"] == 25.0
    assert data.participants["age_missing"].tolist() == [0.0, 0.0, 1.0]
    assert data.participants.loc[2, "home"] == "missing"
    assert any("'age': 1 missing" in note for note in data.report)
    assert any("'home': 1 missing" in note for note in data.report)


def test_people_with_missing_profiles_can_be_dropped():
    data = build(missing_profile="drop")
    assert data.participants.index.tolist() == [1]
    assert any("2 participants" in note for note in data.report)


@pytest.mark.parametrize(
    ("value", "words"), [(np.inf, "'age'.*inf.*not finite"), ("old", "'age'.*'old' is not a number")]
)
def test_a_bad_number_in_a_profile_is_refused(value, words):
    people = pd.DataFrame({"participant": range(10), "age": pd.Series([20.0] * 9 + [value], dtype=object)})
    responses = pd.DataFrame({"problem": "a", "participant": range(10), "response": 1})
    with pytest.raises(DataError, match=words):
        build(responses, participants=people)


def test_select_keeps_order_and_refuses_strangers():
    data = build().select(participants=[3, 1], problems=["b", "a"])
    assert data.participants.index.tolist() == [3, 1]
    assert data.problems.index.tolist() == ["b", "a"]
    assert set(map(tuple, data.answers.to_numpy())) == {("b", 3, 5.0), ("b", 1, 2.0), ("a", 1, 4.0)}
    with pytest.raises(DataError, match="participant 7"):
        build().select(participants=[7])


def simulated(n_people=30, n_problems=8, seed=0):
    rng = np.random.default_rng(seed)
    person, problem = np.nonzero(rng.random((n_people, n_problems)) < 0.7)
    responses = pd.DataFrame({"participant": person, "problem": problem, "response": rng.integers(1, 6, len(person))})
    problems = pd.DataFrame({"problem": range(n_problems), "text": [f"text {k}" for k in range(n_problems)]})
    people = pd.DataFrame({"participant": range(n_people), "group": rng.choice(["u", "v"], n_people)})
    return CrowdData.from_frames(responses, problems, people, scale=Ordinal.range(1, 5))


@pytest.mark.parametrize("by", ["participant", "problem", "response"])
def test_splits_are_disjoint_complete_and_repeatable(by):
    data = simulated()
    train, test = data.split(by, 0.25, seed=3)
    both = pd.concat([train.answers, test.answers]).sort_values(["participant", "problem"], ignore_index=True)
    pd.testing.assert_frame_equal(both, data.answers)
    again = data.split(by, 0.25, seed=3)
    pd.testing.assert_frame_equal(test.answers, again[1].answers)
    assert not test.answers.equals(data.split(by, 0.25, seed=4)[1].answers)
    if by == "response":
        assert train.n_participants == test.n_participants == data.n_participants
    else:
        assert not set(train.answers[by]) & set(test.answers[by])
    tests = pd.concat([fold[1].answers for fold in data.folds(by, 4, seed=1)])
    pd.testing.assert_frame_equal(tests.sort_values(["participant", "problem"], ignore_index=True), data.answers)


def test_bad_splits_are_refused():
    data = simulated()
    with pytest.raises(DataError, match="test_size=1.0"):
        data.split("problem", 1.0)
    with pytest.raises(DataError, match="by='person'"):
        data.split("person")
    with pytest.raises(DataError, match="k=1"):
        data.folds("problem", 1)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_files_are_read(tmp_path, suffix):
    for name, frame in (("r", RESPONSES), ("p", PROBLEMS), ("v", PEOPLE)):
        path = tmp_path / f"{name}{suffix}"
        frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    paths = [tmp_path / f"{name}{suffix}" for name in "rpv"]
    data = CrowdData.read(*paths, scale=Ordinal.range(1, 5))
    pd.testing.assert_frame_equal(data.answers, build().answers)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.csv.*does not exist"):
        CrowdData.read(tmp_path / "nowhere.csv", tmp_path / "p.csv", scale=Ordinal.range(1, 5))
    (tmp_path / "answers.doc").write_text("x")
    with pytest.raises(DataError, match="suffix must be one of"):
        CrowdData.read(tmp_path / "answers.doc", tmp_path / "p.csv", scale=Ordinal.range(1, 5))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        CrowdData.read(tmp_path / "empty.csv", tmp_path / "p.csv", scale=Ordinal.range(1, 5))


def test_excels_byte_order_mark_does_not_hide_a_column(tmp_path):
    RESPONSES.to_csv(tmp_path / "r.csv", index=False, encoding="utf-8-sig")
    PROBLEMS.to_csv(tmp_path / "p.csv", index=False)
    data = CrowdData.read(tmp_path / "r.csv", tmp_path / "p.csv", scale=Ordinal.range(1, 5))
    assert data.n_answers == len(RESPONSES)


def test_categorical_and_continuous_answers():
    labels = RESPONSES.assign(response=["no", "yes", "no", "no", "yes"])
    data = build(labels, scale=Categorical(("no", "yes")))
    assert data.counts().sum(axis=0).tolist() == [3, 2]
    numbers = build(RESPONSES.assign(response=[0.5, 1.5, -2.0, 3.0, 9.0]), scale=Continuous())
    assert sorted(numbers.response) == [-2.0, 0.5, 1.5, 3.0, 9.0]
    with pytest.raises(DataError, match="discrete scale"):
        numbers.counts()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=30))
def test_any_table_round_trips(rows):
    unique = {(person, problem): answer for person, problem, answer in rows}
    frame = pd.DataFrame([(p, q, a) for (p, q), a in unique.items()], columns=["participant", "problem", "response"])
    problems = pd.DataFrame({"problem": range(5), "text": [f"t{k}" for k in range(5)]})
    answers = CrowdData.from_frames(frame, problems, scale=Ordinal.range(1, 5)).answers
    assert {(p, q): a for q, p, a in answers.itertuples(index=False)} == unique


def test_crowdkit_names_give_way_to_our_own():
    data = build(
        RESPONSES.assign(label=9), PROBLEMS.assign(label=["x", "y", "z"]), PEOPLE.assign(task=["sort", "rate", "rank"])
    )
    pd.testing.assert_frame_equal(data.answers, build().answers)
    assert list(data.problems.columns) == ["text", "label"]
    assert "task" in data.participants


@pytest.mark.parametrize("which", ["responses", "problems", "participants"])
def test_a_repeated_column_is_refused(which):
    frames = {"responses": RESPONSES, "problems": PROBLEMS, "participants": PEOPLE}
    last = frames[which].columns[-1]
    frames[which] = pd.concat([frames[which], frames[which][[last]]], axis=1)
    with pytest.raises(DataError, match=f"'{which}': column '{last}' stands there twice.*keep one"):
        build(**frames)


def test_no_answer_at_all_is_refused():
    with pytest.raises(DataError, match="'response' of responses holds no answer.*give at least one"):
        build(RESPONSES.assign(response=np.nan))


def test_a_numeric_trait_nobody_has_is_refused():
    with pytest.raises(DataError, match="'age' of participants is empty for everybody.*leave it out"):
        build(participants=PEOPLE.assign(age=np.nan))


def test_dropping_says_what_was_lost_and_never_drops_everybody():
    assert "2 participants with a missing profile value dropped, with 2 answers" in build(missing_profile="drop").report
    with pytest.raises(DataError, match="missing_profile='drop': all 3 participants.*'age'.*use 'level'"):
        build(participants=PEOPLE.assign(home=None), missing_profile="drop")
    with pytest.raises(DataError, match="missing_profile='median': give 'level' or 'drop'"):
        build(missing_profile="median")


def test_ids_of_mixed_types_need_no_profiles():
    data = CrowdData.from_frames(RESPONSES.assign(participant=[1, "x", 2, 3, 4]), PROBLEMS, scale=Ordinal.range(1, 5))
    assert data.participants.index.tolist() == [1, 2, 3, 4, "x"]


@pytest.mark.parametrize(("what", "chosen"), [("participant", [1, 2, 1]), ("problem", ["a", "b", "a"])])
def test_a_repeated_selection_is_refused(what, chosen):
    with pytest.raises(DataError, match=f"{what} {chosen[0]!r} is selected twice.*once"):
        build().select(**{f"{what}s": chosen})


@pytest.mark.parametrize("size", [np.nan, np.inf, 0.0, -3, 1.5, 8])
def test_impossible_test_sizes_are_refused(size):
    with pytest.raises(DataError, match=f"test_size={size}.*leaves some for each part"):
        simulated().split("problem", size)


def test_a_test_size_may_be_any_number_type():
    for size in (0.25, np.float32(0.25), 2, np.int64(2)):
        assert simulated().split("problem", size)[1].n_problems == 2


def test_a_label_that_looks_empty_is_an_answer(tmp_path):
    RESPONSES.assign(response=["None", "Some", None, "NA", "Some"]).to_csv(tmp_path / "r.csv", index=False)
    PROBLEMS.to_csv(tmp_path / "p.csv", index=False)
    data = CrowdData.read(tmp_path / "r.csv", tmp_path / "p.csv", scale=Categorical(("None", "Some")))
    assert data.counts().sum(axis=0).tolist() == [1, 2]
    assert "2 empty responses taken as no answer" in data.report


def _broken(name):
    whole = gzip.compress(b"problem,text\n" + bytes(range(48, 58)) * 5000)
    return {
        "cut.csv.gz": whole[: len(whole) // 2],
        "scrambled.csv.gz": whole[:20] + b"\0" * 30 + whole[50:],
        "plain.csv.gz": b"problem,text\na,b\n",
        "latin.csv": "problem,text\na,\xe9\n".encode("latin-1"),
        "ragged.csv": b"a,b\n1,2\n1,2,3,4\n",
        "noise.parquet": b"PAR1noise",
    }[name]


@pytest.mark.parametrize(
    "name", ["cut.csv.gz", "scrambled.csv.gz", "plain.csv.gz", "latin.csv", "ragged.csv", "noise.parquet"]
)
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(_broken(name))
    words = "is not UTF-8 text .*save it as CSV UTF-8" if name == "latin.csv" else "cannot be read as a table"
    with pytest.raises(DataError, match=f"{name}' {words}"):
        read_table(tmp_path / name)


def test_a_table_with_a_head_alone_is_empty(tmp_path):
    (tmp_path / "head.csv").write_text("problem,text\n")
    with pytest.raises(DataError, match=r"head.csv' has no rows; give at least one"):
        read_table(tmp_path / "head.csv")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_written_file_follows_the_umask(tmp_path):
    (tmp_path / "plain").write_text("x")
    path = write_whole(tmp_path / "new" / "whole.csv", lambda file: file.write_text("x"))
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert [each.name for each in path.parent.iterdir()] == ["whole.csv"]
