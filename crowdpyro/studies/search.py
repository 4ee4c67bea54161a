"""Hyper-parameters, chosen once for all studies on validation splits of training data.

L(c) = (1/S) sum_s log loss of c on the validation part of inner split s, fitted to its other part

Inner splits are cut from the training part of one outer split, whose test part is never read. The least L is taken;
beside it stands by how much each setting is worse, with the standard error of that difference over the inner splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from .. import metrics
from ..config import CrowdConfig
from ..data import CrowdData
from ..errors import DataError
from ..estimator import CrowdLLM
from ..inference.training import FitConfig
from ..references import References
from ..tables import read_table, write_whole
from .scoring import ordinal

Unit = Literal["problem", "participant"]

COLUMNS = ("setting", "references", "inner", "log_loss", "wasserstein1", "mae")
# The defaults, then one change at a time.
GRID: dict[str, CrowdConfig] = {
    "default": CrowdConfig(),
    "8 text components": CrowdConfig(n_components=8),
    "16 text components": CrowdConfig(n_components=16),
    "64 text components": CrowdConfig(n_components=64),
    "dropout .2": CrowdConfig(dropout=0.2),
    "dropout .4": CrowdConfig(dropout=0.4),
    "weights .1": CrowdConfig(weight_scale=0.1),
    "weights .15": CrowdConfig(weight_scale=0.15),
    "weights .3": CrowdConfig(weight_scale=0.3),
    "2 dimensions of eps": CrowdConfig(n_eps=2),
    "spread by profile": CrowdConfig(profile_spread=True),
    "30 margin steps": CrowdConfig(training=FitConfig(margin_steps=30)),
    "300 margin steps": CrowdConfig(training=FitConfig(margin_steps=300)),
    "400 epochs, patience 100": CrowdConfig(training=FitConfig(epochs=400, patience=100)),
}
# The least L of 84 fits (GPT-4 and the panel, three inner splits of seed 0's training part): 1.1318 against 1.1325 of
# the defaults, .0024 less with the panel and .0008 more with GPT-4. All but the extreme priors are within 1.2 standard
# errors of it: what is chosen matters little here.
CHOSEN = GRID["16 text components"]


def search(
    data: CrowdData,
    references: Mapping[str, References],
    by: Unit,
    grid: Mapping[str, CrowdConfig] = GRID,
    *,
    seed: int = 0,
    inner: int = 3,
    path: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Score every setting on inner splits.

    Parameters
    ----------
    data
        All answers; 20 % of the units, by `seed`, are left aside first, as a study with that seed would.
    references
        By name.
    by
        What is held out, outside and inside.
    grid
        Settings by name.
    seed
        Of the outer split.
    inner
        Number of inner splits.
    path
        CSV to go on from and to write after every fit; None keeps nothing.
    report
        Told what is being done.

    Returns
    -------
    DataFrame
        One row a fit, columns of `COLUMNS`.
    """
    if inner < 2:
        raise DataError(f"inner={inner}: give at least two inner splits.")
    train, _ = data.split(by, 0.2, seed)
    rows = pd.DataFrame(columns=list(COLUMNS)) if path is None or not path.exists() else read_table(path)
    done = set(zip(rows["setting"], rows["references"], rows["inner"].astype(int), strict=True))
    todo = [
        (setting, name, fold)
        for fold in range(inner)
        for setting in grid
        for name in references
        if (setting, name, fold) not in done
    ]
    for place, (setting, name, fold) in enumerate(todo):
        report(f"fit {place + 1} of {len(todo)}: {setting}, {name}")
        part, valid = train.split(by, 0.2, fold)
        scores = _score(grid[setting], part, valid, references[name], by, fold)
        row = pd.DataFrame([(setting, name, fold, *scores)], columns=list(COLUMNS))
        rows = row if rows.empty else pd.concat([rows, row], ignore_index=True)
        if path is not None:
            write_whole(path, partial(rows.to_csv, index=False))
    return rows


def _score(
    config: CrowdConfig, part: CrowdData, valid: CrowdData, references: References, by: Unit, seed: int
) -> tuple[float, float, float]:
    """Log loss, W1 and MAE of the mean on the validation part."""
    config = replace(config, holdout=by)
    model = CrowdLLM(config, progress=False).fit(part, references.select(part.problems.index), seed=seed)
    counts, scale = valid.counts(), ordinal(valid.scale)
    asked = counts.sum(axis=1) > 0
    shares = model.shares(valid.problems, references.select(valid.problems.index), participants=2048, seed=seed)
    shares, counts = shares[asked], counts[asked]
    human = counts / counts.sum(axis=1, keepdims=True)
    return (
        metrics.log_loss(shares, counts),
        metrics.wasserstein1(shares, human, scale.values),
        metrics.mean_absolute_error(shares @ scale.values, human @ scale.values),
    )


def ranking(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a setting, best first: means, and how much worse than the best its log loss is, with a standard error."""
    wide = scores.pivot_table(index=["references", "inner"], columns="setting", values="log_loss")
    if len(wide) < 2 or wide.isna().any(axis=None):
        raise DataError(
            "scores lack fits of some setting; let the search come to its end, with two inner splits or more."
        )
    excess = wide.sub(wide[wide.mean().idxmin()], axis=0)
    table = scores.groupby("setting")[["log_loss", "wasserstein1", "mae"]].mean()
    table["worse_by"], table["se"] = excess.mean(), excess.std() / np.sqrt(len(wide))
    return table.sort_values("log_loss")
