"""Command of aggregation: the truth of each problem from anyone's table of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .runs import SafeCsv


def aggregate(
    labels: Annotated[
        Path,
        typer.Argument(help="Labels: problem, participant, response (or task, worker, label).", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables and the picture.")] = Path("aggregation"),
    method: Annotated[
        str | None, typer.Option(help="majority, dawid_skene, glad, mace, ...; the default where left out.")
    ] = None,
    inference: Annotated[str, typer.Option(help="map, svi or nuts.")] = "map",
    golden: Annotated[Path | None, typer.Option(help="Known truths: problem, truth.")] = None,
    history: Annotated[
        Path | None, typer.Option(help="Earlier labels: participant, truth, response and, if counted, count.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="All labels, in their order: 1:5 or a,b,c.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of ties, of SVI and of NUTS.")] = 0,
    safe_csv: SafeCsv = False,
) -> None:
    """Find the true label of each problem and whom to trust: tables of both, and a picture of who confuses what."""
    from ..aggregation.truth import DEFAULT
    from ..aggregation.truth import aggregate as find
    from ..data import answer_words
    from ..models.scales import parse_scale
    from ..tables import read_table

    chosen = None if scale is None else parse_scale(scale)
    words = () if chosen is None else answer_words(chosen)
    found = find(
        read_table(labels, words),
        method or DEFAULT,
        inference,  # type: ignore[arg-type]
        golden=None if golden is None else read_table(golden, words),
        history=None if history is None else read_table(history, words),
        scale=chosen,
        seed=seed,
    )
    for note in found.report:
        typer.echo(f"note: {note}")
    typer.echo(repr(found)[1:-1])
    if not found.converged:
        typer.echo(f"note: it had not converged after {found.n_iter} iterations", err=True)
    for path in found.write(out, safe=safe_csv):
        typer.echo(f"wrote {path}")
