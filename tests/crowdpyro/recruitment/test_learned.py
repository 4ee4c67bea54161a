"""A learned generator: it knows the law, conditions exactly, copies nobody, and refuses what it cannot learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import datasets, theory
from crowdpyro.errors import DataError, ModelError
from crowdpyro.inference.profile_training import ProfileFitConfig
from crowdpyro.recruitment import (
    LearnedProfiles,
    Pool,
    ProfileGenerator,
    nearest_people,
    pairwise_v,
    recruitment_report,
)

QUICK = ProfileFitConfig(n_classes=(12,), num_steps=120, lr=0.1)
EDUCATION = ["none", "school", "college", "degree", "doctorate"]
AGES = ["18-24", "25-29", "30-34", "35-39", "40-44", "45-49", "50-54", "54-59", "60-64", ">65"]


@pytest.fixture(scope="module")
def learned(census):
    return LearnedProfiles.fit(census, config=QUICK, seed=0)


def test_draws_have_the_columns_and_the_law(census, learned):
    drawn = learned.draw(5000, seed=1)
    assert isinstance(learned, ProfileGenerator)
    assert list(drawn.columns) == list(census.columns)
    assert set(drawn["education"]) <= set(EDUCATION)
    assert set(drawn["age"]) <= set(census["age"])
    assert drawn["income"].between(census["income"].min(), census["income"].max()).all()
    assert (drawn["income"] % 1 == 0).all()
    pd.testing.assert_frame_equal(drawn, learned.draw(5000, seed=1))
    report = recruitment_report(drawn, census, max_n=250)
    assert report.distance.w1 < report.distance.baseline_mean + 2 * report.distance.baseline_sd
    assert report.largest_gap < 0.03
    gaps = (report.association["recruited"] - report.association["target"]).abs()
    assert gaps.max() < 0.12
    assert gaps.mean() < 0.04


def test_independent_traits_would_fail(census):
    """The same figures of shuffled columns, so that the bars above are known to tell."""
    rng = np.random.default_rng(0)
    shuffled = census.apply(lambda column: rng.permutation(column.to_numpy()))
    report = recruitment_report(shuffled, census, max_n=250)
    assert report.distance.w1 > report.distance.baseline_mean + 2 * report.distance.baseline_sd
    assert (report.association["recruited"] - report.association["target"]).abs().mean() > 0.08


def test_conditional_draws(census, learned):
    condition = "age >= 60 and gender == 'woman' and region in ['West', 'Centre']"
    women = learned.among(condition)
    drawn = women.draw(1500, seed=3)
    assert ((drawn["age"] >= 60) & (drawn["gender"] == "woman") & drawn["region"].isin(["West", "Centre"])).all()
    plain = learned.draw(60_000, seed=4)
    met = plain[(plain["age"] >= 60) & (plain["gender"] == "woman") & plain["region"].isin(["West", "Centre"])]
    chance, error = women.chance()
    assert chance == pytest.approx(len(met) / 60_000, abs=5 * np.sqrt(chance / 60_000) + 3 * error)
    for work in ("retired", "employed"):
        one, other = (drawn["work"] == work).mean(), (met["work"] == work).mean()
        # Four standard errors of the difference of two shares.
        assert abs(one - other) < 4 * 0.5 * np.sqrt(1 / 1500 + 1 / len(met))
    assert learned.among("gender == 'woman'").chance()[1] == 0.0
    with pytest.raises(DataError, match="did you mean 'gender'"):
        learned.among("gendr == 'woman'").draw(3)
    with pytest.raises(DataError, match="no profile has such labels"):
        learned.among("gender == 'robot'").draw(3)


def test_too_rare_a_condition_says_so(learned, monkeypatch):
    monkeypatch.setattr("crowdpyro.recruitment.learned._MOST_DRAWS", 1000)
    with pytest.raises(DataError, match=r"0 of 1,\d+ drawn profiles meet it"):
        learned.among("age < 0").draw(3)


def test_balanced_draws_have_the_margins_of_the_law(learned):
    law = learned.draw(4000, seed=7)
    drawn = learned.draw(200, seed=7, balanced=True)
    assert len(drawn) == 200
    for trait in ("gender", "region", "work", "owner"):
        wanted = law[trait].value_counts(normalize=True) * 200
        found = drawn[trait].value_counts().reindex(wanted.index, fill_value=0)
        assert (found - wanted).abs().max() < 1


def test_nobody_is_copied(census, learned, simulate):
    others = simulate(5000, 1)
    found = nearest_people(learned.draw(1000, seed=5), census, others, seed=0)
    assert found.same <= found.same_by_chance + 0.001
    # A fit is a little nearer to its own sample than to another; a pool is all there.
    assert found.nearest_training < 0.56
    copied = nearest_people(Pool(census).draw(1000, seed=5), census, others, seed=0)
    assert copied.nearest_training > 0.95
    assert copied.same == 1.0
    assert copied.p_value == 0.001


def test_embeddings_and_continuous_traits_keep_their_covariance():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(3000, 1))
    vectors = common * [1.0, -0.8, 0.6, 0.0] + 0.6 * rng.normal(size=(3000, 4))
    people = pd.DataFrame(vectors, columns=[f"text_{j}" for j in range(4)]).assign(
        group=np.where(common[:, 0] + rng.normal(0, 0.5, 3000) > 0, "a", "b")
    )
    drawn = LearnedProfiles.fit(people, config=QUICK).draw(3000, seed=0)
    numbers = [f"text_{j}" for j in range(4)]
    assert (people[numbers].corr() - drawn[numbers].corr()).abs().to_numpy().max() < 0.1
    for name in numbers[:3]:
        gap = [each.groupby("group")[name].mean().diff().iloc[1] for each in (people, drawn)]
        assert gap[1] == pytest.approx(gap[0], abs=0.25)
    assert not set(drawn["text_0"]) & set(people["text_0"])


def test_weights_change_the_law(census):
    weights = np.where(census["gender"] == "woman", 3.0, 1.0)
    config = ProfileFitConfig(n_classes=(4,), num_steps=100, lr=0.1)
    drawn = LearnedProfiles.fit(census.assign(weight=weights), config=config).draw(4000)
    women = (census["gender"] == "woman").mean()
    assert "weight" not in drawn
    assert (drawn["gender"] == "woman").mean() == pytest.approx(3 * women / (1 + 2 * women), abs=0.04)
    few = census.head(60).assign(weight=[1.0] * 12 + [0.0] * 48)
    choose = ProfileFitConfig(n_classes=(1, 2), num_steps=3)
    assert set(LearnedProfiles.fit(few, config=choose).draw(50)["region"]) <= set(few["region"].head(12))
    for seed in range(3):
        with pytest.raises(DataError, match="people has 1 profiles of positive weight"):
            LearnedProfiles.fit(census.head(60), weights=[1.0] + [0.0] * 59, config=choose, seed=seed)


def test_classes_are_chosen_on_people_held_out(census):
    two = pd.DataFrame({"a": np.repeat(["x", "y"], 200), "b": np.repeat(["u", "v"], 200)})
    config = ProfileFitConfig(n_classes=(1, 2), num_steps=80, lr=0.1)
    fitted = LearnedProfiles.fit(two, config=config).fitted
    assert fitted.model.n_classes == 2
    # log 1/2 of both, against log 1/2 of the class alone.
    assert fitted.scores[1] == pytest.approx(2 * np.log(0.5), abs=0.03)
    assert fitted.scores[2] == pytest.approx(np.log(0.5), abs=0.25)


def test_it_comes_back_from_disk(census, learned, tmp_path):
    women = learned.among("age >= 60 and gender == 'woman'")
    assert women.save(tmp_path / "women") == tmp_path / "women"
    assert sorted(each.name for each in (tmp_path / "women").iterdir()) == ["profiles.json", "profiles.safetensors"]
    again = LearnedProfiles.load(tmp_path / "women")
    assert again.given == women.given
    for balanced in (False, True):
        pd.testing.assert_frame_equal(
            again.draw(50, seed=2, balanced=balanced), women.draw(50, seed=2, balanced=balanced), check_exact=True
        )
    assert again.chance() == women.chance()
    assert (again.fitted.scores, again.fitted.loss) == (women.fitted.scores, women.fitted.loss)
    # Constant columns, integers, gaps, and no ordered or no nominal trait.
    config = ProfileFitConfig(n_classes=(1, 2), num_steps=3)
    for people in (
        pd.DataFrame(
            {"country": ["CH"] * 40, "year": 2024, "grade": [1, 2, 2, 3] * 10, "age": [None, 3.5, 4.5, 7] * 10}
        ),
        pd.DataFrame({"town": list("abcd") * 10}),
        pd.DataFrame({"country": ["CH"] * 12, "year": 2024}),
    ):
        made = LearnedProfiles.fit(people, config=config)
        made.save(tmp_path / "other")
        pd.testing.assert_frame_equal(
            LearnedProfiles.load(tmp_path / "other").draw(20), made.draw(20), check_exact=True
        )


def test_another_folder_is_refused(learned, tmp_path):
    with pytest.raises(ModelError, match="holds no readable profile generator"):
        LearnedProfiles.load(tmp_path)
    learned.save(tmp_path)
    text = (tmp_path / "profiles.json").read_text()
    arrays = (tmp_path / "profiles.safetensors").read_bytes()
    for found, told in (
        (text.replace('"format": 1', '"format": 9'), "has format 9; this version reads 1: load it with the version"),
        (text.replace('"format": 1', '"format": 0'), "learn it again with this version"),
        (text.replace('"columns"', '"colums"'), "is damaged .KeyError"),
        (text[:-9], "holds no readable"),
        ("[]", "holds no readable profile generator: it is a list"),
    ):
        (tmp_path / "profiles.json").write_text(found)
        with pytest.raises(ModelError, match=told):
            LearnedProfiles.load(tmp_path)
    (tmp_path / "profiles.json").write_text(text)
    (tmp_path / "profiles.safetensors").write_bytes(arrays[:-1] + bytes([arrays[-1] ^ 1]))
    with pytest.raises(ModelError, match="do not belong together; learn or copy it again"):
        LearnedProfiles.load(tmp_path)


@pytest.mark.parametrize(
    ("people", "told"),
    [
        (pd.DataFrame({"a": ["x"]}), "people has 1 profiles"),
        (pd.DataFrame({"a": []}), "give one row a person"),
        (pd.DataFrame({"a": [1.0, np.inf] * 10}), "is not finite"),
        (pd.DataFrame({"name": [f"person {i}" for i in range(100)]}), "100 different texts among 100 people"),
    ],
)
def test_what_cannot_be_learned_is_refused(people, told):
    with pytest.raises(DataError, match=told):
        LearnedProfiles.fit(people, config=QUICK)


def test_constant_columns_gaps_and_ten_thousand_categories():
    rng = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "country": "CH",
            "year": 2024.0,
            "town": [f"town {i}" for i in rng.integers(10_000, size=22_000)],
            "age": np.where(rng.random(22_000) < 0.1, np.nan, rng.integers(18, 90, 22_000)),
        }
    )
    config = ProfileFitConfig(n_classes=(2,), num_steps=3)
    drawn = LearnedProfiles.fit(people, config=config).draw(100, seed=0)
    assert (drawn["country"] == "CH").all()
    assert (drawn["year"] == 2024).all()
    assert drawn["town"].isin(people["town"]).all()
    assert set(drawn["age_missing"]) <= {0.0, 1.0}
    alike = pd.DataFrame({"country": ["CH"] * 20, "year": 2024.0})
    pd.testing.assert_frame_equal(
        LearnedProfiles.fit(alike, config=config).draw(3).reset_index(drop=True), alike.head(3)
    )
    with pytest.raises(DataError, match="ordinal names the trait 'grade'"):
        LearnedProfiles.fit(alike, ordinal={"grade": ["a", "b"]})
    with pytest.raises(DataError, match="'year' has a level twice"):
        LearnedProfiles.fit(alike, ordinal={"year": ["2024", "2023", "2024"]})
    with pytest.raises(DataError, match="which is not among"):
        LearnedProfiles.fit(people.head(50)[["age"]].assign(c=list("abcde") * 10), ordinal={"c": ["a", "b"]})


@pytest.mark.parametrize(
    "wrong", [{"n_classes": ()}, {"num_steps": 0}, {"lr": 0.0}, {"holdout": 1.0}, {"smoothing": -1.0}]
)
def test_settings_are_checked(wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        ProfileFitConfig(**wrong)


@pytest.mark.slow
def test_census_of_50_000(simulate):
    census = simulate(50_000, 0)
    learned = LearnedProfiles.fit(census, seed=0)
    report = recruitment_report(learned.draw(50_000, seed=1), census)
    assert (report.association["recruited"] - report.association["target"]).abs().max() < 0.05
    assert abs(report.distance.w1 - report.distance.baseline_mean) < 2 * report.distance.baseline_sd


@pytest.mark.slow
def test_half_of_popquorn(popquorn_dir):
    """Trained on one half, as near to the other as the real half is: eight splits."""
    people = datasets.load_offensiveness(popquorn_dir.parent)[0].participants.reset_index(drop=True)
    coordinates = theory.ProfileCoordinates.fit(people, ordinal={"age": AGES})
    rows = []
    for split in range(8):
        order = np.random.default_rng(split).permutation(len(people))
        one, other = people.iloc[order[:131]], people.iloc[order[131:]]
        learned = LearnedProfiles.fit(one, ordinal={"age": AGES}, seed=split)
        drawn, many = learned.draw(131, seed=split, balanced=True), learned.draw(4000, seed=split)
        found = nearest_people(many, one, other, ordinal={"age": AGES})
        w1 = [theory.point_w1(*(coordinates.transform(each)[0] for each in (mine, other))) for mine in (one, drawn)]
        v = [(pairwise_v(mine) - pairwise_v(other)).abs().mean() for mine in (one, many)]
        rows.append([*w1, *v, found.same, found.same_by_chance])
    w1_real, w1_made, v_real, v_made, same, chance = np.array(rows).T
    assert w1_made.mean() < w1_real.mean() + 2 * w1_real.std(ddof=1)
    assert v_made.mean() < v_real.mean() + 2 * v_real.std(ddof=1)
    assert same.mean() <= chance.mean()
