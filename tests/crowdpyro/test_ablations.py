"""Ablations and options of the model, as configuration: each takes away what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro import CrowdConfig, CrowdData, CrowdLLM, FitConfig, Ordinal, References
from crowdpyro.models import SemiImplicit

SCALE = Ordinal.range(1, 5)
N_PEOPLE, N_PROBLEMS = 300, 8
PAPER = FitConfig(objective="paper", epochs=3, margin_steps=0)


@pytest.fixture(scope="module")
def data():
    """Two groups: the calm agree with each other, the wild are all over the scale."""
    rng = np.random.default_rng(0)
    person, problem = np.indices((N_PEOPLE, N_PROBLEMS)).reshape(2, -1)
    wild = rng.random(N_PEOPLE) < 0.5
    latent = np.linspace(-0.5, 0.5, N_PROBLEMS)[problem] + np.where(wild[person], 1.5, 0.4) * rng.normal(
        size=len(person)
    )
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": np.clip(np.round(latent + 3), 1, 5)}),
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement number {k}" for k in range(N_PROBLEMS)]}),
        pd.DataFrame({"participant": range(N_PEOPLE), "kind": np.where(wild, "wild", "calm")}),
        scale=SCALE,
    )


@pytest.fixture(scope="module")
def references():
    frame = pd.DataFrame({"problem": range(N_PROBLEMS), "answer": [1, 5, 1, 5, 1, 5, 1, 5]})
    return References.from_frame(frame, scale=SCALE)


def fitted(data, references=None, **settings):
    config = {"text_encoder": "tfidf", "n_components": 4, "training": FitConfig(epochs=3, margin_steps=3)} | settings
    return CrowdLLM(progress=False, **config).fit(data, references, seed=0)


def belief(model, data):
    """The belief of everybody about the problem that each answer is about."""
    batch = model.batch(data)
    x, z = model.model.met(batch), model.model.participants(batch.profile, None).at(batch.participant)
    return model.model.belief_dist(x, z), model.model.shape(x, z), batch


def test_no_reference_is_what_a_fit_without_one_is(data, references):
    without, none = fitted(data, references, use_reference=False), fitted(data)
    assert without.sources == ()
    assert np.array_equal(without.generate(50, seed=1).codes(), none.generate(50, seed=1).codes())
    assert np.array_equal(without.shares(references=references), without.shares())


def test_no_text_leaves_the_references_columns(data, references):
    with_text, without = fitted(data, references), fitted(data, references, n_components=0)
    assert without._state().covariates.shape[1] == SCALE.n_levels < with_text._state().covariates.shape[1]


def test_no_profile_makes_all_people_alike(data):
    kinds = [pd.DataFrame({"kind": [kind] * 500}) for kind in ("calm", "wild")]

    def apart(model):
        calm, wild = (model.shares(participants=each, seed=1) for each in kinds)
        return np.abs(calm - wild).max()

    assert apart(fitted(data)) > 1e-4
    assert apart(fitted(data, use_profile=False)) == 0


def test_no_persistent_participant_leaves_answers_independent(data):
    crowd = fitted(data, n_eps=0).generate(4000, seed=1).codes()
    correlation = np.corrcoef(crowd.T)[~np.eye(N_PROBLEMS, dtype=bool)]
    # 28 correlations of 4,000 independent people: standard error .016, at 4.5 of these. Profiles leave about .01.
    assert np.abs(correlation).max() < 0.085


def test_certain_beliefs_have_no_noise_of_their_own(data):
    certain, _, _ = belief(fitted(data, uncertain_belief=False), data)
    uncertain, _, _ = belief(fitted(data), data)
    assert certain.stddev.max() < 0.01 < uncertain.stddev.min()


def test_a_fixed_spread_stays_where_it_started(data):
    model = fitted(data, learned_spread=False)
    _, shape, _ = belief(model, data)
    spread = model.model.blender._spread(shape[:, 0])
    assert (spread == spread[0]).all()
    assert spread[0].item() == pytest.approx(model._state().spread * 0.5**0.5)


def test_no_reconstruction_leaves_the_site_out(data):
    assert fitted(data, training=PAPER).model.decoder is not None
    assert fitted(data, training=PAPER, reconstruct=False).model.decoder is None


def test_a_semi_implicit_belief_is_a_mixture_of_k_and_its_own(data):
    mixture, _, _ = belief(fitted(data, guide="semi_implicit", n_mixture=3), data)
    assert isinstance(mixture, SemiImplicit)
    assert mixture.n_components == 4
    assert not isinstance(belief(fitted(data), data)[0], SemiImplicit)


def test_the_decisions_spread_can_follow_the_profile(data):
    """Wild people have more noise; where the belief may not vary, only the decision can say so."""
    settings = {"training": FitConfig(epochs=60), "n_eps": 0, "uncertain_belief": False}
    model = fitted(data, profile_spread=True, **settings)
    _, shape, batch = belief(model, data)
    spread = model.model.blender._spread(shape[:, 0]).detach()
    wild = torch.tensor((data.participants["kind"] == "wild").tolist())[batch.participant]
    assert spread[wild].mean() > 2 * spread[~wild].mean()
    kinds = [pd.DataFrame({"kind": [kind] * 500}) for kind in ("calm", "wild")]
    calm, loud = (model.shares(participants=each, seed=1)[:, 2].mean() for each in kinds)
    assert calm > loud + 0.3
    assert model.log_score(data).joint > fitted(data, **settings).log_score(data).joint + 0.05


def test_the_papers_preset_has_the_papers_numbers():
    config = CrowdConfig.paper()
    training = config.training
    assert (training.n_belief_draws, training.decision_weight, training.lr) == (10, 1.0, 1e-3)
    assert (config.n_mixture, config.n_eps, config.guide, training.objective) == (8, 0, "semi_implicit", "paper")


@pytest.mark.parametrize("objective", ["predictive", "paper"])
@pytest.mark.parametrize("guide", ["vae", "semi_implicit"])
@pytest.mark.parametrize("n_eps", [0, 2])
def test_every_pair_fits_generates_and_comes_back_from_disk(data, references, tmp_path, objective, guide, n_eps):
    training = FitConfig(objective=objective, epochs=2, margin_steps=2, n_particles=2)
    model = fitted(data, references, guide=guide, n_eps=n_eps, training=training)
    assert np.isfinite(model.history.loss).all()
    model.save(tmp_path)
    again = CrowdLLM.load(tmp_path)
    for decision in ("draw", "expected"):
        one, other = (each.generate(40, decision=decision, seed=2) for each in (model, again))
        assert np.array_equal(one.codes(), other.codes())
