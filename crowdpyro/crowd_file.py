"""A crowd's NetCDF file: written by xarray; read by h5py alone, after it was looked through.

HDF5 can link to other files, keep its numbers in them, and declare terabytes of one number, or one text a million
times, in a few bytes. A crowd's file does none of it. Where a byte of a heap of texts is wrong, HDF5 2.0 walks it for
ever, so that heaps are walked before; what is over which dimension is known by its name, and the file's own lists of
scales are left alone.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from .crowd_form import dims_of, refuse_off_scale
from .errors import DataError
from .models.ballot import Ballot
from .models.scales import Continuous, Scale
from .outside import DEFLATED, refuse_larger
from .survey import WEIGHT, checked_weights
from .tables import write_whole

# Of names and attributes, beside what deflate packs.
_REST = 1 << 20
# Of HDF5's superblock, and an address in it that is none.
_SHORTEST, _NOWHERE = 56, 2**64 - 1
# Deflate, shuffle, checksum; each of them once.
_FILTERS = (1, 2, 3)
# A text's place: its length, the heap, and the number in it.
_PLACE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
# More bytes than the type, shape and place of an attribute take that is one text, which are at most 72.
_MESSAGE = 128


def write_dataset(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a crowd's dataset, compressed, whole or not at all."""
    encoding = {"response": {"zlib": True, "complevel": 4}}

    def write(file: Path) -> None:
        # Packed in memory first: HDF5 that meets a full disk prints tracebacks and kills the process. The packed
        # bytes are fewer than the answers: 5 MB for 200,000 people x 25 ratings.
        with _without_cluster():
            content = dataset.to_netcdf(engine="h5netcdf", encoding=encoding)
        file.write_bytes(content)

    return write_whole(path, write)


@contextmanager
def _without_cluster() -> Iterator[None]:
    """Inside, xarray takes its locks from this process.

    From a Dask client that is about, it would ask for a lock on bytes in memory, which no scheduler knows.
    """
    if "dask" not in sys.modules:
        yield
        return
    import dask

    with dask.config.set(scheduler="threads"):
        yield


def read_dataset(path: Path) -> xr.Dataset:
    """The dataset of a file; raises `DataError`, or what HDF5 does on damage."""
    heaps, longest = _heaps_of_texts(path)
    with h5py.File(path, "r") as file:
        _refuse_foreign(file, path)
        _refuse_long(file, path, heaps, longest)
        arrays = {str(name): _values(array, path, longest) for name, array in file.items()}
        attrs = {name: _alone(value) for name, value in file.attrs.items() if not name.startswith("_")}
    over = {name: (dims_of(name, values.ndim), values) for name, values in arrays.items()}
    response = {name: over.pop(name) for name in ("response",) if name in over}
    return xr.Dataset(response, over, attrs)


def _values(array: Any, path: Path, longest: int) -> Any:
    """An array as xarray writes it: texts as they are, truth values as bytes with a note."""
    if array.dtype.kind == "O":
        return _texts(array, path, longest)
    values = array[()]
    return values.astype(bool) if array.attrs.get("dtype") == "bool" else values


def _texts(array: Any, path: Path, longest: int) -> Any:
    """Texts of an array, which HDF5 takes memory for before it has found them: of one, as much as its place says."""
    if not array.size:
        return np.empty(0, dtype=str)
    if array.id.get_offset() is None:
        raise DataError(f"file {str(path)!r}: {array.name!r} is no list of texts; give a file that to_netcdf wrote.")
    places = np.fromfile(path, _PLACE, len(array), offset=array.id.get_offset())
    width = int(places["length"].max())
    if width > longest:
        raise DataError(f"file {str(path)!r}: {array.name!r} holds a text that is longer than any; copy it again.")
    # numpy gives each the width of the longest.
    refuse_larger(4 * width * len(array), f"array {array.name!r}")
    return array.asstr()[()].astype(str)


def _alone(value: Any) -> Any:
    """An attribute; netCDF knows no number that is not in an array."""
    return value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value


def _heaps_of_texts(path: Path) -> tuple[set[int], int]:
    """Where heaps of texts begin, and most bytes of a text; raises `DataError` for texts that do not fill their heap.

    A heap is GCOL, version, its size, and objects: number, references, size, content up to a multiple of 8 bytes.
    Number 0 is the free rest.
    """
    heaps, longest = set[int](), 0
    wrong = DataError(f"file {str(path)!r} is no crowd, or damaged; give a file that to_netcdf wrote.")
    if path.stat().st_size < _SHORTEST:
        raise wrong
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:8] != b"\x89HDF\r\n\x1a\n" or not _is_superblock(content, len(content)):
            raise wrong
        for found in re.finditer(rb"GCOL\x01\0\0\0", content):
            start = found.start()
            at, end = start + 16, start + int.from_bytes(content[start + 8 : start + 16], "little")
            if not at <= end <= len(content):
                raise wrong
            while at + 16 <= end:
                size = int.from_bytes(content[at + 8 : at + 16], "little")
                rest = content[at : at + 2] == b"\0\0"
                at += size if rest else 16 + -(-size // 8) * 8
                if at > end or (rest and at < end):
                    raise wrong
                longest = longest if rest else max(longest, size)
            heaps.add(start)
    return heaps, longest


def _refuse_long(file: Any, path: Path, heaps: set[int], longest: int) -> None:
    """Raise `DataError` where an attribute's text is longer than any: HDF5 takes as much memory before it looks for it.

    The file holds an attribute as its name, type and shape, which take few bytes where it is one text, and then the
    text's place.
    """
    texts = set[str]()
    for owner, names in ((file, list(file.attrs)), *((each, ("dtype",)) for each in file.values())):
        for name in names:
            if name in owner.attrs and owner.attrs.get_id(name).dtype.kind == "O":
                texts.add(name)
                if owner.attrs.get_id(name).shape not in ((), (1,)):
                    raise DataError(f"file {str(path)!r}: attribute {name!r} is not one text or number.")
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name in texts:
            for found in re.finditer(re.escape(name.encode()) + b"\0", content):
                message = content[found.start() : found.end() + _MESSAGE]
                for at in range(len(message) - _PLACE.itemsize + 1):
                    length, heap = struct.unpack_from("<IQ", message, at)
                    if heap in heaps and length > longest:
                        raise DataError(
                            f"file {str(path)!r}: an attribute is a text that is longer than any; copy it again."
                        )


def _is_superblock(content: mmap.mmap, size: int) -> bool:
    """Whether lengths take 8 bytes, and the file begins and ends where it says, with nothing before or after.

    Of one that says otherwise HDF5 took 4 GB to find out.
    """
    if content[8] == 0:
        return content[13:15] == b"\x08\x08" and struct.unpack_from("<4Q", content, 24) == (0, _NOWHERE, size, _NOWHERE)
    base, _, end = struct.unpack_from("<3Q", content, 12)
    return content[8] in (2, 3) and content[9:11] == b"\x08\x08" and (base, end) == (0, size)


def _refuse_foreign(file: Any, path: Path) -> None:
    """Raise `DataError` for links out of the file, and for content that no file of this size holds."""
    declared = 0
    for name in file:
        link = file.get(name, getlink=True)
        array = file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual:
            raise DataError(f"file {str(path)!r}: {name!r} is no array of its own; give a file that to_netcdf wrote.")
        packed = array.id.get_create_plist()
        filters = [packed.get_filter(place)[0] for place in range(packed.get_nfilters())]
        if len(set(filters)) < len(filters) or not set(filters) <= set(_FILTERS):
            raise DataError(f"file {str(path)!r}: {name!r} is packed in another way than to_netcdf packs.")
        if array.dtype.kind == "O" and array.ndim != 1:
            raise DataError(f"file {str(path)!r}: {name!r} holds texts over {array.ndim} dimensions; they have one.")
        if array.id.get_storage_size() > path.stat().st_size:
            raise DataError(f"file {str(path)!r}: {name!r} is longer than the file; copy it again.")
        # A chunk is taken whole, however little of it is the array's.
        declared += max(int(array.size or 0), math.prod(array.chunks or (0,))) * array.dtype.itemsize
    if declared > DEFLATED * path.stat().st_size + _REST:
        raise DataError(f"file {str(path)!r} declares {declared:,} bytes, which it cannot hold; copy it again.")
    refuse_larger(declared, f"file {str(path)!r}")


def refuse_strange(dataset: xr.Dataset, scale: Scale) -> None:
    """Raise `DataError` for answers that the scale does not have, and weights that are none."""
    response = dataset["response"].to_numpy()
    if response.dtype.kind == "i" and not isinstance(scale, Continuous):
        refuse_off_scale(response, scale)
    elif response.dtype.kind != "f":
        raise DataError(f"response holds {response.dtype}; it is codes on a discrete scale, else floats.")
    if isinstance(scale, Ballot) and response.shape[2:] != (scale.n_levels,):
        raise DataError(f"response holds {response.shape[2]} options; the scale has {scale.n_levels}.")
    for axis, size in zip(("participant", "problem"), response.shape, strict=False):
        if dataset.get(axis, np.empty(0)).shape != (size,):
            raise DataError(f"dataset lacks ids of {axis}s.")
    if WEIGHT in dataset.coords:
        checked_weights(dataset[WEIGHT].to_numpy(), len(response))
