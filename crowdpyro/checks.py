"""Whether a fitted `CrowdLLM` would produce people like those of a data set.

`posterior_predictive_check` compares statistics of whole crowds; `loo_pit` looks at every answer's own prediction. Both
are best given people whom the model was not fitted to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError
from .inference.seeds import checked_seed
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Scale

if TYPE_CHECKING:
    from .crowd import Crowd
    from .data import CrowdData
    from .estimator import CrowdLLM
    from .inference.checks import FloatArray, PredictiveCheck, Statistic
    from .inference.pit import Given, Transforms
    from .references import References


def posterior_predictive_check(
    model: CrowdLLM,
    data: CrowdData,
    statistics: Sequence[str] | Mapping[str, str | Statistic] | None = None,
    references: References | None = None,
    *,
    n_crowds: int = 500,
    seed: int = 0,
) -> PredictiveCheck:
    """Statistics of people beside those of crowds with the same profiles, problems and absences.

    Parameters
    ----------
    model
        Fitted.
    data
        People and their answers.
    statistics
        Names (see `crowdpyro.inference.checks.STATISTICS`), or functions of the matrix of answers by name; by default
        all that are defined on the scale. Ballots need functions.
    references
        Of problems that are not of training.
    n_crowds
        Crowds to recruit. The smallest p-value is 2 / (1 + n_crowds), and that times the number of statistics after
        Holm's adjustment: 500 leave twelve statistics below .05.
    seed
        Equal seeds give equal crowds.

    Returns
    -------
    PredictiveCheck
        `to_frame()` has observed value, mean and interval of the crowds, and a two-sided p-value.

    Raises
    ------
    DataError
        When `n_crowds` is below 1.
    ModelError
        When the model is not fitted, or `seed` is no whole number from 0 up.

    References
    ----------
    A. Gelman, X.-L. Meng, H. Stern (1996), Posterior predictive assessment of model fitness via realized discrepancies,
    Statistica Sinica 6.
    """
    from .inference.checks import bayesian_p_value

    if n_crowds < 1:
        raise DataError(f"n_crowds={n_crowds}: give at least 1.")
    _same_scale(model, data)
    absent = np.isnan(data.matrix())

    def crowds() -> Iterator[FloatArray]:
        for child in np.random.SeedSequence(checked_seed(seed)).generate_state(n_crowds):
            crowd: Crowd = model.generate(
                data.participants, data.problems, references, participation=1.0, seed=int(child)
            )
            yield np.where(absent, np.nan, crowd.values())

    levels = None if isinstance(data.scale, Continuous | Ballot) else data.scale.values
    return bayesian_p_value(
        _defined_on(data.scale) if statistics is None else statistics, crowds(), _values(data), levels=levels
    )


def loo_pit(
    model: CrowdLLM,
    data: CrowdData,
    references: References | None = None,
    *,
    given: Given = "others",
    n_draws: int = 1024,
    seed: int = 0,
) -> Transforms:
    """Randomised probability integral transform of every answer (see `crowdpyro.inference.pit`).

    Parameters
    ----------
    model
        Fitted.
    data
        People and their answers.
    references
        Of problems that are not of training.
    given
        What of the same person's answers a prediction knows: the `others`, the `earlier` ones, or `none`.
    n_draws
        Draws of each person's noise, even.
    seed
        Of the draws.

    Returns
    -------
    Transforms
        One an answer, in the order of `data.answers`.

    Raises
    ------
    DataError
        For an unknown `given`, ballots, another scale than the model's, or no answers.
    ModelError
        When the model is not fitted, or has a program of its own.

    References
    ----------
    C. Czado, T. Gneiting, L. Held (2009), Predictive model assessment for count data, Biometrics 65.
    """
    from .inference.pit import loo_pit as transforms

    _same_scale(model, data)
    batch = model.batch(data, references)
    return transforms(model.model, batch, model.guide, given=given, n_draws=n_draws, seed=seed)


def _same_scale(model: CrowdLLM, data: CrowdData) -> None:
    from .data import require_data

    require_data(data)
    if data.scale != model.scale:
        raise DataError(f"data is on {data.scale}, the model on {model.scale}; put them on one scale.")
    if not data.n_answers:
        raise DataError("data has no answers; give at least one.")


def _values(data: CrowdData) -> FloatArray:
    """Answers in the unit of the response (codes of labels), NaN where absent."""
    from .crowd import Crowd

    return Crowd.from_data(data).values()


def _defined_on(scale: Scale) -> list[str]:
    """Statistics that mean something on a scale."""
    from .inference.checks import STATISTICS

    if isinstance(scale, Ballot):
        raise DataError("statistics=None: ballots have none by name; give functions of the array of answers.")
    if isinstance(scale, Categorical):
        return ["share"]
    return [name for name in STATISTICS if not (isinstance(scale, Continuous) and name in ("share", "extremes"))]
