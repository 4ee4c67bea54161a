"""The interval's kernel: fixtures worked out twice elsewhere, every option on every path, the peer, bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.theory import CrowdInterval, InSampleWarning, crowd_interval

Y = np.array([4, 3, 5, 2, 4, 3.0])
TWIN = np.array([3.5, 3, 4, 2.5, 3, 3.5])
CROWD = np.array([3, 3.5, 2.5, 4, 3, 3.5, 2, 3, 4.5, 3])
METHODS = ("rectified", "power_tuned", "theorem_4_6", "absolute_bias", "human_only")


def simulated(n: int = 20, n_crowd: int = 50, n_problems: int = 3, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    y = 3 + rng.normal(size=(n, n_problems))
    return y, 0.5 * y + rng.normal(size=y.shape), 1.5 + rng.normal(size=(n_crowd, n_problems))


def ends(interval: CrowdInterval) -> np.ndarray:
    return np.stack([interval.estimate, interval.low, interval.high, interval.se, interval.df])


# -- fixtures --------------------------------------------------------------------------------------------------------


def test_printed_and_rectified_with_variances_over_n():
    exact = crowd_interval(Y, TWIN, CROWD, ddof=0, quantile="normal")
    assert exact.rbar == pytest.approx(0.25, abs=1e-12)
    assert exact.parts["residual"] * 6 == pytest.approx(0.395833333333, abs=1e-11)
    assert exact.parts["crowd"] * 10 == pytest.approx(0.46, abs=1e-11)
    assert exact.eps_0 == pytest.approx(0.677003200386, abs=1e-11)
    assert exact.se == pytest.approx(0.334622507047, abs=1e-11)
    assert (exact.low, exact.high) == pytest.approx((2.79415193777, 4.10584806223), abs=1e-11)
    printed = crowd_interval(Y, TWIN, CROWD, method="theorem_4_6")
    assert printed.estimate == pytest.approx(3.2, abs=1e-12)
    assert printed.half_width == pytest.approx(1.33285126261, abs=1e-11)
    bias = crowd_interval(Y, TWIN, CROWD, method="absolute_bias")
    assert bias.half_width == pytest.approx(0.905848062228, abs=1e-11)


def test_rectified_by_welch_and_power_tuned():
    rectified = crowd_interval(Y, TWIN, CROWD)
    assert rectified.df == pytest.approx(10.9943241457, abs=1e-9)
    assert rectified.half_width == pytest.approx(0.79447391133, abs=1e-10)
    tuned = crowd_interval(Y, TWIN, CROWD, method="power_tuned")
    assert tuned.lam == pytest.approx(0.704960835509, abs=1e-11)
    assert tuned.estimate == pytest.approx(3.46475195822, abs=1e-11)
    assert tuned.se == pytest.approx(0.354637374223, abs=1e-11)
    assert tuned.df == 5


def test_twins_inside_the_crowd():
    nested = crowd_interval(Y, TWIN, np.r_[TWIN, 3, 4, 2.5, 3.5], overlap=True, ddof=0)
    assert nested.se**2 == pytest.approx(0.121388888889, abs=1e-11)
    assert sum(nested.parts.values()) == pytest.approx(nested.se**2, abs=1e-15)
    order = np.array([7, 2, 9, 0, 4, 5])
    crowd = np.zeros(10)
    crowd[order], crowd[[1, 3, 6, 8]] = TWIN, [3, 4, 2.5, 3.5]
    by_row = crowd_interval(Y, TWIN, crowd, overlap=order, ddof=0)
    np.testing.assert_allclose(ends(by_row), ends(nested), atol=1e-12)


def test_clusters():
    residual = np.array([0.5, 0.25, 0.75, 0.5, -0.5, 0, -0.25, -0.5, 0.25, 0.5, 0])
    label = np.repeat(["a", "b", "c"], [4, 4, 3])
    clustered = crowd_interval(residual, method="human_only", clusters=label)
    assert clustered.estimate == pytest.approx(0.136363636364, abs=1e-11)
    assert clustered.se**2 == pytest.approx(0.0676311385834, abs=1e-12)
    assert clustered.df == 2
    naive = crowd_interval(residual, method="human_only", ddof=0)
    assert naive.se**2 == pytest.approx(0.0148384673178, abs=1e-12)


def test_tuning_finds_the_least_variance():
    rng = np.random.default_rng(0)
    y, unseen = 3 + rng.normal(size=200), 3 + rng.normal(size=4000)
    twin, crowd = 0.8 * y + rng.normal(size=200), 0.8 * unseen + rng.normal(size=4000)
    for how in ({}, {"overlap": True}):
        if how:
            crowd = np.r_[twin, crowd[:300]]
        best = crowd_interval(y, twin, crowd, method="power_tuned", **how)
        tried = [
            float(crowd_interval(y, twin, crowd, method="power_tuned", lam=lam, **how).se)
            for lam in np.linspace(0, 1, 101)
        ]
        assert best.se <= min(tried) * 1.003
        assert 0 < best.lam < 1
    # Clusters take the other formula for lam, from variances that are not pooled: the least exactly.
    label = np.arange(len(y)) // 2
    for members in (np.arange(len(crowd)) + 1000, np.r_[label, np.arange(len(crowd) - len(y)) + 1000]):
        how = {"method": "power_tuned", "clusters": label, "crowd_clusters": members, "overlap": True}
        best = crowd_interval(y, twin, crowd, **how)
        # The variance is a parabola of lam, whose lowest point three of its values give.
        zero, half, one = (float(crowd_interval(y, twin, crowd, lam=lam, **how).se) ** 2 for lam in (0.0, 0.5, 1.0))
        assert best.lam == pytest.approx((4 * half - 3 * zero - one) / (8 * half - 4 * zero - 4 * one), rel=1e-9)


def test_absent_answers_are_left_out_problem_by_problem():
    y, twin, crowd = simulated()
    holes = [each.copy() for each in (y, twin, crowd)]
    holes[0][3, 0] = holes[1][5, 1] = holes[2][7, 2] = np.nan
    some = crowd_interval(*holes, missing="omit")
    for place, (people, members) in enumerate(((3, None), (5, None), (None, 7))):
        kept = np.delete(np.arange(20), [] if people is None else people)
        others = np.delete(np.arange(50), [] if members is None else members)
        one = crowd_interval(y[kept, place], twin[kept, place], crowd[others, place])
        np.testing.assert_allclose(ends(some[place]), ends(one), rtol=1e-12)
        assert (some.n[place], some.n_crowd[place]) == (len(kept), len(others))


def test_weights_repeat_people():
    y, twin, crowd = simulated(8, 30)
    weights = np.array([1, 2, 1, 3, 1, 1, 2, 1])
    weighted = crowd_interval(y, twin, crowd, weights=weights, ddof=0)
    repeated = crowd_interval(np.repeat(y, weights, axis=0), np.repeat(twin, weights, axis=0), crowd, ddof=0)
    np.testing.assert_allclose(weighted.estimate, repeated.estimate, rtol=1e-12)
    # The same centre, and the honest variance: eight people, not twelve.
    by_person = crowd_interval(
        np.repeat(y, weights, axis=0), np.repeat(twin, weights, axis=0), crowd,
        clusters=np.repeat(np.arange(8), weights), ddof=0,
    )  # fmt: skip
    np.testing.assert_allclose(weighted.parts["residual"], by_person.parts["residual"], rtol=1e-12)
    zero = crowd_interval(np.r_[y, y[:1] + 9], np.r_[twin, twin[:1]], crowd, weights=np.r_[weights, 0])
    np.testing.assert_allclose(ends(zero), ends(crowd_interval(y, twin, crowd, weights=weights)), rtol=1e-12)


def test_shares_of_labels_do_not_know_their_order():
    rng = np.random.default_rng(3)
    codes = [rng.integers(3, size=size) for size in (20, 20, 60)]
    order = np.array([2, 0, 1])
    plain = crowd_interval(*(np.eye(3)[each] for each in codes))
    swapped = crowd_interval(*(np.eye(3)[order[each]] for each in codes))
    np.testing.assert_allclose(ends(swapped)[:, order], ends(plain), rtol=1e-12)
    assert plain.estimate.sum() == pytest.approx(1, abs=1e-12)


def test_variances_are_exact_far_from_zero():
    rng = np.random.default_rng(0)
    y, crowd = rng.normal(size=(900, 70)), np.sort(rng.normal(size=(3000, 70)), axis=0)
    # Squares take over from deviations at a mean of 100 standard deviations.
    for far in (0, 90, 110, 1e6):
        found = crowd_interval(y + far, y + far, crowd + far)
        np.testing.assert_allclose(found.parts["crowd"], (crowd + far).var(axis=0, ddof=1) / 3000, rtol=1e-9)
    constant = crowd_interval(y[:9], y[:9], np.full((40, 70), 0.1))
    assert (constant.parts["crowd"] == 0).all()
    assert np.isinf(constant.effective_sample_size).all()


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_option_changes_every_path(method):
    y, twin, crowd = simulated()
    paths = {"tuned": {"lam": None}, "fixed": {"lam": 0.4}} if method == "power_tuned" else {"only": {}}
    for path in paths.values():
        plain = crowd_interval(y, twin, crowd, method=method, **path)
        other = 0 if method not in ("theorem_4_6", "absolute_bias") else 1
        changes = {
            "level": {"alpha": 0.2},
            "larger": {"alternative": "larger"},
            "smaller": {"alternative": "smaller"},
            "simultaneous": {"simultaneous": True},
            "weights": {"weights": np.arange(1.0, 21)},
            "clusters": {"clusters": np.repeat(range(5), 4)},
            "ddof": {"ddof": other},
            "quantile": {"quantile": "t" if other else "normal"},
        }
        if method != "human_only":
            changes["crowd_weights"] = {"crowd_weights": np.arange(1.0, 51)}
            changes["crowd_clusters"] = {"crowd_clusters": np.repeat(range(10), 5)}
            changes["overlap"] = {"overlap": True}
        found = {
            name: np.stack([each.low, each.high])
            for name, how in changes.items()
            for each in [crowd_interval(y, twin, crowd, **({"method": method} | path | how))]
        } | {"plain": np.stack([plain.low, plain.high])}
        for one, two in itertools.combinations(found, 2):
            assert not np.allclose(found[one], found[two], rtol=1e-9), (one, two)
    if method == "power_tuned":
        fixed = crowd_interval(y, twin, crowd, method=method, lam=0.4)
        assert not np.allclose(fixed.low, crowd_interval(y, twin, crowd, method=method).low)


@pytest.mark.parametrize("method", METHODS)
def test_one_sided_ends_are_those_of_twice_the_level(method):
    data = simulated()
    both = crowd_interval(*data, alpha=0.1, method=method)
    larger = crowd_interval(*data, alpha=0.05, method=method, alternative="larger")
    smaller = crowd_interval(*data, alpha=0.05, method=method, alternative="smaller")
    np.testing.assert_allclose(larger.low, both.low, rtol=1e-12)
    np.testing.assert_allclose(smaller.high, both.high, rtol=1e-12)
    assert np.isposinf(larger.high).all()
    assert np.isneginf(smaller.low).all()
    for one in (larger, smaller):
        np.testing.assert_allclose(one.effective_sample_size, both.effective_sample_size, rtol=0.1)


def test_simultaneous_divides_alpha_by_all_intervals():
    data = simulated()
    together = crowd_interval(*data, simultaneous=True)
    assert together.alpha == pytest.approx(0.05 / 3)
    np.testing.assert_allclose(together.low, crowd_interval(*data, alpha=0.05 / 3).low)


def test_clusters_of_both_sides_that_share_people():
    y, twin, _ = (each.reshape(-1) for each in simulated(6, 3, 3))
    label = np.repeat(list("abcdef"), 3)
    crowd, members = np.r_[twin, 1.0, 2.0, 4.0], np.r_[label, ["g", "g", "h"]]
    apart = crowd_interval(y, twin, crowd, clusters=label, crowd_clusters=members)
    nested = crowd_interval(y, twin, crowd, clusters=label, crowd_clusters=members, overlap=True)
    u = [(x - x.mean())[label == each].sum() / 18 for x in (y - twin,) for each in "abcdef"]
    v = [(crowd - crowd.mean())[members == each].sum() / 21 for each in "abcdef"]
    assert nested.parts["overlap"] == pytest.approx(2 * np.dot(u, v) * 6 / 5, rel=1e-9)
    assert "overlap" not in apart.parts
    same = crowd_interval(y, twin, twin, clusters=label, crowd_clusters=label, overlap=True, method="power_tuned")
    human = crowd_interval(y, method="human_only", clusters=label)
    np.testing.assert_allclose(ends(same), ends(human), rtol=1e-9)


# -- the peer --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ppi_mean_ci():
    ppi_py = pytest.importorskip("ppi_py")
    return ppi_py.ppi_mean_ci


@pytest.mark.parametrize("alternative", ["two-sided", "larger", "smaller"])
@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("lam", [1.0, 0.3, 0.0])
def test_equals_ppi_py_at_a_given_lambda(ppi_mean_ci, alternative, alpha, lam):
    y, twin, crowd = simulated(30, 200)
    ours = crowd_interval(
        y, twin, crowd, alpha, method="power_tuned", lam=lam, alternative=alternative, ddof=0, quantile="normal"
    )
    low, high = ppi_mean_ci(y, twin, crowd, alpha=alpha, alternative=alternative, lam=lam)
    np.testing.assert_allclose(ours.low, low, rtol=1e-12)
    np.testing.assert_allclose(ours.high, high, rtol=1e-12)
    if lam == 1.0:
        rectified = crowd_interval(y, twin, crowd, alpha, alternative=alternative, ddof=0, quantile="normal")
        np.testing.assert_allclose(ours.low, rectified.low, rtol=1e-12)


def test_where_the_peer_drops_an_option_ours_does_not(ppi_mean_ci):
    y, twin, crowd = simulated(30, 200, 1)
    peer = [ppi_mean_ci(y, twin, crowd, alternative=side) for side in ("two-sided", "larger")]
    assert peer[0] == peer[1]
    ours = [crowd_interval(y, twin, crowd, 0.1, method="power_tuned", alternative=s) for s in ("two-sided", "larger")]
    assert (ours[0].low < ours[1].low).all()
    # At the lambda that both tune, ddof apart.
    assert ours[0].estimate == pytest.approx(float(np.mean(peer[0])), abs=0.02)


def test_weighted_centres_equal_the_peers(ppi_mean_ci):
    y, twin, crowd = simulated(30, 200, 1)
    rng = np.random.default_rng(1)
    w, w_crowd = rng.uniform(0.5, 2, 30), rng.uniform(0.5, 2, 200)
    low, high = ppi_mean_ci(y, twin, crowd, lam=1.0, w=w, w_unlabeled=w_crowd)
    ours = crowd_interval(y, twin, crowd, 0.1, weights=w, crowd_weights=w_crowd)
    # Its variances are of w x rather than w (x - mean): they move when all answers do.
    assert ours.estimate == pytest.approx(float((low + high)[0] / 2), rel=1e-12)


# -- results and errors ----------------------------------------------------------------------------------------------


def test_a_person_can_read_it():
    assert repr(crowd_interval(Y, TWIN, CROWD)) == (
        "<CrowdInterval rectified, 95 %: 3.450 [2.656, 4.244], se 0.361, df 11.0; people alone, n = 6: 3.500 "
        "[2.399, 4.601]; worth n = 12>"
    )
    assert repr(crowd_interval(Y, method="human_only", alternative="larger")) == (
        "<CrowdInterval human_only, 95 %, larger: 3.500 [2.637, inf], se 0.428, df 5.0>"
    )
    many = repr(crowd_interval(*simulated(n_problems=40), labels=pd.Index([f"q{i}" for i in range(40)])))
    assert many.startswith("CrowdInterval rectified, 95 %: 40 intervals, n = 20, N = 50\n")
    assert "q39" in many
    assert len(many.splitlines()) < 20


def test_to_frame_and_items():
    labels = pd.Index(["a", "b", "c"], name="problem")
    interval = crowd_interval(*simulated(), labels=labels)
    frame = interval.to_frame()
    assert list(frame.index) == ["a", "b", "c"]
    np.testing.assert_allclose(frame["var_crowd"] + frame["var_residual"], frame["se"] ** 2)
    np.testing.assert_allclose(frame["human_low"], interval.human_only.low)
    assert list(interval[1:].to_frame().index) == ["b", "c"]
    assert interval[1].estimate == interval.estimate[1]
    assert not frame.isna().any(axis=None)
    with pytest.raises(AttributeError):
        interval.low = 0
    options = crowd_interval(
        *(np.stack([each, 1 - each], axis=-1) for each in simulated()), labels=(labels, pd.Index(["yes", "no"]))
    )
    assert options.to_frame().index[3] == ("b", "no")
    # Labels follow the places, and are dropped where they cannot.
    assert list(options[1].to_frame().index) == ["yes", "no"]
    assert list(options[:, 0].to_frame().index) == ["a", "b", "c"]
    assert options[[2, 0]].to_frame().index[1] == ("c", "no")
    assert options[np.array([False, True, True])].to_frame().index[0] == ("b", "yes")
    for place in ((0, 1), [[0, 1], [2, 0]], np.ones((3, 2), dtype=bool), ...):
        assert options[place].labels == ()
        assert np.array_equal(options[place].estimate, options.estimate[place])


def test_in_sample_residuals_warn_of_what_they_cost():
    with pytest.warns(InSampleWarning, match=r"covered \.38 with nearest-neighbour.*Use cross_fit_interval"):
        crowd_interval(Y, TWIN, CROWD, in_sample=True)
    crowd_interval(Y, method="human_only", in_sample=True)


GAP, TEXT = np.array([1, 2, np.nan, 4, 5, 6]), ["agree"] * 6


@pytest.mark.parametrize(
    ("data", "how", "message"),
    [
        ((Y[:1], TWIN[:1], CROWD), {}, "y holds 1 answers; a variance needs"),
        ((Y, TWIN, CROWD[:1]), {}, "crowd holds 1 answers; a variance needs"),
        ((Y, TWIN, CROWD), {"alpha": 0}, "alpha=0: give a chance"),
        ((Y, TWIN, CROWD), {"alpha": 1.0}, r"alpha=1\.0: give a chance"),
        ((Y, TWIN, CROWD), {"alpha": np.nan}, "alpha=nan"),
        (
            (TEXT, TWIN, CROWD),
            {},
            "y holds something other .* 'agree'.*; labels have no mean: .* take `share_interval`",
        ),
        ((Y, TWIN, ["agree", 3]), {}, "crowd holds something other than numbers .*'agree'"),
        ((GAP, TWIN, CROWD), {}, r"y is NaN at \(2,\) \(1 such\); give every answer, or missing='omit'"),
        ((Y, GAP, CROWD), {}, "twin_y is NaN"),
        ((Y, TWIN, GAP), {}, "crowd is NaN"),
        ((Y, TWIN, np.r_[CROWD, np.inf]), {}, "crowd is inf"),
        ((GAP[:3], TWIN[:3], CROWD), {"missing": "drop"}, "missing='drop': give 'error'"),
        ((GAP[1:3], TWIN[:2], CROWD), {"missing": "omit"}, "y holds 1 answers"),
        ((Y, TWIN, CROWD), {"weights": [-1, 1, 1, 1, 1, 1]}, "weights is -1 at its least"),
        ((Y, TWIN, CROWD), {"weights": np.zeros(6)}, "weights of y sum to 0"),
        ((Y, TWIN, CROWD), {"crowd_weights": np.zeros(10)}, "weights of crowd sum to 0"),
        ((Y, TWIN, CROWD), {"weights": [1, 1, 1]}, r"weights has shape \(3,\); give one a person, \(6,\)"),
        ((Y, TWIN, CROWD), {"weights": [1e6, 1, 1, 1, 1, 1]}, r"leave an effective 1\.00 of 6"),
        ((Y, TWIN, CROWD), {"clusters": [1] * 6}, "clusters of y are 1; a variance needs at least two"),
        ((Y, TWIN, CROWD), {"clusters": [1, 2]}, r"clusters of y: labels of shape \(2,\)"),
        ((Y, TWIN, CROWD), {"clusters": [1, 2, None, 1, 2, 2]}, "clusters of y: row number 2 has no label"),
        ((Y, TWIN[:3], CROWD), {}, r"twin_y has shape \(3,\)"),
        ((Y, TWIN, np.c_[CROWD, CROWD]), {}, r"crowd has shape \(2,\)"),
        (([[1], [2, 3]], TWIN, CROWD), {}, "y holds something other than numbers"),
        ((Y, TWIN, CROWD), {"alpha": "5 %"}, "alpha='5 %': give a chance"),
        ((Y, None, None), {}, "takes twin_y and crowd"),
        ((Y, TWIN, CROWD), {"method": "ppi"}, "method='ppi': give one of 'rectified'"),
        ((Y, TWIN, CROWD), {"alternative": "less"}, "alternative='less': give one of"),
        ((Y, TWIN, CROWD), {"ddof": 2}, "ddof=2: give one of"),
        ((Y, TWIN, CROWD), {"quantile": "z"}, "quantile='z': give one of"),
        ((Y, TWIN, CROWD), {"lam": 0.5}, r"lam=0\.5, method='rectified'"),
        ((Y, TWIN, CROWD), {"lam": 1.5, "method": "power_tuned"}, r"lam=1\.5"),
        ((Y, TWIN, CROWD), {"overlap": [0, 1]}, "overlap: give True, or 6 whole numbers"),
        ((Y, TWIN, CROWD), {"overlap": [0, 0, 1, 2, 3, 4]}, "overlap names a row of the crowd twice"),
        ((Y, TWIN, CROWD[:4]), {"overlap": True}, "overlap=True: 6 people have twins, the crowd holds 4"),
        ((Y, TWIN, CROWD), {"overlap": True, "clusters": range(6)}, "overlap with clusters: give True, and equal"),
        ((3.0, 3.0, CROWD), {}, "y is the single number 3"),
        ((np.zeros((3, 0)), np.zeros((3, 0)), np.zeros((3, 0))), {}, r"y has shape \(3, 0\)"),
        ((Y, TWIN, CROWD), {"labels": pd.Index(["a"])}, r"labels name \(1,\) problems"),
    ],
)
def test_bad_input_is_named(data, how, message):
    with pytest.raises(DataError, match=message):
        crowd_interval(*data, **how)


def test_degenerate_answers_give_numbers():
    for method in METHODS:
        interval = crowd_interval([3, 3, 3], [3, 3, 3], [3, 3, 3, 3], method=method)
        assert (interval.low, interval.high) == (3, 3)
        assert not interval.to_frame().isna().any(axis=None)
        half = crowd_interval([3, 3, 3], [2, 2, 3], [2, 3, 3, 3], method=method)
        assert not half.to_frame().isna().any(axis=None)
