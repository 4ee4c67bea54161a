"""Who answered how many: propensities from history, and crowds whose numbers of answers are like people's.

person of profile v:    m(v) = mean number + x(v) . b,      b by Bayesian ridge regression, shrunk as the data ask
problem t, d_t of n:    q_t  = (d_t + k q) / (n + k),       k by moments: infinite where d_t differ by chance or less

A crowd of independent Bernoulli draws would scatter where people do not: on POPQUORN everybody has 50 comments and a
comment five to ten people. A member's number is therefore somebody's of the history, moved by m(v) where the profiles
differ, and a problem's is q_t's with a deviation that another problem had; members then take problems by what these are
still short of, without repetition, so that both come out (a platform that hands out what has fewest answers does this).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from .crowd import Crowd
from .data import CrowdData
from .errors import DataError
from .inference.seeds import generator
from .profiles import ProfileEncoder, clean_profiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ParticipationHistory:
    """Numbers of answers in a data set; build it with `of`.

    Attributes
    ----------
    profiles
        Of the people.
    by_person
        How many each answered, shape `(n_people,)`.
    by_problem
        How many answered each problem, indexed by problem.
    """

    profiles: pd.DataFrame
    by_person: IntArray
    by_problem: pd.Series
    _encoder: ProfileEncoder
    _coefficients: FloatArray

    @classmethod
    def of(cls, data: CrowdData) -> ParticipationHistory:
        """Count a data set's answers, people and problems without any included.

        Raises
        ------
        DataError
            For data without answers.
        """
        if data.n_answers == 0:
            raise DataError("data has no answers; give at least one.")
        there = data.answered()
        by_problem = pd.Series(there.sum(axis=0), index=data.problems.index, name="answers")
        by_person = there.sum(axis=1).astype(np.int64)
        encoder = ProfileEncoder.fit(data.participants)
        return cls(data.participants, by_person, by_problem, encoder, _ridge(encoder, data.participants, by_person))

    @property
    def n_people(self) -> int:
        """People of the history."""
        return len(self.by_person)

    def of_people(self, profiles: pd.DataFrame | None = None) -> FloatArray:
        """Share of the problems that people of these profiles answer, `(n,)`; of the history's own when None."""
        n = len(self.by_problem)
        return np.asarray((self._expected(profiles) / n).clip(0.0, 1.0))

    def of_problems(self) -> pd.Series:
        """q_t, the share of people who answer each problem, indexed by problem."""
        share, trust = self.by_problem / self.n_people, self._trust
        return (share.mean() + trust * (share - share.mean())).rename("propensity")

    def probabilities(self, profiles: pd.DataFrame | None = None, problems: pd.Index | None = None) -> FloatArray:
        """Probability of every meeting, `(n_people, n_problems)`, for `CrowdLLM.generate(participation=...)`.

        The odds of person and problem multiply; a problem without a history has the mean propensity.
        """
        q = self._of(self.of_problems(), problems)
        return _expit(_logit(self.of_people(profiles))[:, None] + _logit(q) - _logit(np.array([self._mean]))[0])

    def draw(
        self, profiles: pd.DataFrame | None = None, problems: pd.Index | None = None, *, seed: int = 0
    ) -> BoolArray:
        """Who answers what, `(n_people, n_problems)`, in numbers like the history's.

        Parameters
        ----------
        profiles
            Of the people; the history's own when None.
        problems
            Those without a history are as often answered as others; the history's when None.
        seed
            Of the draw.
        """
        rng = generator(seed)
        expected = self._expected(profiles)
        n_problems = len(self.by_problem if problems is None else problems)
        like = rng.integers(self.n_people, size=len(expected))
        numbers = self.by_person[like] + expected - self._expected(None)[like]
        # Of fewer or more problems than the history's, everybody answers the same share.
        numbers = np.rint(numbers * n_problems / len(self.by_problem)).clip(0, n_problems).astype(np.int64)
        wanted = _rounded(self._wanted(problems, len(expected), rng), int(numbers.sum()), len(expected), rng)
        there = np.zeros((len(expected), n_problems), dtype=bool)
        for person in rng.permutation(len(expected)):
            chosen = _without_repetition(wanted, int(numbers[person]), rng)
            there[person, chosen] = True
            wanted[chosen] -= 1
        return there

    def thin(self, crowd: Crowd, *, seed: int = 0) -> Crowd:
        """The crowd with the answers that its members would have given, in numbers like the history's.

        Members need the traits of the history; a crowd of fresh people a problem has none, and raises.

        Raises
        ------
        DataError
            When the crowd lacks a trait of the history's people.
        """
        traits = {str(name): crowd.dataset.get(f"profile_{name}") for name in self.profiles.columns}
        missing = [name for name, column in traits.items() if column is None]
        if missing:
            raise DataError(
                f"the crowd has no trait {missing[0]!r}, which the history's people have; recruit such people."
            )
        index = crowd.dataset["participant"].to_numpy()
        frame = pd.DataFrame({name: column.to_numpy() for name, column in traits.items() if column is not None}, index)
        there = self.draw(frame, crowd.problems, seed=seed)
        response = crowd.dataset["response"]
        absent = np.nan if np.issubdtype(response.dtype, np.floating) else -1
        kept = there if response.ndim == 2 else there[..., None]
        values = np.where(kept, response.to_numpy(), absent).astype(response.dtype)
        return Crowd(crowd.dataset.assign(response=(response.dims, values)))

    def plot(self, crowd: Crowd) -> Figure:
        """Numbers of answers a person and a problem, people's beside the crowd's."""
        from .participation_pictures import numbers_of_answers

        there = ~np.isnan(crowd.codes().reshape(crowd.n_participants, crowd.n_problems, -1)).all(axis=2)
        return numbers_of_answers(
            (self.by_person, self.by_problem.to_numpy()), (there.sum(axis=1), there.sum(axis=0)),
            (self.n_people, crowd.n_participants),
        )  # fmt: skip

    @property
    def _mean(self) -> float:
        return float(self.by_problem.mean() / self.n_people)

    @property
    def _trust(self) -> float:
        """Trust n / (n + k): the part of the variance of problems' shares that is not chance; 0 where there is none."""
        share = self.by_problem.to_numpy() / self.n_people
        chance = self._mean * (1 - self._mean) / self.n_people
        variance = float(share.var(ddof=1)) if len(share) > 1 else 0.0
        return max(0.0, 1 - chance / variance) if variance > 0 else 0.0

    def _expected(self, profiles: pd.DataFrame | None) -> FloatArray:
        """m(v)."""
        frame = self.profiles if profiles is None else clean_profiles(profiles, self.profiles)[0]
        return np.asarray(self.by_person.mean() + self._encoder.transform(frame).astype(float) @ self._coefficients)

    def _of(self, values: pd.Series, problems: pd.Index | None) -> FloatArray:
        if problems is None:
            return values.to_numpy(dtype=float)
        return values.reindex(problems).fillna(values.mean()).to_numpy(dtype=float)

    def _wanted(self, problems: pd.Index | None, n_people: int, rng: np.random.Generator) -> FloatArray:
        """Share of people who shall answer each problem."""
        q, trust = self.of_problems(), self._trust
        share = self.by_problem / self.n_people
        deviation = (share - share.mean()).to_numpy()
        # q and a part of another problem's deviation, sqrt(1 - trust^2), have the variance of the history's shares; of
        # what is chance, less in a larger crowd.
        part = np.sqrt((1 - trust**2) * min(1.0, self.n_people / n_people))
        wanted = self._of(q, problems)
        return np.asarray(wanted + part * rng.choice(deviation, size=len(wanted)))


def _ridge(encoder: ProfileEncoder, profiles: pd.DataFrame, numbers: IntArray) -> FloatArray:
    """b, shape `(n_columns,)`; 0 where nobody differs."""
    from sklearn.linear_model import BayesianRidge

    if not encoder.n_columns or np.ptp(numbers) == 0:
        return np.zeros(encoder.n_columns)
    x = encoder.transform(profiles).astype(float)
    fitted = BayesianRidge(fit_intercept=False).fit(x, numbers - numbers.mean())
    return np.asarray(fitted.coef_)


def _rounded(share: FloatArray, total: int, n_people: int, rng: np.random.Generator) -> IntArray:
    """Whole numbers of people in proportion to the shares, 0 to n_people each, that sum to `total`."""
    exact = _capped(share.clip(min=1e-9), total / n_people) * n_people
    whole = np.floor(exact + 1e-9)
    # The fractions are rounded up or down by one draw, so that their sum is what is left.
    order = rng.permutation(len(exact))
    above = np.cumsum((exact - whole)[order])
    up = np.diff(np.floor(above + rng.random()), prepend=0.0)
    whole[order] += up
    numbers = whole.astype(np.int64)
    short = total - int(numbers.sum())
    for place in rng.permutation(np.flatnonzero((numbers < n_people) if short > 0 else (numbers > 0)))[: abs(short)]:
        numbers[place] += 1 if short > 0 else -1
    return numbers


def _capped(weights: FloatArray, total: float) -> FloatArray:
    """Numbers in proportion to the weights, at most 1 each, that sum to `total`; what is above 1 goes to the others."""
    result = np.zeros_like(weights)
    free = weights > 0
    left = min(total, float(free.sum()))
    while left > 0 and free.any():
        part = weights[free] / weights[free].sum() * left
        full = np.flatnonzero(free)[part >= 1]
        if not len(full):
            result[free] = part
            break
        result[full] = 1.0
        free[full] = False
        left -= len(full)
    return result


def _without_repetition(wanted: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    """`n` problems, each with a chance in proportion to what it is short of (systematic sampling in random order)."""
    short = wanted.clip(min=0).astype(float)
    if (short > 0).sum() < n:
        # The last ones may find fewer problems that are short than they answer.
        short = short + 1e-6
    chance = _capped(short, n)
    order = rng.permutation(len(chance))
    below = chance[order].cumsum()
    places = np.searchsorted(below, rng.random() + np.arange(n), side="right")
    return np.asarray(order[places.clip(max=len(order) - 1)])


def _logit(p: FloatArray) -> FloatArray:
    p = p.clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(p) - np.log1p(-p))


def _expit(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-x)))
