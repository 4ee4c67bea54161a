"""How many people, and how many questions each, for a crowd whose means on unseen problems err by so little.

log error(n, k) between the designs of a grid, linear in log n and log k

n people who answer k questions each; the grid is one that was simulated (`crowdpyro study simulation` writes it to
`tables/power_table.csv` in its folder) or measured. Which is why nothing outside of it is told: no extrapolation. The
same table holds how twins correlate with people, from which `plan_from_moments` says how many people an interval takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.interpolate import RegularGridInterpolator

from ..errors import DataError
from ..tables import read_table, require_columns
from .checked import FloatArray
from .planner import Planned, SamplePlan, plan_from_moments

_KEYS = ("noise", "diversity", "workers", "tasks")
_MOMENTS = ("answer_sd", "twin_sd", "correlation")


@dataclass(frozen=True)
class TrainingPlan:
    """Whom to ask for a training sample.

    Attributes
    ----------
    n_people, n_questions
        People, and problems that each of them answers.
    error
        Expected mean absolute error of the crowd's means on unseen problems.
    cost
        In answers.
    """

    n_people: int
    n_questions: int
    error: float
    cost: float

    @property
    def n_answers(self) -> int:
        """Answers in all."""
        return self.n_people * self.n_questions

    def __repr__(self) -> str:
        return (
            f"<TrainingPlan: {self.n_people:,} people, {self.n_questions:,} questions each, expected error "
            f"{self.error:.3g}>"
        )


class PowerTable:
    """Errors by design.

    Parameters
    ----------
    frame
        Columns `noise, diversity, workers, tasks, error`, and, for `plan_sample`, `answer_sd, twin_sd, correlation`;
        for each noise and diversity every combination of its workers and tasks, two or more of each.

    Raises
    ------
    DataError
        When a column is missing, a number is none, or a combination is missing or there twice.

    Examples
    --------
    >>> grid = [(1, 1, n, k, (1 / n + 1 / (n * k)) ** 0.5) for n in (5, 20, 80) for k in (5, 20)]
    >>> table = PowerTable(pd.DataFrame(grid, columns=["noise", "diversity", "workers", "tasks", "error"]))
    >>> table.plan(0.25, noise=1, diversity=1)
    <TrainingPlan: 20 people, 5 questions each, expected error 0.245>
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        require_columns(frame, (*_KEYS, "error"), "power table")
        present = [name for name in _MOMENTS if name in frame.columns]
        table = frame[[*_KEYS, "error", *present]].astype(float)
        if not np.isfinite(table.to_numpy()).all() or (table[["workers", "tasks", "error"]] <= 0).any(axis=None):
            raise DataError(
                "power table: a number is missing, or no positive one; leave designs out that were not run."
            )
        self._grids: dict[tuple[float, float], tuple[FloatArray, FloatArray, pd.DataFrame]] = {}
        for noise, diversity in table[["noise", "diversity"]].drop_duplicates().to_numpy():
            part = table[(table["noise"] == noise) & (table["diversity"] == diversity)]
            people, questions = (np.unique(part[name]) for name in ("workers", "tasks"))
            whole = len(people) > 1 and len(questions) > 1 and len(part) == len(people) * len(questions)
            if not whole or part.duplicated(["workers", "tasks"]).any():
                raise DataError(
                    f"power table: noise {noise:g}, diversity {diversity:g} has {len(part)} designs of {len(people)} "
                    f"numbers of people and {len(questions)} of questions; give every combination once, two of each."
                )
            order = part.sort_values(["workers", "tasks"])
            self._grids[float(noise), float(diversity)] = people, questions, order

    @classmethod
    def read(cls, path: str | Path) -> PowerTable:
        """A table from a `.csv`, `.csv.gz` or `.parquet` file.

        Raises
        ------
        DataError
            When the file cannot be read, or holds no such table.
        """
        return cls(read_table(path))

    def error(
        self, n_people: npt.ArrayLike, n_questions: npt.ArrayLike, *, noise: float, diversity: float
    ) -> FloatArray:
        """Expected error of designs within the grid, arrays that broadcast against each other.

        Raises
        ------
        DataError
            For a noise and diversity that the table lacks, and designs outside of it.
        """
        return np.exp(self._between("error", n_people, n_questions, noise, diversity, log=True))

    def plan(
        self,
        error: float,
        *,
        noise: float,
        diversity: float,
        person_cost: float = 0.0,
        most_questions: int | None = None,
    ) -> TrainingPlan:
        """The cheapest design that is expected to err by no more.

        Parameters
        ----------
        error
            Wanted mean absolute error, in the unit of the response.
        noise, diversity
            Of the responses and of the beliefs, standard deviations, as in the table.
        person_cost
            What finding a person costs, in answers.
        most_questions
            That a person will answer.

        Raises
        ------
        DataError
            When no design of the grid comes so close.
        """
        if not (np.isfinite(error) and error > 0):
            raise DataError(f"error={error!r}: give a positive number in the unit of the response.")
        if not (np.isfinite(person_cost) and person_cost >= 0):
            raise DataError(f"person_cost={person_cost!r}: give a number of answers, at least 0.")
        people, questions, _ = self._grid(noise, diversity)
        n = np.arange(np.ceil(people[0]), people[-1] + 1)
        k = np.arange(np.ceil(questions[0]), min(questions[-1], most_questions or np.inf) + 1)
        if not len(k):
            raise DataError(f"most_questions={most_questions}: the table begins at {questions[0]:g}.")
        n, k = (each.ravel() for each in np.meshgrid(n, k, indexing="ij"))
        expected = self.error(n, k, noise=noise, diversity=diversity)
        enough = np.flatnonzero(expected <= error * (1 + 1e-9))
        if not len(enough):
            best = int(expected.argmin())
            raise DataError(
                f"error={error:g}: the table's designs come to {expected[best]:.3g} at best, with {n[best]:.0f} people "
                f"and {k[best]:.0f} questions each; give a larger one."
            )
        cost = n[enough] * k[enough] + person_cost * n[enough]
        best = enough[np.lexsort((n[enough], cost))[0]]
        return TrainingPlan(int(n[best]), int(k[best]), float(expected[best]), float(cost.min()))

    def plan_sample(
        self,
        half_width: float,
        n_people: int,
        n_questions: int,
        *,
        noise: float,
        diversity: float,
        alpha: float = 0.05,
        method: Planned = "power_tuned",
    ) -> SamplePlan:
        """People for an interval about one problem's mean, beside a crowd that was fitted to such a sample.

        Parameters
        ----------
        half_width, alpha, method
            As in `plan_from_moments`.
        n_people, n_questions, noise, diversity
            The training sample.

        Raises
        ------
        DataError
            For a noise and diversity that the table lacks, designs outside of it, and as `plan_from_moments`.
        """
        answer_sd, twin_sd, correlation = (
            float(self._between(name, n_people, n_questions, noise, diversity, log=False)) for name in _MOMENTS
        )
        return plan_from_moments(answer_sd, twin_sd, correlation, half_width, alpha=alpha, method=method)

    def _grid(self, noise: float, diversity: float) -> tuple[FloatArray, FloatArray, pd.DataFrame]:
        if (noise, diversity) not in self._grids:
            known = ", ".join(f"{s:g} and {e:g}" for s, e in self._grids)
            raise DataError(f"noise={noise:g}, diversity={diversity:g}: the table has {known}.")
        return self._grids[float(noise), float(diversity)]

    def _between(
        self, name: str, n_people: npt.ArrayLike, n_questions: npt.ArrayLike, noise: float, diversity: float, log: bool
    ) -> FloatArray:
        people, questions, order = self._grid(noise, diversity)
        if name not in order.columns:
            raise DataError(f"power table lacks column {name!r}; `crowdpyro study simulation` writes it.")
        values = order[name].to_numpy().reshape(len(people), len(questions))
        n, k = np.broadcast_arrays(np.asarray(n_people, dtype=float), np.asarray(n_questions, dtype=float))
        inside = (n >= people[0]) & (n <= people[-1]) & (k >= questions[0]) & (k <= questions[-1])
        if not inside.all():
            raise DataError(
                f"n_people={n[~inside].flat[0]:g}, n_questions={k[~inside].flat[0]:g}: the table has {people[0]:g} to "
                f"{people[-1]:g} people and {questions[0]:g} to {questions[-1]:g} questions."
            )
        surface = RegularGridInterpolator((np.log(people), np.log(questions)), np.log(values) if log else values)
        return np.asarray(surface(np.stack([np.log(n), np.log(k)], axis=-1))).reshape(n.shape)
