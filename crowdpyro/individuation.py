"""Whether a crowd's members are individuals: how they differ, from each other and within themselves, beside humans.

alpha      k/(k-1) (1 - sum_t var(y_t) / var(sum_t y_t)),   se(log(1 - alpha)) = sqrt(2k / ((k-1)(n-2)))

Cronbach (1951) and Bonett (2002), whose n is Kish's effective number where people have survey weights, which count
throughout. Groups are `individuation_groups`', the classifier is `two_sample`'s. Items that are keyed the other way
round are turned by the humans' correlations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, pearsonr

from .crowd import Crowd
from .data import CrowdData
from .errors import DataError
from .individuation_groups import grouping, subgroups
from .inference.checks import correlations
from .inference.seeds import generator
from .metrics import correlation_error, wasserstein1
from .models.scales import Continuous, Ordinal
from .people_spread import centred_means, column_means, spread, variance_within
from .survey import checked_weights, effective_sample_size
from .tables import shown
from .two_sample import classifier_test

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]
Scales = Mapping[str, Sequence[object]] | pd.Series

_PAIRS = 10


@dataclass(frozen=True)
class Individuation:
    """Tables of a comparison; `to_frame` is its summary, `figure` one page of pictures.

    Attributes
    ----------
    summary
        One row a quantity: `humans`, `crowd`, and `noise`, what a second human sample of half the size would show where
        that is known.
    reliability
        Cronbach's alpha and the standard deviation of people's scale scores, one row a scale.
    grouping
        Between- over within-group variance, one row a trait.
    subgroups
        Means of people's mean answers, one row a (trait, level); `small` marks cells of fewer than 30 people.
    pairs
        Correlations of two problems, humans' and crowd's, one row a pair.
    people, weights
        Mean answers of people, and their survey weights, one array a side.
    roc
        False and true positive rates of the classifier.
    """

    summary: pd.DataFrame
    reliability: pd.DataFrame
    grouping: pd.DataFrame
    subgroups: pd.DataFrame
    pairs: pd.DataFrame
    people: Mapping[str, FloatArray] = field(repr=False)
    weights: Mapping[str, FloatArray] = field(repr=False)
    roc: tuple[FloatArray, FloatArray] = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """The summary."""
        return self.summary

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables, by name."""
        names = ("summary", "reliability", "grouping", "subgroups", "pairs")
        return {name: getattr(self, name) for name in names}

    def figure(self) -> Figure:
        """One page: correlations, reliabilities, people's means, subgroups, grouping, classifier."""
        from .individuation_page import page

        return page(self)


def report(
    crowd: Crowd,
    humans: Crowd | CrowdData,
    scales: Scales | None = None,
    *,
    same_people: bool = False,
    coverage: float = 0.95,
    seed: int = 0,
) -> Individuation:
    """Compare a crowd with humans.

    Parameters
    ----------
    crowd
        Drawn answers.
    humans
        Other people than those it was made from, best.
    scales
        Items of every scale, `{"openness": ["O1", ...]}`, or a series of scale names indexed by problem, such as
        `data.problems["trait"]`; None for one scale of all problems.
    same_people
        A member of the crowd stands for the human of the same id, as after `CrowdLLM.condition` or for an LLM's digital
        twins: their person-level correlation is wanted. The classifier's p-value then supposes too much.
    coverage
        Chance of the intervals.
    seed
        Of the halves and of the classifier.

    Returns
    -------
    Individuation
        On the problems that both answered.

    Raises
    ------
    DataError
        On labels and ballots, which have no correlation, or where nothing is shared.
    """
    if not 0 < coverage < 1:
        raise DataError(f"coverage={coverage}: give a chance between 0 and 1.")
    people = humans if isinstance(humans, Crowd) else Crowd.from_data(humans)
    if people.scale != crowd.scale:
        raise DataError(f"humans are on {people.scale}, the crowd on {crowd.scale}; put them on one scale.")
    if not isinstance(crowd.scale, Ordinal | Continuous):
        raise DataError(f"crowd is on {crowd.scale.kind} answers, which have no correlation; give ratings or numbers.")
    problems = [each for each in people.problems if each in crowd.problems]
    if not problems:
        raise DataError("crowd and humans share no problem; nothing to compare.")
    theirs, ours = (each.values()[:, each.problems.get_indexer(pd.Index(problems))] for each in (people, crowd))
    weighing = {side: _weights(each) for side, each in (("humans", people), ("crowd", crowd))}
    answered = [
        np.flatnonzero(~np.isnan(each).all(axis=1) & (weight > 0))
        for each, weight in zip((theirs, ours), weighing.values(), strict=True)
    ]
    if min(map(len, answered)) < 4:
        raise DataError(
            "crowd and humans must be four people or more each, of positive weight and with an answer to a shared "
            "problem."
        )
    rng = generator(seed)
    matrices = {"humans": theirs[answered[0]], "crowd": ours[answered[1]]}
    traits = {"humans": _traits(people).iloc[answered[0]], "crowd": _traits(crowd).iloc[answered[1]]}
    items = _items(scales, problems)
    summary: dict[str, tuple[float, float, float]] = {}
    weighing = {side: weighing[side][rows] for side, rows in zip(matrices, answered, strict=True)}
    pairs = _pairs(matrices, problems, weighing)
    half = _half(matrices["humans"], weighing["humans"], rng)
    summary["correlation error"] = (0.0, _rmse(pairs["humans"], pairs["crowd"]), half)
    if isinstance(crowd.scale, Ordinal):
        shares = [each.shares()[each.problems.get_indexer(pd.Index(problems))] for each in (people, crowd)]
        summary["W1 of answers"] = (0.0, wasserstein1(shares[1], shares[0], crowd.scale.values), np.nan)
    means = {side: centred_means(each, weighing[side]) for side, each in matrices.items()}
    apart = {side: spread(each, weighing[side]) for side, each in means.items()}
    summary["sd of people's means"] = (apart["humans"], apart["crowd"], np.nan)
    within = {side: variance_within(each, weighing[side]) for side, each in matrices.items()}
    summary["variance within people"] = (within["humans"], within["crowd"], np.nan)
    if same_people:
        summary["person-level correlation"] = (np.nan, _same_people(people, crowd, problems), np.nan)
    weights = (weighing["humans"], weighing["crowd"])
    accuracy, p_value, roc = classifier_test(matrices["humans"], matrices["crowd"], weights=weights, seed=seed)
    summary["classifier's accuracy"] = (0.5, accuracy, np.nan)
    summary["its p-value"] = (np.nan, p_value, np.nan)
    summary["its AUC"] = (0.5, float(np.trapezoid(roc[1], roc[0])), np.nan)
    return Individuation(
        pd.DataFrame.from_dict(summary, orient="index", columns=["humans", "crowd", "noise"]).rename_axis("quantity"),
        _reliability(matrices, weighing, items, coverage),
        grouping(matrices, weighing, traits),
        subgroups(matrices, weighing, traits, coverage),
        pairs,
        means,
        weighing,
        roc,
    )


def cronbach_alpha(answers: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Cronbach's alpha of items keyed alike, over the people who answered all of them.

    Parameters
    ----------
    answers
        Shape `(n_participants, n_items)`, NaN where absent; NaN comes out for fewer than two items or three people.
    weights
        Survey weights of the people, `(n_participants,)`; equal ones when None.

    Returns
    -------
    float
        At most 1, without a unit.

    Raises
    ------
    DataError
        When answers are no matrix.
    """
    matrix = _matrix(answers)
    weight = np.ones(len(matrix)) if weights is None else checked_weights(weights, len(matrix))
    full = ~np.isnan(matrix).any(axis=1) & (weight > 0)
    matrix, weight = matrix[full], weight[full]
    k = matrix.shape[1]
    if k < 2 or len(matrix) < 3:
        return float("nan")
    total = spread(matrix.sum(axis=1), weight) ** 2
    of_items = sum(spread(item, weight) ** 2 for item in matrix.T)
    return k / (k - 1) * (1 - of_items / total) if total > 0 else float("nan")


def keyed(answers: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> FloatArray:
    """Sign of every item in the first principal component of the correlations, most of them 1, shape `(n_items,)`.

    Parameters
    ----------
    answers
        Shape `(n_people, n_items)`, NaN where somebody did not answer.
    weights
        Of the people, shape `(n_people,)`; None where all count alike.

    Raises
    ------
    DataError
        When answers are no matrix, or weights are not one a person.
    """
    given = _matrix(answers)
    weight = None if weights is None else checked_weights(weights, len(given))
    matrix = np.nan_to_num(correlations(given, _PAIRS, weight))
    np.fill_diagonal(matrix, 1.0)
    first = np.linalg.eigh(matrix).eigenvectors[:, -1]
    signs = np.where(first < 0, -1.0, 1.0)
    return signs if signs.sum() >= 0 else -signs


def _matrix(answers: npt.ArrayLike) -> FloatArray:
    """People by items, floats."""
    try:
        matrix = np.asarray(answers, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"answers hold something other than numbers ({error}); give codes or values.") from error
    if matrix.ndim != 2:
        raise DataError(f"answers have shape {matrix.shape}; give (n_participants, n_items).")
    return matrix


def _items(scales: Scales | None, problems: list[object]) -> dict[str, list[int]]:
    """Columns of every scale's items."""
    if scales is None:
        return {"all problems": list(range(len(problems)))}
    if isinstance(scales, pd.Series):
        scales = {str(name): list(rows.index) for name, rows in scales.groupby(scales, sort=False)}
    found = {}
    empty = [name for name, members in scales.items() if not len(members)]
    if empty or not scales:
        raise DataError(f"scales={dict(scales)!r}: give at least one scale, and every one at least one problem.")
    for name, members in scales.items():
        unknown = [each for each in members if each not in problems]
        if unknown:
            raise DataError(
                f"scales: problem {shown(unknown[0])} of {name!r} was not answered by both crowd and humans; leave it "
                "out."
            )
        found[str(name)] = [problems.index(each) for each in members]
    return found


def _weights(crowd: Crowd) -> FloatArray:
    return np.ones(crowd.n_participants) if crowd.weights is None else crowd.weights


def _traits(crowd: Crowd) -> pd.DataFrame:
    """Profiles of a crowd's members."""
    columns = {
        str(name).removeprefix("profile_"): crowd.dataset[name].to_numpy()
        for name in crowd.dataset.coords
        if str(name).startswith("profile_")
    }
    return pd.DataFrame(columns, index=range(crowd.n_participants))


def _pairs(
    matrices: Mapping[str, FloatArray], problems: list[object], weighing: Mapping[str, FloatArray]
) -> pd.DataFrame:
    upper = np.triu_indices(len(problems), 1)
    found = {side: correlations(each, _PAIRS, weighing[side])[upper] for side, each in matrices.items()}
    names = [[problems[k] for k in axis] for axis in upper]
    return pd.DataFrame(found, index=pd.MultiIndex.from_arrays(names, names=["problem", "other"]))


def _rmse(one: pd.Series, other: pd.Series) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return float(np.sqrt(np.square(one[known] - other[known]).mean())) if known.any() else float("nan")


def _half(answers: FloatArray, weights: FloatArray, rng: np.random.Generator) -> float:
    """Correlation error of one random half of the humans against the other."""
    order = rng.permutation(len(answers))
    parts = [order[start::2] for start in (0, 1)]
    halves = [correlations(answers[part], _PAIRS, weights[part]) for part in parts]
    known = np.isfinite(halves[0]) & np.isfinite(halves[1]) & ~np.eye(answers.shape[1], dtype=bool)
    return correlation_error(halves[0], halves[1]) if known.any() else float("nan")


def _same_people(humans: Crowd, crowd: Crowd, problems: list[object]) -> float:
    """Mean over people of the correlation of their own answers with their twins', problem means taken off both."""
    ids = [pd.Index(each.dataset["participant"].to_numpy()) for each in (humans, crowd)]
    shared = ids[0].intersection(ids[1])
    if shared.empty:
        raise DataError("same_people=True: no member of the crowd has a human's id; give twins their people's ids.")
    sides = []
    for each, index in ((humans, ids[0]), (crowd, ids[1])):
        values = each.values()[:, each.problems.get_indexer(pd.Index(problems))]
        sides.append((values - column_means(values, _weights(each)))[index.get_indexer(shared)])
    both = ~(np.isnan(sides[0]) | np.isnan(sides[1]))
    weights = _weights(humans)[ids[0].get_indexer(shared)]
    found = [
        (pearsonr(one[there], other[there]).statistic, weight)
        for one, other, there, weight in zip(*sides, both, weights, strict=True)
        if there.sum() > 2 and one[there].std() > 0 and other[there].std() > 0 and weight > 0
    ]
    if not found:
        return float("nan")
    correlation, weight = np.array(found).T
    return float(np.average(correlation, weights=weight))


def _reliability(
    matrices: Mapping[str, FloatArray],
    weighing: Mapping[str, FloatArray],
    items: Mapping[str, list[int]],
    coverage: float,
) -> pd.DataFrame:
    rows = {}
    for name, columns in items.items():
        sign = keyed(matrices["humans"][:, columns], weighing["humans"])
        row: dict[str, float] = {"items": len(columns)}
        scores = {side: each[:, columns] * sign for side, each in matrices.items()}
        for side, score in scores.items():
            row[f"alpha_{side}"] = cronbach_alpha(score, weighing[side])
        row["difference"] = row["alpha_crowd"] - row["alpha_humans"]
        full = weighing["humans"][~np.isnan(scores["humans"]).any(axis=1)]
        n = effective_sample_size(full) if len(full) else 0.0
        k = len(columns)
        reach = norm.isf((1 - coverage) / 2) * np.sqrt(2 * k / max(k - 1, 1) / max(n - 2, 1))
        # Of the humans' own alpha.
        row["low"], row["high"] = (1 - (1 - row["alpha_humans"]) * np.exp(turn * reach) for turn in (1, -1))
        for side, score in scores.items():
            there = ~np.isnan(score).all(axis=1)
            row[f"sd_{side}"] = spread(centred_means(score[there], weighing[side][there]), weighing[side][there])
        row["sd_ratio"] = row["sd_crowd"] / row["sd_humans"] if row["sd_humans"] > 0 else float("nan")
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("scale")
