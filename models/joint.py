"""The joint model of CrowdLLM (paper, section 3; Eqs. 1 to 3) as one Pyro program."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor

from .batch import Batch
from .belief import Belief, BeliefGenerator, ParticipantView
from .blender import Blender
from .decoder import DescriptionDecoder
from .draw_mixture import DrawMixture
from .encoder import ProblemEncoder, ProblemView
from .errors import ModelError
from .options import OptionBelief, OptionEncoder
from .participation import LogisticParticipation
from .semi_implicit import SemiImplicit

# Parameters live in their modules, not in Pyro's global store, so that several models stand side by side. It must be
# set before a module is built, hence here.
pyro.settings.set(module_local_params=True)


class JointModel(PyroModule):
    """One LLM's reference, and how each person departs from it.

    for participant i:
        eps_i   ~ Normal(0, I)                                what this person brings to every answer
        for problem t that i meets:
            phi_it   ~ Bernoulli(p_it)                        participation
            delta_it ~ Normal(mu(Omega), Sigma(Omega))        belief bias, Omega = (g_x(x_t), g_z(v_i), eps_i)
            y_it     ~ F(y_ref_t + delta_it, sigma_t^2)       decision, the blender

    y_ref is data: the frozen LLM's answer, an observed covariate. To change the story, subclass and override one of
    `eps_dist`, `participation_dist`, `belief_dist`, `description_dist`, `response_dist`; sites stay
    `eps, phi, delta, x, y`, plates `participants, answers`.

    Two programs share these methods: `crowd`, which is the story above, and `story`, the training program of the
    paper's Eq. 4.

    Parameters
    ----------
    encoder
        Reads the problems (g_x).
    belief
        Generates delta; its `n_eps` is the dimension of eps, 0 for people who differ by profile alone.
    blender
        Turns reference and belief into a decision.
    n_draws
        Draws of delta in `answer_dist` where it has no closed form.
    decoder
        Reconstructs the problem from the belief in `story`; None leaves the site `x` out.
    participation
        Learned probabilities of taking part; None takes those of the batch.

    Attributes
    ----------
    n_eps
        Dimension of the participant's noise.
    selects
        Whether people take part by what they would answer, so that phi is drawn with the answers.
    """

    selects = False

    def __init__(
        self,
        encoder: ProblemEncoder | OptionEncoder,
        belief: BeliefGenerator | OptionBelief,
        blender: Blender,
        n_draws: int = 16,
        decoder: DescriptionDecoder | None = None,
        participation: LogisticParticipation | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.belief, self.blender = encoder, belief, blender
        self.decoder, self.participation = decoder, participation
        self.n_eps, self.n_draws = belief.n_eps, n_draws

    def forward(self, batch: Batch, integrate: bool = False) -> Tensor:
        """`crowd`, so that the model itself can be given to Pyro's inference."""
        return self.crowd(batch, integrate)

    def crowd(self, batch: Batch, integrate: bool = False) -> Tensor:
        """The story, line by line.

        Parameters
        ----------
        batch
            Who meets what; `response=None` draws answers, otherwise they are observed.
        integrate
            Sample y with delta integrated out (no site `delta`), which is how the `predictive` objective is trained.

        Returns
        -------
        Tensor
            Answers, shape `(n_answers,)`.
        """
        x = self.met(batch)
        if batch.response is not None:
            pyro.factor("weights", self.log_prior())
        eps = None
        with pyro.plate("participants", batch.population, subsample=batch.rows):
            if self.n_eps:
                eps = pyro.sample("eps", self.eps_dist(batch))
        z = self.participants(batch.profile, eps).at(batch.participant)
        with pyro.plate("answers", batch.n_answers), poutine.scale(scale=batch.weight), self.taking_part(batch):
            belief = self.belief_dist(x, z)
            if integrate:
                return pyro.sample("y", self.answer_dist(belief, x, z), obs=batch.response)
            delta = pyro.sample("delta", belief)
            return pyro.sample("y", self.response_dist(delta, x, z), obs=batch.response)

    def story(self, batch: Batch) -> Tensor:
        """The training program of Eq. 4, whose guide is the belief generator itself.

        for participant i:
            eps_i    ~ Normal(0, I)
            for problem t that i meets:
                delta_it ~ Normal(0, I)                             what anybody might believe
                x_t      ~ Normal(D(delta_it, g_z(v_i)), s^2)       the belief tells of its problem
                y_it     ~ F(y_ref_t + delta_it, sigma_t^2)

        The belief generator never sees y: it is fitted to y by the decision loss alone. To draw a crowd, use `crowd`.
        """
        x = self.met(batch)
        eps = None
        with pyro.plate("participants", batch.population, subsample=batch.rows):
            if self.n_eps:
                eps = pyro.sample("eps", self.eps_dist(batch))
        z = self.participants(batch.profile, eps).at(batch.participant)
        with pyro.plate("answers", batch.n_answers), poutine.scale(scale=batch.weight), self.taking_part(batch):
            prior = batch.profile.new_zeros(batch.n_answers, self.blender.n_belief)
            delta = pyro.sample("delta", dist.Normal(prior, torch.ones_like(prior), validate_args=False).to_event(1))
            if self.decoder is not None:
                pyro.sample("x", self.description_dist(delta, z), obs=batch.features.index_select(0, batch.problem))
            return pyro.sample("y", self.response_dist(delta, x, z), obs=batch.response)

    def taking_part(self, batch: Batch) -> AbstractContextManager[object]:
        """phi, and the block in which only those who take part are heard.

        Whoever is known to have answered took part. Where nothing but answers is listed, the site would add a constant
        (given probabilities) or pull towards 1 (learned ones), and is left out.
        """
        if batch.response is None:
            phi = pyro.sample("phi", self.participation_dist(batch))
            return poutine.mask(mask=phi.bool())
        if batch.took_part is None:
            return nullcontext()
        pyro.sample("phi", self.participation_dist(batch), obs=batch.took_part.to(batch.profile.dtype))
        return poutine.mask(mask=batch.took_part)

    @property
    def learns_participation(self) -> bool:
        """Whether training needs the meetings that came to no answer as well."""
        return self.participation is not None or type(self).participation_dist is not JointModel.participation_dist

    def problems(self, batch: Batch) -> ProblemView:
        """g_x: the problems of a batch, one row a problem."""
        view: ProblemView = self.encoder(batch.features, batch.known, batch.reference)
        return view

    def met(self, batch: Batch) -> ProblemView:
        """g_x of each answer's problem, one row an answer; what the batch remembers of it where it does."""
        if batch.met is not None:
            return batch.met
        view = self.problems(batch).at(batch.problem)
        return view if batch.twins is None else replace(view, reference=batch.twins[batch.participant, batch.problem])

    def participants(self, profile: Tensor, eps: Tensor | None) -> ParticipantView:
        """g_z: profiles `(n, n_profile)` with noise `(..., n, n_eps)` (None for 0), one row a participant."""
        return self.belief.participants(profile, eps)

    def eps_dist(self, batch: Batch) -> TorchDistribution:
        """Normal(0, I) for every participant, event shape `(n_eps,)`."""
        zero = batch.profile.new_zeros(batch.n_participants, self.n_eps)
        return dist.Normal(zero, torch.ones_like(zero), validate_args=False).to_event(1)

    def participation_dist(self, batch: Batch) -> TorchDistribution:
        """Bernoulli with the given probabilities, or those learned from profile and problem, one a meeting."""
        if self.participation is None:
            return dist.Bernoulli(probs=batch.participation.expand(batch.n_answers), validate_args=False)
        person = self.participation.of_profile(batch.profile).index_select(-1, batch.participant)
        problem = self.participation.of_problem(batch.features).index_select(-1, batch.problem)
        return dist.Bernoulli(logits=person + problem, validate_args=False)

    def belief_dist(self, x: ProblemView, z: ParticipantView) -> Belief:
        """Belief bias, normal or semi-implicit, event shape `(n_belief,)` (Eq. 1)."""
        belief: Belief = self.belief(x, z)
        return belief

    def description_dist(self, delta: Tensor, z: ParticipantView) -> TorchDistribution:
        """What a belief says of its problem, event shape `(n_features,)`.

        Raises
        ------
        ModelError
            When the model has no decoder.
        """
        if self.decoder is None:
            raise ModelError("decoder=None: this model has no description of problems; build it with a decoder.")
        described: TorchDistribution = self.decoder(delta, z)
        return described

    def response_dist(self, delta: Tensor, x: ProblemView, z: ParticipantView) -> TorchDistribution:
        """F at the reference plus delta `(..., n_belief)`, one row an answer (Eq. 2)."""
        return self.blender.response_dist(self.blender.location(x.reference, delta), self.shape(x, z))

    def shape(self, x: ProblemView, z: ParticipantView) -> Tensor:
        """What the blender turns into spread and cut points, `(..., n_shape)`, moved by the profile if it may be."""
        if z.decision is None:
            return x.shape
        spread, rest = x.shape.split([z.decision.shape[-1], x.shape.shape[-1] - z.decision.shape[-1]], dim=-1)
        spread = spread + z.decision
        return torch.cat([spread, rest.expand(*spread.shape[:-1], -1)], dim=-1)

    def answer_dist(self, belief: Belief, x: ProblemView, z: ParticipantView) -> TorchDistribution:
        """F with delta integrated out: in closed form where the blender has one, else over `n_draws` draws."""
        if type(self).response_dist is JointModel.response_dist:
            implicit = isinstance(belief, SemiImplicit)
            normal = belief.components if implicit else belief
            closed = self.blender.integrated(x.reference, normal, self.shape(x, z))
            if closed is not None:
                return DrawMixture(closed) if implicit else closed
        return DrawMixture(self.response_dist(belief.rsample(torch.Size([self.n_draws])), x, z))

    def log_prior(self) -> Tensor:
        """Log density of the network's weights under their normal priors, a scalar."""
        prior = self.encoder.log_prior() + self.belief.log_prior()
        return prior if self.participation is None else prior + self.participation.log_prior()
