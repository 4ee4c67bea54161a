"""Pictures as SVG inside of a page, in the page's ink: they follow its light and dark."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..studies.comparison import Difference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of a strip, in its own units.
WIDTH, HEIGHT, EDGE = 180.0, 18.0, 8.0


@dataclass(frozen=True)
class Strip:
    """An interval on a line whose middle is zero.

    Attributes
    ----------
    low, high, at
        Places from the left, within the strip.
    sure
        Whether the interval excludes zero.
    beyond
        -1 or 1 where the estimate lies beyond the left or right end, else 0.
    """

    low: float
    high: float
    at: float
    sure: bool
    beyond: int


def strips(differences: Iterable[Difference | None]) -> list[Strip | None]:
    """Intervals on one common scale, which half of them fit well; what lies beyond is drawn as an arrow."""
    given = list(differences)
    ends = [abs(end) for each in given if each is not None for end in (each.low, each.high) if np.isfinite(end)]
    reach = 1.6 * float(np.median(ends)) if ends and np.median(ends) > 0 else 1.0
    return [None if each is None else _strip(each, reach) for each in given]


def _strip(found: Difference, reach: float) -> Strip:
    def place(value: float) -> float:
        return WIDTH / 2 * (1 + (1 - 2 * EDGE / WIDTH) * float(np.clip(value / reach, -1, 1)))

    beyond = int(np.sign(found.estimate)) if abs(found.estimate) > reach else 0
    return Strip(place(found.low), place(found.high), place(found.estimate), found.excludes_zero, beyond)


def inline_svg(figure: Figure, salt: str) -> str:
    """A matplotlib figure as an SVG element, without background, its black the page's ink.

    Parameters
    ----------
    figure
        Is not changed.
    salt
        Different for each figure of a page: ids within an SVG are seen by the whole page.
    """
    import matplotlib as mpl

    file = io.StringIO()
    undated = {"Date": None, "Creator": None, "Type": None, "Format": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", transparent=True, bbox_inches="tight", metadata=undated)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for black in ("#000000", "black"):
        for what in ("fill", "stroke"):
            text = text.replace(f"{what}: {black}", f"{what}: currentColor")
    return text.replace("<svg ", '<svg fill="currentColor" role="presentation" ', 1)
