"""The command line: one readable message for every foreseen error, exit code 2, no traceback unless asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .commands import aggregate, interval, llm, persons, recruit, report, runs, study
from .models.errors import CrowdPyroError

app = typer.Typer(
    help="Digital populations from a small sample of people and a frozen LLM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
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


@app.command()
def versions() -> None:
    """Print what a bug report needs, and nothing else: versions, system, device."""
    from .versions import versions as found

    for name, version in found().items():
        typer.echo(f"{name} {version}")


for _command in (
    runs.fit,
    recruit.recruit,
    runs.generate,
    runs.evaluate,
    runs.show,
    persons.condition,
    persons.replay,
    persons.individuation,
    interval.interval,
    aggregate.aggregate,
    report.report,
    llm.refer,
    llm.prompt,
):
    app.command()(_command)
app.add_typer(study.app, name="study")
app.add_typer(llm.cache, name="cache")


def main() -> None:
    """Entry point of the command `crowdpyro`."""
    # Known to every command by being taken off, wherever it stands.
    words = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(words)
    except (CrowdPyroError, OSError) as error:
        if len(words) < len(sys.argv) - 1:
            raise
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
