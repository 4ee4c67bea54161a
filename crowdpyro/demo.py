"""The demo: from 200 people and a small frozen LLM to a crowd, its tables and its pictures."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd

from .crowd import Crowd
from .data import CrowdData
from .datasets import load_personality
from .llm import FrozenLLM
from .plots import answer_distributions, correlation_matrices
from .references import References
from .studies import personality
from .studies.display import print_summary, wide_console
from .studies.scoring import write_results
from .tables import write_whole

# Every item of a 3 x 3 picture, chosen once: at most two of a trait, before any result was seen.
SHOWN = ("A1", "A3", "C2", "C5", "E1", "E4", "N1", "N4", "O1")


def run(out: Path, splits: int = 5, jobs: int | None = None) -> None:
    """Do everything that `crowdpyro demo` promises.

    Parameters
    ----------
    out
        Folder for `results.csv`, `references.parquet`, `crowd.nc`, `answers.png`, `correlations.png`.
    splits
        Random splits of the people.
    jobs
        Processes.
    """
    console = wide_console()
    start = time.perf_counter()
    data = load_personality()
    console.print(f"{data.n_participants:,} people, {data.n_problems} items, {data.n_answers:,} answers")
    with console.status("asking the frozen LLM"):
        references = ask(data)
    for note in references.report:
        console.print(f"  {note}", style="dim")
    references.write(out / "references.parquet")
    with console.status("fitting") as status:
        results, first = personality.run(data, references, splits, jobs=jobs, report=status.update)
    write_results(results, out / "results.csv")
    first.crowd.to_netcdf(out / "crowd.nc")
    _pictures(out, first.crowd, first.truth, references, data)
    for split, title in (
        ("seen", "Seen items: how 2,400 other people answered (W1), and how their answers hang together"),
        ("withheld", "Withheld items: five that no model was trained on"),
        ("score", "Held-out log score of 2,400 people's answers given their profiles, nats per answer"),
    ):
        console.print()
        print_summary(results, split, console, f"{title}\nmean (sd) of {splits} splits; best first, best in bold")
    minutes = (time.perf_counter() - start) / 60
    console.print(f"\nwrote results.csv, crowd.nc, answers.png, correlations.png to {out} in {minutes:.1f} minutes")


def ask(data: CrowdData, llm: FrozenLLM | None = None) -> References:
    """References of the survey's items from the embedded LLM: zero-shot and four personas."""
    backbone = llm or FrozenLLM("embedded", threads=os.cpu_count())
    return backbone.refer(data.problems, data.scale, question=personality.QUESTION, personas=personality.PERSONAS)


def _pictures(out: Path, crowd: Crowd, truth: Crowd, references: References, data: CrowdData) -> None:
    """Answer distributions of nine items, and the two correlation matrices."""
    rows = data.problems.index.get_indexer(pd.Index(SHOWN))
    figure = answer_distributions(
        truth.shares()[rows],
        references.probabilities()[rows],
        crowd.shares()[rows],
        titles=[str(data.problems["text"].iloc[row]) for row in rows],
        labels=list(data.scale.labels),  # type: ignore[union-attr]
    )
    write_whole(out / "answers.png", lambda file: figure.savefig(file, dpi=150))
    matrices = correlation_matrices(
        truth.correlation(),
        crowd.correlation(),
        labels=list(data.problems.index),
        groups=list(data.problems["trait"]),
    )
    write_whole(out / "correlations.png", lambda file: matrices.savefig(file, dpi=150))
