"""Profiles of mixed traits as a mixture of classes, discrete traits made continuous within their levels.

Theorem 4.1 adds noise, cut at half the gap between levels, to the discrete coordinates of a profile, so that a
continuous generator can come near their law; rounding takes it off again. Here it is the guide's: an ordered level that
a share p of people has, above a share b, becomes a normal score z, the standard normal cut between the quantiles of b
and b + p, and every z in between stands for that level:

    log P(v) >= E_{z ~ q(z | v)} [log p(z, labels) - log q(z | v)],    q(z | v) = phi(z) / p  in between

The noise of a label's one-hot coordinates would have one law in model and guide and cancel: labels are scored as they
are.

References
----------
D. B. Dunson, C. Xing (2009), Nonparametric Bayes modeling of multivariate categorical data, JASA 104.
J. Ho, X. Chen, A. Srinivas, Y. Duan, P. Abbeel (2019), Flow++, ICML (the bound).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.special import ndtri

from .errors import ModelError

Params = Mapping[str, Tensor]

# Of normal scores: seven decimals are 5.2 standard deviations.
_EDGE = 1e-7


@dataclass(frozen=True)
class ProfileBatch:
    """Profiles of n people.

    Attributes
    ----------
    labels
        Code of every nominal trait, int64, shape `(n, n_nominal)`.
    below, share
        Of every ordered trait, the share of people below the level and at it, `(n, n_ordered)`; of a continuous one
        the share is 0 and `below` its rank.
    weight
        Chance of being in a minibatch, up to a factor, `(n,)`: TraceEnum_ELBO scales no single person.
    population
        People of whom these are a minibatch.
    """

    labels: Tensor
    below: Tensor
    share: Tensor
    weight: Tensor
    population: int

    def __len__(self) -> int:
        return len(self.weight)

    def people(self, rows: Tensor) -> ProfileBatch:
        """Some of them, as a minibatch of the same population."""
        return ProfileBatch(self.labels[rows], self.below[rows], self.share[rows], self.weight[rows], self.population)

    def alone(self) -> ProfileBatch:
        """These people as a population of their own."""
        return ProfileBatch(self.labels, self.below, self.share, self.weight, len(self))


class CutNoise(TorchDistribution):
    """Normal scores of ordered levels: standard normals, each cut between the quantiles of its level.

    Parameters
    ----------
    below, share
        As in `ProfileBatch`, shape `batch_shape x n_ordered`; where the share is 0 the score is certain.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, below: Tensor, share: Tensor) -> None:
        self.below, self.share = below, share
        super().__init__(below.shape[:-1], below.shape[-1:], validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> Self:
        """The same levels over a larger batch."""
        shape = torch.Size([*batch_shape, *self.event_shape])
        return type(self)(self.below.expand(shape), self.share.expand(shape))

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Scores, shape `sample_shape x batch_shape x n_ordered`."""
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=self.below.dtype, device=self.below.device)
        return ndtri((self.below + self.share * uniform).clamp(_EDGE, 1 - _EDGE))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the scores that have one."""
        density = -0.5 * value.square() - 0.5 * math.log(2 * math.pi) - self.share.clamp(min=1e-300).log()
        return torch.where(self.share > 0, density, 0.0).sum(-1)


class ProfileModel:
    """The profile generator's program.

    prevalence ~ Dirichlet(1.5)
    for class c:
        for nominal trait j:
            table_jc ~ Dirichlet(1 + smoothing * shares_j)      shares_j: of all people, small classes keep to it
        loc_c   ~ Normal(0, 1)
        scale_c ~ LogNormal(-0.4, 0.5)
    loadings ~ Normal(0, 0.5)                                   how ordered traits hang together within every class
    for participant i:
        class_i ~ Categorical(prevalence)                       enumerated in parallel
        for nominal trait j:
            label_ij ~ Categorical(table_j[class_i])
        score_i ~ Normal(loc[class_i], loadings loadings' + diag(scale[class_i]^2))
        v_i     = (labels_i, for every ordered trait the level between whose quantiles Phi(score) lies)

    `draw` tells the same as Eq. 3 has it, a function of noise: v_i = G_u(eps_i; theta), eps_i uniform on the unit cube.

    Parameters
    ----------
    shares
        Of every nominal trait, the shares of its levels, float64.
    n_ordered
        Ordered and numeric traits.
    n_classes
        Classes.
    rank
        Columns of the loadings.
    smoothing
        People that every class is lent, spread as all people are.

    Raises
    ------
    ModelError
        When `n_classes` is below 1, `rank` negative, or `smoothing` not positive.
    """

    def __init__(
        self, shares: Sequence[Tensor], n_ordered: int, n_classes: int, rank: int = 0, smoothing: float = 20.0
    ) -> None:
        if n_classes < 1 or rank < 0 or not smoothing > 0:
            raise ModelError(
                f"n_classes={n_classes}, rank={rank}, smoothing={smoothing}: give at least 1, 0, and above 0."
            )
        self.shares, self.n_ordered, self.n_classes = list(shares), n_ordered, n_classes
        self.rank, self.smoothing = rank if n_ordered else 0, smoothing

    def __call__(self, batch: ProfileBatch) -> None:
        """The story of a minibatch."""
        params = self.parameters()
        with self.participants(batch):
            chosen = pyro.sample("class", self.class_dist(params), infer={"enumerate": "parallel"})
            for trait in range(len(self.shares)):
                pyro.sample(f"label_{trait}", self.label_dist(params, trait, chosen), obs=batch.labels[:, trait])
            if self.n_ordered:
                pyro.sample("score", self.score_dist(params, chosen))

    def guide(self, batch: ProfileBatch) -> None:
        """The noise that makes ordered levels continuous; `class` is summed out."""
        if self.n_ordered:
            with self.participants(batch):
                pyro.sample("score", CutNoise(batch.below, batch.share))

    def participants(self, batch: ProfileBatch) -> Any:
        """The plate of people; a minibatch stands for all of them."""
        return pyro.plate("participants", batch.population, subsample=torch.arange(len(batch)))

    @property
    def sites(self) -> list[str]:
        """Names of the parameters."""
        ordered = ["loc", "scale"] * bool(self.n_ordered) + ["loadings"] * bool(self.rank)
        return ["prevalence", *(f"table_{trait}" for trait in range(len(self.shares))), *ordered]

    def parameters(self) -> dict[str, Tensor]:
        """Draw what all people share, by site."""
        k, d = self.n_classes, self.n_ordered
        full = torch.full((k,), 1.5, dtype=torch.float64)
        priors: dict[str, TorchDistribution] = {"prevalence": dist.Dirichlet(full)}
        for trait, share in enumerate(self.shares):
            priors[f"table_{trait}"] = dist.Dirichlet(1 + self.smoothing * share).expand([k]).to_event(1)
        if d:
            zero = torch.zeros(k, d, dtype=torch.float64)
            priors["loc"] = dist.Normal(zero, 1.0).to_event(2)
            priors["scale"] = dist.LogNormal(zero - 0.4, 0.5).to_event(2)
        if self.rank:
            priors["loadings"] = dist.Normal(torch.zeros(d, self.rank, dtype=torch.float64), 0.5).to_event(2)
        return {name: pyro.sample(name, prior) for name, prior in priors.items()}

    def class_dist(self, params: Params) -> TorchDistribution:
        """Of a participant's class."""
        return dist.Categorical(params["prevalence"])

    def label_dist(self, params: Params, trait: int, chosen: Tensor) -> TorchDistribution:
        """Of a nominal trait given classes of shape `(...)`."""
        return dist.Categorical(params[f"table_{trait}"][chosen])

    def score_dist(self, params: Params, chosen: Tensor) -> TorchDistribution:
        """Of the ordered traits' normal scores given classes, event shape `(n_ordered,)`."""
        loc, scale = params["loc"][chosen], params["scale"][chosen]
        if not self.rank:
            return dist.Normal(loc, scale).to_event(1)
        return dist.LowRankMultivariateNormal(loc, params["loadings"], scale.square())

    def log_score(self, params: Params, batch: ProfileBatch, n_draws: int = 8) -> Tensor:
        """Log probability (of continuous traits: density of scores) of each profile, by importance over the noise."""
        chosen = torch.arange(self.n_classes)[:, None]
        log_prob = params["prevalence"].log()[:, None].expand(-1, len(batch))
        for trait in range(len(self.shares)):
            log_prob = log_prob + self.label_dist(params, trait, chosen).log_prob(batch.labels[:, trait])
        if not self.n_ordered:
            return log_prob.logsumexp(0)
        noise = CutNoise(batch.below, batch.share)
        draws = []
        for _ in range(n_draws):
            score = noise.sample()
            density = self.score_dist(params, chosen).log_prob(score)
            draws.append((log_prob + density).logsumexp(0) - noise.log_prob(score))
        return torch.stack(draws).logsumexp(0) - math.log(n_draws)

    @property
    def n_noise(self) -> int:
        """Coordinates of eps: one for the class, one a trait, one a loading."""
        return 1 + len(self.shares) + self.n_ordered + self.rank

    def draw(self, params: Params, noise: Tensor, allowed: Mapping[int, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """G_u: labels `(n, n_nominal)` and normal scores `(n, n_ordered)` as a function of noise.

        Parameters
        ----------
        params
            By site.
        noise
            Uniform on (0, 1), shape `(n, n_noise)`.
        allowed
            Of some nominal traits, which levels a profile may have, bool: the exact conditional law is drawn from.
        """
        prevalence, tables = self.given(params, allowed or {})
        chosen = _inverse(prevalence, noise[:, 0])
        labels = torch.zeros(len(noise), len(self.shares), dtype=torch.int64)
        rest = noise[:, 1 + len(self.shares) :].clamp(_EDGE, 1 - _EDGE)
        for group in chosen.unique().tolist():
            rows = chosen == group
            for trait, table in enumerate(tables):
                labels[rows, trait] = _inverse(table[group], noise[rows, 1 + trait])
        if not self.n_ordered:
            return labels, rest[:, :0]
        normal = ndtri(rest)
        scores = params["loc"][chosen] + params["scale"][chosen] * normal[:, : self.n_ordered]
        if self.rank:
            scores = scores + normal[:, self.n_ordered :] @ params["loadings"].T
        return labels, scores

    def given(self, params: Params, allowed: Mapping[int, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Prevalence and tables given that some traits have one of their allowed levels."""
        prevalence = params["prevalence"]
        tables = [params[f"table_{trait}"] for trait in range(len(self.shares))]
        for trait, levels in allowed.items():
            kept = tables[trait] * levels
            chance = kept.sum(-1)
            prevalence = prevalence * chance
            tables[trait] = kept / chance.clamp(min=1e-300)[:, None]
        return prevalence / prevalence.sum(), tables

    def chance(self, params: Params, allowed: Mapping[int, Tensor]) -> float:
        """P(every one of these traits has one of its allowed levels)."""
        chances = params["prevalence"].clone()
        for trait, levels in allowed.items():
            chances = chances * (params[f"table_{trait}"] * levels).sum(-1)
        return float(chances.sum())


def _inverse(shares: Tensor, uniform: Tensor) -> Tensor:
    """Codes by the inverse of the cumulative shares; a level of share 0 is never met."""
    ends = shares.cumsum(0)
    return torch.searchsorted(ends / ends[-1], uniform.contiguous(), right=True).clamp(max=int(shares.nonzero()[-1]))
