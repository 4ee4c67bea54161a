"""What survey weights mend: people drawn with unequal chances, whose population is known.

The population is everybody of the 25-item survey who gave gender and age. Samples over-represent women, the young
(below the median age) or both three to one; of both, a young woman is nine times as likely to be asked as an older man.
The weight is 1 / chance. A crowd is fitted to each sample with its weights and without, and compared with the
population's answers: histograms by W1, the items' means by their error. A weight buys bias with variance (design effect
1.3, of both 1.7). Items whose group means differ by .3 or more stand apart; of them a weight pays where

bias_t^2 > Var(weighted mean) - Var(plain mean),

which population and design say before anybody is asked. Of women or the young these are all of the 9 and 6 that differ;
of both, 7 of 12, since the two pull the other five in opposite directions (A1: groups differ by -.47 and .35, and the
plain mean is off by .003). There is nothing to mend there, and any mending costs variance: over 400 samples the
weighted mean, the poststratified one, additive regression on both groups taken to their margins, and that regression
with weighted residuals (doubly robust) have a smaller mean absolute error than the plain mean on these very 7 items,
and on none of the five.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed

from .. import baselines, metrics
from ..crowd import Crowd
from ..data import CrowdData
from ..datasets import load_personality
from ..errors import DataError
from ..estimator import CrowdLLM
from ..inference.training import FitConfig
from ..recruitment import Pool
from ..references import References
from ..survey import WEIGHT, SurveyDesign
from ..tables import write_whole
from .scoring import ordinal

FloatArray = npt.NDArray[np.float64]

Over: TypeAlias = Literal["both", "women", "young"]
GROUPS: dict[str, list[str]] = {"both": ["woman", "young"], "women": ["woman"], "young": ["young"]}
RATIO, LARGE = 3.0, 0.3
N_SAMPLE, N_PEOPLE = 1000, 2048
# Of 1,000 people, 40 epochs score as 150 do (W1 .054 and .055), in half the time.
TRAINING = FitConfig(epochs=40, batch_size=100)


def population(over: Over = "both") -> tuple[CrowdData, pd.DataFrame]:
    """People whose gender and age are known, and whether they are in the groups that are asked more often."""
    if over not in GROUPS:
        raise DataError(f"over={over!r}: give one of {', '.join(GROUPS)}.")
    data = load_personality()
    people = data.participants
    known = people["gender"].isin(["man", "woman"])
    data = data.select(participants=people.index[known])
    people = data.participants
    groups = pd.DataFrame({"woman": people["gender"] == "woman", "young": people["age"] < people["age"].median()})
    return data, groups[GROUPS[over]]


def differing(data: CrowdData, groups: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Items whose means differ by .3 or more between people inside and outside of one of the groups."""
    values = Crowd.from_data(data).values()
    gaps = [
        np.abs(np.nanmean(values[inside], axis=0) - np.nanmean(values[~inside], axis=0))
        for inside in (groups[name].to_numpy() for name in groups)
    ]
    return np.asarray(np.max(gaps, axis=0) >= LARGE)


def bias(data: CrowdData, groups: pd.DataFrame) -> FloatArray:
    """What unequal chances alone make of each item's mean."""
    values, chance = Crowd.from_data(data).values(), RATIO ** groups.sum(axis=1).to_numpy(dtype=float)
    there = ~np.isnan(values)
    unequal = chance @ np.where(there, values, 0.0) / (chance @ there)
    return np.asarray(unequal - np.nanmean(values, axis=0))


def errors(data: CrowdData, groups: pd.DataFrame, n: int) -> tuple[FloatArray, FloatArray]:
    """Standard deviations of each item's plain and weighted mean over samples of n people.

    Of draws with chances pi_i in random order, linearised: sum_i pi_i (1 - pi_i) r_i^2, where r_i is
    (y_i - m) / sum_j pi_j about the mean m under these chances, and (y_i - ybar) / (N pi_i) about everybody's.
    """
    values = Crowd.from_data(data).values()
    there = ~np.isnan(values)
    chance = _chances(groups, n)
    at = chance @ np.where(there, values, 0.0) / (chance @ there)
    plain = np.where(there, values - at, 0.0) / (chance @ there)
    weighted = np.where(there, values - np.nanmean(values, axis=0), 0.0) / there.sum(axis=0) / chance[:, None]
    both = [np.sqrt((chance * (1 - chance)) @ np.square(each)) for each in (plain, weighted)]
    return both[0], both[1]


def pays(data: CrowdData, groups: pd.DataFrame, n: int) -> npt.NDArray[np.bool_]:
    """Items whose weighted mean has the smaller mean square error."""
    plain, weighted = errors(data, groups, n)
    return np.asarray(bias(data, groups) ** 2 + plain**2 > weighted**2)


def _chances(groups: pd.DataFrame, n: int) -> FloatArray:
    """Of everybody to be one of n."""
    chance = RATIO ** groups.sum(axis=1).to_numpy(dtype=float)
    chance *= n / chance.sum()
    if chance.max() >= 1:
        raise DataError(f"n={n}: some would be drawn for certain; give at most {n / chance.max():.0f}.")
    return chance


def biased_sample(data: CrowdData, groups: pd.DataFrame, n: int, seed: int) -> CrowdData:
    """So many people with their weights, the over-represented asked three times as often for each group they are in.

    Systematic draws along a random order: everybody's chance is exactly in proportion, and nobody is drawn twice.
    """
    chance = _chances(groups, n)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(chance))
    rows = order[np.searchsorted(chance[order].cumsum(), rng.random() + np.arange(n)).clip(max=len(chance) - 1)]
    sample = data.select(participants=data.participants.index[rows])
    weights = pd.DataFrame({WEIGHT: 1 / chance[rows]}, index=sample.participants.index)
    return replace(sample, design=SurveyDesign(weights))


def one_resample(
    data: CrowdData, groups: pd.DataFrame, references: References | None, n: int, seed: int
) -> pd.DataFrame:
    """Shares of every item by every method, as errors against the population: one row a method and item."""
    sample = biased_sample(data, groups, n, seed)
    plain = replace(sample, design=None)
    scale = ordinal(data.scale)
    with_weights, without = (
        CrowdLLM(training=TRAINING, progress=False).fit(each, references, seed=seed) for each in (sample, plain)
    )
    pool = Pool(plain.participants, with_weights.weights)
    predicted = {
        "crowd, weighted": with_weights.shares(participants=N_PEOPLE, seed=seed),
        "crowd, unweighted": without.shares(participants=N_PEOPLE, seed=seed),
        "crowd, weights in the pool alone": without.shares(participants=pool.draw(N_PEOPLE, seed=seed), seed=seed),
        "histograms, weighted": baselines.independent_histograms(sample.counts()),
        "histograms, unweighted": baselines.independent_histograms(plain.counts()),
    }
    truth = Crowd.from_data(data).shares()
    frames = []
    for method, shares in predicted.items():
        w1 = [metrics.wasserstein1(shares[[t]], truth[[t]], scale.values) for t in range(len(truth))]
        frames.append(
            pd.DataFrame(
                {"method": method, "item": data.problems.index, "w1": w1, "error": (shares - truth) @ scale.values}
            )
        )
    return pd.concat(frames, ignore_index=True).assign(seed=seed)


def run(
    resamples: int = 20,
    n: int = N_SAMPLE,
    over: Over = "both",
    out: Path | None = None,
    references: References | None = None,
    *,
    jobs: int | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All resamples.

    Parameters
    ----------
    resamples
        Seeds 0 to resamples - 1; two fits each.
    n
        People in a sample.
    over
        Who is asked three times as often: `women`, the `young`, or `both`.
    out
        Folder for `weights_OVER.csv`; None writes nothing.
    references
        An LLM's answers to the items; fitted without an LLM when None.
    jobs
        Processes; one a core, four at most, when None.
    report
        Told what is being done.

    Returns
    -------
    tuple of DataFrame
        Methods: `w1`, `mae` of the items' means, and `mae` and `items won` against the unweighted crowd or histograms
        among the items that differ, and among those of them where a weight pays, means over resamples. Items: mean
        absolute error of each item's mean by method, whether it differs and a weight pays, and the bias of a plain mean
        under these chances.
    """
    data, groups = population(over)
    jobs = min(os.cpu_count() or 1, 4) if jobs is None else jobs
    frames: list[pd.DataFrame] = []
    tasks = Parallel(n_jobs=min(jobs, resamples), return_as="generator")(
        delayed(one_resample)(data, groups, references, n, seed) for seed in range(resamples)
    )
    for each in tasks:
        frames.append(each)
        report(f"resample {len(frames)} of {resamples} done")
    rows = pd.concat(frames, ignore_index=True)
    if out is not None:
        write_whole(out / f"weights_{over}.csv", lambda file: rows.to_csv(file, index=False))
    large = differing(data, groups)
    index = data.problems.index
    methods, items = summarised(rows, index[large], index[large & pays(data, groups, n)])
    return methods, items.assign(pays=pays(data, groups, n), bias=bias(data, groups))


def summarised(rows: pd.DataFrame, large: pd.Index, paying: pd.Index) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of methods and of items, from one row a resample, method and item; which items differ, and pay."""
    rows = rows.assign(absolute=rows["error"].abs())
    items = rows.pivot_table(index="item", columns="method", values="absolute", sort=False)
    apart = rows[rows["item"].isin(large)]
    methods = rows.groupby("method", sort=False).agg(w1=("w1", "mean"), mae=("absolute", "mean"))
    methods["mae, differing"] = apart.groupby("method", sort=False)["absolute"].mean()
    methods["bias, differing"] = (
        apart.groupby(["method", "item"], sort=False)["error"].mean().abs().groupby("method").mean()
    )
    for name, kept in (("differing items won", large), ("of those that pay", paying)):
        methods[name] = [
            int((items.loc[kept, method] < items.loc[kept, f"{method.split(',')[0]}, unweighted"]).sum())
            for method in methods.index
        ]
    won = rows.pivot_table(index="seed", columns="method", values="w1", sort=False)
    methods["resamples won in w1"] = [
        int((won[method] < won[f"{method.split(',')[0]}, unweighted"]).sum()) for method in methods.index
    ]
    return methods, items.assign(differs=items.index.isin(large))
