"""Aggregation against crowd-kit on simulated tables: ten labels an item, a hundred a worker, five classes, float64.

Dawid-Skene by the iteration, from equal starts to equal posteriors (1e-9, checked first); GLAD to the end, each by its
own stopping rule, ours at the better objective (checked); peak memory of whole processes at ten million labels.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from timing import REPEATS, Table, clock

N_CLASSES = 5


def simulated(n: int) -> pd.DataFrame:
    """Workers with chances of being right between .5 and .9."""
    rng = np.random.default_rng(0)
    n_items, n_workers = n // 10, max(20, n // 100)
    task, worker = np.repeat(np.arange(n_items), 10), rng.integers(0, n_workers, n)
    right = rng.random(n) < rng.uniform(0.5, 0.9, n_workers)[worker]
    label = np.where(right, rng.integers(0, N_CLASSES, n_items)[task], rng.integers(0, N_CLASSES, n))
    return pd.DataFrame({"task": task, "worker": worker, "label": label})


def an_iteration(fit: Callable[[int], object], more: int) -> float:
    """Seconds of one iteration: what `more` of them add."""
    few = clock(lambda: fit(1))
    return (clock(lambda: fit(1 + more)) - few) / more


def dawid_skene(table: Table, n: int) -> None:
    """One row."""
    from crowdkit.aggregation import DawidSkene as Peer

    from crowdpyro.aggregation.table import LabelTable
    from crowdpyro.inference.annotation.dawid_skene_em import fit_dawid_skene
    from crowdpyro.models.annotation import DawidSkene

    frame = simulated(n)
    labels, flat = LabelTable.from_frame(frame).labels, DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0)

    def ours(n_iter: int) -> np.ndarray:
        return fit_dawid_skene(flat, labels, n_iter=n_iter, tol=-np.inf).truth.numpy()

    def peer(n_iter: int) -> pd.DataFrame:
        return Peer(n_iter=n_iter, tol=-np.inf).fit(frame).probas_

    # The peer's truth is that of the parameters before its last M-step.
    if np.abs(ours(2) - peer(3).loc[range(labels.n_items), range(N_CLASSES)].to_numpy()).max() > 1e-9:
        raise SystemExit("Dawid-Skene differs from crowd-kit's")
    pairs = [(an_iteration(ours, 50), an_iteration(peer, 4)) for _ in range(REPEATS)]
    row(table, f"Dawid-Skene, an iteration, {n:,} labels", pairs, n, "labels")


def glad(table: Table, n: int, repeats: int) -> None:
    """One row; the peer takes long, so that few runs must do."""
    import torch
    from crowdkit.aggregation import GLAD

    from crowdpyro.aggregation.table import LabelTable
    from crowdpyro.inference.annotation.glad_map import fit_glad
    from crowdpyro.models.annotation import Glad

    frame = simulated(n)
    labels, pairs = LabelTable.from_frame(frame).labels, []
    for _ in range(repeats):
        mine = statistics.median(clock(lambda: fit_glad(Glad(), labels)) for _ in range(REPEATS))
        peer = GLAD()
        pairs.append((mine, clock(lambda peer=peer: peer.fit(frame))))
    theirs = {"ability": peer.alphas_.loc[range(labels.n_workers)], "log_ease": peer.betas_.loc[range(labels.n_items)]}
    objective = Glad().log_joint({name: torch.tensor(each.to_numpy()) for name, each in theirs.items()}, labels).item()
    gain = fit_glad(Glad(), labels).log_likelihood[-1] - objective
    if gain < 0:
        raise SystemExit("GLAD's objective is worse than crowd-kit's")
    row(table, f"GLAD, whole fit, {n:,} labels (objective better by {gain:.2g} nats)", pairs, n, "labels")


def majority(table: Table, n: int) -> None:
    """Two rows: from the frame, and of the count alone."""
    from crowdkit.aggregation import MajorityVote

    from crowdpyro import aggregate
    from crowdpyro.aggregation.table import LabelTable
    from crowdpyro.inference.annotation.majority import fit_majority, winners

    frame = simulated(n)
    labels = LabelTable.from_frame(frame).labels

    def peer() -> pd.Series:
        return MajorityVote().fit_predict(frame)

    def ours() -> pd.Series:
        return aggregate(frame, "majority").labels

    # Where nobody ties, winners are the same; ties are at random here and the first in crowd-kit.
    same = (ours() == peer()) | (
        aggregate(frame, "majority").posterior.apply(lambda row: row.eq(row.max()).sum() > 1, 1)
    )
    if not same.all():
        raise SystemExit("the majority differs from crowd-kit's")
    table.compare(f"majority, {n:,} labels, from the frame", ours, peer, n, "labels")
    table.compare(
        f"majority, {n:,} labels, on codes", lambda: winners(fit_majority(labels).truth.numpy()), peer, n, "labels"
    )


def row(table: Table, subject: str, pairs: list[tuple[float, float]], work: int, unit: str) -> None:
    """A row of times in pairs, ours first."""
    mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratios = sorted(b / a for a, b in pairs)
    table.add(
        subject,
        f"{1e3 * mine:,.3g} ms",
        f"{1e3 * theirs:,.3g} ms",
        f"{theirs / mine:.3g} ({ratios[0]:.3g} to {ratios[-1]:.3g})",
        f"{work / mine:,.0f} {unit}/s",
    )


def memory(who: str, n: int) -> dict[str, float]:
    """Peak of this process, and what it held before the fit, in MB."""
    frame = simulated(n)
    if who == "ours":
        from crowdpyro import aggregate
        from crowdpyro.inference.annotation import point  # noqa: F401 - its memory is not the fit's

        def fit() -> object:
            return aggregate(frame, "dawid_skene", n_iter=3).labels
    else:
        from crowdkit.aggregation import DawidSkene

        def fit() -> object:
            return DawidSkene(n_iter=3).fit_predict(frame)

    before = resident()
    fit()
    return {"before": before, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def resident() -> float:
    """What this process holds now, MB."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    """Times, then memory, one process each."""
    table = Table("Aggregation (the peer is crowd-kit)")
    for n in (10_000, 100_000, 1_000_000):
        dawid_skene(table, n)
    glad(table, 10_000, 3)
    glad(table, 100_000, 1)
    majority(table, 1_000_000)
    table.close()
    table = Table(
        "Memory of Dawid-Skene at 10,000,000 labels", ("", "whole process", "with the table alone", "above it")
    )
    for who in ("ours", "crowd-kit"):
        command = [sys.executable, "-W", "ignore", __file__, who, "10000000"]
        done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        peak, before = done["peak"], done["before"]
        table.add(who, f"{peak:,.0f} MB", f"{before:,.0f} MB", f"{peak - before:,.0f} MB")
    table.close()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(memory(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
