"""Equal seeds give equal results in every process, whatever it did before, and leave its random state alone."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import hashlib, random
import numpy as np, pandas as pd, torch
import rich.style  # whose first import, by a library of ours, draws from Python's stream
random.seed({before}); np.random.seed({before}); torch.manual_seed({before}); torch.randn({before})
from crowdpyro import CrowdData, CrowdLLM, FitConfig, Ordinal, checks
rng = np.random.default_rng(0)
person, problem = np.indices((20, 5)).reshape(2, -1)
data = CrowdData.from_frames(
    pd.DataFrame({{"participant": person, "problem": problem, "response": rng.integers(1, 6, 100)}}),
    pd.DataFrame({{"problem": range(5), "text": [f"statement {{k}}" for k in range(5)]}}),
    pd.DataFrame({{"participant": range(20), "group": rng.choice(["u", "v", "w"], 20), "age": rng.normal(size=20)}}),
    scale=Ordinal.range(1, 5),
)
training = FitConfig(epochs=3, margin_steps=4, every=2, batch_size=8)
state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
model = CrowdLLM(training=training, n_components=2, text_encoder="tfidf", n_eps=2, n_hidden=4).fit(data, seed=3)
crowd = model.generate(40, seed=4)
check = checks.posterior_predictive_check(model, data, n_crowds=3, seed=5)
pit = checks.loo_pit(model, data, n_draws=8, seed=6)
untouched = (
    torch.equal(state[0], torch.get_rng_state())
    and (state[1] == np.random.get_state()[1]).all()
    and state[2] == random.getstate()
)
digest = hashlib.sha256()
for name, value in sorted(model.model.state_dict().items()):
    digest.update(name.encode() + value.numpy().tobytes())
for value in (crowd.codes(), check.replicated, pit.u):
    digest.update(np.ascontiguousarray(value).tobytes())
print(bool(untouched), digest.hexdigest())
"""


def test_equal_seeds_are_equal_in_every_process():
    told = []
    for before, hashing in ((1, "0"), (7, "123")):
        env = os.environ | {"PYTHONHASHSEED": hashing}
        code = CODE.format(before=before)
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        told.append(run.stdout.split())
    assert told[0] == told[1]
    assert told[0][0] == "True"
