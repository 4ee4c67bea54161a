"""Raking: the weights nearest to those that people have, with the margins that are asked for.

min over w of KL(w || w_0)   subject to   sum_{i : level_m(i) = k} w_i = share_mk   for every margin m and level k

Iterative proportional fitting over the distinct profiles, which is short over sparse cells. Where it has not converged,
two linear programmes say why: margins that nobody's weights can meet are named, the fewest that contradict each
other; where some cells must be empty, they are found and left out, after which the fit is geometric again.

References
----------
W. E. Deming, F. F. Stephan (1940), On a least squares adjustment of a sampled frequency table when the expected
marginal totals are known, Annals of Mathematical Statistics 11.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .margins import Codes, Margin

FloatArray = npt.NDArray[np.float64]

_SWEEPS, _CLOSE = 500, 1e-10
# Of what a programme's solver leaves as zero.
_SLACK = 1e-7


def raked(codes: list[Codes], margins: list[Margin], base: FloatArray) -> FloatArray:
    """Weights of people that sum to one and have these margins.

    Parameters
    ----------
    codes
        Of each margin, the place of every person in its table.
    margins
        What is asked for.
    base
        Weights to stay close to, at least 0.

    Raises
    ------
    DataError
        For a level that nobody of weight has, and for margins that contradict each other among these people.
    """
    table = np.stack(codes, axis=1)
    cells, place = np.unique(table, axis=0, return_inverse=True)
    place = place.ravel()
    mass: FloatArray = np.bincount(place, base, minlength=len(cells)).astype(float)
    targets = [margin.shares.ravel() for margin in margins]
    for column, margin in enumerate(margins):
        _somebody(cells[:, column], mass, margin)
    fitted, error = _fit(cells, targets, mass)
    if error > _CLOSE:
        explain_contradiction(cells, margins, mass > 0)
        fitted, error = _fit(cells, targets, np.where(_possible(cells, targets, mass > 0), mass, 0.0))
    if error > 1e-7:
        raise DataError(
            f"margins {', '.join(margin.name for margin in margins)}: raking stopped {error:.2g} from them; some "
            "weights grow without end. Drop a margin, or join its rare levels."
        )
    return np.asarray((fitted / np.where(mass > 0, mass, 1.0))[place] * base)


def _somebody(column: Codes, mass: FloatArray, margin: Margin) -> None:
    """Raise `DataError` for a level with a share that nobody has."""
    held = np.bincount(column, mass, minlength=margin.shares.size)
    empty = (held <= 0) & (margin.shares.ravel() > 0)
    if empty.any():
        level = margin.labels()[int(empty.argmax())]
        raise DataError(
            f"margin {margin.name!r}: share {margin.shares.ravel()[empty][0]:.6g} of {level!r}, and nobody of the pool "
            f"is that ({int(empty.sum())} such); add such people, join the level with another, or give 0."
        )


def _fit(cells: Codes, targets: list[FloatArray], mass: FloatArray) -> tuple[FloatArray, float]:
    """Iterative proportional fitting; the weights of cells and how far their margins are from the targets."""
    weight, error = mass / mass.sum(), np.inf
    for _ in range(_SWEEPS):
        error = 0.0
        for column, target in enumerate(targets):
            now = np.bincount(cells[:, column], weight, minlength=len(target))
            error = max(error, float(np.abs(now - target).max()))
            weight = weight * (target / np.where(now > 0, now, 1.0))[cells[:, column]]
        if error <= _CLOSE:
            break
    return weight, error


def explain_contradiction(cells: Codes, margins: list[Margin], held: npt.NDArray[np.bool_]) -> None:
    """Raise `DataError`, naming the fewest margins that contradict each other in these cells; pass when none do."""
    chosen = list(range(len(margins)))
    if _shortfall(cells, margins, chosen, held)[0] <= _SLACK:
        return
    for each in list(chosen):
        fewer = [other for other in chosen if other != each]
        if fewer and _shortfall(cells, margins, fewer, held)[0] > _SLACK:
            chosen = fewer
    gap, told = _shortfall(cells, margins, chosen, held)
    names = ", ".join(repr(margins[each].name) for each in chosen)
    raise DataError(
        f"margins {names} contradict each other among these people: whatever their weights, shares are off by "
        f"{gap:.3g} in all, {told}. Drop or correct one of them, or add people whose profiles join their levels."
    )


def _shortfall(
    cells: Codes, margins: list[Margin], chosen: list[int], held: npt.NDArray[np.bool_]
) -> tuple[float, str]:
    """Least sum of |achieved - wanted| over the levels of some margins, and the level that is furthest off."""
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, hstack

    sums, wanted, names = constraints(cells[held][:, chosen], [margins[each] for each in chosen])
    rows, n_cells = sums.shape
    slack = eye_array(rows)
    matrix: Any = hstack([sums, slack, -slack], format="csr")
    cost = np.concatenate([np.zeros(n_cells), np.ones(2 * rows)])
    found = linprog(cost, A_eq=matrix, b_eq=wanted, method="highs")
    if not found.success or found.fun is None or found.x is None:
        raise DataError(f"margins: the programme that compares them has no solution ({found.message}).")
    achieved = sums @ found.x[:n_cells]
    worst = int(np.abs(achieved - wanted).argmax())
    return float(found.fun), f"{names[worst]!r} {achieved[worst]:.4g} instead of {wanted[worst]:.4g} at best"


def _possible(cells: Codes, targets: list[FloatArray], held: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which cells are positive in some solution: those of the largest support, from one programme.

    max sum u   subject to   A w = s b,  0 <= u <= min(w, 1),  s >= 0: solutions add up, so that all that can be are.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    sums = vstack([indicator(cells[held, column], len(target)) for column, target in enumerate(targets)])
    wanted = np.concatenate(targets)
    n_cells = int(held.sum())
    nothing: Any = csr_array((len(wanted), n_cells))
    equal: Any = hstack([sums, nothing, csr_array(-wanted[:, None])], format="csr")
    below: Any = hstack([-eye_array(n_cells), eye_array(n_cells), csr_array((n_cells, 1))], format="csr")
    cost = np.concatenate([np.zeros(n_cells), -np.ones(n_cells), [0.0]])
    bounds = [(0, None)] * n_cells + [(0, 1)] * n_cells + [(0, None)]
    found = linprog(
        cost, A_eq=equal, b_eq=np.zeros(len(wanted)), A_ub=below, b_ub=np.zeros(n_cells), bounds=bounds, method="highs"
    )
    possible = held.copy()
    if found.x is not None:
        possible[held] = found.x[n_cells : 2 * n_cells] > 0.5
    return possible


def constraints(cells: Codes, margins: list[Margin]) -> tuple[Any, FloatArray, list[str]]:
    """Sums over cells as a sparse matrix, the shares they are to be, and their names."""
    from scipy.sparse import vstack

    sums = vstack([indicator(cells[:, column], margin.shares.size) for column, margin in enumerate(margins)])
    names = [f"{margin.name} {level}" for margin in margins for level in margin.labels()]
    return sums.tocsr(), np.concatenate([margin.shares.ravel() for margin in margins]), names


def indicator(column: Codes, n_levels: int) -> Any:
    """Sparse `(n_levels, n_cells)`: which cells have a level."""
    from scipy.sparse import csr_array

    n = len(column)
    return csr_array((np.ones(n), (column, np.arange(n))), shape=(n_levels, n))
