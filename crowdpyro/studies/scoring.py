"""Long-form results: one row a study, split, references, method, aggregator, metric and seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import metrics
from ..errors import DataError
from ..models.scales import Ordinal, Scale
from ..tables import write_whole
from .metric import METRICS

FloatArray = npt.NDArray[np.float64]

COLUMNS = ("study", "split", "references", "method", "aggregator", "metric", "seed", "value")
AGGREGATORS = ("mean", "median", "majority")
# Settings of MRP as a row of a table: with 1,000 steps log losses fall by less than .001.
YARDSTICK: dict[str, Any] = {"n_steps": 500, "n_samples": 200}
LOWER_IS_BETTER = {
    name: metric.lower_is_better for name, metric in METRICS.items() if metric.lower_is_better is not None
}


def ordinal(scale: Scale) -> Ordinal:
    """The scale itself; these studies are of ratings."""
    if not isinstance(scale, Ordinal):
        raise DataError(f"scale={scale}: the metrics of this study need an ordinal scale.")
    return scale


@dataclass
class Results:
    """Rows as they come in.

    Attributes
    ----------
    study, split, references, seed
        Columns that all rows of this object share.
    rows
        The rows so far.
    """

    study: str
    split: str
    references: str
    seed: int
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def add(self, method: str, metric: str, value: float, aggregator: str = "") -> None:
        """One number."""
        self.rows.append((self.study, self.split, self.references, method, aggregator, metric, self.seed, float(value)))

    def add_shares(self, method: str, shares: FloatArray, truth: FloatArray, scale: Ordinal) -> None:
        """All metrics of a predicted distribution against human counts.

        Parameters
        ----------
        method
            Its name.
        shares
            Predicted probabilities, shape `(n_problems, n_levels)`: an infinite crowd.
        truth
            Human counts, same shape; problems that no human answered are left out.
        scale
            Of the answers.
        """
        asked = truth.sum(axis=1) > 0
        shares, truth = shares[asked], truth[asked]
        human = truth / truth.sum(axis=1, keepdims=True)
        for name in AGGREGATORS:
            a, b = aggregate_shares(shares, name, scale), aggregate_shares(human, name, scale, self.seed)
            self.add(method, "mae", metrics.mean_absolute_error(a, b), name)
            self.add(method, "rmse", metrics.root_mean_square_error(a, b), name)
            self.add(method, "resolution_rate", metrics.resolution_rate(a, b), name)
        self.add(method, "cosine_similarity", metrics.cosine_similarity(shares, human))
        self.add(method, "wasserstein1", metrics.wasserstein1(shares, human, scale.values))
        self.add(method, "log_loss", metrics.log_loss(shares, truth))

    def frame(self) -> pd.DataFrame:
        """The rows as a frame."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))


def aggregate_shares(shares: FloatArray, method: str, scale: Ordinal, seed: int = 0) -> FloatArray:
    """Mean, median (the midpoint where it lies between levels) or majority of distributions, `(n_problems,)`."""
    if method == "mean":
        return np.asarray(shares @ scale.values)
    if method == "median":
        below = shares.cumsum(axis=1)
        lower = (below < 0.5 - 1e-9).sum(axis=1)
        upper = (below < 0.5 + 1e-9).sum(axis=1).clip(max=scale.n_levels - 1)
        return np.asarray((scale.values[lower] + scale.values[upper]) / 2)
    # A distribution's mode as the majority of one column of weights; ties at random by the seed.
    ties = np.random.default_rng(seed).random(shares.shape) * 1e-9
    return np.asarray(scale.values[(shares + ties).argmax(axis=1)])


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, one row a (split, method), columns (metric, aggregator)."""
    keys = ["split", "references", "method"]
    cells = results.groupby([*keys, "metric", "aggregator"], sort=False)["value"].agg(["mean", "std"]).reset_index()
    cells["column"] = np.where(cells["aggregator"] == "", cells["metric"], cells["metric"] + ":" + cells["aggregator"])
    return cells.pivot_table(index=keys, columns="column", values=["mean", "std"], sort=False, dropna=False)


def paired(results: pd.DataFrame, method: str, against: str) -> pd.DataFrame:
    """Differences `method - against` seed by seed: mean, standard deviation and in how many `method` is better."""
    one = results[results["method"] == method].set_index(["metric", "aggregator", "seed"])["value"]
    other = results[results["method"] == against].set_index(["metric", "aggregator", "seed"])["value"]
    difference = (one - other).rename("difference").reset_index()
    sign = difference["metric"].map(lambda name: -1.0 if LOWER_IS_BETTER[name] else 1.0)
    difference["better"] = (difference["difference"] * sign) > 0
    grouped = difference.groupby(["metric", "aggregator"], sort=False)
    table = grouped["difference"].agg(["mean", "std"])
    table["better"] = grouped["better"].sum()
    table["seeds"] = grouped["better"].count()
    return table.reset_index()


def write_results(results: pd.DataFrame, path: Path) -> Path:
    """Write `results.csv`, whole or not at all."""
    return write_whole(path, lambda file: results.to_csv(file, index=False))
