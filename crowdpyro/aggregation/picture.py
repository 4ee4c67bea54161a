"""A picture of what people say of each truth."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _QUIET = "#222222", "#6b6b6b"
_MOST = 9
# Beyond so many labels, probabilities are not written in the cells, and not every label on the axes.
_MOST_WRITTEN, _MOST_TICKS = 6, 11


def confusion_matrices(matrices: npt.ArrayLike, titles: Sequence[str], labels: Sequence[str]) -> Figure:
    """Up to nine confusion matrices on one colour scale, three a row.

    Parameters
    ----------
    matrices
        P(label | truth), shape `(n_matrices, n_labels, n_labels)`, rows of one truth.
    titles
        Whose each is.
    labels
        The labels as a person would write them.

    Returns
    -------
    Figure
        Closed in pyplot: a notebook shows it once, as the value of its cell.

    Raises
    ------
    DataError
        Unless there are one to nine square matrices, with one title each and one label a row.
    """
    import matplotlib.pyplot as plt

    given = np.asarray(matrices, dtype=float)
    n_labels = len(labels)
    if given.shape != (len(titles), n_labels, n_labels) or not 1 <= len(given) <= _MOST:
        raise DataError(
            f"matrices have shape {given.shape}; give one to {_MOST} of {n_labels} x {n_labels}, and a title each."
        )
    n_columns = min(3, len(given))
    n_rows = -(-len(given) // n_columns)
    step = -(-n_labels // _MOST_TICKS)
    ticks = [_short(label, 11) for label in labels][::step]
    figure = plt.figure(figsize=(max(4.4, 2.7 * n_columns), 0.9 + 2.5 * n_rows), layout="compressed", dpi=120)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for place, panel in enumerate(panels.ravel()):
        if place >= len(given):
            panel.set_visible(False)
            continue
        panel.imshow(given[place], cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        panel.set_title(_short(titles[place], 30), loc="left", fontsize=8.5, color=_INK, pad=5, parse_math=False)
        for truth, label in np.ndindex(n_labels, n_labels) if n_labels <= _MOST_WRITTEN else ():
            share = given[place, truth, label]
            colour = "white" if share > 0.55 else _INK
            panel.text(label, truth, f"{share:.2f}", ha="center", va="center", fontsize=7.5, color=colour)
        panel.set_xticks(range(0, n_labels, step), ticks, parse_math=False)
        panel.set_yticks(range(0, n_labels, step), ticks, parse_math=False)
        # Below the last panel of each column.
        panel.tick_params(labelsize=8, colors=_QUIET, length=0, labelbottom=place + n_columns >= len(given))
        panel.spines[:].set_visible(False)
    figure.supxlabel("label given", fontsize=8.5, color=_QUIET)
    figure.supylabel("truth", fontsize=8.5, color=_QUIET)
    figure.suptitle("Probability of each label by truth; rows sum to 1", x=0.01, ha="left", fontsize=9.5, color=_INK)
    plt.close(figure)
    return figure


def _short(text: str, width: int) -> str:
    """Text on one line."""
    return textwrap.shorten(" ".join(str(text).split()), width, placeholder=" …") or str(text)[:width]
