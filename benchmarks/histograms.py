"""W1 of histograms against a loop of scipy.stats.wasserstein_distance, 1,500 problems of five levels, float64."""

from __future__ import annotations

import numpy as np
from scipy.stats import wasserstein_distance
from timing import Table

from crowdpyro.metrics import wasserstein1

rng = np.random.default_rng(0)
p, q = rng.dirichlet(np.ones(5), 1500), rng.dirichlet(np.ones(5), 1500)
values = np.arange(1.0, 6.0)


def loop() -> float:
    """The peer."""
    return float(np.mean([wasserstein_distance(values, values, a, b) for a, b in zip(p, q, strict=True)]))


if abs(loop() - wasserstein1(p, q, values)) > 1e-12:
    raise SystemExit("W1 differs from scipy's")
table = Table("Distances (the peer is a loop of scipy.stats.wasserstein_distance)")
table.compare("W1 of 1,500 histograms", lambda: wasserstein1(p, q, values), loop, 1500, "problems")
table.close()
