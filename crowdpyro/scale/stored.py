"""A crowd that stays on disk: what is said of it is summed block by block.

    counts_tk = sum over blocks of the answers k to problem t

so that shares, medians, majorities, distances and intervals need a few numbers a problem, and correlations a few a pair
of problems, however many people there are. What needs every answer at once says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..aggregation.summaries import median_of, most_given, summarise
from ..crowd import Crowd
from ..crowd_form import ABSENT, codes_of, refuse_off_scale
from ..errors import DataError
from ..inference.checks import correlation_of, pair_sums
from ..models.ballot import Ballot
from ..models.scales import Categorical, Continuous, Ordinal, Scale, scale_from_dict
from ..outside import DAMAGE, refused
from ..survey import WEIGHT
from ..theory.moments import CrowdMoments, RunningMoments
from . import needed
from .grid import Grid
from .in_order import in_order
from .memory import bytes_of, summing, threads_within
from .store import LEVELS, RESPONSE, Store, attributes_of, grid_of

if TYPE_CHECKING:
    from distributed import Client

FloatArray = npt.NDArray[np.float64]
Found = TypeVar("Found")


@dataclass(frozen=True)
class _Reading:
    """What a worker does to a part of the store: reads its answers as numbers, and sums them up."""

    path: Path
    summed: Callable[[npt.NDArray[Any], FloatArray | None], Any]

    def __call__(self, part: tuple[slice, slice]) -> Any:
        zarr = needed("zarr")
        group = zarr.open_group(str(self.path), mode="r", zarr_format=3)
        weights = _Named(self.path, group[WEIGHT])[part[0]] if WEIGHT in group else None
        scale = scale_from_dict(json.loads(str(group.attrs["scale"])))
        return self.summed(_Named(self.path, group[RESPONSE], scale)[part], weights)


@dataclass(frozen=True)
class _Named:
    """An array of a store, which says where it is damaged, and for answers where they are off their scale."""

    path: Path
    array: Any
    scale: Scale | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array, as dask asks for it."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """Of the array."""
        return int(self.array.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        kind: np.dtype[Any] = np.dtype(self.array.dtype)
        return kind

    def __getitem__(self, part: slice | tuple[slice, ...]) -> npt.NDArray[Any]:
        try:
            found = np.asarray(self.array[part])
        except DAMAGE as error:
            first, end, _ = (part[0] if isinstance(part, tuple) else part).indices(self.shape[0])
            what = "answers" if self.array.basename == RESPONSE else self.array.basename
            raise DataError(
                f"store {str(self.path)!r}: {what} of people {first} to {end - 1} are damaged ({error}); delete that "
                "file and generate again, or copy the store again."
            ) from error
        if self.scale is not None:
            refuse_off_scale(found, self.scale)
        return found


class StoredCrowd(Crowd):
    """A crowd in a zarr store; `Crowd.open` makes it.

    Parameters
    ----------
    path
        The store's folder.
    memory
        Most that a process may hold while it sums up: bytes, or a text such as `2 GB`.
    client
        Of a dask.distributed cluster that sums up; threads of this process when None.

    Attributes
    ----------
    dataset
        As of any crowd, its answers Dask arrays that are read when they are computed.

    Raises
    ------
    DataError
        When the folder is no store, is damaged or lacks blocks, and where the extra `scale` is not installed.
    """

    def __init__(self, path: str | Path, *, memory: int | str | None = None, client: Client | None = None) -> None:
        self.path, self.memory, self.client = Path(path).absolute(), memory, client
        attrs = attributes_of(self.path)
        self.grid: Grid = grid_of(self.path, attrs)
        missing = Store(self.path, self.grid).missing()
        if missing:
            raise DataError(
                f"store {str(self.path)!r} lacks {len(missing):,} of {len(self.grid.blocks):,} blocks; the call that "
                "began it goes on with them."
            )
        with refused(f"store {str(self.path)!r} is damaged", "generate it again, or copy it again"):
            super().__init__(_lazy(self.path))

    # -- sums --------------------------------------------------------------------------------------------------

    def _mapped(
        self,
        summed: Callable[[npt.NDArray[Any], FloatArray | None], Found],
        parts: list[tuple[slice, slice]],
    ) -> Iterator[tuple[tuple[slice, slice], Found]]:
        """Sums of parts, in their order."""
        job = _Reading(self.path, summed)
        threads = threads_within(self.memory, self._each, int(np.prod(self.grid.block)))
        if self.client is not None:
            from .cluster import mapped

            yield from mapped(self.client, job, parts)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from in_order(lambda part: pool.submit(job, part), parts, 2 * threads)

    @property
    def _each(self) -> int:
        """Bytes that an answer takes while it is summed up."""
        response = self.dataset["response"]
        return int(summing(response.dtype.itemsize) * np.prod(response.shape[2:], dtype=int))

    @property
    def _blocks(self) -> list[tuple[slice, slice]]:
        return [self.grid.span(block) for block in self.grid.blocks]

    @cached_property
    def _counted(self) -> FloatArray:
        """Members, weights and squared weights of each level, `(3, n_problems, n_levels)`; of ballots of each option.

        Of ballots a last column holds who voted at all.
        """
        scale = self.scale
        if isinstance(scale, Continuous) or self._expected:
            raise DataError("counts need drawn answers on a discrete scale; these are numbers.")
        n_levels = scale.n_levels + isinstance(scale, Ballot)
        found = np.zeros((3, self.n_problems, n_levels))
        summed = _votes if isinstance(scale, Ballot) else _Levels(n_levels)
        for part, each in self._mapped(summed, self._blocks):
            found[:, part[1]] += each
        return found

    @cached_property
    def _numbers(self) -> RunningMoments:
        """Running moments of answers that are numbers."""
        found: dict[int, RunningMoments] = {}
        for part, each in self._mapped(RunningMoments.of, self._blocks):
            start = part[1].start
            found[start] = found[start] + each if start in found else each
        columns = [found[start] for start in sorted(found)]
        return RunningMoments(
            np.concatenate([each.n for each in columns]), np.concatenate([each.sums for each in columns], axis=-1)
        )

    @property
    def _weighted(self) -> bool:
        return WEIGHT in self.dataset.coords

    # -- what a crowd says -------------------------------------------------------------------------------------

    def counts(self) -> FloatArray:
        """As `Crowd.counts`.

        Raises
        ------
        DataError
            As `Crowd.counts`, and when a block is damaged.
        """
        return np.array(self._counted[1, :, : self._n_levels])

    def shares(self) -> FloatArray:
        """As `Crowd.shares`.

        Raises
        ------
        DataError
            As `Crowd.counts`, and when a block is damaged.
        """
        counts = self.counts()
        total = self._counted[1, :, -1:] if isinstance(self.scale, Ballot) else counts.sum(axis=1, keepdims=True)
        return np.where(total > 0, counts / np.where(total > 0, total, 1.0), np.nan)

    @property
    def _n_levels(self) -> int:
        scale = self.scale
        return 0 if isinstance(scale, Continuous) else scale.n_levels

    def moments(self, *, shares: bool = False) -> CrowdMoments:
        """What `theory.crowd_interval` takes in the place of the crowd's answers.

        Parameters
        ----------
        shares
            Of one indicator a level rather than of numbers.

        Returns
        -------
        CrowdMoments
            In the unit of the response; shares have none.

        Raises
        ------
        DataError
            For ballots, labels without `shares=True`, and numbers with it.
        """
        scale = self.scale
        if isinstance(scale, Ballot):
            raise DataError("moments: a ballot is a number an option; give `crowd_interval` the votes of codes().")
        if isinstance(scale, Continuous) or self._expected:
            if shares:
                raise DataError("shares=True: numbers are no options; leave it out.")
            return self._numbers.done(unequal=self._weighted)
        if isinstance(scale, Categorical) and not shares:
            raise DataError(f"labels {', '.join(scale.levels)} have no mean; give shares=True.")
        values = np.eye(scale.n_levels) if shares else scale.values
        n, total, squares = self._counted
        return CrowdMoments.of_counts(n, total, squares, values, unequal=self._weighted)

    def correlation(self, min_pairs: int = 10) -> pd.DataFrame:
        """As `Crowd.correlation`; memory grows with the square of the number of problems.

        Raises
        ------
        DataError
            When the sums of all pairs do not fit in the memory.
        """
        if isinstance(self.scale, Ballot):
            return super().correlation(min_pairs)
        n = self.n_problems
        need = 8 * (11 * n * n + 5 * n)
        rows = (bytes_of(self.memory) - need) // (8 * 5 * n)
        if rows < 1:
            raise DataError(f"memory={self.memory!r}: correlations of {n:,} problems take {need / 1e6:,.0f} MB.")
        mean = self.aggregate("mean").to_numpy(dtype=float) if self.scale.kind != "categorical" else np.zeros(1)
        centre = float(np.nanmean(mean)) if np.isfinite(mean).any() else 0.0
        # Reading a block for a few of its rows would read it again for the others.
        step = min(self.grid.block[0], int(rows))
        total = np.zeros((5, n, n))
        for start in range(0, self.n_participants, step):
            part = slice(start, min(start + step, self.n_participants))
            values = self._in_unit(codes_of(self.dataset["response"][part].to_numpy()))
            weights = self.dataset[WEIGHT][part].to_numpy() if self._weighted else None
            total += pair_sums(values, centre, weights)
        return pd.DataFrame(correlation_of(total, min_pairs), index=self.problems, columns=self.problems)

    def aggregate(self, method: str = "mean", *, seed: int = 0, **options: Any) -> pd.Series | pd.DataFrame:
        """As `Crowd.aggregate`; models of annotation take the whole crowd into memory, where it fits.

        Raises
        ------
        DataError
            When the method does not suit the scale, or answers of one problem do not fit in the memory.
        """
        scale = self.scale
        if method not in ("mean", "median", "majority") or options or isinstance(scale, Ballot):
            return super().aggregate(method, seed=seed, **options)
        if method == "majority" and not (isinstance(scale, Continuous) or self._expected):
            counts = self.counts()
            found = most_given(counts, seed, self.n_participants if self._weighted else None)
            return self._named(np.where(counts.sum(axis=1) > 0, found, np.nan))
        if method == "majority" or isinstance(scale, Categorical):
            # The error that says what to give.
            return Crowd(self.dataset.isel(participant=slice(0, 1))).aggregate(method)
        if isinstance(scale, Ordinal) and not self._expected:
            counts = self.counts()
            total = counts.sum(axis=1)
            mean = counts @ scale.values / np.where(total > 0, total, 1.0)
            values = median_of(counts, scale.values) if method == "median" else np.where(total > 0, mean, np.nan)
        elif method == "mean":
            total, mean, _ = self._numbers.sums[0]
            values = np.where(total > 0, mean, np.nan)
        else:
            values = np.concatenate(list(self._medians()))
        return pd.Series(values, index=self.problems, name=method)

    def _medians(self) -> Iterator[FloatArray]:
        """Medians of numbers, as many problems at a time as everybody's answers fit in memory."""
        each = 24 * self.n_participants
        columns = bytes_of(self.memory) // each
        if columns < 1:
            raise DataError(
                f"memory={self.memory!r}: the median of a problem takes everybody's answers, {each / 1e6:,.0f} MB; "
                "give that, or method='mean'."
            )
        weights = self.weights
        for start in range(0, self.n_problems, int(columns)):
            part = self.dataset["response"][:, start : start + int(columns)].to_numpy()
            yield summarise(part, "median", weights=weights)

    def codes(self) -> FloatArray:
        """As `Crowd.codes`: all of it, in memory.

        Raises
        ------
        DataError
            When that is more than the memory that it was opened with.
        """
        need = self.dataset["response"].size * 17
        if need > bytes_of(self.memory):
            raise DataError(
                f"the answers of {self!r} take {need / 1e9:,.1f} GB in memory, more than memory={self.memory!r}; take "
                "counts, shares, correlation, aggregate or moments, which do not need them; parts of crowd.dataset; or "
                "open it with more memory=."
            )
        return super().codes()


@dataclass(frozen=True)
class _Levels:
    """Members, weights and squared weights of each level, `(3, n_problems, n_levels)`."""

    n_levels: int

    def __call__(self, codes: npt.NDArray[Any], weights: FloatArray | None) -> FloatArray:
        found = np.empty((3, codes.shape[1], self.n_levels))
        for level in range(self.n_levels):
            given = codes == level
            if weights is None:
                found[:, :, level] = np.count_nonzero(given, axis=0)
            else:
                found[:, :, level] = np.stack([weights > 0, weights, weights**2]) @ given
        return found


def _votes(ballots: npt.NDArray[Any], weights: FloatArray | None) -> FloatArray:
    """Votes of each option and who voted at all, `(3, n_problems, n_options + 1)`, by members, weights and squares."""
    there = ballots[..., 0] != ABSENT
    w = np.ones(len(ballots)) if weights is None else weights
    votes = np.concatenate([np.where(there[..., None], ballots, 0), there[..., None]], axis=2)
    return np.stack([np.tensordot(each, votes, axes=(0, 0)) for each in (w > 0, w, w**2)])


def _lazy(path: Path) -> xr.Dataset:
    """The store as any crowd's dataset, on Dask."""
    dask = needed("dask.array")
    group = needed("zarr").open_group(str(path), mode="r", zarr_format=3)
    raw = xr.open_zarr(path, chunks={}, consolidated=False, mask_and_scale=False, decode_times=False, zarr_format=3)
    coords: dict[str, Any] = {}
    places = {f"profile_{name}": place for place, name in enumerate(json.loads(raw.attrs["traits"]))}
    scale = scale_from_dict(json.loads(raw.attrs["scale"]))
    lazy = {
        name: dask.from_array(
            _Named(path, group[name], scale if name == RESPONSE else None),
            chunks=group[name].chunks,
            name=False,
            fancy=False,
        )
        for name in map(str, raw)
        if raw[name].dtype.kind != "T"
    }
    for name in sorted(map(str, raw), key=lambda each: (places.get(each, -1), each)):
        found = raw[name]
        if name == RESPONSE:
            continue
        if LEVELS in found.attrs:
            named = found.attrs[LEVELS]
            if found.dtype.kind != "i" or not isinstance(named, list) or not all(type(each) is str for each in named):
                raise DataError(f"store {str(path)!r}: {name} holds {found.dtype}, and its levels are {named!r}.")
            levels = np.asarray(named, dtype=str)
            coords[name] = (found.dims, lazy[name].map_blocks(_decoded, levels, dtype=levels.dtype))
        elif found.dtype.kind == "T":
            coords[name] = (found.dims, found.to_numpy().astype(object).astype(str))
        else:
            coords[name] = (found.dims, lazy[name])
    attrs = {name: value for name, value in raw.attrs.items() if name not in ("made_from", "tile", "traits")}
    return xr.Dataset({RESPONSE: raw[RESPONSE].copy(data=lazy[RESPONSE]).drop_attrs()}, coords, attrs)


def _decoded(codes: npt.NDArray[Any], levels: npt.NDArray[np.str_]) -> npt.NDArray[Any]:
    if codes.size and not 0 <= codes.min() <= codes.max() < len(levels):
        raise DataError(f"a trait of the store has code {codes.max()}, and {len(levels)} levels; copy it again.")
    return np.asarray(levels[codes])
