"""What a store says of itself, read as plain JSON before zarr does anything that it asks for.

A store of an older format, or with codecs of numcodecs, may ask for its chunks to be unpickled. Only what `store`
writes is let in: format 3, its few codecs, arrays of their own, and no more blocks or ids than the disk can hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..crowd_form import dims_of
from ..errors import DataError
from ..outside import json_of

CODECS = frozenset({"bytes", "blosc", "crc32c", "vlen-utf8", "zstd"})
# 4 * 10^12 decisions in blocks of 4 million.
_MOST_BLOCKS = 10**6
# Of ids and texts, which are read whole: zstd packs a thousand equal bytes into one.
_PACKED, _REST = 1000, 10**6
_WHOLE = ("problem", "text", "option", "participant")


def refuse_foreign(path: Path) -> None:
    """Raise `DataError` for a store that asks for what no store of a crowd needs."""
    if not (path / "zarr.json").is_file():
        return
    group = _read(path / "zarr.json", path)
    if group.get("consolidated_metadata") is not None:
        raise _refusal(path, "metadata of its arrays stand in the group's")
    for folder in sorted(each for each in path.iterdir() if each.is_dir()):
        if not (folder / "zarr.json").is_file() or folder.is_symlink():
            raise _refusal(path, f"{folder.name!r} is no array of format 3")
        described = _read(folder / "zarr.json", path)
        strange = [name for name in _codecs(described) if name not in CODECS]
        if strange or described.get("storage_transformers"):
            raise _refusal(path, f"array {folder.name!r} is packed by {', '.join(strange) or 'a transformer'}")
        _refuse_size(folder, described, path)


def _read(file: Path, path: Path) -> dict[str, Any]:
    try:
        found = json_of(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _refusal(path, f"{file.parent.name}/zarr.json cannot be read: {error}") from error
    if found.get("zarr_format") != 3:
        raise _refusal(path, f"{file.parent.name}/zarr.json is of zarr's format {found.get('zarr_format')!r}")
    return found


def _codecs(described: dict[str, Any]) -> Iterator[str]:
    """Names of an array's codecs; an array without a list of them is one that zarr refuses."""
    listed = described.get("codecs")
    for each in listed if isinstance(listed, list) else ():
        name = each.get("name") if isinstance(each, dict) else each
        yield name if isinstance(name, str) else repr(name)


def _refuse_size(folder: Path, described: dict[str, Any], path: Path) -> None:
    shape = described.get("shape")
    if not isinstance(shape, list) or not all(type(each) is int and each >= 0 for each in shape):
        raise _refusal(path, f"array {folder.name!r} has the shape {shape!r}")
    over, named = list(dims_of(folder.name, len(shape))), described.get("dimension_names")
    if named != over or len(over) != len(shape):
        raise _refusal(path, f"array {folder.name!r} of shape {shape!r} is over {named!r}, not {over!r}")
    if folder.name in _WHOLE:
        held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if math.prod(shape) > _PACKED * held + _REST:
            raise _refusal(path, f"array {folder.name!r} declares {math.prod(shape):,} entries in {held:,} bytes")


def refuse_blocks(n_blocks: tuple[int, int], path: Path) -> None:
    """Raise `DataError` for more blocks than any crowd has."""
    if math.prod(n_blocks) > _MOST_BLOCKS:
        raise _refusal(path, f"it declares {math.prod(n_blocks):,} blocks")


def _refusal(path: Path, why: str) -> DataError:
    return DataError(f"path {str(path)!r} is no store of a crowd ({why}); give one that generate(path=...) wrote.")
