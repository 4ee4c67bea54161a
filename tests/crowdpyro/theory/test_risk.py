from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crowdpyro import theory
from crowdpyro.errors import DataError

Y, A = np.array([4.0, 2, 5, 3]), np.array([3.5, 2.5, 4.5, 3])
T, B = np.array([3.0, 3, 4, 3.5]), np.array([3.25, 2.75, 4, 3])


def test_pathwise_fixture() -> None:
    found = theory.risk_decomposition(Y, T, B, A)
    terms = {
        "risk": 0.015625,
        "average_human_bias": 1.25,
        "human_noise": 0.1875,
        "twin_discrepancy": 0.09375,
        "twin_uncertainty": 0.09375,
        "diversity": 0.171875,
    }
    for name, value in terms.items():
        assert getattr(found, name)[0] == pytest.approx(value, abs=1e-12), name
    parts = {name: float(part[0]) for name, part in found.remainder_parts.items()}
    assert parts == pytest.approx({"c1": -0.875, "c2": -0.375, "c3": -0.1875}, abs=1e-12)


def test_observable_fixture() -> None:
    found = theory.risk_decomposition(Y, T, B)
    assert found.noise_and_discrepancy[0] == pytest.approx(0.53125, abs=1e-12)
    assert found.remainder_parts["2[Cov(y, b) - Var(y)]"][0] == pytest.approx(-1.5, abs=1e-12)
    assert np.isnan([found.human_noise[0], found.twin_discrepancy[0]]).all()
    assert found.identity_error < 1e-12


def test_expected_fixture() -> None:
    found = theory.expected_risk(A, B, 0.49, 0.09)
    terms = {
        "average_human_bias": 0.914375,
        "human_noise": 0.49,
        "twin_discrepancy": 0.09375,
        "twin_uncertainty": 0.09,
        "diversity": 0.28625,
        "remainder": -1.14125,
        "risk": 0.160625,
        "printed_sum": 1.301875,
    }
    for name, value in terms.items():
        assert getattr(found, name)[0] == pytest.approx(value, abs=1e-10), name


def test_pure_llm_fixtures() -> None:
    def pure(v_pure: float, shared: bool = True) -> theory.RiskDecomposition:
        return theory.expected_risk(A, [3.0] * 4, 0.49, v_pure, twin_mean_noise_var=v_pure if shared else None)

    assert pure(0.0).risk[0] == pytest.approx(0.263125, abs=1e-10)
    assert pure(0.0).printed_sum[0] == pytest.approx(2.091875, abs=1e-10)
    assert pure(0.0).remainder[0] == pytest.approx(-1.82875, abs=1e-10)
    assert pure(0.25).risk[0] == pytest.approx(0.513125, abs=1e-10)
    assert pure(0.25 / 8).risk[0] == pytest.approx(0.294375, abs=1e-10)
    gap = theory.expected_risk(A, B, 0.49, 0.09).risk - pure(0.0).risk
    assert gap[0] == pytest.approx(-0.1025, abs=1e-10)
    # A crowd of LLM draws that are independent averages its noise out; one draw that all share does not.
    assert pure(0.25, shared=False).risk[0] == pytest.approx(0.263125 + 0.25 / 4, abs=1e-10)
    # The same terms, from answers without noise.
    found = theory.pure_llm_risk(A, 3.0, 0.25, human_mean=A)
    assert found.risk[0] == pytest.approx(0.140625 + 0.25, abs=1e-12)
    assert found.identity_error < 1e-12


shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=7)
values = st.floats(-1e3, 1e3)


@given(st.data(), shapes)
def test_identities_hold_for_any_numbers(data: st.DataObject, shape: tuple[int, ...]) -> None:
    y, t, a, b = (data.draw(hnp.arrays(float, shape, elements=values)) for _ in range(4))
    r = data.draw(hnp.arrays(float, shape[1:], elements=values))
    for found in (
        theory.risk_decomposition(y, t, b, a),
        theory.risk_decomposition(y, t, b),
        theory.risk_decomposition(y, t, b, human_noise_var=0.3),
        theory.risk_decomposition(y, t),
        theory.risk_decomposition(y, t, None, a),
        theory.expected_risk(a, b, 0.3, 0.7),
        theory.pure_llm_risk(y, r, 0.4, a),
        theory.pure_llm_risk(y, r),
    ):
        assert found.identity_error < 1e-10
    risk = np.atleast_1d((y.mean(axis=0) - t.mean(axis=0)) ** 2)
    expected = risk.sum(axis=-1) if risk.ndim == 2 else risk
    np.testing.assert_allclose(theory.risk_decomposition(y, t, b).risk, expected, rtol=1e-9, atol=1e-9)


@given(st.data(), st.floats(-50, 50), st.floats(0.1, 20))
def test_shifting_changes_nothing_and_scaling_by_c_scales_by_its_square(
    data: st.DataObject, shift: float, c: float
) -> None:
    y, t, b = (data.draw(hnp.arrays(float, (5, 3), elements=st.floats(-10, 10))) for _ in range(3))
    first = theory.risk_decomposition(y, t, b).to_frame().drop(columns="n")
    moved = theory.risk_decomposition(y + shift, t + shift, b + shift).to_frame().drop(columns="n")
    scaled = theory.risk_decomposition(c * y, c * t, c * b).to_frame().drop(columns="n")
    np.testing.assert_allclose(moved, first, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(scaled, c**2 * first, rtol=1e-9, atol=1e-9 * c**2)


@given(st.integers(0, 2**20))
def test_one_hot_answers_do_not_know_the_options_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, t = rng.integers(4, size=(2, 9, 3)).astype(float)
    y[0, 0] = np.nan
    b = rng.dirichlet(np.ones(4), size=(9, 3))
    renamed = rng.permutation(4)
    there = ~np.isnan(y)
    y_new = np.where(there, renamed[np.where(there, y, 0).astype(int)], np.nan)
    b_new = np.empty_like(b)
    b_new[..., renamed] = b
    first = theory.risk_decomposition(theory.one_hot(y, 4), theory.one_hot(t, 4), b).to_frame()
    second = theory.risk_decomposition(
        theory.one_hot(y_new, 4), theory.one_hot(renamed[t.astype(int)], 4), b_new
    ).to_frame()
    np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)


def test_problems_apart_equal_problems_together_and_absent_people_do_not_count() -> None:
    rng = np.random.default_rng(0)
    y, t, b = rng.normal(size=(3, 20, 6))
    y[rng.random(y.shape) < 0.3] = np.nan
    t[rng.random(t.shape) < 0.1] = np.nan
    together = theory.risk_decomposition(y, t, b).to_frame()
    for problem in range(6):
        kept = ~np.isnan(y[:, problem] + t[:, problem])
        alone = theory.risk_decomposition(y[kept, problem], t[kept, problem], b[kept, problem]).to_frame()
        np.testing.assert_allclose(alone.iloc[0], together.iloc[problem], rtol=1e-12)
    np.testing.assert_allclose(theory.risk_decomposition(y, t, b).mean(), together.mean())


def test_expected_terms_are_those_of_simulated_answers() -> None:
    # 40,000 crowds: the largest of 8 standardised errors is above 4.5 with chance 1e-4.
    rng = np.random.default_rng(1)
    n, crowds = 12, 40_000
    a = rng.normal(3, 0.7, n)
    b = 3.2 + 0.4 * (a - 3)
    y, t = a[:, None] + 0.7 * rng.normal(size=(n, crowds)), b[:, None] + 0.3 * rng.normal(size=(n, crowds))
    ones = np.ones((1, crowds))
    found = theory.risk_decomposition(y, t, b[:, None] * ones, a[:, None] * ones).to_frame()
    found["target"] = found["risk_to_target"]
    expected = theory.expected_risk(a, b, 0.49, 0.09).to_frame().iloc[0]
    for name in ("risk", "L1", "L2", "L3", "L4", "L5", "printed_sum", "remainder"):
        error = abs(found[name].mean() - expected[name])
        assert error <= 4.5 * found[name].std() / np.sqrt(crowds) + 1e-12, name
    # With the people's sampling error taken off, L is that against their expected answers' population: unbiased.
    population = (a.mean() - b.mean()) ** 2 + 0.09 / n
    noise = theory.risk_decomposition(y, t).human_sampling_variance.mean()
    assert noise == pytest.approx(a.var(ddof=1) / n + 0.49 / n, rel=0.01)
    assert found["risk"].mean() - 0.49 / n == pytest.approx(population, abs=0.002)


def test_twins_that_have_seen_the_answers_break_expectations_and_not_the_identity() -> None:
    # Twins half-way between each answer and the mean of these very answers: their mean is the people's.
    rng = np.random.default_rng(3)
    n, crowds = 20, 20_000
    a = np.linspace(2, 4, n)[:, None]
    y = a + 0.7 * rng.normal(size=(n, crowds))
    b = y.mean(axis=0) + 0.5 * (y - y.mean(axis=0))
    t = b + 0.3 * rng.normal(size=(n, crowds))
    found = theory.risk_decomposition(y, t, b)
    expected = theory.expected_risk(a * np.ones_like(b), b, 0.49, 0.09)
    assert found.identity_error < 1e-10
    assert found.risk.mean() == pytest.approx(0.09 / n, rel=0.05)
    assert expected.risk.mean() > 5 * found.risk.mean()


def test_diversity_is_no_lever() -> None:
    a = np.linspace(2, 4, 50)
    risks, diversity = [], []
    for stretch in (0.0, 0.5, 1.0, 2.0):
        found = theory.expected_risk(a, 3.1 + stretch * (a - 3), 0.25, 0.09)
        risks.append(float(found.risk[0]))
        diversity.append(float(found.diversity[0]))
    assert np.ptp(risks) < 1e-12
    assert diversity[-1] > 10 * diversity[0]


def test_terms_from_repeats_are_unbiased_where_raw_ones_are_not() -> None:
    rng = np.random.default_rng(2)
    n, problems, repeats, draws = 30, 4000, 3, 5
    a = rng.normal(0, 0.8, (n, problems))
    b = 0.3 + 0.5 * a
    y = a + 0.7 * rng.normal(size=(repeats, n, problems))
    t = b + 0.4 * rng.normal(size=(draws, n, problems))
    truth = ((a - b) ** 2).mean()
    found = theory.noise_and_discrepancy(y, t)
    assert found.human_noise.mean() == pytest.approx(0.49, abs=0.005)
    assert found.twin_uncertainty.mean() == pytest.approx(0.16, abs=0.002)
    assert found.twin_discrepancy.mean() == pytest.approx(truth, abs=0.005)
    assert found.noise_and_discrepancy.mean() == pytest.approx(truth + 0.49, abs=0.005)
    assert found.raw.mean() > truth + 0.15
    once = theory.noise_and_discrepancy(y[:1], t)
    assert np.isnan(once.twin_discrepancy).all()
    assert once.noise_and_discrepancy.mean() == pytest.approx(truth + 0.49, abs=0.01)
    known = theory.noise_and_discrepancy(y[:1], t, human_noise_var=0.49)
    assert known.twin_discrepancy.mean() == pytest.approx(truth, abs=0.01)
    also = theory.risk_decomposition(y[0], t[0], b, human_noise_var=0.49)
    assert also.twin_discrepancy.mean() == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.risk_decomposition([1.0], [2.0]), "has 1 pair of"),
        (lambda: theory.risk_decomposition([1.0, np.nan], [2.0, 3.0]), "has 1 pair of"),
        (lambda: theory.risk_decomposition([1.0, 2], [2.0, 3, 4]), "shapes"),
        (lambda: theory.risk_decomposition([1.0, np.inf], [2.0, 3]), "y is inf at"),
        (lambda: theory.risk_decomposition(["a", "b"], [2.0, 3]), "one-hot"),
        (lambda: theory.risk_decomposition(Y, T, B, A, 0.1), "human_mean and human_noise_var"),
        (lambda: theory.risk_decomposition(Y, T, [1.0, 2, np.nan, 3]), "twin_mean is NaN"),
        (lambda: theory.risk_decomposition(Y, T, B[:3]), "twin_mean has shape"),
        (lambda: theory.risk_decomposition(Y, T, B, human_noise_var=-1), "at least 0"),
        (lambda: theory.risk_decomposition(3.0, 4.0), "shape"),
        (lambda: theory.pure_llm_risk(Y, [1.0, 2]), "reference has shape"),
        (lambda: theory.pure_llm_risk(Y, np.nan), "reference is nan"),
        (lambda: theory.pure_llm_risk(Y, 3, -0.1), "v_pure is -0.1"),
        (lambda: theory.expected_risk(A, B, [0.1, 0.2], 0), "human_noise_var has shape"),
        (lambda: theory.risk_decomposition(Y, T, B, human_noise_var=[1, 2]), r"human_noise_var has shape \(2,\)"),
        (lambda: theory.one_hot([0], 0), "scale=0"),
        (lambda: theory.noise_and_discrepancy(Y[None], T[None]), "twins has shape"),
        (lambda: theory.noise_and_discrepancy(Y, T), "y has shape"),
        (lambda: theory.one_hot([0, 3], 3), "no code from 0 to 2"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]


def test_what_is_printed() -> None:
    text = repr(theory.risk_decomposition(Y, T, B, A))
    assert "1 problem, 4 pairs each" in text
    assert "printed sum 1.453, remainder -1.438" in text
