"""Profiles: gaps are kept as information, and strangers to the training people are named."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro import DataError
from crowdpyro.profiles import ProfileEncoder, clean_profiles

PEOPLE = pd.DataFrame({"age": [20.0, 30.0, 40.0, 70.0], "home": ["x", "y", "x", "x"]})


def test_gaps_become_medians_marks_and_a_level():
    gaps = pd.DataFrame({"age": [20.0, np.nan, 40.0, 90.0], "home": ["x", None, "y", "x"], "whole": [1, 2, 3, 4]})
    filled, notes = clean_profiles(gaps)
    assert filled["age"].tolist() == [20.0, 40.0, 40.0, 90.0]
    assert filled["age_missing"].tolist() == [0, 1, 0, 0]
    assert filled["home"].tolist() == ["x", "missing", "y", "x"]
    assert "whole_missing" not in filled
    assert notes == [
        "profile 'age': 1 missing, set to the median 40, marked",
        "profile 'home': 1 missing, kept as level 'missing'",
    ]
    assert gaps["age"].isna().sum() == 1


def test_numbers_written_as_text_are_numbers_and_yes_or_no_are_levels():
    filled, notes = clean_profiles(pd.DataFrame({"age": ["20", "30"], "member": [True, False]}))
    assert filled["age"].tolist() == [20.0, 30.0]
    assert filled["member"].tolist() == ["True", "False"]
    assert not notes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0] * 9 + [np.inf], "'age' of participants: inf is not finite .participant 9, 1 such.; correct it or leave"),
        ([1.0] * 9 + [-np.inf], "'age' of participants: -inf is not finite .participant 9, 1 such.; correct it"),
        (
            ["1"] * 9 + ["old"],
            "'age' of participants: 'old' is not a number, and the rest is .participant 9, 1 such.. Correct it",
        ),
        (["34,5", "2"], "'age' of participants holds decimal commas, such as '34,5'; write 34.5, or separate"),
        ([pd.NaT] * 2, "'age' of participants holds dates; turn it into a number"),
        ([date(1990, 5, 1), None], "'age' of participants holds dates, such as 1990-05-01; turn it into a number"),
        ([pd.Timedelta(days=9)], "'age' of participants holds dates, such as 9 days"),
    ],
)
def test_bad_numbers_name_column_value_and_remedy(values, words):
    with pytest.raises(DataError, match=words):
        clean_profiles(pd.DataFrame({"age": values}))


@pytest.mark.parametrize(("n_people", "n_levels"), [(100, 51), (80, 80), (102, 51), (50, 50), (50, 45), (20, 20)])
def test_free_text_is_told_from_a_trait(n_people, n_levels):
    people = pd.DataFrame({"town": [f"t{k % n_levels}" for k in range(n_people)]})
    if (n_people, n_levels) in [(100, 51), (80, 80), (50, 50)]:
        with pytest.raises(DataError, match=f"'town' .* {n_levels} different texts among {n_people} .*'t0'.*leave it"):
            clean_profiles(people)
    else:
        assert clean_profiles(people)[0]["town"].nunique() == n_levels


def test_an_indicator_overwrites_no_column():
    people = pd.DataFrame({"age": [1.0, None], "age_missing": [0, 1]})
    with pytest.raises(DataError, match="'age' of participants has gaps.*'age_missing'.*rename or drop"):
        clean_profiles(people)
    assert list(clean_profiles(people.fillna(2.0))[0]) == ["age", "age_missing"]


def test_encoded_people_are_centred_and_of_unit_mean_squared_norm():
    encoder = ProfileEncoder.fit(PEOPLE)
    encoded = encoder.transform(PEOPLE)
    assert encoded.shape == (4, encoder.n_columns) == (4, 3)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
    assert np.square(encoded).sum(axis=1).mean() == pytest.approx(1, rel=1e-6)
    # By hand: mean 40, variance (400 + 100 + 0 + 900) / 4 = 350; shares 3/4 and 1/4, whose mean squared norm is 3/8.
    by_hand = np.array([-20 / np.sqrt(350), 0.25, -0.25]) / np.sqrt(1 + 3 / 8)
    np.testing.assert_allclose(encoded[0], by_hand, rtol=1e-5)


def test_new_people_are_encoded_by_what_training_showed():
    encoder = ProfileEncoder.fit(PEOPLE)
    both = encoder.transform(PEOPLE.iloc[[1, 0]][["home", "age"]].assign(extra=1))
    np.testing.assert_array_equal(both, encoder.transform(PEOPLE)[[1, 0]])
    np.testing.assert_array_equal(encoder.transform(PEOPLE.iloc[[3]]), encoder.transform(PEOPLE)[[3]])


def test_a_trait_that_all_share_says_nothing():
    same = pd.DataFrame({"age": [5.0, 5.0], "home": ["x", "x"]})
    encoder = ProfileEncoder.fit(same)
    np.testing.assert_array_equal(encoder.transform(same), np.zeros((2, 2)))
    assert ProfileEncoder.fit(pd.DataFrame(index=range(3))).transform(pd.DataFrame(index=range(2))).shape == (2, 0)


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (PEOPLE.assign(home="z"), "'home' of participants: 'z' was never seen.*known are 'x', 'y'.*Map it.*or refit"),
        (PEOPLE[["home"]], "profiles lack column 'age'.*add it"),
        (PEOPLE[["age"]], "profiles lack column 'home'.*add it"),
        (PEOPLE.rename(columns={"home": "Home town"}), "lack column 'home'.*did you mean 'Home town'. Rename it to"),
        (PEOPLE.assign(home="missing"), "'missing' was never seen in training .participant .* such.*Fill the gap, or"),
        (PEOPLE.assign(age="old"), "'age' of participants: 'old' is not a finite number.*correct or fill"),
        (PEOPLE.assign(age=np.nan), "'age' of participants: nan is not a finite number.*correct or fill"),
        (PEOPLE.assign(age=np.inf), "'age' of participants: inf is not a finite number.*correct or fill"),
    ],
)
def test_what_training_never_saw_is_named(people, words):
    with pytest.raises(DataError, match=words):
        ProfileEncoder.fit(PEOPLE).transform(people)


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.sampled_from(["u", "v", "w"]), st.text(max_size=3)), min_size=1, max_size=12
    )
)
def test_an_encoder_survives_json(rows):
    people = pd.DataFrame(rows, columns=["age", "group", "word"]).astype({"word": object})
    encoder = ProfileEncoder.fit(people)
    again = ProfileEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again == encoder
    np.testing.assert_array_equal(again.transform(people), encoder.transform(people))
    assert np.isfinite(encoder.transform(people)).all()


@pytest.mark.parametrize("name", ["problem", "response", "source"])
def test_a_trait_does_not_take_the_place_of_a_crowds_own_column(name):
    with pytest.raises(DataError, match=f"column {name!r} of participants: crowds have a column of that name.*rename"):
        clean_profiles(pd.DataFrame({name: ["x", "y"]}))


GAPS = pd.DataFrame({"age": [20.0, 30.0, 100.0, np.nan], "home": ["1", "2", None, "x"], "free": [1.0, 2.0, 3.0, 4.0]})


def test_new_people_are_filled_from_the_people_of_training():
    training, _ = clean_profiles(GAPS)
    new = pd.DataFrame(
        {"age": [90.0, None, 95.0], "home": [1.0, None, 2.0], "free": [None, 7.0, 9.0], "other": [1, 2, 3]}
    )
    filled, notes = clean_profiles(new, training)
    # The mean of those who gave it is 50, the median 30; the file's own median would be 92.5.
    assert filled["age"].tolist() == [90.0, 30.0, 95.0]
    assert filled["age_missing"].tolist() == [0, 1, 0]
    assert filled["free"].tolist() == [2.5, 7.0, 9.0]
    assert filled["home"].tolist() == ["1", "missing", "2"]
    assert notes == [
        "profile 'age': 1 missing, set to training's median 30, marked",
        "profile 'home': 1 missing, kept as level 'missing'",
        "profile 'free': 1 missing, set to training's median 2.5, marked",
    ]
    encoded = ProfileEncoder.fit(training).transform(filled)
    assert np.isfinite(encoded).all()


def test_people_without_a_gap_need_no_marks():
    encoder = ProfileEncoder.fit(clean_profiles(GAPS)[0])
    whole = pd.DataFrame({"age": [20.0], "home": ["1"], "free": [1.0]})
    np.testing.assert_array_equal(encoder.transform(whole), encoder.transform(whole.assign(age_missing=0.0)))


def test_what_is_a_trait_is_for_the_model_to_say():
    people = pd.DataFrame({"town": [f"t{k % 15}" for k in range(200)], "age": np.arange(200.0)})
    training, _ = clean_profiles(people)
    few = pd.DataFrame({"town": [f"t{k % 15}" for k in range(30)], "age": 1.0, "name": [f"n{k}" for k in range(30)]})
    with pytest.raises(DataError, match="'name' .* 30 different texts"):
        clean_profiles(few)
    filled, notes = clean_profiles(few, training)
    assert not notes
    assert len(ProfileEncoder.fit(training).transform(filled)) == 30
    with pytest.raises(DataError, match="'age' of participants: 'old' is not a number, as in training"):
        clean_profiles(few.assign(age="old"), training)
