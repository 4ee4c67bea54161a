"""A crowd on disk: a zarr store that is written block by block, and that is whole or known not to be.

    CROWD.zarr/response/c/I/J      answers of block (I, J): int8 or the like, Blosc and a checksum
    CROWD.zarr/profile_NAME/c/I    traits of block I's people, texts as codes of the levels in its attributes
    CROWD.zarr/problem, text, ...  the problems, written at once
    CROWD.zarr/zarr.json           scale, seed, versions, and what every answer was made from

Every file is written beside its place and renamed into it, so that a block is there or is not; its people stand there
before its answers do. Which blocks are done is read off the disk, never remembered.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..checkpoint import show_changes
from ..crowd_form import ABSENT, recorded, stored_kind
from ..errors import DataError, ModelError
from ..models.ballot import Ballot
from ..outside import DAMAGE, json_of, refused
from ..survey import WEIGHT
from . import needed
from .grid import Block, Grid
from .metadata import refuse_blocks, refuse_foreign
from .plan import Plan

RESPONSE = "response"
LEVELS = "levels"


@dataclass(frozen=True)
class Store:
    """A crowd's folder; make it, or go on with it, by `prepared`.

    Attributes
    ----------
    path
        The folder.
    grid
        Its tiles and blocks.
    """

    path: Path
    grid: Grid

    @classmethod
    def prepared(cls, path: str | Path, plan: Plan) -> Store:
        """The store of a plan, made where it is not there yet; blocks that are there are kept.

        Raises
        ------
        DataError
            For a path that is something else.
        ModelError
            When it is the store of another crowd, naming what differs.
        OSError
            When it cannot be written.
        """
        path = Path(path)
        if path.exists():
            attrs = attributes_of(path)
            before = attrs.get("made_from")
            with refused(f"store {str(path)!r} does not say what it was made from", "give another path"):
                changed = show_changes(json_of(before) if isinstance(before, str) else {}, plan.made_from)
            if changed:
                raise ModelError(
                    f"store {str(path)!r} belongs to another crowd: {'; '.join(changed)}. Put that back to go on, or "
                    "give another path."
                )
            return cls(path, grid_of(path, attrs))
        draft = path.parent / f".{secrets.token_hex(8)}.zarr"
        try:
            with _written(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                _lay_out(draft, plan)
                os.replace(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return cls(path, plan.grid)

    def missing(self) -> list[Block]:
        """Blocks that are not done, those of the same people one after the other."""
        done = set(self._done())
        return [block for block in self.grid.blocks if block not in done]

    def _done(self) -> Iterator[Block]:
        folder = self.path / RESPONSE / "c"
        if not folder.is_dir():
            return
        further = len(_chunks(self.path / RESPONSE)) - 2
        with os.scandir(folder) as found:
            rows = list(found)
        for row in rows:
            # A link would have blocks written where it leads.
            if not row.name.isdecimal() or row.is_symlink() or not row.is_dir():
                raise DataError(f"store {str(self.path)!r}: {row.name!r} is no row of blocks; delete it.")
            for column in os.scandir(row.path):
                file = Path(column.path, *["0"] * further)
                # A power cut may leave a file that was renamed before it was written.
                if column.name.isdecimal() and file.is_file() and file.stat().st_size:
                    yield int(row.name), int(column.name)

    def write(self, block: Block, plan: Plan) -> None:
        """Compute a block and write it."""
        rows, columns = self.grid.span(block)
        answers = plan.answers(block)
        with _written(self.path):
            group = needed("zarr").open_group(str(self.path), mode="r+", zarr_format=3)
            if block[1] == 0:
                for name, values in _of_people(plan, rows).items():
                    group[name][rows] = values
            # A block in which nobody took part is done as well.
            group[RESPONSE].with_config({"write_empty_chunks": True})[rows, columns] = answers

    def tidy(self) -> None:
        """Take away what killed processes left half written."""
        for file in self.path.rglob("*.partial"):
            file.unlink(missing_ok=True)


def attributes_of(path: Path) -> dict[str, Any]:
    """Attributes of a store; raises `DataError` when it is none."""
    zarr = needed("zarr")
    refuse_foreign(path)
    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)
        found = dict(group.attrs)
        if RESPONSE in group and "scale" in found:
            return found
    except (*DAMAGE, zarr.errors.BaseZarrError) as error:
        raise DataError(f"path {str(path)!r} is no store of a crowd ({error}); give another.") from error
    raise DataError(f"path {str(path)!r} is no store of a crowd; give another.")


def grid_of(path: Path, attrs: dict[str, Any]) -> Grid:
    """Tiles and blocks of a store."""
    with refused(f"store {str(path)!r} has no blocks of a crowd", "give another path"):
        sizes = [int(each) for each in attrs["tile"].split("x")]
        chunks = _chunks(path / RESPONSE)
        shape = needed("zarr").open_array(str(path / RESPONSE), mode="r", zarr_format=3).shape
        tiles = (max(1, chunks[0] // sizes[0]), max(1, chunks[1] // sizes[1]))
        grid = Grid((shape[0], shape[1]), (sizes[0], sizes[1]), tiles)
        refuse_blocks(grid.n_blocks, path)
        return grid


def _chunks(array: Path) -> tuple[int, ...]:
    chunks: tuple[int, ...] = needed("zarr").open_array(str(array), mode="r", zarr_format=3).chunks
    return chunks


def _lay_out(draft: Path, plan: Plan) -> None:
    """Everything but the blocks."""
    zarr = needed("zarr")
    scale, how, grid = plan.fitted.scale, plan.how, plan.grid
    attrs = recorded(
        scale,
        "synthetic",
        seed=plan.seed,
        decision=how.decision,
        reference=how.reference,
        crossed=int(how.crossed),
        n_draws=how.n_draws,
        llm=", ".join(plan.sources),
        tile="x".join(map(str, grid.tile)),
        # A folder's files have no order of their own.
        traits=json.dumps([str(name) for name in plan.people(slice(0, 1)).frame.columns]),
        made_from=json.dumps(plan.made_from),
    )
    group = zarr.open_group(str(draft), mode="w-", attributes=attrs, zarr_format=3)
    further = (scale.n_levels,) if isinstance(scale, Ballot) else ()
    if isinstance(scale, Ballot):
        _whole(group, "option", np.asarray(scale.options, dtype=object), "option")
    kind = stored_kind(scale, how.decision)
    codecs = zarr.codecs
    group.create_array(
        RESPONSE,
        shape=(*grid.shape, *further),
        # Whole tiles, even where the crowd ends before: so the blocks are read off it.
        chunks=(*grid.block, *further),
        dtype=kind,
        fill_value=ABSENT if kind.kind == "i" else np.nan,
        # .35 bytes an answer on five levels, whose entropy is .26, at 300 million answers a second and core; zstd alone
        # has .34 at 80 million.
        compressors=[codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), codecs.Crc32cCodec()],
        dimension_names=("participant", "problem", "option")[: 2 + len(further)],
    )
    frame = plan.asked.frame
    _whole(group, "problem", _ids_of(frame.index, "problem"), "problem")
    if "text" in frame.columns:
        _whole(group, "text", frame["text"].to_numpy(dtype=object), "problem")
    first = _of_people(plan, slice(0, min(grid.tile[0], grid.shape[0])))
    for name, values in first.items():
        array = group.create_array(
            name,
            shape=grid.shape[:1],
            chunks=grid.block[:1],
            dtype="string" if values.dtype == object else values.dtype,
            dimension_names=("participant",),
        )
        if name in plan.levels:
            array.attrs[LEVELS] = plan.levels[name]


def _whole(group: Any, name: str, values: npt.NDArray[Any], dim: str) -> None:
    """A small array, written at once."""
    kind = "string" if values.dtype == object else values.dtype
    array = group.create_array(name, shape=values.shape, chunks=values.shape, dtype=kind, dimension_names=(dim,))
    array[:] = values


def _of_people(plan: Plan, rows: slice) -> dict[str, npt.NDArray[Any]]:
    """Ids, traits and weights of the people of these rows, texts as codes.

    People who are recruited are numbered, which needs no array: 8 bytes each, and an index of them in memory.
    """
    recruits = plan.people(rows)
    found = dict[str, npt.NDArray[Any]]()
    if not isinstance(plan.participants, int):
        found["participant"] = _ids_of(recruits.frame.index, "participant")
    for name, column in recruits.frame.items():
        key = f"profile_{name}"
        if key in plan.levels:
            codes = pd.Index(plan.levels[key]).get_indexer(pd.Index(column.astype(str)))
            found[key] = codes.astype(np.min_scalar_type(-max(len(plan.levels[key]), 1)))
        else:
            found[key] = column.to_numpy()
    if recruits.weights is not None:
        found[WEIGHT] = recruits.weights
    return found


def _ids_of(index: pd.Index, name: str) -> npt.NDArray[Any]:
    """Ids as an array that zarr keeps: whole numbers, or texts as objects."""
    if pd.api.types.is_integer_dtype(index):
        return index.to_numpy(dtype=np.int64)
    if pd.api.types.infer_dtype(index) == "string":
        return index.to_numpy(dtype=object)
    raise DataError(f"ids of {name}s are of several kinds, such as {index[0]!r}; give whole numbers, or texts.")


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say which store cannot be written."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            f"store {str(path)!r} cannot be written ({why}); make room, and the same call goes on from the blocks that "
            "are done."
        ) from error
