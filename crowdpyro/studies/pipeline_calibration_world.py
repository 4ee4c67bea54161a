"""Worlds whose story is known: people drawn from `crowd` with known parameters, or from it and something else.

right        ratings, numbers, labels     y ~ crowd(theta*), theta* drawn anew with each seed
heavy_tails  numbers                      y + 1.5 t, t of Student's law with 2.5 degrees of freedom
spammers     ratings                      a quarter of the people answer at random; the truth is what they think
curved       ratings                      the old and the young answer higher, which no linear path has, and the old
                                          are asked far more often; the truth is everybody's
hidden       ratings                      a trait that nobody recorded raises answers, and those who have it are asked
                                          four times as often
biased_llm   ratings                      digital twins answer two levels lower for a tenth of the people, who do not

Respondents are those who are asked, targets those who are spoken for; they differ in `curved` and `hidden` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..config import CrowdConfig
from ..data import CrowdData
from ..estimator import CrowdLLM
from ..features import ProblemFeatures
from ..fitted import build
from ..inference.training import FitConfig
from ..models.scales import Categorical, Continuous, Ordinal
from ..parts import OWN
from ..profiles import ProfileEncoder
from ..reference_table import ZERO_SHOT
from ..references import References, ReferenceSource

FloatArray = npt.NDArray[np.float64]

AnyScale: TypeAlias = Ordinal | Continuous | Categorical

RIGHT = ("ratings", "numbers", "labels")
WRONG = ("heavy_tails", "spammers", "curved", "hidden", "biased_llm")
N_PROBLEMS = 12
_POOL = 2000
# Fits of these sizes settle within 60 epochs (see the tests); intervals are valid whatever the fit.
CONFIG = CrowdConfig(n_eps=2, n_hidden=8, n_components=0, training=FitConfig(epochs=60, patience=20, margin_steps=50))
_SPAMMERS, _TAIL, _CURVE, _RAISE, _LOWER = 0.25, (1.5, 2.5), 0.8, 1.0, 2
_LLM = "llm"


@dataclass(frozen=True, eq=False)
class People:
    """Some people, and what they would answer to everything.

    Attributes
    ----------
    profiles
        Indexed by participant.
    answers
        What they say: codes or values, `(n, n_problems)`.
    thoughts
        What the truth is made of: the same, but for spammers.
    """

    profiles: pd.DataFrame
    answers: FloatArray
    thoughts: FloatArray


@dataclass(frozen=True, eq=False)
class World:
    """Known parameters, and who is asked.

    Attributes
    ----------
    kind
        One of `RIGHT` and `WRONG`.
    truth
        A `CrowdLLM` that was never fitted: its parameters are the world's.
    problems, references
        As a fit is given them.
    pool
        Profiles of everybody.
    """

    kind: str
    truth: CrowdLLM
    problems: pd.DataFrame
    references: References
    pool: pd.DataFrame

    @classmethod
    def of(cls, kind: str, seed: int) -> World:
        """A world, its parameters drawn by the seed."""
        import torch

        from ..inference.runtime import seeded

        rng = np.random.default_rng([seed, (*RIGHT, *WRONG).index(kind)])
        its: AnyScale = Ordinal.range(1, 5)
        if kind in ("numbers", "heavy_tails"):
            its = Continuous()
        elif kind == "labels":
            its = Categorical(("yes", "no", "unsure"))
        index = pd.Index([f"q{t}" for t in range(N_PROBLEMS)], name="problem")
        problems = pd.DataFrame({"text": [f"Question {t}" for t in range(N_PROBLEMS)]}, index=index)
        said = rng.normal(3, 1, (N_PROBLEMS, 1, 1))
        if not isinstance(its, Continuous):
            said = rng.dirichlet(np.full(its.n_levels, 2.0), (N_PROBLEMS, 1))
        references = References(its, (ReferenceSource(_LLM, "", "", 0.0, index, (ZERO_SHOT,), said),))
        people = pd.Index([f"p{i}" for i in range(_POOL)], name="participant")
        traits = {"group": rng.choice(["a", "b", "c"], _POOL, p=[0.6, 0.3, 0.1]), "age": rng.normal(45, 15, _POOL)}
        pool = pd.DataFrame(traits, index=people)
        response = rng.normal(3, 1, _POOL) if isinstance(its, Continuous) else rng.integers(its.n_levels, size=_POOL)
        who = np.arange(_POOL)
        data = CrowdData(its, problems, pool, who % N_PROBLEMS, who, response.astype(float))
        features = ProblemFeatures.fit(problems, references, None, its, data.response)
        encoder = ProfileEncoder.fit(pool)
        with seeded(int(rng.integers(2**31))), torch.no_grad():
            fitted = build(data, features, encoder, pool, *features.transform(problems, references), CONFIG, OWN)
            net, widths = fitted.model, fitted.model.encoder.widths
            net.belief.shift.weight.normal_(0.0, 0.4)
            start = widths[0]
            net.encoder.affine.bias[start : start + widths[1]].normal_(0.0, 0.3)
            net.encoder.offset[:, : widths[1]].normal_(0.0, 0.4)
            net.encoder.affine.bias[start + widths[1] : start + widths[1] + widths[2]].normal_(0.0, 0.7)
            net.eval()
        truth = CrowdLLM(CONFIG, progress=False)
        truth._fitted = fitted
        return cls(kind, truth, problems, references, pool)

    @property
    def scale(self) -> AnyScale:
        """Of the answers."""
        found: AnyScale = self.references.scale  # type: ignore[assignment]
        return found

    def people(self, n: int, seed: int, *, respondents: bool = True, name: str = "r") -> People:
        """People as they are asked, or as they are spoken for."""
        rng = np.random.default_rng([seed, int(respondents)])
        age = self.pool["age"].to_numpy()
        z = (age - age.mean()) / age.std()
        chance = np.exp(1.2 * z) if self.kind == "curved" and respondents else np.ones(_POOL)
        rows = rng.choice(_POOL, size=n, p=chance / chance.sum())
        ids = pd.Index([f"{name}{i}" for i in range(n)], name="participant")
        profiles = self.pool.iloc[rows].set_axis(ids)
        said = self.truth.generate(profiles, participation=1.0, seed=int(rng.integers(2**32))).codes()
        if self.kind == "heavy_tails":
            said = said + _TAIL[0] * rng.standard_t(_TAIL[1], said.shape)
        if self.kind == "curved":
            said = self._moved(said, _CURVE * (z[rows] ** 2 - 1)[:, None], rng)
        if self.kind == "hidden":
            has = rng.random((n, 1)) < (0.8 if respondents else 0.5)
            said = self._moved(said, np.where(has, _RAISE, 0.0), rng)
        thoughts = said
        if self.kind == "spammers":
            spam = rng.random(n) < _SPAMMERS
            said = np.where(spam[:, None], rng.integers(5, size=said.shape), said)
        return People(profiles, np.asarray(said), np.asarray(thoughts))

    def _moved(self, codes: FloatArray, by: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Ratings moved by so many levels on average, as far as the scale reaches."""
        return np.clip(np.floor(codes + by + rng.random(codes.shape)), 0, 4)

    def data(self, people: People) -> CrowdData:
        """Their answers as a fit is given them."""
        n = len(people.profiles)
        who, what = (each.ravel() for each in np.indices((n, N_PROBLEMS)))
        return CrowdData(self.scale, self.problems, people.profiles, what, who, people.answers.ravel())

    def told(self, profiles: pd.DataFrame) -> References:
        """The LLM's answers, those of each person's twin in `biased_llm`."""
        if self.kind != "biased_llm":
            return self.references
        base = self.references.probabilities()
        lower = np.zeros_like(base)
        for level in range(base.shape[1]):
            lower[:, max(level - _LOWER, 0)] += base[:, level]
        of_group = (profiles["group"] == "c").to_numpy()
        values = np.where(of_group[None, :, None], lower[:, None], base[:, None])
        ids = tuple(map(str, profiles.index))
        source = ReferenceSource(_LLM, "", "", 0.0, self.problems.index, ids, values, "participant")
        return References(self.scale, (source,))

    def fit(self, people: People, seed: int) -> CrowdLLM:
        """The pipeline's model of these people."""
        data = self.data(people)
        return CrowdLLM(CONFIG, progress=False).fit(data, self.told(people.profiles), seed=seed)

    def numbers(self, codes: FloatArray) -> FloatArray:
        """Answers as they are averaged, `(n, n_problems)`, labels as indicators with one more axis."""
        scale = self.scale
        if isinstance(scale, Continuous):
            return codes
        table = np.eye(scale.n_levels) if isinstance(scale, Categorical) else scale.values
        return np.asarray(table[codes.astype(np.int64)], dtype=float)

    def twins(self, model: CrowdLLM, profiles: pd.DataFrame, n_draws: int, seed: int) -> FloatArray:
        """Mean of draws of everybody's twin, as `numbers`."""
        told = self.told(profiles) if self.kind == "biased_llm" else None
        seeds = np.random.default_rng(seed).integers(2**32, size=n_draws)
        draws = (model.generate(profiles, None, told, participation=1.0, seed=int(each)).codes() for each in seeds)
        return np.asarray(sum(self.numbers(each) for each in draws) / n_draws)
