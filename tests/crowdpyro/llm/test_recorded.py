"""Recorded answers in place of an LLM: what is missing is counted, and goes by the policy that was named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import (
    Continuous,
    CrowdData,
    CrowdLLM,
    DataError,
    FitConfig,
    MissingReferenceError,
    ModelError,
    Ordinal,
    References,
)
from crowdpyro.llm.backbone import Backbone
from crowdpyro.llm.recorded import RecordedAnswers

SCALE = Ordinal.range(1, 3)
PROBLEMS = pd.DataFrame({"text": ["one", "two", "three", "four"]}, index=pd.Index(list("abcd"), name="problem"))
# Of `x`: a answered, b refused, c off the scale, d answered; `y` answered all but c.
RECORD = pd.DataFrame(
    {
        "problem": list("abcdabcd"),
        "model": list("xxxxyyyy"),
        "answer": ["1", None, "9", "3", "2", "3", "I cannot rate this.", "1"],
    }
)


@pytest.fixture
def record() -> References:
    return References.from_frame(RECORD, scale=SCALE)


def levels(references: References, name: str) -> list[object]:
    return [[round(float(p), 3) for p in row] for row in references.source(name).base()]


def test_refusals_and_strange_answers_are_counted_apart(record: References) -> None:
    assert record.report == (
        "x: 2 of 4 answers empty or outside the scale (1 empty, 1 outside), taken as missing",
        "y: 1 of 4 answers empty or outside the scale (0 empty, 1 outside), taken as missing",
    )
    backbone = RecordedAnswers(record, source="x", missing="mean")
    assert isinstance(backbone, Backbone)
    found = backbone.refer(PROBLEMS, SCALE, progress=False)
    assert found.report == (record.report[0], "x: 2 missing references filled by policy 'mean'")


def test_an_error_is_the_default(record: References) -> None:
    backbone = RecordedAnswers(record, source="x")
    with pytest.raises(MissingReferenceError, match=r"problem 'b' has no usable reference of 'x' \(2 such\).*'drop'"):
        backbone.refer(PROBLEMS, SCALE)
    assert levels(backbone.refer(PROBLEMS.loc[["d", "a"]], SCALE), "x") == [[0, 0, 1], [1, 0, 0]]
    strange = pd.DataFrame({"text": ["five"]}, index=pd.Index(["e"], name="problem"))
    with pytest.raises(MissingReferenceError, match="problem 'e'.*has no reference"):
        backbone.refer(pd.concat([PROBLEMS.loc[["a"]], strange]), SCALE)


def test_the_problem_is_dropped(record: References) -> None:
    found = RecordedAnswers(record, source="x", missing="drop").refer(PROBLEMS, SCALE)
    assert list(found.problems) == ["a", "d"]
    assert levels(found, "x") == [[1, 0, 0], [0, 0, 1]]
    assert found.report[-1] == "2 problems dropped for want of a reference, such as 'b' (policy 'drop')"
    with pytest.raises(MissingReferenceError, match="none of the 2 problems .* and none is left"):
        RecordedAnswers(record, source="x", missing="drop").refer(PROBLEMS.loc[["b", "c"]], SCALE)


def test_other_llms_of_the_panel_stand_in(record: References) -> None:
    backbone = RecordedAnswers(record, source="x", missing="panel")
    found = backbone.refer(PROBLEMS.loc[["a", "b"]], SCALE)
    assert found.names == ("x",)
    assert levels(found, "x") == [[1, 0, 0], [0, 0, 1]]
    assert found.report == (record.report[0], "x: 1 missing references filled by policy 'panel'")
    with pytest.raises(MissingReferenceError, match="problem 'c' has no reference of any LLM"):
        backbone.refer(PROBLEMS, SCALE)


def test_the_mean_is_of_the_calibration_problems(record: References) -> None:
    every = RecordedAnswers(record, source="x", missing="mean").refer(PROBLEMS.loc[["b"]], SCALE)
    assert levels(every, "x") == [[0.5, 0, 0.5]]
    some = RecordedAnswers(record, source="x", missing="mean", calibration=["a", "b"]).refer(PROBLEMS, SCALE)
    assert levels(some, "x") == [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]]
    none = RecordedAnswers(record, source="x", missing="mean", calibration=["b", "c"])
    assert levels(none.refer(PROBLEMS.loc[["a"]], SCALE), "x") == [[1, 0, 0]]
    with pytest.raises(MissingReferenceError, match="problem 'b': 'x' answered no calibration problem"):
        none.refer(PROBLEMS, SCALE)


def test_a_problem_that_was_not_recorded_is_missing_and_counted(record: References) -> None:
    asked = pd.DataFrame({"problem": ["a", "z"], "text": "?"})
    found = RecordedAnswers(record, source="x", missing="mean").refer(asked, SCALE)
    assert levels(found, "x") == [[1, 0, 0], [0.5, 0, 0.5]]
    assert "1 of 2 problems are not among the recorded ones, taken as missing" in found.report
    with pytest.raises(MissingReferenceError, match="problem 'y'"):
        RecordedAnswers(record, source="x", missing="mean").refer(asked.assign(problem=["y", "z"]), SCALE)


def test_draws_stand_in_as_a_mixture() -> None:
    frame = pd.DataFrame({"problem": list("aab"), "answer": [1.0, 3.0, np.nan]})
    record = References.from_frame(frame, scale=Continuous(0, 10))
    found = RecordedAnswers(record, missing="mean").refer(PROBLEMS.loc[["a", "b"]], Continuous(0, 10))
    assert found.source().base().tolist() == [[1, 3], [1.5, 2.5]]


def test_what_does_not_fit_is_named(record: References, tmp_path: Path) -> None:
    path = tmp_path / "record.csv"
    RECORD.to_csv(path, index=False)
    assert RecordedAnswers(path, scale=SCALE).name == "x, y"
    with pytest.raises(DataError, match=r"record\.csv.* is a file; give the scale="):
        RecordedAnswers(path)
    with pytest.raises(DataError, match="leave scale= out"):
        RecordedAnswers(record, scale=Ordinal.range(1, 5))
    with pytest.raises(DataError, match="source 'z' is not among x, y"):
        RecordedAnswers(record, source="z")
    with pytest.raises(DataError, match="missing='zero': give 'error', 'drop', 'panel', 'mean'"):
        RecordedAnswers(record, missing="zero")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="calibration= is for missing='mean', not 'drop'"):
        RecordedAnswers(record, missing="drop", calibration=["a"])
    backbone = RecordedAnswers(record, missing="drop")
    with pytest.raises(ModelError, match="question: recorded answers cannot be asked anew"):
        backbone.refer(PROBLEMS, SCALE, question="How?")
    with pytest.raises(DataError, match="recorded answers are on"):
        backbone.refer(PROBLEMS, Ordinal.range(1, 5))


def test_the_revision_is_that_of_the_answers() -> None:
    def revision(frame: pd.DataFrame) -> str:
        return RecordedAnswers(References.from_frame(frame, scale=SCALE)).revision

    assert revision(RECORD) == revision(RECORD)
    assert revision(RECORD) != revision(RECORD.assign(answer=["2", *RECORD["answer"][1:]]))
    assert revision(RECORD) != revision(RECORD.assign(model=list("xxxxzzzz")))


def crowd_of(n: int = 12) -> CrowdData:
    answers = pd.DataFrame([(p, i, (i + k) % 3 + 1) for k, p in enumerate("abcd") for i in range(n)])
    answers.columns = ["problem", "participant", "response"]
    return CrowdData.from_frames(answers, PROBLEMS.reset_index(), scale=SCALE)


def test_a_crowd_is_fitted_to_recorded_answers(record: References, caplog: pytest.LogCaptureFixture) -> None:
    def fitted(missing: str) -> CrowdLLM:
        backbone = RecordedAnswers(record, source="x", missing=missing)  # type: ignore[arg-type]
        crowd = CrowdLLM(backbone=backbone, n_components=0, progress=False, training=FitConfig(epochs=2))
        return crowd.fit(crowd_of(), seed=0)

    assert list(fitted("mean").problems.index) == list("abcd")
    dropped = fitted("drop")
    assert list(dropped.problems.index) == ["a", "d"]
    assert "the backbone dropped 2 of 4 problems, answers and all" in caplog.text
    assert dropped.generate(5, ["a", "d"], seed=0).n_problems == 2
    with pytest.raises(MissingReferenceError, match="problem 'b'"):
        fitted("error")


def test_nine_llms_on_real_comments(popquorn_dir: Path) -> None:
    """POPQUORN: every refusal and rating off the scale is found by hand as well, and every policy fills or drops it."""
    raw = pd.read_csv(popquorn_dir / "offensiveness_llm_answers.csv.gz")
    frame = raw.rename(columns={"instance_id": "problem", "score": "answer"})
    scale = Ordinal.range(1, 5)
    record = References.from_frame(frame, scale=scale)
    off = frame["answer"].notna() & ~frame["answer"].isin([1, 2, 3, 4, 5])
    for name, rows in frame.groupby("model"):
        n_empty, n_off = int(rows["answer"].isna().sum()), int(off[rows.index].sum())
        (note,) = [each for each in record.report if each.startswith(f"{name}: ")] or [""]
        said = f"{n_empty + n_off} of {len(rows)} answers empty or outside the scale ({n_empty} empty, {n_off} outside)"
        assert (said in note) == bool(n_empty + n_off), name
    zero_shot = frame[frame["persona"].isna() | (frame["persona"] == "")]
    unusable = {
        name: set(rows["problem"]) - set(rows["problem"][rows["answer"].isin([1, 2, 3, 4, 5])])
        for name, rows in zero_shot.groupby("model")
    }
    problems = pd.DataFrame({"problem": sorted(frame["problem"].unique()), "text": "a comment"})
    assert sum(map(len, unusable.values())) > 0
    for name, gaps in unusable.items():
        holes = problems["problem"].isin(gaps).to_numpy()
        if not gaps:
            assert not RecordedAnswers(record, source=name).refer(problems, scale).missing().size
            continue
        with pytest.raises(MissingReferenceError, match=rf"of '{name}' \({len(gaps)} such\)"):
            RecordedAnswers(record, source=name).refer(problems, scale)
        dropped = RecordedAnswers(record, source=name, missing="drop").refer(problems, scale)
        assert set(dropped.problems) == set(problems["problem"]) - gaps
        by_mean = RecordedAnswers(record, source=name, missing="mean").refer(problems, scale)
        values = by_mean.source(name).base()
        np.testing.assert_allclose(values[holes], np.tile(values[~holes].mean(axis=0), (len(gaps), 1)))
        by_panel = RecordedAnswers(record, source=name, missing="panel").refer(problems, scale)
        others = np.nanmean(
            [record.select(problems["problem"]).probabilities(other) for other in record.names if other != name], axis=0
        )
        np.testing.assert_allclose(by_panel.source(name).base()[holes], others[holes])
        np.testing.assert_allclose(by_panel.source(name).base()[~holes], values[~holes])
        for policy, found in (("mean", by_mean), ("panel", by_panel)):
            assert f"{name}: {len(gaps)} missing references filled by policy {policy!r}" in found.report
