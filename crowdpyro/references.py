"""References: the frozen LLM's answers, as distributions, beside each other when there are several LLMs.

A reference is data about a problem. It is never made up: what an LLM did not answer, or answered outside the scale,
is missing, and stays so until a policy that the caller names fills it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from .data import answer_words
from .errors import DataError, MissingReferenceError
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Ordinal, Scale
from .reference_gaps import Policy, without_gaps
from .reference_table import ZERO_SHOT, Kind, are_probabilities, mean_of_known, parse, summing
from .table_writing import check_suffix, write_table
from .tables import id_hint, read_table, shown

if TYPE_CHECKING:
    from .reference_decisions import Rule

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceSource:
    """One LLM under one prompt.

    Attributes
    ----------
    name, revision, prompt, temperature
        Where the answers come from.
    problems
        Ids of the problems.
    personas
        Names of the personas, `""` for zero-shot; participants' ids when `kind` is `participant`.
    values
        Discrete scales: option probabilities, shape `(n_problems, n_personas, n_levels)`, each row summing to one
        unless options are approved one by one; of ballots, each option's share of the votes or points.
        Continuous: draws, shape `(n_problems, n_personas, n_draws)`, NaN after the last where there are fewer. NaN
        where missing.
    kind
        What the second axis is.
    """

    name: str
    revision: str
    prompt: str
    temperature: float
    problems: pd.Index
    personas: tuple[str, ...]
    values: FloatArray
    kind: Kind = "persona"

    def __post_init__(self) -> None:
        shape = (len(self.problems), len(self.personas))
        if self.values.ndim != 3 or self.values.shape[:2] != shape:
            raise DataError(
                f"values of {self.name!r} have shape {self.values.shape}; expected {shape} and one more axis."
            )
        repeated = self.problems.duplicated()
        if repeated.any():
            raise DataError(
                f"problem {shown(self.problems[repeated][0])} stands more than once in {self.name!r}; keep one."
            )

    def reindex(self, problems: pd.Index) -> ReferenceSource:
        """The same source on other problems, NaN where it says nothing."""
        rows = self.problems.get_indexer(problems)
        values = np.where((rows >= 0)[:, None, None], self.values[rows], np.nan)
        return replace(self, problems=problems, values=values)

    def base(self) -> FloatArray:
        """Zero-shot values, or the mean over personas where there is no zero-shot, shape `(n_problems, m)`."""
        if ZERO_SHOT in self.personas:
            return self.values[:, self.personas.index(ZERO_SHOT)]
        return mean_of_known(self.values, axis=1)

    def gaps(self) -> npt.NDArray[np.bool_]:
        """Problems without any base answer, shape `(n_problems,)`; fewer draws than elsewhere are no gap."""
        return np.asarray(np.isnan(self.base()).all(axis=1))

    def persona_mean(self) -> FloatArray | None:
        """Mean over the personas other than zero-shot, shape `(n_problems, m)`; None without personas."""
        others = [place for place, persona in enumerate(self.personas) if persona != ZERO_SHOT]
        if not others or len(others) == len(self.personas):
            return None
        return mean_of_known(self.values[:, others], axis=1)


@dataclass(frozen=True, eq=False)
class References:
    """Answers of one LLM, or of several side by side: a panel.

    Attributes
    ----------
    scale
        What an answer may be.
    sources
        One a LLM and prompt, all on the same problems in the same order.
    report
        What was out of range, missing or filled.
    texts
        Where LLMs wrote free text: `model, problem, persona, draw, text, answer`, the answer empty where none could be
        read.

    Raises
    ------
    DataError
        When there is no source, names repeat, or sources differ in their problems.
    """

    scale: Scale
    sources: tuple[ReferenceSource, ...]
    report: tuple[str, ...] = ()
    texts: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise DataError("sources is empty; give at least one LLM's answers.")
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise DataError(f"sources {names}: names repeat; give each LLM its own.")
        if any(not source.problems.equals(self.sources[0].problems) for source in self.sources):
            raise DataError("sources differ in their problems; join them with References.panel.")
        if not isinstance(self.scale, Continuous):
            for source in self.sources:
                _require_distributions(source, self.scale)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        scale: Scale,
        name: str = "llm",
        revision: str = "",
        prompt: str = "",
        temperature: float = 0.0,
    ) -> References:
        """References from a long frame.

        Parameters
        ----------
        frame
            Columns `problem`, optionally `model` and `persona` or `participant`, and either `answer` (one row a
            draw; probabilities are the draws' relative frequencies) or one column `p_LABEL` a level, `p_OPTION` an
            option of a ballot. An answer that is empty or outside the scale is missing, and counted in the report.
        scale, name, revision, prompt, temperature
            Where the answers come from; the columns `model`, and `revision`, `prompt`, `temperature` where they hold
            one value for a model, win.

        Raises
        ------
        DataError
            When a column is missing, rows repeat, or probabilities are none.
        """
        tables, notes = parse(frame, scale, name, revision, prompt, temperature)
        return cls(scale, tuple(ReferenceSource(*vars(table).values()) for table in tables), tuple(notes))

    @classmethod
    def read(cls, path: str | Path, *, scale: Scale, **where: str) -> References:
        """`from_frame` on a `.csv`, `.csv.gz` or `.parquet` file.

        Raises
        ------
        DataError
            When the file cannot be read, and as `from_frame`.
        """
        return cls.from_frame(read_table(path, answer_words(scale)), scale=scale, **where)  # type: ignore[arg-type]

    @classmethod
    def panel(cls, *references: References) -> References:
        """Several references side by side, on the union of their problems.

        Raises
        ------
        DataError
            When there are none, or their scales differ.
        """
        if not references:
            raise DataError("references of a panel are none; give at least one.")
        scale = references[0].scale
        if any(other.scale != scale for other in references):
            raise DataError("references of a panel are on different scales; put them on one.")
        problems = references[0].problems
        for other in references[1:]:
            problems = problems.union(other.problems, sort=False)
        problems = pd.Index(problems, name="problem")
        sources = tuple(source.reindex(problems) for each in references for source in each.sources)
        report = tuple(note for each in references for note in each.report)
        texts = [each.texts for each in references if each.texts is not None]
        return cls(scale, sources, report, pd.concat(texts, ignore_index=True) if texts else None)

    def __iter__(self) -> Iterator[ReferenceSource]:
        return iter(self.sources)

    @property
    def problems(self) -> pd.Index:
        """Ids of the problems."""
        return self.sources[0].problems

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the LLMs."""
        return tuple(source.name for source in self.sources)

    def source(self, name: str | None = None) -> ReferenceSource:
        """A source by name; the first one without a name.

        Raises
        ------
        DataError
            When no source has that name.
        """
        if name is None:
            return self.sources[0]
        if name not in self.names:
            raise DataError(f"source {name!r} is not among {', '.join(self.names)}.")
        return self.sources[self.names.index(name)]

    def select(self, problems: Iterable[object], unknown: Literal["error", "missing"] = "error") -> References:
        """References of these problems in this order.

        A problem that no source knows raises `MissingReferenceError`, or is one without an answer; that none of them
        is known raises always.
        """
        wanted = pd.Index(list(problems), name="problem")
        strange = wanted.difference(self.problems)
        if len(strange) and (unknown == "error" or len(strange) == len(wanted.unique())):
            raise MissingReferenceError(
                f"problem {shown(strange[0])} ({len(strange)} such) has no reference; "
                f"ask the LLM for it or leave it out.{id_hint(strange[0], self.problems)}"
            )
        return replace(self, sources=tuple(source.reindex(wanted) for source in self.sources))

    def probabilities(self, source: str | None = None, persona: str = ZERO_SHOT) -> FloatArray:
        """Option probabilities, shape `(n_problems, n_levels)`, NaN where missing.

        Parameters
        ----------
        source
            Name of the LLM; the first one when None.
        persona
            A persona's name, `""` for zero-shot (the mean where there is none), or `mean` over the personas.

        Raises
        ------
        DataError
            On a continuous scale, or for a persona that is not there.
        """
        if isinstance(self.scale, Continuous):
            raise DataError("probabilities need a discrete scale; continuous references are draws.")
        chosen = self.source(source)
        if persona == ZERO_SHOT:
            return chosen.base()
        if persona == "mean":
            mean = chosen.persona_mean()
            return chosen.base() if mean is None else mean
        if persona not in chosen.personas:
            raise DataError(f"persona {persona!r} is not among {', '.join(map(repr, chosen.personas))}.")
        return chosen.values[:, chosen.personas.index(persona)]

    def expected(self) -> FloatArray:
        """y_ref = E[Phi(x_t)] in the unit of the response, mean over the panel, shape `(n_problems,)`; labels raise.

        Raises
        ------
        DataError
            For labels and ballots, which have no expected value.
        """
        if isinstance(self.scale, Categorical | Ballot):
            kind = "ballots" if isinstance(self.scale, Ballot) else "labels"
            raise DataError(f"{kind} have no expected value; take probabilities() instead.")
        each = [
            mean_of_known(source.base(), axis=1)
            if isinstance(self.scale, Continuous)
            else source.base() @ self.scale.values
            for source in self.sources
        ]
        return mean_of_known(np.stack(each, axis=1), axis=1)

    def tempered(self, temperature: float) -> References:
        """The same references at temperature t, p_t(o) ~ p(o)^(s/t) where they were made at s; t = 0 is greedy.

        Raises
        ------
        DataError
            For draws of numbers, shares of ballots, or answers at temperature 0, which say nothing of others.
        """
        from .reference_decisions import tempered

        return tempered(self, temperature)

    def eta(self, temperature: float | None = None, source: str | None = None, persona: str = ZERO_SHOT) -> FloatArray:
        """Variance of one answer at a temperature, exactly, shape `(n_problems,)`; NaN where there is none.

        In the squared unit of the response; of labels, sum_o p(o) (1 - p(o)). Numbers have that of their draws, at
        their own temperature, which is what None means. `source` and `persona` as in `probabilities`.

        Raises
        ------
        DataError
            For ballots, an unknown source or persona, and numbers at a temperature that is not their own.
        """
        from .reference_decisions import eta

        return eta(self, temperature, source, persona)

    def draws(
        self,
        k: int,
        *,
        temperature: float | None = None,
        source: str | None = None,
        persona: str = ZERO_SHOT,
        seed: int = 0,
    ) -> FloatArray:
        """K answers to every problem, `(k, n_problems)`, in the unit of the response, labels as codes.

        Raises
        ------
        DataError
            For ballots, a `k` below 1, an unknown source or persona, and numbers at a temperature that is not their
            own.
        """
        from .reference_decisions import draws

        return draws(self, k, temperature, source, persona, seed)

    def decide(
        self,
        rule: Rule = "mean",
        k: int | None = None,
        *,
        temperature: float | None = None,
        source: str | None = None,
        persona: str = ZERO_SHOT,
        seed: int = 0,
    ) -> FloatArray:
        """y_ref = h_M(y_1, ..., y_K) of every problem, shape `(n_problems,)`, labels as codes.

        Parameters
        ----------
        rule
            `mean`, `median` or `majority`. Self-consistency is `decide("majority", 8, temperature=0.5)`.
        k
            Draws; None for what infinitely many would give.
        temperature, source, persona, seed
            As in `draws`.

        Raises
        ------
        DataError
            For an unknown rule, one that labels or ballots do not have, and as `draws`.
        """
        from .reference_decisions import decide

        return decide(self, rule, k, temperature, source, persona, seed)

    def missing(self) -> pd.DataFrame:
        """Problem and source of every missing base answer."""
        gaps = np.stack([source.gaps() for source in self.sources], axis=1)
        problem, source = np.nonzero(gaps)
        return pd.DataFrame({"problem": self.problems[problem], "source": np.array(self.names, dtype=object)[source]})

    def fill(self, policy: Policy = "error", calibration: References | None = None) -> References:
        """References without gaps in their base answers; what was done is in their report.

        Parameters
        ----------
        policy
            `error` raises `MissingReferenceError` at the first gap; `drop` leaves out problems with one; `panel` takes
            the mean distribution of the other LLMs and raises where none answered; `mean` takes the LLM's own over
            other problems. See `reference_gaps`.
        calibration
            The LLM's answers over which `mean` is taken, such as those to the problems of training; these references
            themselves when None.

        Raises
        ------
        MissingReferenceError
            At a gap that the policy does not fill.
        DataError
            For an unknown policy.
        """
        return without_gaps(self, policy, calibration)

    def to_frame(self) -> pd.DataFrame:
        """Long frame that `from_frame` reads back: one row a (model, problem, persona), or a draw."""
        frames = []
        for source in self.sources:
            problem = np.repeat(np.asarray(source.problems, dtype=object), len(source.personas))
            who = np.tile(np.array(source.personas, dtype=object), len(source.problems))
            where = {"revision": source.revision, "prompt": source.prompt, "temperature": source.temperature}
            frame = pd.DataFrame({"problem": problem, "model": source.name, **where, source.kind: who})
            flat = source.values.reshape(len(frame), -1)
            if isinstance(self.scale, Continuous):
                draws = frame.loc[frame.index.repeat(flat.shape[1])].reset_index(drop=True)
                frames.append(draws.assign(answer=flat.ravel()))
            else:
                columns = {f"p_{label}": flat[:, k] for k, label in enumerate(self.scale.labels)}
                frames.append(frame.assign(**columns))
        return pd.concat(frames, ignore_index=True)

    def write(self, path: str | Path, *, safe: bool = False) -> Path:
        """Write `to_frame` as `.csv`, `.csv.gz` or `.parquet`, whole or not at all; a CSV `safe` for spreadsheets.

        Raises
        ------
        DataError
            When the suffix is none of these.
        """
        check_suffix(path)
        return write_table(self.to_frame(), path, safe=safe)


def _require_distributions(source: ReferenceSource, scale: Ordinal | Categorical | Ballot) -> None:
    """Raise `DataError` unless every row is missing or holds the probabilities of these levels."""
    values = source.values
    if values.shape[2] != scale.n_levels:
        raise DataError(
            f"values of {source.name!r} have {values.shape[2]} options; the scale has {scale.n_levels} levels: "
            f"{', '.join(scale.labels)}. Give one probability a level."
        )
    absent = np.isnan(values).all(axis=2)
    problem, _ = np.nonzero(~absent & ~are_probabilities(values, scale))
    if len(problem):
        raise DataError(
            f"values of {source.name!r}, problem {shown(source.problems[problem[0]])}: not probabilities"
            f"{summing(scale)}; normalise or correct them, or leave the whole row NaN."
        )
