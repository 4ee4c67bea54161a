"""How a crowd's answers are kept: codes as the smallest integers with -1 for absent, numbers as float32 with NaN."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Ordinal, Scale, scale_to_dict
from .survey import WEIGHT

FloatArray = npt.NDArray[np.float64]

ABSENT = -1
DIMS = ("participant", "problem", "option")


def dims_of(name: str, ndim: int) -> tuple[str, ...]:
    """Dimensions of a crowd's array of this name; raises `DataError` for a name that no crowd has."""
    if name == "response":
        return DIMS[:ndim]
    if name in DIMS:
        return (name,)
    if name == "text":
        return ("problem",)
    if name == WEIGHT or name.startswith("profile_"):
        return ("participant",)
    raise DataError(f"array {name!r} is none of a crowd's, which are response, ids, text, {WEIGHT} and profile_NAME.")


def codes_of(response: npt.NDArray[Any]) -> FloatArray:
    """Codes, values or ballots of a crowd's stored answers, NaN for absent."""
    values = response.astype(float)
    return np.where(response == ABSENT, np.nan, values) if np.issubdtype(response.dtype, np.integer) else values


def recorded(scale: Scale, source: str, **attrs: Any) -> dict[str, Any]:
    """A crowd's attributes: scale, source and version, and whatever else of these is not None."""
    return {
        "scale": json.dumps(scale_to_dict(scale)),
        "source": source,
        "crowdpyro_version": importlib.metadata.version("crowdpyro"),
        **{name: value for name, value in attrs.items() if value is not None},
    }


def stored_kind(scale: Scale, decision: str = "draw") -> np.dtype[Any]:
    """The type of a crowd's answers: the smallest integers that hold codes and -1, or float32."""
    if isinstance(scale, Continuous) or decision != "draw":
        return np.dtype(np.float32)
    return np.min_scalar_type(-max(_highest(scale), 1) - 1)


def refuse_off_scale(response: npt.NDArray[Any], scale: Scale) -> None:
    """Raise `DataError` for codes that the scale does not have."""
    if response.dtype.kind != "i" or isinstance(scale, Continuous) or not response.size:
        return
    low, high = int(response.min()), int(response.max())
    if low < ABSENT or high > _highest(scale):
        raise DataError(f"response holds the code {low if low < ABSENT else high}, which {scale} does not have.")


def _highest(scale: Ballot | Categorical | Ordinal) -> int:
    """Code of a discrete scale."""
    return int(scale.highest if isinstance(scale, Ballot) else scale.n_levels - 1)


def as_stored(values: npt.NDArray[np.float32], scale: Scale, decision: str = "draw") -> npt.NDArray[Any]:
    """Answers as a crowd keeps them, from codes or values with NaN for absent."""
    kind = stored_kind(scale, decision)
    return values if kind.kind == "f" else np.where(np.isnan(values), ABSENT, values).astype(kind)
