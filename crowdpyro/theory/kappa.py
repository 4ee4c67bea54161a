"""kappa_alpha, the assumption before Theorem 4.4: how far the LLM alone is from people, as a conformal quantile.

    P(|E[Phi(x)] - y**(x)| <= kappa_alpha) >= 1 - alpha
    kappa_alpha = the k-th smallest of |r_t - ybar_t| over held-out problems, k = ceil((T + 1)(1 - alpha)); inf if k > T

The chance is over problems like these, not given x. It holds exactly for the distance to ybar, the mean of as many
people; against y** the people's own noise makes kappa larger than it need be. A plain quantile is too small: with nine
problems it covers .84 where .90 is asked for. r depends on the temperature, and so does kappa.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .checked import chance, numbers


def conformal_kappa(reference: npt.ArrayLike, human_mean: npt.ArrayLike, alpha: float = 0.1) -> float:
    """Distance that the LLM's answer to a new problem keeps to people's mean, with chance 1 - alpha.

    Parameters
    ----------
    reference
        r of held-out problems at the temperature in use, `(n_problems,)` or one-hot `(n_problems, n_options)`.
    human_mean
        ybar of the same problems, same shape.
    alpha
        Chance of a larger distance.

    Returns
    -------
    float
        Infinite when there are fewer than 1 / alpha - 1 problems.

    Raises
    ------
    DataError
        When shapes do not match.

    Examples
    --------
    >>> conformal_kappa([0.05, -0.31, 0.22, 0.48, -0.12, 0.07, 0.9, -0.27, 0.33], [0.0] * 9, alpha=0.2)
    0.48
    """
    r, y_bar = numbers(reference, "reference"), numbers(human_mean, "human_mean")
    if r.shape != y_bar.shape or r.ndim not in (1, 2) or not len(r):
        raise DataError(f"reference has shape {r.shape}, human_mean {y_bar.shape}; give one answer a problem in both.")
    distance = np.sort(np.abs(r - y_bar) if r.ndim == 1 else np.linalg.norm(r - y_bar, axis=1))
    # (T + 1)(1 - alpha) is a whole number more often than floats say.
    rank = math.ceil((len(distance) + 1) * (1 - chance(alpha, "alpha")) - 1e-9)
    return float(distance[rank - 1]) if rank <= len(distance) else math.inf
