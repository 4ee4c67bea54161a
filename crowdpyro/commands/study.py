"""Commands of the studies: each reproduces one beside its yardsticks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Reproduce a study beside its yardsticks.", no_args_is_help=True, rich_markup_mode=None)

Seeds = Annotated[int, typer.Option(min=1, help="Number of splits, seeds 0, 1, ...")]


@app.command()
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
    from ..studies.display import print_paired, print_summary, wide_console
    from ..studies.offensiveness import run

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
