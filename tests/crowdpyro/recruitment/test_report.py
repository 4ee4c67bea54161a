"""Recruited against wanted: association in closed form, the report, the picture, the command, crowds of recruits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association
from typer.testing import CliRunner

import crowdpyro as cp
from crowdpyro import cli
from crowdpyro.data import read_participants
from crowdpyro.errors import DataError
from crowdpyro.inference.profile_training import ProfileFitConfig
from crowdpyro.recruitment import (
    LearnedProfiles,
    Margins,
    MarginsAlone,
    Pool,
    RakedPool,
    cramers_v,
    nearest_people,
    pairwise_v,
    recruitment_report,
)


def test_cramers_v_is_scipys_and_its_correction_is_unbiased_at_zero():
    rng = np.random.default_rng(0)
    table = rng.integers(1, 30, (4, 3))
    assert cramers_v(table, corrected=False) == pytest.approx(association(table, method="cramer"))
    plain, mended = [], []
    for _ in range(300):
        counts = np.zeros((6, 8))
        np.add.at(counts, (rng.integers(6, size=131), rng.integers(8, size=131)), 1)
        plain.append(cramers_v(counts, corrected=False))
        mended.append(cramers_v(counts))
    assert np.mean(plain) == pytest.approx(0.23, abs=0.01)
    assert np.mean(mended) < 0.06
    assert cramers_v(np.diag([5, 5, 5])) == pytest.approx(1.0)
    assert cramers_v([[3, 4]]) == 0.0
    with pytest.raises(DataError, match="no table of numbers"):
        cramers_v([["a", "b"]])


def test_a_weighted_target_hangs_together_as_its_population_does(census):
    """Of owners who are employed few were asked; weights tell of the whole census."""
    rng = np.random.default_rng(0)
    chance = np.where((census["owner"] == "yes") & (census["work"] == "employed"), 0.15, 0.9)
    asked = rng.random(len(census)) < chance
    sample, weights = census[asked], 1 / chance[asked]
    pair = ("work", "owner")
    truth = pairwise_v(census)[pair]
    plain, weighted = (
        recruitment_report(Pool(census).draw(500), sample, weights=each, max_n=50) for each in (None, weights)
    )
    assert abs(plain.association["target"][pair] - truth) > 0.1
    assert weighted.association["target"][pair] == pytest.approx(truth, abs=0.04)
    assert weighted.weights @ (sample["owner"] == "yes") == pytest.approx((census["owner"] == "yes").mean(), abs=0.02)
    # Of independent traits weights, which make a sample worth less, make V no larger.
    rng = np.random.default_rng(1)
    people = pd.DataFrame({name: rng.choice(list("abcdef"), 400) for name in ("one", "other")})
    found = [pairwise_v(people.sample(frac=1, random_state=s), weights=rng.exponential(size=400)) for s in range(3)]
    assert max(float(each.iloc[0]) for each in found) < 0.15
    shuffled = []
    for _ in range(200):
        people["one"] = rng.permutation(people["one"].to_numpy())
        shuffled.append(float(pairwise_v(people, weights=rng.exponential(size=400)).iloc[0]))
    # Unmended, of equal weights, .1.
    assert np.mean(shuffled) < 0.05


def test_report_against_margins_and_people(census):
    margins = Margins({"gender": {"man": 0.4, "woman": 0.59, "other": 0.01}, "age": {"18-49": 0.5, "50+": 0.5}})
    drawn = RakedPool(census, margins, quotas=True).draw(200)
    report = recruitment_report(drawn, margins=margins)
    assert report.largest_gap < 1e-9
    assert report.distance is None
    assert report.margins["wanted"].tolist() == [0.4, 0.59, 0.01, 0.5, 0.5]
    crooked = recruitment_report(census, margins=Margins({"gender": {"man": 0.5, "woman": 0.5}}))
    assert crooked.margins["level"].tolist() == ["man", "woman", "none of these"]
    assert crooked.margins["achieved"].sum() == pytest.approx(1.0)
    both = recruitment_report(Pool(census).draw(1000), census, max_n=100)
    assert both.distance.p_value > 0.01
    assert both.association.index.tolist()[0] == ("gender", "age")
    assert "age" not in set(both.margins["trait"])
    assert both.margins.loc[both.margins["trait"] == "education", "level"].tolist()[0] == "none"
    assert "1,000 people" in repr(both)


def test_pictures(census, tmp_path):
    picture = recruitment_report(Pool(census).draw(500), census, max_n=50).figure()
    titles = {axes.get_title(loc="left") for axes in picture.axes if axes.get_visible()}
    assert {"gender", "age", "income", "age and work, real", "Cramer's V of every two traits"} <= titles
    picture.savefig(tmp_path / "page.png")
    few = pd.DataFrame({"a": ["x", "y"] * 10})
    assert recruitment_report(few, few).figure().axes
    wide = Margins({f"trait {i}": {f"level {j}": 1 / 40 for j in range(40)} for i in range(12)})
    many = recruitment_report(MarginsAlone(wide).draw(50), margins=wide).figure()
    assert "(28 rarer levels left out)" in many.axes[0].get_title(loc="left")
    numbers = pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50.0) ** 2, "c": 1.0})
    assert recruitment_report(numbers, numbers).figure().axes
    towns = pd.DataFrame({"town": [f"town {i % 60}" for i in range(240)], "even": [i % 2 for i in range(240)]}).map(str)
    panel = recruitment_report(towns, towns, max_n=20).figure().axes[3]
    assert [len(panel.get_yticks()), panel.get_yticklabels()[-1].get_text()] == [12, "others"]


def test_gaps_single_people_and_nothing_to_compare(census):
    gaps = pd.DataFrame({"a": ["x", None, "y", "x"] * 5, "b": [1.0, np.nan, 3, 4] * 5})
    assert set(recruitment_report(gaps, gaps).margins["level"]) >= {"x", "y", "missing"}
    one = census.head(1)
    assert recruitment_report(one, one).distance is None
    assert pairwise_v(one).eq(0).all()
    with pytest.raises(DataError, match="give people, margins, or both"):
        recruitment_report(census)
    with pytest.raises(DataError, match="lacks column 'income'"):
        recruitment_report(census.drop(columns="income"), census)
    with pytest.raises(DataError, match="give some each"):
        nearest_people(one, one, one.iloc[:0])


def test_nearest_people_by_hand():
    training, others = pd.DataFrame({"x": [0.0, 10.0]}), pd.DataFrame({"x": [5.0, 8.0]})
    found = nearest_people(pd.DataFrame({"x": [0.0, 1.0, 6.0, 9.0]}), training, others)
    # 0 and 1 are nearest to 0, 6 to 5, and 9 lies between 8 and 10.
    assert found.nearest_training == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert found.same == 0.25
    assert found.same_by_chance == 0.0
    assert found.chance == 0.5


@pytest.fixture
def files(census, tmp_path):
    people = census.head(300).assign(participant=np.arange(300)).drop(columns="income")
    people.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "margins.csv").write_text("trait,level,share\ngender,man,40\ngender,woman,60\ngender,other,0\n")
    return tmp_path


def recruited(files, *options):
    done = CliRunner().invoke(cli.app, ["recruit", "--out", str(files / "out.csv"), *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output, pd.read_csv(files / "out.csv")


def test_command(files):
    people, margins = str(files / "people.csv"), str(files / "margins.csv")
    told, found = recruited(files, people, "--margins", margins, "--n", "50", "--quotas")
    assert "wrote 50 people" in told
    assert found["gender"].value_counts().to_dict() == {"woman": 30, "man": 20}
    assert found.columns.tolist()[0] == "participant"
    told, found = recruited(files, people, "--qualified", "age >= 60", "--n", "20")
    assert (found["age"] >= 60).all()
    # As `crowdpyro generate --participants` reads it.
    assert read_participants(files / "out.csv").columns.tolist() == found.columns.tolist()[1:]
    told, found = recruited(files, "--margins", margins, "--n", "10")
    assert found.columns.tolist() == ["participant", "gender"]
    told, found = recruited(files, people, "--n", "200", "--picture", str(files / "page.png"))
    assert "the same law" in told
    assert (files / "page.png").stat().st_size > 10_000


def test_quotas_of_a_learned_law_are_balanced_draws(files, monkeypatch):
    config = ProfileFitConfig(n_classes=(2,), num_steps=20)
    learned = LearnedProfiles.fit(read_participants(files / "people.csv"), config=config)
    monkeypatch.setattr(LearnedProfiles, "fit", lambda *args, **how: learned)
    _, found = recruited(files, str(files / "people.csv"), "--learned", "--quotas", "--n", "60", "--seed", "3")
    wanted = learned.draw(60, seed=3, balanced=True)
    assert found["owner"].tolist() == wanted["owner"].tolist()
    assert wanted["owner"].tolist() != learned.draw(60, seed=3)["owner"].tolist()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "there is nobody to recruit"),
        (["PEOPLE", "--quotas"], "--quotas are of margins"),
        (["--margins", "MARGINS", "--learned"], "are of candidates"),
        (["PEOPLE", "--margins", "MARGINS", "--learned"], "in a second call"),
        (["PEOPLE", "--qualified", "age > 300"], "no profile of 300 meets it"),
        (["PEOPLE", "--ordinal", "age"], "write TRAIT=LEVEL,LEVEL"),
        (["PEOPLE", "--weight", "wieght"], "lacks column 'wieght'"),
        (["PEOPLE", "--picture", "page.doc"], "must be .png, .pdf or .svg"),
        (["PEOPLE", "--out", "PEOPLE"], "would replace it"),
    ],
)
def test_command_says_what_is_wrong(files, options, told):
    names = {"PEOPLE": str(files / "people.csv"), "MARGINS": str(files / "margins.csv")}
    with pytest.raises(DataError, match=told):
        recruited(files, *(names.get(option, option) for option in options))


def test_recruits_answer(census):
    """A crowd of recruits, the same for all problems or fresh ones for each."""
    rng = np.random.default_rng(0)
    people = census.head(40)[["gender", "age"]].rename_axis("participant").reset_index()
    rows = [(f"q{t}", i, int(rng.integers(1, 6))) for i in range(40) for t in range(3)]
    answers = pd.DataFrame(rows, columns=["problem", "participant", "response"])
    problems = pd.DataFrame({"problem": ["q0", "q1", "q2"], "text": ["one", "two", "three"]})
    data = cp.CrowdData.from_frames(answers, problems, people, scale=cp.Ordinal.range(1, 5))
    fit = cp.FitConfig(epochs=1, margin_steps=0)
    model = cp.CrowdLLM(n_components=0, n_hidden=4, training=fit).fit(data)
    pool = Pool(model.profiles, qualified="gender != 'other'")
    same = model.generate(pool.draw(50, seed=1))
    assert same.n_participants == 50
    fresh = model.generate(pool.draw(150, seed=1), crossed=False)
    assert fresh.n_participants == 50
    assert not np.isnan(fresh.codes()).any()
    with pytest.raises(DataError, match="give a multiple of 3 rows"):
        model.generate(pool.draw(100), crossed=False)
    with pytest.raises(DataError, match="has no weight"):
        model.generate(pool.draw(3).assign(weight=[1.0, 2, 3]), crossed=False)
