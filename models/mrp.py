"""Multilevel regression, the MR of MRP: answers by cells of a population, partially pooled over every trait's levels.

for trait j:              s_j ~ HalfNormal(1),    level l of it:   a_jl  ~ Normal(0, s_j^2)
                          u_j ~ HalfNormal(.5),   on problem t:    a_jlt ~ Normal(0, u_j^2)       if `by_problem`
for problem t:            b_t ~ Normal(0, s_b^2), s_b ~ HalfNormal(1)
for LLM k:                w_k ~ Normal(0, tau^2 h_k^2),   h_k^2 = c^2 q_k^2 / (c^2 + tau^2 q_k^2)
                          tau, q_k ~ HalfCauchy(1)
for answer n, by somebody of levels l_1, l_2, ... to problem t:
    m_n = mu + sum_j (a_j,l_j + a_j,l_j,t) + b_t + sum_k w_k r_tk
    y_n ~ Normal(m_n, sigma^2)   or   CutNormal(m_n, 1; cuts_t)   or   Categorical(softmax(m_n))

Effects are non-centred: a_jl = s_j z_jl with z_jl ~ Normal(0, 1). The unit of m is the standard deviation of numbers or
of the latent normal of ratings, a logit of labels. r_tk is the LLM's answer, standardised; its weight has the prior of
the regularised horseshoe, so that a useless LLM leaves plain multilevel regression behind. Cut points are Phi^-1 of
cumulated shares: share ~ Dirichlet(1), problem by problem softmax(log share + s_c z_t).

References
----------
A. Gelman, T. C. Little (1997), Poststratification into many categories using hierarchical logistic regression, Survey
Methodology 23. J. Piironen, A. Vehtari (2017), Sparsity information and regularization in the horseshoe and other
shrinkage priors, Electronic Journal of Statistics 11.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from .cut_normal import CutNormal
from .errors import ModelError
from .scales import Categorical, Continuous, Ordinal, Scale

# Of the horseshoe's slab: an LLM whose answers differ by one standard deviation moves people by two at most, or so.
_SLAB = 2.0
# No level of a scale is impossible: equal cut points would give an answer between them the log probability -inf.
_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class SurveyTable:
    """Answers, equal ones counted, or cells whose answers are to be foretold.

    Attributes
    ----------
    level
        Row of each trait's level in the table of all levels of all traits, shape `(n_rows, n_traits)`.
    problem
        Shape `(n_rows,)`.
    reference
        r, the LLMs' standardised answers, shape `(n_rows, n_outputs, n_llms)`.
    trait
        Which trait each level is of, shape `(n_levels,)`.
    n_problems
        Problems in all.
    response
        Codes, or standardised numbers, shape `(n_rows,)`; None for cells.
    count
        How many gave that answer, shape `(n_rows,)`.
    """

    level: Tensor
    problem: Tensor
    reference: Tensor
    trait: Tensor
    n_problems: int
    response: Tensor | None = None
    count: Tensor | None = None


class MultilevelRegression(nn.Module):
    """The program; it has no parameters but latent sites.

    Parameters
    ----------
    scale
        Of the answers: numbers are normal, ratings cut normal, labels softmax.
    n_traits
        Traits with levels.
    by_problem
        Let every trait's effect differ from problem to problem.
    n_llms
        References beside each other; 0 for plain multilevel regression.

    Attributes
    ----------
    n_outputs
        Coordinates of m: one a label, else one.

    Raises
    ------
    ModelError
        For ballots.
    """

    def __init__(self, scale: Scale, n_traits: int, by_problem: bool = False, n_llms: int = 0) -> None:
        super().__init__()
        if not isinstance(scale, Ordinal | Continuous | Categorical):
            raise ModelError(f"scale={scale}: give ratings, numbers or labels; ballots have no multilevel regression.")
        self.scale, self.n_traits, self.by_problem, self.n_llms = scale, n_traits, by_problem, n_llms
        self.n_outputs = scale.n_levels if isinstance(scale, Categorical) else 1

    def forward(self, table: SurveyTable) -> None:
        """The story, line by line; answers are observed."""
        latent = self.effects(table)
        m = self.location(latent, table)
        count = torch.ones_like(m[:, 0]) if table.count is None else table.count
        with pyro.plate("answers", len(m)), poutine.scale(scale=count):
            pyro.sample("y", self.response_dist(m, latent, table.problem), obs=table.response)

    def effects(self, table: SurveyTable) -> dict[str, Tensor]:
        """Draw everything above the answers, from its prior."""
        return {name: pyro.sample(name, prior) for name, prior in self.priors(table).items()}

    def priors(self, table: SurveyTable) -> dict[str, TorchDistribution]:
        """Prior of every site; z of levels and problems are `level`, `level_problem`, `problem`, `cut`."""
        one = table.reference.new_ones(())
        n_levels, n_problems, n_outputs = len(table.trait), table.n_problems, self.n_outputs

        def normal(*shape: int) -> TorchDistribution:
            return dist.Normal(one.new_zeros(shape), one).to_event(len(shape))

        def half_normal(scale: float, *shape: int) -> TorchDistribution:
            return dist.HalfNormal(scale * one.expand(shape)).to_event(len(shape))

        priors: dict[str, TorchDistribution] = {}
        if self.n_traits:
            priors |= {"level_spread": half_normal(1.0, self.n_traits), "level": normal(n_levels, n_outputs)}
        several = n_problems > 1
        if several:
            priors |= {"problem_spread": half_normal(1.0, 1), "problem": normal(n_problems, n_outputs)}
        if several and self.n_traits and self.by_problem:
            priors |= {
                "level_problem_spread": half_normal(0.5, self.n_traits),
                "level_problem": normal(n_levels, n_problems, n_outputs),
            }
        if self.n_llms:
            half_cauchy = dist.HalfCauchy(one.expand(self.n_llms)).to_event(1)
            priors |= {
                "llm_shrinkage": dist.HalfCauchy(one.expand(1)).to_event(1),
                "llm_spread": half_cauchy,
                "llm": normal(self.n_llms),
            }
        if isinstance(self.scale, Ordinal):
            priors["share"] = dist.Dirichlet(one.expand(self.scale.n_levels))
            if several and self.scale.n_levels > 2:
                priors |= {"cut_spread": half_normal(0.5, 1), "cut": normal(n_problems, self.scale.n_levels)}
        else:
            labels = isinstance(self.scale, Categorical)
            priors["intercept"] = dist.Normal(one.new_zeros(n_outputs), 2.0 if labels else 1.0).to_event(1)
            if not labels:
                priors["noise"] = half_normal(1.0, 1)
        return priors

    def location(self, latent: dict[str, Tensor], table: SurveyTable) -> Tensor:
        """m, shape `(..., n_rows, n_outputs)`, whatever axes of draws the latents lead with."""
        some = next(iter(latent.values()))
        m = some.new_zeros(1, self.n_outputs)
        if "level" in latent:
            effect = latent["level_spread"][..., table.trait, None] * latent["level"]
            m = m + effect[..., table.level, :].sum(-2)
        if "problem" in latent:
            m = m + (latent["problem_spread"][..., None] * latent["problem"])[..., table.problem, :]
        if "level_problem" in latent:
            spread = latent["level_problem_spread"][..., table.trait, None, None]
            m = m + (spread * latent["level_problem"])[..., table.level, table.problem[:, None], :].sum(-2)
        if "llm" in latent:
            m = m + torch.einsum("nok,...k->...no", table.reference, self.llm_weight(latent))
        if "intercept" in latent:
            m = m + latent["intercept"][..., None, :]
        return m.expand(*m.shape[:-2], len(table.problem), -1)

    def llm_weight(self, latent: dict[str, Tensor]) -> Tensor:
        """w, shape `(..., n_llms)`."""
        spread = latent["llm_shrinkage"] * latent["llm_spread"]
        weight: Tensor = latent["llm"] * spread * _SLAB / (_SLAB**2 + spread.square()).sqrt()
        return weight

    def response_dist(self, m: Tensor, latent: dict[str, Tensor], problem: Tensor) -> TorchDistribution:
        """F of rows, batch shape `(..., n_rows)`."""
        if isinstance(self.scale, Categorical):
            return dist.Categorical(logits=m, validate_args=False)
        if isinstance(self.scale, Continuous):
            return dist.Normal(m[..., 0], latent["noise"], validate_args=False)
        share = latent["share"][..., None, :]
        if "cut" in latent:
            # Once a problem, and of no problem that is not asked: rows of one problem are many.
            asked, problem = torch.unique(problem, return_inverse=True)
            share = torch.softmax(share.log() + latent["cut_spread"][..., None] * latent["cut"][..., asked, :], dim=-1)
        share = (share + _LEAST_SHARE) / (1 + share.shape[-1] * _LEAST_SHARE)
        cuts = torch.special.ndtri(share.cumsum(-1)[..., :-1])
        if "cut" in latent:
            cuts = cuts[..., problem, :]
        return CutNormal(m[..., 0], torch.ones_like(m[..., 0]), cuts, validate_args=False)
