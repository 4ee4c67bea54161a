"""Intervals that are built on the kernel: pooled over problems, option shares, cross-fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.theory import cross_fit_interval, crowd_interval, pooled_interval, share_interval
from crowdpyro.theory.cross_fit import person_folds


def matrices(seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    y = 3 + rng.normal(size=(12, 1)) + rng.normal(size=(12, 4))
    return y, 0.5 * y + rng.normal(size=y.shape), 1.5 + rng.normal(size=(30, 4))


# -- pooled ----------------------------------------------------------------------------------------------------------


def test_pooled_is_the_long_form_clustered():
    y, twin, crowd = matrices()
    pooled = pooled_interval(y, twin, crowd)
    residual = (y - twin).mean(axis=1)
    assert pooled.estimate == pytest.approx(crowd.mean() + residual.mean(), abs=1e-12)
    assert pooled.parts["residual"] == pytest.approx(residual.var(ddof=1) / 12, rel=1e-12)
    assert pooled.parts["crowd"] == pytest.approx(crowd.mean(axis=1).var(ddof=1) / 30, rel=1e-12)
    assert (pooled.n, pooled.n_crowd) == (48, 120)
    # Rows of one person are that person's.
    halves = np.repeat(np.arange(6), 2)
    twice = pooled_interval(y, twin, crowd, participants=halves)
    assert twice.parts["residual"] == pytest.approx(residual.reshape(6, 2).mean(axis=1).var(ddof=1) / 6, rel=1e-12)
    fresh = pooled_interval(y, twin, crowd, crossed=False)
    assert fresh.parts["crowd"] == pytest.approx(crowd.var(ddof=1) / 120, rel=1e-12)


def test_the_crowd_counts_problems_as_the_people_do():
    y, twin, crowd = matrices()
    y[:9, 0] = np.nan
    asked = np.array([3, 12, 12, 12])
    pooled = pooled_interval(y, twin, crowd)
    weights = asked / asked.sum()
    expected = crowd.mean(axis=0) @ weights + np.nanmean(y - twin)
    assert pooled.estimate == pytest.approx(expected, abs=1e-12)
    even = pooled_interval(y, twin, crowd, problem_weights=np.ones(4))
    assert even.estimate == pytest.approx(crowd.mean() + np.nanmean(y - twin), abs=1e-12)
    # A problem that nobody was asked tells of the crowd only where it counts.
    y[:, 0] = np.nan
    assert pooled_interval(y, twin, crowd).n_crowd == 90
    assert pooled_interval(y, twin, crowd, problem_weights=np.ones(4)).n_crowd == 120
    weighted = pooled_interval(y, twin, crowd, weights=np.r_[np.ones(11), 0])
    dropped = pooled_interval(y[:11], twin[:11], crowd)
    assert weighted.low == pytest.approx(float(dropped.low), rel=1e-12)


def test_a_pooled_crowd_of_the_people_themselves_is_the_people_alone():
    y, twin, _ = matrices()
    y[2, 1] = y[5, 3] = np.nan
    crowd = np.where(np.isnan(y), np.nan, twin)
    nested = pooled_interval(y, twin, crowd, overlap=True)
    human = pooled_interval(y, twin, crowd, method="human_only")
    assert nested.estimate == pytest.approx(float(human.estimate), abs=1e-12)


def test_pooled_refuses_what_does_not_fit():
    y, twin, crowd = matrices()
    with pytest.raises(DataError, match=r"shapes \(12,\), \(12, 4\), \(30, 4\)"):
        pooled_interval(y[:, 0], twin, crowd)
    with pytest.raises(DataError, match=r"weights have shape \(3,\)"):
        pooled_interval(y, twin, crowd, weights=np.ones(3))
    with pytest.raises(DataError, match="problem_weights has shape"):
        pooled_interval(y, twin, crowd, problem_weights=[1, 1, 1, -1])
    with pytest.raises(DataError, match="not all 0"):
        pooled_interval(y, twin, crowd, problem_weights=np.zeros(4))
    with pytest.raises(DataError, match=r"participants has shape \(2,\)"):
        pooled_interval(y, twin, crowd, participants=[1, 2])
    with pytest.raises(DataError, match="no answer of a person has its twin's"):
        pooled_interval(np.full_like(y, np.nan), twin, crowd)
    with pytest.raises(DataError, match="y holds something other than numbers"):
        pooled_interval(np.full(y.shape, "agree"), twin, crowd)
    crowd[:, 2] = np.nan
    with pytest.raises(DataError, match="no answer to problem number 2, which counts"):
        pooled_interval(y, twin, crowd)


# -- shares ----------------------------------------------------------------------------------------------------------


def test_shares_are_one_indicator_an_option():
    rng = np.random.default_rng(0)
    options = ["yes", "no", "unsure"]
    y, twin, crowd = (rng.choice(options, size=(size, 2)) for size in (15, 15, 40))
    labels = pd.Index(["a", "b"], name="problem")
    shares = share_interval(y, twin, crowd, options=options, labels=labels)
    for place, option in enumerate(options):
        one = crowd_interval(*((each == option).astype(float) for each in (y, twin, crowd)))
        np.testing.assert_allclose(shares.low[:, place], one.low, rtol=1e-12)
    assert shares.to_frame().index[1] == ("a", "no")
    other = share_interval(y, twin, crowd, options=options[::-1], labels=labels)
    np.testing.assert_allclose(other.estimate[:, ::-1], shares.estimate, rtol=1e-12)
    together = share_interval(y, twin, crowd, options=options, simultaneous=True)
    assert together.alpha == pytest.approx(0.05 / 6)


def test_shares_of_numbers_and_gaps():
    shares = share_interval([1, 2, 2, None, 1], method="human_only", options=[1, 2, 3], missing="omit")
    np.testing.assert_allclose(shares.estimate, [0.5, 0.5, 0.0])
    assert (shares.n == 4).all()
    with pytest.raises(DataError, match="y lacks 1 answers; give them"):
        share_interval([1, 2, None], method="human_only", options=[1, 2])
    with pytest.raises(DataError, match="y holds 4; the options are 1, 2"):
        share_interval([1, 2, 4], method="human_only", options=[1, 2])
    with pytest.raises(DataError, match="missing='drop'"):
        share_interval([1, 2], method="human_only", options=[1, 2], missing="drop")
    with pytest.raises(DataError, match="y has rows of unequal length"):
        share_interval([[1], [2, 1]], method="human_only", options=[1, 2])
    with pytest.raises(DataError, match="give at least two, each once"):
        share_interval([1, 2], method="human_only", options=[1, 1])


# -- cross-fitted ----------------------------------------------------------------------------------------------------


def test_nobody_is_in_the_fit_of_their_own_twin():
    rng = np.random.default_rng(0)
    x, y, crowd_x = np.arange(20.0)[:, None], rng.normal(size=(20, 2)), np.zeros((9, 1))
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.concatenate([x, y], axis=1)

    def predict(model: np.ndarray, x: np.ndarray) -> np.ndarray:
        if len(x) < 9:
            seen.append((model[:, 0], x[:, 0]))
        return np.broadcast_to(model[:, 1:].mean(axis=0), (len(x), 2))

    found = cross_fit_interval(fit, predict, x, y, crowd_x, k=4)
    assert len(seen) == 4
    assert np.sort(np.concatenate([test for _, test in seen])).tolist() == list(range(20))
    for train, test in seen:
        assert set(train) | set(test) == set(range(20))
        assert not set(train) & set(test)
    # The crowd answers by the average of the four models.
    means = [y[train.astype(int)].mean(axis=0) for train, _ in seen]
    residual = np.zeros_like(y)
    for (_, test), mean in zip(seen, means, strict=True):
        residual[test.astype(int)] = y[test.astype(int)] - mean
    np.testing.assert_allclose(found.estimate, np.mean(means, axis=0) + residual.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.parts["crowd"], 0, atol=1e-30)
    by_name = cross_fit_interval(
        lambda x, y: y.mean(), lambda m, x: np.full(len(x), m), pd.DataFrame({"v": x[:, 0]}), y[:, 0], crowd_x, k=4
    )
    assert by_name.estimate == pytest.approx(float(found.estimate[0]), rel=1e-12)


def test_a_persons_rows_share_a_fold_and_a_cluster():
    label = np.repeat(list("abcdefg"), 3)
    for train, test in person_folds(21, 3, label, seed=1):
        assert not set(label[train]) & set(label[test])
    rng = np.random.default_rng(1)
    y, x = rng.normal(size=21), rng.normal(size=(21, 1))

    def run(**how: object) -> float:
        found = cross_fit_interval(
            lambda x, y: 0.0, lambda m, x: np.zeros(len(x)), x, y, np.zeros((5, 1)), k=3, **how
        )  # fmt: skip
        return float(found.se)

    expected = crowd_interval(y, method="human_only", clusters=label)
    assert run(participants=label) == pytest.approx(float(expected.se), rel=1e-12)
    assert run() == pytest.approx(y.std(ddof=1) / 21**0.5, rel=1e-12)


def test_cross_fitting_refuses_what_does_not_fit():
    y, x = np.zeros(6), np.zeros((6, 1))

    def run(x: np.ndarray = x, predicted: int = 0, **how: object) -> None:
        cross_fit_interval(lambda x, y: 0, lambda m, x: np.zeros(len(x) + predicted), x, y, np.zeros((5, 1)), **how)

    with pytest.raises(DataError, match="k=7: give 2 to 6 folds of 6 people"):
        run(k=7)
    with pytest.raises(DataError, match="k=1: give a whole number, at least 2"):
        run(k=1)
    with pytest.raises(DataError, match="x holds 5 rows"):
        run(x=x[:5])
    with pytest.raises(DataError, match=r"predict returned shape \(3,\) for x; return \(2,\)"):
        run(predicted=1)
    with pytest.raises(DataError, match="participants: row number 5 has no label"):
        run(participants=[1, 1, 2, 2, 3, None])
    with pytest.raises(DataError, match="k=2.5: give a whole number"):
        run(k=2.5)
    with pytest.raises(DataError, match="what predict returned for x holds something other"):
        cross_fit_interval(lambda x, y: 0, lambda m, x: ["a"] * len(x), x, y, np.zeros((5, 1)))
    with pytest.raises(DataError, match=r"participants: labels of shape \(2,\)"):
        run(participants=[1, 2])
