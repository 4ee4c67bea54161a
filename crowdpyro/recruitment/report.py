"""What was recruited against what was wanted: margins, W1 to the target, how traits hang together, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..tables import counted
from ..theory.profiles import ProfileDistance, profile_w1
from .association import pairwise_v
from .generator import candidates_of, people_of
from .margins import Margin, Margins, level_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class RecruitmentReport:
    """Recruited profiles beside published margins and real people.

    Attributes
    ----------
    recruited, target
        Profiles, the target's without gaps; None where only margins are known.
    weights
        Of the target's people, `(n_target,)`, which sum to one; None without a target.
    margins
        One row a level: `trait`, `level`, shares `wanted` and `achieved`, and their `difference`.
    distance
        W1 of recruited and target profiles beside that of two halves of the target; None without a target.
    association
        Bias-corrected Cramer's V of every two traits, `target` and `recruited`; None without a target.
    """

    recruited: pd.DataFrame
    target: pd.DataFrame | None
    weights: npt.NDArray[np.float64] | None
    margins: pd.DataFrame
    distance: ProfileDistance | None
    association: pd.DataFrame | None

    @property
    def largest_gap(self) -> float:
        """Largest |achieved - wanted| of all levels."""
        return float(self.margins["difference"].abs().max()) if len(self.margins) else 0.0

    def figure(self) -> Figure:
        """Margins of every trait, the two that hang together most, and V of all pairs, like the paper's Figure 3."""
        from .picture import page

        return page(self)

    def __repr__(self) -> str:
        told = (
            f"{counted(len(self.recruited), 'person', 'people')}, {counted(self.margins['trait'].nunique(), 'margin')}"
        )
        if len(self.margins):
            worst = self.margins.iloc[int(self.margins["difference"].abs().to_numpy().argmax())]
            off = f"{worst['achieved']:.4g} for {worst['wanted']:.4g}"
            told += f", furthest off {worst['trait']} {worst['level']} {off}"
        return f"<RecruitmentReport: {told}{'' if self.distance is None else f'; {self.distance!r}'}>"


def recruitment_report(
    recruited: pd.DataFrame,
    target: pd.DataFrame | None = None,
    *,
    margins: Margins | None = None,
    weights: npt.ArrayLike | None = None,
    ordinal: Mapping[str, Sequence[object]] | None = None,
    max_n: int = 500,
    seed: int = 0,
) -> RecruitmentReport:
    """Compare recruited profiles with published margins, with real people, or with both.

    Parameters
    ----------
    recruited
        What a generator drew.
    target
        Real people of the population that is meant.
    margins
        Published ones; those of the target's labels, and of numbers of few values, when None.
    weights
        Of the target's people, `(n_target,)`.
    ordinal
        Levels in order of ordered traits, for W1.
    max_n
        Most profiles on either side of W1.
    seed
        Of its subsamples.

    Returns
    -------
    RecruitmentReport
        Errors of the margins in shares, W1 to the target, and how traits hang together.

    Raises
    ------
    DataError
        When there is nothing to compare with, or a trait is missing.

    References
    ----------
    W1: Theorem 4.1 of the paper (`theory.profile_w1`); V: W. Bergsma (2013), A bias-correction for Cramer's V and
    Tschuprow's T, Journal of the Korean Statistical Society 42.
    """
    if target is None and margins is None:
        raise DataError("target and margins are both None; give people, margins, or both.")
    people_of(recruited, "recruited")
    real = shares = None
    if target is not None:
        target, shares = candidates_of(target, weights, "target")
        weights = None if np.ptp(shares) == 0 else shares
        absent = [name for name in target.columns if name not in recruited.columns]
        if absent:
            raise DataError(f"recruited lacks column {absent[0]!r} of target; leave it out there.")
        real, recruited = _without_gaps(target), _without_gaps(recruited)
    tables = () if margins is None else margins.tables
    if margins is None and real is not None and (labels := _labels_of(real)):
        tables = Margins.of(real, labels, weights).tables
    rows = [row for margin in tables for row in _achieved(margin, recruited)]
    distance = association = None
    if real is not None:
        mine = recruited[list(real.columns)]
        if min(len(real) // 2, len(mine)) >= 2:
            distance = profile_w1(real, mine, weights=weights, ordinal=ordinal, max_n=max_n, seed=seed)
        pairs = {"target": pairwise_v(real, weights=shares), "recruited": pairwise_v(mine, real)}
        association = pd.DataFrame(pairs)
    table = pd.DataFrame(rows, columns=["trait", "level", "wanted", "achieved"])
    table["difference"] = table["achieved"] - table["wanted"]
    return RecruitmentReport(recruited, real, shares, table, distance, association)


def _labels_of(people: pd.DataFrame) -> list[str | tuple[str, ...]]:
    """Traits with levels to compare: all but numbers of many values, of which W1 speaks."""
    kept: list[str | tuple[str, ...]] = [str(name) for name in people if not is_spread(people[name])]
    return kept


def is_spread(column: pd.Series) -> bool:
    """Whether a trait is a number of more than twenty values."""
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return bool(number and column.nunique() > 20)


def _achieved(margin: Margin, people: pd.DataFrame) -> list[tuple[str, str, float, float]]:
    """Wanted and achieved share of every level; who has none of them stands in a row of its own."""
    known = margin.known(people)
    counts = np.bincount(margin.codes(people[known]), minlength=margin.shares.size) / len(people)
    rows = zip(margin.labels(), margin.shares.ravel(), counts, strict=True)
    found = [(margin.name, level, float(wanted), float(share)) for level, wanted, share in rows]
    if not known.all():
        found.append((margin.name, "none of these", 0.0, float((~known).mean())))
    return found


def _without_gaps(people: pd.DataFrame) -> pd.DataFrame:
    """Gaps as a level, in numbers as the median."""
    filled = {}
    for name, column in people.items():
        if not column.isna().any():
            filled[name] = column
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            filled[name] = column.fillna(column.median() if column.notna().any() else 0.0)
        else:
            filled[name] = level_texts(column)
    return pd.DataFrame(filled, index=people.index)
