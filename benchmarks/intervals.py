"""Intervals of 1,000 problems at once against a loop of ppi_py.ppi_mean_ci, which takes one problem at a time.

The same intervals: lambda = 1 and 1/n variances with normal quantiles in both, equal to 1e-10; beside it our defaults
(Welch's t) and power tuning, where the peer tunes its lambda as well.
"""

from __future__ import annotations

import numpy as np
from ppi_py import ppi_mean_ci
from timing import Table

from crowdpyro.theory import crowd_interval

N_PROBLEMS = 1000


def simulated(n: int, n_crowd: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers of people, of their twins and of a crowd, `(n, 1000)` and `(n_crowd, 1000)`."""
    rng = np.random.default_rng(0)
    y = 3 + rng.normal(size=(n, N_PROBLEMS))
    return y, 0.7 * y + rng.normal(size=y.shape), 2.1 + rng.normal(scale=1.2, size=(n_crowd, N_PROBLEMS))


def loop(y: np.ndarray, twin: np.ndarray, crowd: np.ndarray, lam: float | None) -> np.ndarray:
    """The peer: low and high ends, `(2, 1000)`."""
    columns = [each.T.copy() for each in (y, twin, crowd)]
    ends = [ppi_mean_ci(a, b, c, alpha=0.05, lam=lam) for a, b, c in zip(*columns, strict=True)]
    return np.array(ends)[..., 0].T


def main() -> None:
    """The table."""
    table = Table("Intervals of 1,000 problems (the peer is a loop of ppi_py.ppi_mean_ci)")
    for n, n_crowd in ((30, 300), (100, 1000)):
        data = simulated(n, n_crowd)
        same = crowd_interval(*data, ddof=0, quantile="normal")
        if np.abs(np.stack([same.low, same.high]) - loop(*data, 1.0)).max() > 1e-10:
            raise SystemExit("the intervals differ from ppi_py's")
        size = f"n = {n}, N = {n_crowd:,}"
        for name, how, lam in (
            ("rectified, normal", {"ddof": 0, "quantile": "normal"}, 1.0),
            ("rectified, Welch's t", {}, 1.0),
            ("power tuned", {"method": "power_tuned"}, None),
        ):
            table.compare(
                f"{name}, {size}",
                lambda data=data, how=how: crowd_interval(*data, **how),
                lambda data=data, lam=lam: loop(*data, lam),
                N_PROBLEMS,
                "intervals",
            )
    table.close()


if __name__ == "__main__":
    main()
