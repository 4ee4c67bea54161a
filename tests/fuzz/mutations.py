"""Bad files made from valid ones: JSON changed as JSON, arrays as arrays, anything else as bytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from valid_files import valid

HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 3, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "0", "x", "\0",
    "../../x", "/etc/passwd", "'; DROP TABLE answers; --", "\u202e", "x" * 5000, [], [[]], {}, {"": None}, [None],
    [1, "a"], {"kind": "ordinal"},
)  # fmt: skip


def changed(tree: Any, choose: Callable[[int], int]) -> Any:
    """A JSON tree with one node replaced, removed or doubled; `choose(n)` gives a number below n."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(tree)
    if not places:
        return HOSTILE[choose(len(HOSTILE))]
    node, key = places[choose(len(places))]
    what = choose(len(HOSTILE) + 3)
    if what < len(HOSTILE):
        node[key] = HOSTILE[what]
    elif what == len(HOSTILE):
        del node[key]
    elif isinstance(node, list):
        node.insert(key, node[key])
    else:
        node[f"{key}_"] = node.pop(key)
    return tree


def damaged(content: bytes, choose: Callable[[int], int]) -> bytes:
    """Bytes cut off, flipped, doubled or overwritten at a few places."""
    raw = bytearray(content)
    for _ in range(1 + choose(4)):
        at = choose(len(raw) + 1)
        match choose(5):
            case 0:
                del raw[at:]
            case 1 if at < len(raw):
                raw[at] ^= 1 << choose(8)
            case 2:
                raw[at : at + 1 + choose(8)] = bytes(choose(256) for _ in range(choose(8)))
            case 3:
                raw[at:at] = raw[: choose(64)]
            case _:
                del raw[at : at + 1 + choose(16)]
    return bytes(raw)


def mutated(name: str, choose: Callable[[int], int]) -> bytes:
    """A bad file of a reader: JSON changed as JSON, arrays as arrays, anything else as bytes."""
    known = valid()[name]
    content = known[choose(len(known))]
    first = content[:1] if name == "store" else b""
    if name in ("description", "generator", "store") and content[len(first) :][:1] == b"{" and choose(4):
        return first + json.dumps(changed(json.loads(content[len(first) :]), choose)).encode()
    if name == "arrays" and choose(4):
        return _array_changed(content, choose)
    if name == "gz" and choose(2):
        return gzip.compress(damaged(gzip.decompress(content), choose), mtime=0)
    return damaged(content, choose)


def _array_changed(content: bytes, choose: Callable[[int], int]) -> bytes:
    """One array of another shape, type or value, or none."""
    from safetensors.numpy import load, save

    arrays = load(content)
    name = sorted(arrays)[choose(len(arrays))]
    array = arrays[name]
    match choose(6):
        case 0:
            del arrays[name]
        case 1:
            arrays[name] = array.reshape(-1)[: choose(array.size + 1)]
        case 2:
            arrays[name] = np.full_like(array, np.nan if array.dtype.kind == "f" else 0)
        case 3:
            arrays[name] = np.zeros((choose(4),) * choose(4), dtype=array.dtype)
        case 4:
            arrays[name] = array.astype(("float16", "int64", "bool", "float64")[choose(4)])
        case _:
            arrays[name] = array[None]
    return save({each: np.ascontiguousarray(value) for each, value in arrays.items()})
