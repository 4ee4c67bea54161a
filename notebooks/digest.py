"""What a notebook shows, in few numbers, and whether two runs show the same.

Of everything drawn (lines, bars, outlines, points, images) mean, standard deviation and ends of the coordinates; of
lines, bars, outlines and points also the means of up to 16 runs of neighbours in drawing order, and the correlation of
x and y; of an image those of 5 x 5 blocks. Of every table that is a cell's value, its numbers by column; of everything
printed, its numbers, times excepted.

Coordinates may differ by a tenth of the width or height of their axes, correlations by .2, colours by a tenth of their
range, a column by a tenth of its largest number: that is what other processors' rounding does to a fit, and a reader
would not call another result.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TOLERANCE = 0.1
N_RUNS, N_BLOCKS = 16, 5
# Of columns that are near zero, and of single numbers, which have no neighbours to say what is small.
LEAST_COLUMN, LEAST_NUMBER = 0.2, 0.5
Numbers = dict[str, list[float]]
Digest = dict[str, Any]
FIGURES: list[Any] = []
TABLES: list[list[list[float]]] = []


def watch() -> None:
    """In the kernel, first: warnings are errors; figures and the tables that cells show are remembered for `note`."""
    from IPython import get_ipython
    from matplotlib.figure import Figure

    made = Figure.__init__

    def remembered(figure: Figure, *arguments: Any, **options: Any) -> None:
        made(figure, *arguments, **options)
        FIGURES.append(figure)

    Figure.__init__ = remembered
    get_ipython().events.register("post_run_cell", lambda run: TABLES.append(columns_of(run.result)))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)


def note(path: str) -> None:
    """In the kernel, last: write what figures and tables hold."""
    warnings.simplefilter("default")
    axes = [of_axes(ax) for figure in FIGURES for ax in figure.axes]
    found = {"axes": axes, "tables": [table for table in TABLES if table]}
    Path(path).write_text(json.dumps(found), encoding="utf-8")


def of_axes(ax: Any) -> Numbers:
    """Of each thing drawn, in the units of axes' scales."""
    ends = ax.transScale.transform(np.transpose([ax.get_xlim(), ax.get_ylim()]))
    found = {"ends": _rounded(ends.ravel())}
    for place, (kind, points) in enumerate(_drawn(ax)):
        name = f"{kind} {place}"
        if kind == "image":
            found |= {name: _moments(points.reshape(-1, 1)), f"{name} blocks": _rounded(_blocks(points))}
            continue
        scaled = ax.transScale.transform(points)
        scaled = scaled[np.isfinite(scaled).all(axis=1)]
        if not len(scaled):
            continue
        runs = np.array_split(scaled, min(len(scaled), N_RUNS))
        found[name] = _moments(scaled)
        if len(scaled) > 1:
            found[f"{name} in order"] = _rounded(np.concatenate([run.mean(axis=0) for run in runs]))
        # A straight line on two points, or along an axis, has none worth the name.
        if len(scaled) >= N_BLOCKS and (np.ptp(scaled, axis=0) > 1e-6 * np.abs(ends[1] - ends[0])).all():
            found[f"{name} correlation"] = _rounded(np.corrcoef(scaled.T)[0, 1:])
    return found


def columns_of(value: Any) -> list[list[float]]:
    """The numbers of a table, by column; of anything else none."""
    if isinstance(value, np.ndarray) and value.ndim in (1, 2):
        value = pd.DataFrame(value)
    if isinstance(value, pd.Series):
        value = value.to_frame()
    if not isinstance(value, pd.DataFrame):
        return []
    columns = [pd.to_numeric(value.iloc[:, k], errors="coerce").to_numpy(float) for k in range(value.shape[1])]
    return [_rounded(column[np.isfinite(column)]) for column in columns if np.isfinite(column).any()]


_NUMBER = re.compile(
    r"(?<![\w.:/-])(?>-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w:/])(?! ?(?:ms|s|seconds?|min|minutes?)\b)"
)


def numbers_in(text: str) -> list[float]:
    """Numbers that stand for themselves in what was printed; seconds and minutes are no result."""
    return _rounded(np.array([float(each.replace(",", "")) for each in _NUMBER.findall(text)]))


def _rounded(numbers: np.ndarray) -> list[float]:
    return [float(f"{each:.4g}") for each in numbers]


def _moments(points: np.ndarray) -> list[float]:
    return _rounded(np.concatenate([each(points, axis=0) for each in (np.nanmean, np.nanstd, np.nanmin, np.nanmax)]))


def _blocks(image: np.ndarray) -> np.ndarray:
    """Means of up to 5 x 5 blocks; where a block has no colour, 0."""
    rows, columns = (np.array_split(np.arange(n), min(n, N_BLOCKS)) for n in image.shape)
    blocks = [image[np.ix_(row, column)] for row in rows for column in columns]
    return np.array([block[np.isfinite(block)].mean() if np.isfinite(block).any() else 0.0 for block in blocks])


def _drawn(ax: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Lines, bars, outlines, points and images of an axes."""
    from matplotlib.collections import PathCollection
    from matplotlib.patches import Polygon, Rectangle

    corner = np.array([ax.get_xlim()[0], ax.get_ylim()[0]])
    for line in ax.lines:
        of_data = np.array(line.get_transform().contains_branch_seperately(ax.transData))
        if of_data.any():  # a line across the axes has one coordinate
            yield "line", np.where(of_data, line.get_xydata(), corner)
    sets = [[bar for bar in held if isinstance(bar, Rectangle)] for held in ax.containers]
    held = {id(bar) for bars in sets for bar in bars}
    loose = [patch for patch in ax.patches if isinstance(patch, Rectangle) and id(patch) not in held]
    for bars in [*sets, loose]:
        if bars:
            yield "bars", np.array([[bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height()] for bar in bars])
    for patch in ax.patches:
        if isinstance(patch, Polygon):
            yield "outline", patch.get_xy()
    for collection in ax.collections:
        values = collection.get_array()
        if isinstance(collection, PathCollection):
            yield "points", np.asarray(collection.get_offsets(), dtype=float)
        elif values is not None:
            yield "image", _scaled(values)
        elif collection.get_paths() and collection.get_transform().contains_branch(ax.transData):
            yield "outline", np.concatenate([path.vertices for path in collection.get_paths()])
    for image in ax.images:
        yield "image", _scaled(image.get_array())


def _scaled(values: Any) -> np.ndarray:
    """Colours as shares of their range, rows by columns."""
    given = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    flat = given.reshape(len(given), -1)
    return (flat - np.nanmin(flat)) / max(np.nanmax(flat) - np.nanmin(flat), 1e-12)


def differences(found: Digest, kept: Digest) -> list[str]:
    """What shows something else than was kept, in words."""
    wrong = []
    for kind in ("axes", "tables", "printed"):
        now, then = found[kind], kept.get(kind, [])
        if len(now) != len(then):
            wrong.append(f"{len(now)} {kind}, {len(then)} were kept")
            continue
        compare = _axes_differ if kind == "axes" else _numbers_differ
        for number, (one, other) in enumerate(zip(now, then, strict=True)):
            wrong += [f"{kind} {number}{said}" for said in compare(one, other)]
    return wrong


def _axes_differ(now: Numbers, then: Numbers) -> Iterator[str]:
    if now.keys() != then.keys():
        yield f": {', '.join(now)} drawn, {', '.join(then)} kept"
        return
    x_low, y_low, x_high, y_high = then["ends"]
    span = np.abs([x_high - x_low, y_high - y_low])
    for what, numbers in now.items():
        if len(numbers) != len(then[what]):
            yield f", {what}: {len(numbers)} numbers, {len(then[what])} were kept"
            continue
        if what.startswith("image"):
            unit = np.ones(1)
        else:
            unit = np.full(1, 2.0) if what.endswith("correlation") else np.tile(span, len(numbers) // 2)
        off = float(np.max(np.abs(np.subtract(numbers, then[what])) / unit))
        if off > TOLERANCE:
            yield f", {what}: off by {off:.2f} of the {'range' if len(unit) == 1 else 'axes'}"


def _numbers_differ(now: list[Any], then: list[Any]) -> Iterator[str]:
    """Columns of a table, or the numbers of one print."""
    printed = bool(now) and not isinstance(now[0], list)
    if len(now) != len(then):
        yield f": {len(now)} {'numbers' if printed else 'columns'}, {len(then)} were kept"
        return
    least = LEAST_NUMBER if printed else LEAST_COLUMN
    for place, (one, other) in enumerate(zip(map(np.atleast_1d, now), map(np.atleast_1d, then), strict=True)):
        if one.shape != other.shape:
            yield f", column {place}: {len(one)} numbers, {len(other)} were kept"
            continue
        # A count may be one more or less.
        whole = (one == one.round()).all() and (other == other.round()).all()
        allowed = max(TOLERANCE * max(float(np.abs(other).max()), least), float(whole))
        off = np.abs(one - other)
        if off.max() > allowed:
            worst = int(off.argmax())
            yield f", {'number' if printed else 'column'} {place}: {one[worst]:g}, {other[worst]:g} was kept"
