"""What is said of a crowd on disk is what is said of the same crowd in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Ballot, Categorical, Continuous, Crowd, CrowdData, DataError, crowd_intervals, metrics
from crowdpyro.theory import crowd_interval
from crowdpyro.theory.moments import CrowdMoments, RunningMoments

N = 9_000


def in_memory(stored):
    return Crowd(stored.dataset.load().copy())


@pytest.fixture(scope="module")
def crowds(people, fitted, tmp_path_factory):
    """Of ratings, weighed and partly absent, in several blocks, and the same in memory; made once by name."""
    made = {}

    def crowd(name):
        if name not in made:
            scale = {"labels": Categorical(("x", "y", "z")), "numbers": Continuous()}.get(name)
            data = people(130, scale)
            rng = np.random.default_rng(0)
            participants = N
            if name == "weighed":
                weight = rng.uniform(0.5, 3, N) * (rng.random(N) < 0.9)
                participants = data.participants.iloc[rng.integers(80, size=N)].set_axis(range(N)).assign(weight=weight)
            part = np.where(np.arange(130) < 127, 0.6, 0.0)
            stored = fitted(data).generate(
                participants,
                participation=part,
                decision="expected" if name == "expected" else "draw",
                n_draws=2,
                seed=3,
                path=tmp_path_factory.mktemp(name) / "crowd.zarr",
                memory="26 MB" if name in ("numbers", "expected") else "18 MB",
            )
            stored.memory = None
            assert len(stored.grid.blocks) > 2
            made[name] = stored, in_memory(Crowd.open(stored.path))
        return made[name]

    return crowd


@pytest.mark.parametrize("name", ["ratings", "weighed", "labels", "numbers", "expected"])
def test_sums_over_blocks_are_those_of_the_whole(crowds, name):
    stored, whole = crowds(name)
    numbers = name in ("numbers", "expected")
    if numbers:
        with pytest.raises(DataError, match="counts need drawn answers"):
            stored.counts()
    else:
        np.testing.assert_allclose(stored.counts(), whole.counts(), rtol=1e-12)
        np.testing.assert_allclose(stored.shares(), whole.shares(), rtol=1e-12)
    for method in ("mean", "median", "majority"):
        try:
            found = whole.aggregate(method, seed=4)
        except DataError as error:
            with pytest.raises(DataError, match=str(error).split(";")[0]):
                stored.aggregate(method, seed=4)
            continue
        mine = stored.aggregate(method, seed=4)
        assert list(mine.index) == list(found.index)
        assert mine.name == found.name
        if found.dtype == object or found.dtype.kind not in "fiu":
            assert mine.fillna("").tolist() == found.fillna("").tolist()
        else:
            np.testing.assert_allclose(mine, found, rtol=1e-6 if numbers else 1e-12)
    np.testing.assert_allclose(stored.correlation(), whole.correlation(), atol=1e-9)


@pytest.mark.parametrize("method", ["rectified", "power_tuned", "theorem_4_6", "absolute_bias"])
@pytest.mark.parametrize("name", ["ratings", "weighed", "numbers"])
def test_intervals_from_sums_are_those_from_members(crowds, name, method):
    stored, whole = crowds(name)
    answered = slice(0, 127)
    rng = np.random.default_rng(1)
    y = rng.normal(3, 1, (40, 127))
    twin = y + rng.normal(0, 0.7, y.shape)
    how = {"missing": "omit", "method": method}
    weights = whole.weights
    direct = crowd_interval(y, twin, whole.values()[:, answered], crowd_weights=weights, **how)
    summed = crowd_interval(y, twin, stored.moments().of_problems(np.arange(127)), **how)
    for field in ("estimate", "low", "high", "se", "df", "lam", "n_crowd", "effective_sample_size"):
        np.testing.assert_allclose(getattr(summed, field), getattr(direct, field), rtol=1e-5, err_msg=field)


def test_intervals_of_a_study_are_the_same_from_disk(people, fitted, tmp_path):
    data = people(20, n=120)
    model = fitted(data)
    half = data.participants.index[:40]
    sample = data.select(participants=half)
    stored = model.generate(3000, seed=2, path=tmp_path / "crowd.zarr")
    twins = model.generate(sample.participants, seed=1)
    for how in ({}, {"shares": True}, {"pooled": True}, {"simultaneous": True, "method": "power_tuned"}):
        mine = crowd_intervals.interval_from_crowds(sample, twins, stored, **how)
        whole = crowd_intervals.interval_from_crowds(sample, twins, in_memory(Crowd.open(stored.path)), **how)
        for field in ("estimate", "low", "high"):
            np.testing.assert_allclose(getattr(mine, field), getattr(whole, field), rtol=1e-9)
    with pytest.raises(DataError, match="crowd is summed up: overlap"):
        crowd_interval(np.ones((3, 20)), np.ones((3, 20)), stored.moments(), overlap=True)


def test_running_moments_lose_no_digits_far_from_zero():
    rng = np.random.default_rng(0)
    x = 1e6 + rng.normal(size=(5000, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    weights = rng.uniform(0, 2, 5000) * (rng.random(5000) < 0.8)
    parts = [RunningMoments.of(x[k : k + 700], weights[k : k + 700]) for k in range(0, 5000, 700)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    found = total.done(unequal=True)
    there = ~np.isnan(x) & (weights > 0)[:, None]
    w = np.where(there, weights[:, None], 0.0)
    share = w / w.sum(axis=0)
    mean = np.nansum(share * np.where(there, x, 0.0), axis=0)
    away = np.where(there, x - mean, 0.0)
    np.testing.assert_allclose(found.n, there.sum(axis=0))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, (share * away**2).sum(axis=0), rtol=1e-7)
    np.testing.assert_allclose(found.influence, (share**2 * away**2).sum(axis=0), rtol=1e-7)
    np.testing.assert_allclose(found.design, (share**2).sum(axis=0), rtol=1e-12)


def test_moments_of_counts_need_two_answers():
    one = np.array([[1.0, 0.0], [2.0, 3.0]])
    moments = CrowdMoments.of_counts(one, one, one, np.array([1.0, 2.0]))
    with pytest.raises(DataError, match="crowd holds 1 answers to problem number 0"):
        crowd_interval(np.ones((3, 2)), np.ones((3, 2)), moments)
    few = CrowdMoments.of_counts(
        one + 1, one * [[100, 1]] + 0.01, one**2 * [[1e4, 1]], np.array([1.0, 2.0]), unequal=True
    )
    with pytest.raises(DataError, match="weights of crowd leave an effective"):
        crowd_interval(np.ones((3, 2)), np.ones((3, 2)), few)


def test_distances_from_disk(crowds):
    stored, whole = crowds("ratings")
    humans = np.full((130, 5), 0.2)
    values = stored.scale.values
    assert metrics.wasserstein1(stored.shares(), humans, values) == pytest.approx(
        metrics.wasserstein1(whole.shares(), humans, values), rel=1e-12
    )


def test_what_needs_every_answer_says_so(crowds):
    stored, whole = crowds("ratings")
    small = Crowd.open(stored.path, memory="5 MB")
    for take in (small.codes, small.values, small.to_frame, lambda: small.aggregate("dawid_skene")):
        with pytest.raises(DataError, match=r"take 0.0 GB in memory, more than memory='5 MB'; take counts"):
            take()
    with pytest.raises(DataError, match="a chunk of this store takes"):
        Crowd.open(stored.path, memory="1 MB").counts()
    with pytest.raises(DataError, match="correlations of 130 problems take 1 MB"):
        Crowd.open(stored.path, memory="100 kB").correlation()
    pd.testing.assert_frame_equal(stored.to_frame(), whole.to_frame())


def test_ballots_from_disk(tmp_path, fitted):
    scale = Ballot(("a", "b", "c"), "choose", 2)
    rng = np.random.default_rng(0)
    person, problem = np.indices((60, 70)).reshape(2, -1)
    texts = ["|".join(sorted(rng.choice(["a", "b", "c"], 2, replace=False, p=[0.6, 0.3, 0.1]))) for _ in person]
    data = CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": texts}),
        pd.DataFrame({"problem": range(70), "text": [f"question {t}" for t in range(70)]}),
        scale=scale,
    )
    stored = fitted(data).generate(5000, seed=1, participation=0.7, path=tmp_path / "crowd.zarr", memory="55 MB")
    whole = in_memory(Crowd.open(stored.path))
    np.testing.assert_allclose(stored.counts(), whole.counts())
    np.testing.assert_allclose(stored.shares(), whole.shares(), rtol=1e-12)
    pd.testing.assert_series_equal(stored.aggregate("majority"), whole.aggregate("majority"))
    with pytest.raises(DataError, match="a ballot is a number an option"):
        stored.moments()
    assert list(stored.dataset["option"].to_numpy()) == ["a", "b", "c"]
