"""The joint model where people stay away because of what they would have answered (a selection model).

for participant i:
    eps_i ~ Normal(0, I)
    for problem t that i meets:
        delta_it ~ Normal(mu(Omega), Sigma(Omega)),     y*_it ~ F(y_ref_t + delta_it, sigma_t^2)
        phi_it ~ Bernoulli(p(y*_it)),                   logit p(y) = a + b.v_i + c.f_t + l.eps_i + gamma (y - c_y) / s
        y_it = y*_it where phi_it = 1, unknown elsewhere

Told the other way round, which is the same law and keeps the order of the sites:

    phi_it ~ Bernoulli(sum_k F(k) p(k)),    y_it | phi_it ~ F(k) p(k) or F(k) (1 - p(k)), normalised

so that what is observed needs no answers of those who stayed away. With gamma = 0 the answers are the joint model's,
and people of one kind of noise may still answer more often than others. A crowd of this program has everybody's answer,
and phi says who would give it.

References
----------
J. J. Heckman (1979), Sample selection bias as a specification error, Econometrica 47. G. Molenberghs and others (2014),
Handbook of Missing Data Methodology, on sensitivity to what data cannot tell.
"""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from .batch import Batch
from .belief import ParticipantView
from .blender import CutNormalBlender
from .errors import ModelError
from .joint import JointModel
from .participation import SelectiveParticipation

# A level without any probability would have an infinite log weight and a gradient of NaN.
_LEAST = 1e-12


class SelectionModel(JointModel):
    """`JointModel` with a `SelectiveParticipation`; ratings only, whose levels can be summed over.

    A log score of it is that of the answers that were given: F tilted towards what people like to tell.

    Raises
    ------
    ModelError
        When the scale is no rating.
    """

    selects = True

    def __init__(self, *parts: object, **settings: object) -> None:
        super().__init__(*parts, **settings)  # type: ignore[arg-type]
        _ = self.selection
        if not isinstance(self.blender, CutNormalBlender):
            raise ModelError("participation='selective' sums over the levels of a rating; the scale is another.")

    @property
    def selection(self) -> SelectiveParticipation:
        """Its participation, which must know gamma.

        Raises
        ------
        ModelError
            When the participation is another.
        """
        part = self.participation
        if not isinstance(part, SelectiveParticipation):
            raise ModelError("participation: give a SelectiveParticipation, which knows gamma.")
        return part

    def crowd(self, batch: Batch, integrate: bool = False) -> Tensor:
        """The story in its second order; as in `JointModel.crowd`."""
        x = self.met(batch)
        if batch.response is not None:
            pyro.factor("weights", self.log_prior())
        eps = None
        with pyro.plate("participants", batch.population, subsample=batch.rows):
            if self.n_eps:
                eps = pyro.sample("eps", self.eps_dist(batch))
        z = self.participants(batch.profile, eps).at(batch.participant)
        with pyro.plate("answers", batch.n_answers), poutine.scale(scale=batch.weight):
            belief = self.belief_dist(x, z)
            if integrate:
                answer = self.answer_dist(belief, x, z)
            else:
                answer = self.response_dist(pyro.sample("delta", belief), x, z)
            log_told, log_kept = self.told_or_kept(answer, batch, z)
            if batch.response is None:
                phi = pyro.sample("phi", dist.Bernoulli(probs=log_told.logsumexp(-1).exp(), validate_args=False))
                weights = torch.where(phi[..., None] > 0, log_told, log_kept)
                return pyro.sample("y", dist.Categorical(logits=weights, validate_args=False)).to(batch.profile)
            if batch.took_part is not None:
                logits = log_told.logsumexp(-1) - log_kept.logsumexp(-1)
                took_part = batch.took_part.to(batch.profile.dtype)
                pyro.sample("phi", dist.Bernoulli(logits=logits, validate_args=False), obs=took_part)
            given = dist.Categorical(logits=log_told, validate_args=False)
            mask = True if batch.took_part is None else batch.took_part
            with poutine.mask(mask=mask):
                return pyro.sample("y", given, obs=batch.response)

    def told_or_kept(self, answer: TorchDistribution, batch: Batch, z: ParticipantView) -> tuple[Tensor, Tensor]:
        """Log probability of every level and of its being told, or kept to oneself, shapes `(..., n_answers, K)`.

        Raises
        ------
        ModelError
            When the participation knows no gamma.
        """
        logits = self.leaning(batch, z)[..., None] + self.selection.of_answer(self.blender.get_buffer("levels"))
        log_probs = answer.probs.clamp(min=_LEAST).log()
        return log_probs + logsigmoid(logits), log_probs + logsigmoid(-logits)

    def leaning(self, batch: Batch, z: ParticipantView | None = None) -> Tensor:
        """Log odds of answering but for the answer's part, `(..., n_answers)`; without z, of people without noise.

        Raises
        ------
        ModelError
            When the participation knows no gamma.
        """
        person = self.selection.of_profile(batch.profile).index_select(-1, batch.participant)
        problem = self.selection.of_problem(batch.features).index_select(-1, batch.problem)
        if z is None or z.eps is None:
            return person + problem
        return person + problem + self.selection.of_noise(z.eps)
