"""Controlled rounding: how many people of each cell, so that every quota is met exactly.

x_c = n w_c,   y_c in {floor x_c, ceil x_c},   floor(n share_mk) <= sum_{c in mk} y_c <= ceil(n share_mk),   sum y = n

so that a quota which is whole is met, and any other to less than one person. Of all such y one is drawn: the programme
maximises sum_c (y_c - floor x_c) (logit f_c + Logistic noise), f_c the fraction of x_c, as if each cell were rounded
up with chance f_c by itself, given that the quotas hold.

References
----------
L. H. Cox (1987), A constructive procedure for unbiased controlled rounding, JASA 82.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from ..errors import DataError
from .margins import Codes, Margin
from .raking import constraints

FloatArray = npt.NDArray[np.float64]

# n times a share that was divided by a sum is whole only so far.
_WHOLE = 1e-6
# Any solution near the best one is a fair draw.
_SOLVER: Any = {"time_limit": 120.0, "mip_rel_gap": 0.01}


def rounded(
    cells: Codes, shares: FloatArray, margins: list[Margin], n: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Numbers of people, one a cell, that sum to n and meet every quota.

    Parameters
    ----------
    cells
        Place of each cell in every margin's table, shape `(n_cells, n_margins)`.
    shares
        Of each cell, with these margins.
    margins
        Whose shares times n are the quotas.
    n
        People.
    rng
        Of the draw.

    Raises
    ------
    DataError
        When whole people cannot meet all quotas.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    wanted = n * shares
    low = np.floor(wanted + _WHOLE)
    fraction = np.clip(wanted - low, 0.0, 1.0)
    loose = fraction > _WHOLE
    if not loose.any():
        return low.astype(np.int64)
    left = round(n - float(low.sum()))
    gain = logit(fraction[loose]) + rng.logistic(size=int(loose.sum()))
    if len(margins) == 1 and len(cells) == margins[0].shares.size:
        # One table and a cell a level: the best are the solution (10,000 levels take a solver 88 s).
        counts = low.astype(np.int64)
        counts[np.flatnonzero(loose)[np.argsort(-gain)[:left]]] += 1
        return counts
    sums, quotas, _ = constraints(cells, margins)
    quotas = n * quotas
    fixed = sums @ low
    least, most = np.floor(quotas + _WHOLE) - fixed, np.ceil(quotas - _WHOLE) - fixed
    free: Any = sums[:, loose]
    rules = [LinearConstraint(free, least, most), LinearConstraint(np.ones((1, int(loose.sum()))), left, left)]
    # Of more than two margins, the neighbours of x may not do: a cell may then take a few more.
    whole = np.ones(len(gain), dtype=np.int64)
    for most_up in (1, 4):
        found = milp(-gain, constraints=rules, integrality=whole, bounds=Bounds(0, most_up), options=_SOLVER)
        if found.x is not None:
            counts = low.astype(np.int64)
            counts[loose] += np.round(found.x).astype(np.int64)
            return counts
    names = ", ".join(repr(margin.name) for margin in margins)
    raise DataError(
        f"n={n}: no {n} people meet the quotas of {names} exactly; ask for more people or for fewer traits."
    )


def quota_rows(
    codes: Codes, shares: FloatArray, margins: list[Margin], n: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Rows of n people who meet every quota, drawn by their shares within each combination of levels, in any order.

    Parameters
    ----------
    codes
        Place of each person in every margin's table, shape `(n_people, n_margins)`.
    shares
        Of each person, with these margins.
    margins, n, rng
        As in `rounded`.
    """
    cells, place = np.unique(codes, axis=0, return_inverse=True)
    place = place.ravel()
    mass = np.bincount(place, shares, minlength=len(cells)).astype(float)
    counts = rounded(cells, mass, margins, n, rng)
    members = np.split(np.argsort(place, kind="stable"), np.bincount(place).cumsum()[:-1])
    chosen = []
    for cell in np.flatnonzero(counts):
        within = shares[members[cell]]
        chosen.append(rng.choice(members[cell], size=counts[cell], p=within / within.sum()))
    return rng.permutation(np.concatenate(chosen)).astype(np.int64)
