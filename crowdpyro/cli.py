"""The command line: one readable message for every foreseen error, exit code 2, no traceback unless asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .models.errors import CrowdPyroError

app = typer.Typer(
    help="Digital populations from a small sample of people and a frozen LLM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
study_app = typer.Typer(help="Reproduce a study beside its yardsticks.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(study_app, name="study")

Seeds = Annotated[int, typer.Option(min=1, help="Number of splits, seeds 0, 1, ...")]


def _version(shown: bool) -> None:
    if shown:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Digital populations from a small sample of people and a frozen LLM."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for results.csv, crowd.nc and the pictures.")] = Path("demo-out"),
    splits: Annotated[int, typer.Option(min=1, help="Random splits of the people.")] = 5,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one a core when not given.")] = None,
) -> None:
    """Build a crowd from 200 people of a 25-item personality survey, and show how human it is."""
    from .demo import run

    run(out, splits, jobs)


@study_app.command()
def offensiveness(
    references: Annotated[str, typer.Option(help="gpt4, gpt35, llama31_8b, ... or panel.")] = "gpt4",
    split: Annotated[str, typer.Option(help="Hold out problems, or participants.")] = "problem",
    seeds: Seeds = 10,
    out: Annotated[Path, typer.Option(help="Folder for results.csv.")] = Path("study-out"),
    data: Annotated[Path | None, typer.Option(help="Folder that holds popquorn/.", envvar="CROWDPYRO_DATA")] = None,
) -> None:
    """POPQUORN offensiveness ratings, with recorded answers of nine LLMs."""
    from .studies.display import print_paired, print_summary, wide_console
    from .studies.offensiveness import run

    console = wide_console()
    with console.status("reading") as status:
        results = run(references, split, seeds, out, data, report=status.update)  # type: ignore[arg-type]
    print_summary(
        results,
        split,
        console,
        f"Offensiveness, {references}, held out by {split}: mean (sd) of {seeds} splits",
    )
    print_paired(results, "crowdllm", "calibration_table", console)
    if split == "participant":
        print_paired(results, "crowdllm", "independent_histograms", console)
    console.print(f"wrote {out / 'results.csv'}")


def main() -> None:
    """Entry point of the command `crowdpyro`."""
    try:
        app()
    except CrowdPyroError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
