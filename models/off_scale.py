"""The message about answers that are off their scale: the column, the first of them, how many, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def off_scale(
    name: str, answers: Any, wrong: npt.NDArray[np.bool_], allowed: str, rows: Sequence[Any] | pd.Index | None
) -> str:
    """Message, without its full stop, about the first wrong answer, how many there are, and which others."""
    places = np.flatnonzero(wrong)
    first = int(places[0])
    kinds = list(dict.fromkeys(_shown(answers[place]) for place in places[:10_000]))
    also = f"; also {', '.join(kinds[1:5])}{', ...' if len(kinds) > 5 else ''}" if len(kinds) > 1 else ""
    row = first if rows is None else rows[first]
    # A table read from a file has lines, by `crowdpyro.tables.LINE`; models import nothing of the floors above.
    where = "line" if getattr(rows, "name", None) == "line" else "row"
    return (
        f"column {name!r}: answer {kinds[0]} ({where} {row}, {len(places)} such rows{also}) is not {allowed}. "
        "Correct or drop these rows, or declare another scale"
    )


def label_text(answer: Any) -> str:
    """A label as text; whole floats lose their `.0`, so that 1.0 read from a file matches "1"."""
    if isinstance(answer, float | np.floating) and float(answer).is_integer():
        return str(int(answer))
    return str(answer)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else repr(value)
