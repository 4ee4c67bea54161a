"""Command of intervals: what people answer on average, from people and a crowd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .runs import SafeCsv

_MOST_ROWS = 60


def interval(
    run: Annotated[
        Path | None, typer.Argument(help="Folder that `crowdpyro fit` wrote; or three files.", show_default=False)
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="With RUN: profiles of those who are to be spoken for, not of its people.")
    ] = None,
    humans: Annotated[Path | None, typer.Option(help="People's answers: problem, participant, response.")] = None,
    twins: Annotated[Path | None, typer.Option(help="Their twins' answers, which have not seen them.")] = None,
    crowd: Annotated[Path | None, typer.Option(help="A crowd's answers, made as the twins'.")] = None,
    participants: Annotated[
        Path | None, typer.Option(help="With --humans: people, for their weight, stratum, psu.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="rectified, power_tuned, human_only; theorem_4_6, absolute_bias as printed.")
    ] = "rectified",
    alpha: Annotated[float, typer.Option(help="Chance that an interval misses.")] = 0.05,
    alternative: Annotated[str, typer.Option(help="two-sided, larger or smaller.")] = "two-sided",
    shares: Annotated[bool, typer.Option("--shares", help="An interval for the share of every option.")] = False,
    pooled: Annotated[bool, typer.Option("--pooled", help="One for all problems, clustered by participant.")] = False,
    simultaneous: Annotated[bool, typer.Option("--simultaneous", help="Let all together miss with alpha.")] = False,
    folds: Annotated[int, typer.Option(min=2, help="With RUN: folds of people, a fit each.")] = 5,
    out: Annotated[Path | None, typer.Option(help="File for the table, .csv or .csv.gz.")] = None,
    picture: Annotated[Path | None, typer.Option(help="File for the forest plot, .png or .pdf.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds, fits and draws.")] = 0,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda.")] = "cpu",
    safe_csv: SafeCsv = False,
) -> None:
    """Confidence intervals of what people answer on average, the people's own beside them."""
    from ..errors import DataError
    from ..runs.intervals import interval_files, interval_run, write_intervals
    from ..studies.display import print_intervals, wide_console
    from ..tables import write_whole

    if out is not None and not out.name.lower().endswith((".csv", ".csv.gz")):
        raise DataError(f"file {str(out)!r}: the suffix must be .csv or .csv.gz.")
    if picture is not None and picture.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise DataError(f"file {str(picture)!r}: the suffix must be .png, .pdf or .svg.")
    how: dict[str, Any] = {"method": method, "alpha": alpha, "alternative": alternative}
    how |= {"shares": shares, "pooled": pooled, "simultaneous": simultaneous}
    files = {"humans": humans, "twins": twins, "crowd": crowd}
    given = [name for name, path in files.items() if path is not None]
    if run is not None and not given and participants is None:
        found = interval_run(run, typer.echo, population=population, k=folds, seed=seed, device=device, **how)
    elif run is None and humans is not None and twins is not None and crowd is not None and population is None:
        found = interval_files(humans, twins, crowd, typer.echo, participants=participants, **how)
    else:
        raise DataError("give the folder of a run, with --population; or --humans, --twins and --crowd without one.")
    print_intervals(found, wide_console(), _MOST_ROWS)
    if out is not None:
        write_intervals(found, out, safe=safe_csv)
        typer.echo(f"wrote {out}")
    if picture is not None:
        figure = found.plot()
        write_whole(picture, lambda file: figure.savefig(file, format=picture.suffix[1:].lower(), dpi=150))
        typer.echo(f"wrote {picture}")
