"""Sensitivity to what nobody can know: whether people stay away because of what they would have answered.

theta_t(gamma) = E[y_t] of everybody, under logit p_it = a + b . v_i + c . f_t + l . eps_i + gamma (y_it - c_y) / s

For every gamma the selection model (`crowdpyro.models.SelectionModel`) is fitted anew. The data say nothing of gamma:
what one learns is how strong a selection would have to be for the conclusion to change. gamma = 0 still lets those who
answer seldom be other people (by l . eps_i); `missing at random` is the model without that either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .config import CrowdConfig
from .data import CrowdData
from .errors import DataError, ModelError
from .estimator import CrowdLLM
from .models.scales import Ordinal
from .references import References

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Estimates of everybody's mean answer, by gamma.

    Attributes
    ----------
    estimates
        Index `problem`, a column a gamma.
    at_random
        The same under answers missing at random, indexed by problem.
    observed
        Mean of the answers that were given.
    """

    estimates: pd.DataFrame
    at_random: pd.Series
    observed: pd.Series

    def range(self) -> pd.DataFrame:
        """Least and greatest estimate of each problem over the gammas: columns `low`, `high`."""
        return pd.DataFrame({"low": self.estimates.min(axis=1), "high": self.estimates.max(axis=1)})

    def to_frame(self) -> pd.DataFrame:
        """Long frame `problem, gamma, estimate`; the gamma of missing at random is empty."""
        by_gamma = self.estimates.reset_index().melt("problem", var_name="gamma", value_name="estimate")
        plain = self.at_random.rename("estimate").reset_index().assign(gamma=np.nan)
        return pd.concat([plain[by_gamma.columns], by_gamma.astype({"gamma": float})], ignore_index=True)

    def plot(self) -> Figure:
        """Estimates against gamma, a line a problem, their mean, and what was observed."""
        from .participation_pictures import sensitivity_lines

        gammas = self.estimates.columns.to_numpy(dtype=float)
        names = [str(name) for name in self.estimates.index]
        observed = self.observed.to_numpy(dtype=float)
        at_random = float(self.at_random.mean())
        return sensitivity_lines(gammas, self.estimates.to_numpy().T, names, observed, at_random)


def sensitivity(
    data: CrowdData,
    references: References | None = None,
    *,
    gammas: Sequence[float] = (-1.0, -0.5, 0.0, 0.5, 1.0),
    population: pd.DataFrame | None = None,
    config: CrowdConfig | None = None,
    n_participants: int = 4000,
    seed: int = 0,
    **settings: Any,
) -> Sensitivity:
    """Fit the selection model for every gamma, and ask everybody.

    Parameters
    ----------
    data, references
        As in `CrowdLLM.fit`; ratings. People and problems without an answer belong into the data.
    gammas
        What one standard deviation of the answer adds to the log odds of giving it; two or more, 1 being much.
    population
        Profiles of those who are to be spoken for; the training people's when None.
    config, **settings
        Of the fits, but for `participation` and `gamma`.
    n_participants
        Size of the crowds, the same people in all of them, so that estimates differ by gamma alone.
    seed
        Of fits and crowds.

    Raises
    ------
    DataError
        For another scale, fewer than two gammas, or data in which nobody stayed away.
    """
    if not isinstance(data.scale, Ordinal):
        raise DataError(f"scale={data.scale}: selection sums over the levels of a rating; give ratings.")
    grid = sorted({float(gamma) for gamma in gammas})
    if len(grid) < 2 or not np.isfinite(grid).all():
        raise DataError(f"gammas={tuple(gammas)}: give two or more different finite numbers.")
    if data.answered().all():
        raise DataError("data has an answer of everybody to everything; there is no nonresponse to be sensitive to.")
    for name in ("participation", "gamma"):
        if name in settings:
            raise ModelError(f"{name}: is what is varied here; leave it out.")
    base = replace(config or CrowdConfig(), participation="given", gamma=0.0)
    progress = settings.pop("progress", False)

    def estimated(chosen: CrowdConfig) -> FloatArray:
        model = CrowdLLM(chosen, progress=progress, **settings).fit(data, references, seed=seed)
        people = n_participants if population is None else population
        return np.asarray(model.generate(people, participation=1.0, seed=seed).aggregate("mean"), dtype=float)

    selective = replace(base, participation="selective")
    estimates = {gamma: estimated(replace(selective, gamma=gamma)) for gamma in grid}
    index = data.problems.index.rename("problem")
    there = data.matrix()
    observed = np.where(np.isnan(there), np.nan, data.scale.values[np.nan_to_num(there).astype(int)])
    n_given = np.maximum((~np.isnan(there)).sum(axis=0), 1)
    mean = np.where(np.isnan(there).all(axis=0), np.nan, np.nansum(observed, axis=0) / n_given)
    return Sensitivity(
        pd.DataFrame(estimates, index=index).rename_axis(columns="gamma"),
        pd.Series(estimated(base), index=index, name="estimate"),
        pd.Series(mean, index=index, name="observed"),
    )
