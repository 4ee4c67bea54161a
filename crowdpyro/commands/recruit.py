"""Recruiting before a crowd answers: profiles for `crowdpyro generate --participants FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from ..recruitment import Margins, ProfileGenerator


def recruit(
    people: Annotated[
        Path | None, typer.Argument(help="Candidates: participant, and a column a trait.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Profiles: .csv, .csv.gz, .parquet.")] = Path("recruits.csv"),
    n: Annotated[int, typer.Option(min=1, help="How many people.")] = 1000,
    margins: Annotated[
        Path | None, typer.Option(help="Published margins: trait, level, share or count; without people, these alone.")
    ] = None,
    quotas: Annotated[
        bool, typer.Option("--quotas", help="Meet the margins, or those of a learned law, to whole people.")
    ] = False,
    qualified: Annotated[
        str | None, typer.Option(help="Who may be recruited: \"age >= 60 and gender == 'man'\".")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of the candidates' weights, if not `weight`.")] = None,
    learned: Annotated[bool, typer.Option("--learned", help="Learn the candidates' law and draw new people.")] = False,
    ordinal: Annotated[
        list[str] | None, typer.Option(help="Order of a trait's levels, for --learned: education=low,middle,high.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Also a picture of margins and joint: .png, .pdf, .svg.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal people.")] = 0,
) -> None:
    """Recruit people from candidates, to published margins, or new ones like them; and say how near they are."""
    from ..data import read_participants
    from ..errors import DataError
    from ..recruitment import LearnedProfiles, Margins, recruitment_report
    from ..table_writing import check_suffix, write_table
    from ..tables import counted

    check_suffix(out)
    if any(file is not None and file.resolve() == out.resolve() for file in (people, margins)):
        raise DataError(f"file {str(out)!r} is read, and --out would replace it; give another name.")
    if picture is not None and picture.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise DataError(f"file {str(picture)!r}: the suffix must be .png, .pdf or .svg.")
    pool, weights = (None, None) if people is None else _weighted(read_participants(people), weight)
    wanted = None if margins is None else Margins.read(margins)
    orders = _orders(ordinal or [])
    made = _generator(pool, weights, wanted, qualified, quotas=quotas, learned=learned, ordinal=orders, seed=seed)
    found = made.draw(n, seed=seed, balanced=quotas) if isinstance(made, LearnedProfiles) else made.draw(n, seed=seed)
    write_table(found.reset_index(), out)
    typer.echo(f"wrote {counted(n, 'person', 'people')} to {out}")
    target = None if pool is None or wanted is not None or qualified is not None else pool
    if target is None and wanted is None:
        return
    report = recruitment_report(found, target, margins=wanted, weights=weights, ordinal=orders or None, seed=seed)
    typer.echo(repr(report)[1:-1])
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        report.figure().savefig(picture)
        typer.echo(f"wrote {picture}")


def _weighted(people: pd.DataFrame, weight: str | None) -> tuple[pd.DataFrame, pd.Series | None]:
    """Traits, and the column of weights taken off them."""
    from ..tables import require_columns

    if weight is None:
        return people, None
    require_columns(people, [weight], "people")
    return people.drop(columns=weight), people[weight]


def _orders(given: list[str]) -> dict[str, list[str]]:
    from ..errors import DataError

    orders = {}
    for each in given:
        name, equals, levels = each.partition("=")
        if not equals or "," not in levels:
            raise DataError(f"--ordinal {each!r}: write TRAIT=LEVEL,LEVEL,..., lowest first.")
        orders[name.strip()] = [level.strip() for level in levels.split(",")]
    return orders


def _generator(
    pool: pd.DataFrame | None,
    weights: pd.Series | None,
    wanted: Margins | None,
    qualified: str | None,
    *,
    quotas: bool,
    learned: bool,
    ordinal: dict[str, list[str]],
    seed: int,
) -> ProfileGenerator:
    """What the options ask for."""
    from ..errors import DataError
    from ..recruitment import LearnedProfiles, MarginsAlone, Pool, RakedPool

    if quotas and wanted is None and not learned:
        raise DataError("--quotas are of margins, or of a learned law; give --margins FILE or --learned.")
    if pool is None:
        if wanted is None:
            raise DataError("there is nobody to recruit; give a file of people, or --margins FILE.")
        if learned or qualified is not None:
            raise DataError("--learned and --qualified are of candidates; give a file of people.")
        return MarginsAlone(wanted, quotas)
    if learned:
        if wanted is not None:
            raise DataError("--learned draws the candidates' own law; give --margins in a second call, on its people.")
        fitted = LearnedProfiles.fit(pool, ordinal=ordinal, weights=weights, seed=seed)
        return fitted if qualified is None else fitted.among(qualified)
    if wanted is not None:
        return RakedPool(pool, wanted, weights, qualified, quotas)
    return Pool(pool, weights, qualified)
