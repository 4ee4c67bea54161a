"""An interview: every problem put to every persona under one prompt, and the distributions that come back.

One `Item` is one distribution over options that is asked for. It becomes a query an order of the options (position
bias) and, calibrated, as many again with texts that have no content; all of them are scored together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..tables import shown
from .backbone import FloatArray, Query, Scorer
from .contextual_calibration import CONTENT_FREE, calibrated
from .position_bias import Permutations, Presentation, averaged, presentations
from .prompts import Prompt
from .queries import scored


@dataclass(frozen=True)
class Item:
    """One distribution that is asked for.

    Attributes
    ----------
    problem, persona
        Place of the problem, and name of the persona.
    labels
        The options.
    before
        What is said before the options are listed.
    """

    problem: int
    persona: str
    labels: tuple[str, ...]
    before: str = ""


@dataclass(frozen=True)
class Scores:
    """What was scored of several items.

    Attributes
    ----------
    logs
        Normalised log-probabilities of each item's options; NaN where no option has any probability.
    mass, names
        Option mass of every prompt and its name; texts without content are left out.
    """

    logs: list[FloatArray]
    mass: FloatArray
    names: list[str]


@dataclass(frozen=True)
class Interview:
    """Problems, personas and how they are put.

    Attributes
    ----------
    problems
        Their ids.
    shown
        What the prompt shows of each.
    personas
        Name to description, "" for nobody in particular.
    prompt, question
        How it is put, and what is asked.
    noun
        What an answer is called: "number" or "answer".
    line
        What is said of the options instead of listing them.
    examples
        Other problems, each with a human's answer.
    permutations, letters, calibrate
        As in `Referring.refer`.
    """

    problems: pd.Index
    shown: Sequence[Mapping[str, Any]]
    personas: Mapping[str, str]
    prompt: Prompt
    question: str
    noun: str = "answer"
    line: str | None = None
    examples: Sequence[tuple[Mapping[str, Any], str]] = ()
    permutations: Permutations = "none"
    letters: bool = False
    calibrate: bool = False

    def items(self, labels: tuple[str, ...]) -> list[Item]:
        """An item a problem and persona, personas of one problem side by side."""
        return [Item(problem, persona, labels) for problem in range(len(self.problems)) for persona in self.personas]

    def presentations(self, labels: tuple[str, ...]) -> list[Presentation]:
        """The orders in which options are shown."""
        if self.line is not None:
            return [Presentation(self.line, labels, tuple(range(len(labels))))]
        return presentations(labels, self.permutations, letters=self.letters, noun=self.noun)

    def recorded(self, line: str) -> str:
        """What is kept with the references: the prompt, all in place but the problem and who answers."""
        personas = any(self.personas.values())
        return self.prompt.shown(self.question, line, with_personas=personas, with_examples=bool(self.examples))

    def name(self, item: Item) -> str:
        """What an item is called in messages."""
        return named(self.problems[item.problem], item.persona)

    def text(
        self, item: Item, line: str, answers: Mapping[str, str] | None = None, shown: Mapping[str, Any] | None = None
    ) -> str:
        """The prompt of an item, without the example that is its own problem.

        `answers` says how an option is written where that is not its label, `shown` stands for another problem.
        """
        shown = self.shown[item.problem] if shown is None else shown
        written = answers or {}
        return self.prompt.render(
            shown,
            question=self.question,
            options=f"{item.before}{line}",
            persona=self.personas[item.persona],
            examples=[
                (other, written.get(answer, answer))
                for other, answer in self.examples
                if other["text"] != shown["text"]
            ],
        )

    def score(self, scorer: Scorer, items: Sequence[Item], progress: bool | None) -> Scores:
        """Distributions of items, orders averaged and calibrated as the interview says."""
        shown = {labels: self.presentations(labels) for labels in {item.labels for item in items}}
        asked = [query for item in items for query in self._queries(item, shown[item.labels])]
        empty = [query for item in items for query in self._empty(item, shown[item.labels])] if self.calibrate else []
        values = scored(scorer, [*asked, *empty], progress)
        mass = np.array([np.exp(each).sum() for each in values[: len(asked)]])
        logs, place, base = [], 0, len(asked)
        for item in items:
            orders = shown[item.labels]
            rows = _by_option(values[place : place + len(orders)], orders)
            place += len(orders)
            if self.calibrate:
                n = len(orders) * len(CONTENT_FREE)
                free = _by_option(values[base : base + n], orders * len(CONTENT_FREE))
                rows = calibrated(rows[None], free.reshape(len(CONTENT_FREE), *rows.shape))[0]
                base += n
            logs.append(averaged(rows))
        return Scores(logs, mass, [query.name for query in asked])

    def _queries(
        self, item: Item, orders: Sequence[Presentation], shown: Mapping[str, Any] | None = None
    ) -> list[Query]:
        """A query an order."""
        queries = []
        for order in orders:
            written = {item.labels[place]: answer for place, answer in zip(order.places, order.answers, strict=True)}
            queries.append(Query(self.text(item, order.line, written, shown), order.answers, self.name(item)))
        return queries

    def _empty(self, item: Item, orders: Sequence[Presentation]) -> list[Query]:
        """The same queries about texts without content."""
        columns = self.shown[item.problem]
        return [query for text in CONTENT_FREE for query in self._queries(item, orders, dict.fromkeys(columns, text))]


def named(problem: object, persona: str) -> str:
    """What is asked about and as whom, in messages."""
    where = f"problem {shown(problem)}"
    return f"{where}, persona {persona!r}" if persona else where


def _by_option(values: Sequence[FloatArray], orders: Sequence[Presentation]) -> FloatArray:
    """Values of several orders, in the order of the options, `(n_orders, n_options)`."""
    return np.stack([order.by_option(value) for value, order in zip(values, orders, strict=True)])
