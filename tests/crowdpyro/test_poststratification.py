"""Poststratification: the textbook's estimate and variance, as a reweighted crowd, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Categorical, Crowd, DataError, Ordinal, parse_scale, poststratify

PROBLEMS = pd.DataFrame({"text": ["a", "b"]}, index=["q0", "q1"])
CELLS = pd.DataFrame(
    {"gender": ["woman", "woman", "man", "man"], "home": ["town", "land", "town", "land"], "N": [400, 100, 200, 300]}
)


def crowd(n=200, seed=0, weights=None, scale=None, matrix=None, **traits):
    rng = np.random.default_rng(seed)
    people = pd.DataFrame(
        {"gender": rng.choice(["woman", "man"], n, p=[0.7, 0.3]), "home": rng.choice(["town", "land"], n)}
    )
    people = people.assign(**traits)
    lean = (people["gender"] == "woman").to_numpy()[:, None] * 1.2
    given = np.clip(np.round(1.5 + lean + rng.normal(size=(n, 2))), 0, 4) if matrix is None else matrix
    return Crowd.from_matrix(
        given,
        scale=scale or Ordinal.range(1, 5),
        problems=PROBLEMS.iloc[: len(given[0])],
        participants=people,
        weights=weights,
    )


def of_cell(given, gender, home):
    return np.asarray((given.dataset["profile_gender"] == gender) & (given.dataset["profile_home"] == home))


def test_estimate_and_variance_are_the_textbooks():
    given = crowd()
    found = poststratify(given, CELLS)
    values, mean, variance = given.values(), np.zeros(2), np.zeros(2)
    for row in CELLS.itertuples():
        inside = values[of_cell(given, row.gender, row.home)]
        mean += row.N / 1000 * inside.mean(axis=0)
        variance += (row.N / 1000) ** 2 * inside.var(axis=0, ddof=1) / len(inside)
    np.testing.assert_allclose(found.estimate["mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(found.estimate["se"], variance**0.5, rtol=1e-12)
    # As a reweighted crowd, where everybody answered, the same estimate.
    np.testing.assert_allclose(found.crowd.aggregate("mean"), mean, rtol=1e-12)
    for row in found.cells.itertuples():
        assert found.crowd.weights[of_cell(given, row.gender, row.home)].sum() / 200 == pytest.approx(row.N / 1000)
    assert found.cells["members"].sum() == 200
    assert found.effective_sample_size < 200
    assert "200 members in 4 cells" in repr(found)


def test_the_crowds_own_cells_change_nothing():
    given = crowd()
    people = pd.DataFrame({name: given.dataset[f"profile_{name}"] for name in ("gender", "home")})
    cells = people.value_counts().rename("N").reset_index()
    found = poststratify(given, cells)
    np.testing.assert_allclose(found.crowd.weights, 1)
    np.testing.assert_allclose(found.estimate["mean"], given.aggregate("mean"))


def test_weights_that_are_there_stay_within_cells_and_a_second_time_changes_nothing():
    base = np.random.default_rng(1).uniform(0, 2, 200)
    found = poststratify(crowd(weights=base), CELLS)
    inside = of_cell(found.crowd, "man", "land")
    ratio = found.crowd.weights[inside] / base[inside]
    np.testing.assert_allclose(ratio, ratio[0])
    values = found.crowd.values()
    by_cell = [
        row.N / 1000 * np.average(values[each], axis=0, weights=base[each])
        for row in CELLS.itertuples()
        for each in [of_cell(found.crowd, row.gender, row.home)]
    ]
    np.testing.assert_allclose(found.estimate["mean"], np.sum(by_cell, axis=0), rtol=1e-12)
    again = poststratify(found.crowd, CELLS)
    np.testing.assert_allclose(again.crowd.weights, found.crowd.weights)


def test_coverage_of_the_population():
    """2,000 problems: .95 of intervals of 1.96 se cover, within 4 binomial standard errors; the plain mean's fail."""
    rng = np.random.default_rng(0)
    woman = np.arange(200) < 160
    values = 2.5 + 1.2 * woman[:, None] + rng.normal(size=(200, 2000))
    people = pd.DataFrame({"gender": np.where(woman, "woman", "man")})
    problems = pd.DataFrame(index=range(2000))
    given = Crowd.from_matrix(values, scale=parse_scale("continuous"), problems=problems, participants=people)
    found, truth = poststratify(given, pd.DataFrame({"gender": ["woman", "man"], "N": [5, 5]})).estimate, 3.1
    assert (np.abs(found["mean"] - truth) < 1.96 * found["se"]).mean() == pytest.approx(0.945, abs=0.0195)
    assert (np.abs(values.mean(axis=0) - truth) < 1.96 * values.std(axis=0, ddof=1) / 200**0.5).mean() < 0.2


def test_labels_have_shares_and_ballots_votes():
    rng = np.random.default_rng(0)
    labels = poststratify(crowd(scale=Categorical(("no", "yes")), matrix=rng.integers(2, size=(200, 2))), CELLS)
    np.testing.assert_allclose(labels.estimate["mean"].groupby("problem").sum(), 1)
    np.testing.assert_allclose(labels.estimate["mean"].to_numpy().reshape(2, 2), labels.crowd.shares(), rtol=1e-6)
    votes = np.eye(3)[rng.integers(3, size=(200, 2))]
    ballots = poststratify(crowd(scale=parse_scale("choose:1:A,B,C"), matrix=votes), CELLS)
    assert ballots.estimate.index[1] == ("q0", "B")
    np.testing.assert_allclose(ballots.estimate["mean"].to_numpy().reshape(2, 3), ballots.crowd.shares(), rtol=1e-6)


def test_members_outside_weigh_nothing_and_numbers_match_texts():
    given = crowd(gender=["woman"] * 90 + ["man"] * 90 + ["missing"] * 20, wave=np.repeat([1.0, 2.0], 100))
    found = poststratify(given, pd.DataFrame({"gender": ["woman", "man"], "N": [1, 1]}))
    assert found.outside == 20
    assert (found.crowd.weights[180:] == 0).all()
    assert "20 outside" in repr(found)
    one = poststratify(given, pd.DataFrame({"wave": [1, 2], "N": [3, 1]}))
    assert one.crowd.weights[0] == pytest.approx(3 * one.crowd.weights[150])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (CELLS.drop(columns="N"), "cells lack column 'N'.*they have gender, home"),
        (CELLS[["N"]], "a column of at least one trait"),
        (CELLS.assign(N=[1, 2, -3, 4]), "'N' holds -3; give numbers of people"),
        (CELLS.assign(N=[1, 2, np.nan, 4]), "'N' holds nan"),
        (CELLS.assign(N=0), "'N' sums to 0"),
        (CELLS.assign(home=None), "'home' has gaps"),
        (CELLS.rename(columns={"home": "homes"}), "no trait 'homes'; it has gender, home. Did you mean 'home'"),
        (pd.concat([CELLS, CELLS]), "gender='woman', home='town' stands there twice; sum its N"),
        (
            CELLS.assign(gender=["woman", "woman", "Man", "man"]),
            r"nobody of the crowd is gender='Man', home='town'.*200",
        ),
    ],
)
def test_bad_cells_are_named(cells, words):
    with pytest.raises(DataError, match=words):
        poststratify(crowd(), cells)


def test_a_cell_without_an_answer_is_named_and_one_of_one_has_no_variance():
    given = crowd()
    matrix = given.codes()
    inside = np.flatnonzero(of_cell(given, "man", "land"))
    matrix[inside, 1] = np.nan
    with pytest.raises(DataError, match=r"nobody who is gender='man', home='land' answered problem 'q1'"):
        poststratify(crowd(matrix=matrix), CELLS)
    matrix[inside[0], 1] = 2
    found = poststratify(crowd(matrix=matrix), CELLS).estimate
    assert np.isfinite(found["mean"]).all()
    assert np.isnan(found.loc["q1", "se"])
    assert np.isfinite(found.loc["q0", "se"])
