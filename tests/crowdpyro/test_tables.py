"""Files as spreadsheets write them are read, or refused with a message that leads on."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import CrowdData, DataError, MissingReferenceError, Ordinal, References, parse_scale
from crowdpyro.data import read_participants
from crowdpyro.tables import close_match, counted, id_hint, read_table, require_columns, write_whole

PLAIN = "problem,age\na,1\nb,2\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", PLAIN.encode()),
        ("mark.csv", PLAIN.encode("utf-8-sig")),
        ("unicode.csv", PLAIN.replace(",", "\t").encode("utf-16")),
        ("semicolons.csv", PLAIN.replace(",", ";").encode()),
        ("tabs.csv", PLAIN.replace(",", "\t").encode()),
        ("windows.csv", PLAIN.replace("\n", "\r\n").encode()),
        ("quoted.csv", b'"problem","age"\n"a",1\n"b",2\n'),
        ("blanks.csv", b" problem , age\n a ,1\nb, 2\n"),
        ("empty_column.csv", b"problem,age,,\na,1,,\nb,2,,\n"),
        ("unnamed.csv", b"problem,age,Unnamed: 2\na,1,\nb,2,\n"),
        ("longer_rows.csv", b"problem,age\na,1,\nb,2,\n"),
        ("mac.csv", PLAIN.replace("\n", "\r").encode()),
        ("note.csv", b"sep=;\r\nproblem;age\r\na;1\r\nb;2\r\n"),
        ("Cases.CSV", b"PROBLEM,age\na,1\nb,2\n"),
        ("unicode.txt", PLAIN.replace(",", "\t").encode("utf-16")),
        ("tabs.tsv", PLAIN.replace(",", "\t").encode()),
        ("trailing.csv", b"problem,age\na,1\nb,2\n\n,\n,\n"),
        ("packed.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
    ],
)
def test_what_spreadsheets_write_is_one_table(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    frame = read_table(tmp_path / name)
    assert {name: column.tolist() for name, column in frame.items()} == {"problem": ["a", "b"], "age": [1, 2]}
    assert frame.index.tolist() == [2, 3]


def test_decimal_commas_are_numbers_only_between_semicolons(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("problem;x;y;z\na;1,5;2,5;3\nb;;text;4\nc;-2;1,0;5\n")
    frame = read_table(path)
    assert frame["x"].tolist()[::2] == [1.5, -2.0]
    assert frame["x"].isna().tolist() == [False, True, False]
    assert frame["y"].tolist() == ["2,5", "text", "1,0"]
    assert frame["z"].tolist() == [3, 4, 5]
    path.write_text('problem,x\na,"1,5"\n')
    assert read_table(path)["x"].tolist() == ["1,5"]


def test_rows_are_those_of_the_spreadsheet(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('problem,text\na,"two\nlines"\n\nb,one\n')
    assert read_table(path).index.tolist() == [2, 4]
    path.write_text('\n,\n"problem\n(id)",text\na,one\n')
    frame = read_table(path)
    assert list(frame.columns) == ["problem\n(id)", "text"]
    assert (frame.index.name, frame.index.tolist()) == ("line", [4])


def test_separators_inside_names_and_cells_are_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("problem;text, in full\na;one, two; three\n".replace("one, two; three", '"one, two; three"'))
    assert read_table(path).to_dict("list") == {"problem": ["a"], "text, in full": ["one, two; three"]}
    path.write_text("text\none\ntwo\n")
    assert read_table(path)["text"].tolist() == ["one", "two"]


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(CELLS, CELLS, st.integers(-99, 99)), min_size=1, max_size=8),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_is_read_as_it_was_written(tmp_path_factory, rows, separator, encoding):
    """Texts with quotation marks, separators and all; a letter in front keeps them from being numbers or empty."""
    frame = pd.DataFrame([(f"x{a}", f"y{b}", n) for a, b, n in rows], columns=["problem", "text", "number"])
    path = tmp_path_factory.mktemp("any") / "a.csv"
    frame.to_csv(path, sep=separator, encoding=encoding, index=False)
    again = read_table(path)
    assert again.to_dict("list") == frame.to_dict("list")
    assert again.index.tolist() == list(range(2, len(frame) + 2))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xlsx", b"PK", "is a spreadsheet; save its sheet as CSV UTF-8"),
        ("a.ods", b"PK", "is a spreadsheet; save its sheet as CSV UTF-8"),
        ("a.doc", b"a", "the suffix must be one of .csv.*save the table as CSV UTF-8"),
        ("a.xlsm", b"PK", "is a spreadsheet; save its sheet as CSV UTF-8"),
        ("a.csv", PLAIN.encode("utf-16-le"), "is not UTF-8 text .*; save it as CSV UTF-8"),
        ("a.csv", b"PK\x03\x04\x00\x00", "is not UTF-8 text .*; save it as CSV UTF-8"),
        ("a.csv.gz", gzip.compress("a\nü\n".encode("latin-1"), mtime=0), "is not UTF-8 text .*; save it as CSV UTF-8"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the header 2. Give every row .* quotation marks"),
        ("a.csv", b"a,b\n1,2,x\n1,2\n", "column number 3 has no name and holds 'x' .line 2.; .* quotation marks"),
        ("a.csv", b'a,b\n"x,1\n2,3\n', "a quotation mark in line 2 is never closed; close it"),
        ("a.csv", b'\n\na,b\n1,2\n"x,1\n2,3\n', "a quotation mark in line 5 is never closed; close it"),
        ("a.parquet", b"x", "cannot be read as a table: .*Check that it is what its suffix says, or save it again"),
        ("a.csv", "problem,größe\na,ü\n".encode("latin-1"), "is not UTF-8 text .*; save it as CSV UTF-8"),
        ("a.csv", b"problem,age,age\na,1,2\n", "column 'age' stands there twice or more; keep one"),
        (
            "a.csv",
            b",problem\n0,a\n1,b\n",
            "column number 1 has no name and holds 0 .line 2.; name it in the first row or delete",
        ),
        ("a.csv", b"Unnamed: 0,problem\n0,a\n", "column number 1 has no name and holds 0 .line 2."),
        ("a.csv", b"", "cannot be read as a table: it is empty; give a header"),
        ("a.csv", b"\xef\xbb\xbf\n,\n", "it is empty; give a header"),
        ("a.csv", b"problem,age\n", "has no rows; give at least one"),
        ("a.csv", b"problem,age\n,\n,\n", "has no rows; give at least one"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){name}.*{words}"):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("wanted", "there", "meant"),
    [
        ("response", ["respnse", "age"], "respnse"),
        ("participant", ["participant_id"], "participant_id"),
        ("problem", ["Problem ID", "text"], "Problem ID"),
        ("text", ["Text of item"], "Text of item"),
        ("participant", ["Worker ID"], "Worker ID"),
        ("response", ["Your rating"], "Your rating"),
        ("response", ["age", "home"], None),
    ],
)
def test_a_near_name_is_suggested(wanted, there, meant):
    assert close_match(wanted, there) == meant


def test_a_walk_from_two_messy_files_to_data(tmp_path):
    """Every stop names what is wrong; each mend is what its message asks for."""
    answers = (
        "\ufeffItem ;Participant;respnse;Time\n"
        "1;p1;4;10:00\n2;p1;2;10:01\n1;p2 ;agree;10:02\n2;p2;7;10:03\n;;;\n1;p3;;10:04\n2;p4;3;10:05\n"
    )
    items = "\ufeffproblem;Text\n1;I like parties\n2;\n"
    folks = "participant;age;home\np1;34,5;town\np2;;land\np3;61;None\n"
    paths = {name: tmp_path / f"{name}.csv" for name in ("answers", "items", "folks")}

    def stop(words):
        for name, text in (("answers", answers), ("items", items), ("folks", folks)):
            paths[name].write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=words):
            CrowdData.read(paths["answers"], paths["items"], paths["folks"], scale=Ordinal.range(1, 5))

    stop("lacks column 'problem', 'response'; it has 'Item'.*mean 'Item'. Rename it to 'problem'.*mean 'respnse'.")
    answers = answers.replace("Item", "Problem")
    stop("lacks column 'response'; .* Did you mean 'respnse'. Rename it")
    answers = answers.replace("respnse", "Response")
    stop("column 'text' of problems is empty for problem 2")
    items = items.replace("2;\n", "2;I like books\n")
    stop("'response': answer 'agree' .line 4, 1 such rows. is not a finite number. Correct .* write the numbers 1, 2")
    answers = answers.replace("agree", "4")
    stop("'response': answer 7 .line 5, 1 such rows. is not one of 1, 2, 3, 4, 5.*such as 1:7")
    answers = answers.replace("2;p2;7", "2;p2;5")
    stop("'participant' of responses: 'p4' .line 8, 1 answers, 1 such. has no row in participants; add it there")
    answers = answers.replace("p4", "p3")
    for name, text in (("answers", answers), ("items", items), ("folks", folks)):
        paths[name].write_text(text, encoding="utf-8")
    data = CrowdData.read(paths["answers"], paths["items"], paths["folks"], scale=Ordinal.range(1, 5))
    assert data.n_answers == 5
    assert data.participants["age"].tolist() == [34.5, 47.75, 61.0]
    assert data.participants["home"].tolist() == ["town", "land", "None"]
    notes = " ".join(data.report)
    for words in ("not used: Time", "1 empty response", "'age': 1 missing"):
        assert words in notes


def frames(**changes):
    tables = {
        "responses": pd.DataFrame({"problem": ["a", "b"], "participant": ["p", "q"], "response": [1, 5]}),
        "problems": pd.DataFrame({"problem": ["a", "b"], "text": ["x", "y"]}),
        "participants": pd.DataFrame({"participant": ["p", "q"], "age": [1.0, 2.0]}),
    }
    return {name: tables[name].assign(**changes.get(name, {})) for name in tables}


def build(scale="1:5", **changes):
    tables = frames(**changes)
    return CrowdData.from_frames(*tables.values(), scale=parse_scale(scale))


def test_numbers_and_their_text_are_joined_and_said():
    data = build(responses={"problem": [1, 2]}, problems={"problem": ["1", "2"]})
    assert data.problem_code.tolist() == [0, 1]
    assert data.report == ("column 'problem': numbers in one table, text in the other; joined as numbers",)
    data = build(responses={"participant": ["1", "2"]}, participants={"participant": [1.0, 2.0]})
    assert data.participant_code.tolist() == [0, 1]
    data = build(responses={"problem": [7, 8]}, problems={"problem": ["007", "008"]})
    assert data.answers["problem"].tolist() == ["007", "008"]


def test_blanks_around_ids_are_nothing():
    data = build(responses={"participant": ["p ", " q"]}, problems={"problem": ["a ", "b"]})
    assert data.problems.index.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"responses": {"problem": [7, 7]}, "problems": {"problem": ["007", "7"]}},
            "column 'problem': the ids are numbers in one table and text in the other, and '007', '7' of problems are",
        ),
        (
            {"responses": {"problem": ["7", "07"]}, "problems": {"problem": [7, 8]}},
            "column 'problem' of responses: '7' .row 0, 2 answers, 2 such. has no row.*numbers in one table and text",
        ),
        (
            {"responses": {"problem": ["7", "b"]}, "problems": {"problem": ["007", "b"]}},
            "'7' .row 0, 1 answers, 1 such. has no row .* other leading zeros.*write them alike",
        ),
        ({"responses": {"problem": ["a", " "]}}, "'problem' of responses is empty in row 1 .1 such rows.; fill it"),
        ({"participants": {"participant": [None, "p"]}}, "'participant' of participants is empty in row 0 .1 such"),
        ({"responses": {"problem": ["item1", "b"]}, "problems": {"problem": ["item-1", "b"]}}, "Did you mean 'item-1'"),
        ({"problems": {"problem": ["a", "a "]}}, "'problem' of problems: 'a' stands there twice or more .rows 0, 1."),
        ({"responses": {"problem": "a", "participant": "p"}}, "answered 'a' more than once .rows 0, 1; 1 such rows"),
        ({"responses": {"response": [9, 1]}}, "answer 9 .row 0, 1 such rows. is not one of 1, 2, 3, 4, 5"),
        ({"responses": {"response": [9, 8]}}, "answer 9 .row 0, 2 such rows; also 8. is not one of"),
        ({"scale": "yes,no", "responses": {"response": ["Yes ", "no"]}}, "'Yes ' .*Did you mean 'yes'"),
        (
            {"participants": {"age": pd.to_datetime(["2000-01-01", "2001-01-01"])}},
            "column 'age' of participants holds dates, such as 2000-01-01.*turn it into a number",
        ),
        (
            {"participants": {"age": [1.0, None], "age_missing": [0, 1]}},
            "column 'age' of participants has gaps, .* 'age_missing' .*rename or drop",
        ),
    ],
)
def test_mistakes_in_frames_are_named(changes, words):
    with pytest.raises(DataError, match=words):
        build(**changes)


def test_a_column_in_which_everybody_differs_is_no_trait():
    people = pd.DataFrame({"participant": range(80), "email": [f"{k}@x" for k in range(80)]})
    answers = pd.DataFrame({"problem": "a", "participant": range(80), "response": 1})
    problems = pd.DataFrame({"problem": ["a"], "text": ["x"]})
    with pytest.raises(DataError, match="column 'email' .*has 80 different texts among 80 people.*Group it"):
        CrowdData.from_frames(answers, problems, people, scale=Ordinal.range(1, 5))


def test_fewer_draws_of_one_problem_are_no_gap_and_labels_have_no_mean():
    frame = pd.DataFrame({"Problem": ["a", "a", "a", "b ", "b"], "answer": [1.0, 2.0, 6.0, None, 5.0]})
    references = References.from_frame(frame, scale=parse_scale("continuous"))
    assert references.missing().empty
    assert references.expected().tolist() == [3.0, 5.0]
    labels = References.from_frame(pd.DataFrame({"problem": ["a"], "answer": ["x"]}), scale=parse_scale("x,y"))
    with pytest.raises(DataError, match="^labels have no expected value; take probabilities"):
        labels.expected()


def test_references_of_other_ids_say_why():
    references = References.from_frame(pd.DataFrame({"problem": [1, 2], "answer": [3, 4]}), scale=Ordinal.range(1, 5))
    with pytest.raises(MissingReferenceError, match="problem '1' .*numbers in one table and text in the other"):
        references.select(["1", "2"])


def test_a_row_of_a_file_is_a_line_and_a_row_of_a_frame_a_row(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("problem;participant;response\na;p;\n;;\na;q;3\nb;q;9\na;q;3\n")
    answers = read_table(path)
    _, problems, people = frames().values()
    for table, words in (
        (answers, "answer 9 .line 5, 1 such rows"),
        (answers.drop(index=5), "'q' answered 'a' more than once .lines 4, 6; 1 such rows"),
        (answers.drop(index=5).reset_index(drop=True), "'q' answered 'a' more than once .rows 1, 2; 1 such rows"),
        (answers.drop(index=5).replace({"q": "w"}), "'w' .line 4, 2 answers, 1 such. has no row in participants"),
    ):
        with pytest.raises(DataError, match=words):
            CrowdData.from_frames(table, problems, people, scale=Ordinal.range(1, 5))


def test_none_is_a_level_of_a_trait_and_na_a_gap(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("participant,faith\np,None\nq,NA\nr,null\ns,none\n")
    assert read_participants(path)["faith"].fillna("gap").tolist() == ["None", "gap", "gap", "none"]


def test_a_long_header_is_shown_in_part():
    wide = pd.DataFrame([range(30)], columns=[f"q{k}" for k in range(30)])
    with pytest.raises(DataError, match="lacks column 'text'; it has 'q0'.*'q11', ... .30 in all.. Rename or add it"):
        require_columns(wide, ("text",), "problems")


def test_a_gap_before_a_blank_is_a_gap(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("problem,participant,response\na,p,NA \na,q,3\na,None , n/a\n")
    there = read_table(path, ["None"])["response"].notna().tolist()
    assert (there, read_table(path, ["None"])["participant"].tolist()) == ([False, True, False], ["p", "q", "None"])


def test_a_table_of_one_column_a_problem_is_told_from_a_typo():
    wide = pd.DataFrame([["p", 1, 2, 3]], columns=["participant", "a", "b", "c"])
    with pytest.raises(DataError, match="lacks column 'problem', 'response'; .*Give one row an answer; pandas.melt"):
        require_columns(wide, ("problem", "participant", "response"), "responses")
    exported = wide.rename(columns={"participant": "Respondent ID"})
    with pytest.raises(DataError, match="mean 'Respondent ID'.*to 'participant'. Give one row an answer; pandas.melt"):
        require_columns(exported, ("problem", "participant", "response"), "responses")
    with pytest.raises(DataError, match="lacks column 'text'; it has 'problem', 'words'. Rename or add it"):
        require_columns(pd.DataFrame({"problem": ["a"], "words": ["x"]}).set_index("problem"), ("text",), "problems")


@pytest.mark.parametrize(
    ("unknown", "there", "meant"), [("P7", ["p27", "p07"], "p07"), ("A", ["b", "a"], "a"), ("x10", ["y77", "b"], None)]
)
def test_an_id_is_another_but_for_case_and_zeros(unknown, there, meant):
    assert id_hint(unknown, pd.Index(there)) == ("" if meant is None else f" Did you mean {meant!r}?")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(DataError, match="is a folder; give a table in it"):
        read_table(tmp_path)


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "old.csv").write_text("old")

    def full(file):
        file.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="old.csv' cannot be written .No space left on device.; give another place"):
        write_whole(tmp_path / "old.csv", full)
    with pytest.raises(OSError, match="^file '[^']*inner.csv' cannot be written"):
        write_whole(tmp_path / "old.csv", lambda file: write_whole(tmp_path / "inner.csv", full))
    with pytest.raises(OSError, match="c.csv' cannot be written"):
        write_whole(tmp_path / "old.csv" / "c.csv", full)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.csv", "old")]


@pytest.mark.parametrize(("n", "told"), [(0, "0 people"), (1, "1 person"), (2000, "2,000 people")])
def test_one_is_counted_in_the_singular(n, told):
    assert counted(n, "person", "people") == told
