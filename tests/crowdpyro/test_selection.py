"""Not missing at random: where people tell what they like, the right model finds what everybody thinks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import CrowdData, CrowdLLM, DataError, FitConfig, ModelError, Ordinal, sensitivity

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
def found(survey):
    """Three fits: missing at random, and two gammas."""
    data, _ = survey
    return sensitivity(data, gammas=(0.0, 1.0), training=FitConfig(epochs=40), n_participants=2000, **SETTINGS)


def test_the_right_gamma_has_less_bias_than_missing_at_random(survey, found):
    truth = survey[1].mean(axis=0)

    def bias(estimate):
        return float(np.mean(estimate.to_numpy() - truth))

    assert bias(found.observed) > 0.6
    # Answers missing at random given a person's others: the trait explains a third of what goes missing.
    assert bias(found.at_random) > 0.45
    # Loadings of participation on the trait alone take half of it away, gamma the rest; a mean of six statements of 300
    # people, 43 % of them there, has a standard error of .07.
    assert bias(found.at_random) - 0.2 > bias(found.estimates[0.0])
    assert abs(bias(found.estimates[1.0])) < 0.2
    assert bias(found.estimates[0.0]) > abs(bias(found.estimates[1.0]))


def test_estimates_fall_with_gamma_and_are_drawn(found):
    assert (found.estimates[1.0] < found.estimates[0.0]).all()
    assert list(found.range().columns) == ["low", "high"]
    frame = found.to_frame()
    assert len(frame) == 18
    assert frame["gamma"].isna().sum() == 6
    panel = found.plot().axes[0]
    # Six statements, their mean, and that under missing at random.
    assert len(panel.lines) == 8


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
    person, problem = np.indices(answers.shape).reshape(2, -1)
    complete = CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": answers.ravel()}),
        data.problems.reset_index(),
        scale=data.scale,
    )
    with pytest.raises(DataError, match="no nonresponse to be sensitive to"):
        sensitivity(complete)
