"""Command `crowdpyro report`: studies' results as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path, typer.Argument(help="As `crowdpyro study --out` left it, or one study's folder in it.")],
    out: Annotated[Path | None, typer.Option(help="The file; report.html in the folder when not given.")] = None,
) -> None:
    """Write report.html, which needs nothing else: who wins, a verdict with its evidence, tables, figures."""
    from ..report.page import write_report

    typer.echo(f"wrote {write_report(folder, out)}")
