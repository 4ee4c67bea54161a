"""A grid of cells into a store: what is done is skipped, what fails is named, the rest goes on.

Each process reads the data once and keeps to one torch thread, so that a cell's rows depend neither on the number of
processes nor on what ran before: a run that was killed ends in the same tables as one that was not.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from ..errors import DataError
from .cell import Cell
from .store import ResultsStore
from .study import Study

Say = Callable[[str], None]

# What a worker process has read, by study and folder.
_LOADED: dict[tuple[str, str], Any] = {}


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes
    ----------
    done, skipped
        Cells computed now, and found there.
    failed
        Last line of the traceback by failed cell.
    """

    done: int
    skipped: int
    failed: dict[Cell, str]


def run(
    study: Study,
    store: ResultsStore,
    *,
    protocols: tuple[str, ...] = (),
    references: tuple[str, ...] = (),
    methods: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    jobs: int = 1,
    quick: bool = False,
    data: Path | None = None,
    report: Say = lambda text: None,
) -> Outcome:
    """Fill a store with a study's cells.

    Parameters
    ----------
    study, store
        What, and where to.
    protocols, references, methods, seeds
        The part of the grid that is run; empty means all of it, or of `study.quick`.
    jobs
        Processes of one thread each; 1 runs in this one.
    quick
        Keep to the grid that `study.quick` names.
    data
        Folder that `study.load` is given.
    report
        Told after each cell what was done, and about how long the rest takes.

    Returns
    -------
    Outcome
        How many cells were computed, found and failed.

    Raises
    ------
    DataError
        When a name is unknown, or the store holds results of other data or another revision.
    """
    if jobs < 1:
        raise DataError(f"jobs={jobs}: give at least one process.")
    part = study.quick if quick else None
    cells = study.cells(
        protocols or (part.protocols if part else ()),
        references or (part.references if part else ()),
        methods or (part.methods if part else ()),
        seeds or (part.seeds if part else ()),
    )
    store.check(study, data)
    todo = [cell for cell in cells if not store.done(cell)]
    clock = _Clock(store, todo, len(cells) - len(todo), min(jobs, max(len(todo), 1)), report)
    failed: dict[Cell, str] = {}
    results = _here(study, todo, data, store) if jobs == 1 else _spread(study, todo, data, store, jobs)
    for cell, seconds, error in results:
        if error is not None:
            store.fail(cell, error)
            failed[cell] = error.strip().rpartition("\n")[2]
        clock.tick(cell, seconds, error)
    return Outcome(len(todo) - len(failed), len(cells) - len(todo), failed)


Result = tuple[Cell, float, str | None]


def _evaluate(study: Study, cell: Cell, data: Path | None, store: ResultsStore) -> Result:
    """One cell in this process: its rows into the store, or the traceback back; data that cannot be read raise."""
    import torch

    key = (study.name, str(data))
    if key not in _LOADED:
        _LOADED[key] = study.load(data)
        store.begin(study, data)
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    torch.manual_seed(cell.seed)
    start = time.perf_counter()
    try:
        rows = study.evaluate(cell, _LOADED[key])
        seconds = time.perf_counter() - start
        store.write(cell, rows, study, seconds)
    # Whatever a method raises, the other cells go on.
    except Exception:
        return cell, time.perf_counter() - start, traceback.format_exc()
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(random)
    return cell, seconds, None


def _here(study: Study, todo: list[Cell], data: Path | None, store: ResultsStore) -> Iterator[Result]:
    """One after the other; data are read anew each run, and let go."""
    try:
        for cell in todo:
            yield _evaluate(study, cell, data, store)
    finally:
        _LOADED.pop((study.name, str(data)), None)


def _spread(study: Study, todo: list[Cell], data: Path | None, store: ResultsStore, jobs: int) -> Iterator[Result]:
    """As many at a time as there are processes.

    A process that dies, of memory for example, takes the pool with it: the cells that were under way are then run one
    by one, and the one that kills its process again is the one that failed.
    """
    waiting: list[Cell] = todo[::-1]
    suspects: list[Cell] = []
    while waiting or suspects:
        alone = bool(suspects)
        queue = [suspects.pop()] if alone else waiting
        for cell, result in _pool(study, queue, data, store, 1 if alone else jobs):
            if result is not None:
                yield result
            elif alone:
                yield cell, 0.0, "its process died twice; is there enough memory? Fewer --jobs need less."
            else:
                suspects.append(cell)


def _pool(
    study: Study, queue: list[Cell], data: Path | None, store: ResultsStore, jobs: int
) -> Iterator[tuple[Cell, Result | None]]:
    """Take cells off the end of the queue until it is empty or a process dies; None for those that were under way."""
    from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    pool = ProcessPoolExecutor(max_workers=jobs, env=threads, initializer=_end_with, initargs=(os.getpid(),))
    running: dict[Future[Result], Cell] = {}
    try:
        while queue or running:
            while queue and len(running) < jobs:
                cell = queue.pop()
                running[pool.submit(_evaluate, study, cell, data, store)] = cell
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                yield cell, future.result()
    except BrokenProcessPool:
        yield cell, None
        for other in running.values():
            yield other, None
    finally:
        pool.shutdown(kill_workers=True)


def _end_with(parent: int) -> None:
    """End this process once the one that started it is gone: killed, it cannot say so, and a pool waits for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


class _Clock:
    """Time left: each method's mean time, of this run and of the store, times its cells, over the processes."""

    def __init__(self, store: ResultsStore, todo: list[Cell], skipped: int, jobs: int, report: Say) -> None:
        self.left, self.jobs, self.report = list(todo), jobs, report
        self.done, self.total = skipped, skipped + len(todo)
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        if skipped:
            before = store.read(metrics=["seconds"])
            for method, part in before.groupby("method"):
                self.times[str(method)] = part["value"].tolist()

    def tick(self, cell: Cell, seconds: float, error: str | None) -> None:
        self.left.remove(cell)
        self.done += 1
        if error is None:
            self.times[cell.method].append(seconds)
        means = {method: float(np.mean(times)) for method, times in self.times.items()}
        usual = float(np.mean(list(means.values()))) if means else 0.0
        left = sum(means.get(each.method, usual) for each in self.left) / self.jobs
        state = "failed: " if error is not None else ""
        self.report(f"{self.done} of {self.total} cells, {_lasting(left)} left; {state}{cell}")


def _lasting(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
