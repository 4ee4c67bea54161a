"""How strongly two traits hang together, of any kinds: Cramer's V, freed of what it shows by chance.

V^2 = max(0, X^2/n - (r-1)(k-1)/(n-1)) / (min(r', k') - 1),    r' = r - (r-1)^2/(n-1),  k' likewise

Without the correction, independent traits of 131 people with 6 and 8 levels have V of about .23. Numbers are cut at the
quintiles of the people that one compares with. Of people with survey weights n is Kish's effective number (Rao and
Scott's first-order correction, for weights that have nothing to do with the traits).

References
----------
W. Bergsma (2013), A bias-correction for Cramer's V and Tschuprow's T, J. Korean Statistical Society 42. J. N. K. Rao,
A. J. Scott (1981), The analysis of categorical data from complex sample surveys, JASA 76.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..survey import checked_weights, effective_sample_size
from .margins import level_texts

FloatArray = npt.NDArray[np.float64]


def cramers_v(counts: npt.ArrayLike, *, corrected: bool = True) -> float:
    """Cramer's V of a table of counts; 0 where a trait has one level.

    Parameters
    ----------
    counts
        Shape `(n_levels, n_levels of the other)`.
    corrected
        Bergsma's correction.

    Returns
    -------
    float
        From 0 to 1, without a unit.

    Raises
    ------
    DataError
        When counts are no table of finite numbers of at least 0.

    Examples
    --------
    >>> round(cramers_v([[20, 10], [10, 20]], corrected=False), 4)
    0.3333
    """
    try:
        table = np.asarray(counts, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"counts are no table of numbers ({error}); count people first, as pd.crosstab does."
        ) from error
    if table.ndim != 2 or not np.isfinite(table).all() or (table < 0).any():
        raise DataError(f"counts have shape {table.shape}; give a table of finite counts of at least 0.")
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns = table.shape
    n = table.sum()
    if min(rows, columns) < 2 or (corrected and n < 2):
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    square = float(((table - expected) ** 2 / expected).sum() / n)
    if not corrected:
        return float(np.sqrt(square / (min(rows, columns) - 1)))
    square = max(square - (rows - 1) * (columns - 1) / (n - 1), 0.0)
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(min(np.sqrt(square / least), 1.0)) if least > 0 else 0.0


def pairwise_v(
    profiles: pd.DataFrame,
    like: pd.DataFrame | None = None,
    *,
    weights: npt.ArrayLike | None = None,
    corrected: bool = True,
) -> pd.Series:
    """Cramer's V of every two traits.

    Parameters
    ----------
    profiles
        One row a person.
    like
        Whose quintiles cut the numbers; their own when None.
    weights
        Of the people, `(n,)`; equal ones when None.
    corrected
        As in `cramers_v`.

    Returns
    -------
    Series
        Indexed by `trait` and `other`.

    Raises
    ------
    DataError
        When weights are not one a person, negative, or all 0.
    """
    levels = {str(name): _levels(profiles[name], (profiles if like is None else like)[name]) for name in profiles}
    shares = np.ones(len(profiles)) if weights is None else checked_weights(weights, len(profiles))
    shares = shares * effective_sample_size(shares) / len(shares)
    found = {}
    for one, other in combinations(levels, 2):
        first, second = levels[one], levels[other]
        counts = np.zeros((first.max() + 1, second.max() + 1))
        np.add.at(counts, (first, second), shares)
        found[one, other] = cramers_v(counts, corrected=corrected)
    index = pd.MultiIndex.from_tuples(found, names=["trait", "other"]) if found else None
    return pd.Series(list(found.values()), index=index, name="v", dtype=float)


def _levels(column: pd.Series, like: pd.Series) -> npt.NDArray[np.int64]:
    """Codes of labels, or of fifths of numbers."""
    if pd.api.types.is_numeric_dtype(like) and not pd.api.types.is_bool_dtype(like):
        cuts = np.unique(np.nanquantile(like.to_numpy(dtype=float, na_value=np.nan), [0.2, 0.4, 0.6, 0.8]))
        values = column.to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values)).astype(np.int64)
    return pd.factorize(level_texts(column))[0].astype(np.int64)
