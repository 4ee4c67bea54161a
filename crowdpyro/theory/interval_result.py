"""What every interval returns: the interval, what its width is made of, and the humans' own beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .checked import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class CrowdInterval:
    """Confidence intervals of mean answers, one a problem.

    All arrays have the shape of the problems, `()` for one; their unit is the response's, variances its square.

    Attributes
    ----------
    estimate, low, high
        The centre, and the ends; a one-sided interval ends at infinity.
    se, df
        Standard error of the estimate, and degrees of freedom of its quantile (infinite for the normal's).
    parts
        What se^2 adds up from: `crowd`, `residual`, and `overlap` where twins stand in the crowd.
    effective_sample_size
        So many answers of people alone would have given an interval as short: n (human half-width / half-width)^2.
    human_only
        The interval of the same people without a crowd; None of that interval itself.
    method, alternative, alpha
        How it was made; alpha is that of each single interval.
    lam
        Weight of the twins: 1 rectified, 0 humans only.
    rbar, eps_0
        Mean and root mean square of the residuals, y - twin; of people alone, of y.
    n, n_crowd
        Answers of people, and of the crowd.
    n_effective
        Kish's effective number of people's answers, (sum w)^2 / sum w^2; n where all count alike.
    design_effect
        Variance of the people's own mean over that of as many answers of people drawn at random.
    labels
        Ids along each axis of the problems; empty where none were given.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    se: FloatArray
    df: FloatArray
    parts: Mapping[str, FloatArray]
    effective_sample_size: FloatArray
    human_only: CrowdInterval | None
    method: str
    alternative: str
    alpha: float
    lam: FloatArray
    rbar: FloatArray
    eps_0: FloatArray
    n: FloatArray
    n_crowd: FloatArray
    n_effective: FloatArray
    design_effect: FloatArray
    labels: tuple[pd.Index, ...] = ()

    @property
    def half_width(self) -> FloatArray:
        """From the estimate to its finite end."""
        return np.asarray(self.estimate - self.low if self.alternative == "larger" else self.high - self.estimate)

    def __getitem__(self, place: Any) -> CrowdInterval:
        """The interval of one problem, or of several, by position."""
        some = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in some.items():
            if isinstance(value, np.ndarray):
                some[name] = np.asarray(value[place])
        some["parts"] = {name: np.asarray(part[place]) for name, part in self.parts.items()}
        some["human_only"] = None if self.human_only is None else self.human_only[place]
        some["labels"] = _labels_of(self.labels, place)
        return CrowdInterval(**some)

    def to_frame(self) -> pd.DataFrame:
        """One row a problem (and option): the interval, what it is made of, the humans' own and the sizes."""
        columns = {
            name: np.ravel(getattr(self, name))
            for name in ("estimate", "low", "high", "se", "df", "lam", "rbar", "eps_0", "effective_sample_size")
        }
        columns |= {f"var_{name}": np.ravel(part) for name, part in self.parts.items()}
        human = self.human_only or self
        columns |= {f"human_{name}": np.ravel(getattr(human, name)) for name in ("estimate", "low", "high")}
        columns |= {"n": np.ravel(self.n).astype(int), "n_crowd": np.ravel(self.n_crowd).astype(int)}
        columns |= {name: np.ravel(getattr(self, name)) for name in ("n_effective", "design_effect")}
        shape = np.shape(self.estimate)
        index: pd.Index = pd.RangeIndex(len(columns["n"]), name="problem")
        if len(self.labels) == 1:
            index = self.labels[0]
        elif len(self.labels) > 1:
            index = pd.MultiIndex.from_product(self.labels)
        elif len(shape) > 1:
            index = pd.MultiIndex.from_product([range(size) for size in shape])
        return pd.DataFrame({"method": self.method, **columns}, index=index)

    def plot(self, truth: npt.ArrayLike | None = None) -> Figure:
        """Forest plot: every problem's interval above the humans' own (see `plots.forest`).

        Raises
        ------
        DataError
            For more than 60 rows, or a truth of another shape.
        """
        from ..plots import forest

        return forest(self, truth)

    def __repr__(self) -> str:
        level = f"{100 * (1 - self.alpha):.6g} %"
        side = "" if self.alternative == "two-sided" else f", {self.alternative}"
        if np.ndim(self.estimate) == 0:
            text = f"<CrowdInterval {self.method}, {level}{side}: {_words(self)}, se {self.se:.3g}"
            text += "" if np.isinf(self.df) else f", df {self.df:.1f}"
            if abs(self.design_effect - 1) > 1e-9:
                text += f", design effect {self.design_effect:.2f}"
            if self.human_only is not None:
                text += (
                    f"; people alone, n = {self.n:.0f}: {_words(self.human_only)}; worth n = "
                    f"{self.effective_sample_size:.0f}"
                )
            return text + ">"
        shown = ["estimate", "low", "high", "se", "df", "human_low", "human_high", "effective_sample_size"]
        table = self.to_frame()[shown if self.human_only is not None else shown[:5]]
        n = f"{self.n.min():.0f}" if self.n.min() == self.n.max() else f"{self.n.min():.0f} to {self.n.max():.0f}"
        head = f"CrowdInterval {self.method}, {level}{side}: {len(table)} intervals, n = {n}, "
        head += f"N = {self.n_crowd.max():.0f}"
        return f"{head}\n{table.to_string(max_rows=12, float_format='{:.3f}'.format)}"


def _labels_of(labels: tuple[pd.Index, ...], place: Any) -> tuple[pd.Index, ...]:
    """Those that are left at a place along the first axes; none where arrays pick from several."""
    if not labels:
        return ()
    places = place if isinstance(place, tuple) else (place,)
    one = len(places) == 1
    if any(not isinstance(each, slice) and (each is None or each is ... or np.ndim(each) > one) for each in places):
        return ()
    kept = [index[each] for index, each in zip(labels, places, strict=False)]
    return (*(each for each in kept if isinstance(each, pd.Index)), *labels[len(places) :])


def _words(interval: CrowdInterval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
