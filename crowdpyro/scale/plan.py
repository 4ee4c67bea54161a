"""A crowd that is yet to answer: all that a process needs to compute any block of it, wherever the process is.

    people of tile i         drawn from stream (0, i): profiles and eps, the same before every problem
    answers of tile (i, j)   drawn from stream (1, i, j); with `crossed=False` their people too
    a shared reference       of the problems of tile j, drawn from stream (2, j)

each of them a stream of the run's seed (`inference.streams`). It is a rule of its own: `generate` without a path draws
another crowd from the same seed, of the same law.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import __version__
from ..asking import Asked, people_of
from ..crowd_form import as_stored, stored_kind
from ..errors import DataError
from ..fitted import Fitted
from ..generating import Answering, matrix_of
from ..inference.program import tells_the_story
from ..inference.seeds import checked_seed, generator
from ..inference.streams import sequence, streamed
from ..models.ballot import Ballot
from ..models.belief import ParticipantView
from ..models.scales import scale_to_dict
from ..recruit import Recruits, probabilities, recruit
from ..references import References
from ..twins import has_twins
from .grid import Block, Grid
from .memory import cells_within

Answers: TypeAlias = npt.NDArray[Any]

_PEOPLE, _ANSWERS, _REFERENCES = 0, 1, 2


@dataclass(frozen=True)
class Plan:
    """What a crowd is made from; build it with `of`.

    Attributes
    ----------
    fitted
        The model, without what only fitting needs.
    asked
        The problems.
    participants
        How many to recruit, or those given.
    references
        Where answers need more of them than the problems' own y_ref.
    how
        How they answer.
    seed
        Of all streams.
    grid
        Tiles and blocks.
    sources
        Names of the LLMs.
    """

    fitted: Fitted
    asked: Asked
    participants: int | Recruits
    references: References | None
    how: Answering
    seed: int
    grid: Grid
    sources: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        participants: int | pd.DataFrame,
        asked: Asked,
        references: References | None,
        how: Answering,
        seed: int,
        memory: int | str | None = None,
    ) -> Plan:
        """Check everything that can be checked before anybody answers.

        Parameters
        ----------
        fitted, participants, asked, references, how, seed
            As in `crowd_of`.
        memory
            Most that a process may hold while it computes a block, beside model and problems; see `cells_within`.

        Raises
        ------
        DataError
            For options that need the whole crowd at once, and a memory that holds no tile.
        ModelError
            When `seed` is no whole number from 0 up.
        """
        if how.per_problem is not None:
            raise DataError(
                f"per_problem={how.per_problem} chooses among the whole crowd, which is never in one place; give "
                "participation=, or generate without path=."
            )
        checked_seed(seed)
        people: int | Recruits = participants if isinstance(participants, int) else 0
        if isinstance(participants, pd.DataFrame):
            if not how.crossed:
                raise DataError(
                    "participants is a frame and crossed=False: give a number of participants, or generate without "
                    "path=."
                )
            people = recruit(fitted, participants, generator(seed))
        n = people.n if isinstance(people, Recruits) else people
        if n < 1:
            raise DataError(f"participants={n}: give at least one.")
        if how.participation is not None:
            probabilities(how.participation, (n, asked.n))
        story = tells_the_story(fitted.model)
        options = fitted.scale.n_levels if isinstance(fitted.scale, Ballot) else 1
        smallest = Grid.of(n, asked.n, cells=1, whole_rows=not story).block
        cells = cells_within(memory, stored_kind(fitted.scale, how.decision).itemsize, options, smallest)
        # A sentence encoder may weigh 90 MB; the problems have been read already.
        light = replace(fitted, guide=None, features=cast(Any, None))
        needed = has_twins(references) or how.reference != "expected"
        return cls(
            light,
            asked,
            people,
            references if needed else None,
            how,
            seed,
            Grid.of(n, asked.n, cells=cells, whole_rows=not story),
            fitted.features.sources,
        )

    @property
    def n_participants(self) -> int:
        """Rows of the crowd."""
        return self.grid.shape[0]

    def answers(self, block: Block) -> Answers:
        """Answers of a block's people to its problems, as a crowd keeps them: `(n_people, n_problems, ...)`."""
        rows, columns = self.grid.span(block)
        scale, decision = self.fitted.scale, self.how.decision
        kind, further = stored_kind(scale, decision), (scale.n_levels,) if isinstance(scale, Ballot) else ()
        found = np.empty((rows.stop - rows.start, columns.stop - columns.start, *further), dtype=kind)
        for i, people, across in self.grid.tiles_of(block):
            recruits, view = self._recruits(i, people) if self.how.crossed else (None, None)
            for j, problems in across:
                place = (
                    slice(people.start - rows.start, people.stop - rows.start),
                    slice(problems.start - columns.start, problems.stop - columns.start),
                )
                found[place] = as_stored(self._tile((i, j), people, problems, recruits, view), scale, decision)
        return found

    def people(self, rows: slice) -> Recruits:
        """Who stands in these rows, whole tiles of them."""
        if isinstance(self.participants, Recruits):
            return _rows(self.participants, rows)
        if not self.how.crossed:
            index = pd.RangeIndex(rows.start, rows.stop, name="participant")
            return Recruits(pd.DataFrame(index=index), np.empty((len(index), 0), dtype=np.float32))
        size = self.grid.tile[0]
        parts = [
            self._recruits(start // size, slice(start, min(start + size, rows.stop)))[0]
            for start in range(rows.start, rows.stop, size)
        ]
        return Recruits(pd.concat([each.frame for each in parts]), np.concatenate([each.profile for each in parts]))

    def _recruits(self, i: int, rows: slice) -> tuple[Recruits, ParticipantView | None]:
        """People of a tile, and with their noise."""
        fitted = self.fitted
        with streamed(sequence(self.seed, _PEOPLE, i), fitted.device) as rng:
            if isinstance(self.participants, Recruits):
                recruits = _rows(self.participants, rows)
            else:
                recruits = recruit(fitted, rows.stop - rows.start, rng)
                index = pd.RangeIndex(rows.start, rows.stop, name="participant")
                recruits = replace(recruits, frame=recruits.frame.set_axis(index))
            return recruits, people_of(fitted, recruits) if tells_the_story(fitted.model) else None

    def _tile(
        self,
        tile: tuple[int, int],
        rows: slice,
        columns: slice,
        recruits: Recruits | None,
        people: ParticipantView | None,
    ) -> npt.NDArray[np.float32]:
        """Codes or values of a tile, NaN where somebody stays away."""
        asked, fitted = self.asked.part(columns), self.fitted
        shared = np.random.default_rng(sequence(self.seed, _REFERENCES, tile[1]))
        with streamed(sequence(self.seed, _ANSWERS, *tile), fitted.device) as rng:
            if recruits is None:
                recruits = recruit(fitted, rows.stop - rows.start, rng, asked.n)
            given = self._participation(rows, columns)
            return matrix_of(
                fitted, recruits, asked, self.references, self.how, rng, given, people=people, referring=shared
            )

    def _participation(self, rows: slice, columns: slice) -> npt.NDArray[np.float64] | None:
        """Given probabilities of a tile."""
        if self.how.participation is None:
            return None
        given = np.asarray(self.how.participation, dtype=float)
        for axis, place in ((-1, columns), (-2, rows)):
            if given.ndim >= -axis and given.shape[axis] > 1:
                given = given[..., place] if axis == -1 else given[..., place, :]
        return probabilities(given, (rows.stop - rows.start, columns.stop - columns.start))

    @cached_property
    def levels(self) -> dict[str, list[str]]:
        """The texts of each trait that is no number, by the name of its coordinate."""
        if not self.how.crossed:
            return {}
        frame = self.participants.frame if isinstance(self.participants, Recruits) else self.fitted.profiles
        return {
            f"profile_{name}": sorted(set(column.astype(str)))
            for name, column in frame.items()
            if not pd.api.types.is_numeric_dtype(column)
        }

    @cached_property
    def made_from(self) -> dict[str, str]:
        """What decides every answer, large things as digests."""
        fitted, how = self.fitted, self.how
        model = hashlib.sha256()
        for name, value in sorted(fitted.model.state_dict().items()):
            model.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        model.update(type(fitted.model).__qualname__.encode() + json.dumps(scale_to_dict(fitted.scale)).encode())
        given = isinstance(self.participants, Recruits)
        participation = how.participation
        if participation is not None and np.ndim(participation):
            participation = _digest(np.asarray(participation, dtype=float))
        return {
            "crowdpyro": __version__,
            "model": f"sha256:{model.hexdigest()}",
            "pool": _digest(fitted.profiles, fitted.weights),
            "participants": str(self.n_participants) if not given else _digest(*_parts(self.participants)),
            "problems": _digest(self.asked.frame[["text"]], self.asked.covariates, self.asked.reference),
            "references": "" if self.references is None else _digest(*(s.values for s in self.references)),
            "decision": how.decision,
            "reference": how.reference,
            "crossed": str(how.crossed),
            "participation": str(participation),
            "n_draws": str(how.n_draws),
            "seed": str(self.seed),
            "tile": "x".join(map(str, self.grid.tile)),
        }


def _rows(recruits: Recruits, rows: slice) -> Recruits:
    weights = None if recruits.weights is None else recruits.weights[rows]
    return replace(recruits, frame=recruits.frame.iloc[rows], profile=recruits.profile[rows], weights=weights)


def _parts(participants: int | Recruits) -> tuple[Any, ...]:
    return (participants.frame, participants.weights) if isinstance(participants, Recruits) else (participants,)


def _digest(*parts: Any) -> str:
    """SHA-256 of frames and arrays, None for nothing."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            digest.update(part.to_csv().encode())
        elif part is not None:
            digest.update(np.ascontiguousarray(part.cpu() if hasattr(part, "cpu") else part).tobytes())
    return f"sha256:{digest.hexdigest()}"
