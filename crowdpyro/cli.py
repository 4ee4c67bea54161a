"""The command line: one readable message for every foreseen error, exit code 2, no traceback unless asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

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

_SCALES = (
    "1:5, a,b,c or continuous[:LOW:HIGH]; ballots: approval:a,b,c, choose:2:a,b,c, rank:2:a,b,c or points:10:a,b,c."
)

Seeds = Annotated[int, typer.Option(min=1, help="Number of splits, seeds 0, 1, ...")]


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


Run = Annotated[Path, typer.Argument(help="Folder that `crowdpyro fit` wrote.", show_default=False)]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda.")]
NewProblems = Annotated[Path | None, typer.Option(help="Problems other than those of the fit.")]
NewReferences = Annotated[Path | None, typer.Option(help="The LLM's answers to those problems.")]


@app.command()
def fit(
    responses: Annotated[
        Path | None, typer.Argument(help="Answers: problem, participant, response.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; `run` when not given.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of these options; the command line wins.")] = None,
    problems: Annotated[Path | None, typer.Option(help="Problems: problem, text.")] = None,
    participants: Annotated[Path | None, typer.Option(help="People: participant, and a column a trait.")] = None,
    scale: Annotated[str | None, typer.Option(help=_SCALES)] = None,
    references: Annotated[Path | None, typer.Option(help="Recorded answers of LLMs.")] = None,
    llm: Annotated[str | None, typer.Option(help="Or an LLM to ask: embedded, a folder, a hub id.")] = None,
    question: Annotated[str | None, typer.Option(help="What the LLM is asked about each text.")] = None,
    missing_reference: Annotated[str | None, typer.Option(help="error, panel or mean.")] = None,
    missing_profile: Annotated[str | None, typer.Option(help="level or drop.")] = None,
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
    from .runs.folder import fit_run
    from .runs.options import RunOptions, assigned, merged, read_yaml

    given: dict[str, Any] = {
        "responses": responses,
        "problems": problems,
        "participants": participants,
        "scale": scale,
        "references": references,
        "llm": llm,
        "question": question,
        "missing_reference": missing_reference,
        "missing_profile": missing_profile,
        "seed": seed,
        "device": device,
        "model": {"holdout": holdout},
    }
    options = merged({} if config is None else read_yaml(config), merged(given, assigned(settings or ())))
    written = options.pop("out", None)
    out = out or Path(written or "run")
    try:
        fit_run(RunOptions.of(options), out, typer.echo, overwrite=overwrite, checkpoint_seconds=checkpoint_seconds)
    except KeyboardInterrupt as stop:
        typer.echo(f"{stop} The same command goes on." if str(stop) else "stopped", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"next: crowdpyro generate {out} --participants 1000 --out crowd.csv")


@app.command()
def generate(
    run: Run,
    out: Annotated[Path, typer.Option(help="The crowd: .nc, .csv, .csv.gz or .parquet.")],
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
) -> None:
    """Recruit a crowd and let it answer; every row says that it is synthetic."""
    from .crowd import check_suffix
    from .errors import DataError
    from .runs.folder import generate_run

    check_suffix(out)
    if not participants.isdecimal() and not Path(participants).exists():
        raise DataError(
            f"participants={participants!r}: give a whole number, or a file of profiles, which this is not."
        )
    try:
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
        )
    except MemoryError as error:
        raise DataError(
            f"participants={participants}: the crowd does not fit in memory; ask for fewer, in calls with other seeds."
        ) from error
    crowd.write(out)
    typer.echo(f"wrote {crowd.n_participants:,} synthetic participants x {crowd.n_problems:,} problems to {out}")


@app.command()
def evaluate(
    run: Run,
    humans: Annotated[Path, typer.Argument(help="Other people's answers: problem, participant, response.")],
    participants: Annotated[Path | None, typer.Option(help="Their profiles, for the log score.")] = None,
    problems: NewProblems = None,
    references: NewReferences = None,
    out: Annotated[Path | None, typer.Option(help="File for the numbers, .csv or .csv.gz.")] = None,
    people: Annotated[int, typer.Option(min=1, help="Virtual participants.")] = 2048,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the crowd.")] = 0,
    device: Device = "cpu",
) -> None:
    """Compare the crowd with other people, the trivial yardsticks beside it."""
    from .errors import DataError
    from .runs.evaluation import SPLIT, evaluate_run
    from .studies.display import print_summary, wide_console
    from .studies.scoring import write_results

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


@app.command()
def show(run: Run) -> None:
    """Say what a run was fitted to, how it went, and how to repeat it."""
    from .runs.show import show_run

    for line in show_run(run):
        typer.echo(line)


@study_app.command()
def offensiveness(
    references: Annotated[str, typer.Option(help="gpt4, gpt35, llama31_8b, ... or panel.")] = "gpt4",
    split: Annotated[str, typer.Option(help="Hold out problems, or participants.")] = "problem",
    seeds: Seeds = 10,
    guide: Annotated[str, typer.Option(help="vae or semi_implicit; another than the default is one more row.")] = "vae",
    objective: Annotated[str, typer.Option(help="predictive or paper, likewise.")] = "predictive",
    out: Annotated[Path, typer.Option(help="Folder for results.csv.")] = Path("study-out"),
    data: Annotated[Path | None, typer.Option(help="Folder that holds popquorn/.", envvar="CROWDPYRO_DATA")] = None,
) -> None:
    """POPQUORN offensiveness ratings, with recorded answers of nine LLMs."""
    from .studies.display import print_paired, print_summary, wide_console
    from .studies.offensiveness import run

    console = wide_console()
    with console.status("reading") as status:
        results = run(
            references,
            split,  # type: ignore[arg-type]
            seeds,
            out,
            data,
            report=status.update,
            guide=guide,
            objective=objective,
        )
    print_summary(
        results,
        split,
        console,
        f"Offensiveness, {references}, held out by {split}: mean (sd) of {seeds} splits",
    )
    print_paired(results, "crowdllm", "calibration_table", console)
    if split == "participant":
        print_paired(results, "crowdllm", "independent_histograms", console)
    for variant in (name for name in results["method"].unique() if name.startswith("crowdllm_")):
        print_paired(results, variant, "crowdllm", console)
    console.print(f"wrote {out / 'results.csv'}")


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
