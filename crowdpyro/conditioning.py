"""People known from a few answers: the posterior of eps_i, and what they would answer to other problems.

p(y_it | y_i) = int p(y_it | eps_i, v_i) p(eps_i | y_i, v_i) d eps_i

No LLM is asked again: the fitted model and a person's own answers say it all. Parameters stay those of the fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .asking import Asked, frame_of, twin_references
from .crowd import Crowd
from .data import CrowdData, require_data
from .errors import DataError
from .models.ballot import Ballot
from .models.scales import Categorical
from .predicted import numbers, predictions
from .recruit import Recruits
from .tables import counted, shown
from .waves import joined, people_of_wave, wave_of, with_a_chance

if TYPE_CHECKING:
    import torch

    from .estimator import CrowdLLM
    from .inference.conditioning import PersonDraws
    from .inference.score import LogScore
    from .models.batch import Batch
    from .references import References

FloatArray = npt.NDArray[np.float64]

# Equally weighted draws that predictions average over: probabilities of levels are known to about .01.
_PREDICTING = 256


def condition(
    model: CrowdLLM,
    answers: pd.DataFrame | CrowdData | None,
    participants: pd.DataFrame | None = None,
    problems: pd.DataFrame | None = None,
    references: References | None = None,
    *,
    n_draws: int = 1024,
    seed: int = 0,
) -> ConditionedPeople:
    """`CrowdLLM.condition`, which says what the parameters are."""
    fitted = model._state()
    people = people_of_wave(fitted, answers, participants)
    asked = answers.problems if problems is None and isinstance(answers, CrowdData) else frame_of(fitted, problems)
    data = wave_of(fitted, answers, asked, people)
    return _posterior(model, data, references, n_draws, seed)


def _posterior(
    model: CrowdLLM, data: CrowdData, references: References | None, n_draws: int, seed: int
) -> ConditionedPeople:
    from .inference.conditioning import condition as posterior

    # Only the problems that were answered, since others need no reference; in one order, so that waves in turn are the
    # union to the last bit.
    answered = data.problems.iloc[np.unique(data.problem_code)]
    rows = model._state().rows(answered)
    # Those that are not of training by their ids, whichever wave they came in.
    ids = answered.index.map(str).to_numpy(dtype=str)
    data = data.select(problems=answered.index[np.lexsort((ids, np.where(rows < 0, len(model.problems), rows)))])
    batch = model.batch(data, references)
    draws = posterior(model.model, model.guide, batch, n_draws=n_draws, seed=seed)
    with_a_chance(data, numbers(draws.log_evidence))
    return ConditionedPeople(model, data, references, draws, batch.profile, n_draws, seed)


@dataclass(frozen=True, eq=False, repr=False)
class ConditionedPeople:
    """Real people, and the posterior of each one's noise; `CrowdLLM.condition` makes it.

    Attributes
    ----------
    model
        The fitted estimator.
    data
        All answers that were conditioned on, with the people, some of whom may have given none.
    references
        Of problems among these that are not of training.
    draws
        Weighted draws of eps, a posterior a person, in the order of `data.participants`.
    profile
        The people's encoded profiles, in that order.
    n_draws, seed
        Of the draws.
    """

    model: CrowdLLM
    data: CrowdData
    references: References | None
    draws: PersonDraws
    profile: torch.Tensor
    n_draws: int
    seed: int

    def __repr__(self) -> str:
        data = self.data
        people = counted(data.n_participants, "person", "people")
        return f"<ConditionedPeople: {people}, {counted(data.n_answers, 'answer')}, {data.scale}>"

    @property
    def participants(self) -> pd.DataFrame:
        """Their profiles."""
        return self.data.participants

    @property
    def n_answers(self) -> pd.Series:
        """How many answers of each were conditioned on; of 0, the posterior is the prior."""
        counts = np.bincount(self.data.participant_code, minlength=self.data.n_participants)
        return pd.Series(counts, index=self.participants.index, name="n_answers")

    @property
    def report(self) -> tuple[str, ...]:
        """Who is not known any better than before, and whose posterior is not to be relied on."""
        without, n = int((self.n_answers == 0).sum()), self.data.n_participants
        least = min(50, self.n_draws // 4)
        few = int((self.draws.ess < least).sum()) if len(self.draws.eps) > 1 else 0
        notes = []
        if without:
            notes.append(f"{without:,} of {n:,} people gave no answer: their posterior is the prior given the profile")
        if few:
            notes.append(f"{few:,} of {n:,} posteriors stand on fewer than {least} effective draws; raise n_draws")
        return tuple(notes)

    def to_frame(self) -> pd.DataFrame:
        """One row a person.

        Returns
        -------
        DataFrame
            Indexed by participant: the profile, a trait of a name that follows as `profile_NAME`; `n_answers`;
            `log_evidence`, log p(y_i | v_i) in nats, low for answers
            that go together badly; `ess`, effective draws; posterior mean and standard deviation of every coordinate of
            eps, `eps_0`, `eps_0_sd`, ... (about 0 and 1 for the prior).
        """
        traits = self.participants
        taken = [
            name for name in traits if str(name).startswith("eps_") or name in ("n_answers", "log_evidence", "ess")
        ]
        frame = traits.rename(columns={name: f"profile_{name}" for name in taken}).assign(
            n_answers=self.n_answers, log_evidence=numbers(self.draws.log_evidence), ess=numbers(self.draws.ess)
        )
        mean, covariance = numbers(self.draws.mean()), numbers(self.draws.covariance())
        for k in range(mean.shape[1]):
            frame[f"eps_{k}"], frame[f"eps_{k}_sd"] = mean[:, k], np.sqrt(covariance[:, k, k])
        return frame

    # -- what they would answer --------------------------------------------------------------------------------

    def predict(
        self,
        problems: pd.DataFrame | Iterable[object] | None = None,
        references: References | None = None,
        *,
        coverage: float = 0.9,
    ) -> pd.DataFrame:
        """Everybody's predictive distribution on every problem.

        Parameters
        ----------
        problems, references
            As in `CrowdLLM.generate`.
        coverage
            Chance of the equal-tailed band of an answer; on discrete scales it is at least that.

        Returns
        -------
        DataFrame
            One row a (participant, problem): `given`, the answer that was conditioned on, if any (the prediction is
            then of the same question asked anew); of numbers `mean`, `sd`, `median`, `low`, `high`; of labels `mode`;
            on discrete scales `p_LEVEL`, of ballots the mean votes or points of each option.

        Raises
        ------
        DataError
            When `coverage` is not between 0 and 1.
        """
        from .inference.runtime import seeded

        if not 0 < coverage < 1:
            raise DataError(f"coverage={coverage}: give a chance between 0 and 1.")
        asked = self.model._asked(problems, references)
        frame = pd.DataFrame(
            {
                "participant": np.repeat(self.participants.index.to_numpy(), asked.n),
                "problem": np.tile(asked.frame.index.to_numpy(), self.data.n_participants),
                "given": self._given(asked.frame.index),
            }
        )
        tails = np.array([(1 - coverage) / 2, 0.5, (1 + coverage) / 2])
        told = self._twins(asked, references)
        with seeded(self.seed, self.model.device):
            return frame.assign(**self._predicted(asked, told, tails))

    def generate(
        self,
        problems: pd.DataFrame | Iterable[object] | None = None,
        references: References | None = None,
        *,
        keep: bool = True,
        seed: int = 0,
    ) -> Crowd:
        """One draw of everybody's answers, a person's drawn together from one eps.

        Parameters
        ----------
        problems, references
            As in `CrowdLLM.generate`.
        keep
            Leave the answers that people gave as they are and fill in the others; False draws those anew as well.
        seed
            Equal seeds give equal crowds; several are multiple imputations.

        Returns
        -------
        Crowd
            A row a person, in the order of `participants`.

        Raises
        ------
        MissingReferenceError
            When a new problem has no reference.
        DataError
            For an unknown problem, or references on another scale.
        """
        from .inference.generate import decisions
        from .inference.runtime import seeded

        asked, program = self.model._asked(problems, references), self.model.model
        told = self._twins(asked, references)
        with seeded(seed, self.model.device):
            people = program.participants(self.profile, self.draws.resampled(1)[0])
            matrix = numbers(decisions(program, asked.view, people, reference=told))
        if keep:
            given = self._matrix(asked.frame.index)
            matrix = np.where(np.isnan(given), matrix, given)
        return Crowd.from_matrix(
            matrix,
            scale=self.data.scale,
            problems=asked.frame,
            participants=self.participants,
            seed=seed,
            conditioned_on=self.data.n_answers,
            kept=int(keep),
            llm=", ".join(self.model.sources),
        )

    # -- how good that is --------------------------------------------------------------------------------------

    def log_score(self, data: CrowdData, references: References | None = None) -> LogScore:
        """Joint and single log score of further answers of these people, nats an answer.

        Parameters
        ----------
        data
            Answers that were not conditioned on.
        references
            Of problems that are not of training.

        Raises
        ------
        DataError
            For an answer that was conditioned on, or of somebody who is not among these people.
        """
        from .inference.conditioning import log_scores
        from .inference.score import LogScore

        batch = self._further(data, references)
        joint, single = log_scores(self.model.model, batch, self.draws)
        return LogScore(float(joint.sum() / batch.n_answers), float(single.mean()))

    def pit(self, data: CrowdData, references: References | None = None, *, seed: int = 0) -> FloatArray:
        """Randomised probability integral transforms of further answers, uniform if predictions are right.

        Parameters
        ----------
        data, references
            As in `log_score`; an answer a number.
        seed
            Of the randomisation within a level.

        Returns
        -------
        ndarray
            Shape `(n_answers,)`, by participant, then problem; the share in [.05, .95] is what 90 % bands cover.

        Raises
        ------
        DataError
            For ballots, which have no order.
        """
        from .inference.conditioning import transforms

        if isinstance(self.data.scale, Ballot):
            raise DataError("data: answers are ballots, which have no order and so no transform; take log_score.")
        return numbers(transforms(self.model.model, self._further(data, references), self.draws, seed=seed))

    # -- more answers ------------------------------------------------------------------------------------------

    def update(
        self,
        answers: pd.DataFrame | CrowdData,
        problems: pd.DataFrame | None = None,
        references: References | None = None,
    ) -> ConditionedPeople:
        """Condition on another wave of these people's answers as well: the same as on all waves at once.

        Parameters
        ----------
        answers
            As in `CrowdLLM.condition`; one that was given before may stand there again.
        problems, references
            As there; the references of all waves' problems that are not of training, None for those given before.

        Raises
        ------
        DataError
            When an answer contradicts an earlier one, or is of somebody who is not among these people.
        """
        fitted = self.model._state()
        asked = answers.problems if problems is None and isinstance(answers, CrowdData) else frame_of(fitted, problems)
        data = joined(self.data, wave_of(fitted, answers, asked, self.participants))
        references = self.references if references is None else references
        return _posterior(self.model, data, references, self.n_draws, self.seed)

    # -- inside ------------------------------------------------------------------------------------------------

    @cached_property
    def _eps(self) -> torch.Tensor:
        """Equally weighted draws that predictions average over."""
        from .inference.runtime import seeded

        with seeded(self.seed, self.model.device):
            return self.draws.resampled(min(_PREDICTING, self.n_draws) if self.draws.eps.shape[2] else 1)

    def _predicted(self, asked: Asked, told: torch.Tensor | None, tails: FloatArray) -> dict[str, npt.NDArray[Any]]:
        """Columns of `predict`; the caller seeds."""
        from .inference.conditioning import answers_of_all

        answers = answers_of_all(self.model.model, asked.view, self.profile, self._eps, told)
        return predictions(answers, self.data.scale, tails)

    def _twins(self, asked: Asked, references: References | None) -> torch.Tensor | None:
        """What each one's own twin answers, where people have any."""
        import torch

        people = Recruits(self.participants, numbers(self.profile).astype(np.float32))
        found = twin_references(
            self.model._state(), people, asked, self.references if references is None else references
        )
        return None if found is None else torch.as_tensor(found).to(self.profile.device)

    def _matrix(self, problems: pd.Index) -> FloatArray:
        """The answers that were conditioned on, as codes, `(n_participants, n_problems, ...)`, NaN elsewhere."""
        rows = self.data.problems.index.get_indexer(problems)
        matrix = self.data.matrix()
        given = np.full((len(matrix), len(problems), *matrix.shape[2:]), np.nan)
        given[:, rows >= 0] = matrix[:, rows[rows >= 0]]
        return given

    def _given(self, problems: pd.Index) -> npt.NDArray[Any]:
        """The same as people wrote them, one row a (participant, problem)."""
        codes = self._matrix(problems)
        codes = codes.reshape(-1, *codes.shape[2:])
        there = ~np.isnan(codes if codes.ndim == 1 else codes[:, 0])
        numeric = not isinstance(self.data.scale, Categorical | Ballot)
        given = np.full(len(codes), np.nan, dtype=float if numeric else object)
        given[there] = self.data.scale.decode(codes[there])
        return given

    def _further(self, data: CrowdData, references: References | None) -> Batch:
        """Answers to be scored, in the order of these people."""
        require_data(data)
        if data.scale != self.data.scale:
            raise DataError(f"data is on {data.scale}, the model on {self.data.scale}; put them on one scale.")
        if not data.n_answers:
            raise DataError("data has no answers; give at least one.")
        further = wave_of(self.model._state(), data, data.problems, self.participants)
        mine = pd.MultiIndex.from_arrays([self.data.participant_code, self.data.problems.index[self.data.problem_code]])
        seen = pd.MultiIndex.from_arrays([further.participant_code, further.problems.index[further.problem_code]])
        leak = np.flatnonzero(seen.isin(mine))
        if len(leak):
            person, problem = seen[leak[0]]
            raise DataError(
                f"data: participant {shown(self.participants.index[person])}'s answer to problem {shown(problem)} was "
                f"conditioned on ({len(leak)} such), and scoring it would be a leak; leave it out."
            )
        return self.model.batch(further, references)
