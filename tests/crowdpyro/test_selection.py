"""Not missing at random: where people tell what they like, the right model finds what everybody thinks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Crowd, CrowdData, CrowdLLM, DataError, FitConfig, ModelError, Ordinal, sensitivity
from crowdpyro.selection_sensitivity import _reweighed
from crowdpyro.survey import SurveyDesign

SETTINGS = {"n_components": 0, "n_eps": 1, "progress": False}


@pytest.fixture(scope="module")
def survey():
    """300 people and six statements; the higher the answer and the trait behind it, the likelier it is given."""
    rng = np.random.default_rng(0)
    trait = rng.normal(size=(300, 1))
    latent = np.linspace(-0.7, 0.7, 6) + 0.8 * trait + 0.8 * rng.normal(size=(300, 6))
    answers = 1.0 + (latent[..., None] > [-1.2, -0.4, 0.4, 1.2]).sum(-1)
    logit = -0.3 + 0.5 * trait + (answers - 3) / answers.std()
    there = rng.random((300, 6)) < 1 / (1 + np.exp(-logit))
    person, problem = np.nonzero(there)
    data = CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": answers[there]}),
        pd.DataFrame({"problem": range(6), "text": [f"statement {t}" for t in range(6)]}),
        pd.DataFrame({"participant": range(300)}),
        scale=Ordinal.range(1, 5),
    )
    return data, answers


@pytest.fixture(scope="module")
def right(survey):
    """Gamma a standard deviation of the answers given, where everybody's adds 1."""
    data, answers = survey
    return float(data.scale.values[data.response.astype(int)].std() / answers.std())


@pytest.fixture(scope="module")
def found(survey, right):
    """Three fits: missing at random, and two gammas."""
    data, _ = survey
    return sensitivity(data, gammas=(0.0, right), training=FitConfig(epochs=40), n_participants=2000, **SETTINGS)


def test_the_right_gamma_has_less_bias_than_missing_at_random(survey, found, right):
    assert right < 0.9
    truth = survey[1].mean(axis=0)

    def bias(estimate):
        return float(np.mean(estimate.to_numpy() - truth))

    assert bias(found.observed) > 0.6
    # Answers missing at random given a person's others: the trait explains a third of what goes missing.
    assert bias(found.at_random) > 0.45
    # Loadings of participation on the trait alone take half of it away, gamma the rest: over twelve such surveys its
    # bias is .01, with a standard deviation of .06.
    assert bias(found.at_random) - 0.2 > bias(found.estimates[0.0])
    assert abs(bias(found.estimates[right])) < 0.15
    assert bias(found.estimates[0.0]) > 0.2


def test_estimates_fall_with_gamma_and_are_drawn(found, right):
    assert (found.estimates[right] < found.estimates[0.0]).all()
    assert list(found.range().columns) == ["low", "high"]
    frame = found.to_frame()
    assert len(frame) == 18
    assert frame["gamma"].isna().sum() == 6
    panel = found.plot().axes[0]
    # Six statements, their mean, and that under missing at random; no replicates, no band.
    assert len(panel.lines) == 8
    assert "se" not in frame
    assert list(found.of_mean().columns) == ["estimate"]


def test_replicates_give_intervals(survey):
    """Two statements of the 300: standard errors near those of means of the answers given."""
    data = survey[0].select(problems=[0, 3])
    found = sensitivity(
        data, gammas=(0.0, 0.5), training=FitConfig(epochs=4), n_participants=500, n_replicates=3, seed=3, **SETTINGS
    )
    assert found.replicates.shape == (3, 3, 2)
    frame = found.to_frame(0.9)
    np.testing.assert_allclose(frame["high"] - frame["estimate"], frame["estimate"] - frame["low"])
    np.testing.assert_allclose(frame["se"], found.replicates.std(axis=0, ddof=1).ravel())
    # 2.92 is Student's quantile of two degrees of freedom.
    np.testing.assert_allclose(frame["high"] - frame["estimate"], 2.92 * frame["se"], rtol=1e-3)
    # s / sqrt(n) of the answers given is .11 and .09; a chi of two degrees of freedom is off by half.
    assert frame["se"].between(0.02, 0.4).all()
    assert list(found.of_mean().columns) == ["estimate", "se", "low", "high"]
    assert len(found.plot().axes[0].collections) == 3
    with pytest.raises(DataError, match="probability=1: give one between"):
        found.to_frame(1)


def test_replicates_weigh_as_the_survey_bootstrap():
    """Variance of a weighted mean over 4,000 replicates against the design's closed form, sum_h W_h^2 s_h^2 / n_h."""
    rng = np.random.default_rng(0)
    n = 40
    stratum, psu = np.repeat(["a", "b"], [12, 28]), np.repeat(range(20), 2)
    y = rng.integers(0, 5, n) + 2 * (psu % 3)
    data = CrowdData.from_frames(
        pd.DataFrame({"participant": range(n), "problem": 0, "response": 1 + y % 5}),
        pd.DataFrame({"problem": [0], "text": ["statement"]}),
        pd.DataFrame({"participant": range(n), "stratum": stratum, "psu": psu}),
        scale=Ordinal.range(1, 5),
    )
    answers = (1 + y % 5).astype(float)
    weights = np.array([_reweighed(data, rng).weights for _ in range(4000)])
    np.testing.assert_allclose(weights.reshape(-1, 20, 2)[..., 0], weights.reshape(-1, 20, 2)[..., 1])
    means = weights @ answers / n
    of_psu = answers.reshape(20, 2).mean(axis=1)
    wanted = sum(
        (size / 20) ** 2 * of_psu[rows].var(ddof=1) / size for rows, size in ((slice(6), 6), (slice(6, 20), 14))
    )
    # Four standard errors of a variance.
    assert means.var() == pytest.approx(wanted, rel=4 * np.sqrt(2 / 4000))
    assert means.mean() == pytest.approx(answers.mean(), abs=4 * np.sqrt(wanted / 4000))
    lonely = data.select(participants=[0, 1, *range(12, 40)])
    with pytest.raises(DataError, match="'a' has one primary sampling unit"):
        _reweighed(lonely, rng)


def test_what_was_observed_is_weighted_and_may_be_missing(survey):
    data = survey[0]
    weights = 1.0 + 2.0 * (np.arange(300) < 100)
    weighed = replace(data, design=SurveyDesign(pd.DataFrame({"weight": weights}, index=data.participants.index)))
    kept = data.problem_code != 5
    silent = replace(
        weighed,
        problem_code=data.problem_code[kept],
        participant_code=data.participant_code[kept],
        response=data.response[kept],
    )
    found = sensitivity(silent, gammas=(0.0, 1.0), training=FitConfig(epochs=2), n_participants=200, **SETTINGS)
    wanted = Crowd.from_data(silent).aggregate("mean")
    plain = Crowd.from_data(replace(silent, design=None)).aggregate("mean")
    np.testing.assert_allclose(found.observed[:5], wanted[:5])
    assert (found.observed - plain)[:5].abs().min() > 1e-4
    assert np.isnan(found.observed[5])
    assert np.isfinite(found.estimates.to_numpy()).all()
    # The diamond is the mean of what was observed.
    assert np.isfinite(found.plot().axes[0].collections[-1].get_offsets()).all()


@pytest.fixture(scope="module")
def model(survey):
    return CrowdLLM(participation="selective", gamma=1.0, training=FitConfig(epochs=30), **SETTINGS).fit(
        survey[0], seed=0
    )


def test_crowds_stay_away_as_people_did_and_tell_what_people_told(survey, model):
    data, _ = survey
    crowd = model.generate(4000, seed=1)
    there = ~np.isnan(crowd.codes())
    assert there.mean() == pytest.approx(data.answered().mean(), abs=0.06)
    assert np.nanmean(crowd.values()) == pytest.approx(data.scale.values[data.response.astype(int)].mean(), abs=0.25)
    everybody = model.generate(4000, participation=1.0, seed=1)
    assert not np.isnan(everybody.codes()).any()
    assert np.nanmean(everybody.values()) < np.nanmean(crowd.values()) - 0.3
    thirty = model.generate(500, per_problem=30, seed=1)
    assert ((~np.isnan(thirty.codes())).sum(axis=0) == 30).all()


def test_it_comes_back_from_disk(model, tmp_path):
    model.save(tmp_path)
    again = CrowdLLM.load(tmp_path)
    assert again.config.gamma == 1.0
    one, other = model.generate(50, seed=2).codes(), again.generate(50, seed=2).codes()
    np.testing.assert_array_equal(one, other)


def test_bad_input_is_named(survey):
    data, answers = survey
    with pytest.raises(ModelError, match="gamma=0.5: give a finite number, and participation='selective'"):
        CrowdLLM(gamma=0.5)
    with pytest.raises(ModelError, match="participation: is what is varied here"):
        sensitivity(data, participation="learned")
    with pytest.raises(DataError, match="gammas=.1,.: give two or more different"):
        sensitivity(data, gammas=(1,))
    with pytest.raises(DataError, match="gammas=.'a', 1.: could not convert"):
        sensitivity(data, gammas=("a", 1))
    for wrong in (1, -2, 2.5):
        with pytest.raises(DataError, match=f"n_replicates={wrong}: give 0 for no intervals"):
            sensitivity(data, n_replicates=wrong)
    person, problem = np.indices(answers.shape).reshape(2, -1)
    complete = CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": answers.ravel()}),
        data.problems.reset_index(),
        scale=data.scale,
    )
    with pytest.raises(DataError, match="no nonresponse to be sensitive to"):
        sensitivity(complete)
