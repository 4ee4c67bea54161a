"""What theorems are given, checked: every error names the argument, the value and the remedy.

Answers of n people to T problems are `(n,)`, one problem; `(n, T)`; or `(n, T, d)`, one-hot or other vectors. Squares
are then squared Euclidean norms, and variances traces of covariances.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..models.scales import Categorical

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def numbers(given: npt.ArrayLike, name: str, *, gaps: bool = False) -> FloatArray:
    """Finite floats; NaN only where `gaps` says so.

    Raises
    ------
    DataError
        For text, an infinite number, or NaN.
    """
    try:
        found = np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} holds something other than numbers ({error}); labels have no mean: make them one-hot, or take "
            "`share_interval`."
        ) from error
    wrong = np.isinf(found) if gaps else ~np.isfinite(found)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f" at {place}" if place else ""
        raise DataError(f"{name} is {found[wrong][0]}{where}; give finite numbers{', or NaN for absent' * gaps}.")
    return found


def answers(given: npt.ArrayLike, name: str) -> FloatArray:
    """Answers as `(n, T, d)`, NaN where somebody is absent.

    Raises
    ------
    DataError
        For another number of dimensions, or what `numbers` refuses.
    """
    found = numbers(given, name, gaps=True)
    if not 1 <= found.ndim <= 3 or not found.size:
        raise DataError(f"{name} has shape {found.shape}; give (n,), (n, n_problems) or (n, n_problems, n_options).")
    return found.reshape(*found.shape, *(1,) * (3 - found.ndim))


def spread(given: npt.ArrayLike, name: str) -> FloatArray:
    """Variances, at least 0."""
    found = numbers(given, name)
    if (found < 0).any():
        raise DataError(f"{name} is {found[found < 0][0]:g}; a variance is at least 0.")
    return found


def broadcast(given: FloatArray, shape: tuple[int, ...], name: str) -> FloatArray:
    """In the shape of what it belongs to.

    Raises
    ------
    DataError
        When it has no such shape.
    """
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        raise DataError(f"{name} has shape {given.shape}; give a number, or {shape}.") from None


def alike(**given: FloatArray) -> tuple[FloatArray, ...]:
    """All in one shape; raises `DataError` where there is none."""
    try:
        return np.broadcast_arrays(*given.values())
    except ValueError:
        shapes = ", ".join(f"{name} {each.shape}" for name, each in given.items())
        raise DataError(f"shapes do not fit: {shapes}; give numbers, or one for each problem.") from None


def chance(given: object, name: str) -> float:
    """A number strictly between 0 and 1."""
    if not isinstance(given, float | int | np.floating) or not 0.0 < given < 1.0:
        raise DataError(f"{name}={given!r}: give a chance in (0, 1), such as 0.05.")
    return float(given)


def at_least(given: int, least: int, name: str) -> int:
    """A whole number from `least` up."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
        raise DataError(f"{name}={given!r}: give a whole number, at least {least}.")
    return int(given)


def one_hot(labels: npt.ArrayLike, scale: Categorical | int) -> FloatArray:
    """Nominal answers as vectors, NaN where absent: codes have no mean, vectors have.

    Parameters
    ----------
    labels
        Codes 0 to M - 1, any shape, NaN where absent.
    scale
        The scale, or M.

    Returns
    -------
    ndarray
        One more axis, of length M.

    Raises
    ------
    DataError
        When a code is not of the scale.

    Examples
    --------
    >>> one_hot([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    n_levels = at_least(scale, 1, "scale") if isinstance(scale, int) else scale.n_levels
    codes = numbers(labels, "labels", gaps=True)
    absent = np.isnan(codes)
    wrong = ~absent & ((codes < 0) | (codes >= n_levels) | (codes != np.floor(codes)))
    if wrong.any():
        raise DataError(f"labels: {codes[wrong][0]:g} is no code from 0 to {n_levels - 1}; encode with the scale.")
    vectors: FloatArray = np.eye(n_levels)[np.where(absent, 0, codes).astype(int)]
    vectors[absent] = np.nan
    return vectors
