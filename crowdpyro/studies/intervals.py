"""How often intervals cover, and how wide they are, where the truth is known: real people who can be sampled anew.

Personality: 2,800 people answered 25 items. A crowd model is fitted once to 200 of them; the truth is the means of
2,400 others, and a study is n of these, drawn with replacement, with a crowd from the profiles of all 2,400. Samples
are then independent, their truth is exact, and no twin has seen its person. Fitting anew to each sample, as
`CrowdLLM.interval` does, costs five fits a sample: it is done for as many as are asked for, drawn without replacement
so that no person is in two folds.

POPQUORN: a model fitted to half of the raters; studies are n raters of the other half with all their ratings, and the
truth is the mean of all that half's ratings: one interval, of answers that hang together by rater.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crowd import Crowd
from ..crowd_intervals import cross_fitted_answers, mean_answers, training_part
from ..data import CrowdData
from ..datasets import load_offensiveness, load_personality
from ..estimator import CrowdLLM
from ..references import References
from ..tables import write_whole
from ..theory.cross_fit import person_folds
from ..theory.interval import crowd_interval
from ..theory.interval_options import Method
from ..theory.interval_result import CrowdInterval
from ..theory.pooled import pooled_interval
from ..theory.union_bound import prediction_powered_mean
from .offensiveness import choose
from .personality import groups

FloatArray = npt.NDArray[np.float64]
Say = Callable[[str], None]

METHODS: tuple[Method, ...] = ("rectified", "power_tuned", "absolute_bias", "theorem_4_6")
POOLED_METHODS: tuple[Method, ...] = ("human_only", "rectified", "power_tuned")
SIZES, POOLED_SIZES = (10, 30, 100, 200), (30, 60)
N_CROWD, N_DRAWS, LEVEL = 1000, 40, 0.95
# Resamples that are computed at once: their crowds are 50 MB.
_BLOCK = 50


def run(
    resamples: int = 500,
    cross_fitted: int = 0,
    out: Path | None = None,
    references: References | None = None,
    *,
    seed: int = 0,
    report: Say = lambda text: None,
) -> pd.DataFrame:
    """Coverage and width on the personality survey.

    Parameters
    ----------
    resamples
        Studies of each size.
    cross_fitted
        Studies, of 100 people, whose twins are cross-fitted; five fits each.
    out
        Folder for `intervals.csv`; None writes nothing.
    references
        An LLM's answers to the items; fitted without an LLM when None.
    seed
        Of everything.
    report
        Told what is being done.

    Returns
    -------
    DataFrame
        One row a size, kind of twin and method: `coverage` and `half_width`, means over studies and items, `se` of the
        coverage over studies, and `ratio` of the half-width to that of the people alone.
    """
    data = load_personality()
    fitted_to, _, others = groups(data, seed)
    report("fitting the crowd model to 200 people")
    model = CrowdLLM(progress=False).fit(fitted_to, references, seed=seed)
    people = others.participants
    y = Crowd.from_data(others).values()
    truth = np.nanmean(y, axis=0)
    kinds = {
        f"mean of {N_DRAWS} draws": mean_answers(model, others, people, N_DRAWS, seed=seed + 1),
        "one draw": mean_answers(model, others, people, 1, seed=seed + 2),
    }
    rng = np.random.default_rng(seed)
    rows = []
    for n in SIZES:
        report(f"{resamples} studies of {n} people")
        found: dict[tuple[str, str], list[FloatArray]] = {}
        for done in range(0, resamples, _BLOCK):
            size = min(_BLOCK, resamples - done)
            who, members = rng.integers(len(y), size=(n, size)), rng.integers(len(y), size=(N_CROWD, size))
            alone = crowd_interval(y[who], alpha=1 - LEVEL, method="human_only", missing="omit")
            found.setdefault(("", "human_only"), []).append(_measured(alone, truth))
            for kind, twins in kinds.items():
                for interval in _every_method(y[who], twins[who], twins[members]):
                    found.setdefault((kind, interval.method), []).append(_measured(interval, truth))
        rows += [_row(n, *key, np.concatenate(each, axis=1)) for key, each in found.items()]
    if cross_fitted:
        rows += _cross_fitted(others, y, truth, references, cross_fitted, rng, report)
    return _written(pd.DataFrame(rows), None if out is None else out / "intervals.csv")


def run_pooled(
    resamples: int = 500, out: Path | None = None, folder: Path | None = None, *, seed: int = 0,
    report: Say = lambda text: None,
) -> pd.DataFrame:  # fmt: skip
    """Coverage and width of one interval for all of POPQUORN's comments, clustered by rater and not.

    Parameters
    ----------
    resamples
        Studies of each size.
    out
        Folder for `pooled_intervals.csv`; None writes nothing.
    folder
        Holds `popquorn/`; `$CROWDPYRO_DATA` when None.
    seed
        Of everything.
    report
        Told what is being done.
    """
    data, every = load_offensiveness(folder)
    report("fitting the crowd model to half of the raters")
    (train, test), _ = person_folds(data.n_participants, 2, seed=seed)
    model = CrowdLLM(progress=False).fit(training_part(data, train, test), choose(every, "gpt4"), seed=seed)
    others = data.select(participants=data.participants.index[test])
    y = Crowd.from_data(others).values()
    truth = float(np.nanmean(y))
    twins = mean_answers(model, others, others.participants, N_DRAWS, seed=seed + 1)
    asked = (~np.isnan(y)).sum(axis=0)
    rng = np.random.default_rng(seed)
    rows = []
    for n in POOLED_SIZES:
        report(f"{resamples} studies of {n} raters")
        found: dict[tuple[str, str], list[FloatArray]] = {}
        for _ in range(resamples):
            who, members = rng.integers(len(y), size=n), rng.integers(len(y), size=200)
            for method in POOLED_METHODS:
                for clustered in (True, False):
                    interval = _pooled(y[who], twins[who], twins[members], asked, method, clustered)
                    key = ("clustered" if clustered else "not clustered", method)
                    found.setdefault(key, []).append(_measured(interval, np.asarray(truth)).reshape(2, 1, 1))
        rows += [_row(n, *key, np.concatenate(each, axis=1)) for key, each in found.items()]
    return _written(pd.DataFrame(rows), None if out is None else out / "pooled_intervals.csv")


def _every_method(y: FloatArray, twins: FloatArray, crowd: FloatArray) -> Iterator[CrowdInterval]:
    for method in METHODS:
        yield crowd_interval(y, twins, crowd, 1 - LEVEL, method=method, missing="omit")
    yield prediction_powered_mean(y, twins, crowd, 1 - LEVEL, missing="omit")


def _pooled(
    y: FloatArray, twins: FloatArray, crowd: FloatArray, asked: npt.NDArray[np.int64], method: Method, clustered: bool
) -> CrowdInterval:
    """One interval; not clustered, each answer is taken for a person's."""
    if clustered:
        return pooled_interval(y, twins, crowd, 1 - LEVEL, problem_weights=asked, method=method)
    given = ~np.isnan(y)
    weights = np.broadcast_to(asked, crowd.shape).ravel()
    return crowd_interval(y[given], twins[given], crowd.ravel(), 1 - LEVEL, crowd_weights=weights, method=method)


def _cross_fitted(
    others: CrowdData,
    y: FloatArray,
    truth: FloatArray,
    references: References | None,
    studies: int,
    rng: np.random.Generator,
    report: Say,
) -> list[dict[str, object]]:
    """Rows of studies whose twins are fitted to the study's own people, without each."""
    n = 100
    found: dict[str, list[FloatArray]] = {}
    for study in range(studies):
        report(f"cross-fitting study {study + 1} of {studies}")
        order = others.participants.index[rng.permutation(len(y))]
        sample, population = others.select(participants=order[:n]), others.participants.loc[order[n:]]
        given = cross_fitted_answers(
            CrowdLLM(progress=False), sample, references, population=population, n_draws=N_DRAWS, seed=study
        )
        alone = crowd_interval(given[0], alpha=1 - LEVEL, method="human_only", missing="omit")
        for each in (alone, *_every_method(*given)):
            found.setdefault(each.method, []).append(_measured(each, truth)[:, None])
    return [_row(n, "cross-fitted", method, np.concatenate(each, axis=1)) for method, each in found.items()]


def _measured(interval: CrowdInterval, truth: FloatArray) -> FloatArray:
    """Whether each interval covers, and its half-width: `(2, ...)`."""
    return np.stack([(interval.low <= truth) & (truth <= interval.high), interval.half_width]).astype(float)


def _row(n: int, twins: str, method: str, measured: FloatArray) -> dict[str, object]:
    """Means over studies and items; items of one study are not independent, studies are."""
    studies = measured[0].mean(axis=1)
    return {
        "n": n,
        "twins": twins,
        "method": method,
        "coverage": float(studies.mean()),
        "se": float(studies.std(ddof=1) / len(studies) ** 0.5) if len(studies) > 1 else np.nan,
        "half_width": float(measured[1].mean()),
        "studies": len(studies),
    }


def _written(table: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """With the ratio to the people alone, of the same size and kind where there is one."""
    alone = table[table["method"] == "human_only"]
    own = alone.set_index(["n", "twins"])["half_width"]
    any_kind = alone.groupby("n")["half_width"].first()
    keys = list(zip(table["n"], table["twins"], strict=True))
    base = [own.get(key, any_kind[key[0]]) for key in keys]
    table = table.assign(ratio=table["half_width"] / np.array(base))
    if path is not None:
        write_whole(path, lambda file: table.to_csv(file, index=False))
    return table
