"""Commands of a run: fit, generate, evaluate, show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

SCALES = (
    "1:5, a,b,c or continuous[:LOW:HIGH]; ballots: approval:a,b,c, choose:2:a,b,c, rank:2:a,b,c or points:10:a,b,c."
)
Run = Annotated[Path, typer.Argument(help="Folder that `crowdpyro fit` wrote.", show_default=False)]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda.")]
NewProblems = Annotated[Path | None, typer.Option(help="Problems other than those of the fit.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a dask.distributed scheduler, tcp://...; its workers compute.")
]
SafeCsv = Annotated[
    bool, typer.Option("--safe-csv", help="In CSV, an apostrophe before texts that a spreadsheet would run.")
]
NewReferences = Annotated[Path | None, typer.Option(help="The LLM's answers to those problems.")]


def fit(
    responses: Annotated[
        Path | None, typer.Argument(help="Answers: problem, participant, response.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; `run` when not given.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of these options; the command line wins.")] = None,
    problems: Annotated[Path | None, typer.Option(help="Problems: problem, text.")] = None,
    participants: Annotated[
        Path | None, typer.Option(help="People: participant, a column a trait; weight, stratum, psu.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help=SCALES)] = None,
    references: Annotated[Path | None, typer.Option(help="Recorded answers of LLMs.")] = None,
    llm: Annotated[str | None, typer.Option(help="Or an LLM to ask: embedded, a folder, a hub id, http://...")] = None,
    question: Annotated[str | None, typer.Option(help="What the LLM is asked about each text.")] = None,
    cache: Annotated[Path | None, typer.Option(help="What the LLM was asked before; in --out when not given.")] = None,
    missing_reference: Annotated[str | None, typer.Option(help="error, drop, panel or mean.")] = None,
    missing_profile: Annotated[str | None, typer.Option(help="level or drop.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of survey weights, or none.")] = None,
    stratum: Annotated[str | None, typer.Option(help="Column of strata, or none.")] = None,
    psu: Annotated[str | None, typer.Option(help="Column of primary sampling units, or none.")] = None,
    holdout: Annotated[str | None, typer.Option(help="participant, or problem for crowds on new problems.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal models.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute: cpu, cuda.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: n_eps=3, training.lr=0.005.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run in the folder.")] = False,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="Least time between checkpoints.")] = 10.0,
) -> None:
    """Fit a crowd to people's answers; called again after an interruption, it goes on."""
    from ..inference.processes import launched, place
    from ..runs.folder import fit_run
    from ..runs.options import RunOptions, assigned, merged, read_yaml

    given: dict[str, Any] = {
        "responses": responses,
        "problems": problems,
        "participants": participants,
        "scale": scale,
        "references": references,
        "llm": llm,
        "question": question,
        "cache": cache,
        "missing_reference": missing_reference,
        "missing_profile": missing_profile,
        "weight": weight,
        "stratum": stratum,
        "psu": psu,
        "seed": seed,
        "device": device,
        "model": {"holdout": holdout},
    }
    options = merged({} if config is None else read_yaml(config), merged(given, assigned(settings or ())))
    written = options.pop("out", None)
    out = out or Path(written or "run")
    known = RunOptions.of(options)
    try:
        with launched(known.device):
            # Of a group's processes, one speaks.
            say: Callable[[str], None] = _nothing if place()[0] else typer.echo
            fit_run(known, out, say, overwrite=overwrite, checkpoint_seconds=checkpoint_seconds)
    except KeyboardInterrupt as stop:
        typer.echo(f"{stop} The same command goes on." if str(stop) else "stopped", err=True)
        raise typer.Exit(130) from None
    new = ""
    if known.model.holdout == "problem":
        new = " --problems new.csv" + " --references new_references.csv" * (known.references is not None)
    say(f"next: crowdpyro generate {out} --participants 1000{new} --out crowd.csv")


def _nothing(said: str) -> None:
    """Say nothing."""


def generate(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="The crowd: .nc, .csv, .csv.gz or .parquet.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Or a zarr folder, written block by block; the same command goes on.")
    ] = None,
    participants: Annotated[str, typer.Option(help="How many, or a file of profiles.")] = "1000",
    problems: NewProblems = None,
    references: NewReferences = None,
    decision: Annotated[str, typer.Option(help="draw one answer, or the expected one.")] = "draw",
    reference: Annotated[str, typer.Option(help="expected, shared_draw or per_participant.")] = "expected",
    crossed: Annotated[bool, typer.Option(help="The same people for all problems.")] = True,
    participation: Annotated[
        float | None, typer.Option(help="Probability of taking part; the learned ones, or 1, when not given.")
    ] = None,
    per_problem: Annotated[
        int | None, typer.Option(help="So many answers a problem, by some of those who would take part.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal crowds.")] = 0,
    device: Device = "cpu",
    scheduler: Scheduler = None,
    memory: Annotated[
        str | None, typer.Option(help="With --store: most that a process may hold beside the model, as 2GB.")
    ] = None,
    safe_csv: SafeCsv = False,
) -> None:
    """Recruit a crowd and let it answer; every row says that it is synthetic."""
    from ..errors import DataError
    from ..runs.folder import generate_run
    from ..scale import connected
    from ..table_writing import check_suffix
    from ..tables import counted

    if (out is None) == (store is None):
        raise DataError("give --out, a file, or --store, a folder for crowds that are larger than memory; one of them.")
    if out is not None:
        check_suffix(out, ".nc")
    if not participants.isdecimal() and not Path(participants).exists():
        raise DataError(
            f"participants={participants!r}: give a whole number, or a file of profiles, which this is not."
        )
    try:
        with connected(scheduler) as client:
            crowd = generate_run(
                run,
                int(participants) if participants.isdecimal() else Path(participants),
                typer.echo,
                problems=problems,
                references=references,
                decision=decision,  # type: ignore[arg-type]
                reference=reference,  # type: ignore[arg-type]
                crossed=crossed,
                participation=participation,
                per_problem=per_problem,
                seed=seed,
                device=device,
                path=store,
                client=client,
                memory=memory,
            )
    except MemoryError as error:
        raise DataError(
            f"participants={participants}: the crowd does not fit in memory; give --store, which writes it block by "
            "block."
        ) from error
    except KeyboardInterrupt:
        typer.echo("stopped" if store is None else "stopped. The same command goes on.", err=True)
        raise typer.Exit(130) from None
    if out is not None:
        crowd.write(out, safe=safe_csv)
    typer.echo(
        f"wrote {counted(crowd.n_participants, 'synthetic participant')} x {counted(crowd.n_problems, 'problem')} to "
        f"{out or store}"
    )


def evaluate(
    run: Run,
    humans: Annotated[Path, typer.Argument(help="Other people's answers: problem, participant, response.")],
    participants: Annotated[Path | None, typer.Option(help="Their profiles and survey weights.")] = None,
    problems: NewProblems = None,
    references: NewReferences = None,
    out: Annotated[Path | None, typer.Option(help="File for the numbers, .csv or .csv.gz.")] = None,
    people: Annotated[int, typer.Option(min=1, help="Virtual participants.")] = 2048,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the crowd.")] = 0,
    device: Device = "cpu",
) -> None:
    """Compare the crowd with other people, the trivial yardsticks beside it."""
    from ..errors import DataError
    from ..runs.evaluation import SPLIT, evaluate_run
    from ..studies.display import print_summary, wide_console
    from ..studies.scoring import write_results

    if out is not None and not out.name.lower().endswith((".csv", ".csv.gz")):
        raise DataError(f"file {str(out)!r}: the suffix must be .csv or .csv.gz.")
    results = evaluate_run(
        run,
        humans,
        typer.echo,
        problems=problems,
        references=references,
        participants=participants,
        people=people,
        seed=seed,
        device=device,
    )
    print_summary(results, SPLIT, wide_console(), f"{run} against {humans}: best first")
    if out is not None:
        write_results(results, out)
        typer.echo(f"wrote {out}")


def show(run: Run) -> None:
    """Say what a run was fitted to, how it went, and how to repeat it."""
    from ..runs.show import show_run

    for line in show_run(run):
        typer.echo(line)
