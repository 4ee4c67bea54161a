"""Simulation-based calibration: whether posteriors are right on average over what the model itself would say.

theta* ~ p(theta),   y ~ p(y | theta*),   theta_1, ..., theta_L ~ q(theta | y)
rank = #{l : f(theta_l, y) < f(theta*, y)}  ~  Uniform{0, ..., L}            if q is the posterior

for every quantity f; equal values are put in order at random (Talts, Betancourt, Simpson, Vehtari and Gelman 2018). A
guide that never looks at y passes for every f of theta alone, which is why `crowd_calibration` also ranks the log
likelihood, an f of both (Modrak et al. 2023). Draws of one posterior must be independent: thin a Markov chain first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pyro import poutine
from torch import Tensor

from ..models.batch import Batch
from ..models.errors import DataError, ModelError
from ..models.joint import JointModel
from .lifted import Chosen, LiftedCrowd
from .runtime import seeded
from .seeds import checked_seed
from .uniformity import holm, uniform_p_value

Data = TypeVar("Data")
Draws = Mapping[str, Any]

# Bins of the test by default: fine enough to see a shape, coarse enough for a hundred simulations.
_MOST_BINS = 20


@dataclass(frozen=True)
class Calibration:
    """Ranks of true values among draws of their posteriors.

    Attributes
    ----------
    ranks
        From 0 to `n_draws`, shape `(n_simulations, n_quantities)`.
    names
        Of the quantities.
    n_draws
        L, draws of each posterior.

    Raises
    ------
    DataError
        When ranks are of another shape, or not between 0 and `n_draws`.
    """

    ranks: npt.NDArray[np.int64]
    names: tuple[str, ...]
    n_draws: int

    def __post_init__(self) -> None:
        ranks = np.asarray(self.ranks)
        if ranks.ndim != 2 or ranks.shape[1] != len(self.names):
            raise DataError(f"ranks have shape {ranks.shape}; give (n_simulations, {len(self.names)}), one a name.")
        if ranks.size and (ranks.min() < 0 or ranks.max() > self.n_draws):
            raise DataError(f"ranks reach from {ranks.min()} to {ranks.max()}; they are between 0 and n_draws.")

    @property
    def n_simulations(self) -> int:
        """Ranks of each quantity."""
        return len(self.ranks)

    def counts(self, n_bins: int | None = None) -> npt.NDArray[np.int64]:
        """Ranks in each of `n_bins` equal bins, shape `(n_quantities, n_bins)`.

        Parameters
        ----------
        n_bins
            A divisor of `n_draws + 1`, so that bins hold equally many ranks; by default the largest up to 20.

        Raises
        ------
        DataError
            When the bins would not be equal.
        """
        n_ranks = self.n_draws + 1
        if n_bins is None:
            n_bins = max((k for k in range(2, _MOST_BINS + 1) if n_ranks % k == 0), default=n_ranks)
        if n_bins < 2 or n_ranks % n_bins:
            divisors = [k for k in range(2, n_ranks + 1) if n_ranks % k == 0]
            raise DataError(f"n_bins={n_bins} does not divide the {n_ranks} ranks equally; give one of {divisors}.")
        bins = self.ranks // (n_ranks // n_bins)
        return np.stack([np.bincount(column, minlength=n_bins) for column in bins.T])

    def p_values(self, method: str = "ecdf", n_bins: int | None = None) -> npt.NDArray[np.float64]:
        """P-value of uniformity of each quantity (see `uniform_p_value`), shape `(n_quantities,)`.

        Raises
        ------
        DataError
            When the bins would not be equal, or the method is unknown.
        """
        return np.array([uniform_p_value(count, method) for count in self.counts(n_bins)])

    def rejected(self, error_rate: float = 0.05, method: str = "ecdf", n_bins: int | None = None) -> list[str]:
        """Quantities whose ranks are not uniform; right posteriors have any with at most this chance (Holm)."""
        adjusted = holm(self.p_values(method, n_bins))
        return [name for name, p_value in zip(self.names, adjusted, strict=True) if p_value <= error_rate]

    def to_frame(self, method: str = "ecdf", n_bins: int | None = None) -> pd.DataFrame:
        """One row a quantity.

        Returns
        -------
        DataFrame
            Indexed by `quantity`: `n_simulations`; `mean` and `sd` of rank / n_draws (.5 and about .29 if uniform: a
            larger sd says that posteriors are too narrow); `p_value` and `p_holm`, adjusted over the quantities.
        """
        share, p_value = self.ranks / self.n_draws, self.p_values(method, n_bins)
        return pd.DataFrame(
            {
                "n_simulations": self.n_simulations,
                "mean": share.mean(axis=0),
                "sd": share.std(axis=0),
                "p_value": p_value,
                "p_holm": holm(p_value),
            },
            index=pd.Index(self.names, name="quantity"),
        )


def simulation_based_calibration(
    simulate: Callable[[int], tuple[Draws, Data]],
    posterior: Callable[[Data, int, int], Draws],
    *,
    n_simulations: int = 200,
    n_draws: int = 99,
    seed: int = 0,
) -> Calibration:
    """Ranks of simulated truths among draws of a posterior, whatever the model.

    Parameters
    ----------
    simulate
        From a seed, the truth as `{name: array}` and the data that it gave rise to.
    posterior
        From the data, a number of draws and a seed, draws as `{name: array}` with an axis of draws before the truth's.
    n_simulations
        How often to simulate.
    n_draws
        L, draws of each posterior; `n_draws + 1` had better have many divisors.
    seed
        Of everything: torch, numpy and Python are seeded around each call, and both calls are given seeds of their own.

    Returns
    -------
    Calibration
        One quantity an element of the posterior's arrays, named `name` or `name[0, 1]`.

    Raises
    ------
    DataError
        When there is no simulation or no draw.

    Examples
    --------
    >>> def simulate(seed):
    ...     theta, noise = np.random.default_rng(seed).normal(size=2)
    ...     return {"theta": theta}, theta + noise
    >>> def posterior(y, n_draws, seed):
    ...     return {"theta": np.random.default_rng(seed).normal(y / 2, 0.5**0.5, n_draws)}
    >>> simulation_based_calibration(simulate, posterior, n_simulations=100).rejected()
    []
    """
    if n_simulations < 1 or n_draws < 1:
        raise DataError(f"n_simulations={n_simulations}, n_draws={n_draws}: give at least 1 of each.")
    ranks, names = [], tuple[str, ...]()
    for first, second, third in _seeds(seed, n_simulations):
        with seeded(first):
            truth, data = simulate(first)
        with seeded(second):
            draws = posterior(data, n_draws, second)
        rng = np.random.default_rng(third)
        each = {name: rank(truth[name], draw, rng) for name, draw in draws.items()}
        names = names or tuple(label for name, value in each.items() for label in _labels(name, value.shape))
        ranks.append(np.concatenate([value.ravel() for value in each.values()]))
    return Calibration(np.stack(ranks), names, n_draws)


class CrowdPosterior(Protocol):
    """Draws of sites of `JointModel.crowd` given a batch's answers, by name, an axis of draws first."""

    def __call__(self, batch: Batch, n_draws: int, seed: int) -> Mapping[str, Tensor]:
        """Draw."""


def crowd_calibration(
    model: JointModel,
    batch: Batch,
    posterior: CrowdPosterior,
    *,
    parameters: Chosen = (),
    n_simulations: int = 50,
    n_draws: int = 99,
    seed: int = 0,
    integrate: bool = True,
) -> Calibration:
    """Calibration of a posterior of `JointModel.crowd`.

    Parameters
    ----------
    model
        Its fixed parameters are the truth.
    batch
        Who meets what; its answers are replaced by simulated ones.
    posterior
        Of `eps` and of the random `parameters`, such as `guide_posterior(guide)`.
    parameters
        Parameters that are drawn from their priors (see `LiftedCrowd`).
    n_simulations
        Crowds to simulate.
    n_draws
        L, draws of each posterior.
    seed
        Of everything.
    integrate
        The program with delta integrated out; False when the posterior draws `delta` as well.

    Returns
    -------
    Calibration
        The coordinates of `eps`, the log likelihood and the elements of the parameters. Without random parameters
        people are independent, and each is a simulation: `n_simulations * n_participants` ranks. With them only one
        person of each crowd is ranked, and the log likelihood is the whole crowd's.

    Raises
    ------
    ModelError
        When nothing is random: `n_eps=0` and no parameters.
    DataError
        When draws are of another shape than the truth, or not finite.
    """
    if not model.n_eps and not parameters:
        raise ModelError("model has n_eps=0 and no parameter is random; there is no posterior to calibrate.")
    program = LiftedCrowd(model, parameters)
    ranks, names = [], tuple[str, ...]()
    for place, (first, second, third) in enumerate(_seeds(seed, n_simulations)):
        with seeded(first), torch.no_grad():
            story = poutine.trace(program).get_trace(replace(batch, response=None, took_part=None), integrate)
        answered = replace(batch, response=story.nodes["y"]["value"], took_part=story.nodes["phi"]["value"].bool())
        with seeded(second):
            draws = {name: torch.as_tensor(each) for name, each in posterior(answered, n_draws, second).items()}
        truth = {name: story.nodes[name]["value"] for name in draws}
        with seeded(third), torch.no_grad():
            likelihoods = _log_likelihoods(program, answered, truth, draws, integrate)
        # From here on, one row a simulation: people side by side, or one of them and what they share.
        one = place % batch.n_participants
        people = slice(one, one + 1) if parameters else slice(None)
        rng, each = np.random.default_rng(third), dict[str, npt.NDArray[np.int64]]()
        for name, draw in draws.items():
            if name == "eps":
                each[name] = rank(truth[name][people], draw[:, people], rng)
            elif name in program.scales:
                each[name] = rank(truth[name], draw, rng)[None]
        likelihoods = likelihoods.sum(1, keepdim=True) if parameters else likelihoods
        each["log_likelihood"] = rank(likelihoods[0], likelihoods[1:], rng)
        names = names or tuple(label for name, value in each.items() for label in _labels(name, value.shape[1:]))
        ranks.append(np.concatenate([value.reshape(len(value), -1) for value in each.values()], axis=1))
    return Calibration(np.concatenate(ranks), names, n_draws)


def guide_posterior(guide: Any) -> CrowdPosterior:
    """Draws of eps from a guide's `eps_dist`.

    Returns
    -------
    callable
        From a batch, a number of draws and a seed, `{"eps": ...}` of shape `(n_draws, n_participants, n_eps)`.
    """

    def draw(batch: Batch, n_draws: int, seed: int) -> dict[str, Tensor]:
        with torch.no_grad():
            return {"eps": guide.eps_dist(batch).sample(torch.Size([n_draws]))}

    return draw


def rank(truth: npt.ArrayLike, draws: npt.ArrayLike, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rank of each true value among its draws, from 0 to `n_draws`, equal values in random order.

    Parameters
    ----------
    truth, draws
        Shapes `shape` and `(n_draws, *shape)`.
    rng
        Of the ties.
    """
    value, drawn = np.asarray(truth), np.asarray(draws)
    if drawn.shape[1:] != value.shape:
        raise DataError(f"draws have shape {drawn.shape}, the truth {value.shape}; give (n_draws, *truth's shape).")
    if not (np.isfinite(value).all() and np.isfinite(drawn).all()):
        raise DataError("draws or truth hold NaN or infinity, which have no rank; check the posterior.")
    return (drawn < value).sum(axis=0) + rng.integers((drawn == value).sum(axis=0) + 1)


def _log_likelihoods(
    program: LiftedCrowd, batch: Batch, truth: Mapping[str, Tensor], draws: Mapping[str, Tensor], integrate: bool
) -> Tensor:
    """Log likelihood of each person's answers under the truth and under each draw, `(1 + n_draws, n_participants)`."""
    rows = []
    for values in (truth, *({name: each[s] for name, each in draws.items()} for s in range(len(_first(draws))))):
        told = poutine.condition(program, data=dict(values))
        story = poutine.trace(told).get_trace(batch, integrate).nodes["y"]
        log_prob = story["fn"].log_prob(story["value"]) * (1 if batch.took_part is None else batch.took_part)
        rows.append(log_prob.new_zeros(batch.n_participants).index_add(0, batch.participant, log_prob))
    return torch.stack(rows)


def _first(draws: Mapping[str, Tensor]) -> Tensor:
    return next(iter(draws.values()))


def _labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """One label an element."""
    if not shape:
        return [name]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _seeds(seed: int, n: int) -> Iterator[tuple[int, int, int]]:
    """Three seeds a simulation, those of the first ones whatever `n`."""
    for child in np.random.SeedSequence(checked_seed(seed)).spawn(n):
        first, second, third = (int(each) for each in child.generate_state(3))
        yield first, second, third
