"""The individuation report: numbers against their definitions, and alarms that sound when they should only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crowdpyro import Categorical, Continuous, Crowd, CrowdData, DataError, Ordinal, individuation

SCALE = Ordinal.range(1, 5)
N_ITEMS = 8
SCALES = {"one": [0, 1, 2, 3], "two": [4, 5, 6, 7]}


def crowd(seed, n=600, loading=1.0, stereotype=0.3, ids=None, absent=0.0, scale=SCALE, tilt=0.0):
    """Two traits of four items each, the last of each keyed the other way; groups a and b differ by `stereotype`."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b"], size=n)
    eps = rng.normal(size=(n, 2)) + stereotype * (group == "a")[:, None]
    sign = np.array([1, 1, 1, -1] * 2)
    latent = (
        3 + loading * np.repeat(eps, 4, axis=1) * sign + rng.normal(size=(n, N_ITEMS)) + tilt * rng.normal(size=(n, 1))
    )
    answers = latent if isinstance(scale, Continuous) else np.clip(np.round(latent), 1, 5) - 1
    answers[rng.random(answers.shape) < absent] = np.nan
    return Crowd.from_matrix(
        answers,
        scale=scale,
        problems=pd.DataFrame(index=range(N_ITEMS)),
        participants=pd.DataFrame(
            {"group": group, "age": rng.integers(18, 80, n)}, index=range(n) if ids is None else ids
        ),
    )


def test_alpha_is_pandas_definition_and_the_closed_form():
    answers = crowd(0).values()[:, [0, 1, 2]]
    frame = pd.DataFrame(answers)
    alpha = 3 / 2 * (1 - frame.var().sum() / frame.sum(axis=1).var())
    assert individuation.cronbach_alpha(answers) == pytest.approx(alpha)
    with_gap = answers.copy()
    with_gap[:100, 1] = np.nan
    assert individuation.cronbach_alpha(with_gap) == pytest.approx(individuation.cronbach_alpha(answers[100:]))
    # Parallel items of reliability r each: Spearman and Brown's k r / (1 + (k - 1) r).
    rng = np.random.default_rng(1)
    parallel = rng.normal(size=(200_000, 1)) + rng.normal(size=(200_000, 4))
    assert individuation.cronbach_alpha(parallel) == pytest.approx(4 * 0.5 / 2.5, abs=0.005)
    assert np.isnan(individuation.cronbach_alpha(answers[:, :1]))
    assert np.isnan(individuation.cronbach_alpha(np.ones((9, 3))))
    with pytest.raises(DataError, match="answers have shape"):
        individuation.cronbach_alpha(answers[:, 0])


def test_alphas_interval_covers():
    truth = individuation.cronbach_alpha(crowd(0, 100_000).values()[:, :4] * [1, 1, 1, -1])
    inside = 0
    for seed in range(200):
        row = individuation._reliability(
            {"humans": crowd(seed, 100).values(), "crowd": crowd(seed, 100).values()},
            {"humans": np.ones(100), "crowd": np.ones(100)},
            {"one": [0, 1, 2, 3]},
            0.9,
        ).iloc[0]
        inside += row["low"] <= truth <= row["high"]
    assert stats.binom.ppf(5e-4, 200, 0.9) <= inside <= stats.binom.ppf(1 - 5e-4, 200, 0.9)


def test_another_sample_of_the_same_people_passes():
    found = individuation.report(crowd(1), crowd(2), SCALES)
    summary = found.to_frame()
    assert summary.loc["correlation error", "crowd"] < 2 * summary.loc["correlation error", "noise"]
    assert summary.loc["its p-value", "crowd"] > 1e-3
    assert found.reliability["difference"].abs().max() < 0.06
    assert found.reliability["sd_ratio"].to_numpy() == pytest.approx(1, abs=0.1)
    assert found.grouping["difference"].abs().max() < 0.03
    assert not found.subgroups["small"].any()
    assert [level for trait, level in found.subgroups.index if trait == "group"] == ["a", "b"]
    assert len(found.pairs) == N_ITEMS * (N_ITEMS - 1) // 2


def test_reverse_keyed_items_are_turned():
    np.testing.assert_array_equal(individuation.keyed(crowd(0).values()[:, :4]), [1, 1, 1, -1])
    assert individuation.report(crowd(1), crowd(2), SCALES).reliability["alpha_humans"].min() > 0.6


@pytest.mark.parametrize(
    ("answers", "weights", "said"),
    [
        (np.ones(3), None, r"answers have shape \(3,\)"),
        ([["agree"], ["disagree"]], None, "answers hold something other than numbers"),
        (np.ones((4, 2)), [1.0, 2.0], r"weights have shape \(2,\)"),
    ],
)
def test_what_has_no_items_has_no_keys(answers, weights, said):
    with pytest.raises(DataError, match=said):
        individuation.keyed(answers, weights)


def test_people_without_traits_and_stereotypes_are_seen():
    alike = individuation.report(crowd(1, loading=0.2), crowd(2), SCALES)
    assert (alike.reliability["difference"] < -0.3).all()
    assert (alike.reliability["sd_ratio"] < 0.8).all()
    assert alike.summary.loc["its p-value", "crowd"] < 1e-3
    typed = individuation.report(crowd(1, stereotype=2.0), crowd(2), SCALES)
    assert typed.grouping.loc["group", "difference"] > 0.2
    assert abs(typed.grouping.loc["age", "difference"]) < 0.03


def test_weights_are_people_counted_so_often():
    """Integer weights against people written down so often: all that needs no standard error is the same."""
    people, other = crowd(1, 300), crowd(2, 300)
    times = np.random.default_rng(0).integers(0, 4, 300)
    rows = np.repeat(np.arange(300), times)
    weighed = Crowd(people.dataset.assign_coords(weight=("participant", times / times.mean())))
    written = Crowd(people.dataset.isel(participant=rows).assign_coords(participant=np.arange(len(rows))))
    plain = individuation.report(people, other, SCALES)
    one, two = (individuation.report(each, other, SCALES) for each in (weighed, written))
    for name in ("alpha_crowd", "alpha_humans", "low", "high"):
        np.testing.assert_allclose(one.reliability[name], two.reliability[name], rtol=1e-9)
    assert (plain.reliability["alpha_crowd"] - one.reliability["alpha_crowd"]).abs().min() > 1e-4
    np.testing.assert_allclose(one.pairs, two.pairs, atol=1e-9)
    np.testing.assert_allclose(one.subgroups["mean_crowd"], two.subgroups["mean_crowd"], rtol=1e-9)
    within = [each.summary.loc["variance within people", "crowd"] for each in (one, two, plain)]
    assert within[0] == pytest.approx(within[1])
    assert within[0] != pytest.approx(within[2], rel=1e-4)
    assert 0 < one.subgroups["n_crowd"].max() < 300
    reach = [(each.reliability["high"] - each.reliability["low"]).max() for each in
             (individuation.report(other, each, SCALES) for each in (people, weighed))]  # fmt: skip
    # Kish's number of the weights is two thirds of 300.
    assert 1.1 < reach[1] / reach[0] < 1.4
    assert one.figure().axes


def test_the_classifier_hears_weights():
    """Group a answers higher and is asked three times as often; its weights give the crowd's law back, not the test's
    error rate away: p <= .1 in a tenth of 60 at most, by a binomial tail of 1e-3."""
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        group = rng.random(240) < 0.75
        biased, fair = (each[:, None] + 0.7 * rng.normal(size=(240, 3)) for each in (group, rng.random(240) < 0.5))
        weights = np.where(group, 1.0, 3.0)
        p_values.append(individuation.classifier_test(biased, fair, weights=(weights, None), seed=seed)[1])
    assert np.sum(np.array(p_values) <= 0.1) <= stats.binom.ppf(1 - 1e-3, 60, 0.1)
    rng = np.random.default_rng(0)
    group = rng.random(3000) < 0.75
    biased, fair = (each[:, None] + 0.7 * rng.normal(size=(3000, 3)) for each in (group, rng.random(3000) < 0.5))
    assert individuation.classifier_test(biased, fair)[1] < 1e-3
    assert individuation.classifier_test(biased, fair, weights=(np.where(group, 1.0, 3.0), None))[1] > 1e-2
    # One person of all the weight leaves nobody to tell apart.
    alone = np.eye(1, 20)[0]
    assert individuation.classifier_test(biased[:20], fair[:20], weights=(alone, None))[:2] == (0.5, 1.0)


def test_the_classifier_keeps_its_error_rate():
    """Same law on both sides: p <= .1 in a tenth of 60 at most, by a binomial tail of 1e-3."""
    small = sum(
        individuation.classifier_test(crowd(s, 120).values(), crowd(1000 + s, 120).values(), seed=s)[1] <= 0.1
        for s in range(60)
    )
    assert small <= stats.binom.ppf(1 - 1e-3, 60, 0.1)


def test_trees_that_say_nothing_are_no_evidence():
    """Eight people a half are fewer than a leaf: one score for everybody, and no coin decides."""
    for seed in range(20):
        found = individuation.classifier_test(crowd(1, 16).values(), crowd(2, 16).values(), seed=seed)
        assert found[:2] == (0.5, 1.0)


def test_absences_tell_the_classifier_nothing():
    accuracy, p_value, _ = individuation.classifier_test(crowd(1, absent=0.4).values(), crowd(2).values())
    assert p_value > 1e-3
    assert accuracy < 0.6


def test_twins_are_compared_person_by_person():
    humans = crowd(1, 200)
    twins = Crowd.from_matrix(
        humans.codes(),
        scale=SCALE,
        problems=pd.DataFrame(index=range(N_ITEMS)),
        participants=pd.DataFrame(index=range(200)),
    )
    own = individuation.report(twins, humans, same_people=True)
    assert own.summary.loc["person-level correlation", "crowd"] == pytest.approx(1)
    strangers = individuation.report(crowd(2, 200), humans, same_people=True)
    assert abs(strangers.summary.loc["person-level correlation", "crowd"]) < 0.15
    assert "person-level correlation" not in individuation.report(twins, humans).summary.index
    with pytest.raises(DataError, match="no member of the crowd has a human's id"):
        individuation.report(crowd(2, 200, ids=range(900, 1100)), humans, same_people=True)


def test_small_cells_are_flagged_and_have_intervals():
    found = individuation.report(crowd(1, 50), crowd(2, 600), SCALES)
    assert found.subgroups["small"].all()
    row = found.subgroups.loc[("group", "a")]
    mean = crowd(2, 600).values()[(crowd(2, 600).dataset["profile_group"] == "a").to_numpy()].mean(axis=1)
    assert row["mean_humans"] == pytest.approx(mean.mean())
    assert row["high_humans"] - row["low_humans"] == pytest.approx(
        2 * stats.t.isf(0.025, len(mean) - 1) * mean.std(ddof=1) / len(mean) ** 0.5, rel=1e-6
    )


@pytest.mark.parametrize("case", ["alike", "one problem", "silent scale", "one answer", "sparse"])
def test_little_data_is_a_report_with_gaps_and_a_page(case):
    """Warnings are errors: nothing is divided by nobody."""
    codes = crowd(1, 60).codes()
    if case == "alike":
        codes = np.full_like(codes, 2.0)
    elif case == "one problem":
        codes = codes[:, :1]
    elif case == "silent scale":
        codes[:, 4:] = np.nan
    elif case == "one answer":
        codes[1:, 4:] = np.nan
    else:
        codes = np.where(np.eye(N_ITEMS, dtype=bool)[np.arange(60) % N_ITEMS], codes, np.nan)
    problems = pd.DataFrame(index=range(codes.shape[1]))
    side = Crowd.from_matrix(codes, scale=SCALE, problems=problems, participants=pd.DataFrame(index=range(60)))
    found = individuation.report(side, side, SCALES if codes.shape[1] > 1 else None)
    assert found.summary.loc["W1 of answers", "crowd"] == pytest.approx(0, abs=1e-9)
    assert np.isfinite(found.summary.loc["its p-value", "crowd"])
    assert found.reliability["alpha_humans"].isna().any()
    found.figure().canvas.draw()


def test_numbers_absences_and_data_sets_will_do(tmp_path):
    found = individuation.report(
        crowd(1, scale=Continuous(), absent=0.2), crowd(2, scale=Continuous(), absent=0.2), coverage=0.8
    )
    assert "W1 of answers" not in found.summary.index
    assert found.reliability.index.tolist() == ["all problems"]
    path = tmp_path / "page.png"
    found.figure().savefig(path)
    assert path.stat().st_size > 20_000
    rows = crowd(2, 50).to_frame()
    data = CrowdData.from_frames(
        rows[["participant", "problem", "response"]],
        pd.DataFrame({"problem": range(N_ITEMS), "text": [str(k) for k in range(N_ITEMS)]}),
        scale=SCALE,
    )
    by_series = individuation.report(crowd(1), data, pd.Series(["one"] * 4 + ["two"] * 4, index=range(N_ITEMS)))
    assert by_series.reliability.index.tolist() == ["one", "two"]
    assert by_series.grouping.empty
    by_series.figure().savefig(path)


def test_wrong_uses_are_named():
    labels = Crowd.from_matrix(
        np.zeros((9, 2)),
        scale=Categorical(("r", "g")),
        problems=pd.DataFrame(index=range(2)),
        participants=pd.DataFrame(index=range(9)),
    )
    with pytest.raises(DataError, match="crowd is on categorical answers"):
        individuation.report(labels, labels)
    with pytest.raises(DataError, match="put them on one scale"):
        individuation.report(labels, crowd(1))
    with pytest.raises(DataError, match="coverage=1"):
        individuation.report(crowd(1), crowd(2), coverage=1)
    with pytest.raises(DataError, match="scales: problem 99 of 'one'"):
        individuation.report(crowd(1), crowd(2), {"one": [0, 99]})
    for scales in ({}, {"one": []}):
        with pytest.raises(DataError, match="give at least one scale, and every one at least one problem"):
            individuation.report(crowd(1), crowd(2), scales)
    with pytest.raises(DataError, match="must be four people or more"):
        individuation.report(crowd(1, 3), crowd(2))
    other = crowd(1, 9)
    renamed = Crowd(other.dataset.assign_coords(problem=[f"q{k}" for k in range(N_ITEMS)]))
    with pytest.raises(DataError, match="share no problem"):
        individuation.report(renamed, crowd(2))
    with pytest.raises(DataError, match="humans and crowd are 3 and 600 people"):
        individuation.classifier_test(crowd(1, 3).values(), crowd(2).values())
