"""The belief generator: how a person's view of a problem departs from the reference (paper, Eq. 1).

delta_it ~ Normal(mu, diag(scale^2))
h        = silu(g_x(x_t) + g_z(v_i, eps_i) [+ W omega_it])
mu       = unit * (shift(x_t) + b . v_i + loadings(x_t) eps_i + W_mu h)
scale    = spread * softplus(W_s h + c . (v_i, eps_i))

The linear path `loadings(x_t) eps_i` stands beside the network because on 200 people a network alone leaves
half of the correlation between a person's answers unexplained. With fresh noise omega_it the belief is semi-implicit, a
mixture of normals over omega; without, it is the normal of a plain VAE. Everything broadcasts: rows of problems and
participants may be aligned, one an answer, or crossed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn
from torch.nn.functional import linear, silu, softplus

from .encoder import ProblemView
from .errors import ModelError
from .semi_implicit import SemiImplicit

Belief: TypeAlias = Independent | SemiImplicit

_UNIT = math.log(math.expm1(1.0))


@dataclass(frozen=True)
class ParticipantView:
    """What is known of a participant: one row a participant or, after `at`, one row an answer.

    Whatever axes stand before the rows, such as that of vectorised particles, stay.

    Attributes
    ----------
    hidden
        Participant's part g_z of the network's first layer, shape `(..., n_hidden)`.
    shift
        Mean belief bias of the profile, shape `(..., n_belief)`.
    spread
        Participant's part of the belief's raw scale, shape `(..., n_belief)`.
    eps
        The participant's noise, shape `(..., n_eps)`; None for 0.
    decision
        Participant's part of the decision's raw spread, shape `(..., n_spread)`; None where profiles have no say in it.
    """

    hidden: Tensor
    shift: Tensor
    spread: Tensor
    eps: Tensor | None
    decision: Tensor | None = None

    def at(self, participant: Tensor) -> ParticipantView:
        """Rows of these participants, one an answer."""
        return self._map(lambda value: value.index_select(-2, participant))

    def people(self, chosen: Tensor) -> ParticipantView:
        """These participants of the first axis, all that belongs to them kept."""
        return self._map(lambda value: value[chosen])

    def crossed(self) -> ParticipantView:
        """A trailing axis for problems, so that every participant meets every problem by broadcasting."""
        return self._map(lambda value: value.unsqueeze(-2))

    def _map(self, move: Callable[[Tensor], Tensor]) -> ParticipantView:
        eps = None if self.eps is None else move(self.eps)
        decision = None if self.decision is None else move(self.decision)
        return ParticipantView(move(self.hidden), move(self.shift), move(self.spread), eps, decision)


class BeliefGenerator(nn.Module):
    """The network of Eq. 1, its first layer split into a part by problem and a part by participant.

    Parameters
    ----------
    n_profile, n_eps, n_hidden, n_belief
        Sizes of profile, participant noise, hidden layer and belief.
    spread
        Starting scale of delta in the unit of the response.
    weight_scale
        Scale of the normal prior of the weights.
    dropout
        Share of hidden units zeroed in training.
    n_omega
        Dimension of the fresh noise; 0 for a normal belief.
    n_mixture
        K: components beside the belief's own, when it is scored.
    certain
        Beliefs without noise of their own: delta is its mean (an ablation).
    unit
        What 1 of the mean is worth in the unit of the response; the encoder has the same for its part.
    n_spread
        Numbers by which a profile moves the decision's raw spread; 0 for spreads that only problems have a say in.

    Raises
    ------
    ModelError
        When `n_omega` or `n_mixture` is negative.
    """

    def __init__(
        self,
        n_profile: int,
        n_eps: int,
        n_hidden: int,
        n_belief: int,
        spread: float = 1.0,
        weight_scale: float = 1.0,
        dropout: float = 0.0,
        n_omega: int = 0,
        n_mixture: int = 0,
        certain: bool = False,
        n_spread: int = 0,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        if n_omega < 0 or n_mixture < 0:
            raise ModelError(f"n_omega={n_omega}, n_mixture={n_mixture}: give 0 or more.")
        self.n_eps, self.n_belief = n_eps, n_belief
        self.n_omega, self.n_mixture, self.certain = n_omega, n_mixture, certain
        self.spread, self.weight_scale, self.unit = spread, weight_scale, unit
        self.hidden = _linear(n_profile + n_eps, n_hidden)
        self.shift = _linear(n_profile, n_belief)
        self.scale = _linear(n_profile + n_eps, n_belief)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(n_hidden, 2 * n_belief)
        with torch.no_grad():
            self.shift.weight.zero_()
            # Not zero: the sign of eps in the spread is free, and zero would be a saddle.
            self.scale.weight.normal_(0.0, 0.05)
            self.readout.weight[n_belief if n_omega else 0 :] *= 0.1
            self.readout.bias.zero_()
        self.noise = _linear(n_omega, n_hidden)
        self.decision = _linear(n_profile, n_spread)
        with torch.no_grad():
            # Fresh noise starts loud, in the first layer and in the mean: from a mixture that starts as one normal, two
            # modes are never found (a saddle, which 300 epochs did not leave).
            self.noise.weight.normal_(0.0, 1.0)
            self.decision.weight.zero_()

    def participants(self, profile: Tensor, eps: Tensor | None) -> ParticipantView:
        """Encode participants: profile `(n, n_profile)` and noise `(..., n, n_eps)`, None for people without noise."""
        shift, decision = self.unit * linear(profile, self.shift.weight), None
        if len(self.decision.weight):
            decision = linear(profile, self.decision.weight)
        if eps is not None and eps.ndim > profile.ndim:
            profile = profile.expand(*eps.shape[:-1], -1)
        person = profile if eps is None else torch.cat([profile, eps], dim=-1)
        n_columns = person.shape[-1]
        hidden = linear(person, self.hidden.weight[:, :n_columns])
        spread = linear(person, self.scale.weight[:, :n_columns])
        return ParticipantView(hidden, shift, spread, eps, decision)

    def forward(self, x: ProblemView, z: ParticipantView) -> Belief:
        """Distribution of delta, batch shape the broadcast rows of x and z, event shape `(n_belief,)`."""
        hidden = x.hidden + z.hidden
        if self.n_omega:
            omega = torch.randn(
                1 + self.n_mixture, *hidden.shape[:-1], self.n_omega, dtype=hidden.dtype, device=hidden.device
            )
            hidden = hidden + self.noise(omega)
        hidden = silu(hidden)
        if self.dropout.p:
            hidden = self.dropout(hidden)
        loc, raw = self.readout(hidden).chunk(2, dim=-1)
        loc = self.unit * loc + x.shift + z.shift
        if z.eps is not None and self.n_eps:
            loadings = x.loadings.unflatten(-1, (self.n_belief, self.n_eps))
            loc = loc + (loadings * z.eps[..., None, :]).sum(-1)
        scale = self.spread * softplus(raw + z.spread + _UNIT).clamp(min=1e-3)
        if self.certain:
            # Not 0, which no density survives.
            scale = torch.full_like(scale, 1e-3 * self.spread)
        belief = Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)
        return SemiImplicit(belief) if self.n_omega else belief

    @contextmanager
    def components(self, n: int) -> Iterator[None]:
        """Within the block, `n` components: as many as independent draws are wanted, one for a single draw."""
        before, self.n_mixture = self.n_mixture, n - 1
        try:
            yield
        finally:
            self.n_mixture = before

    def log_prior(self) -> Tensor:
        """Log density of the weights under their normal priors, up to a constant."""
        layers = [self.hidden, self.shift, self.scale, self.readout, self.decision]
        squares = torch.stack([layer.weight.square().sum() for layer in layers if layer.weight.numel()]).sum()
        prior = -0.5 / self.weight_scale**2 * squares
        # omega has unit variance of its own, whatever the covariates' scale.
        return prior - 0.5 * self.noise.weight.square().sum() if self.n_omega else prior


def _linear(n_in: int, n_out: int) -> nn.Linear:
    """A layer without bias, which may have no input or no output at all."""
    if n_in and n_out:
        return nn.Linear(n_in, n_out, bias=False)
    # Torch warns when it initialises a weight without elements; there is nothing to initialise.
    layer = nn.Linear(1, 1, bias=False)
    layer.weight = nn.Parameter(torch.zeros(n_out, n_in))
    layer.in_features, layer.out_features = n_in, n_out
    return layer
