"""A run's folder, and what is done in it.

`run.yaml` repeats the run, `model.json` and `model.safetensors` are the model, `fit.checkpoint` is how far an
unfinished fit is, `references-DIGEST.parquet` what an LLM answered and `references.cache.sqlite` how far it came.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ..checkpoint import Checkpoint, fingerprint, show_changes
from ..data import CrowdData, amounts, read_participants, read_problems
from ..errors import DataError, MissingReferenceError, ModelError
from ..estimator import CrowdLLM
from ..generating import Decision
from ..inference.processes import first_before_others, place
from ..models.ballot import Ballot
from ..models.scales import Categorical, Continuous, Ordinal, Scale, parse_scale
from ..reference_draws import ReferenceUse
from ..references import References
from ..survey import ROLES
from ..tables import counted, shown
from .options import RunOptions, read_yaml
from .refer import open_llm, served

if TYPE_CHECKING:
    from distributed import Client

    from ..crowd import Crowd
    from ..inference.snapshot import Snapshot

Say = Callable[[str], None]

# Of an LLM behind a server: its key, and the address that the key is for.
KEY, KEY_URL = "CROWDPYRO_API_KEY", "CROWDPYRO_API_URL"
OPTIONS, CHECKPOINT, CACHE = "run.yaml", "fit.checkpoint", "references.cache.sqlite"


def fit_run(
    options: RunOptions, out: Path, say: Say, *, overwrite: bool = False, checkpoint_seconds: float = 10.0
) -> CrowdLLM:
    """Fit a model to a person's files, or go on where an interrupted call of the same kind stopped.

    Parameters
    ----------
    options
        What to fit to what.
    out
        The run's folder.
    say
        Told, line by line, what was read and done.
    overwrite
        Whether another run's model or checkpoint in the folder may be replaced.
    checkpoint_seconds
        Least time between two writings of the checkpoint.

    Raises
    ------
    ModelError
        When the folder holds another run, naming what differs.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"out={str(out)!r} is a file; give a folder, which is made when it is missing.")
    data = read_people(options)
    say(f"read {amounts(data)} on {scale_words(data.scale)}")
    for note in (*data.report, *_silent(data)):
        say(f"  {note}")
    # Of a group's processes, the first asks and writes; the others read what it wrote.
    with first_before_others():
        references = read_references(options, data.problems, data.scale, out, say)
    leading = place()[0] == 0
    if references is not None and len(references.problems) < data.n_problems:
        n_before, data = data.n_answers, data.select(problems=references.problems)
        say(f"  {n_before - data.n_answers:,} answers to them left out")
    checkpoint = Checkpoint(out / CHECKPOINT, checkpoint_seconds)
    made_from = fingerprint(data, references, options.model, options.seed, options.device)
    checkpoint.made_from = made_from
    if not overwrite and (out / "model.json").exists() and not checkpoint.path.exists():
        found = _present(out, made_from, options.device)
        if found is not None:
            # Its files may have moved, or a kill came just before this.
            if leading:
                options.write(out / OPTIONS)
            say(f"{out} holds this very model already; nothing to do")
            return found
    saved = _saved(checkpoint, overwrite)
    if saved is None:
        if leading and not (out / "model.json").exists():
            options.write(out / OPTIONS)
    else:
        say(f"going on after epoch {len(saved.numbers['history']['loss'])} from {checkpoint.path}")
    model = CrowdLLM(options.model, device=options.device)
    model.fit(data, references, seed=options.seed, checkpoint=checkpoint)
    if leading:
        model.save(out)
        options.write(out / OPTIONS)
        checkpoint.path.unlink(missing_ok=True)
    history = model.history
    said = f"fitted {len(history.loss)} epochs, kept number {history.best_epoch + 1}"
    if history.score:
        best = max(joint for _, joint, _ in history.score)
        said += f"; held-out joint log score {best:.4f} nats an answer"
    say(said)
    say(f"wrote {out}")
    return model


def _saved(checkpoint: Checkpoint, overwrite: bool) -> Snapshot | None:
    """Where this very fit stopped; another's is an error, or taken away."""
    try:
        return checkpoint.restore()
    except ModelError as error:
        if not overwrite:
            raise ModelError(f"{error} On the command line: another --out, or --overwrite.") from error
        # Its own checkpoint stays: an interrupted fit that overwrites goes on as any other.
        checkpoint.path.unlink(missing_ok=True)
        return None


def _present(out: Path, made_from: dict[str, str], device: str) -> CrowdLLM | None:
    """The model that is in the folder, when it is of this run; None for a half of it.

    `model.json` is written before the arrays: a kill between the two leaves this run's own description.
    """
    found = None
    try:
        found = CrowdLLM.load(out, device=device)
    except ModelError:
        before = _described(out)
        if before is None:
            raise
    else:
        before = found.made_from
    changed = show_changes(before, made_from)
    if changed:
        raise ModelError(
            f"folder {str(out)!r} holds the model of another run: {'; '.join(changed)}. "
            "Give another --out, or --overwrite to replace it."
        )
    return found


def _described(out: Path) -> dict[str, str] | None:
    """What `model.json` says that the model was made from; None when it does not say."""
    try:
        made_from = json.loads((out / "model.json").read_text(encoding="utf-8"))["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return made_from if isinstance(made_from, dict) else None


def _silent(data: CrowdData) -> list[str]:
    """Notes on people and problems without an answer."""
    notes = []
    for name, n, codes in (
        ("people", data.n_participants, data.participant_code),
        ("problems", data.n_problems, data.problem_code),
    ):
        without = n - len(np.unique(codes))
        if without:
            notes.append(f"{without:,} of {n:,} {name} have no answer")
    return notes


def scale_words(scale: Scale) -> str:
    """A scale as a person would say it."""
    if isinstance(scale, Ordinal):
        low, high = scale.levels[0], scale.levels[-1]
        return f"a scale from {low:g} to {high:g} ({len(scale.levels)} levels)"
    if isinstance(scale, Categorical):
        return f"the labels {', '.join(scale.levels)}"
    if isinstance(scale, Ballot):
        rule = {"approval": "approvals of any", "choose": f"{scale.n}", "rank": f"rankings of the best {scale.n}"}
        return f"ballots: {rule.get(scale.rule, f'{scale.n} points spread')} of {', '.join(scale.options)}"
    if isinstance(scale, Continuous) and np.isfinite((scale.low, scale.high)).all():
        return f"numbers from {scale.low:g} to {scale.high:g}"
    return "numbers" if isinstance(scale, Continuous) else str(scale)


def read_people(options: RunOptions) -> CrowdData:
    """The people's answers that the options name."""
    return CrowdData.read(
        options.responses,
        options.problems,
        options.participants,
        scale=parse_scale(options.scale),
        missing_profile=options.missing_profile,
        **{name: None if getattr(options, name) == "none" else getattr(options, name) for name in ROLES},
    )


def read_references(
    options: RunOptions, problems: pd.DataFrame, scale: Scale, out: Path, say: Say
) -> References | None:
    """The LLM's answers from the file, or from the LLM itself, asked once and kept in the run's folder."""
    if options.references is not None:
        references = References.read(options.references, scale=scale)
    elif options.llm is not None:
        references = _asked(options, options.llm, problems, scale, out, say)
    else:
        return None
    for note in references.report:
        say(f"  {note}")
    unknown: Literal["error", "missing"] = "error" if options.missing_reference == "error" else "missing"
    try:
        filled = references.select(problems.index, unknown).fill(options.missing_reference)
    except MissingReferenceError as error:
        more = {
            "error": "On the command line: --missing-reference drop, mean or panel.",
            "panel": "'panel' takes another LLM's answer; 'mean' takes the LLM's own to other problems.",
        }
        hint = more.get(options.missing_reference, "")
        raise MissingReferenceError(f"{error} {hint}".strip()) from error
    for note in filled.report[len(references.report) :]:
        say(f"  {note}")
    return filled


def _asked(options: RunOptions, llm: str, problems: pd.DataFrame, scale: Scale, out: Path, say: Say) -> References:
    """Answers of the LLM, read back from the file that they were written to, so that a second call has the same."""
    asked = repr((llm, options.question, options.personas, scale)) + problems[["text"]].to_csv()
    path = out / f"references-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.parquet"
    if not path.exists():
        say(f"asking {llm} about {counted(len(problems), 'problem')}")
        backbone = open_llm(llm, device=None if served(llm) else options.device).asking(
            question=options.question,
            personas=options.personas,
            cache=out / CACHE if options.cache is None else options.cache,
        )
        answers = backbone.refer(problems, scale)
        for note in answers.report:
            say(f"  {note}")
        answers.write(path)
    return References.read(path, scale=scale)


def read_options(run: Path) -> RunOptions:
    """The options that a run was made with."""
    if not (run / OPTIONS).is_file():
        raise DataError(f"folder {str(run)!r} holds no {OPTIONS}; give a folder that `crowdpyro fit` wrote.")
    return RunOptions.of(read_yaml(run / OPTIONS))


def load_run(run: Path, device: str = "cpu") -> CrowdLLM:
    """A run's fitted model."""
    if not (run / "model.json").exists():
        if (run / CHECKPOINT).exists():
            raise ModelError(f"folder {str(run)!r} holds an unfinished fit; run `crowdpyro fit` on it again to go on.")
        held = "holds no model" if run.is_dir() else "is a file" if run.exists() else "does not exist"
        raise ModelError(f"folder {str(run)!r} {held}; give a folder that `crowdpyro fit` wrote.")
    return CrowdLLM.load(run, device=device)


def generate_run(
    run: Path,
    participants: int | Path,
    say: Say,
    *,
    problems: Path | None = None,
    references: Path | None = None,
    decision: Decision = "draw",
    reference: ReferenceUse = "expected",
    crossed: bool = True,
    participation: float | None = None,
    per_problem: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    path: Path | None = None,
    client: Client | None = None,
    memory: str | None = None,
) -> Crowd:
    """Recruit a crowd from a run's model.

    Parameters
    ----------
    run
        Its folder.
    participants
        How many, or a file of profiles.
    say
        Told what was read and done.
    problems, references
        Files of other problems than those of training, and of the LLM's answers to them; without the second file the
        run's own LLM is asked.
    decision, reference, crossed, participation, per_problem, seed, device, path, client, memory
        As in `CrowdLLM.generate`.
    """
    model = load_run(run, device)
    people = participants if isinstance(participants, int) else read_participants(participants)
    asked = None if problems is None else read_problems(problems)
    answers = new_references(model, run, asked, references, say)
    return model.generate(
        people,
        asked,
        answers,
        decision=decision,
        reference=reference,
        crossed=crossed,
        participation=participation,
        per_problem=per_problem,
        seed=seed,
        path=path,
        client=client,
        memory=memory,
    )


def new_references(
    model: CrowdLLM, run: Path, problems: pd.DataFrame | None, path: Path | None, say: Say
) -> References | None:
    """References of problems: from a file, else from the run's own LLM where they are new, else none."""
    if path is not None:
        references = References.read(path, scale=model.scale)
        for note in references.report:
            say(f"  {note}")
        if not model.sources:
            say("  the run was fitted without an LLM: its crowd does not read the references")
        return references
    new = pd.Index([]) if problems is None else model.unknown(problems)
    if problems is None or new.empty or not model.sources:
        return None
    options = read_options(run)
    if options.llm is None:
        raise MissingReferenceError(
            f"problem {shown(new[0])} ({len(new)} such) is new and the run's references came from a file; "
            "give --references with the same LLM's answers to the new problems."
        )
    if served(options.llm):
        _refuse_key(options.llm)
    if options.cache is not None and not options.cache.is_file():
        # A run of somebody else makes no file where its run.yaml says.
        options = replace(options, cache=None)
    return read_references(options, problems, model.scale, run, say)


def _refuse_key(url: str) -> None:
    """Raise `ModelError` when a server that a run's folder names would be sent a key, unless it is the key's own."""
    if os.environ.get(KEY) and os.environ.get(KEY_URL, "").rstrip("/") != url.rstrip("/"):
        raise ModelError(
            f"the run's folder names the server {url}, which would be sent the key in {KEY}: set {KEY_URL} to this "
            f"address if the key is for it, unset {KEY}, or give --references."
        )
