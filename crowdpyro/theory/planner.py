"""How many people to ask, and how many virtual participants beside them, for an interval as short as wanted.

Half-widths of `crowd_interval`'s methods with n people and N virtual ones, rho the correlation of people and twins:

    human_only    t sqrt(Var(y)/n)
    power_tuned   t sqrt(Var(y)/n (1 - rho^2 N/(N + n)))     while lam stays below 1
    rectified     t sqrt(Var(t)/N + Var(y - t)/n)

However large the crowd, n falls by no more than the share rho^2. The plan is the cheapest pair, a virtual participant
costing a small part of a person; variances and rho are a pilot's, rho^2 less what chance alone would show in so few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from ..errors import DataError
from ..inference.seeds import generator
from .checked import FloatArray, at_least, chance, numbers

Planned: TypeAlias = Literal["power_tuned", "rectified"]

_FEWEST_PILOTS = 5
# A grid of n with steps of .1 % above this, where every n would be too many.
_DENSE = 5_000
_BISECTIONS = 60
_MOST_PEOPLE = 1e12
_AT_ONCE = 200_000
# A crowd that saves fewer people than this is not worth its trouble.
_WORTH = 0.01


@dataclass(frozen=True)
class SamplePlan:
    """What to recruit.

    Attributes
    ----------
    n_humans, n_virtual
        The plan; no virtual participants where they do not pay.
    n_humans_only
        People needed without a crowd.
    fewest_humans
        People needed with the largest crowd allowed.
    saved_range
        Share of people that `n_virtual` save, an interval of .9 over bootstrapped pilots.
    half_width
        Expected of the plan, at most the wanted one.
    correlation
        rho of the pilot, adjusted for its size; 0 where nothing is left.
    method, alpha
        Of the interval.
    n_pilot
        Pairs in the pilot; 0 where moments were given, and `saved_range` is one number.
    """

    n_humans: int
    n_virtual: int
    n_humans_only: int
    fewest_humans: int
    saved_range: tuple[float, float]
    half_width: float
    correlation: float
    method: str
    alpha: float
    n_pilot: int

    @property
    def helps(self) -> bool:
        """Whether the crowd saves people."""
        return self.n_virtual > 0

    @property
    def saved(self) -> float:
        """Share of people that it saves."""
        return 1 - self.n_humans / self.n_humans_only

    @property
    def shown(self) -> bool:
        """Whether the pilot is large enough to show it."""
        return self.helps and self.saved_range[0] >= _WORTH

    def __repr__(self) -> str:
        wanted = f"for a half-width of {self.half_width:.3g} at {1 - self.alpha:g}"
        source = f"pilot of {self.n_pilot:,}" if self.n_pilot else "moments as given"
        pilot = f"  {source}, correlation of people and twins {self.correlation:.2f}"
        if not self.helps:
            return f"<SamplePlan: {self.n_humans:,} people {wanted}; the crowd cannot help\n{pilot}>"
        low, high = self.saved_range
        pilot += "" if self.shown else ": too few to show that the crowd helps"
        return (
            f"<SamplePlan: {self.n_humans:,} people and {self.n_virtual:,} virtual {wanted}, {self.method}\n"
            f"  people alone {self.n_humans_only:,}, with any crowd {self.fewest_humans:,}; "
            f"saved {self.saved:.0%} ({low:.0%} to {high:.0%})\n{pilot}>"
        )


def plan_sample(
    y: npt.ArrayLike,
    twin: npt.ArrayLike,
    half_width: float,
    *,
    crowd: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    method: Planned = "power_tuned",
    virtual_cost: float = 0.001,
    most_virtual: int = 1_000_000,
    n_resamples: int = 999,
    seed: int = 0,
) -> SamplePlan:
    """People and virtual participants for an interval of a wanted half-width, from a pilot.

    Parameters
    ----------
    y, twin
        Answers of the pilot's people, and of their twins, which were not fitted to them, `(n,)`, at least five.
    half_width
        Wanted, in the unit of the response.
    crowd
        Answers of virtual participants, for a better Var(t).
    alpha
        Chance that the interval misses.
    method
        Of `crowd_interval`.
    virtual_cost
        Of one virtual participant, in people.
    most_virtual
        Largest crowd.
    n_resamples, seed
        Of the bootstrap behind `saved_range`.

    Returns
    -------
    SamplePlan
        Expected half-widths: those of single studies vary about them.

    Raises
    ------
    DataError
        When the pilot is too small, its answers are all alike, or arrays do not match.

    References
    ----------
    A. N. Angelopoulos, J. C. Duchi, T. Zrnic (2023), PPI++: efficient prediction-powered inference, arXiv 2311.01453,
    is where the half-widths are from.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> profile = rng.normal(size=200)
    >>> y, twin = profile + rng.normal(size=200), profile + 0.5 * rng.normal(size=200)
    >>> plan = plan_sample(y, twin, 0.2)
    >>> plan.helps, plan.n_humans < plan.n_humans_only
    (True, True)
    """
    people, twins = numbers(y, "y"), numbers(twin, "twin")
    if people.ndim != 1 or people.shape != twins.shape or len(people) < _FEWEST_PILOTS:
        raise DataError(
            f"y has shape {people.shape}, twin {twins.shape}; give one answer a person of the pilot in both, "
            f"{_FEWEST_PILOTS} at least."
        )
    others = None if crowd is None else numbers(crowd, "crowd")
    if others is not None and (others.ndim != 1 or len(others) < 2):
        raise DataError(f"crowd has shape {others.shape}; give one answer a virtual participant, two at least.")
    rng, repeats = generator(seed), at_least(n_resamples, 99, "n_resamples")
    known = None if others is None else float(others.var(ddof=1))
    pilot = _Moments.of(people[None], twins[None], known)
    if pilot.y[0] <= 0:
        raise DataError("y: the pilot's answers are all alike, and tell nothing of a width; ask until they differ.")
    plan, width = _planned(pilot, half_width, alpha, method, virtual_cost, most_virtual)
    if not plan.helps:
        return replace(plan, n_pilot=len(people))
    resampled, target = _Moments.resampled(people, twins, known, repeats, rng), np.full(repeats, half_width)
    both = _least(lambda n: width(n, plan.n_virtual, resampled), target)
    # At worst -1, as many people again: with full weight, poor twins never get there.
    share = np.maximum(1 - both / _least(lambda n: _alone(n, resampled, alpha / 2), target), -1.0)
    ends = np.quantile(share, [0.05, 0.95])
    return replace(plan, n_pilot=len(people), saved_range=(float(ends[0]), float(ends[1])))


def plan_from_moments(
    answer_sd: float,
    twin_sd: float,
    correlation: float,
    half_width: float,
    *,
    alpha: float = 0.05,
    method: Planned = "power_tuned",
    virtual_cost: float = 0.001,
    most_virtual: int = 1_000_000,
) -> SamplePlan:
    """The same before there is a pilot, from moments that are taken as known, such as those of a `PowerTable`.

    Parameters
    ----------
    answer_sd, twin_sd
        Standard deviations of people's answers to a problem, and of their twins'.
    correlation
        Of the two.
    half_width, alpha, method, virtual_cost, most_virtual
        As in `plan_sample`.

    Returns
    -------
    SamplePlan
        Numbers of people and of virtual participants.

    Raises
    ------
    DataError
        When a moment is out of its range.

    References
    ----------
    As `plan_sample`.

    Examples
    --------
    >>> plan_from_moments(1.0, 0.5, 0.6, 0.2)
    <SamplePlan: 66 people and 1,388 virtual for a half-width of 0.2 at 0.95, power_tuned
      people alone 99, with any crowd 65; saved 33% (33% to 33%)
      moments as given, correlation of people and twins 0.60>
    """
    for name, value in (("answer_sd", answer_sd), ("twin_sd", twin_sd)):
        if not (np.isfinite(value) and value >= 0) or (name == "answer_sd" and value == 0):
            raise DataError(f"{name}={value!r}: give a standard deviation in the unit of the response.")
    if not -1 <= correlation <= 1:
        raise DataError(f"correlation={correlation!r}: give a number from -1 to 1.")
    usable = max(float(correlation), 0.0) if twin_sd > 0 else 0.0
    y, t = np.array([answer_sd**2]), np.array([twin_sd**2])
    known = _Moments(y, t, usable * np.sqrt(y * t), np.array([usable**2]))
    plan, _ = _planned(known, half_width, alpha, method, virtual_cost, most_virtual)
    return replace(plan, saved_range=(plan.saved, plan.saved))


Width: TypeAlias = "Callable[[FloatArray, npt.ArrayLike, _Moments], FloatArray]"


def _planned(
    pilot: _Moments, half_width: float, alpha: float, method: Planned, virtual_cost: float, most_virtual: int
) -> tuple[SamplePlan, Width]:
    """The cheapest plan of these moments, its `saved_range` and `n_pilot` not yet known, and the half-width."""
    if not (np.isfinite(half_width) and half_width > 0):
        raise DataError(f"half_width={half_width!r}: give a positive number in the unit of the response.")
    if method not in ("power_tuned", "rectified"):
        raise DataError(f"method={method!r}: give 'power_tuned' or 'rectified'.")
    if not (np.isfinite(virtual_cost) and virtual_cost >= 0):
        raise DataError(f"virtual_cost={virtual_cost!r}: give the cost of a virtual participant in people, at least 0.")
    tail, most = chance(alpha, "alpha") / 2, at_least(most_virtual, 2, "most_virtual")

    def width(n: FloatArray, virtual: npt.ArrayLike, moments: _Moments) -> FloatArray:
        return _half_width(n, np.asarray(virtual, dtype=float), moments, method, tail)

    needed = _least(lambda n: _alone(n, pilot, tail), np.array([half_width]))[0]
    if not np.isfinite(needed):
        raise DataError(f"half_width={half_width!r} takes more than {_MOST_PEOPLE:.0e} people; give a wider one.")
    alone = int(needed)
    grid = np.arange(2.0, alone) if alone <= _DENSE else np.unique(np.geomspace(2, alone - 1, _DENSE).round())
    reach = grid[width(grid, most, pilot) <= half_width] if len(grid) else grid
    n_humans, n_virtual = alone, 0
    if len(reach) and pilot.rho2[0] > 0:
        # The smallest crowd with which each n reaches the width.
        virtual = _least(lambda each: width(reach, each, pilot), np.full(len(reach), half_width), most)
        cost = reach + virtual_cost * virtual
        if cost.min() <= (1 - _WORTH) * alone:
            best = int(cost.argmin())
            n_humans, n_virtual = int(reach[best]), int(virtual[best])
    expected = _alone(np.array([float(n_humans)]), pilot, tail)
    if n_virtual:
        expected = width(np.array([float(n_humans)]), n_virtual, pilot)
    plan = SamplePlan(
        n_humans=n_humans,
        n_virtual=n_virtual,
        n_humans_only=alone,
        fewest_humans=int(reach[0]) if n_virtual else alone,
        saved_range=(0.0, 0.0),
        half_width=float(expected[0]),
        correlation=float(np.sqrt(pilot.rho2[0])),
        method=method if n_virtual else "human_only",
        alpha=alpha,
        n_pilot=0,
    )
    return plan, width


@dataclass(frozen=True)
class _Moments:
    """Variances of people and twins, their covariance less what chance shows, rho^2; each `(B,)`."""

    y: FloatArray
    t: FloatArray
    covariance: FloatArray
    rho2: FloatArray

    @classmethod
    def of(cls, y: FloatArray, t: FloatArray, known: float | None) -> _Moments:
        n = y.shape[1]
        y, t = y - y.mean(axis=1, keepdims=True), t - t.mean(axis=1, keepdims=True)
        var_y, var_t, covariance = ((a * b).sum(axis=1) / (n - 1) for a, b in ((y, y), (t, t), (y, t)))
        product = var_y * var_t
        rho2 = np.where(product > 0, covariance**2 / np.where(product > 0, product, 1.0), 0.0)
        # Of independent twins rho^2 has mean 1 / (n - 1); negative correlations are of no use to a lam in [0, 1].
        adjusted = np.where(covariance > 0, np.maximum(1 - (1 - rho2) * (n - 1) / (n - 2), 0.0), 0.0)
        shrunk = covariance * np.sqrt(adjusted / np.where(rho2 > 0, rho2, 1.0))
        return cls(var_y, var_t if known is None else np.full_like(var_t, known), shrunk, adjusted)

    @classmethod
    def resampled(
        cls, y: FloatArray, t: FloatArray, known: float | None, n_resamples: int, rng: np.random.Generator
    ) -> _Moments:
        """Of bootstrapped pilots, a few megabytes of them at once."""
        size, blocks = max(1, _AT_ONCE // len(y)), []
        for start in range(0, n_resamples, size):
            drawn = rng.integers(len(y), size=(min(size, n_resamples - start), len(y)))
            blocks.append(cls.of(y[drawn], t[drawn], known))
        return cls(*(np.concatenate([vars(each)[field.name] for each in blocks]) for field in fields(cls)))


def _alone(n: FloatArray, moments: _Moments, tail: float) -> FloatArray:
    return np.asarray(-stdtrit(n - 1, tail) * np.sqrt(moments.y / n), dtype=float)


def _half_width(n: FloatArray, virtual: FloatArray, moments: _Moments, method: Planned, tail: float) -> FloatArray:
    """Expected half-width, arguments broadcast."""
    if method == "power_tuned":
        usable = np.where(moments.t > 0, moments.t, 1.0)
        lam = np.clip(moments.covariance / ((1 + n / virtual) * usable), 0.0, 1.0)
    else:
        lam = np.ones_like(n)
    crowd = lam**2 * moments.t / virtual
    residual = np.maximum(moments.y - 2 * lam * moments.covariance + lam**2 * moments.t, 0.0) / n
    variance = crowd + residual
    df = n - 1
    if method == "rectified":
        below = residual**2 / (n - 1) + crowd**2 / np.maximum(virtual - 1, 1)
        df = np.where(below > 0, variance**2 / np.where(below > 0, below, 1.0), n - 1)
    return np.asarray(-stdtrit(df, tail) * np.sqrt(variance), dtype=float)


def _least(width: Callable[[FloatArray], FloatArray], wanted: FloatArray, most: float = _MOST_PEOPLE) -> FloatArray:
    """Least whole size, `(B,)`, at which a falling half-width is no more than wanted; inf where it is above `most`.

    Bisection of its logarithm.
    """
    low, high = np.full(wanted.shape, np.log(2.0)), np.full(wanted.shape, np.log(most))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        short = width(np.exp(middle)) <= wanted
        low, high = np.where(short, low, middle), np.where(short, middle, high)
    found = np.exp(high)
    # Up to the next whole number, but not past one that rounding missed by a hair.
    found = np.ceil(found * (1 - 1e-9))
    return np.where(width(np.full(wanted.shape, float(most))) <= wanted, found, np.inf)
