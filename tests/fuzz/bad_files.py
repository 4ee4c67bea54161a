"""Files that were found to go wrong, or that are known to do so elsewhere: for which reader, made how, refused why."""

from __future__ import annotations

import functools
import gzip
import io
import json
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import valid_files

Bad = tuple[str, Callable[[], bytes], str]


def _crowd(change: Callable[[h5py.File], object]) -> bytes:
    """A valid crowd's file, changed by h5py."""
    file = io.BytesIO(valid_files.valid()["crowd"][0])
    with h5py.File(file, "r+") as opened:
        change(opened)
    return file.getvalue()


def _instead(name: str, **how: Any) -> Callable[[], bytes]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return functools.partial(_crowd, change)


def _linked(file: h5py.File) -> None:
    del file["weight"]
    file["weight"] = h5py.ExternalLink("/etc/passwd", "weight")


def _endless_heap() -> bytes:
    """The free rest of the heap ends before the heap does: HDF5 2.0 walks on from there for ever."""
    content = bytearray(valid_files.valid()["crowd"][0])
    heap = content.index(b"GCOL\x01")
    end = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    at = heap + 16
    while content[at : at + 2] != b"\0\0":
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = struct.pack("<Q", end - at - 8 - 16)
    return bytes(content)


def _long_text() -> bytes:
    """A text of 4 GB, as its place says, for which HDF5 took them."""
    file = io.BytesIO(valid_files.valid()["crowd"][0])
    with h5py.File(file, "r") as opened:
        at = opened["participant"].id.get_offset()
    content = bytearray(file.getvalue())
    content[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(content)


def _long_attribute() -> bytes:
    """The same of an attribute, in the older layout that has no checksums."""
    file = io.BytesIO()
    with (
        h5py.File(file, "w", libver="earliest") as older,
        h5py.File(io.BytesIO(valid_files.valid()["crowd"][0])) as crowd,
    ):
        for name, array in crowd.items():
            older.create_dataset(name, data=array[()], dtype=array.dtype)
        older.attrs.update({name: value for name, value in crowd.attrs.items() if not name.startswith("_")})
    content = bytearray(file.getvalue())
    heap = struct.pack("<Q", content.index(b"GCOL\x01"))
    at = content.index(heap, content.index(b"source\0")) - 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(content)


def _shifted() -> bytes:
    """Eight bytes of the superblock are gone: HDF5 took 4 GB before it said so."""
    content = valid_files.valid()["crowd"][0]
    return content[:40] + content[48:]


def _surprising(file: h5py.File) -> None:
    file.create_dataset("surprise", data=[1.0])


def _layout_of_bytes() -> bytes:
    """The layout of a table is no text: comparing it with ours was a TypeError."""
    path = Path(valid_files.scratch(), "layout.sqlite")
    path.write_bytes(valid_files.valid()["cache"][0])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'answers'")
    connection.commit()
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    return path.read_bytes()


def _metadata(of: str, **changes: Any) -> bytes:
    """Metadata of an array of a store, or of the store, changed."""
    place = sorted(valid_files.valid_store()).index(f"{of}zarr.json")
    return bytes([place]) + json.dumps(json.loads(valid_files.valid()["store"][place][1:]) | changes).encode()


def _swapped() -> bytes:
    """The metadata of numbers of people, at the place of the problems' ids."""
    return _metadata("problem/")[:1] + _metadata("profile_age/")[1:]


def _chunk(of: str) -> bytes:
    """Zeros, where a chunk of an array of a store has been."""
    place = next(k for k, name in enumerate(sorted(valid_files.valid_store())) if name.startswith(f"{of}/c/"))
    return bytes([place]) + bytes(40)


def _described(**changes: Any) -> bytes:
    return json.dumps(valid_files.valid_model()[0] | changes).encode()


def _configured(**changes: Any) -> bytes:
    return _described(config=valid_files.valid_model()[0]["config"] | changes)


def _generator(**changes: Any) -> bytes:
    return json.dumps(json.loads(valid_files.valid_generator()[0]) | changes).encode()


def _aged(levels: list[Any]) -> bytes:
    """A numeric trait of other levels."""
    traits = json.loads(valid_files.valid_generator()[0])["ordered"]
    return _generator(ordered=[{**each, "levels": levels} if each["continuous"] else each for each in traits])


BAD: dict[str, Bad] = {
    "crowd: endless heap": ("crowd", _endless_heap, "is no crowd, or damaged"),
    "crowd: text of 4 GB": ("crowd", _long_text, "longer than any"),
    "crowd: attribute of 4 GB": ("crowd", _long_attribute, "an attribute is a text that is longer than any"),
    "crowd: a superblock of nothing": ("crowd", _shifted, "is no crowd, or damaged"),
    "crowd: link to another file": ("crowd", lambda: _crowd(_linked), "no array of its own"),
    "crowd: numbers in another file": (
        "crowd",
        _instead("weight", shape=2, dtype="f8", external=[("/etc/passwd", 0, 16)]),
        "no array of its own",
    ),
    "crowd: terabytes of one number": (
        "crowd",
        _instead("response", shape=(2**20, 2**20), chunks=(2**10, 2**10), dtype="i1", compression="gzip"),
        "which it cannot hold",
    ),
    "crowd: chunk larger than the array": (
        "crowd",
        _instead("response", shape=(2, 2), maxshape=(None, None), chunks=(2**15, 2**15), dtype="i1"),
        "which it cannot hold",
    ),
    "crowd: packed otherwise": (
        "crowd",
        _instead("response", data=np.zeros((2, 2), np.int8), chunks=(2, 2), compression="lzf"),
        "packed in another way",
    ),
    "crowd: code off the scale": (
        "crowd",
        _instead("response", data=np.full((2, 2), 99, np.int8)),
        "holds the code 99",
    ),
    "crowd: negative weight": ("crowd", _instead("weight", data=[1.0, -1.0]), "weight"),
    "crowd: an array of another name": ("crowd", lambda: _crowd(_surprising), "none of a crowd's"),
    "crowd: another file": ("crowd", lambda: b"CDF\x01" + bytes(100), "is no crowd"),
    "crowd: empty file": ("crowd", bytes, "is no crowd"),
    "cache: layout of bytes": ("cache", _layout_of_bytes, "other tables than a cache|damaged"),
    "cache: another file": ("cache", lambda: b"SQLite format 4\0" + bytes(100), "no cache"),
    "store: pickled": (
        "store",
        lambda: _metadata("response/", codecs=[{"name": "numcodecs.pickle", "configuration": {}}]),
        "packed by numcodecs.pickle",
    ),
    "store: of the older format": ("store", lambda: _metadata("", zarr_format=2), "format 2"),
    "store: metadata elsewhere": (
        "store",
        lambda: _metadata("", consolidated_metadata={"metadata": {}}),
        "in the group's",
    ),
    "store: a million million blocks": ("store", lambda: _metadata("response/", shape=[10**12, 10**12]), "blocks"),
    "store: a negative shape": ("store", lambda: _metadata("response/", shape=[-1, 2]), "has the shape"),
    "store: a trait over problems": (
        "store",
        lambda: _metadata("profile_age/", dimension_names=["problem"]),
        "'profile_age' of shape .5. is over .'problem'., not .'participant'.",
    ),
    "store: a trait of two dimensions": (
        "store",
        lambda: _metadata("profile_age/", shape=[5, 2], dimension_names=["participant", "option"]),
        "'profile_age' of shape .5, 2.",
    ),
    "store: fewer levels than codes": (
        "store",
        lambda: _metadata(
            "",
            attributes=json.loads(_metadata("")[1:])["attributes"]
            | {"scale": json.dumps({"kind": "ordinal", "levels": [1.0, 2.0]})},
        ),
        "holds the code ., which",
    ),
    "store: a source that is a list": (
        "store",
        lambda: _metadata("", attributes=json.loads(_metadata("")[1:])["attributes"] | {"source": [None]}),
        "attribute 'source' is .None.",
    ),
    "crowd: a source that is numbers": (
        "crowd",
        lambda: _crowd(lambda file: file.attrs.update(source=[1, 2])),
        "attribute 'source' is array",
    ),
    "store: a trait without levels": (
        "store",
        lambda: _metadata("profile_group/", attributes={"levels": None}),
        "profile_group holds int8, and its levels are None",
    ),
    "store: levels that are numbers": (
        "store",
        lambda: _metadata("profile_group/", attributes={"levels": [1, 2]}),
        "its levels are .1, 2.",
    ),
    "store: a damaged trait": ("store", lambda: _chunk("profile_age"), "profile_age of people 0 to 4 are damaged"),
    "store: damaged answers": ("store", lambda: _chunk("response"), "answers of people 0 to 4 are damaged"),
    "store: damaged ids": ("store", lambda: _chunk("problem"), "is damaged"),
    "store: ids packed as another array": ("store", _swapped, "'problem' of shape .5. is over .'participant'., not"),
    "answers: too large for a crowd": (
        "answers",
        lambda: b"\x03problem,participant,response\na,p,1e308\n",
        "beyond 3.4e38",
    ),
    "description: deep": ("description", lambda: b"[" * 10**5, "holds no readable model"),
    "description: a list": ("description", lambda: b"[]", "is a list"),
    "description: another version": ("description", lambda: _described(format=10**30), "has format 1000"),
    "description: no version": ("description", lambda: _described(format=None), "has format None"),
    "description: wide layers": ("description", lambda: _configured(n_hidden=10**9), "no array of the saved model"),
    "description: another scale": (
        "description",
        lambda: _described(scale={"kind": "ordinal", "levels": [1, 2]}),
        "size mismatch|expected floats",
    ),
    "description: path as a part": (
        "description",
        lambda: _described(parts={"guide": "../x"}),
        "part|guide|damaged",
    ),
    "generator: levels are few": ("generator", lambda: _aged([1.0]), "do not fit their shares"),
    "generator: levels are texts": ("generator", lambda: _aged(["a"] * 40), "do not fit their shares"),
    "generator: levels are lists": ("generator", lambda: _aged([[1.0]] * 40), "do not fit their shares|damaged"),
    "generator: a wide mixture": ("generator", lambda: _generator(n_classes=10**12), "is so wide"),
    "generator: a condition on what is not there": ("generator", lambda: _generator(given="x == 1"), "filter 'x == 1'"),
    "generator: another column": ("generator", lambda: _generator(columns=["x"]), "are not the traits"),
    "arrays: a pickle": ("arrays", lambda: b"\x80\x04\x95" + bytes(50), "holds no readable model"),
    "arrays: cut off": ("arrays", lambda: valid_files.valid_model()[1][:-9], "holds no readable model"),
    "checkpoint: no metadata": ("checkpoint", lambda: valid_files.valid_model()[1], "cannot be read"),
    "csv: zero bytes": ("csv", lambda: b"problem,text\na,x\0y\n", "zero bytes"),
    "csv: half a pair": ("csv", lambda: b"problem,text\na,\xed\xa0\xbd\n", "not UTF-8"),
    "csv: cells beyond the header": ("csv", lambda: b"a,b\n1,2,3,4\n", "a.csv|table.csv"),
    "gz: cut off": ("gz", lambda: valid_files.valid()["gz"][0][:-8], "cannot be read"),
    "parquet: cut off": ("parquet", lambda: valid_files.valid()["parquet"][0][:-20], "cannot be read"),
    "options: code": ("options", lambda: b"responses: !!python/object/apply:os.system ['true']\n", "run.yaml"),
    "options: a billion laughs": (
        "options",
        lambda: b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "alias",
    ),
    "filter: a call": ("filter", lambda: b"__import__('os').system('true')", "is no comparison"),
    "filter: an attribute": ("filter", lambda: b"age.__class__ == 1", "is no comparison"),
    "scale: a blank that int does not know": ("scale", lambda: b"rank:0\x1d:A,C", "whole number"),
    "scale: more digits than int reads": ("scale", lambda: b"1:" + b"9" * 5000, "scale="),
    "ballot: more digits than int reads": ("scale", lambda: b"rank:" + b"9" * 5000 + b":A,B", "write rank:N"),
    "answers: more points than int reads": (
        "answers",
        lambda: b"\x06problem,participant,response\na,p,A=" + b"9" * 5000 + b"\n",
        "points",
    ),
    "pb: more digits than int reads": (
        "pb",
        lambda: valid_files.valid()["pb"][0].replace(b"budget;100", b"budget;" + b"9" * 5000),
        "budget",
    ),
    "scale: too many levels": ("scale", lambda: b"0:1000000000", "levels"),
}


def _long_parquet() -> bytes:
    """Ten million rows of one value, in a few kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"problem": pa.DictionaryArray.from_arrays(np.zeros(10**7, np.int8), ["a"])}), out)
    return out.getvalue()


# Too much for a machine of 100 MB.
INFLATED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gz": ("gz", lambda: gzip.compress(b"problem,text\n" + b"a,b\n" * 2**22, mtime=0)),
    "parquet": ("parquet", _long_parquet),
}
