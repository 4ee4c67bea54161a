"""Samples drawn stratum by stratum, in primary sampling units (PSUs): variances between PSUs within strata.

    Var(m) = sum_h G_h/(G_h - 1) sum_{g in h} (u_g - ubar_h)^2,    u_g = sum_{i in g} w_i (x_i - m)
    df     = PSUs - strata

u_g is what unit g adds to the linearised mean (Taylor), G_h the units of stratum h, drawn with replacement or few of
many. Where a problem was not answered by everybody, those who did are a domain: units without an answer stay in G_h
with u_g = 0, and df counts units and strata with answers. (W. A. Fuller 2009, Sampling Statistics, section 4.3.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..tables import shown

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Strata:
    """Which units were drawn together.

    Attributes
    ----------
    of_unit
        Stratum of each unit, 0, 1, ..., `(G,)`.
    size
        G_h, units of each stratum.
    """

    of_unit: IntArray
    size: FloatArray

    @classmethod
    def of(cls, labels: npt.ArrayLike, n: int, unit: IntArray | None, name: str) -> Strata:
        """Strata from a label an answer.

        Raises
        ------
        DataError
            For an answer without a label, a cluster in two strata, and a stratum of one unit.
        """
        given = np.asarray(labels)
        if given.shape != (n,):
            raise DataError(f"strata of {name} have shape {given.shape}; give one label an answer, ({n},).")
        code, names = pd.factorize(given)
        if (code < 0).any():
            raise DataError(f"strata of {name}: answer number {int(code.argmin())} has none; label every answer.")
        of_unit = code
        if unit is not None:
            of_unit = np.zeros(unit.max() + 1, dtype=np.int64)
            of_unit[unit] = code
            if (of_unit[unit] != code).any():
                place = int((of_unit[unit] != code).argmax())
                both = ", ".join(shown(names[each]) for each in (code[place], of_unit[unit[place]]))
                raise DataError(
                    f"clusters of {name}: the unit of answer number {place} stands in strata {both}; label units "
                    "apart, such as by stratum and number."
                )
        size = np.bincount(of_unit, minlength=len(names)).astype(float)
        if (size < 2).any():
            lonely = names[size < 2]
            raise DataError(
                f"stratum {shown(lonely[0])} has one primary sampling unit ({len(lonely)} such of {len(names)}), "
                "and no variance within it; join it with the stratum most like it, or leave the strata out, which "
                "errs on the safe side."
            )
        return cls(of_unit.astype(np.int64), size)

    def within(self, u: FloatArray) -> FloatArray:
        """Influences `(G, B)` about their stratum's mean, scaled so that their squares sum to the variance."""
        total = np.zeros((len(self.size), u.shape[1]))
        np.add.at(total, self.of_unit, u)
        scale = np.sqrt(self.size / (self.size - 1))[:, None]
        return np.asarray((u - (total / self.size[:, None])[self.of_unit]) * scale[self.of_unit])

    def freedom(self, present: npt.NDArray[np.bool_], name: str) -> FloatArray:
        """PSUs less strata, of those with answers, `present` being `(G, B)`; raises `DataError` where none is left."""
        seen = np.zeros((len(self.size), present.shape[1]), dtype=bool)
        np.logical_or.at(seen, self.of_unit, present)
        found = (present.sum(axis=0) - seen.sum(axis=0)).astype(float)
        if (found < 1).any():
            raise DataError(
                f"strata of {name}: problem number {int(found.argmin())} has answers of no more units than strata; "
                "join strata, or leave them out."
            )
        return np.asarray(found)
