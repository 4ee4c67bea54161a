from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from crowdpyro import Ballot, Categorical, Continuous, Ordinal, References
from crowdpyro.baselines import self_consistency
from crowdpyro.errors import DataError
from crowdpyro.models.scales import Scale
from crowdpyro.references import ReferenceSource

RATING = Ordinal((1, 2, 3, 5))
LABELS = Categorical(("a", "b", "c", "d"))


def references(values: np.ndarray, scale: Scale = RATING, temperature: float = 1.0, name: str = "llm") -> References:
    """One source from values `(n_problems, n_personas, m)`; the first persona is zero-shot."""
    personas = ("", *(f"p{k}" for k in range(1, values.shape[1])))
    problems = pd.RangeIndex(len(values), name="problem")
    return References(scale, (ReferenceSource(name, "1", "", temperature, problems, personas, values),))


def laws(n: int = 6, personas: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(4), size=(n, personas))


@pytest.mark.parametrize("temperature", [0, 0.5, 1, 2])
@pytest.mark.parametrize("scale", [RATING, LABELS])
def test_eta_is_the_variance_of_100_000_draws(temperature: float, scale: Scale) -> None:
    """Within four standard errors of the sample variance: a false alarm in 6 problems x 8 settings, 3e-3."""
    given = references(laws(), scale)
    exact = given.eta(temperature)
    drawn = given.draws(100_000, temperature=temperature, seed=1)
    if scale == LABELS:
        # The variance of a label is the trace of that of its one-hot vector.
        drawn = np.eye(4)[drawn.astype(int)]
        centred = ((drawn - drawn.mean(axis=0)) ** 2).sum(axis=2)
    else:
        centred = (drawn - drawn.mean(axis=0)) ** 2
    error = centred.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(centred.mean(axis=0) - exact) <= 4 * error + 1e-4 * exact).all()
    if temperature == 0:
        np.testing.assert_array_equal(exact, 0)


def test_draws_match_the_distribution() -> None:
    """Chi-square over 200 problems of 2,000 draws, 3 degrees of freedom each; fails by chance once in 10,000."""
    p = laws(200) * 0.8 + 0.05
    codes = np.searchsorted(RATING.values, references(p).draws(2_000, temperature=1.0, seed=2))
    counts = np.stack([(codes == level).sum(axis=0) for level in range(4)], axis=1)
    statistic = ((counts - 2_000 * p[:, 0]) ** 2 / (2_000 * p[:, 0])).sum()
    assert chi2.ppf(5e-5, 600) < statistic < chi2.ppf(1 - 5e-5, 600)


def test_temperatures_compose_and_the_record_says_which() -> None:
    given = references(laws())
    twice, once = given.tempered(2.0).tempered(0.5), given.tempered(0.5)
    np.testing.assert_allclose(twice.source().values, once.source().values, rtol=1e-10)
    assert once.source().temperature == 0.5
    p = given.source().values
    np.testing.assert_allclose(once.source().values, p**2 / (p**2).sum(axis=2, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(given.tempered(0).source().values.max(axis=2), 1)
    assert given.tempered(1.0) is given


def test_gaps_stay_gaps() -> None:
    p = laws()
    p[2] = np.nan
    given = references(p)
    assert np.isnan(given.tempered(0.5).source().values[2]).all()
    for result in (given.eta(0.5), given.decide("mean"), given.decide("majority", 8), given.decide("median")):
        np.testing.assert_array_equal(np.isnan(result), np.arange(6) == 2)
    assert np.isnan(given.draws(5)[:, 2]).all()


def test_decisions_of_infinitely_many_draws_are_their_limits() -> None:
    given = references(laws(40))
    for rule in ("mean", "median", "majority"):
        many = given.decide(rule, 40_001, seed=3)
        agree = np.abs(many - given.decide(rule)) < 0.05
        assert agree.mean() > 0.95
    np.testing.assert_allclose(given.decide("mean"), given.expected())


def test_decisions_by_hand() -> None:
    p = np.array([[[0.1, 0.4, 0.0, 0.5]], [[0.5, 0.0, 0.0, 0.5]]])
    given = references(p)
    np.testing.assert_allclose(given.decide("mean"), [0.1 + 0.8 + 2.5, 3.0])
    np.testing.assert_array_equal(given.decide("median"), [2, 1])
    np.testing.assert_array_equal(given.decide("majority"), [5, 1])
    np.testing.assert_array_equal(references(p, LABELS).decide("majority"), [3, 0])
    assert set(given.decide("majority", 3, seed=0)) <= {1, 2, 5}


def test_self_consistency_is_the_yardstick_s() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(200, 1))
    ours = references(p).decide("majority", 8, temperature=0.5, seed=3)
    np.testing.assert_array_equal(ours, RATING.values[self_consistency(p[:, 0], 8, 0.5, seed=3).argmax(axis=1)])


def test_ties_are_independent_of_the_draws() -> None:
    """Two draws with fair ties choose a level as often as one does; five standard errors."""
    given, seeds = references(np.array([[[0.8, 0.0, 0.2, 0.0]]])), 4000
    chosen = np.array([given.decide("majority", 2, seed=seed)[0] for seed in range(seeds)])
    assert abs((chosen == RATING.values[0]).mean() - 0.8) < 5 * np.sqrt(0.16 / seeds)


def test_personas_and_panels_are_named() -> None:
    given = References.panel(references(laws()), references(laws(seed=1), name="other"))
    np.testing.assert_allclose(given.eta(source="other", persona="p1"), references(laws(seed=1)).eta(persona="p1"))
    p = laws(seed=1)[:, 1]
    np.testing.assert_allclose(given.decide(source="other", persona="p1"), p @ RATING.values)


def test_numbers_have_their_own_temperature() -> None:
    values = np.random.default_rng(0).normal(size=(5, 2, 9))
    values[1, 0, 4:] = np.nan
    values[2] = np.nan
    given = references(values, Continuous())
    np.testing.assert_allclose(given.eta()[[0, 1]], [values[0, 0].var(ddof=1), values[1, 0, :4].var(ddof=1)])
    np.testing.assert_allclose(given.decide("median")[0], np.median(values[0, 0]))
    drawn = given.draws(200, seed=0)
    assert set(drawn[:, 1]) == set(values[1, 0, :4])
    assert np.isnan(drawn[:, 2]).all()
    assert np.isnan([given.eta()[2], given.decide("mean", 3)[2]]).all()
    pooled = replace(given.source(), personas=("p1", "p2"))
    assert set(replace(given, sources=(pooled,)).draws(400, seed=0)[:, 0]) == set(values[0].ravel())
    with pytest.raises(DataError, match="at another"):
        given.eta(0.5)


@pytest.mark.parametrize(
    ("given", "ask", "message"),
    [
        (references(laws(), temperature=0.0), lambda each: each.tempered(1.0), "temperature 0"),
        (references(laws()), lambda each: each.tempered(-1.0), "temperature=-1.0"),
        (references(laws()), lambda each: each.tempered(np.nan), "temperature=nan"),
        (references(laws()), lambda each: each.draws(0), "k=0"),
        (references(laws()), lambda each: each.decide("mode"), "rule='mode'"),
        (references(laws(), LABELS), lambda each: each.decide("mean"), "'majority'"),
        (references(laws(), Continuous()), lambda each: each.decide("majority"), "hardly repeat"),
        (references(laws(), Continuous()), lambda each: each.decide(persona="x"), "persona 'x'"),
        (references(laws(), Continuous()), lambda each: each.tempered(2.0), "draws of numbers"),
        (references(laws(), Ballot(tuple("abcd"), "choose", 2)), lambda each: each.eta(), "shares of votes"),
        (references(laws(), Ballot(tuple("abcd"), "choose", 2)), lambda each: each.draws(2), "mode='write'"),
    ],
)
def test_what_cannot_be_decided(given: References, ask: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ask(given)  # type: ignore[operator]
