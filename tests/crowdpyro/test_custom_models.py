"""The worked examples of docs/custom_models.md: they run as they stand, and do what they are for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pyro.infer import TraceMeanField_ELBO

from crowdpyro import CrowdData, CrowdLLM, FitConfig, ModelError, Ordinal
from crowdpyro.inference import ParticipantGuide
from crowdpyro.models import JointModel

SCALE = Ordinal.range(1, 6)
TEXTS = {"text_encoder": "tfidf", "n_components": 4}


def example(name):
    """The classes that a marked code block defines."""
    page = (Path(__file__).parents[2] / "docs" / "custom_models.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", page, re.DOTALL)
    assert block is not None
    defined = {"__name__": "examples"}
    exec(compile(block[1], f"custom_models.md, {name}", "exec"), defined)
    return defined


def people(codes, seed=0):
    """A data set of a matrix of codes."""
    n_people, n_problems = codes.shape
    person, problem = np.indices(codes.shape).reshape(2, -1)
    group = np.random.default_rng(seed).choice(["u", "v"], n_people)
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": SCALE.decode(codes.ravel())}),
        pd.DataFrame({"problem": range(n_problems), "text": [f"statement number {k}" for k in range(n_problems)]}),
        pd.DataFrame({"participant": range(n_people), "group": group}),
        scale=SCALE,
    )


def attentive(n_people, n_problems, seed):
    """People with one strong trait."""
    rng = np.random.default_rng(seed)
    sign = np.where(np.arange(n_problems) % 3 == 0, -1.0, 1.0)
    latent = 1.2 * rng.normal(size=(n_people, 1)) * sign + 0.6 * rng.normal(size=(n_people, n_problems))
    return np.clip(np.round(latent + 2.5), 0, 5)


@pytest.fixture(scope="module")
def zeros():
    """Half of all answers to two of six problems are the lowest, whatever people believe."""
    rng = np.random.default_rng(1)
    codes = attentive(400, 6, 2)
    inflated = rng.random(codes.shape) < np.array([0.5, 0.5, 0, 0, 0, 0])
    return people(np.where(inflated, 0.0, codes))


def test_a_zero_inflated_blender_finds_the_zeros_and_comes_back_from_disk(zeros, tmp_path):
    blender = example("zero-inflated")["ZeroInflatedBlender"]
    settings = {"training": FitConfig(epochs=100), **TEXTS}
    model = CrowdLLM(blender=blender, progress=False, **settings).fit(zeros, seed=0)
    shares, truth = model.shares(seed=1), zeros.counts() / zeros.counts().sum(1, keepdims=True)
    # 400 people: a share has a standard error of at most .025; 36 of them within three.
    assert np.abs(shares - truth).max() < 0.075
    table = model.model.problems(model.batch(zeros)).shape[:, -1]
    gates = torch.sigmoid(5 * table - 2).detach().numpy()
    # The truth is .5 and 0; a share of 400 people has a standard error of .025, and the prior pulls towards .12.
    assert (np.abs(gates[:2] - 0.5) < 0.1).all()
    assert (gates[2:] < 0.1).all()
    plain = CrowdLLM(progress=False, **settings).fit(zeros, seed=0)
    # What the cut normal cannot do: -1.24 against -1.31 nats on new people of the same kind.
    rng = np.random.default_rng(3)
    fresh = attentive(400, 6, 4)
    fresh = people(np.where(rng.random(fresh.shape) < np.array([0.5, 0.5, 0, 0, 0, 0]), 0.0, fresh))
    assert model.log_score(fresh).joint > plain.log_score(fresh).joint + 0.04

    model.save(tmp_path)
    again = CrowdLLM.load(tmp_path, blender=blender)
    assert np.array_equal(again.generate(50, seed=3).codes(), model.generate(50, seed=3).codes())
    with pytest.raises(ModelError, match="blender=crowdpyro's own: the saved model has .*ZeroInflated.*pass blender="):
        CrowdLLM.load(tmp_path)


def spammers(seed):
    """One in five answers by a die."""
    rng = np.random.default_rng(seed)
    codes = attentive(400, 20, seed)
    careless = rng.random(400) < 0.2
    codes[careless] = rng.integers(6, size=(careless.sum(), 20))
    return people(codes), careless


def test_spammers_are_told_from_people_with_a_mind_of_their_own(tmp_path):
    data, careless = spammers(5)
    parts = {name.lower(): example("spammers")[f"Spammer{name}"] for name in ("Model", "Guide")}
    settings = {"training": FitConfig(epochs=100), "n_eps": 2, **TEXTS}
    model = CrowdLLM(**parts, progress=False, **settings).fit(data, seed=0)
    with torch.no_grad():
        care = model.guide.care_dist(model.batch(data)).mean.numpy()
    # The chance that a spammer's care is below another's, counted over all pairs.
    below = (care[careless][:, None] < care[~careless][None]).mean()
    assert below > 0.98
    crowd = model.generate(2000, seed=1)
    matrix, humans = np.corrcoef(crowd.codes().T), np.corrcoef(data.matrix().T)
    # Independent answers would be off by .53; 400 people by .05.
    assert np.sqrt(np.square(matrix - humans).mean()) < 0.15
    # Fresh people for each problem, and a score by the prior of every latent site.
    assert np.abs(np.corrcoef(model.generate(2000, crossed=False, seed=2).codes().T) - np.eye(20)).max() < 0.12
    plain, (fresh, _) = CrowdLLM(progress=False, **settings).fit(data, seed=0), spammers(16)
    # -1.270 against -1.280: the default says of a spammer, by eps, that their spread is large, which is not far off.
    assert model.log_score(fresh, n_draws=512).joint > plain.log_score(fresh, n_draws=512).joint + 0.003

    model.save(tmp_path)
    again = CrowdLLM.load(tmp_path, **parts)
    assert np.array_equal(again.generate(50, seed=3).codes(), model.generate(50, seed=3).codes())
    with pytest.raises(ModelError, match="decision='expected'.*overrides `crowd` or `eps_dist`"):
        again.generate(10, decision="expected")


class OneMoreSite(ParticipantGuide):
    def forward(self, batch, integrate=True):
        import pyro

        with pyro.plate("participants", batch.population, subsample=batch.rows):
            pyro.sample("eps", self.eps_dist(batch))
            pyro.sample("mood", pyro.distributions.Normal(torch.zeros(batch.n_participants), 1.0))


class NoSite(ParticipantGuide):
    def forward(self, batch, integrate=True):
        """Nothing."""


def quick(**parts):
    return CrowdLLM(progress=False, training=FitConfig(epochs=2, margin_steps=2), **parts, **TEXTS)


@pytest.mark.parametrize("objective", [None, TraceMeanField_ELBO(max_plate_nesting=1)])
@pytest.mark.parametrize(
    ("guide", "words"),
    [
        (OneMoreSite, "site 'mood' of the guide is not latent in the model, which has 'eps'"),
        (NoSite, "site 'eps' of the model is not in the guide, which has none"),
    ],
)
def test_sites_that_do_not_match_are_named(zeros, guide, words, objective):
    with pytest.raises(ModelError, match=words):
        quick(guide=guide, objective=objective).fit(zeros)


def test_a_stock_elbo_trains_the_default_model(zeros):
    ours = quick().fit(zeros, seed=0).history.loss
    stock = quick(objective=TraceMeanField_ELBO(max_plate_nesting=1)).fit(zeros, seed=0).history.loss
    # The same bound, but for the warm-up of the KL, which 2 epochs of .2 do not have.
    assert stock == pytest.approx(ours, rel=1e-3)


def test_an_overridden_method_is_used_in_training_crowds_and_scores(zeros):
    class Loud(JointModel):
        """Everybody's noise is ten times as large."""

        def eps_dist(self, batch):
            import pyro.distributions as dist

            zero = batch.profile.new_zeros(batch.n_participants, self.n_eps)
            return dist.Normal(zero, 10 * torch.ones_like(zero)).to_event(1)

    loud, quiet = quick(model=Loud).fit(zeros, seed=0), quick().fit(zeros, seed=0)
    # From the first step on: the KL to the wider prior is another number.
    assert loud.history.loss[0] != quiet.history.loss[0]
    # Ten times the noise along the same loadings: more of the answers are at the ends of the scale.
    ends = [model.shares(participants=3000, seed=1)[:, [0, -1]].sum() for model in (loud, quiet)]
    assert ends[0] > 1.5 * ends[1]
    assert loud.generate(3000, seed=2).shares()[:, [0, -1]].sum() == pytest.approx(ends[0], rel=0.05)
    assert loud.log_score(zeros).joint != quiet.log_score(zeros).joint


def test_an_overridden_participation_thins_crowds_and_sees_who_stayed_away(zeros):
    import pyro.distributions as dist

    seen = []

    class Shy(JointModel):
        """Nobody meets an odd problem."""

        def participation_dist(self, batch):
            seen.append(batch.took_part)
            return dist.Bernoulli(probs=0.98 * (batch.problem % 2 == 0).float() + 0.01)

    crowd = quick(model=Shy).fit(zeros, seed=0).generate(200, seed=1).codes()
    assert seen[0] is not None
    there = ~np.isnan(crowd)
    assert there[:, ::2].mean() > 0.95
    assert there[:, 1::2].mean() < 0.05


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"model": "big"}, "model='big': give a class, or a function"),
        ({"objective": "squared"}, "objective='squared': give 'predictive' or 'paper'"),
        ({"objective": 3}, "objective=3: give 'predictive', 'paper', or an ELBO"),
        ({"guide": "flow"}, "guide='flow': give 'vae' or 'semi_implicit'"),
    ],
)
def test_parts_that_are_none_are_named(parts, words):
    with pytest.raises(ModelError, match=words):
        quick(**parts)


def test_a_checkpoint_of_other_parts_is_refused(zeros, tmp_path):
    path = tmp_path / "fit"
    from crowdpyro.checkpoint import Checkpoint

    quick().fit(zeros, checkpoint=Checkpoint(path, seconds=0))
    with pytest.raises(ModelError, match="belongs to another fit: model was absent, is .*SpammerModel"):
        quick(model=example("spammers")["SpammerModel"]).fit(zeros, checkpoint=path)
