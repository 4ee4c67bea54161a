"""Executes the notebooks, and compares what their figures show with what they showed when `figures.json` was written.

python notebooks/execute.py [--full] [--record] [--jobs 2] [NOTEBOOK ...]

Each runs in a kernel of its own, warnings as errors; short settings, unless `--full`. Executed copies go to
build/notebooks. Of everything drawn (lines, bars, points, images) mean, standard deviation and ends are compared: they
may differ by a tenth of the width or height of their axes, which is what other processors' rounding does to a fit and a
reader would not call another figure. The committed notebooks hold no output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
KEPT = HERE / "figures.json"
TOLERANCE = 0.1
Digest = dict[str, list[float]]
FIGURES: list[Any] = []


def execute(name: str, full: bool, out: Path) -> tuple[float, list[Digest]]:
    """Run one notebook; seconds, and a digest of each axes."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(HERE / name, as_version=4)
    drawn = out / f"{name}.json"
    before = nbformat.v4.new_code_cell("import execute\nexecute.watch()")
    after = nbformat.v4.new_code_cell(f"execute.note({str(drawn)!r})")
    notebook.cells = [before, *notebook.cells, after]
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(HERE)}})
    environment = {key: value for key, value in os.environ.items() if key != "CROWDPYRO_SHORT"}
    environment |= {} if full else {"CROWDPYRO_SHORT": "1"}
    started = time.perf_counter()
    client.execute(env=environment)
    seconds = time.perf_counter() - started
    notebook.cells = notebook.cells[1:-1]
    nbformat.write(notebook, out / name)
    digests = json.loads(drawn.read_text(encoding="utf-8"))
    drawn.unlink()
    return seconds, digests


def watch() -> None:
    """In the kernel, first: warnings are errors, and every figure is remembered for `note`."""
    from matplotlib.figure import Figure

    made = Figure.__init__

    def remembered(figure: Figure, *arguments: Any, **options: Any) -> None:
        made(figure, *arguments, **options)
        FIGURES.append(figure)

    Figure.__init__ = remembered
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)


def note(path: str) -> None:
    """In the kernel, last: write a digest of every figure."""
    warnings.simplefilter("default")
    axes = [ax for figure in FIGURES for ax in figure.axes]
    Path(path).write_text(json.dumps([_digest(ax) for ax in axes]), encoding="utf-8")


def _digest(ax: Any) -> Digest:
    """Of each thing drawn: means, standard deviations, least and greatest coordinates, in the units of axes' scales."""
    ends = ax.transScale.transform(np.transpose([ax.get_xlim(), ax.get_ylim()]))
    found = {"ends": _rounded(ends.ravel())}
    for place, (kind, points) in enumerate(_drawn(ax)):
        scaled = points if kind == "image" else ax.transScale.transform(points)
        scaled = scaled[np.isfinite(scaled).all(axis=1)]
        if len(scaled):
            every = [each(scaled, axis=0) for each in (np.mean, np.std, np.min, np.max)]
            found[f"{kind} {place}"] = _rounded(np.concatenate(every))
    return found


def _rounded(numbers: np.ndarray) -> list[float]:
    return [float(f"{each:.4g}") for each in numbers]


def _drawn(ax: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Lines, bars, points and images of an axes."""
    import matplotlib.patches

    for line in ax.lines:
        if line.get_transform() == ax.transData:
            yield "line", line.get_xydata()
    bars = [each for each in ax.patches if isinstance(each, matplotlib.patches.Rectangle)]
    if bars:
        yield "bars", np.array([[each.get_x() + each.get_width(), each.get_y() + each.get_height()] for each in bars])
    for patch in ax.patches:
        if isinstance(patch, matplotlib.patches.Polygon):
            yield "outline", patch.get_xy()
    for collection in ax.collections:
        offsets = np.asarray(collection.get_offsets(), dtype=float)
        values = collection.get_array()
        if len(offsets) > 1:
            yield "points", offsets
        elif values is not None:
            yield "image", _scaled(values)
    for image in ax.images:
        yield "image", _scaled(image.get_array())


def _scaled(values: Any) -> np.ndarray:
    """Colours as shares of their range."""
    flat = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).reshape(-1, 1)
    return (flat - np.nanmin(flat)) / max(np.nanmax(flat) - np.nanmin(flat), 1e-12)


def differences(found: list[Digest], kept: list[Digest]) -> list[str]:
    """Which axes show something else, in words."""
    if len(found) != len(kept):
        return [f"{len(found)} axes, {len(kept)} were kept"]
    wrong = []
    for number, (now, then) in enumerate(zip(found, kept, strict=True)):
        if now.keys() != then.keys():
            wrong.append(f"axes {number}: {', '.join(now)} drawn, {', '.join(then)} kept")
            continue
        x_low, y_low, x_high, y_high = then["ends"]
        span = np.abs([x_high - x_low, y_high - y_low])
        for what, numbers in now.items():
            unit = np.ones(1) if what.startswith("image") else np.tile(span, len(numbers) // 2)
            off = float(np.max(np.abs(np.subtract(numbers, then[what])) / unit))
            if off > TOLERANCE:
                wrong.append(f"axes {number}, {what}: off by {off:.2f} of the axes")
    return wrong


def main() -> int:
    """Execute, report, compare or record."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("notebooks", nargs="*", help="file names; all of them when none is given")
    arguments.add_argument("--full", action="store_true", help="full settings; figures are not compared")
    arguments.add_argument("--record", action="store_true", help="keep what the figures show")
    arguments.add_argument("--jobs", type=int, default=2)
    given = arguments.parse_args()
    names = [Path(each).name for each in given.notebooks] or sorted(path.name for path in HERE.glob("*.ipynb"))
    out = HERE.parent / "build" / "notebooks"
    out.mkdir(parents=True, exist_ok=True)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    failed = False
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = {name: pool.submit(execute, name, given.full, out) for name in names}
        for name, run in runs.items():
            seconds, found = run.result()
            print(f"{name}: {seconds:.0f} s, {len(found)} axes", flush=True)
            if given.full:
                continue
            if given.record:
                kept[name] = found
                continue
            for wrong in differences(found, kept.get(name, [])):
                failed = True
                print(f"  {wrong}; look at build/notebooks/{name}, and keep it by --record", flush=True)
    if given.record and not given.full:
        lines = [f'  "{name}": {json.dumps(kept[name])}' for name in sorted(kept) if (HERE / name).exists()]
        KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
