"""What MRP says of a population: estimates of all its cells, and their averages by the cells' numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .models.scales import Categorical, Continuous, Scale

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Poststratified:
    """Posterior of a population's answers.

    Attributes
    ----------
    population
        One row a problem (of labels, a problem and label): posterior `mean` of the population's mean answer (of labels,
        of the share), `sd`, and the ends `low` and `high` of an equal-tailed interval.
    cells
        The same, one row a cell and problem (and label), of each cell's expected answer.
    draws
        Of the population, shape `(n_draws, n_problems)`, of labels one more axis.
    scale
        Of the answers.
    probability
        Of the intervals.
    """

    population: pd.DataFrame
    cells: pd.DataFrame
    draws: FloatArray
    scale: Scale
    probability: float
    _shares: FloatArray | None

    def shares(self) -> FloatArray:
        """Expected share of each level in the population, `(n_problems, n_levels)`; discrete scales only."""
        if self._shares is None:
            raise DataError("shares need a discrete scale; take population of continuous answers instead.")
        return self._shares


def summarised(draws: FloatArray, probability: float) -> FloatArray:
    """Mean, standard deviation and ends of the interval over the first axis, along a new last one."""
    tail = (1 - probability) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.stack([draws.mean(axis=0), draws.std(axis=0, ddof=1), low, high], axis=-1)


def poststratified(
    scale: Scale,
    problems: pd.Index,
    cells: pd.Index,
    draws: FloatArray,
    of_cells: FloatArray,
    shares: FloatArray | None,
    probability: float,
) -> Poststratified:
    """Frames of a population's draws and of the summaries of its cells, `(n_cells, n_problems, ..., 4)`."""
    labels = [pd.Index(scale.labels, name="label")] if isinstance(scale, Categorical) else []
    columns = ["mean", "sd", "low", "high"]

    def frame(values: FloatArray, axes: list[pd.Index]) -> pd.DataFrame:
        index = pd.MultiIndex.from_product(axes) if len(axes) > 1 else axes[0]
        return pd.DataFrame(values.reshape(-1, 4), index=index, columns=columns)

    asked = pd.Index(problems, name="problem")
    population = frame(summarised(draws, probability), [asked, *labels])
    by_cell = frame(of_cells, [pd.Index(cells, name="cell"), asked, *labels])
    return Poststratified(
        population, by_cell, draws, scale, probability, None if isinstance(scale, Continuous) else shares
    )
