"""Bounded numbers from a file to a crowd: nothing beyond the bounds, and as many at them as among the people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Continuous, Crowd, CrowdData, CrowdLLM, FitConfig, References

N_PEOPLE, PROBLEMS = 120, ("first", "second", "third", "fourth")
SCALE = Continuous(0, 4)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Answers, read from a file, and a model of them."""
    rng = np.random.default_rng(0)
    latent = np.array([-0.5, 1.0, 2.5, 4.0]) + rng.normal(0, 0.7, (N_PEOPLE, 1)) + rng.normal(0, 1, (N_PEOPLE, 4))
    person, problem = np.indices(latent.shape).reshape(2, -1)
    folder = tmp_path_factory.mktemp("bounded")
    frame = pd.DataFrame({"participant": person, "problem": np.array(PROBLEMS)[problem]})
    frame.assign(response=latent.ravel().clip(0, 4)).to_csv(folder / "answers.csv", index=False)
    texts = pd.DataFrame({"problem": PROBLEMS, "text": [f"the {name} question" for name in PROBLEMS]})
    texts.to_csv(folder / "problems.csv", index=False)
    data = CrowdData.read(folder / "answers.csv", folder / "problems.csv", scale=SCALE)
    model = CrowdLLM(
        n_components=2, text_encoder="tfidf", n_eps=1, n_hidden=4, training=FitConfig(epochs=40, margin_steps=60)
    )
    return data, model.fit(data, seed=1)


def test_the_crowd_piles_up_at_the_bounds_as_people_do(fitted):
    data, model = fitted
    crowd = model.generate(4000, seed=2).values()
    people = data.matrix()[:, [data.problems.index.get_loc(name) for name in model.problems.index]]
    assert ((crowd >= 0) & (crowd <= 4)).all()
    for ours, theirs in ((crowd, people), (crowd == 0, people == 0), (crowd == 4, people == 4)):
        # Three standard errors of 120 people, and .02 for those of the crowd and the prior.
        error = theirs.std(axis=0) / N_PEOPLE**0.5
        assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 3 * error + 0.02).all()


def test_expected_decisions_stay_within_the_bounds(fitted):
    _, model = fitted
    expected = model.generate(200, decision="expected", seed=3).values()
    assert ((expected > 0) & (expected < 4)).all()


def test_a_saved_model_draws_the_same_crowd(fitted, tmp_path):
    _, model = fitted
    crowd = model.generate(50, seed=4)
    again = CrowdLLM.load(model.save(tmp_path / "model"))
    assert again.scale == SCALE
    assert again.generate(50, seed=4).dataset.identical(crowd.dataset)
    assert Crowd.open(crowd.write(tmp_path / "crowd.nc")).dataset.identical(crowd.dataset)


def test_draws_of_an_llm_beyond_the_bounds_are_missing():
    frame = pd.DataFrame({"problem": "first", "answer": [0.0, 4.0, 4.5, -1.0]})
    references = References.from_frame(frame, scale=SCALE)
    assert references.expected().tolist() == [2.0]
    assert "2 of 4 answers empty or outside the scale" in references.report[0]
