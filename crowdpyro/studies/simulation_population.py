"""A population whose every answer is known: the crowd of a fitted model, its diversity and noise turned by hand.

y_it = m_t + e d_it + s n_it,    n_it ~ Normal(0, 1)

m_t is the crowd's mean answer to problem t and d_it the belief of person i about it, y_ref + delta of the fitted model:
by profile, by the person's own eps and by chance, centred and of standard deviation 1 over the population. So beliefs
differ by e and responses err by s, both in the unit of the response, and the truth m_t is the same for every e and s.
Answers are numbers without bounds, as where the paper adds Gaussian noise to a crowd's (section 5.5): clipped to the
rating scale, noise would move the means themselves.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..asking import people_of
from ..config import CrowdConfig
from ..data import CrowdData
from ..datasets import load_offensiveness, load_personality
from ..estimator import CrowdLLM
from ..inference.seeds import generator
from ..models.scales import Continuous, Ordinal
from ..recruit import recruit
from ..reference_table import ZERO_SHOT
from ..references import References, ReferenceSource
from .personality import QUESTION
from .scoring import ordinal

FloatArray = npt.NDArray[np.float64]

N_PEOPLE = 1000
SCALE = Continuous()
# People whose beliefs are drawn at once: with 1,500 comments their hidden units take four megabytes.
_ROWS = 20
# Up to so many problems, everybody of the sample met all: the crowd is of those problems, not of new ones.
_FEW = 100
# Share of the problems that nobody is asked, as in the paper.
HELD_OUT = 0.2


@dataclass(frozen=True, eq=False)
class SimulatedPopulation:
    """People, problems, and what everybody believes.

    Attributes
    ----------
    name
        Whose crowd it is.
    problems, people
        Tables, indexed by `problem` and `participant`.
    references
        The LLM's answers as numbers, on `SCALE`.
    mean
        m_t, `(n_problems,)`.
    belief
        d_it, `(n_people, n_problems)`.
    """

    name: str
    problems: pd.DataFrame
    people: pd.DataFrame
    references: References | None
    mean: FloatArray
    belief: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls, name: str, data: CrowdData, references: References | None, n: int = N_PEOPLE, seed: int = 0
    ) -> SimulatedPopulation:
        """The crowd of a model that is fitted to these people.

        Parameters
        ----------
        name
            Of the population.
        data, references
            Ratings and the LLM's, as in `CrowdLLM.fit`.
        n
            People; finite, so that its means are known exactly.
        seed
            Of fit and crowd.
        """
        import torch

        from ..inference.runtime import seeded

        scale = ordinal(data.scale)
        config = CrowdConfig(holdout="problem" if data.n_problems > _FEW else "participant")
        model = CrowdLLM(config, progress=False).fit(data, references, seed=seed)
        fitted, asked = model._state(), model._asked(None, None)
        people = recruit(fitted, n, generator(seed))
        view, mean = asked.view.crossed(), np.zeros(data.n_problems)
        beliefs = np.empty((n, data.n_problems), dtype=np.float32)
        with seeded(seed), torch.no_grad():
            everybody = people_of(fitted, people)
            for start in range(0, n, _ROWS):
                rows = torch.arange(start, min(start + _ROWS, n))
                some = everybody.people(rows).crossed()
                belief = model.model.belief_dist(view, some)
                answer = model.model.answer_dist(belief, view, some)
                mean += model.model.blender.expected(answer).sum(0).double().numpy() / n
                located = model.model.blender.location(view.reference, belief.sample())
                beliefs[start : start + len(rows)] = located.numpy()
        beliefs -= beliefs.mean(axis=0)
        beliefs /= beliefs.std(axis=0)
        return cls(name, data.problems, people.frame, as_numbers(references, scale), mean, beliefs)

    @classmethod
    def load(cls, folder: Path | None = None, seed: int = 0) -> SimulatedPopulation:
        """The offensiveness crowd with GPT-4 where POPQUORN is, else that of the embedded survey and the embedded LLM.

        Parameters
        ----------
        folder
            Holds `popquorn/`; `$CROWDPYRO_DATA` when None, and the survey where that is not set either.
        seed
            Of fit and crowd.
        """
        if folder is not None or os.environ.get("CROWDPYRO_DATA"):
            data, every = load_offensiveness(folder)
            references = replace(every, sources=(every.source("gpt4"),)).fill("mean")
            return cls.of("offensiveness", data, references, seed=seed)
        from ..llm import FrozenLLM

        data = load_personality()
        # A quarter of the 2,800: enough to learn 25 items from, and four times as fast.
        data = data.select(participants=data.participants.index[::4])
        references = FrozenLLM("embedded").refer(data.problems, data.scale, question=QUESTION)
        return cls.of("personality", data, references, seed=seed)

    @property
    def n_problems(self) -> int:
        """Number of problems."""
        return len(self.problems)

    def parts(self, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Problems that may be asked, and those held out, as rows."""
        order = generator(seed).permutation(self.n_problems)
        size = round(HELD_OUT * self.n_problems)
        return np.sort(order[size:]), np.sort(order[:size])

    def answers(
        self,
        people: npt.NDArray[np.int64],
        problems: npt.NDArray[np.int64],
        diversity: float,
        noise: float,
        rng: np.random.Generator,
    ) -> FloatArray:
        """What these people answer to these problems, arrays that broadcast against each other."""
        exact = self.mean[problems] + diversity * self.belief[people, problems].astype(float)
        return np.asarray(exact + noise * rng.normal(size=exact.shape))

    def sample(
        self, n_workers: int, n_tasks: int, diversity: float, noise: float, seed: int
    ) -> tuple[CrowdData, npt.NDArray[np.int64]]:
        """A training sample: workers drawn without replacement, each with tasks of their own.

        Returns
        -------
        CrowdData, ndarray
            The answers, and the rows of the workers among the people.
        """
        rng = generator(seed)
        asked, _ = self.parts(seed)
        workers = rng.choice(len(self.people), size=n_workers, replace=False)
        tasks = np.stack([rng.choice(asked, size=n_tasks, replace=False) for _ in workers])
        given = self.answers(workers[:, None], tasks, diversity, noise, rng)
        responses = pd.DataFrame(
            {
                "problem": self.problems.index.to_numpy()[tasks.ravel()],
                "participant": self.people.index.to_numpy()[workers].repeat(n_tasks),
                "response": given.ravel(),
            }
        )
        met = np.unique(tasks)
        data = CrowdData.from_frames(
            responses,
            self.problems[["text"]].iloc[met].reset_index(),
            self.people.iloc[workers].reset_index(),
            scale=SCALE,
        )
        return data, workers


def as_numbers(references: References | None, scale: Ordinal) -> References | None:
    """The LLMs' expected ratings as numbers."""
    if references is None:
        return None
    sources = tuple(
        ReferenceSource(
            source.name, source.revision, source.prompt, source.temperature, source.problems, (ZERO_SHOT,),
            (source.base() @ scale.values)[:, None, None],
        )
        for source in references
    )  # fmt: skip
    return References(SCALE, sources)
