"""`MRP`: multilevel regression and poststratification, the statistician's yardstick.

theta_t = sum_c N_c E[y | cell c, problem t] / sum_c N_c

Answers are regressed on traits with partial pooling (`crowdpyro.models.MultilevelRegression`), and the fitted means of
all cells averaged with the population's numbers N_c. The LLM's reference is a covariate under learned shrinkage: where
it tells nothing, plain MRP is left. A level or problem that no answer came from has effects drawn from their prior, so
that its interval is as wide as it should be.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from .data import CrowdData
from .errors import DataError, ModelError
from .inference.seeds import generator
from .models.scales import Categorical, Continuous, Ordinal
from .mrp_covariates import ReferenceOffsets, TraitLevels, cells_of
from .mrp_estimate import Poststratified, poststratified, summarised
from .references import References

if TYPE_CHECKING:
    from .inference.posterior import Posterior
    from .mrp_tables import FittedRegression

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]

# Answers a problem from which on a trait may matter more for one problem than for another.
_ANSWERS_A_PROBLEM = 30


class MRP:
    """Multilevel regression and poststratification.

    Parameters
    ----------
    inference
        `svi`, or `nuts` for tables of up to some hundred distinct rows.
    by_problem
        Let a trait matter differently from problem to problem; None does so where problems have 30 answers on average.
    n_bins
        Levels that a numeric trait of more values is cut into, at its quantiles.
    n_samples
        Draws of the posterior (of each of two chains, by NUTS).
    n_steps
        Steps of SVI.

    Raises
    ------
    ModelError
        When `inference` is unknown or a number is too small.

    Notes
    -----
    Survey weights are not used: what they are made from belongs among the traits, and the cells' numbers do their work.

    Examples
    --------
    ``MRP().fit(data, references).estimate(cells).population``
    """

    def __init__(
        self,
        inference: Literal["svi", "nuts"] = "svi",
        *,
        by_problem: bool | None = None,
        n_bins: int = 5,
        n_samples: int = 500,
        n_steps: int = 1000,
    ) -> None:
        if inference not in ("svi", "nuts"):
            raise ModelError(f"inference={inference!r}: give 'svi' or 'nuts'.")
        for name, value, least in (("n_bins", n_bins, 2), ("n_samples", n_samples, 50), ("n_steps", n_steps, 1)):
            if value < least:
                raise ModelError(f"{name}={value}: give at least {least}.")
        self.inference, self.by_problem, self.n_bins = inference, by_problem, n_bins
        self.n_samples, self.n_steps = n_samples, n_steps
        self._fitted: FittedRegression | None = None

    def fit(self, data: CrowdData, references: References | None = None, *, seed: int = 0) -> MRP:
        """Learn from people.

        Parameters
        ----------
        data
            Their answers: ratings, labels or numbers.
        references
            Of LLMs to the same problems, without gaps, or of each participant's twin. None is plain MRP.
        seed
            Equal seeds give equal draws.

        Raises
        ------
        DataError
            For ballots, and data without answers.
        MissingReferenceError
            When a problem, or a participant's twin, has no reference.
        """
        from .inference.regression import vary, walk
        from .models.mrp import MultilevelRegression
        from .mrp_tables import FittedRegression

        if not isinstance(data.scale, Ordinal | Continuous | Categorical):
            raise DataError(
                f"scale={data.scale}: ballots have no multilevel regression; give ratings, labels, numbers."
            )
        if data.n_answers == 0:
            raise DataError("data has no answers; give at least one.")
        levels = TraitLevels.fit(data.participants, self.n_bins)
        offsets = None
        if references is not None:
            if references.scale != data.scale:
                raise DataError(f"references are on {references.scale}, the answers on {data.scale}; put them on one.")
            offsets = ReferenceOffsets.fit(references, data.problems.index, data.participants.index)
        by_problem = self.by_problem
        if by_problem is None:
            by_problem = data.n_answers >= _ANSWERS_A_PROBLEM * data.n_problems
        n_llms = 0 if offsets is None else len(offsets.names)
        model = MultilevelRegression(data.scale, len(levels.levels), by_problem, n_llms)
        fitted = FittedRegression(data, levels, offsets, references, model)
        table, _ = fitted.answers(data, references, generator(seed))
        if self.inference == "svi":
            fitted.posterior = vary(model, table, n_steps=self.n_steps, n_samples=self.n_samples, seed=seed)
        else:
            fitted.posterior = walk(model, table, n_samples=self.n_samples, seed=seed)
            if fitted.posterior.n_divergent:
                logger.warning("NUTS: %d transitions diverged", fitted.posterior.n_divergent)
        self._fitted = fitted
        return self

    @property
    def posterior(self) -> Posterior:
        """Draws of every site of the regression.

        Raises
        ------
        ModelError
            Before `fit`.
        """
        return self._state().posterior

    def llm_weights(self) -> pd.DataFrame:
        """What a standard deviation of each LLM's answer moves: `mean` and `sd` of w, in the regression's unit.

        Raises
        ------
        ModelError
            Of a model without references.
        """
        fitted = self._state()
        if fitted.offsets is None:
            raise ModelError("this MRP was fitted without references; pass them to fit.")
        weight = fitted.model.llm_weight(fitted.posterior.flat()).numpy()
        index = pd.Index(fitted.offsets.names, name="llm")
        return pd.DataFrame({"mean": weight.mean(axis=0), "sd": weight.std(axis=0, ddof=1)}, index=index)

    def estimate(
        self,
        cells: pd.DataFrame | None = None,
        problems: Iterable[object] | None = None,
        references: References | None = None,
        *,
        probability: float = 0.95,
        seed: int = 0,
    ) -> Poststratified:
        """Poststratify.

        Parameters
        ----------
        cells
            One row a cell: the traits, and in a column `N` how many of the population are in it (1 each without it).
            None takes the people of the sample.
        problems
            Ids; those of the sample when None. Others have effects drawn from their prior.
        references
            Of problems that are not of the sample, or of the cells' twins, whose ids are the cells' index. Those that
            the model was fitted with when None.
        probability
            Of the equal-tailed intervals.
        seed
            Of the effects of what the sample lacks.

        Raises
        ------
        DataError
            For cells without people, a trait that is not there, or numbers that are negative, missing or all 0.
        MissingReferenceError
            When a problem, or a cell's twin, has no reference.
        ModelError
            Before `fit`.
        """
        if not 0 < probability < 1:
            raise DataError(f"probability={probability}: give one between 0 and 1.")
        fitted = self._state()
        asked = fitted.problems if problems is None else pd.Index(list(problems), name="problem")
        if not len(asked):
            raise DataError("problems is empty; give at least one id.")
        frame, numbers = cells_of(fitted.levels.profiles if cells is None else cells)
        if cells is None and not fitted.has_twins:
            frame, numbers = fitted.levels.distinct(frame)
        share_of_cell = numbers / numbers.sum()
        draws, of_cells, shares = [], [], []
        for probs, mean in fitted.foretold(frame, asked, references, generator(seed)):
            draws.append(np.tensordot(mean, share_of_cell, axes=(1, 0)))
            of_cells.append(summarised(mean, probability))
            if probs is not None:
                shares.append(share_of_cell @ probs)
        return poststratified(
            fitted.scale,
            asked,
            frame.index,
            np.stack(draws, axis=1),
            np.stack(of_cells, axis=1),
            np.stack(shares) if shares else None,
            probability,
        )

    def log_score(self, data: CrowdData, references: References | None = None, *, seed: int = 0) -> float:
        """(1/A) sum_n log mean_s p(y_n | theta_s), nats an answer, of answers that the model was not fitted to.

        Raises
        ------
        DataError
            When there are no answers, or on another scale than the model.
        ModelError
            Before `fit`.
        """
        fitted = self._state()
        if data.scale != fitted.scale:
            raise DataError(f"data is on {data.scale}, the model on {fitted.scale}; put them on one scale.")
        if data.n_answers == 0:
            raise DataError("data has no answers; give at least one.")
        return fitted.log_score(data, references, generator(seed))

    def _state(self) -> FittedRegression:
        if self._fitted is None:
            raise ModelError("this MRP is not fitted; call fit first.")
        return self._fitted
