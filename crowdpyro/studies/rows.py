"""Rows of one cell: how a study makes them, and what the store asks of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..metrics import cosine_similarity, log_loss, resolution_rate, wasserstein1
from ..models.scales import Ordinal
from .metric import METRICS, Metric
from .scoring import AGGREGATORS, aggregate_shares

FloatArray = npt.NDArray[np.float64]

ROW_COLUMNS = ("aggregator", "n_virtual", "metric", "unit", "value", "weight")
_KEY = ["aggregator", "n_virtual", "metric"]


@dataclass
class Rows:
    """Rows as they come in.

    Attributes
    ----------
    frames
        So far.
    """

    frames: list[pd.DataFrame] = field(default_factory=list)

    def add(self, metric: str, value: float, aggregator: str = "", n_virtual: int = 0) -> None:
        """One number over all problems."""
        self.add_units(metric, [value], [""], aggregator, n_virtual)

    def add_units(
        self,
        metric: str,
        values: npt.ArrayLike,
        units: Iterable[object],
        aggregator: str = "",
        n_virtual: int = 0,
        weights: npt.ArrayLike = 1.0,
    ) -> None:
        """One number a unit; the value over all problems is made of them (of a root metric, give squares).

        Parameters
        ----------
        metric
            Its name.
        values
            Shape `(n_units,)`.
        units
            Ids of problems, or of whatever the bootstrap shall resample.
        aggregator, n_virtual
            As `Column` has them.
        weights
            Of the units in the value over all problems: 1, or their answers.
        """
        self.frames.append(
            pd.DataFrame(
                {
                    "aggregator": aggregator,
                    "n_virtual": n_virtual,
                    "metric": metric,
                    "unit": [str(unit) for unit in units],
                    "value": np.asarray(values, dtype=float),
                    "weight": weights,
                }
            )
        )

    def add_shares(
        self,
        shares: FloatArray,
        truth: FloatArray,
        scale: Ordinal,
        units: Iterable[object],
        *,
        n_virtual: int = 0,
        seed: int = 0,
        aggregators: Iterable[str] = AGGREGATORS,
    ) -> None:
        """Every metric of a predicted distribution against human counts.

        Parameters
        ----------
        shares
            Predicted probabilities, or a crowd's histograms, shape `(n_problems, n_levels)`.
        truth
            Human counts, same shape; problems that no human answered are left out.
        scale
            Of the answers.
        units
            Ids of the problems.
        n_virtual
            Members of the crowd; 0 when `shares` are its exact predictive distribution.
        seed
            Of ties between levels.
        aggregators
            Of `aggregate_shares`.

        Raises
        ------
        DataError
            When a row is no distribution, or shapes do not match.
        """
        asked = truth.sum(axis=1) > 0
        ids = np.array([str(unit) for unit in units], dtype=object)[asked]
        shares, truth = shares[asked], truth[asked]
        answers = truth.sum(axis=1)
        human = truth / answers[:, None]
        rows = [slice(t, t + 1) for t in range(len(ids))]
        for name in aggregators:
            # A seed each: where both tie, the crowd's draw and the people's are two.
            a, b = aggregate_shares(shares, name, scale, seed + 1), aggregate_shares(human, name, scale, seed)
            self.add_units("mae", np.abs(a - b), ids, name, n_virtual)
            self.add_units("rmse", np.square(a - b), ids, name, n_virtual)
            self.add_units("resolution_rate", [resolution_rate(a[t], b[t]) for t in rows], ids, name, n_virtual)
        cosine = [cosine_similarity(shares[t], human[t]) for t in rows]
        distance = [wasserstein1(shares[t], human[t], scale.values) for t in rows]
        loss = np.array([log_loss(shares[t], truth[t]) for t in rows])
        self.add_units("cosine_similarity", cosine, ids, "", n_virtual)
        self.add_units("wasserstein1", distance, ids, "", n_virtual)
        self.add_units("log_loss", loss, ids, "", n_virtual, answers)
        self.add_units("bias", (shares - human) @ scale.values, ids, "", n_virtual, answers)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = -np.where(shares > 0, shares * np.log(shares), 0.0).sum(axis=1)
        if np.isfinite(loss).all():
            self.add_units("surprise", loss - expected, ids, "", n_virtual, answers)

    def frame(self) -> pd.DataFrame:
        """The rows, columns of `ROW_COLUMNS`."""
        return pd.concat(self.frames, ignore_index=True) if self.frames else pd.DataFrame(columns=list(ROW_COLUMNS))


def over_units(rows: pd.DataFrame, metric: Metric) -> float:
    """Value over all problems of one metric's rows of units, g(sum w m / sum w)."""
    mean = float(np.average(rows["value"], weights=rows["weight"]))
    return float(np.sqrt(mean)) if metric.root else mean


def checked(rows: pd.DataFrame, metrics: Iterable[Metric], where: str, seconds: float) -> pd.DataFrame:
    """Rows with all columns and every value over all problems, or a named error.

    Parameters
    ----------
    rows
        Of `Study.evaluate`.
    metrics
        The study's own.
    where
        The cell, for messages.
    seconds
        That the cell took; a row of them is added where the study gives none.
    """
    missing = [name for name in ("metric", "value") if name not in rows.columns]
    if missing or rows.empty:
        raise DataError(f"{where}: evaluate gave no rows with {', '.join(missing or ('metric', 'value'))}; it must.")
    defaults: dict[str, Any] = {"aggregator": "", "n_virtual": 0, "unit": "", "weight": 1.0}
    rows = rows.assign(**{name: value for name, value in defaults.items() if name not in rows.columns})
    unknown = [name for name in rows.columns if name not in ROW_COLUMNS]
    if unknown:
        raise DataError(f"{where}: column {unknown[0]!r} is not one of {', '.join(ROW_COLUMNS)}; leave it out.")
    types = {"n_virtual": "int64", "value": "float64", "weight": "float64"}
    rows = rows[list(ROW_COLUMNS)].astype({name: types.get(name, "str") for name in ROW_COLUMNS})
    absent, twice = rows["value"].isna(), rows.duplicated([*_KEY, "unit"])
    for wrong, what in ((absent, "is not a number; leave the row out"), (twice, "is there twice; give each row once")):
        if wrong.any():
            metric, unit = rows.loc[wrong, ["metric", "unit"]].iloc[0]
            raise DataError(f"{where}: metric {metric!r}, unit {unit!r}, {what}.")
    if not (rows["weight"] >= 0).all():
        name = rows["metric"][~(rows["weight"] >= 0)].iloc[0]
        raise DataError(
            f"{where}: metric {name!r} has a weight that is not 0 or positive; give 1 or numbers of answers."
        )
    known = {**METRICS, **{metric.name: metric for metric in metrics}}
    whole = set(rows.loc[rows["unit"] == "", _KEY].itertuples(index=False, name=None))
    more: list[tuple[str, int, str, str, float, float]] = []
    for _, part in rows[rows["unit"] != ""].groupby(_KEY, sort=False):
        aggregator, n_virtual, name = part[_KEY].iloc[0]
        if (aggregator, n_virtual, name) not in whole:
            if name not in known:
                raise DataError(f"{where}: metric {name!r} is unknown; describe it in Study.metrics.")
            more.append((aggregator, n_virtual, name, "", over_units(part, known[name]), 1.0))
    if not (rows["metric"] == "seconds").any():
        more.append(("", 0, "seconds", "", seconds, 1.0))
    added = [pd.DataFrame(more, columns=list(ROW_COLUMNS))] if more else []
    return pd.concat([*added, rows], ignore_index=True)
