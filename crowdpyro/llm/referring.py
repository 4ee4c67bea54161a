"""From a scorer to references: problems, personas and a prompt become queries, and their scores distributions.

    p(o | c) = P(o | c) / mass(c),    mass(c) = sum_o P(o | c),    p_tau(o | c) ~ p(o | c)^(1/tau)

for option o after prompt c; tau = 0 puts all on the likeliest option. Temperature acts on options, after scoring, so
that what was scored once serves every temperature.

Source: Santurkar et al. (2023), Whose Opinions Do Language Models Reflect?, section 3.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ..models.ballot import Ballot
from ..models.errors import DataError
from ..models.scales import Continuous, Ordinal, Scale
from .backbone import FloatArray, Query, Scorer
from .cache import CachedScorer
from .distributions import tempered
from .examples import examples_shown
from .free_text import answer_line, unread_note, values_of, write_answers
from .interview import Interview, Scores, named
from .interviewer import Interviewer
from .numeric import Grid
from .option_mass import LowOptionMassWarning, low_mass, mass_note
from .personas import personas_of
from .picks import YES_NO, Picks, approval_line, approvals, expected_shares, sequential
from .position_bias import Permutations
from .prompts import CHAT, PLAIN, Prompt, default_question, persona_descriptions, problem_frame, shown_problems

if TYPE_CHECKING:
    from ..references import References

# K of the paper; quantiles enough that their mean and variance are those of the distribution to a hundredth of a step.
DRAWS_WRITTEN = 8
DRAWS_NUMERIC = 100


class Referring:
    """What makes a `Scorer` a `Backbone`: its `refer`. Scorers inherit from it.

    Attributes
    ----------
    name, revision, settings
        As in `Scorer`.
    chat
        Whether prompts go through a chat template, which decides the default prompt.
    """

    name: str
    revision: str
    settings: str
    chat: bool

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """As in `Scorer`."""
        raise NotImplementedError

    def write(
        self,
        queries: Sequence[Query],
        *,
        n: int,
        temperature: float,
        max_tokens: int,
        seed: int,
        known: Collection[int] = (),
    ) -> Iterator[tuple[list[int], list[list[str]]]]:
        """As in `Scorer`."""
        raise NotImplementedError

    def asking(self, **how: Any) -> Interviewer:
        """Put a question, personas or a cache to every call of `refer`: a backbone for `CrowdLLM`.

        Parameters
        ----------
        **how
            Arguments of `refer`.
        """
        return Interviewer(self, how)

    def refer(
        self,
        problems: pd.DataFrame,
        scale: Scale,
        *,
        question: str | None = None,
        personas: Mapping[str, str] | pd.DataFrame | None = None,
        include_zero_shot: bool = True,
        prompt: str | Prompt | None = None,
        examples: pd.DataFrame | None = None,
        temperature: float = 1.0,
        permutations: Permutations = "none",
        letters: bool = False,
        calibrate: bool = False,
        picks: Picks = "utilities",
        grid: Sequence[float] | None = None,
        mode: Literal["score", "write"] = "score",
        n_draws: int | None = None,
        max_tokens: int = 64,
        seed: int = 0,
        truncate: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
    ) -> References:
        """Answers to every problem as distributions, zero-shot and under each persona.

        Parameters
        ----------
        problems
            Frame indexed by problem (or with a column `problem`) with a column `text`; the prompt may show its other
            columns.
        scale
            Its labels are the options. Numbers on a continuous scale are scored on a grid; of a ballot, see `picks`.
        question
            What is asked about each text. Say here what the levels of a rating mean.
        personas
            Name to description ("You are a nurse of 52."), put where the prompt says; or a table of participants, each
            of whom is described by `personas_of` and gets references of their own.
        include_zero_shot
            Keep the answer without a persona, named "", first. Without personas it is always there.
        prompt
            A `Prompt`, or a template with `{text}` and, optionally, `{question}`, `{options}`, `{persona}`,
            `{examples}`; the option is scored as its continuation. Default: `prompts.CHAT` or `prompts.PLAIN`.
        examples
            Few-shot: a frame like `problems` with a column `answer`, one human's answer a row. A problem that is among
            its own examples is asked without that one.
        temperature
            tau >= 0 of the formula above; 1 is the model's own distribution.
        permutations
            Orders of the options to average over: `none`, `reversed`, `cyclic` or `all`, see `position_bias`.
        letters
            Show the options with letters and score the letters.
        calibrate
            Divide out what the LLM says to texts without content, see `contextual_calibration`.
        picks
            Of ballots that choose or rank: by `utilities` from one query, or `sequential`, see `picks`. Approval asks
            about each option.
        grid
            Numbers of a continuous scale to be scored; multiples of a round step when None, see `numeric`.
        mode
            `score` options, or `write` free text that is then read, see `reading`; what cannot be read is missing, and
            all texts are in `References.texts`.
        n_draws
            Texts a prompt (8 when None); of a continuous scale, quantiles kept (100 when None); ballots drawn where
            sequential picks have too many beginnings to follow (8 when None).
        max_tokens
            Longest text that is written.
        seed
            Of what is written or drawn.
        truncate
            Most characters of a problem's text; longer ones are cut, and counted in the report.
        cache
            SQLite file of what was asked before; see `CachedScorer`.
        progress
            Show a bar; None shows it on a terminal only.

        Returns
        -------
        answers : References
            One source; the option mass and whatever was lost is in its report.

        Raises
        ------
        DataError
            An empty or missing text, a template that does not fit, a prompt longer than the context, settings that
            exclude each other.
        ModelError
            An unbounded scale without a grid.

        Warns
        -----
        LowOptionMassWarning
            Where the un-normalised probability of all options together is below one half.
        """
        from ..references import References, ReferenceSource

        if not np.isfinite(temperature) or temperature < 0:
            raise DataError(f"temperature={temperature!r}: give a finite number, zero or above.")
        if n_draws is not None and n_draws < 1:
            raise DataError(f"n_draws={n_draws}: give at least 1.")
        _check(scale, mode, permutations != "none" or letters, calibrate, picks, grid, n_draws)
        frame, notes = _truncated(problem_frame(problems), truncate)
        people = personas_of(personas) if isinstance(personas, pd.DataFrame) else personas
        described = persona_descriptions(people, include_zero_shot)
        how = Prompt.of(prompt) if prompt is not None else (CHAT if self.chat else PLAIN)
        how.check(frame.columns, with_personas=any(described), with_examples=examples is not None)
        numbers = Grid.of(scale, grid) if isinstance(scale, Continuous) and mode == "score" else None
        interview = Interview(
            problems=frame.index,
            shown=shown_problems(frame, how),
            personas=described,
            prompt=how,
            question=default_question(scale) if question is None else question,
            noun="number" if isinstance(scale, Ordinal) else "answer",
            line=answer_line(scale) if mode == "write" or numbers is not None else None,
            permutations=permutations,
            letters=letters,
            calibrate=calibrate,
        )
        if examples is not None:
            interview = replace(interview, examples=examples_shown(examples, scale, how))
        # Opened first: nothing slow is computed for a file that cannot be written.
        scorer: Scorer = self if cache is None else CachedScorer(self, cache)
        who, texts, scores = f"{self.name} ({self.settings})", None, None
        if mode == "write":
            texts = write_answers(
                interview,
                scorer,
                scale,
                n=n_draws or DRAWS_WRITTEN,
                temperature=temperature,
                max_tokens=max_tokens,
                seed=seed,
                progress=progress,
            )
            values = values_of(texts, scale, len(described))
            notes.append(unread_note(who, texts))
        elif isinstance(scale, Ballot):
            values, scores = _ballots(
                interview, scorer, scale, temperature, picks, n_draws or DRAWS_WRITTEN, seed, progress
            )
        else:
            labels = numbers.labels if numbers is not None else _labels(scale)
            scores = interview.score(scorer, interview.items(labels), progress)
            values = tempered(np.stack(scores.logs), temperature)
            if numbers is not None:
                values = numbers.quantiles(values, n_draws or DRAWS_NUMERIC)
            values = values.reshape(len(frame), len(described), -1)
        if scores is not None:
            notes = [mass_note(who, scores.mass, scores.names), *notes, *_how_scored(interview, scores)]
            if (warning := low_mass(self.name, scores.mass, scores.names)) is not None:
                warnings.warn(warning, LowOptionMassWarning, stacklevel=2)
        if isinstance(scorer, CachedScorer):
            notes.append(scorer.report())
        source = ReferenceSource(
            name=self.name,
            revision=self.revision,
            prompt=interview.recorded(_line(interview, scale, mode)),
            temperature=float(temperature),
            problems=frame.index,
            personas=tuple(described),
            values=values,
            kind="participant" if isinstance(personas, pd.DataFrame) else "persona",
        )
        return References(scale=scale, sources=(source,), report=tuple(notes), texts=texts)


def _check(
    scale: Scale,
    mode: str,
    reordered: bool,
    calibrate: bool,
    picks: str,
    grid: Sequence[float] | None,
    n_draws: int | None,
) -> None:
    """Raise `DataError` for settings that exclude each other, or would be ignored."""
    if mode not in ("score", "write"):
        raise DataError(f"mode={mode!r}: give 'score' or 'write'.")
    if picks not in ("utilities", "sequential"):
        raise DataError(f"picks={picks!r}: give 'utilities' or 'sequential'.")
    numeric = isinstance(scale, Continuous)
    if (reordered or calibrate) and mode == "write":
        raise DataError("mode='write' lists no options to be scored: leave permutations, letters and calibrate out.")
    if reordered and numeric:
        raise DataError("permutations and letters are of listed options; a continuous scale has none, leave them out.")
    if grid is not None and (not numeric or mode == "write"):
        raise DataError("grid= is of numbers that are scored on a continuous scale; leave it out.")
    if picks == "sequential" and (mode == "write" or not isinstance(scale, Ballot)):
        raise DataError("picks='sequential' is of ballots that are scored; leave it out.")
    if n_draws is not None and mode == "score" and not numeric and picks != "sequential":
        raise DataError(f"n_draws={n_draws}: one pass gives the whole distribution; draw from it by References.draws.")


def _line(interview: Interview, scale: Scale, mode: str) -> str:
    """How the options are listed in the first place, for the record."""
    if mode == "score" and isinstance(scale, Ballot) and scale.rule == "approval":
        return approval_line("OPTION") + interview.presentations(YES_NO)[0].line
    return interview.presentations(_labels(scale))[0].line


def _labels(scale: Scale) -> tuple[str, ...]:
    """The options of a scale; numbers have none of their own."""
    return () if isinstance(scale, Continuous) else scale.labels


def _ballots(
    interview: Interview,
    scorer: Scorer,
    scale: Ballot,
    temperature: float,
    picks: Picks,
    n_draws: int,
    seed: int,
    progress: bool | None,
) -> tuple[FloatArray, Scores]:
    """Shares of the options of a ballot, and what was scored."""
    if interview.examples:
        raise DataError("examples show whole ballots, and options are scored one by one; give mode='write'.")
    if scale.rule == "approval":
        return approvals(interview, scorer, scale, temperature, progress)
    if picks == "sequential":
        return sequential(interview, scorer, scale, temperature, n_draws=n_draws, seed=seed, progress=progress)
    scores = interview.score(scorer, interview.items(scale.labels), progress)
    shares = expected_shares(tempered(np.stack(scores.logs), temperature), scale)
    return shares.reshape(len(interview.problems), len(interview.personas), scale.n_levels), scores


def _how_scored(interview: Interview, scores: Scores) -> list[str]:
    """Notes on what was averaged or divided out, and on options that got nothing."""
    notes = []
    if interview.permutations != "none":
        notes.append(f"orders of the options averaged: {interview.permutations}.")
    if interview.calibrate:
        notes.append("calibrated by texts without content.")
    if missing := sum(bool(np.isnan(logs).any()) for logs in scores.logs):
        notes.append(f"{missing} of {len(scores.logs)} distributions are missing: no option had any probability.")
    if nothing := sum(int(np.isneginf(logs).sum()) for logs in scores.logs):
        notes.append(f"{nothing} options had no probability at all, or none that was told; taken as 0.")
    return notes


def _truncated(frame: pd.DataFrame, most: int | None) -> tuple[pd.DataFrame, list[str]]:
    """Problems with long texts cut, and a note on how many were."""
    if most is None:
        return frame, []
    if most < 1:
        raise DataError(f"truncate={most}: give at least one character.")
    long = frame["text"].str.len() > most
    if not long.any():
        return frame, []
    frame = frame.assign(text=frame["text"].where(~long, frame["text"].str.slice(0, most)))
    where = named(frame.index[long][0], "")
    return frame, [f"{int(long.sum())} of {len(frame)} texts cut to {most:,} characters, such as that of {where}."]
