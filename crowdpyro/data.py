"""Human answers in: long frames become a validated, immutable `CrowdData`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .inference.seeds import generator
from .long_frames import (
    codes_of,
    no_id,
    once,
    participant_table,
    problem_table,
    refuse_duplicates,
    renamed,
    sorted_ids,
    stripped,
    under_keys,
)
from .models.ballot import EMPTY, Ballot
from .models.scales import Continuous, Scale
from .profiles import clean_profiles
from .survey import PSU, STRATUM, WEIGHT, SurveyDesign, taken_off
from .tables import counted, read_table, row_of

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]
Unit: TypeAlias = Literal["participant", "problem", "response"]

# What people say of a trait, their religion for one; "NA" and "null" are what programs write into an empty cell.
_TRAITS = ("None",)


@dataclass(frozen=True, eq=False)
class CrowdData:
    """Answers of people to problems, checked once.

    Build it with `from_frames` or `read`; answers are sorted by participant, then problem.

    Attributes
    ----------
    scale
        What an answer may be.
    problems
        Index `problem` (unique ids), column `text`; further columns are for prompts (`{column}`), no model reads them.
    participants
        Index `participant` (unique ids), one column a trait, without gaps.
    problem_code, participant_code
        Row of each answer in `problems` and `participants`, shape `(n_answers,)`.
    response
        Codes (discrete scales) or values, shape `(n_answers,)`; of ballots one number an option, `(n_answers, M)`.
    report
        What was filled, dropped or assumed.
    design
        Survey weights, strata and primary sampling units of the participants; None for people who count alike.
    """

    scale: Scale
    problems: pd.DataFrame
    participants: pd.DataFrame
    problem_code: IntArray
    participant_code: IntArray
    response: FloatArray
    report: tuple[str, ...] = ()
    design: SurveyDesign | None = None

    @classmethod
    def from_frames(
        cls,
        responses: pd.DataFrame,
        problems: pd.DataFrame,
        participants: pd.DataFrame | None = None,
        *,
        scale: Scale,
        missing_profile: Literal["level", "drop"] = "level",
        weight: str | None = WEIGHT,
        stratum: str | None = STRATUM,
        psu: str | None = PSU,
    ) -> CrowdData:
        """Check and join three frames.

        Parameters
        ----------
        responses
            Columns `problem, participant, response` (or `task, worker, label`); an empty response is no answer. A
            ballot is one text, such as `A|C` (see `crowdpyro.models.ballot`).
        problems
            Columns `problem, text`, and any others that a prompt may show.
        participants
            Column `participant` and one column a trait; None for people of whom nothing is known.
        scale
            What an answer may be.
        missing_profile
            `level` keeps people with missing traits (see `clean_profiles`); `drop` leaves them and their answers out.
        weight, stratum, psu
            Columns of `participants` that are survey weights, strata and primary sampling units, and no traits; None
            where a column of that name is a trait.

        Raises
        ------
        DataError
            Naming the column, the value and the remedy.
        """
        if missing_profile not in ("level", "drop"):
            raise DataError(f"missing_profile={missing_profile!r}: give 'level' or 'drop'.")
        notes: list[str] = []
        responses = under_keys(responses, ("problem", "participant", "response"), "responses")
        problems = problem_table(renamed(problems, ("problem", "text"), "problems"))
        if participants is None:
            people = pd.DataFrame(index=sorted_ids(stripped(responses["participant"])))
        else:
            people = participant_table(renamed(participants, ("participant",), "participants"))
        people, design, taken = taken_off(people, weight, stratum, psu)
        for column in ("problem", "participant"):
            gaps = no_id(responses[column])
            if gaps.any():
                raise DataError(
                    f"column {column!r} of responses is empty in {row_of(responses.index[gaps])} "
                    f"({int(gaps.sum())} such rows); fill it or drop the row."
                )
        extra = [str(name) for name in responses.columns if name not in ("problem", "participant", "response")]
        if extra:
            notes.append(f"columns of responses not used: {', '.join(extra)}")
        if missing_profile == "drop":
            gaps = people.isna().any(axis=1).to_numpy()
            if gaps.all():
                column = people.columns[people.isna().any()][0]
                raise DataError(
                    f"missing_profile='drop': all {len(people)} participants miss a profile value, such as one in "
                    f"column {column!r}, and nobody is left; leave the column out or use 'level'."
                )
            lost = stripped(responses["participant"]).isin(people.index[gaps])
            notes.append(
                f"{counted(int(gaps.sum()), 'participant')} with a missing profile value dropped, with "
                f"{counted(int(lost.sum()), 'answer')}"
            )
            responses = responses[~lost]
            people = people[~gaps]
            design = None if design is None else design.rows(~gaps)
        people, filled = clean_profiles(people)
        notes.extend((*taken, *filled))
        given = responses["response"].notna() & (responses["response"].astype(str).str.strip() != "")
        if not given.all():
            notes.append(f"{counted(int((~given).sum()), 'empty response')} taken as no answer")
            responses = responses[given]
        if responses.empty:
            raise DataError("column 'response' of responses holds no answer at all; give at least one.")
        response = scale.encode(responses["response"].to_numpy(), rows=responses.index)
        problem = codes_of(responses["problem"], problems.index, "problem", "problems", notes)
        person = codes_of(responses["participant"], people.index, "participant", "participants", notes)
        refuse_duplicates(responses, person, problem, len(problems))
        order = np.lexsort((problem, person))
        return cls(scale, problems, people, problem[order], person[order], response[order], tuple(notes), design)

    @classmethod
    def read(
        cls,
        responses: str | Path,
        problems: str | Path,
        participants: str | Path | None = None,
        *,
        scale: Scale,
        missing_profile: Literal["level", "drop"] = "level",
        weight: str | None = WEIGHT,
        stratum: str | None = STRATUM,
        psu: str | None = PSU,
    ) -> CrowdData:
        """`from_frames` on files, `.csv`, `.csv.gz` or `.parquet`; see `read_table` for what a spreadsheet may write.

        Of a trait, the text "None" is a level, as of a religion, and of an approval ballot it approves nothing; an
        empty cell, "NA" or "null" is a missing value.

        Raises
        ------
        DataError
            When a file cannot be read, and as `from_frames`.
        """
        answers = read_table(responses, answer_words(scale))
        people = None if participants is None else read_table(participants, _TRAITS)
        return cls.from_frames(
            answers,
            read_table(problems),
            people,
            scale=scale,
            missing_profile=missing_profile,
            weight=weight,
            stratum=stratum,
            psu=psu,
        )

    @property
    def n_answers(self) -> int:
        """Number of answers."""
        return len(self.response)

    @property
    def n_problems(self) -> int:
        """Number of problems, answered or not."""
        return len(self.problems)

    @property
    def n_participants(self) -> int:
        """Number of participants, whether they answered or not."""
        return len(self.participants)

    @property
    def weights(self) -> FloatArray | None:
        """Survey weights of the participants, of mean 1, `(n_participants,)`; None where they count alike."""
        return None if self.design is None else self.design.weights

    @property
    def answers(self) -> pd.DataFrame:
        """Long frame `problem, participant, response`, responses as people gave them."""
        return pd.DataFrame(
            {
                "problem": self.problems.index[self.problem_code],
                "participant": self.participants.index[self.participant_code],
                "response": self.scale.decode(self.response),
            }
        )

    def matrix(self) -> FloatArray:
        """Codes or values, shape `(n_participants, n_problems)`, of ballots one more axis, NaN where no answer is."""
        matrix = np.full((self.n_participants, self.n_problems, *self.response.shape[1:]), np.nan)
        matrix[self.participant_code, self.problem_code] = self.response
        return matrix

    def answered(self) -> npt.NDArray[np.bool_]:
        """Who answered what, shape `(n_participants, n_problems)`."""
        answered = np.zeros((self.n_participants, self.n_problems), dtype=bool)
        answered[self.participant_code, self.problem_code] = True
        return answered

    def counts(self) -> FloatArray:
        """How often each level was given to each problem, `(n_problems, n_levels)`; of ballots, votes or points.

        With survey weights, an answer counts as often as its participant's weight says.

        Raises
        ------
        DataError
            On a continuous scale, which has no levels.
        """
        if isinstance(self.scale, Continuous):
            raise DataError("counts need a discrete scale; continuous answers have no levels.")
        n_levels, weights = self.scale.n_levels, self.weights
        each = None if weights is None else weights[self.participant_code]
        if isinstance(self.scale, Ballot):
            totals = np.zeros((self.n_problems, n_levels))
            np.add.at(totals, self.problem_code, self.response if each is None else self.response * each[:, None])
            return totals
        cell = self.problem_code * n_levels + self.response.astype(np.int64)
        return np.bincount(cell, each, minlength=self.n_problems * n_levels).reshape(-1, n_levels).astype(float)

    def select(
        self, participants: Iterable[object] | None = None, problems: Iterable[object] | None = None
    ) -> CrowdData:
        """The data of these participants and problems, in the order given.

        Raises
        ------
        DataError
            For an unknown or repeated id.
        """
        people = np.arange(self.n_participants)
        if participants is not None:
            people = once(participants, self.participants.index, "participant")
        asked = np.arange(self.n_problems)
        if problems is not None:
            asked = once(problems, self.problems.index, "problem")
        return self._rows(people, asked)

    def split(self, by: Unit, test_size: float | int = 0.2, seed: int = 0) -> tuple[CrowdData, CrowdData]:
        """Two disjoint parts, train and test.

        Parameters
        ----------
        by
            `participant` or `problem` keeps each one's answers together; `response` scatters single answers, and
            both parts keep all participants and problems.
        test_size
            Share in (0, 1), or a number of units.
        seed
            Of the shuffle.

        Raises
        ------
        DataError
            When `test_size` leaves nothing for a part.
        """
        n = self._n_units(by)
        whole = isinstance(test_size, int | np.integer)
        size = int(test_size) if whole else round(float(test_size) * n) if 0 < test_size < 1 else 0
        if not 0 < size < n:
            raise DataError(
                f"test_size={test_size}: of {n} {by}s, {size} would be for testing; give a share or a number that "
                "leaves some for each part."
            )
        order = generator(seed).permutation(n)
        return self._part(by, np.sort(order[size:])), self._part(by, np.sort(order[:size]))

    def folds(self, by: Unit, k: int, seed: int = 0) -> list[tuple[CrowdData, CrowdData]]:
        """`k` pairs of train and test whose tests are disjoint and together everything.

        Raises
        ------
        DataError
            When `k` is below 2 or above the number of what is cut.
        """
        n = self._n_units(by)
        if not 2 <= k <= n:
            raise DataError(f"k={k}: give 2 to {n} folds of {n} {by}s.")
        order = generator(seed).permutation(n)
        tests = [np.sort(part) for part in np.array_split(order, k)]
        return [(self._part(by, np.setdiff1d(np.arange(n), test)), self._part(by, test)) for test in tests]

    def _n_units(self, by: Unit) -> int:
        sizes = {"participant": self.n_participants, "problem": self.n_problems, "response": self.n_answers}
        if by not in sizes:
            raise DataError(f"by={by!r}: split by one of {', '.join(sizes)}.")
        return sizes[by]

    def _part(self, by: Unit, chosen: IntArray) -> CrowdData:
        if by == "participant":
            return self._rows(chosen, np.arange(self.n_problems))
        if by == "problem":
            return self._rows(np.arange(self.n_participants), chosen)
        return replace(
            self,
            problem_code=self.problem_code[chosen],
            participant_code=self.participant_code[chosen],
            response=self.response[chosen],
        )

    def _rows(self, people: IntArray, asked: IntArray) -> CrowdData:
        """Restrict and renumber, both in the order given."""
        new_person = np.full(self.n_participants, -1)
        new_person[people] = np.arange(len(people))
        new_problem = np.full(self.n_problems, -1)
        new_problem[asked] = np.arange(len(asked))
        person, problem = new_person[self.participant_code], new_problem[self.problem_code]
        kept = np.flatnonzero((person >= 0) & (problem >= 0))
        order = kept[np.lexsort((problem[kept], person[kept]))]
        return replace(
            self,
            problems=self.problems.iloc[asked],
            participants=self.participants.iloc[people],
            design=None if self.design is None else self.design.rows(people),
            problem_code=problem[order],
            participant_code=person[order],
            response=self.response[order],
        )


def answer_words(scale: Scale) -> tuple[str, ...]:
    """Texts that are answers on this scale, even where a table would take them for an empty cell."""
    if isinstance(scale, Continuous):
        return ()
    nothing = (EMPTY.capitalize(),) if isinstance(scale, Ballot) and scale.rule == "approval" else ()
    return (*scale.labels, *nothing)


def read_problems(path: str | Path) -> pd.DataFrame:
    """Problems of a file, indexed by id, each with a text."""
    return problem_table(renamed(read_table(path), ("problem", "text"), "problems"))


def read_participants(path: str | Path) -> pd.DataFrame:
    """Profiles of a file, indexed by participant."""
    return participant_table(renamed(read_table(path, _TRAITS), ("participant",), "participants"))


def amounts(data: CrowdData) -> str:
    """How much there is: 1,088 answers of 150 people to 8 problems."""
    people = counted(data.n_participants, "person", "people")
    return f"{counted(data.n_answers, 'answer')} of {people} to {counted(data.n_problems, 'problem')}"


def require_data(data: object) -> None:
    """Raise `DataError` for anything but a `CrowdData`, such as the table that one is made of."""
    if not isinstance(data, CrowdData):
        raise DataError(
            f"data is of type {type(data).__name__}; give a CrowdData (of tables: CrowdData.from_frames, of files: "
            "CrowdData.read)."
        )
