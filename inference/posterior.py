"""Draws of a posterior, and what they say of themselves.

mcse = sd / sqrt(ess),    r_hat = sqrt(between-chain and within-chain variance / within-chain variance), halves apart
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr
from pyro.ops import stats
from torch import Tensor

from ..models.errors import ModelError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Posterior:
    """Draws of every site.

    Attributes
    ----------
    draws
        By site, shape `(n_chains, n_draws, *shape)`.
    n_divergent
        Transitions of the sampler that diverged; any says that the draws may miss a part of the posterior.
    loss
        What a variational fit went through, nats; empty for a Markov chain.
    """

    draws: Mapping[str, FloatArray]
    n_divergent: int = 0
    loss: tuple[float, ...] = field(default=(), repr=False)

    def mean(self) -> dict[str, FloatArray]:
        """Posterior means, by site."""
        return {name: value.mean(axis=(0, 1)) for name, value in self.draws.items()}

    def sd(self) -> dict[str, FloatArray]:
        """Posterior standard deviations, by site."""
        return {name: value.std(axis=(0, 1), ddof=1) for name, value in self.draws.items()}

    def ess(self) -> dict[str, FloatArray]:
        """Effective sample sizes of the means, by site; at least 1, below which the estimate falls with few draws."""
        return {name: np.maximum(value, 1.0) for name, value in self._each(stats.effective_sample_size).items()}

    def r_hat(self) -> dict[str, FloatArray]:
        """Split r_hat, by site: near 1 (below 1.01, say) when the halves of all chains agree."""
        return self._each(stats.split_gelman_rubin)

    def mcse(self) -> dict[str, FloatArray]:
        """Monte-Carlo standard errors of the means, by site."""
        ess = self.ess()
        return {name: sd / np.sqrt(ess[name]) for name, sd in self.sd().items()}

    def flat(self, thin: int = 1) -> dict[str, Tensor]:
        """Draws of all chains in one row, every `thin`-th of each chain, shape `(n, *shape)`.

        Raises
        ------
        ModelError
            When `thin` is below 1.
        """
        if thin < 1:
            raise ModelError(f"thin={thin}: give at least 1.")
        kept = {name: value[:, thin - 1 :: thin] for name, value in self.draws.items()}
        return {name: torch.as_tensor(value.reshape(-1, *value.shape[2:])) for name, value in kept.items()}

    def to_frame(self) -> pd.DataFrame:
        """One row an element, indexed by `quantity`: `mean`, `sd`, `mcse`, `ess`, `r_hat`."""
        columns = {
            "mean": self.mean(),
            "sd": self.sd(),
            "mcse": self.mcse(),
            "ess": self.ess(),
            "r_hat": self.r_hat(),
        }
        labels = [
            name if not index else f"{name}[{', '.join(map(str, index))}]"
            for name, value in self.draws.items()
            for index in np.ndindex(*value.shape[2:])
        ]
        flat = {key: np.concatenate([np.ravel(each[name]) for name in self.draws]) for key, each in columns.items()}
        return pd.DataFrame(flat, index=pd.Index(labels, name="quantity"))

    def to_dataset(self) -> xr.Dataset:
        """Dimensions `chain, draw` and, for each site, its own `NAME_dim_0, ...`, as ArviZ reads them."""
        variables = {
            name: (("chain", "draw", *(f"{name}_dim_{axis}" for axis in range(value.ndim - 2))), value)
            for name, value in self.draws.items()
        }
        n_chains, n_draws = next(iter(self.draws.values())).shape[:2]
        coords = {"chain": np.arange(n_chains), "draw": np.arange(n_draws)}
        return xr.Dataset(variables, coords, {"n_divergent": self.n_divergent})

    def _each(self, statistic: Callable[[Tensor], Tensor]) -> dict[str, FloatArray]:
        return {name: statistic(torch.as_tensor(value).double()).numpy() for name, value in self.draws.items()}
