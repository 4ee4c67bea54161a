"""Commands of persons: known from their answers, replayed in another world, compared with humans; their study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .runs import Device, NewProblems, NewReferences, Run, SafeCsv
from .study import app as studies

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal draws.")]
_MOST_ROWS = 40


def condition(
    run: Run,
    answers: Annotated[
        list[Path],
        typer.Argument(help="Their answers: problem, participant, response; a file a wave.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Predictions, a row a (participant, problem): .csv, .csv.gz, .parquet.")],
    participants: Annotated[Path | None, typer.Option(help="Their profiles, where the run has any.")] = None,
    problems: NewProblems = None,
    references: NewReferences = None,
    people: Annotated[Path | None, typer.Option(help="Also a table of what is known of each person.")] = None,
    crowd: Annotated[Path | None, typer.Option(help="Also a crowd: their answers, the others drawn.")] = None,
    coverage: Annotated[float, typer.Option(help="Chance of the bands.")] = 0.9,
    seed: Seed = 0,
    device: Device = "cpu",
    safe_csv: SafeCsv = False,
) -> None:
    """Get to know people from a few answers and predict their others; no LLM is asked about them."""
    from ..runs.persons import condition_run
    from ..table_writing import check_suffix, write_table
    from ..tables import counted

    check_suffix(out)
    if people is not None:
        check_suffix(people)
    if crowd is not None:
        check_suffix(crowd, ".nc")
    found, asked, told = condition_run(
        run,
        answers,
        typer.echo,
        participants=participants,
        problems=problems,
        references=references,
        seed=seed,
        device=device,
    )
    write_table(found.predict(asked, told, coverage=coverage), out, safe=safe_csv)
    typer.echo(f"wrote predictions for {counted(found.data.n_participants, 'person', 'people')} to {out}")
    if people is not None:
        write_table(found.to_frame().reset_index(), people, safe=safe_csv)
        typer.echo(f"wrote {people}")
    if crowd is not None:
        found.generate(asked, told, seed=seed).write(crowd, safe=safe_csv)
        typer.echo(f"wrote {crowd}")


def replay(
    run: Run,
    references: Annotated[Path | None, typer.Option(help="Another LLM's answers, or another wording's.")] = None,
    persona: Annotated[str | None, typer.Option(help="Of these, a persona's.")] = None,
    margin: Annotated[
        list[str] | None, typer.Option(help="Instead, a trait's shares: gender=man:0.5,woman:0.5; may be repeated.")
    ] = None,
    participants: Annotated[int, typer.Option(min=2, help="Virtual participants.")] = 1000,
    shares: Annotated[bool, typer.Option("--shares", help="Contrast the share of every level.")] = False,
    out: Annotated[Path | None, typer.Option(help="The table: .csv, .csv.gz, .parquet.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Let the same crowd answer in another world: what changes, with everything else held fixed."""
    from ..runs.persons import margins_of, replay_run
    from ..studies.display import wide_console
    from ..table_writing import check_suffix, write_table

    if out is not None:
        check_suffix(out)
    found = replay_run(
        run,
        participants,
        typer.echo,
        references=references,
        persona=persona,
        margins=margins_of(margin) if margin else None,
        seed=seed,
        device=device,
    )
    typer.echo(found.changed)
    of = "share" if shares else "mean"
    table, console = found.contrast(of), wide_console()
    _print(table, "Problem by problem", console)
    _print(found.overall(of), "People's means over problems", console)
    if out is not None:
        write_table(table.reset_index(), out)
        typer.echo(f"wrote {out}")


def individuation(
    crowd: Annotated[Path, typer.Argument(help="A crowd's .nc.", show_default=False)],
    humans: Annotated[Path, typer.Argument(help="Another .nc, or answers of people.", show_default=False)],
    participants: Annotated[Path | None, typer.Option(help="Profiles of these people.")] = None,
    scales: Annotated[Path | None, typer.Option(help="Table problem, scale: items that make up a scale.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the tables and the page of pictures.")] = Path("individuation"),
    seed: Seed = 0,
) -> None:
    """Say whether a crowd's members are individuals, beside humans."""
    from ..runs.persons import compare_files
    from ..studies.display import wide_console
    from ..table_writing import write_table
    from ..tables import write_whole

    found = compare_files(crowd, humans, typer.echo, participants=participants, scales=scales, seed=seed)
    tables, console = found.tables(), wide_console()
    for name, table in tables.items():
        if name != "pairs" and len(table):
            _print(table, name, console)
        write_table(table.reset_index(), out / f"{name}.csv")
    figure = found.figure()
    write_whole(out / "page.png", lambda file: figure.savefig(file, dpi=150))
    typer.echo(f"wrote {', '.join(f'{name}.csv' for name in tables)} and page.png to {out}")


@studies.command("persons")
def study(
    splits: Annotated[int, typer.Option(min=1, help="Number of splits, seeds 0, 1, ...")] = 5,
    references: Annotated[
        Path | None, typer.Option(help="The survey's references as the demo wrote them; asked anew when not given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.csv.")] = Path("study-out"),
    data: Annotated[Path | None, typer.Option(help="Folder that holds popquorn/.", envvar="CROWDPYRO_DATA")] = None,
) -> None:
    """Persons of a 25-item survey: known from a few answers, true to each other, replayed."""
    from ..datasets import load_personality
    from ..demo import ask
    from ..references import References
    from ..studies import persons
    from ..studies.display import wide_console

    console, survey = wide_console(), load_personality()
    with console.status("asking the frozen LLM") as status:
        told = ask(survey) if references is None else References.read(references, scale=survey.scale)
        results = persons.run(survey, told, splits, out, data, report=status.update)
    for block, table in persons.tables(results).items():
        _print(table.T, f"{block}: mean (sd) of {splits} splits", console)
    if data is None:
        console.print("no replay: name the folder that holds popquorn by --data or CROWDPYRO_DATA")
    console.print(f"wrote {out / 'results.csv'}")


def _print(table: pd.DataFrame, title: str, console: Console) -> None:
    """A table, its first rows where it is long."""
    from rich.table import Table

    shown = table.iloc[:_MOST_ROWS].reset_index()
    more = f" (the first {_MOST_ROWS} of {len(table)} rows)" if len(table) > _MOST_ROWS else ""
    view = Table(title=title + more, title_justify="left", header_style="bold")
    for name in shown.columns:
        view.add_column(str(name), no_wrap=True)
    for row in shown.itertuples(index=False):
        view.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(view)
