"""Whose answers a crowdsourcing study reads: recorded LLMs, all of them side by side, and the embedded one, computed.

What the embedded LLM said of a study's problems is kept in the user's cache, `$XDG_CACHE_HOME/crowdpyro`, under a
digest of question and texts: 1,500 comments take it some minutes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ..data import CrowdData
from ..errors import DataError
from ..models.scales import Scale
from ..references import References
from .crowdsourcing_methods import Backbone
from .crowdsourcing_metrics import Gold
from .crowdsourcing_protocols import Trial

PANEL, EMBEDDED = "panel", "embedded"


@dataclass(eq=False)
class Material:
    """What a study's cells are made of, read once a process.

    Attributes
    ----------
    name
        Of the study's data.
    people
        Their answers.
    recorded
        Answers of LLMs; None where none were recorded.
    question
        What the embedded LLM is asked.
    table_llm
        Recorded LLM whose calibration table stands beside the panel; the first when None.
    """

    name: str
    people: CrowdData
    recorded: References | None
    question: str
    table_llm: str | None = None
    _trials: dict[tuple[str, int], tuple[Trial, Gold]] = field(default_factory=dict, repr=False)
    _backbones: dict[str, Backbone] = field(default_factory=dict, repr=False)

    def trial(self, protocol: str, seed: int) -> tuple[Trial, Gold]:
        """Split and gold; the last one is remembered, so that methods of one split share its aggregates."""
        if (protocol, seed) not in self._trials:
            trial = Trial.of(self.people, protocol, seed)
            self._trials = {(protocol, seed): (trial, Gold(trial.gold, seed))}
        return self._trials[protocol, seed]

    def backbone(self, name: str) -> Backbone:
        """References by the name of an LLM, `panel` or `embedded`, their gaps filled."""
        if name not in self._backbones:
            if name == EMBEDDED:
                llm = embedded(self.name, self.people.problems, self.people.scale, self.question)
                self._backbones[name] = Backbone(name, llm, llm.names[0])
            elif self.recorded is None:
                raise DataError(
                    f"references={name!r}: no LLM's answers were recorded for {self.name!r}; use {EMBEDDED!r}, or put "
                    "them beside the data."
                )
            else:
                table = (self.table_llm or self.recorded.names[0]) if name == PANEL else name
                self._backbones[name] = Backbone(name, choose(self.recorded, name), table)
        return self._backbones[name]


def choose(every: References, name: str) -> References:
    """References of one LLM, its gaps filled by its own mean, or of the panel, filled by the other LLMs."""
    if name == PANEL:
        return every.fill("panel")
    return replace(every, sources=(every.source(name),)).fill("mean")


def embedded(name: str, problems: pd.DataFrame, scale: Scale, question: str) -> References:
    """The embedded LLM's answers, from the cache or computed."""
    text = "\n".join((question, str(scale), *(f"{key}\t{text}" for key, text in problems["text"].items())))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crowdpyro"
    path = folder / f"{name}-embedded-{digest}.parquet"
    if not path.is_file():
        from ..llm import FrozenLLM

        folder.mkdir(parents=True, exist_ok=True)
        llm = FrozenLLM(EMBEDDED)
        llm.refer(problems, scale, question=question, cache=path.with_suffix(".sqlite")).write(path)
    return References.read(path, scale=scale).select(problems.index)
