"""On an accelerator the same model comes out, up to its own random numbers and rounding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro import CrowdData, CrowdLLM, FitConfig, Ordinal

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator that torch can use"),
]


def people(n_people=300, n_problems=12, seed=0):
    rng = np.random.default_rng(seed)
    person, problem = np.indices((n_people, n_problems)).reshape(2, -1)
    latent = rng.normal(size=n_people)[person] + np.linspace(-1, 1, n_problems)[problem] + rng.normal(size=len(person))
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": np.clip(np.round(latent + 3), 1, 5)}),
        pd.DataFrame({"problem": range(n_problems), "text": [f"statement {k}" for k in range(n_problems)]}),
        pd.DataFrame({"participant": range(n_people), "group": rng.choice(["u", "v"], n_people)}),
        scale=Ordinal.range(1, 5),
    )


def fitted(device):
    config = {"text_encoder": "tfidf", "n_components": 4, "training": FitConfig(epochs=60)}
    return CrowdLLM(device=device, progress=False, **config).fit(people(), seed=3)


def test_one_model_gives_the_same_distribution_on_both(tmp_path):
    """Parameters equal, people's noise equal: nothing but rounding may differ."""
    fitted("cpu").save(tmp_path)
    scores = []
    for device in ("cpu", "cuda"):
        model = CrowdLLM.load(tmp_path, device=device)
        score = model.log_score(people(seed=1), n_draws=256, seed=0)
        scores.append((score.joint, score.single))
    # The draws of eps are Sobol points, the same on both; float32 sums over 3,600 answers differ by about 1e-6.
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_fitting_there_gives_as_good_a_model_and_a_crowd_like_it():
    models = [fitted(device) for device in ("cpu", "cuda")]
    shares = [model.shares(participants=4096, seed=1) for model in models]
    # 300 people leave a standard error of .029 in a share of one half; the random numbers alone may differ.
    assert np.abs(shares[0] - shares[1]).max() < 0.03
    scores = [model.log_score(people(seed=1), seed=0).joint for model in models]
    assert abs(scores[0] - scores[1]) < 0.01
    crowd = models[1].generate(4096, seed=2)
    assert np.abs(crowd.shares() - shares[1]).max() < 0.05


def test_equal_seeds_give_equal_crowds_there():
    model = fitted("cuda")
    assert np.array_equal(model.generate(50, seed=4).codes(), model.generate(50, seed=4).codes())


def test_a_fit_there_goes_on_from_its_checkpoint(tmp_path):
    from crowdpyro.checkpoint import Checkpoint

    class Stop(Checkpoint):
        steps = 0

        def offer(self, take):
            self.steps += 1
            if self.steps == 20:
                self.seconds = 0.0
                super().offer(take)
                raise KeyboardInterrupt

    config = {"text_encoder": "tfidf", "n_components": 4, "training": FitConfig(epochs=8)}

    def untrained():
        return CrowdLLM(device="cuda", progress=False, **config)

    with pytest.raises(KeyboardInterrupt):
        untrained().fit(people(), seed=3, checkpoint=Stop(tmp_path / "fit", seconds=1e9))
    model = untrained().fit(people(), seed=3, checkpoint=tmp_path / "fit")
    # Sums over answers are not ordered there, so that two fits agree to rounding, not bit for bit.
    whole = untrained().fit(people(), seed=3)
    np.testing.assert_allclose(model.history.loss, whole.history.loss, rtol=1e-3)
