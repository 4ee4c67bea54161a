"""Ballots of a crowd beside those of people: the mean votes or points of every option, `(n_problems, n_options)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .. import metrics
from ..crowd import Crowd

if TYPE_CHECKING:
    from ..data import CrowdData
    from ..models.ballot import Ballot
    from ..references import References
    from ..studies.scoring import Results

FloatArray = npt.NDArray[np.float64]


def add_ballots(results: Results, method: str, mean: FloatArray, data: CrowdData) -> None:
    """Errors of predicted means, and how alike the options' shares of all votes are."""
    truth = Crowd.from_data(data).shares()
    results.add(method, "mae", metrics.mean_absolute_error(mean.ravel(), truth.ravel()), "mean")
    results.add(method, "rmse", metrics.root_mean_square_error(mean.ravel(), truth.ravel()), "mean")
    results.add(method, "cosine_similarity", metrics.cosine_similarity(_of_all(mean), _of_all(truth)))


def ballot_yardsticks(
    scale: Ballot, data: CrowdData, training: CrowdData | None, asked: References | None, known: bool
) -> dict[str, FloatArray]:
    """Means that anybody could have predicted.

    Parameters
    ----------
    scale
        What a ballot may be.
    data
        The people to predict.
    training
        The people of training; None where their answers are not at hand.
    asked
        The LLM's ballots on these problems.
    known
        Whether all problems are of training.
    """
    whole = 1.0 if scale.total is None else scale.total
    even = 0.5 if scale.total is None else scale.total / scale.n_levels
    found = {"uniform": np.full((data.n_problems, scale.n_levels), even)}
    if asked is not None:
        asked = asked.select(data.problems.index)
        found["llm_zero_shot"] = whole * np.mean([asked.probabilities(name) for name in asked.names], axis=0)
    if training is not None:
        weights = training.weights
        n_ballots = training.n_answers if weights is None else weights[training.participant_code].sum()
        overall = training.counts().sum(axis=0) / n_ballots
        found["training_marginal"] = np.tile(overall, (data.n_problems, 1))
        if known:
            own = Crowd.from_data(training).shares()
            rows = training.problems.index.get_indexer(data.problems.index)
            found["independent_histograms"] = np.where(np.isnan(own), overall, own)[rows]
    return found


def _of_all(mean: FloatArray) -> FloatArray:
    """Each option's share of a problem's votes; NaN where there are none."""
    total = mean.sum(axis=1, keepdims=True)
    return np.where(total > 0, mean / np.where(total > 0, total, 1.0), np.nan)
