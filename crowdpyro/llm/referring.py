"""From a scorer to references: problems, personas and a prompt become queries, and their scores distributions.

    p(o | c) = P(o | c) / mass(c),    mass(c) = sum_o P(o | c),    p_tau(o | c) ~ p(o | c)^(1/tau)

for option o after prompt c; tau = 0 puts all on the likeliest option. Temperature acts on options, after scoring, so
that what was scored once serves every temperature.

Source: Santurkar et al. (2023), Whose Opinions Do Language Models Reflect?, section 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..models.errors import DataError, ModelError
from ..models.scales import Continuous, Scale
from .backbone import FloatArray, Query
from .option_mass import LowOptionMassWarning, low_mass, mass_note
from .prompts import (
    CHAT,
    PLAIN,
    Prompt,
    default_question,
    option_line,
    persona_descriptions,
    problem_frame,
    shown_problems,
)
from .queries import scored

if TYPE_CHECKING:
    from ..references import References


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

    def score(self, queries: Sequence[Query]) -> Iterator[tuple[list[int], list[FloatArray]]]:
        """As in `Scorer`."""
        raise NotImplementedError

    def write(
        self, queries: Sequence[Query], *, n: int, temperature: float, max_tokens: int, seed: int
    ) -> Iterator[tuple[list[int], list[list[str]]]]:
        """As in `Scorer`."""
        raise NotImplementedError

    def refer(
        self,
        problems: pd.DataFrame,
        scale: Scale,
        *,
        question: str | None = None,
        personas: Mapping[str, str] | None = None,
        include_zero_shot: bool = True,
        prompt: str | Prompt | None = None,
        temperature: float = 1.0,
        progress: bool | None = None,
    ) -> References:
        """Option probabilities of every problem, zero-shot and under each persona.

        Parameters
        ----------
        problems
            Frame indexed by problem (or with a column `problem`) with a column `text`; the prompt may show its other
            columns.
        scale
            `Ordinal`, `Categorical` or `Ballot`; its labels are the options. Of a ballot, the LLM is asked for the one
            option that it prefers.
        question
            What is asked about each text. Say here what the levels of a rating mean.
        personas
            Name to description ("You are a nurse of 52."), put where the prompt says.
        include_zero_shot
            Keep the answer without a persona, named "", first. Without personas it is always there.
        prompt
            A `Prompt`, or a template with `{text}` and, optionally, `{question}`, `{options}`, `{persona}`; the option
            is scored as its continuation. Default: `prompts.CHAT` or `prompts.PLAIN`.
        temperature
            tau >= 0 of the formula above; 1 is the model's own distribution.
        progress
            Show a bar; None shows it on a terminal only.

        Returns
        -------
        answers : References
            One source, values `(n_problems, n_personas, n_levels)`; the option mass is in its report.

        Raises
        ------
        DataError
            An empty or missing text, a template that does not fit, a prompt longer than the context.
        ModelError
            A continuous scale: its answers cannot be listed.

        Warns
        -----
        LowOptionMassWarning
            Where the un-normalised probability of all options together is below one half.
        """
        from ..references import References, ReferenceSource

        if isinstance(scale, Continuous):
            raise ModelError(
                "scale=Continuous: a forward pass cannot list the answers. Ask on an Ordinal scale over the "
                "range, or bring recorded answers with References.from_frame; draws by the LLM come later."
            )
        if not np.isfinite(temperature) or temperature < 0:
            raise DataError(f"temperature={temperature!r}: give a finite number, zero or above.")
        frame = problem_frame(problems)
        described = persona_descriptions(personas, include_zero_shot)
        how = Prompt.of(prompt) if prompt is not None else (CHAT if self.chat else PLAIN)
        how.check(frame.columns, with_personas=bool(personas))
        asked = default_question(scale) if question is None else question
        options = option_line(scale)
        queries = [
            Query(how.render(shown, question=asked, options=options, persona=who), scale.labels, _where(problem, name))
            for problem, shown in zip(frame.index, shown_problems(frame, how), strict=True)
            for name, who in described.items()
        ]
        logs = np.stack(scored(self, queries, progress))
        names = [query.name for query in queries]
        mass = np.exp(logs).sum(axis=1)
        if (warning := low_mass(self.name, mass, names)) is not None:
            warnings.warn(warning, LowOptionMassWarning, stacklevel=2)
        source = ReferenceSource(
            name=self.name,
            revision=self.revision,
            prompt=how.shown(asked, options, with_personas=bool(personas)),
            temperature=float(temperature),
            problems=frame.index,
            personas=tuple(described),
            values=normalised(logs, temperature).reshape(len(frame), len(described), scale.n_levels),
            kind="persona",
        )
        note = mass_note(f"{self.name} ({self.settings})", mass, names)
        return References(scale=scale, sources=(source,), report=(note,))


def normalised(logs: FloatArray, temperature: float) -> FloatArray:
    """p_tau of log-probabilities, the options along the last axis; tau = 0: all on the first of the likeliest."""
    if temperature == 0:
        return np.asarray(np.eye(logs.shape[-1])[logs.argmax(axis=-1)])
    # The largest is taken off before the division: 1 / tau may be large.
    weights = np.exp((logs - logs.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _where(problem: Any, persona: str) -> str:
    return f"problem {problem!r}, persona {persona!r}" if persona else f"problem {problem!r}"
