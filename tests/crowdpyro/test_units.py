"""The unit of the response is nothing: a scale of 0 to 1 and one of 0 to 1,000 give the same crowd."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Continuous, CrowdData, CrowdLLM, FitConfig, Ordinal

N_PEOPLE, N_PROBLEMS = 300, 8


def people(scale, low, high, seed=0, silent=0):
    """A trait that all problems share; the last `silent` people answer nothing."""
    rng = np.random.default_rng(seed)
    person, problem = np.indices((N_PEOPLE, N_PROBLEMS)).reshape(2, -1)
    latent = 0.6 * rng.normal(size=N_PEOPLE)[person] + np.linspace(-1, 1, N_PROBLEMS)[problem]
    latent = (5 + 1.5 * (latent + 0.9 * rng.normal(size=len(person)))) / 10
    if isinstance(scale, Ordinal):
        latent = np.round(latent * (scale.n_levels - 1)) / (scale.n_levels - 1)
    answers = pd.DataFrame({"participant": person, "problem": problem, "response": latent.clip(0, 1)})
    answers["response"] = low + (high - low) * answers["response"]
    return CrowdData.from_frames(
        answers[person < N_PEOPLE - silent],
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement number {k}" for k in range(N_PROBLEMS)]}),
        pd.DataFrame({"participant": range(N_PEOPLE), "group": rng.choice(["u", "v"], N_PEOPLE)}),
        scale=scale,
    )


def fitted(data, **training):
    config = {"text_encoder": "tfidf", "n_components": 4, "training": FitConfig(**training)}
    return CrowdLLM(progress=False, **config).fit(data, seed=0)


@pytest.mark.parametrize("bounded", [True, False])
def test_continuous_answers(bounded):
    crowds = []
    for unit in (1.0, 1000.0):
        scale = Continuous(0, unit) if bounded else Continuous()
        crowd = fitted(people(scale, 0, unit), epochs=30, margin_steps=20).generate(1000, seed=1).codes()
        crowds.append(crowd / unit)
    # The same steps from the same draws, but for rounding in single precision, which 180 steps of Adam spread.
    assert np.abs(crowds[0].mean(0) - crowds[1].mean(0)).max() < 2e-3
    assert np.abs(crowds[0] - crowds[1]).mean() < 5e-3


def test_ordinal_answers():
    shares = []
    for levels in (range(5), range(0, 500, 100)):
        scale = Ordinal(tuple(map(float, levels)))
        shares.append(fitted(people(scale, 0, levels[-1]), epochs=30, margin_steps=20).shares(seed=1))
    assert np.abs(shares[0] - shares[1]).max() < 5e-3


def test_few_answers_of_many_dimensions_are_not_learned_by_heart():
    """Eight answers, five dimensions of noise: with a warm-up the held-out score starts 12 nats too low."""
    model = fitted(people(Continuous(0, 10), 0, 10), epochs=60)
    humans, crowd = people(Continuous(0, 10), 0, 10, seed=1).matrix(), model.generate(4000, seed=1).codes()
    # 300 people: a mean has a standard error of .06 standard deviations, a correlation one of .05; both samples err.
    assert np.abs(crowd.mean(0) - humans.mean(0)).max() < 0.25 * humans.std()
    off = ~np.eye(N_PROBLEMS, dtype=bool)
    assert abs(np.corrcoef(crowd.T)[off].mean() - np.corrcoef(humans.T)[off].mean()) < 0.1


def test_people_who_answered_nothing_do_no_harm():
    """Alone in a minibatch, too."""
    model = fitted(people(Continuous(), 0, 10, silent=200), epochs=2, batch_size=1, margin_steps=0)
    assert np.isfinite(model.history.loss).all()
