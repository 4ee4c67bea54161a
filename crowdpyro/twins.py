"""Digital twins: what an LLM answers in the role of each participant stands in the problem's reference's place.

y_ref_it = E[Phi(x_t | person i)],   in the unit of the response, or log weights of the options

The problem's covariates are those of the twins' mean answer. A panel's sources are averaged, one without twins saying
the same to everybody. Twins of training are remembered by the person's id and the problem's.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError, MissingReferenceError
from .features import log_weights
from .fitted import Fitted
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Scale
from .reference_table import mean_of_known
from .references import References
from .tables import shown

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


def has_twins(references: References | None) -> bool:
    """Whether any of the LLMs answers in the role of each participant."""
    return references is not None and any(source.kind == "participant" for source in references)


def told_by_twins(references: References, people: pd.Index, problems: pd.Index, scale: Scale) -> Float32Array:
    """References of every pair, shape `(n_participants, n_problems, ...)`, NaN where there is no twin's answer."""
    each = []
    for source in references:
        on = source.reindex(problems)
        if source.kind == "participant":
            ids = pd.Index([_label(name) for name in source.personas])
            repeated = ids[ids.duplicated()]
            if len(repeated):
                raise DataError(f"references of {source.name!r}: two participants are {shown(repeated[0])}; keep one.")
            place = ids.get_indexer(pd.Index([_label(person) for person in people]))
            values = np.where((place >= 0)[:, None, None], on.values.swapaxes(0, 1)[place], np.nan)
        else:
            values = np.broadcast_to(on.base(), (len(people), *on.base().shape))
        if not isinstance(scale, Categorical | Ballot):
            values = mean_of_known(values, axis=2) if isinstance(scale, Continuous) else values @ scale.values
        each.append(values)
    mean = np.mean(each, axis=0)
    return (log_weights(mean, scale) if isinstance(scale, Categorical | Ballot) else mean).astype(np.float32)


def twins_of(
    fitted: Fitted, people: pd.Index, problems: pd.DataFrame, references: References | None
) -> Float32Array | None:
    """The same for a fitted model: twins of training, and those given, which win; None where nobody ever had one."""
    if fitted.twins is None and not has_twins(references):
        return None
    shape = (len(people), len(problems), *fitted.reference.shape[1:])
    found = np.full(shape, np.nan, dtype=np.float32)
    if fitted.twins is not None:
        row, column = fitted.profiles.index.get_indexer(people), fitted.rows(problems)
        known = (row >= 0)[:, None] & (column >= 0)
        found[known] = fitted.twins[row[:, None], column][known]
    if references is not None and has_twins(references):
        given = told_by_twins(references, people, problems.index, fitted.scale)
        found = np.where(np.isnan(given), found, given)
    return found


def all_known(
    twins: Float32Array, people: pd.Index, problems: pd.Index, pairs: npt.NDArray[np.bool_] | None = None
) -> Float32Array:
    """The twins' answers themselves.

    Raises
    ------
    MissingReferenceError
        When one of these pairs, by default of all, has none.
    """
    gaps = np.isnan(twins) if twins.ndim == 2 else np.isnan(twins).any(axis=2)
    gaps = gaps if pairs is None else gaps & pairs
    if gaps.any():
        person, problem = np.argwhere(gaps)[0]
        raise MissingReferenceError(
            f"participant {shown(people[person])} has no twin's answer to problem {shown(problems[problem])} "
            f"({int(gaps.sum())} such pairs); pass references= with a column 'participant' that hold it, or leave the "
            "pair out."
        )
    return twins


def _label(person: Hashable) -> str:
    """An id as references write it."""
    return str(int(person)) if isinstance(person, float | np.floating) and person.is_integer() else str(person).strip()
