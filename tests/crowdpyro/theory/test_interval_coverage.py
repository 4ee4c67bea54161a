"""How often intervals cover, by simulation: seeds are fixed, and every bound leaves four standard errors and more.

People: y = 3 + a + N(0, .7^2), a ~ N(0, .8^2). Good twins, biased by -.4: t = 2.6 + .75 a + N(0, .3^2). Bad ones know
nothing of a: t = 2.6 + N(0, 1).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from crowdpyro.theory import (
    InSampleWarning,
    cross_fit_interval,
    crowd_interval,
    pooled_interval,
    prediction_powered_mean,
)

TRUTH, LEVELS = 3.0, (0.8, 0.9, 0.95, 0.99)
# How many members of a crowd, by how many people.
SIZES = {10: 100, 30: 300, 100: 1000, 400: 1000}
ERROR_RATE = 1e-4


def answers(rng: np.random.Generator, n: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and answers of people, `(n, batch)`."""
    a = rng.normal(scale=0.8, size=(n, batch))
    return a, TRUTH + a + rng.normal(scale=0.7, size=(n, batch))


def twins(rng: np.random.Generator, a: np.ndarray, good: bool) -> np.ndarray:
    return 2.6 + (0.75 * a + rng.normal(scale=0.3, size=a.shape) if good else rng.normal(size=a.shape))


def draw(
    rng: np.random.Generator, n: int, n_crowd: int, batch: int, good: bool, nested: bool
) -> tuple[np.ndarray, ...]:
    a, y = answers(rng, n, batch)
    twin = twins(rng, a, good)
    crowd = twins(rng, answers(rng, n_crowd - n * nested, batch)[0], good)
    return y, twin, np.concatenate([twin, crowd]) if nested else crowd


def at_least(covered: int, n: int, coverage: float) -> bool:
    """Whether so few covered would be a chance of less than the error rate, were the coverage this."""
    return bool(binom.cdf(covered, n, coverage) > ERROR_RATE)


@pytest.mark.slow
@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
@pytest.mark.parametrize("nested", [False, True], ids=["disjoint", "nested"])
@pytest.mark.parametrize("n", SIZES)
def test_nominal_coverage(n, nested, good):
    rng = np.random.default_rng([n, nested, good])
    repeats, batch = 40_000, 2000
    covered = {(method, level): 0 for method in ("rectified", "power_tuned") for level in LEVELS}
    ratio = []
    for _ in range(repeats // batch):
        data = draw(rng, n, SIZES[n], batch, good, nested)
        for method, level in covered:
            found = crowd_interval(*data, 1 - level, method=method, overlap=nested or None)
            covered[method, level] += int(((found.low <= TRUTH) & (found.high >= TRUTH)).sum())
            if (method, level) == ("power_tuned", 0.95):
                ratio.append(found.half_width.mean() / found.human_only.half_width.mean())
    # Standard errors are .002 at .80 and less above; at n = 10, below what theory promises, more is allowed.
    allowed = 0.015 if n >= 30 else 0.03
    wrong = {key: hits / repeats for key, hits in covered.items() if abs(hits / repeats - key[1]) > allowed}
    assert wrong == {}
    assert np.mean(ratio) <= 1.03


def test_coverage_in_short():
    rng = np.random.default_rng(0)
    repeats = 4000
    data = draw(rng, 50, 500, repeats, good=True, nested=False)
    for method in ("rectified", "power_tuned"):
        found = crowd_interval(*data, method=method)
        covered = int(((found.low <= TRUTH) & (found.high >= TRUTH)).sum())
        low, high = binom.ppf([ERROR_RATE / 2, 1 - ERROR_RATE / 2], repeats, 0.95)
        assert low <= covered <= high
    union = prediction_powered_mean(*data)
    assert ((union.low <= TRUTH) & (union.high >= TRUTH)).mean() > 0.97


def test_widths_where_a_crowd_helps():
    rng = np.random.default_rng(1)
    data = draw(rng, 50, 500, 4000, good=True, nested=False)
    rectified, tuned, printed = (
        crowd_interval(*data, method=name) for name in ("rectified", "power_tuned", "theorem_4_6")
    )
    width = rectified.half_width.mean()
    # .21 and .77 in both this and an independent simulation; standard errors .001.
    assert width <= 0.23 * printed.half_width.mean()
    assert width <= 0.80 * rectified.human_only.half_width.mean()
    assert tuned.half_width.mean() <= 0.80 * rectified.human_only.half_width.mean()
    assert ((printed.low <= TRUTH) & (printed.high >= TRUTH)).all()


def test_widths_where_it_does_not():
    rng = np.random.default_rng(2)
    for n, n_crowd in ((10, 100), (50, 50), (100, 1000)):
        data = draw(rng, n, n_crowd, 2000, good=False, nested=False)
        rectified, tuned = (crowd_interval(*data, method=name) for name in ("rectified", "power_tuned"))
        human = rectified.human_only.half_width.mean()
        assert rectified.half_width.mean() > 1.2 * human
        assert tuned.half_width.mean() <= 1.03 * human


# -- twins fitted to the people themselves ---------------------------------------------------------------------------


def nearest(train: tuple[np.ndarray, np.ndarray], x: np.ndarray) -> np.ndarray:
    distance = (x**2).sum(axis=1)[:, None] - 2 * x @ train[0].T + (train[0] ** 2).sum(axis=1)
    return train[1][distance.argmin(axis=1)]


def memorised(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, y


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(np.c_[np.ones(len(x)), x], y, rcond=None)[0]


def line(beta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.c_[np.ones(len(x)), x] @ beta


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "predict", "d"), [(memorised, nearest, 2), (regression, line, 25)], ids=["1-NN", "OLS"]
)
def test_overfitting_learners_need_cross_fitting(fit, predict, d):
    rng = np.random.default_rng(d)
    repeats, n, covered = 6000, 50, {"crossed": 0, "in sample": 0}
    for repeat in range(repeats):
        x, crowd_x = rng.normal(size=(n, d)), rng.normal(size=(1000, d))
        y = TRUTH + 0.7 * x[:, 0] + rng.normal(scale=0.7, size=n)
        model = fit(x, y)
        with pytest.warns(InSampleWarning):
            inside = crowd_interval(y, predict(model, x), predict(model, crowd_x), in_sample=True)
        crossed = cross_fit_interval(fit, predict, x, y, crowd_x, seed=repeat)
        for name, found in (("crossed", crossed), ("in sample", inside)):
            covered[name] += int(found.low <= TRUTH <= found.high)
    assert at_least(covered["crossed"], repeats, 0.92)
    assert covered["crossed"] / repeats >= 0.92
    assert covered["in sample"] / repeats < 0.76


# -- answers that hang together --------------------------------------------------------------------------------------


def test_pooled_intervals_need_clusters():
    rng = np.random.default_rng(3)
    people, problems, icc, repeats = 60, 20, 0.3, 4000
    common, own = icc**0.5, (1 - icc) ** 0.5
    y = TRUTH + common * rng.normal(size=(people, 1, repeats)) + own * rng.normal(size=(people, problems, repeats))
    rows, label = y.reshape(people * problems, repeats), np.repeat(np.arange(people), problems)
    for clusters, low, high in ((label, 0.93, 0.97), (None, 0.5, 0.6)):
        found = crowd_interval(rows, method="human_only", clusters=clusters)
        assert low < ((found.low <= TRUTH) & (found.high >= TRUTH)).mean() < high


@pytest.mark.slow
def test_pooled_crowds_cluster_on_both_sides():
    rng = np.random.default_rng(4)
    repeats, people, members, problems = 3000, 40, 60, 12
    covered = {"crossed": 0, "fresh": 0, "ragged": 0}
    level = rng.normal(size=problems)
    for _ in range(repeats):
        a = rng.normal(scale=0.8, size=(people, 1))
        y = level + a + rng.normal(scale=0.7, size=(people, problems))
        twin = level - 0.4 + 0.75 * a + rng.normal(scale=0.3, size=y.shape)
        b = rng.normal(scale=0.8, size=(members, 1))
        crowd = level - 0.4 + 0.75 * b + rng.normal(scale=0.3, size=(members, problems))
        ragged = np.where(rng.random(y.shape) < 0.4, y, np.nan)
        found = {
            "crossed": pooled_interval(y, twin, crowd),
            "fresh": pooled_interval(y, twin, crowd, crossed=False),
            "ragged": pooled_interval(ragged, twin, crowd, problem_weights=np.ones(problems)),
        }
        for name, each in found.items():
            covered[name] += int(each.low <= level.mean() <= each.high)
    assert at_least(covered["crossed"], repeats, 0.94)
    assert at_least(covered["ragged"], repeats, 0.94)
    # One member's answers taken for many members': standard errors too small.
    assert covered["fresh"] / repeats < 0.94


# -- leaks, shifts, processing ---------------------------------------------------------------------------------------


def test_twins_that_saw_the_answer_do_not_cover():
    """The person's noise has half the variance; the model's mean is off by .4. Leaked twins draw it given y."""
    rng = np.random.default_rng(5)
    n, n_crowd, repeats, mean = 50, 1000, 4000, TRUTH - 0.4
    half = 0.5**0.5

    def prior(size: int) -> np.ndarray:
        return mean + half * rng.normal(size=(size, repeats)) + half * rng.normal(size=(size, repeats))

    y = TRUTH + half * rng.normal(size=(n, repeats)) + half * rng.normal(size=(n, repeats))
    posterior = 0.5 * (y - mean) + 0.5 * rng.normal(size=y.shape)
    leaked = mean + posterior + half * rng.normal(size=y.shape)
    coverage = {}
    for name, twin in (("ours", prior(n)), ("leaked", leaked)):
        found = crowd_interval(y, twin, prior(n_crowd))
        coverage[name] = ((found.low <= TRUTH) & (found.high >= TRUTH)).mean()
    assert coverage["leaked"] < 0.90
    assert at_least(round(coverage["ours"] * repeats), repeats, 0.95)


def test_a_profile_shift_needs_weights():
    rng = np.random.default_rng(6)
    n, n_crowd, repeats, shift = 100, 1000, 4000, 0.5
    v, target = rng.normal(size=(n, repeats)), shift + rng.normal(size=(n_crowd, repeats))
    y, truth = TRUTH + 0.8 * v + rng.normal(scale=0.7, size=v.shape), TRUTH + 0.8 * shift
    twin, crowd = 2.6 + 0.4 * v, 2.6 + 0.4 * target
    ratio = np.exp(shift * v - shift**2 / 2)
    plain, weighted = crowd_interval(y, twin, crowd), crowd_interval(y, twin, crowd, weights=ratio)
    assert ((plain.low <= truth) & (plain.high >= truth)).mean() < 0.5
    assert ((weighted.low <= truth) & (weighted.high >= truth)).mean() > 0.935


def test_rounding_one_side_only_does_not_cover():
    rng = np.random.default_rng(7)
    y, twin, crowd = draw(rng, 100, 1000, 1000, good=True, nested=False)
    low, high = (getattr(crowd_interval(y, twin, np.floor(crowd)), end) for end in ("low", "high"))
    assert ((low <= TRUTH) & (high >= TRUTH)).mean() < 0.05


def test_a_reference_that_all_share_cancels():
    """One draw of the LLM a study, eta = .25: the crowd's own mean is off by it, whatever eta / N says."""
    rng = np.random.default_rng(8)
    n, n_crowd, repeats, eta = 50, 500, 4000, 0.25
    a, y = answers(rng, n, repeats)
    b, _ = answers(rng, n_crowd, repeats)
    draw_of_study = rng.normal(scale=eta**0.5, size=repeats)
    twin, crowd = twins(rng, a, True) + draw_of_study, twins(rng, b, True) + 0.4 + draw_of_study
    shifted = crowd_interval(y, twin + 0.4, crowd)
    assert at_least(int(((shifted.low <= TRUTH) & (shifted.high >= TRUTH)).sum()), repeats, 0.95)
    alone = 1.96 * np.sqrt((crowd.var(axis=0) + eta) / n_crowd)
    assert (np.abs(crowd.mean(axis=0) - TRUTH) <= alone).mean() < 0.2
