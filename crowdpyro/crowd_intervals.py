"""Intervals from people and a `CrowdLLM`: of those same people, cross-fitted by participant, or of others.

Each person's twin answers by the model that was fitted without them, from their profile and with eps from its prior;
the crowd answers by the average of the fold models. Both are means of equally many draws, so that they differ in
nothing but whom they are of: a twin that had seen its person's answers would make residuals and interval too small.
Survey weights, strata and PSUs of the people are those of the interval, and folds keep a PSU's people together.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .data import CrowdData
from .errors import DataError, ModelError
from .fitting import referred
from .inference.seeds import generator
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous
from .scale.stored import StoredCrowd
from .survey import SurveyDesign, design_of
from .tables import rows_of, shown
from .theory.cross_fit import person_folds
from .theory.interval import crowd_interval
from .theory.interval_options import Alternative, Method
from .theory.interval_result import CrowdInterval
from .theory.pooled import pooled_interval

if TYPE_CHECKING:
    from .crowd import Crowd
    from .estimator import CrowdLLM
    from .references import References

FloatArray = npt.NDArray[np.float64]


def model_interval(
    model: CrowdLLM,
    data: CrowdData,
    references: References | None = None,
    *,
    population: pd.DataFrame | None = None,
    alpha: float = 0.05,
    method: Method = "rectified",
    alternative: Alternative = "two-sided",
    k: int = 5,
    n_draws: int = 40,
    shares: bool = False,
    pooled: bool = False,
    simultaneous: bool = False,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
) -> CrowdInterval:
    """Confidence intervals of what people answer on average, from these people and a crowd of this kind of model.

    Parameters
    ----------
    model
        Its settings and parts are fitted k times, each time without a fold of the people.
    data, references
        As in `CrowdLLM.fit`.
    population
        Profiles of those who are to be spoken for, a row each, sampled apart from these people; a column `weight` is no
        trait. None takes these people's own: the crowd then adds nothing, and the interval is about that of the people
        alone.
    alpha, method, alternative, simultaneous
        As in `theory.crowd_interval`.
    k
        Folds.
    n_draws
        Answers that are averaged for each twin, and for each member of the crowd.
    shares
        An interval for the share of every option.
    pooled
        One interval for the mean over all problems, clustered by participant.
    weights
        Of each of the people, where they are not like the population; the data's survey weights when None.
    seed
        Of folds, fits and draws.

    Returns
    -------
    CrowdInterval
        One a problem. Columns `weight, stratum, psu` of the population are the crowd's.

    Raises
    ------
    DataError
        For labels without `shares`, and a problem with fewer than two answers.
    ModelError
        For references by participant.
    """
    data, references = _referred(model, data, references)
    _check(data, shares, pooled)
    if n_draws < 1:
        raise DataError(f"n_draws={n_draws}: give at least one.")
    y, twins, crowd = cross_fitted_answers(
        model, data, references, population=population, k=k, n_draws=n_draws, shares=shares, seed=seed
    )
    how: dict[str, Any] = {"method": method, "alternative": alternative}
    how |= design_arguments(data.design, weights, pooled=pooled)
    if population is None:
        how |= {"overlap": True, **design_arguments(data.design, weights, "crowd_", pooled=pooled)}
    else:
        how |= design_arguments(design_of(population, data.participants.columns)[1], None, "crowd_", pooled=pooled)
    if pooled:
        return pooled_interval(y, twins, crowd, alpha, **how)
    return crowd_interval(
        y, twins, crowd, alpha, missing="omit", simultaneous=simultaneous, labels=_labels(data, y), **how
    )


def design_arguments(
    design: SurveyDesign | None, weights: npt.ArrayLike | None, of: str = "", *, pooled: bool = False
) -> dict[str, Any]:
    """What `crowd_interval`, or `pooled_interval`, is told of a design.

    Parameters
    ----------
    design
        Of the people, or of the crowd's members.
    weights
        Others than those of the design.
    of
        `crowd_` for the members.
    pooled
        For `pooled_interval`.
    """
    found: dict[str, Any] = {f"{of}weights": weights}
    if design is not None:
        found[f"{of}weights"] = design.weights if weights is None else weights
        found[f"{of}strata"] = design.strata
        found[f"{of}participants" if pooled else f"{of}clusters"] = design.units
    return {name: each for name, each in found.items() if each is not None}


def interval_from_crowds(
    data: CrowdData,
    twins: Crowd,
    crowd: Crowd,
    alpha: float = 0.05,
    *,
    shares: bool = False,
    pooled: bool = False,
    **options: Any,
) -> CrowdInterval:
    """Confidence intervals from people, a crowd of their twins and another crowd, both generated alike.

    Parameters
    ----------
    data
        The people's answers, to which the model of the twins was not fitted, with their weights, strata and PSUs.
    twins
        `model.generate(data.participants, ...)`: of each person, by profile.
    crowd
        Of the same model, with the same `decision` and `reference`.
    alpha
        Chance that an interval misses.
    shares, pooled
        As in `model_interval`; pooled, members of a crowd with `crossed=False` are each their own.
    **options
        Anything else of `theory.crowd_interval`, or of `theory.pooled_interval`; what it says of weights, strata and
        clusters goes before that of data and crowd.

    Returns
    -------
    CrowdInterval
        One interval a problem, in the unit of the response; with `shares` one an option as well.

    Raises
    ------
    DataError
        When the two crowds were made in different ways, or lack a person or a problem.

    References
    ----------
    Theorem 4.6 of the paper, and what `theory.crowd_interval` makes of it.
    """
    _check(data, shares, pooled)
    for name in ("scale", "decision", "reference", "n_draws"):
        found = [each.dataset.attrs.get(name) for each in (twins, crowd)]
        if found[0] != found[1]:
            raise DataError(
                f"{name}: twins have {found[0]!r}, the crowd {found[1]!r}, and their means differ for that alone; "
                "generate both alike."
            )
    if twins.scale != data.scale:
        raise DataError(f"data is on {data.scale}, the crowds on {twins.scale}; put them on one scale.")
    people = pd.Index(twins.dataset["participant"].to_numpy())
    own = rows_of(data.participants.index, people, "participant of twins")
    expected = twins.dataset.attrs.get("decision") == "expected"
    if shares and expected:
        raise DataError("shares=True: expected answers are no options; generate both with decision='draw'.")
    y = _numbers(data.matrix(), data, shares)
    mine = twins.codes()[own][:, rows_of(data.problems.index, twins.problems, "problem of the twins")]
    twin = mine if expected else _numbers(mine, data, shares)
    met = rows_of(data.problems.index, crowd.problems, "problem of the crowd")
    if isinstance(crowd, StoredCrowd) and not pooled and not isinstance(data.scale, Ballot):
        # Summed up on disk, weights and all.
        options = design_arguments(data.design, None) | options
        summed = crowd.moments(shares=shares).of_problems(met)
        return crowd_interval(y, twin, summed, alpha, missing="omit", labels=_labels(data, y), **options)
    theirs = crowd.codes()[:, met]
    members = theirs if expected else _numbers(theirs, data, shares)
    designs = design_arguments(data.design, None, pooled=pooled) | design_arguments(None, crowd.weights, "crowd_")
    options = designs | options
    if pooled:
        crossed = bool(crowd.dataset.attrs.get("crossed", 1))
        return pooled_interval(y, twin, members, alpha, crossed=crossed, **options)
    return crowd_interval(y, twin, members, alpha, missing="omit", labels=_labels(data, y), **options)


def cross_fitted_answers(
    model: CrowdLLM,
    data: CrowdData,
    references: References | None = None,
    *,
    population: pd.DataFrame | None = None,
    k: int = 5,
    n_draws: int = 40,
    shares: bool = False,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What `crowd_interval` takes: people's answers, their twins', and the crowd's.

    Parameters
    ----------
    model, data, references, population, k, n_draws, shares, seed
        As in `model_interval`.

    Returns
    -------
    tuple of ndarray
        Shapes `(n, n_problems)`, the same, and `(N, n_problems)`, with shares and of ballots one more axis; NaN where
        a person did not answer.

    Raises
    ------
    DataError
        When there are fewer people than `k`, or `population` lacks a trait.
    ModelError
        When references are by participant, whom a crowd has not.

    References
    ----------
    T. Zrnic, E. J. Candes (2024), Cross-prediction-powered inference, PNAS 121.
    """
    data, references = _referred(model, data, references)
    members = data.participants
    if population is not None:
        members, _ = design_of(population, data.participants.columns)
    units = None if data.design is None else data.design.units
    y = _numbers(data.matrix(), data, shares)
    twins: FloatArray = np.full(y.shape, np.nan)
    crowd: FloatArray = np.zeros((len(members), *y.shape[1:]))
    seeds = generator(seed).integers(2**32, size=(k, 3))
    for fold, (train, test) in enumerate(person_folds(data.n_participants, k, units, seed=seed)):
        fitted = copy.copy(model)
        of_fit, of_twins, of_crowd = (int(each) for each in seeds[fold])
        fitted.fit(training_part(data, train, test), references, seed=of_fit)
        mine = data.participants.iloc[test]
        twins[test] = mean_answers(fitted, data, mine, n_draws, shares=shares, seed=of_twins)
        # The average of k models of n_draws / k answers each is as smooth as one model's n_draws.
        crowd += mean_answers(fitted, data, members, -(-n_draws // k), shares=shares, seed=of_crowd) / k
    return y, twins, crowd


def _referred(model: CrowdLLM, data: CrowdData, references: References | None) -> tuple[CrowdData, References | None]:
    """The problems that have references, which a backbone is asked for once, and those."""
    if not model.config.use_reference:
        return data, references
    references = referred(model.backbone, references, data.problems, data.scale)
    if references is None:
        return data, None
    if any(source.kind == "participant" for source in references):
        raise ModelError(
            "references by participant: a crowd has none. Draw twins and crowd by `generate`, from models that were "
            "fitted without the people, and give them to `theory.crowd_interval`."
        )
    if len(references.problems) < data.n_problems:
        data = data.select(problems=references.problems)
    return data, references


def _labels(data: CrowdData, y: FloatArray) -> tuple[pd.Index, ...]:
    """Ids of the problems, and of the options where there are any."""
    if y.ndim == 2 or isinstance(data.scale, Continuous):
        return (data.problems.index,)
    options = data.scale.options if isinstance(data.scale, Ballot) else data.scale.labels
    return data.problems.index, pd.Index(options, name="option")


def _check(data: CrowdData, shares: bool, pooled: bool) -> None:
    """Refuse what has no mean, or too few answers."""
    scale = data.scale
    if isinstance(scale, Categorical) and not shares:
        raise DataError(f"labels {', '.join(scale.levels)} have no mean; give shares=True, one interval an option.")
    if shares and isinstance(scale, Continuous | Ballot):
        kind = "numbers have no shares" if isinstance(scale, Continuous) else "the means of a ballot are its shares"
        raise DataError(f"shares=True on {scale}: {kind}; leave it out.")
    if pooled and (shares or isinstance(scale, Ballot)):
        raise DataError("pooled=True takes one number an answer; options are intervals of their own: leave it out.")
    answered = np.bincount(data.problem_code, minlength=data.n_problems)
    if not pooled and (answered < 2).any():
        short = data.problems.index[int(answered.argmin())]
        raise DataError(
            f"problem {shown(short)} has {answered.min()} answers; an interval needs two: select(problems=...) those "
            "with more, or pooled=True."
        )


def training_part(data: CrowdData, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]) -> CrowdData:
    """The people of training, and without their answers those of the test who alone have a level of some trait.

    A profile is no answer: a model has to know all levels, or it cannot draw the twins of rare people.
    """
    people = data.participants
    alone = np.zeros(len(test), dtype=bool)
    for _, column in people.items():
        if not pd.api.types.is_numeric_dtype(column):
            text = column.map(str)
            alone |= ~text.iloc[test].isin(text.iloc[train]).to_numpy()
    both = data.select(participants=people.index[np.sort(np.concatenate([train, test[alone]]))])
    answering = ~np.isin(both.participants.index[both.participant_code], people.index[test])
    return replace(
        both,
        problem_code=both.problem_code[answering],
        participant_code=both.participant_code[answering],
        response=both.response[answering],
    )


def mean_answers(
    fitted: CrowdLLM, data: CrowdData, people: pd.DataFrame, n_draws: int, *, shares: bool = False, seed: int = 0
) -> FloatArray:
    """Everybody's answer to every problem of training, the mean of draws with eps from its prior.

    Parameters
    ----------
    fitted
        A fitted model.
    data
        Whose scale the answers are on.
    people
        Profiles, a row each.
    n_draws
        How many answers are averaged.
    shares
        Average one indicator an option rather than numbers.
    seed
        Of the draws.

    Returns
    -------
    ndarray
        Shape `(n_people, n_problems)`, with shares and of ballots `(n_people, n_problems, n_options)`.
    """
    frame = people.set_axis(pd.RangeIndex(len(people), name="participant"))
    total: FloatArray | float = 0.0
    for each in generator(seed).integers(2**32, size=n_draws):
        drawn = fitted.generate(frame, participation=1.0, seed=int(each))
        total = total + _numbers(drawn.codes(), data, shares)
    return np.asarray(total / n_draws)


def _numbers(codes: FloatArray, data: CrowdData, shares: bool) -> FloatArray:
    """Answers in the unit of the response, or one indicator an option; NaN where absent."""
    scale = data.scale
    if isinstance(scale, Continuous | Ballot):
        return codes
    table = np.eye(scale.n_levels) if shares else scale.values
    absent = np.isnan(codes)
    found = np.asarray(table[np.where(absent, 0, codes).astype(np.int64)], dtype=float)
    found[absent] = np.nan
    return found
