"""References that are drawn: one answer of the LLM's a problem, or one a participant (paper, Theorem 4.6)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import MissingReferenceError
from .models.scales import Continuous, Ordinal, Scale
from .references import References

ReferenceUse: TypeAlias = Literal["expected", "shared_draw", "per_participant"]


def drawn_reference(
    references: References | None,
    use: ReferenceUse,
    problems: pd.Index,
    n_participants: int,
    scale: Scale,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32] | None:
    """y_ref for every pair where it is drawn, shape `(n_participants, n_problems)`; None where it is expected.

    Draws are of the first LLM.

    Raises
    ------
    MissingReferenceError
        Without references, or on a scale whose reference is no number.
    """
    if use == "expected":
        return None
    if not isinstance(scale, Ordinal | Continuous):
        raise MissingReferenceError(
            f"reference={use!r} draws the LLM's answer as a number, which {scale.kind} answers are not; give "
            "reference='expected'."
        )
    if references is None:
        raise MissingReferenceError(f"reference={use!r} draws the LLM's answers; pass references= of the problems.")
    rows = n_participants if use == "per_participant" else 1
    base = references.select(problems).fill("error").sources[0].base()
    if isinstance(scale, Continuous):
        # Problems may have fewer draws than others: they stand first.
        chosen = rng.integers((~np.isnan(base)).sum(axis=1), size=(rows, len(base)))
        drawn = base[np.arange(len(base)), chosen]
    else:
        below = rng.random((rows, len(base), 1)) > base.cumsum(axis=1)[None, :, :-1]
        drawn = scale.values[below.sum(axis=-1)]
    return np.broadcast_to(drawn, (n_participants, len(base))).astype(np.float32)
