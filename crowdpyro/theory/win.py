"""Theorem 4.4: on which problems a crowd decides better than its LLM alone.

Beliefs delta_i with mean mu and second moment eps^2 = mean delta_i^2, the LLM's error Delta = y** - r. Printed:

    W = (N-2) eps^2 + N eta,   Delta_0 = (N-2)/N sqrt(W/2),   h = h1 if Delta_0 >= kappa else h2
    h1 = (sqrt(N^2 kappa^2 + 2(N-1) W) - (N-2) kappa) / (2(N-1)),   h2 = sqrt(2 W)/N:   L <= L' if |mu - Delta| <= h

h is the minimum that the proof says it is, but the proof puts the crowd's mean for the twin's own, so that the theorem
is false: with N = 20, Delta = 0, kappa = .3, eta = 0, mu = .5, eps^2 = 1, h = .564, and L = .263 > L' = .013. Exactly,
with V the variance of the crowd's mean and v_pure that of the LLM's decision,

    L - L' = mu^2 - 2 mu Delta + V - v_pure,    L <= L' if and only if |mu - Delta| <= H = sqrt(Delta^2 + v_pure - V)

The spread of the beliefs cancels: only their mean decides. With V = v_pure = 0, mu has to lie between 0 and 2 Delta.
The printed interval is sufficient against one draw when eps^2 <= eta - 2(N-1) V/(N-2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .checked import BoolArray, FloatArray, alike, answers, broadcast, numbers, spread

_TINY = np.finfo(float).tiny


@dataclass(frozen=True, eq=False)
class PrintedWidth:
    """Half-width of the printed interval, arrays of one shape.

    Attributes
    ----------
    h
        h_Delta(kappa).
    first_branch
        Whether it is h1.
    turning_point
        Delta_0.
    """

    h: FloatArray
    first_branch: npt.NDArray[np.bool_]
    turning_point: FloatArray


def printed_width(
    n: npt.ArrayLike, kappa: npt.ArrayLike, second_moment: npt.ArrayLike, eta: npt.ArrayLike
) -> PrintedWidth:
    """h_Delta(kappa) as the paper prints it, arguments broadcast.

    Parameters
    ----------
    n
        N, at least 2.
    kappa
        At least 0; may be infinite.
    second_moment
        eps_delta^2 = mean delta_i^2, not the variance.
    eta
        Of one draw.

    Returns
    -------
    PrintedWidth
        In the unit of the response, each in the common shape of the arguments.

    Raises
    ------
    DataError
        For N < 2, or anything negative.

    Examples
    --------
    >>> float(printed_width(50, 0.5, 0.5, 0.25).h.round(10))
    0.4165595457
    """
    size = numbers(n, "n")
    if (size < 2).any():
        raise DataError(f"n={size.min():g}: Theorem 4.4 divides by N - 1; give at least 2 twins.")
    bound = np.asarray(kappa, dtype=float)
    if np.isnan(bound).any() or (bound < 0).any():
        raise DataError(f"kappa={kappa!r}: give a distance of at least 0; it may be infinite.")
    eps2, noise = spread(second_moment, "second_moment"), spread(eta, "eta")
    size, bound, eps2, noise = alike(n=size, kappa=bound, second_moment=eps2, eta=noise)
    w = (size - 2) * eps2 + size * noise
    turning_point = (size - 2) / size * np.sqrt(w / 2)
    finite = np.where(np.isinf(bound), 0.0, bound)
    # (sqrt(N^2 k^2 + c) - (N-2) k) without the cancellation of large k.
    root = np.sqrt(size**2 * finite**2 + 2 * (size - 1) * w)
    h1 = (4 * (size - 1) * finite**2 + 2 * (size - 1) * w) / np.maximum(root + (size - 2) * finite, _TINY)
    h1 = h1 / (2 * (size - 1))
    first = turning_point >= bound
    return PrintedWidth(np.where(first, h1, np.sqrt(2 * w) / size), first, turning_point)


def exact_width(llm_error: npt.ArrayLike, v_pure: npt.ArrayLike = 0.0, v_crowd: npt.ArrayLike = 0.0) -> FloatArray:
    """H = sqrt(Delta^2 + v_pure - V): the crowd wins if and only if |mu - Delta| <= H. NaN where it cannot win.

    Parameters
    ----------
    llm_error
        Delta = y** - r, any shape; of one-hot answers its norm, and the set of winning mu is a ball.
    v_pure
        Variance of the LLM's decision (`llm_decision`).
    v_crowd
        V: variance of the crowd's mean.

    Returns
    -------
    ndarray
        H in the unit of the response, in the common shape of the arguments.

    Raises
    ------
    DataError
        When shapes do not match, or a variance is negative.
    """
    error, pure, crowd = alike(
        llm_error=numbers(llm_error, "llm_error"), v_pure=spread(v_pure, "v_pure"), v_crowd=spread(v_crowd, "v_crowd")
    )
    inside = error**2 + pure - crowd
    return np.sqrt(np.where(inside < 0, np.nan, inside))


def robust_interval(
    low: npt.ArrayLike, high: npt.ArrayLike, advantage: npt.ArrayLike = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Means of the beliefs with which the crowd wins whatever Delta in [low, high] is; NaN where there are none.

    c >= 0:  [high - sqrt(high^2 + c), low + sqrt(low^2 + c)]
    c < 0 :  the exact interval at the end nearest 0, if 0 is not in [low, high] and low^2, high^2 >= -c

    Parameters
    ----------
    low, high
        Ends of Delta, such as of a confidence interval, broadcast; -kappa and kappa where only its size is known.
    advantage
        c = v_pure - V.

    Returns
    -------
    tuple of two ndarrays
        Ends. With c = 0 and a Delta of either sign nothing but mu = 0 is left: without the sign of the LLM's error no
        shift is sure to win.

    Raises
    ------
    DataError
        When `low` is above `high`.

    Examples
    --------
    >>> [round(float(end), 10) for end in robust_interval(-0.4, 0.4, 0.2)]
    [-0.2, 0.2]
    """
    lower, upper, c = alike(
        low=numbers(low, "low"), high=numbers(high, "high"), advantage=numbers(advantage, "advantage")
    )
    if (lower > upper).any():
        raise DataError(f"low is above high, {lower[lower > upper][0]:g} > {upper[lower > upper][0]:g}; swap them.")
    nearest = np.where(np.abs(lower) <= np.abs(upper), lower, upper)
    astride = (lower <= 0) & (upper >= 0)
    sure = (c >= 0) | (~astride & (nearest**2 + c >= 0))
    kept = np.where(sure, c, np.nan)
    # c >= 0: the tightest ends are upper's left and lower's right; c < 0: both are of the end nearest 0.
    left, right = np.where(c >= 0, upper, nearest), np.where(c >= 0, lower, nearest)
    return left - np.sqrt(left**2 + kept), right + np.sqrt(right**2 + kept)


@dataclass(frozen=True, eq=False)
class WinInterval:
    """The printed and the exact condition side by side, each array `(n_problems,)`.

    Attributes
    ----------
    n
        Twins.
    mu, second_moment
        Mean of the beliefs (of vectors, `(n_problems, n_options)`), and mean of their squares.
    llm_error
        Delta, shaped like mu.
    printed
        The printed half-width h, its branch and Delta_0.
    exact
        H; NaN where no mean of the beliefs wins.
    gap
        L - L', negative where the crowd wins.
    """

    n: FloatArray
    mu: FloatArray
    second_moment: FloatArray
    llm_error: FloatArray
    printed: PrintedWidth
    exact: FloatArray
    gap: FloatArray

    @property
    def distance(self) -> FloatArray:
        """|mu - Delta|, shape `(n_problems,)`."""
        difference = self.mu - self.llm_error
        return np.abs(difference) if difference.ndim == 1 else np.linalg.norm(difference, axis=1)

    @property
    def wins(self) -> npt.NDArray[np.bool_]:
        """Exactly: L <= L', shape `(n_problems,)`."""
        return np.asarray(self.gap <= 0)

    @property
    def printed_says(self) -> npt.NDArray[np.bool_]:
        """Whether mu lies in the printed interval, which guarantees nothing; shape `(n_problems,)`."""
        return np.asarray(self.distance <= self.printed.h)

    def to_frame(self) -> pd.DataFrame:
        """One row a problem; ends of intervals for numbers, half-widths for vectors too."""
        columns = {
            "n": self.n,
            "second_moment": self.second_moment,
            "distance": self.distance,
            "h": self.printed.h,
            "branch": np.where(self.printed.first_branch, "h1", "h2"),
            "Delta_0": self.printed.turning_point,
            "printed_says": self.printed_says,
            "H": self.exact,
            "wins": self.wins,
            "gap": self.gap,
        }
        if self.mu.ndim == 1:
            ends = {
                "mu": self.mu,
                "Delta": self.llm_error,
                "printed_low": self.llm_error - self.printed.h,
                "printed_high": self.llm_error + self.printed.h,
                "exact_low": self.llm_error - self.exact,
                "exact_high": self.llm_error + self.exact,
            }
            columns = ends | columns
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.gap), name="problem"))

    def __repr__(self) -> str:
        total, wrong = len(self.gap), int((self.printed_says & ~self.wins).sum())
        return (
            f"<WinInterval: {total} problem{'s' * (total != 1)}, the crowd wins {int(self.wins.sum())}, "
            f"mean L - L' {self.gap.mean():.4g}; "
            f"the printed interval promises {int(self.printed_says.sum())}, of which {wrong} are lost>"
        )


def win_interval(
    delta: npt.ArrayLike,
    llm_error: npt.ArrayLike,
    kappa: npt.ArrayLike,
    eta: npt.ArrayLike = 0.0,
    *,
    v_pure: npt.ArrayLike = 0.0,
    v_crowd: npt.ArrayLike = 0.0,
) -> WinInterval:
    """Whether the crowd's mean is closer to people than the LLM's decision, printed and exact.

    Parameters
    ----------
    delta
        Beliefs delta_i = b_i - r (the mean over a twin's samples), `(N,)`, `(N, n_problems)` or
        `(N, n_problems, n_options)`, NaN where a twin is absent.
    llm_error
        Delta = y** - r, a number, `(n_problems,)` or `(n_problems, n_options)`. It takes humans to know.
    kappa
        Bound of |Delta| (see `conformal_kappa`); used by the printed form alone.
    eta
        eta(t) of one draw; used by the printed form alone.
    v_pure
        Variance of the decision that the crowd is compared with: 0 for E[Phi], eta(t) for one draw (`llm_decision`).
    v_crowd
        V: variance of the crowd's mean, L4 / N for given twins.

    Returns
    -------
    WinInterval
        Of every problem. `printed_says` is no guarantee; `wins` is the condition itself.

    Raises
    ------
    DataError
        When a problem has fewer than two twins, or `llm_error` does not match.

    Examples
    --------
    >>> win_interval([1.5, -0.5] * 10, llm_error=0.0, kappa=0.3)
    <WinInterval: 1 problem, the crowd wins 0, mean L - L' 0.25; the printed interval promises 1, of which 1 are lost>
    """
    beliefs = answers(delta, "delta")
    there: BoolArray = np.asarray(~np.isnan(beliefs).any(axis=2))
    n = there.sum(axis=0).astype(float)
    if (n < 2).any():
        raise DataError(f"delta: problem {int(n.argmin())} has {int(n.min())} twins; give at least 2.")
    kept = np.where(there[..., None], beliefs, 0.0)
    mu, second_moment = kept.sum(axis=0) / n[:, None], (kept**2).sum(axis=(0, 2)) / n
    error = numbers(llm_error, "llm_error")
    try:
        error = np.broadcast_to(error[:, None] if mu.shape[1] == 1 and error.ndim == 1 else error, mu.shape)
    except ValueError:
        raise DataError(f"llm_error has shape {error.shape}; give one a problem, {mu.shape}.") from None
    pure, crowd = (
        broadcast(spread(each, name), n.shape, name) for each, name in ((v_pure, "v_pure"), (v_crowd, "v_crowd"))
    )
    bound, noise = (
        broadcast(np.asarray(each, dtype=float), n.shape, name) for each, name in ((kappa, "kappa"), (eta, "eta"))
    )
    printed = printed_width(n, bound, second_moment, noise)
    gap = (mu * (mu - 2 * error)).sum(axis=1) + crowd - pure
    exact = exact_width(np.linalg.norm(error, axis=1), pure, crowd)
    if mu.shape[1] == 1:
        mu, error = mu[:, 0], error[:, 0]
    return WinInterval(n, mu, second_moment, error, printed, exact, gap)
