"""What is foretold of one answer, from its distributions given draws of a person's noise.

p(y | answers known) = mean_s F(y | eps_s),    eps_s ~ p(eps_i | answers known)

Levels have these probabilities and all that follows from them; of numbers, one draw of F for each eps_s stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Scale

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.float64]


def predictions(answers: Iterator[Any], scale: Scale, tails: FloatArray) -> dict[str, npt.NDArray[Any]]:
    """Columns of a table of predictions, each of shape `(n_answers,)`.

    Parameters
    ----------
    answers
        Distributions of answers block by block, batch shape `(n_draws, ...)`.
    scale
        Of the answers: numbers and ratings have `mean, sd, low, median, high` in its unit, labels a `mode`; all but
        numbers a `p_LEVEL` each.
    tails
        Lower, middle and upper probability of the band, shape `(3,)`.
    """
    if isinstance(scale, Continuous):
        return _of_draws(answers, tails)
    parts = [(each.mean if each.event_shape else each.probs).mean(0) for each in answers]
    probs = np.concatenate([numbers(part).reshape(-1, scale.n_levels) for part in parts])
    levels = {f"p_{label}": probs[:, k] for k, label in enumerate(scale.labels)}
    if isinstance(scale, Ballot):
        return levels
    if isinstance(scale, Categorical):
        return {"mode": np.asarray(scale.labels, dtype=object)[probs.argmax(1)], **levels}
    mean = probs @ scale.values
    sd = np.sqrt(np.maximum(probs @ scale.values**2 - mean**2, 0.0))
    # The last cumulative share may be rounded to a little less than 1.
    at = (probs.cumsum(1)[:, None] < tails[:, None] - 1e-6).sum(-1).clip(max=scale.n_levels - 1)
    low, median, high = scale.values[at].T
    return {"mean": mean, "sd": sd, "median": median, "low": low, "high": high, **levels}


def numbers(values: torch.Tensor) -> FloatArray:
    """A tensor in double precision, on the CPU."""
    return values.double().cpu().numpy()


def _of_draws(answers: Iterator[Any], tails: FloatArray) -> dict[str, FloatArray]:
    """Mean, standard deviation and quantiles of continuous answers, the last from a draw for each draw of eps."""
    columns: dict[str, list[FloatArray]] = {name: [] for name in ("mean", "sd", "low", "median", "high")}
    for answer in answers:
        drawn = numbers(answer.sample()).reshape(len(answer.mean), -1)
        found = (drawn.mean(0), drawn.std(0), *np.quantile(drawn, tails, axis=0))
        for column, value in zip(columns.values(), found, strict=True):
            column.append(value)
    return {name: np.concatenate(column) for name, column in columns.items()}
