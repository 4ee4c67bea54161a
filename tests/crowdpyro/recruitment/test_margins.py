"""Raked and quota crowds: margins met, maximum entropy, quotas to a person, contradictions by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from crowdpyro.errors import DataError
from crowdpyro.recruitment import Margins, MarginsAlone, Pool, ProfileGenerator, RakedPool

FIVE = {
    "gender": {"man": 0.485, "woman": 0.5, "other": 0.015},
    "age": {"18-29": 0.18, "30-49": 0.32, "50-64": 0.24, "65+": 0.26},
    "education": {"none": 0.1, "school": 0.32, "college": 0.3, "degree": 0.2, "doctorate": 0.08},
    "region": {"North": 0.3, "South": 0.25, "East": 0.2, "West": 0.15, "Centre": 0.1},
    ("gender", "owner"): {
        ("man", "yes"): 0.3,
        ("man", "no"): 0.185,
        ("woman", "yes"): 0.26,
        ("woman", "no"): 0.24,
        ("other", "yes"): 0.005,
        ("other", "no"): 0.01,
    },
}


def achieved(margin, people, weights=None):
    weights = np.full(len(people), 1 / len(people)) if weights is None else weights
    return np.bincount(margin.codes(people), weights, minlength=margin.shares.size)


def test_raked_weights_meet_five_margins(census):
    raked = RakedPool(census, Margins(FIVE))
    for margin in raked.margins.tables:
        np.testing.assert_allclose(achieved(margin, census, raked.shares), margin.shares.ravel(), atol=1e-9)
    assert 1000 < raked.n_effective < len(census)
    drawn = raked.draw(4000, seed=1)
    assert isinstance(raked, ProfileGenerator)
    assert list(drawn.columns) == list(census.columns)
    for margin in raked.margins.tables:
        # Four standard errors of a share: fails once in 700 runs of 22 shares of other seeds.
        assert np.abs(achieved(margin, drawn) - margin.shares.ravel()).max() < 4 * 0.5 / np.sqrt(4000)
    pd.testing.assert_frame_equal(drawn, raked.draw(4000, seed=1))
    assert not drawn.equals(raked.draw(4000, seed=2))


def test_raking_is_the_nearest_in_kullback_leibler():
    people = pd.DataFrame({"a": list("xxxyyy"), "b": list("ppqqqp")})
    base = np.array([1.0, 2, 1, 3, 1, 2])
    raked = RakedPool(people, Margins({"a": {"x": 0.7, "y": 0.3}, "b": {"p": 0.4, "q": 0.6}}), base)
    rules = [
        {"type": "eq", "fun": lambda w: w[:3].sum() - 0.7},
        {"type": "eq", "fun": lambda w: w[[0, 1, 5]].sum() - 0.4},
        {"type": "eq", "fun": lambda w: w.sum() - 1},
    ]
    best = minimize(
        lambda w: float((w * np.log(w / (base / 10))).sum()),
        np.full(6, 1 / 6),
        constraints=rules,
        bounds=[(1e-9, 1)] * 6,
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(raked.shares, best.x, atol=1e-5)


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("pool", [True, False])
def test_quotas_are_met_to_the_person(census, n, pool):
    margins = Margins(FIVE)
    made = RakedPool(census, margins, quotas=True) if pool else MarginsAlone(margins, quotas=True)
    for seed in range(3):
        drawn = made.draw(n, seed=seed)
        assert len(drawn) == n
        for margin in margins.tables:
            wanted = n * margin.shares.ravel()
            counts = achieved(margin, drawn) * n
            assert (np.abs(counts - wanted) < 1 - 1e-6).all()
            whole = np.abs(wanted - np.round(wanted)) < 1e-9
            np.testing.assert_allclose(counts[whole], wanted[whole], atol=1e-6)
    if n == 1000:
        assert all(np.allclose(achieved(m, drawn), m.shares.ravel(), atol=1e-9) for m in margins.tables)


def test_quotas_round_without_bias():
    # 10 people of shares .25, .35, .4: the means of 400 draws of counts 2 or 3, 3 or 4, and 4, to 4 standard errors.
    made = MarginsAlone(Margins({"a": {"x": 0.25, "y": 0.35, "z": 0.4}}), quotas=True)
    counts = np.array([made.draw(10, seed=s)["a"].value_counts().reindex(["x", "y", "z"]) for s in range(400)])
    assert set(counts[:, 0]) == {2, 3}
    assert set(counts[:, 2]) == {4}
    assert np.abs(counts.mean(axis=0) - [2.5, 3.5, 4]).max() < 4 * 0.5 / 20


def test_margins_alone_are_the_joint_of_the_greatest_entropy():
    one, other = {("m", "a"): 0.3, ("m", "b"): 0.2, ("w", "a"): 0.1, ("w", "b"): 0.4}, {"x": 0.5, "y": 0.5}
    both = {("a", "u"): 0.1, ("a", "v"): 0.3, ("b", "u"): 0.5, ("b", "v"): 0.1}
    margins = Margins({("gender", "age"): one, ("age", "class"): both, "home": other})
    drawn = MarginsAlone(margins).draw(40_000, seed=0)
    found = drawn.groupby(["gender", "age", "class", "home"]).size() / len(drawn)
    # Conditionally independent given what tables share, and independent of what none joins.
    for (gender, age, kind, home), share in found.items():
        wanted = one[gender, age] * both[age, kind] / {"a": 0.4, "b": 0.6}[age] * other[home]
        assert abs(share - wanted) < 4 * np.sqrt(wanted / 40_000)


def test_a_boundary_is_reached_by_leaving_cells_out():
    # Half are m, half own: with no m who owns, all w must own. Iterative fitting alone needs a million sweeps.
    people = pd.DataFrame({"g": list("mwww") * 5, "own": list("nyny") * 5, "extra": list("abcdefghij") * 2})
    raked = RakedPool(people, Margins({"g": {"m": 0.4, "w": 0.6}, "own": {"n": 0.4, "y": 0.6}}))
    table = pd.crosstab(people["g"], people["own"], raked.shares, aggfunc="sum").fillna(0.0)
    np.testing.assert_allclose(table.to_numpy(), [[0.4, 0], [0, 0.6]], atol=1e-7)


def test_contradictions_are_named(census):
    cross = FIVE[("gender", "owner")]
    with pytest.raises(DataError, match=r"'gender' and 'gender\*owner' contradict .* 'man' is 0.5 in .* 0.485 in"):
        Margins({"gender": {"man": 0.5, "woman": 0.485, "other": 0.015}, ("gender", "owner"): cross})
    people = census[(census["work"] != "retired") | (census["owner"] == "yes")]
    wanted = {"work": {"retired": 0.5, "employed": 0.4, "unemployed": 0.05, "student": 0.05}}
    wanted |= {"owner": {"yes": 0.3, "no": 0.7}, "gender": FIVE["gender"]}
    with pytest.raises(DataError, match=r"margins 'work', 'owner' contradict each other .* off by 0\.4"):
        RakedPool(people, Margins(wanted))


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"gender": {"man": 0.4, "woman": 0.4, "other": 0.1, "robot": 0.1}}, "'robot', and nobody of the pool is that"),
        ({"gender": {"man": 0.5, "woman": 0.5}}, "have 'gender' 'other', which it does not name"),
        ({"gender": {"Man": 0.5, "woman": 0.49, "other": 0.01}}, "is it 'Man' there"),
        ({"gendr": {"man": 1.0}}, "did you mean 'gender'"),
        ({"gender": {"man": 0.7, "woman": 0.7}}, "sum to 1.4"),
        ({"gender": {"man": -0.1, "woman": 1.1}}, "give a finite number of at least 0"),
        ({"gender": {"man": "many", "woman": 1.1}}, "is not a number"),
        ({"age": {"18-29": 0.5, "25+": 0.5}}, "overlaps"),
        ({"age": {"18-29": 0.5, "40+": 0.5}}, "have 'age' '3"),
        ({}, "margins are empty"),
        ([("gender", 1.0)], "margins are a list; give a mapping"),
        ({"gender": [0.5, 0.5]}, "margin 'gender' is a list; give a mapping"),
    ],
)
def test_wrong_margins_are_refused(census, tables, told):
    with pytest.raises(DataError, match=told):
        RakedPool(census, Margins(tables))


def test_zero_leaves_people_out(census):
    drawn = RakedPool(census, Margins({"gender": {"man": 0.5, "woman": 0.5, "other": 0}})).draw(500)
    assert set(drawn["gender"]) == {"man", "woman"}


def test_files_of_shares_percentages_and_counts(tmp_path):
    (tmp_path / "m.csv").write_text("trait,level,share\ngender,man,49.2\ngender,woman,50.7\na*b,x*u,40\na*b,y*v,60\n")
    shares = Margins.read(tmp_path / "m.csv")
    assert [margin.name for margin in shares.tables] == ["gender", "a*b"]
    np.testing.assert_allclose(shares.tables[0].shares, [492 / 999, 507 / 999])
    assert MarginsAlone(shares).draw(50)[["a", "b"]].value_counts().index.isin([("x", "u"), ("y", "v")]).all()
    (tmp_path / "n.csv").write_text("trait,level,count\ngrade,1,30\ngrade,2,10\n")
    counts = Margins.read(tmp_path / "n.csv")
    people = pd.DataFrame({"grade": [1.0, 2.0, 2.0]})
    assert RakedPool(people, counts).shares.round(9).tolist() == [0.75, 0.125, 0.125]
    pd.testing.assert_frame_equal(Margins.from_frame(shares.to_frame()).to_frame(), shares.to_frame())


def test_ten_thousand_categories(census):
    share = np.random.default_rng(0).dirichlet(np.ones(10_000))
    margins = Margins({"town": {f"town {i}": s for i, s in enumerate(share)}, "gender": {"man": 0.5, "woman": 0.5}})
    drawn = MarginsAlone(margins, quotas=True).draw(1000, seed=0)
    assert (drawn["gender"] == "man").sum() == 500
    towns = pd.DataFrame(
        {"town": [f"town {i}" for i in range(10_000)] * 2, "gender": np.repeat(["man", "woman"], 10_000)}
    )
    raked = RakedPool(towns, margins)
    np.testing.assert_allclose(achieved(margins.tables[0], towns, raked.shares), share, atol=1e-9)


def test_pools_are_weighted_and_qualified(census):
    pool = census.assign(weight=np.where(census["gender"] == "woman", 3.0, 1.0))
    drawn = Pool(pool).draw(4000, seed=0)
    assert "weight" not in drawn
    women = (census["gender"] == "woman").mean()
    # Four standard errors.
    assert abs((drawn["gender"] == "woman").mean() - 3 * women / (1 + 2 * women)) < 4 * 0.5 / np.sqrt(4000)
    old = Pool(census, qualified="age >= 60 and gender == 'woman'", replace=False).draw(100, seed=0)
    assert (old["age"] >= 60).all()
    assert (old["gender"] == "woman").all()
    with pytest.raises(DataError, match="no profile of 5000 meets it"):
        Pool(census, qualified="age > 200")
    with pytest.raises(DataError, match="have weight 0"):
        Pool(census, np.where(census["gender"] == "other", 0.0, 1.0), "gender == 'other'")
    with pytest.raises(DataError, match="people qualify and replace=False"):
        Pool(census, replace=False).draw(5001)
    one = census.head(1)
    assert len(Pool(one).draw(3)) == 3
    assert set(RakedPool(one, Margins.of(one, ["gender"])).draw(2)["gender"]) == set(one["gender"])


@pytest.mark.parametrize("weights", [[1.0, -1, 1], [0.0, 0, 0], [1.0, np.nan, 1], [1.0, 2]])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(DataError, match="weights"):
        Pool(pd.DataFrame({"a": [1, 2, 3]}), weights)
