"""People's answers, their twins' and a crowd's as the interval's kernel takes them: checked, one column a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .checked import BoolArray, FloatArray, IntArray, numbers
from .moments import CrowdMoments
from .sample import Sample

Missing: TypeAlias = Literal["error", "omit"]


@dataclass(frozen=True)
class Virtual:
    """The people's twins, and a crowd.

    Attributes
    ----------
    twin, crowd
        Shapes `(n, B)` and `(N, B)`; absent answers hold 0 and weigh nothing. `(0, B)` where members are summed up.
    members
        How the crowd is averaged.
    shared
        Units of people and of the crowd that are the same person's twin.
    shared_design
        Sum over those of the product of their weights, `(B,)`.
    """

    twin: FloatArray
    crowd: FloatArray
    members: Sample | CrowdMoments
    shared: tuple[IntArray, IntArray]
    shared_design: FloatArray


@dataclass(frozen=True)
class Paired:
    """People beside their twins, and a crowd.

    Attributes
    ----------
    y
        Shape `(n, B)`; absent answers hold 0 and weigh nothing.
    people
        How they are averaged.
    virtual
        Twins and crowd; None for people alone.
    shape
        Of the problems.
    labels
        Ids along each axis of it.
    """

    y: FloatArray
    people: Sample
    virtual: Virtual | None
    shape: tuple[int, ...]
    labels: tuple[pd.Index, ...]

    @classmethod
    def of(
        cls,
        y: npt.ArrayLike,
        twin_y: npt.ArrayLike | None = None,
        crowd: npt.ArrayLike | CrowdMoments | None = None,
        method: str = "rectified",
        overlap: bool | npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        crowd_weights: npt.ArrayLike | None = None,
        clusters: npt.ArrayLike | None = None,
        crowd_clusters: npt.ArrayLike | None = None,
        missing: Missing = "error",
        labels: pd.Index | tuple[pd.Index, ...] = (),
        strata: npt.ArrayLike | None = None,
        crowd_strata: npt.ArrayLike | None = None,
    ) -> Paired:
        """Check everything that `crowd_interval` is given; see there."""
        if missing not in get_args(Missing):
            raise DataError(f"missing={missing!r}: give 'error', or 'omit' for NaN that means no answer.")
        given, there = _answers(y, "y", missing)
        shape = given.shape[1:]
        labels = (labels,) if isinstance(labels, pd.Index) else tuple(labels)
        if labels and tuple(map(len, labels)) != shape:
            raise DataError(f"labels name {tuple(map(len, labels))} problems, y holds {shape}; give one index an axis.")
        people_weights = _weights(weights, given.shape, "weights")
        if (twin_y is None) != (crowd is None) or (twin_y is None and method != "human_only"):
            raise DataError(f"method={method!r} takes twin_y and crowd; give both, or method='human_only'.")
        if twin_y is None or crowd is None:
            answers = _columns(given, there)
            people = Sample.of(answers, people_weights, clusters, "y", present=there, strata=strata)
            return cls(answers, people, None, shape, labels)
        twins, told = _answers(twin_y, "twin_y", missing)
        if isinstance(crowd, CrowdMoments):
            if overlap or any(each is not None for each in (crowd_weights, crowd_clusters, crowd_strata)):
                raise DataError(
                    "crowd is summed up: overlap, crowd_weights, crowd_clusters and crowd_strata need its members; "
                    "leave them out, or give their answers."
                )
            virtual_shape = crowd.shape
        else:
            others, met = _answers(crowd, "crowd", missing)
            virtual_shape = others.shape[1:]
        for name, wanted, found in (("twin_y", given.shape, twins.shape), ("crowd", shape, virtual_shape)):
            if wanted != found:
                raise DataError(f"{name} has shape {found}, which does not fit {wanted} of y; see `crowd_interval`.")
        both = there if told is None else told if there is None else there & told
        answers, twin = _columns(given, both), _columns(twins, both)
        people = Sample.of(answers, people_weights, clusters, "y", present=both, strata=strata)
        none: IntArray = np.zeros(0, dtype=np.int64)
        shared, design = (none, none), np.zeros(answers.shape[1])
        if isinstance(crowd, CrowdMoments):
            return cls(answers, people, Virtual(twin, answers[:0], crowd.checked(), shared, design), shape, labels)
        everybody = _columns(others, met)
        members_weights = _weights(crowd_weights, others.shape, "crowd_weights")
        members = Sample.of(everybody, members_weights, crowd_clusters, "crowd", present=met, strata=crowd_strata)
        if overlap is not None and overlap is not False:
            shared = _shared(overlap, twin, everybody, people, members, clusters, crowd_clusters)
            if people.unit is None and members.unit is None:
                design = (people.share(answers)[shared[0]] * members.share(everybody)[shared[1]]).sum(axis=0)
        return cls(answers, people, Virtual(twin, everybody, members, shared, design), shape, labels)


def _answers(given: npt.ArrayLike, name: str, missing: Missing) -> tuple[FloatArray, BoolArray | None]:
    """Numbers with an axis of people, and which of them are there, `(n, B)`; None for all."""
    # Finite floats, the usual case, are told by one sum.
    finite = isinstance(given, np.ndarray) and given.dtype == np.float64 and _finite(given)
    found: FloatArray = np.asarray(given, dtype=float) if finite else numbers(given, name, gaps=True)
    if found.ndim == 0:
        raise DataError(f"{name} is the single number {float(found)}; give one answer a person.")
    if not found.size:
        raise DataError(f"{name} has shape {found.shape}; give at least two people and a problem.")
    gaps = np.isnan(found) if not finite else None
    if gaps is None or not gaps.any():
        return found, None
    if missing == "error":
        place = tuple(int(i) for i in np.argwhere(gaps)[0])
        raise DataError(
            f"{name} is NaN at {place} ({int(gaps.sum())} such); give every answer, or missing='omit' where NaN means "
            "that there is none."
        )
    return found, ~gaps.reshape(len(found), -1)


def _finite(x: FloatArray) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.isfinite(x.sum()))


def _columns(given: FloatArray, there: BoolArray | None) -> FloatArray:
    """A column a problem, 0 where somebody is absent."""
    flat = given.reshape(len(given), -1)
    return flat if there is None else np.where(there, flat, 0.0)


def _weights(given: npt.ArrayLike | None, shape: tuple[int, ...], name: str) -> FloatArray | None:
    """Weights as `(n, 1)` or `(n, B)`."""
    if given is None:
        return None
    found = numbers(given, name)
    if found.shape not in (shape[:1], shape):
        raise DataError(f"{name} has shape {found.shape}; give one a person, {shape[:1]}, or one an answer, {shape}.")
    if (found < 0).any():
        raise DataError(f"{name} is {found.min():g} at its least; give weights of at least 0.")
    return found.reshape(shape[0], -1)


def _shared(
    overlap: bool | npt.ArrayLike,
    twin: FloatArray,
    crowd: FloatArray,
    people: Sample,
    members: Sample,
    clusters: npt.ArrayLike | None,
    crowd_clusters: npt.ArrayLike | None,
) -> tuple[IntArray, IntArray]:
    """Which units are the same person's."""
    n, N = len(twin), len(crowd)
    if people.unit is not None or members.unit is not None:
        if overlap is not True or clusters is None or crowd_clusters is None:
            raise DataError("overlap with clusters: give True, and equal labels in clusters and crowd_clusters.")
        mine, theirs = pd.unique(np.asarray(clusters)), pd.unique(np.asarray(crowd_clusters))
        rows = pd.Index(theirs).get_indexer(pd.Index(mine))
    else:
        if overlap is True and n > N:
            raise DataError(f"overlap=True: {n} people have twins, the crowd holds {N} members; give their rows.")
        rows = np.arange(n) if overlap is True else np.asarray(overlap)
        if rows.shape != (n,) or rows.dtype.kind not in "iu" or (rows < -1).any() or (rows >= N).any():
            raise DataError(f"overlap: give True, or {n} whole numbers from -1 (none) to {N - 1}, rows of the crowd.")
        used = rows[rows >= 0]
        if len(np.unique(used)) < len(used):
            raise DataError("overlap names a row of the crowd twice; a twin stands there once.")
    found = np.flatnonzero(rows >= 0).astype(np.int64)
    return found, np.asarray(rows[found], dtype=np.int64)
