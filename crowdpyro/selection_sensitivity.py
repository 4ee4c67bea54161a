"""Sensitivity to what nobody can know: whether people stay away because of what they would have answered.

theta_t(gamma) = E[y_t] of everybody, under logit p_it = a + b . v_i + c . f_t + l . eps_i + gamma (y_it - c_y) / s

For every gamma the selection model (`crowdpyro.models.SelectionModel`) is fitted anew. The data say nothing of gamma:
what one learns is how strong a selection would have to be for the conclusion to change. gamma = 0 still lets those who
answer seldom be other people (by l . eps_i); `missing at random` is the model without that either. s is the standard
deviation of the answers that were given, which selection makes smaller than everybody's: of a simulation in which a
standard deviation of everybody's answers adds 1, gamma is .84, which has a bias of .01 (.02) over twelve surveys of 300
people, and 1 one of -.06.

Intervals come of the survey bootstrap: of the n_h primary sampling units of a stratum (without a design, of all people)
n_h - 1 are drawn with replacement, and whoever is in a unit drawn k times weighs k n_h / (n_h - 1) times as much; every
replicate is fitted anew, from a seed of its own. They speak of chance given gamma; over the gammas, `range` speaks of
what nobody knows. What a fit shrinks they do not know: of 200 people, without an LLM, six problems are drawn towards
each other by up to .4 after 25 epochs and by .1 after 150, and their mean by .02; after 25 epochs intervals of the mean
held it in 12 of 13 surveys.

References
----------
J. N. K. Rao, C. F. J. Wu, K. Yue (1992), Some recent work on resampling methods for complex surveys, Survey
Methodology 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed

from .config import CrowdConfig
from .crowd import Crowd
from .data import CrowdData
from .errors import DataError, ModelError
from .estimator import CrowdLLM
from .inference.seeds import generator
from .models.scales import Ordinal
from .references import References
from .survey import WEIGHT, SurveyDesign
from .theory.strata import Strata

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
        Mean of the answers that were given, by survey weight; missing where there are none.
    replicates
        Of the bootstrap, missing at random first and then by gamma, shape `(n_replicates, 1 + n_gammas, n_problems)`.
    """

    estimates: pd.DataFrame
    at_random: pd.Series
    observed: pd.Series
    replicates: FloatArray

    def range(self) -> pd.DataFrame:
        """Least and greatest estimate of each problem over the gammas: columns `low`, `high`."""
        return pd.DataFrame({"low": self.estimates.min(axis=1), "high": self.estimates.max(axis=1)})

    def to_frame(self, probability: float = 0.95) -> pd.DataFrame:
        """Long frame `problem, gamma, estimate`; the gamma of missing at random is empty.

        With replicates there are `se` and the ends `low` and `high` of an interval of this probability as well.

        Raises
        ------
        DataError
            When `probability` is not between 0 and 1.
        """
        by_gamma = self.estimates.reset_index().melt("problem", var_name="gamma", value_name="estimate")
        plain = self.at_random.rename("estimate").reset_index().assign(gamma=np.nan)
        frame = pd.concat([plain[by_gamma.columns], by_gamma.astype({"gamma": float})], ignore_index=True)
        if not len(self.replicates):
            return frame
        se = self.replicates.std(axis=0, ddof=1).ravel()
        reach = self._quantile(probability) * se
        return frame.assign(se=se, low=frame["estimate"] - reach, high=frame["estimate"] + reach)

    def of_mean(self, probability: float = 0.95) -> pd.DataFrame:
        """The mean over the problems, one row a gamma: `estimate`, and with replicates `se`, `low`, `high`.

        Raises
        ------
        DataError
            When `probability` is not between 0 and 1.
        """
        frame = self.estimates.mean().rename("estimate").to_frame()
        if not len(self.replicates):
            return frame
        se = self.replicates[:, 1:].mean(axis=2).std(axis=0, ddof=1)
        reach = self._quantile(probability) * se
        return frame.assign(se=se, low=frame["estimate"] - reach, high=frame["estimate"] + reach)

    def _quantile(self, probability: float) -> float:
        """Student's, for a standard error from so few replicates."""
        from scipy.stats import t

        if not 0 < probability < 1:
            raise DataError(f"probability={probability}: give one between 0 and 1.")
        return float(t.isf((1 - probability) / 2, len(self.replicates) - 1))

    def plot(self) -> Figure:
        """Estimates against gamma, a line a problem, their mean with its interval, and what was observed."""
        from .participation_pictures import sensitivity_lines

        gammas = self.estimates.columns.to_numpy(dtype=float)
        names = [str(name) for name in self.estimates.index]
        observed = self.observed.to_numpy(dtype=float)
        at_random = float(self.at_random.mean())
        band = self.of_mean()[["low", "high"]].to_numpy().T if len(self.replicates) else None
        return sensitivity_lines(gammas, self.estimates.to_numpy().T, names, observed, at_random, band)


def sensitivity(
    data: CrowdData,
    references: References | None = None,
    *,
    gammas: Sequence[float] = (-1.0, -0.5, 0.0, 0.5, 1.0),
    population: pd.DataFrame | None = None,
    config: CrowdConfig | None = None,
    n_participants: int = 4000,
    n_replicates: int = 0,
    jobs: int = 1,
    seed: int = 0,
    **settings: Any,
) -> Sensitivity:
    """Fit the selection model for every gamma, and ask everybody.

    Parameters
    ----------
    data, references
        As in `CrowdLLM.fit`; ratings. People and problems without an answer belong into the data.
    gammas
        What one standard deviation of the answers given adds to the log odds of giving one; two or more, 1 being much.
    population
        Profiles of those who are to be spoken for; the training people's when None.
    config, **settings
        Of the fits, but for `participation` and `gamma`.
    n_participants
        Size of the crowds, the same people in all of them, so that estimates differ by gamma alone.
    n_replicates
        Of the survey bootstrap: 0 for no intervals, else 2 or more, 20 being enough. Each is as many fits as there are
        gammas, and one.
    jobs
        Processes that fits are shared among.
    seed
        Of fits, crowds and replicates.

    Returns
    -------
    Sensitivity
        Estimates by gamma, in the unit of the response.

    Raises
    ------
    DataError
        For another scale, fewer than two gammas, data in which nobody stayed away, one replicate, or a stratum of one
        sampling unit, which has no replicates.
    ModelError
        When a setting that is varied here is given.
    """
    if not isinstance(data.scale, Ordinal):
        raise DataError(f"scale={data.scale}: selection sums over the levels of a rating; give ratings.")
    try:
        grid = sorted({float(gamma) for gamma in gammas})
    except (TypeError, ValueError) as error:
        raise DataError(f"gammas={gammas!r}: {error}; give two or more different finite numbers.") from error
    if len(grid) < 2 or not np.isfinite(grid).all():
        raise DataError(f"gammas={tuple(gammas)}: give two or more different finite numbers.")
    if data.answered().all():
        raise DataError("data has an answer of everybody to everything; there is no nonresponse to be sensitive to.")
    if n_replicates != int(n_replicates) or n_replicates < 0 or n_replicates == 1:
        raise DataError(f"n_replicates={n_replicates}: give 0 for no intervals, or a whole number, 2 or more.")
    for name in ("participation", "gamma"):
        if name in settings:
            raise ModelError(f"{name}: is what is varied here; leave it out.")
    rng = generator(seed)
    base = replace(config or CrowdConfig(), participation="given", gamma=0.0)
    chosen = [base, *(replace(base, participation="selective", gamma=gamma) for gamma in grid)]
    people = n_participants if population is None else population
    samples = [(data, seed)]
    samples += [(_reweighed(data, rng), int(rng.integers(2**32))) for _ in range(n_replicates)]
    asked = Parallel(n_jobs=jobs)(
        delayed(_estimated)(sample, references, each, settings, people, own_seed)
        for sample, own_seed in samples
        for each in chosen
    )
    found = np.reshape(asked, (len(samples), len(chosen), data.n_problems))
    index = data.problems.index.rename("problem")
    return Sensitivity(
        pd.DataFrame(dict(zip(grid, found[0, 1:], strict=True)), index=index).rename_axis(columns="gamma"),
        pd.Series(found[0, 0], index=index, name="estimate"),
        pd.Series(np.asarray(Crowd.from_data(data).aggregate("mean"), dtype=float), index=index, name="observed"),
        found[1:],
    )


def _estimated(
    data: CrowdData,
    references: References | None,
    config: CrowdConfig,
    settings: dict[str, Any],
    people: int | pd.DataFrame,
    seed: int,
) -> FloatArray:
    """Mean answers of everybody by one fit."""
    model = CrowdLLM(config, **{"progress": False} | settings).fit(data, references, seed=seed)
    return np.asarray(model.generate(people, participation=1.0, seed=seed).aggregate("mean"), dtype=float)


def _reweighed(data: CrowdData, rng: np.random.Generator) -> CrowdData:
    """The sample as one replicate of the bootstrap has it."""
    n = data.n_participants
    base = np.ones(n) if data.weights is None else data.weights
    units = None if data.design is None else data.design.units
    unit = np.arange(n) if units is None else pd.factorize(units)[0]
    labels = None if data.design is None else data.design.strata
    strata = Strata.of(np.zeros(n) if labels is None else labels, n, unit, "participants")
    times = np.zeros(len(strata.of_unit))
    for stratum, size in enumerate(strata.size.astype(int)):
        drawn = rng.choice(np.flatnonzero(strata.of_unit == stratum), size - 1)
        np.add.at(times, drawn, size / (size - 1))
    return replace(data, design=SurveyDesign(pd.DataFrame({WEIGHT: base * times[unit]}, index=data.participants.index)))
