"""Commands of the frozen LLM: what it is asked, how, and what is remembered of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .runs import SCALES, SafeCsv, Scheduler

cache = typer.Typer(
    help="Look into a cache of an LLM's answers, or take some out.", no_args_is_help=True, rich_markup_mode=None
)

Question = Annotated[str | None, typer.Option(help="What is asked about each text.")]
PromptName = Annotated[str | None, typer.Option(help="plain, chat, persona-last, a template with {text}, or a file.")]
Personas = Annotated[Path | None, typer.Option(help="As whom: persona, description; or participant and traits.")]
Template = Annotated[str | None, typer.Option(help='How participants are put: "You are {person}.", or by {column}s.')]
Examples = Annotated[Path | None, typer.Option(help="Few-shot examples: text, answer.")]
ZeroShot = Annotated[bool, typer.Option(help="Beside the personas, ask as nobody in particular.")]
Permutations = Annotated[str | None, typer.Option(help="Orders averaged over: none, reversed, cyclic or all.")]
Letters = Annotated[bool, typer.Option("--letters", help="Show options with letters, and score the letters.")]
Mode = Annotated[str | None, typer.Option(help="score options, or write free text that is then read.")]
CacheFile = Annotated[Path, typer.Argument(help="A file that `crowdpyro refer` wrote.", show_default=False)]


def refer(
    problems: Annotated[Path, typer.Argument(help="Problems: problem, text.", show_default=False)],
    llm: Annotated[str, typer.Option(help="embedded, a folder, a .gguf file, a hub id, or a server's http address.")],
    scale: Annotated[str, typer.Option(help=SCALES)],
    out: Annotated[Path, typer.Option(help="The references: .parquet, .csv or .csv.gz.")],
    question: Question = None,
    prompt: PromptName = None,
    personas: Personas = None,
    persona_template: Template = None,
    twins: Annotated[bool, typer.Option("--twins", help="Keep each participant's references as their own.")] = False,
    zero_shot: ZeroShot = True,
    examples: Examples = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Of the options; 0 takes the likeliest.")] = None,
    permutations: Permutations = None,
    letters: Letters = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Divide out what texts without content get.")] = False,
    picks: Annotated[str | None, typer.Option(help="Of ballots: utilities or sequential.")] = None,
    grid: Annotated[str | None, typer.Option(help="Of a continuous scale: the numbers scored, as 0,10,20.")] = None,
    mode: Mode = None,
    draws: Annotated[int | None, typer.Option(min=1, help="Texts a prompt, or draws kept.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest text that is written.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is written or drawn.")] = None,
    truncate: Annotated[int | None, typer.Option(min=1, help="Most characters of a text; cuts are reported.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="What was asked before; beside --out when not given.", show_default=False)
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep nothing for a killed run to go on from.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, ... or auto.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of a hub model.")] = None,
    chat: Annotated[bool | None, typer.Option(help="Put prompts through the model's chat template.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens in memory at once.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of a forward pass.")] = None,
    model: Annotated[str | None, typer.Option(help="Of a server: the model's name.")] = None,
    chat_template: Annotated[str | None, typer.Option(help="Of a server: text around {prompt}.")] = None,
    listed: Annotated[int | None, typer.Option(min=1, help="Of a server: how many next tokens to ask for.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Of a server: requests at a time.")] = None,
    scheduler: Scheduler = None,
    safe_csv: SafeCsv = False,
) -> None:
    """Ask an LLM about problems; called again after an interruption, it goes on."""
    from ..runs.refer import Asking, beside, numbers_of, refer_files
    from ..scale import connected

    asking = Asking(
        prompt=prompt,
        personas=personas,
        persona_template=persona_template,
        twins=twins,
        examples=examples,
        more={
            "question": question,
            "include_zero_shot": zero_shot,
            "temperature": temperature,
            "permutations": permutations,
            "letters": letters,
            "calibrate": calibrate,
            "picks": picks,
            "grid": None if grid is None else numbers_of(grid),
            "mode": mode,
            "n_draws": draws,
            "max_tokens": max_tokens,
            "seed": seed,
            "truncate": truncate,
            "cache": None if no_cache else cache or beside(out),
        },
    )
    loading = {
        "device": device,
        "dtype": dtype,
        "revision": revision,
        "chat": chat,
        "batch_tokens": batch_tokens,
        "threads": threads,
        "model": model,
        "chat_template": chat_template,
        "listed": listed,
        "workers": workers,
    }
    try:
        with connected(scheduler) as client:
            refer_files(
                problems,
                out,
                typer.echo,
                llm=llm,
                scale=scale,
                loading=loading,
                asking=asking,
                client=client,
                safe=safe_csv,
            )
    except KeyboardInterrupt:
        typer.echo("stopped" if no_cache else "stopped. The same command goes on.", err=True)
        raise typer.Exit(130) from None


def prompt(
    show: Annotated[bool, typer.Option("--show", help="Show the parts, and the first text filled in.")] = False,
    write: Annotated[Path | None, typer.Option(help="Write the parts to a YAML file, to be edited.")] = None,
    prompt: PromptName = None,
    chat: Annotated[bool, typer.Option("--chat", help="The prompt of models with a chat template.")] = False,
    scale: Annotated[str, typer.Option(help=SCALES)] = "1:5",
    problems: Annotated[Path | None, typer.Option(help="Problems: problem, text.")] = None,
    question: Question = None,
    personas: Personas = None,
    persona_template: Template = None,
    zero_shot: ZeroShot = True,
    examples: Examples = None,
    permutations: Permutations = None,
    letters: Letters = False,
    mode: Mode = None,
) -> None:
    """Show the prompt that `crowdpyro refer` uses with these options, or write it to a file."""
    from ..models.scales import parse_scale
    from ..runs.refer import Asking, prompt_lines, write_prompt

    more = {
        "question": question,
        "include_zero_shot": zero_shot,
        "permutations": permutations,
        "letters": letters,
        "mode": mode,
    }
    asking = Asking(prompt, personas, persona_template, examples=examples, more=more)
    if show or write is None:
        for line in prompt_lines(asking, parse_scale(scale), problems, chat=chat):
            typer.echo(line)
    if write is not None:
        typer.echo(f"wrote {write_prompt(prompt, write, chat=chat)}; give it as --prompt {write}")


@cache.command()
def info(file: CacheFile) -> None:
    """Say what is in it, model by model; every entry is checked."""
    from ..runs.cache import cache_lines

    for line in cache_lines(file):
        typer.echo(line)


@cache.command()
def prune(
    file: CacheFile,
    model: Annotated[str | None, typer.Option(help="Answers of this model.")] = None,
    older_than: Annotated[float | None, typer.Option(min=0, help="Answers older than so many days.")] = None,
    megabytes: Annotated[float | None, typer.Option(min=0, help="The oldest, until the file is no larger.")] = None,
) -> None:
    """Take answers out, and shrink the file."""
    from ..runs.cache import prune_cache

    typer.echo(prune_cache(file, model, older_than, megabytes))
