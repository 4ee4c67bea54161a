"""The description decoder: what a belief says of the problem it is about (paper, Eq. 4, second term of L_1).

x_t ~ Normal(D(delta_it, g_z(v_i)), s^2)

x_t is the reduced representation that g_x sees. The term keeps the belief bias informative of its problem; the
`predictive` objective does without it.
"""

from __future__ import annotations

import math

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from .belief import ParticipantView

_UNIT = math.log(math.expm1(1.0))


class DescriptionDecoder(nn.Module):
    """One hidden layer, and one scale for all coordinates.

    Parameters
    ----------
    n_belief, n_hidden, n_features
        Sizes of the belief, of the hidden layer (that of the belief network) and of the problem's representation.
    """

    def __init__(self, n_belief: int, n_hidden: int, n_features: int) -> None:
        super().__init__()
        self.belief = nn.Linear(n_belief, n_hidden)
        self.readout = nn.Linear(n_hidden, n_features)
        self.raw_scale = nn.Parameter(torch.zeros(()))

    def forward(self, delta: Tensor, z: ParticipantView) -> Independent:
        """Distribution of x_t, batch shape that of the rows, event shape `(n_features,)`."""
        loc = self.readout(silu(self.belief(delta) + z.hidden))
        scale = softplus(self.raw_scale + _UNIT).clamp(min=1e-3)
        return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)
