"""Commands of the studies: each reproduces one beside its yardsticks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..studies.names import STUDIES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

app = typer.Typer(help="Reproduce a study beside its yardsticks.", no_args_is_help=True, rich_markup_mode=None)

Protocol = Annotated[
    list[str] | None,
    typer.Option("--protocol", "--split", help="What is held out; repeat for several. All when not given."),
]
References = Annotated[list[str] | None, typer.Option(help="LLMs whose answers are read; repeat for several.")]
Methods = Annotated[list[str] | None, typer.Option(help="Rows of the tables; repeat for several.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds, 0, 1, ...; the study's own when not given.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; one a core, four at most, when not given.")]
Quick = Annotated[bool, typer.Option("--quick", help="A small part of the grid.")]
Out = Annotated[Path, typer.Option(help="A folder NAME in it holds the results; what is done there is not done again.")]
Data = Annotated[Path | None, typer.Option(help="Folder of the real data.", envvar="CROWDPYRO_DATA")]
OUT = Path("study-out")


def _register(name: str, line: str) -> None:
    """A command for one study of `STUDIES`."""

    @app.command(name, help=line)
    def command(
        protocol: Protocol = None,
        references: References = None,
        methods: Methods = None,
        seeds: Seeds = None,
        jobs: Jobs = None,
        quick: Quick = False,
        out: Out = OUT,
        data: Data = None,
    ) -> None:
        _run(name, protocol, references, methods, seeds, jobs, quick, out, data)


def _run(
    name: str,
    protocol: list[str] | None,
    references: list[str] | None,
    methods: list[str] | None,
    seeds: int | None,
    jobs: int | None,
    quick: bool,
    out: Path,
    data: Path | None,
) -> None:
    """Fill the store, show its tables, write its report; exit code 1 when a cell failed."""
    import os

    from ..report.page import write_report
    from ..studies.display import print_protocol, wide_console
    from ..studies.names import find
    from ..studies.runner import run
    from ..studies.store import ResultsStore
    from ..studies.summary import summarise

    study, store, console = find(name), ResultsStore(out / name), wide_console()
    with console.status("reading") as status:
        outcome = run(
            study,
            store,
            protocols=tuple(protocol or ()),
            references=tuple(references or ()),
            methods=tuple(methods or ()),
            seeds=tuple(range(seeds or 0)),
            jobs=jobs or min(os.cpu_count() or 1, 4),
            quick=quick,
            data=data,
            report=_teller(console, status),
        )
    for cell, error in outcome.failed.items():
        typer.echo(f"failed: {cell}: {error}", err=True)
    if outcome.done + outcome.skipped == 0:
        raise typer.Exit(1)
    for each in study.protocols:
        summary = summarise(study, store, each.name) if each.table else None
        if summary is not None:
            print_protocol(summary, console)
            console.print()
    written = write_report(store.folder)
    console.print(f"{outcome.done} cells done, {outcome.skipped} were there; wrote {written}")
    if outcome.failed:
        raise typer.Exit(1)


def _teller(console: Console, status: Status) -> Callable[[str], None]:
    """Progress in place on a terminal, a line every half minute elsewhere."""
    last = 0.0

    def tell(text: str) -> None:
        nonlocal last
        if console.is_terminal:
            status.update(escape(text))
        elif time.monotonic() - last > 30:
            last = time.monotonic()
            typer.echo(text, err=True)

    return tell


for _name, _line in STUDIES.items():
    if _name != "offensiveness":
        _register(_name, _line)


@app.command()
def offensiveness(
    protocol: Protocol = None,
    references: References = None,
    methods: Methods = None,
    seeds: Seeds = None,
    jobs: Jobs = None,
    quick: Quick = False,
    guide: Annotated[str, typer.Option(help="vae or semi_implicit; see --objective.")] = "vae",
    objective: Annotated[
        str, typer.Option(help="predictive or paper; another pair than the default is one more row in a short run.")
    ] = "predictive",
    out: Out = OUT,
    data: Data = None,
) -> None:
    """POPQUORN offensiveness ratings, with recorded answers of nine LLMs."""
    if (guide, objective) == ("vae", "predictive"):
        _run("offensiveness", protocol, references, methods, seeds, jobs, quick, out, data)
        return
    from ..errors import DataError
    from ..studies.display import print_paired, print_summary, wide_console
    from ..studies.offensiveness import run

    several = [name for name, given in (("--protocol", protocol), ("--references", references)) if len(given or ()) > 1]
    given = {"--methods": methods, "--jobs": jobs, "--quick": quick}
    without = [name for name, value in given.items() if value]
    if several or without:
        raise DataError(
            f"{', '.join(without + several)}: with --guide or --objective one short run is made of every method under "
            "one protocol with one LLM; leave them out, or name one of each."
        )
    console = wide_console()
    splits, llm, split = seeds or 10, (references or ["gpt4"])[0], (protocol or ["problem"])[0]
    with console.status("reading") as status:
        results = run(llm, split, splits, out, data, report=status.update, guide=guide, objective=objective)
    print_summary(results, split, console, f"Offensiveness, {llm}, {split}: mean (sd) of {splits} splits")
    print_paired(results, "crowdllm", "calibration_table", console)
    for variant in (name for name in results["method"].unique() if name.startswith("crowdllm_")):
        print_paired(results, variant, "crowdllm", console)
    console.print(f"wrote {out / 'results.csv'}")


@app.command()
def weights(
    resamples: Annotated[int, typer.Option(min=1, help="Biased samples, seeds 0, 1, ...: two fits each.")] = 20,
    people: Annotated[int, typer.Option(min=50, help="People in a sample.")] = 1000,
    over: Annotated[str, typer.Option(help="Who is asked three times as often: women, young or both.")] = "both",
    references: Annotated[Path | None, typer.Option(help="An LLM's answers to the items, as the demo writes.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for weights_OVER.csv.")] = Path("study-out"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one a core when not given.")] = None,
) -> None:
    """Survey weights on samples in which women and the young are over-represented three to one."""
    from ..datasets import load_personality
    from ..references import References
    from ..studies.display import print_table, wide_console
    from ..studies.weights import run

    console = wide_console()
    llm = None if references is None else References.read(references, scale=load_personality().scale)
    with console.status("reading") as status:
        methods, items = run(
            resamples,
            people,
            over,  # type: ignore[arg-type]
            out,
            llm,
            jobs=jobs,
            report=status.update,
        )
    print_table(methods, console, f"Against the population's answers: means of {resamples} samples of {people:,}")
    print_table(items, console, "Mean absolute error of each item's mean answer")
    console.print(f"wrote {out / f'weights_{over}.csv'}")


@app.command()
def intervals(
    resamples: Annotated[int, typer.Option(min=2, help="Studies of each size.")] = 500,
    cross_fitted: Annotated[
        int, typer.Option(min=0, help="Studies of 100 people whose twins are cross-fitted: 15 s each.")
    ] = 0,
    references: Annotated[Path | None, typer.Option(help="An LLM's answers to the items, as the demo writes.")] = None,
    pooled: Annotated[bool, typer.Option(help="POPQUORN's pooled interval as well, where its data is.")] = True,
    out: Annotated[Path, typer.Option(help="Folder for intervals.csv, pooled_intervals.csv.")] = Path("study-out"),
    data: Annotated[Path | None, typer.Option(help="Folder that holds popquorn/.", envvar="CROWDPYRO_DATA")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of everything.")] = 0,
) -> None:
    """Coverage and width of intervals on real people whose truth is known."""
    from ..datasets import load_personality
    from ..references import References
    from ..studies.display import print_coverage, wide_console
    from ..studies.intervals import run, run_pooled

    console = wide_console()
    llm = None if references is None else References.read(references, scale=load_personality().scale)
    with console.status("reading") as status:
        table = run(resamples, cross_fitted, out, llm, seed=seed, report=status.update)
    print_coverage(table, console, "95 % intervals of the mean answers to 25 items, truth: 2,400 people")
    console.print(f"wrote {out / 'intervals.csv'}")
    if pooled and data is not None:
        with console.status("reading") as status:
            table = run_pooled(resamples, out, data, seed=seed, report=status.update)
        print_coverage(table, console, "95 % intervals of the mean offensiveness of all comments, by rater")
        console.print(f"wrote {out / 'pooled_intervals.csv'}")
