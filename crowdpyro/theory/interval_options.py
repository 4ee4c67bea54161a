"""What makes one interval of the same numbers another: method, side, level, weight of the twins, divisor, quantile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.special import ndtri, stdtrit

from ..errors import DataError
from .checked import FloatArray, chance

Method: TypeAlias = Literal["rectified", "power_tuned", "theorem_4_6", "absolute_bias", "human_only"]
Alternative: TypeAlias = Literal["two-sided", "larger", "smaller"]
Quantile: TypeAlias = Literal["t", "normal"]
_PRINTED = ("theorem_4_6", "absolute_bias")


@dataclass(frozen=True)
class Options:
    """What makes one interval of the same numbers another."""

    method: Method
    alternative: Alternative
    alpha: float
    lam: float | None
    ddof: int | None
    quantile: Quantile | None

    @classmethod
    def checked(
        cls,
        method: Method = "rectified",
        alternative: Alternative = "two-sided",
        alpha: float = 0.05,
        lam: float | None = None,
        ddof: int | None = None,
        quantile: Quantile | None = None,
    ) -> Options:
        """Options; a wrong one raises `DataError`."""
        choices: Mapping[str, tuple[object, tuple[object, ...]]] = {
            "method": (method, get_args(Method)),
            "alternative": (alternative, get_args(Alternative)),
            "ddof": (ddof, (None, 0, 1)),
            "quantile": (quantile, (None, *get_args(Quantile))),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise DataError(f"{name}={value!r}: give one of {', '.join(map(repr, allowed))}.")
        if lam is not None and (method != "power_tuned" or not 0 <= lam <= 1):
            raise DataError(f"lam={lam!r}, method={method!r}: give a number in [0, 1], and method='power_tuned'.")
        return cls(method, alternative, chance(alpha, "alpha"), lam, ddof, quantile)

    def of_each(self, n: int) -> Options:
        """The same, for one of n intervals that are to hold together."""
        return replace(self, alpha=self.alpha / n)

    def of_method(self, method: Method) -> Options:
        """The same of a method, with its defaults where nothing was said."""
        printed = method in _PRINTED
        ddof = self.ddof if self.ddof is not None else 0 if printed else 1
        return replace(self, method=method, ddof=ddof, quantile=self.quantile or ("normal" if printed else "t"))

    @property
    def divisor(self) -> int:
        """What a variance's divisor is short of n."""
        return 0 if self.ddof == 0 else 1

    def ends(
        self, estimate: FloatArray, se: FloatArray, df: FloatArray, more: FloatArray | float = 0.0
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Low, high, and the distance to a finite end: `more` plus a quantile times the standard error."""
        tail = self.alpha / 2 if self.alternative == "two-sided" else self.alpha
        same = df[:1] if (df == df[0]).all() else df
        margin = more - se * (stdtrit(same, tail) if self.quantile == "t" else ndtri(tail))
        low = estimate - margin if self.alternative != "smaller" else np.full_like(estimate, -np.inf)
        high = estimate + margin if self.alternative != "larger" else np.full_like(estimate, np.inf)
        return low, high, margin
