"""Differences between methods on the same splits, with intervals over problems and seeds.

d = mean_s [ m_a(s) - m_b(s) ],   m(s) = g( sum_u w_us m_us / sum_u w_us ) over the units u that seed s scored

Bootstrap: problems are drawn with replacement, once for all seeds, since a problem that two splits share is one.
Another split is also another fit: where the values of seeds vary by more than their problems do, the interval widens,

low = d - sqrt( (d - q_low)^2 + t^2 V_fit ),   V_fit = max( 0, s^2/S - (1 - h) mean_s Var*(m(s)) / S )

q_low a quantile of the draws, s^2 the variance of the S seeds' values, Var* that over draws, h the share that a seed
holds out, t Student's quantile with S - 1 degrees of freedom. On simulated splits of 300 problems with ten or twenty
seeds 95 % intervals cover .93 to .97, with three or five .91 to .98, whatever the fit's own effect; over problems alone
.91 to .95 without such an effect and .59 to .86 where its sd is three tenths of a problem's. Drawing seeds as well as
problems (Owen 2007) covers .95 to 1.00, intervals up to 1.8 times as wide.

Where all seeds score the same units and hold out a share h of something else, such as people, seeds vary by that alone,
and V_fit = s^2 (1/S + h/(1 - h)) (Nadeau and Bengio 2003). Metrics without units, such as a correlation error, have a t
interval over seeds of that variance; none where seeds hold out nothing and score the same units, since nothing then
tells of other units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ..errors import DataError
from .metric import Column, Metric
from .study import Study

FloatArray = npt.NDArray[np.float64]

N_BOOT = 2000
# Resamples that are computed at once: 250 of 10,000 problems are 20 MB.
_BLOCK = 250
_ROUNDING = 1e-12
COMPETITORS = ("yardstick", "llm")


@dataclass(frozen=True, order=True)
class Row:
    """A row of a protocol's table.

    Attributes
    ----------
    references, method
        Names; `references` is "" for a method that reads none.
    """

    references: str
    method: str


@dataclass(frozen=True)
class Difference:
    """An estimate with its interval.

    Attributes
    ----------
    estimate, low, high
        Of a - b, or of a mean.
    n_seeds, n_units
        Splits that both have, and problems in them; 0 units when the interval is over seeds alone.
    n_better
        Seeds in which a is better; 0 for a metric that ranks nothing.
    level
        Of the interval.
    """

    estimate: float
    low: float
    high: float
    n_seeds: int
    n_units: int
    n_better: int
    level: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside of the interval; never where there is none."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class UnitValues:
    """One row's values: units x seeds, NaN where a split did not score a unit.

    Attributes
    ----------
    values, weights
        Frames with units as index and seeds as columns.
    """

    values: pd.DataFrame
    weights: pd.DataFrame


class Comparison:
    """All rows of one column of one protocol.

    Parameters
    ----------
    study
        Says which way is better, and who competes.
    protocol
        A name.
    column
        What is compared.
    whole
        Rows over all problems (`ResultsStore.read()`).
    units
        Rows of units of the same protocol and metric (`ResultsStore.read(units=True)`); may be empty.
    """

    def __init__(self, study: Study, protocol: str, column: Column, whole: pd.DataFrame, units: pd.DataFrame) -> None:
        self.study, self.protocol, self.column = study, protocol, column
        self.metric: Metric = study.metric(column.metric)
        where = study.protocol(protocol)
        self._splits: dict[str, Any] = {"held_out": study.share_held_out(where), "same_units": where.same_units}
        mine = _picked(whole, protocol, column)
        self.by_seed = {
            Row(str(key[0]), str(key[1])): part.set_index("seed")["value"].sort_index()
            for key, part in mine.groupby(["references", "method"], sort=False)
        }
        self._units: dict[Row, UnitValues] = {}
        for key, part in _picked(units, protocol, column).groupby(["references", "method"], sort=False):
            value, weight = (
                part.pivot_table(index="unit", columns="seed", values=name) for name in ("value", "weight")
            )
            self._units[Row(str(key[0]), str(key[1]))] = UnitValues(value, weight)
        self._found: dict[tuple[Row, Row], Difference] = {}

    def rows(self, kinds: Iterable[str] = ()) -> list[Row]:
        """Rows that are there, in the order of the study's methods and references; of all kinds when none is named."""
        llms = ("", *self.study.references)
        return [
            Row(llm, method.name)
            for method in self.study.methods
            if not kinds or method.kind in kinds
            for llm in llms
            if Row(llm, method.name) in self.by_seed
        ]

    def kind(self, row: Row) -> str:
        """Of the row's method."""
        return self.study.method(row.method).kind

    def mean(self, row: Row) -> float:
        """Over seeds."""
        return float(self.by_seed[row].mean())

    def sd(self, row: Row) -> float:
        """Over seeds; NaN of one, and of infinite losses."""
        values = self.by_seed[row]
        return _exact(float(values.std())) if np.isfinite(values).all() else float("nan")

    def loss(self, values: pd.Series) -> float:
        """Mean of values, negated where larger is better."""
        return float(values.mean()) * (-1.0 if self.metric.lower_is_better is False else 1.0)

    def competitors(self, row: Row) -> list[Row]:
        """Yardsticks and LLMs in the row's reach that share a seed with it."""
        reach = self.study.reach(row.references)
        return [
            other
            for other in self.rows(COMPETITORS)
            if other.references in reach and other != row and self.pairs(row, other)
        ]

    def best_competitor(self, row: Row) -> Row | None:
        """The one that does best beside the row on the seeds they share; chosen on these very results.

        Of a run cut short, those that share fewer than half of the row's seeds stand back.
        """
        others = self.competitors(row)
        well = [other for other in others if 2 * len(self._shared(row, other)) >= len(self.by_seed[row])]

        def gap(other: Row) -> float:
            seeds = self._shared(row, other)
            return self.loss(self.by_seed[other][seeds] - self.by_seed[row][seeds])

        return min(well or others, key=gap) if others else None

    def best(self) -> Row | None:
        """The best of all but ceilings, whoever it is, as `rank` has it."""
        there = [row for row in self.rows() if self.kind(row) != "ceiling"]
        return min(there, key=self.rank) if there else None

    def rank(self, row: Row) -> tuple[bool, float]:
        """What rows are sorted by: mean loss on the seeds that they share; of a run cut short, few seeds come last."""
        seeds = self._common
        few = not seeds.isin(self.by_seed[row].index).all()
        return few, self.loss(self.by_seed[row] if few else self.by_seed[row][seeds])

    @cached_property
    def _common(self) -> pd.Index:
        """Seeds of all rows that have half of the most or more; of the one that has most where they share none."""
        there = [found.index for row, found in self.by_seed.items() if self.kind(row) != "ceiling"]
        there = there or [found.index for found in self.by_seed.values()]
        most = max(there, key=len)
        many = [seeds for seeds in there if 2 * len(seeds) >= len(most)]
        shared = most[[all(seed in seeds for seeds in many) for seed in most]]
        return shared if len(shared) else most

    def difference(self, a: Row, b: Row) -> Difference:
        """Estimate and interval of `a - b`, paired by seed.

        Raises
        ------
        DataError
            When they share no seed.
        """
        if (a, b) not in self._found:
            seeds = self._shared(a, b)
            if not len(seeds):
                raise DataError(
                    f"{a.method!r} and {b.method!r} share no seed in {self.protocol!r}; run the same seeds."
                )
            with np.errstate(invalid="ignore"):
                by_seed = self.by_seed[a][seeds] - self.by_seed[b][seeds]
            sign = {True: -1.0, False: 1.0, None: 0.0}[self.metric.lower_is_better]
            n_better = int((sign * by_seed > 0).sum())
            if a in self._units and b in self._units and np.isfinite(by_seed).all():
                found = bootstrap(self._units[a], self._units[b], self.metric, n_better=n_better, **self._splits)
            else:
                found = over_seeds(by_seed.to_numpy(), n_better=n_better, **self._splits)
            self._found[a, b] = found
        return self._found[a, b]

    def mean_with_interval(self, row: Row) -> Difference:
        """The row's mean by itself, with its interval: whether a bias is zero."""
        if row in self._units:
            return bootstrap(self._units[row], None, self.metric, **self._splits)
        return over_seeds(self.by_seed[row].to_numpy(), **self._splits)

    def pairs(self, a: Row, b: Row) -> bool:
        """Whether both are there and share a seed."""
        return a in self.by_seed and b in self.by_seed and len(self._shared(a, b)) > 0

    def _shared(self, a: Row, b: Row) -> pd.Index:
        return self.by_seed[a].index.intersection(self.by_seed[b].index)


def bootstrap(
    a: UnitValues,
    b: UnitValues | None,
    metric: Metric,
    *,
    level: float = 0.95,
    held_out: float = 0.0,
    same_units: bool = False,
    n_better: int = 0,
    n_boot: int = N_BOOT,
    seed: int = 0,
) -> Difference:
    """Estimate and interval of the mean over seeds of m_a(s) - m_b(s), or of m_a(s).

    Parameters
    ----------
    a, b
        Units by seeds; units and seeds that only one has are left out, and the weights are those of a.
    metric
        Says whether m is a root mean square.
    level, n_boot, seed
        Of the interval, and of its resamples.
    held_out
        Share of the same data that each seed holds out; 0 when seeds are independent.
    same_units
        Whether every seed scores the same units, and holds out something else.
    n_better
        Handed through.
    """
    if b is not None:
        a, b = _aligned(a, b)
    parts = [(sign, each) for sign, each in ((1.0, a), (-1.0, b)) if each is not None]
    there = a.values.notna().to_numpy()
    n_units, n_seeds = there.shape
    if not n_units or not n_seeds:
        raise DataError("the methods share no scored problem; compare methods of the same splits.")
    weights = np.where(there, a.weights.to_numpy(), 0.0)
    sums = [(sign, weights * np.where(there, each.values.to_numpy(), 0.0)) for sign, each in parts]
    rng = np.random.default_rng(seed)

    def by_seed(times: FloatArray) -> FloatArray:
        """Value of each seed when units are there so many times, `(n, n_seeds)`; NaN where none of its units is."""
        total = times @ weights
        with np.errstate(invalid="ignore", divide="ignore"):
            means = [(sign, times @ each / total) for sign, each in sums]
        return np.asarray(sum(sign * (np.sqrt(mean) if metric.root else mean) for sign, mean in means))

    found = by_seed(np.ones((1, n_units)))[0]
    estimate = float(found.mean())
    blocks = [min(_BLOCK, n_boot - done) for done in range(0, n_boot, _BLOCK)]
    share = np.full(n_units, 1 / n_units)
    drawn = np.concatenate([by_seed(rng.multinomial(n_units, share, size=size).astype(float)) for size in blocks])
    ends = np.quantile(np.nanmean(drawn, axis=1), [(1 - level) / 2, (1 + level) / 2])
    fit = 0.0
    if n_seeds > 1:
        seeds = found.var(ddof=1)
        if same_units:
            of_fits = seeds * (1 / n_seeds + held_out / (1 - held_out))
        else:
            of_fits = max(0.0, seeds - (1 - held_out) * np.nanvar(drawn, axis=0).mean()) / n_seeds
        fit = float(stats.t.ppf((1 + level) / 2, n_seeds - 1) * np.sqrt(of_fits))
    low, high = estimate - np.hypot(estimate - ends[0], fit), estimate + np.hypot(ends[1] - estimate, fit)
    return Difference(_exact(estimate), _exact(float(low)), _exact(float(high)), n_seeds, n_units, n_better, level)


def over_seeds(
    values: FloatArray, held_out: float, *, same_units: bool = False, level: float = 0.95, n_better: int = 0
) -> Difference:
    """Mean over seeds with a t interval, widened where seeds hold out shares of the same data.

    One seed has no interval, nor have seeds that hold out nothing and score the same units. Infinite losses have the
    range of the seeds for one; where both methods' losses are infinite they do not differ.
    """
    values = np.where(np.isnan(values), 0.0, values)
    n, mean = len(values), float(np.mean(values))
    if not np.isfinite(values).all():
        return Difference(mean, float(values.min()), float(values.max()), n, 0, n_better, level)
    if n < 2 or (same_units and not held_out):
        return Difference(_exact(mean), -np.inf, np.inf, n, 0, n_better, level)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + held_out / (1 - held_out)))
    return Difference(_exact(mean), _exact(mean - half), _exact(mean + half), n, 0, n_better, level)


def _exact(value: float) -> float:
    """Zero, where only rounding of equal numbers is left."""
    return 0.0 if abs(value) < _ROUNDING else value


def _aligned(a: UnitValues, b: UnitValues) -> tuple[UnitValues, UnitValues]:
    """Both on the units and seeds they share, NaN where one of them has no value."""
    units, seeds = a.values.index.intersection(b.values.index), a.values.columns.intersection(b.values.columns)
    both = a.values.loc[units, seeds].notna() & b.values.loc[units, seeds].notna()
    both = both.loc[both.any(axis=1), both.any(axis=0)]
    one, other = (
        UnitValues(each.values.loc[both.index, both.columns].where(both), each.weights.loc[both.index, both.columns])
        for each in (a, b)
    )
    return one, other


def _picked(frame: pd.DataFrame, protocol: str, column: Column) -> pd.DataFrame:
    """Rows of one column of one protocol."""
    chosen = frame["protocol"] == protocol
    for name, value in column.place.items():
        chosen &= frame[name] == value
    return frame[chosen]
