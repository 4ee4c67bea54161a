"""Executes the notebooks, and compares what they show with what they showed when `figures.json` was written.

python notebooks/execute.py [--full] [--record] [--jobs 2] [NOTEBOOK ...]

Each runs in a kernel of its own, warnings as errors; short settings, unless `--full`. Executed copies go to
build/notebooks; those of a short run say so at their top. What is compared, and how nearly, says `digest.py`. The
committed notebooks hold no output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from digest import Digest, differences, numbers_in

HERE = Path(__file__).parent
KEPT = HERE / "figures.json"
# The aims are 4 minutes for all of them and 3 for one in full; machines differ.
SHORT_LIMIT, FULL_LIMIT = 8 * 60, 6 * 60
SHORT_NOTE = (
    "> **A short run**, as continuous integration makes it: smaller fits, fewer draws. Numbers in the text are those "
    "of the full run, `make notebooks FULL=1`."
)


def execute(name: str, full: bool, out: Path) -> tuple[float, Digest]:
    """Run one notebook; seconds, and what it shows."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(HERE / name, as_version=4)
    drawn = out / f"{name}.json"
    before = nbformat.v4.new_code_cell("import digest\ndigest.watch()")
    after = nbformat.v4.new_code_cell(f"digest.note({str(drawn)!r})")
    notebook.cells = [before, *notebook.cells, after]
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(HERE)}})
    environment = {key: value for key, value in os.environ.items() if key != "CROWDPYRO_SHORT"}
    environment |= {} if full else {"CROWDPYRO_SHORT": "1"}
    started = time.perf_counter()
    client.execute(env=environment)
    seconds = time.perf_counter() - started
    notebook.cells = notebook.cells[1:-1]
    shown = json.loads(drawn.read_text(encoding="utf-8")) | {"printed": printed(notebook)}
    drawn.unlink()
    nbformat.write(notebook if full else said_to_be_short(notebook), out / name)
    return seconds, shown


def printed(notebook: Any) -> list[list[float]]:
    """The numbers of each cell's standard output, where it has some."""
    cells = [cell.get("outputs", []) for cell in notebook.cells]
    texts = ["".join(each["text"] for each in outputs if each.get("name") == "stdout") for outputs in cells]
    return [numbers for numbers in map(numbers_in, texts) if numbers]


def said_to_be_short(notebook: Any) -> Any:
    """The executed copy with a note below its title."""
    title, _, rest = notebook.cells[0]["source"].partition("\n")
    notebook.cells[0]["source"] = f"{title}\n\n{SHORT_NOTE}\n{rest}"
    return notebook


def too_slow(seconds: dict[str, float], wall: float, full: bool) -> list[str]:
    """What took longer than a reader, or continuous integration, should wait; in words."""
    if full:
        return [
            f"{name} took {each:.0f} s, more than {FULL_LIMIT}" for name, each in seconds.items() if each > FULL_LIMIT
        ]
    return [f"all together took {wall:.0f} s, more than {SHORT_LIMIT}"] if wall > SHORT_LIMIT else []


def main() -> int:
    """Execute, report, compare or record."""
    from nbclient.exceptions import CellExecutionError

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("notebooks", nargs="*", help="file names; all of them when none is given")
    arguments.add_argument("--full", action="store_true", help="full settings; what is shown is not compared")
    arguments.add_argument("--record", action="store_true", help="keep what figures and tables show")
    arguments.add_argument("--jobs", type=int, default=2)
    given = arguments.parse_args()
    names = [Path(each).name for each in given.notebooks] or sorted(path.name for path in HERE.glob("*.ipynb"))
    out = HERE.parent / "build" / "notebooks"
    out.mkdir(parents=True, exist_ok=True)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    wrong, seconds, started = [], {}, time.perf_counter()
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = {name: pool.submit(execute, name, given.full, out) for name in names}
        for name, run in runs.items():
            try:
                seconds[name], shown = run.result()
            except CellExecutionError as error:  # the others are still of use
                wrong.append(str(error))
                print(f"{name}: {error}", flush=True)
                continue
            print(
                f"{name}: {seconds[name]:.0f} s",
                *(f"{len(each)} {kind}" for kind, each in shown.items()),
                sep=", ",
                flush=True,
            )
            if given.record and not given.full:
                kept[name] = shown
            elif not given.full:
                for each in differences(shown, kept.get(name, {})):
                    wrong.append(each)
                    print(f"  {each}; look at build/notebooks/{name}, and keep it by --record", flush=True)
    wall = time.perf_counter() - started
    print(f"together: {wall:.0f} s", flush=True)
    slow = too_slow(seconds, wall, given.full)
    print(*slow, sep="\n", end="\n" if slow else "")
    if given.record and not given.full:
        lines = [f'  "{name}": {json.dumps(kept[name])}' for name in sorted(kept) if (HERE / name).exists()]
        KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return int(bool(wrong or slow))


if __name__ == "__main__":
    sys.exit(main())
