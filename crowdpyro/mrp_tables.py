"""A fitted multilevel regression, and the tables of answers and cells that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from .data import CrowdData
from .inference.posterior import Posterior
from .models.mrp import MultilevelRegression, SurveyTable
from .models.scales import Continuous, Ordinal
from .mrp_covariates import ReferenceOffsets, TraitLevels
from .references import References

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Numbers of a block of predictions, draws x rows x outputs.
_BLOCK = 2_000_000
_BY_LEVEL, _BY_PROBLEM = ("level", "level_problem"), ("problem", "level_problem", "cut")


class FittedRegression:
    """What a fit of `MRP` leaves behind.

    Parameters
    ----------
    data
        The sample.
    levels, offsets
        Of its people, and of the references; None without.
    references
        The LLMs' answers, kept for problems and twins of the sample.
    model
        The program.
    """

    posterior: Posterior

    def __init__(
        self,
        data: CrowdData,
        levels: TraitLevels,
        offsets: ReferenceOffsets | None,
        references: References | None,
        model: MultilevelRegression,
    ) -> None:
        self.scale, self.problems = data.scale, data.problems.index
        self.levels, self.offsets, self.references, self.model = levels, offsets, references, model
        # The regression's unit is the standard deviation of numbers, about their mean.
        self.centre, self.unit = 0.0, 1.0
        if isinstance(data.scale, Continuous):
            self.centre, self.unit = float(data.response.mean()), float(data.response.std()) or 1.0

    @property
    def has_twins(self) -> bool:
        """Whether its references are in the role of each person."""
        return self.offsets is not None and self.offsets.twins

    def answers(
        self, data: CrowdData, references: References | None, rng: np.random.Generator
    ) -> tuple[SurveyTable, dict[str, Tensor]]:
        """A data set's answers, equal ones counted, and latents that know all of its levels and problems.

        The latents are none before there is a posterior.
        """
        code, fresh = self.levels.codes(data.participants)
        problem, latent = self._placed(data.problems.index, fresh, rng)
        response = (data.response - self.centre) / self.unit
        columns = [code[data.participant_code], data.problem_code[:, None], response[:, None]]
        if self.has_twins:
            columns.append(data.participant_code[:, None])
        rows, count = np.unique(np.concatenate(columns, axis=1), axis=0, return_counts=True)
        n_traits = code.shape[1]
        place = rows[:, n_traits].astype(np.int64)
        reference = self._reference(references, data.problems.index, data.participants.index)
        who = rows[:, -1].astype(np.int64) if self.has_twins else 0
        table = self._table(rows[:, :n_traits].astype(np.int64), problem[place], reference[who, place], fresh)
        given = torch.as_tensor(rows[:, n_traits + 1].copy())
        return replace(table, response=given, count=torch.as_tensor(count.astype(float))), latent

    def foretold(
        self, cells: pd.DataFrame, problems: pd.Index, references: References | None, rng: np.random.Generator
    ) -> Iterator[tuple[FloatArray | None, FloatArray]]:
        """Problem by problem, what its cells answer.

        Yields
        ------
        probs
            Posterior mean of each level's probability, `(n_cells, n_levels)`; None of numbers.
        mean
            Draws of each cell's mean answer, `(n_draws, n_cells)`, of labels one more axis with their probabilities.
        """
        code, fresh = self.levels.codes(cells)
        place, latent = self._placed(problems, fresh, rng)
        reference = self._reference(references, problems, cells.index)
        for t in range(len(problems)):
            r = np.broadcast_to(reference[:, t], (len(code), *reference.shape[2:]))
            parts = [
                self._mean(part, latent)
                for part in self._blocks(self._table(code, np.full(len(code), place[t]), r, fresh))
            ]
            mean = np.concatenate([each for _, each in parts], axis=1)
            yield (None if parts[0][0] is None else np.concatenate([each for each, _ in parts])), mean

    def log_score(self, data: CrowdData, references: References | None, rng: np.random.Generator) -> float:
        """Mean over the answers of log mean over the draws of their density."""
        table, latent = self.answers(data, references, rng)
        log_n, total = float(np.log(len(next(iter(latent.values()))))), 0.0
        for part in self._blocks(table):
            m = self.model.location(latent, part)
            log_prob = self.model.response_dist(m, latent, part.problem).log_prob(part.response)
            total += float(((log_prob.logsumexp(0) - log_n) * part.count).sum())
        return total / data.n_answers - float(np.log(self.unit))

    def _mean(self, table: SurveyTable, latent: dict[str, Tensor]) -> tuple[FloatArray | None, FloatArray]:
        m = self.model.location(latent, table)
        answer = self.model.response_dist(m, latent, table.problem)
        if isinstance(self.scale, Continuous):
            return None, self.centre + self.unit * answer.mean.numpy()
        probs: FloatArray = answer.probs.numpy()
        return probs.mean(axis=0), probs @ self.scale.values if isinstance(self.scale, Ordinal) else probs

    def _placed(
        self, problems: pd.Index, fresh: IntArray, rng: np.random.Generator
    ) -> tuple[IntArray, dict[str, Tensor]]:
        """Number of each problem, and draws in which levels and problems that the sample lacks have their own."""
        place = self.problems.get_indexer(problems).astype(np.int64)
        strange = place < 0
        place[strange] = len(self.problems) + np.arange(strange.sum())
        if not hasattr(self, "posterior"):
            return place, {}
        latent = self.posterior.flat()
        for names, n, axis_from_end in ((_BY_LEVEL, len(fresh), -2), (_BY_PROBLEM, int(strange.sum()), -2)):
            for name in (each for each in names if each in latent and n):
                known = latent[name]
                axis = 1 if names is _BY_LEVEL else known.ndim + axis_from_end
                shape = (*known.shape[:axis], n, *known.shape[axis + 1 :])
                latent[name] = torch.cat([known, torch.as_tensor(rng.normal(size=shape)).to(known)], dim=axis)
        return place, latent

    def _reference(self, references: References | None, problems: pd.Index, people: pd.Index) -> FloatArray:
        """Standardised references, `(n_people or 1, n_problems, n_outputs, n_llms)`."""
        given = self.references if references is None else references
        if self.offsets is None or given is None:
            return np.zeros((1, len(problems), self.model.n_outputs, 0))
        return self.offsets.values(given, problems, people)

    def _table(self, level: IntArray, problem: IntArray, reference: FloatArray, fresh: IntArray) -> SurveyTable:
        return SurveyTable(
            level=torch.as_tensor(level),
            problem=torch.as_tensor(problem),
            reference=torch.as_tensor(np.array(reference)),
            trait=torch.as_tensor(np.concatenate([self.levels.trait, fresh])),
            n_problems=len(self.problems),
        )

    def _blocks(self, table: SurveyTable) -> Iterator[SurveyTable]:
        """The table in parts that fit into memory with all draws."""
        n_draws = len(next(iter(self.posterior.flat().values())))
        width = max(self.model.n_outputs * max(table.level.shape[1], 1), getattr(self.scale, "n_levels", 1))
        n_rows = max(1, _BLOCK // (n_draws * width))
        for start in range(0, len(table.problem), n_rows):
            rows = slice(start, start + n_rows)
            yield replace(
                table,
                level=table.level[rows],
                problem=table.problem[rows],
                reference=table.reference[rows],
                response=None if table.response is None else table.response[rows],
                count=None if table.count is None else table.count[rows],
            )
