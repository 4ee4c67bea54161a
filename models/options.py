"""Options that are known by what they are: votes on projects that nobody has voted on yet.

u_ij     = u_ref_j + delta_ij
delta_ij = o_j + x_j . gamma + m_ij . beta + (Lambda x_j + l_j) . eps_i

x_j is what is known of option j (its topic, its cost, what several LLMs think of it), m_ij how participant i and option
j match (the same district, i's weight on j's topic). gamma, beta and Lambda are shared by all options. o_j and l_j are
offsets of the options that were voted on in training, shrunk to 0 by a normal prior: such an option is fitted by its
own votes, any other one (o_j = l_j = 0) by what it is. `BeliefGenerator` has a vector of numbers of each option's own
instead, which says nothing of new ones, and which 144 voters cannot tell (`weight_scale` shrinks all of them alike).

Conditional and mixed logit of discrete choice: McFadden (1974); McFadden and Train (2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from .belief import Belief, ParticipantView
from .encoder import ProblemView
from .errors import ModelError

# No density survives a scale of 0; beside the decision's own noise, of scale pi / sqrt(6), this is nothing.
_CERTAIN = 1e-3


class OptionEncoder(nn.Module):
    """g_x of one vote: shift and loadings of every option, in the place of `ProblemEncoder`.

    Parameters
    ----------
    attributes
        x_j, shape `(n_options, n_attributes)`; of a block of k standardised columns, divide by sqrt(k).
    known
        Row of each option in the training table, -1 for one that was not voted on, shape `(n_options,)`.
    n_known
        Options in the training table.
    n_eps
        Dimension of the participant's noise.
    n_shape
        Numbers that the blender wants.
    weight_scale, offset_scale, loading_scale
        Scales of the normal priors of gamma, of o_j, and of Lambda and l_j.
    """

    attributes: Tensor
    known: Tensor

    def __init__(
        self,
        attributes: Tensor,
        known: Tensor,
        n_known: int,
        n_eps: int = 0,
        n_shape: int = 0,
        weight_scale: float = 0.3,
        offset_scale: float = 0.5,
        loading_scale: float = 0.5,
    ) -> None:
        super().__init__()
        for name, value in (("weight", weight_scale), ("offset", offset_scale), ("loading", loading_scale)):
            if not value > 0:
                raise ModelError(f"{name}_scale={value}: give a positive scale.")
        if known.shape != attributes.shape[:1] or int(known.max()) >= n_known:
            raise ModelError(
                f"known has shape {tuple(known.shape)} and rows up to {int(known.max())}; give one row below "
                f"n_known={n_known} for each of {len(attributes)} options, -1 for none."
            )
        self.register_buffer("attributes", attributes, persistent=False)
        self.register_buffer("known", known, persistent=False)
        self.weight_scale, self.offset_scale, self.loading_scale = weight_scale, offset_scale, loading_scale
        self.n_known, self.n_eps = n_known, n_eps
        self.widths = (0, len(attributes), len(attributes) * n_eps, n_shape)
        n_attributes = attributes.shape[1]
        self.weight = nn.Parameter(torch.zeros(n_attributes))
        self.offset = nn.Parameter(torch.zeros(n_known))
        self.loading = nn.Parameter(torch.zeros(n_attributes, n_eps))
        # Away from zero, a saddle where eps is never used and never learned.
        self.own_loading = nn.Parameter(0.3 * torch.randn(n_known, n_eps))
        self.shape = nn.Parameter(torch.zeros(n_shape))

    def forward(self, features: Tensor, known: Tensor, reference: Tensor) -> ProblemView:
        """Every problem is the same vote: one row each, whatever its features.

        Parameters
        ----------
        features, known, reference
            As in `Batch`; only `reference`, shape `(n_problems, n_options)`, is read.
        """
        shift = self.attributes @ self.weight + self._of(self.offset)
        loadings = self.attributes @ self.loading + self._of(self.own_loading)
        row = torch.cat([shift, loadings.flatten(), self.shape])
        return ProblemView(row.expand(len(reference), -1), reference, self.widths)

    def about(self, attributes: Tensor, known: Tensor) -> OptionEncoder:
        """A copy of what was learned that reads other options; arguments as in the class."""
        scales = (self.weight_scale, self.offset_scale, self.loading_scale)
        other = OptionEncoder(attributes, known, self.n_known, self.n_eps, self.widths[3], *scales)
        other.load_state_dict(self.state_dict())
        return other

    def log_prior(self) -> Tensor:
        """Log density of the parameters under their normal priors, up to a constant."""
        loadings = self.loading.square().sum() + self.own_loading.square().sum()
        return -0.5 * (
            self.weight.square().sum() / self.weight_scale**2
            + self.offset.square().sum() / self.offset_scale**2
            + loadings / self.loading_scale**2
        )

    def _of(self, table: Tensor) -> Tensor:
        """Rows of the training table, 0 for options that are not in it."""
        if not self.n_known:
            return table.new_zeros(len(self.known), *table.shape[1:])
        there = (self.known >= 0).to(table)
        return table[self.known.clamp(min=0)] * there.reshape(-1, *[1] * (table.ndim - 1))


class OptionBelief(nn.Module):
    """Belief of one vote, in the place of `BeliefGenerator`: profiles are matches with the options.

    A profile is m_i, flattened, shape `(n_participants, n_options * n_matches)`. Given eps the belief is certain: what
    a person thinks of an option beyond that is one with the decision's own noise, and no ballot can tell them apart.

    Parameters
    ----------
    n_options, n_matches
        Sizes.
    n_eps
        Dimension of the participant's noise.
    weight_scale
        Scale of the normal prior of beta.
    """

    def __init__(self, n_options: int, n_matches: int, n_eps: int = 0, weight_scale: float = 1.0) -> None:
        super().__init__()
        if not weight_scale > 0:
            raise ModelError(f"weight_scale={weight_scale}: give a positive scale.")
        self.n_belief, self.n_matches, self.n_eps, self.weight_scale = n_options, n_matches, n_eps, weight_scale
        self.n_omega, self.n_mixture = 0, 0
        self.weight = nn.Parameter(torch.zeros(n_matches))

    def participants(self, profile: Tensor, eps: Tensor | None) -> ParticipantView:
        """Encode participants: matches `(n, n_options * n_matches)` and noise `(..., n, n_eps)`, None for none."""
        shift = profile.unflatten(-1, (self.n_belief, self.n_matches)) @ self.weight
        return ParticipantView(shift[..., :0], shift, torch.zeros_like(shift), eps)

    def forward(self, x: ProblemView, z: ParticipantView) -> Belief:
        """Distribution of delta, batch shape the broadcast rows of x and z, event shape `(n_options,)`."""
        loc = x.shift + z.shift
        if z.eps is not None and self.n_eps:
            loadings = x.loadings.unflatten(-1, (self.n_belief, self.n_eps))
            loc = loc + (loadings * z.eps[..., None, :]).sum(-1)
        return Independent(Normal(loc, torch.full_like(loc, _CERTAIN), validate_args=False), 1, validate_args=False)

    def about(self, n_options: int) -> OptionBelief:
        """A copy of what was learned, for a vote on so many options."""
        other = OptionBelief(n_options, self.n_matches, self.n_eps, self.weight_scale)
        other.load_state_dict(self.state_dict())
        return other

    @contextmanager
    def components(self, n: int) -> Iterator[None]:
        """Nothing to widen: this belief is no mixture."""
        yield

    def log_prior(self) -> Tensor:
        """Log density of beta under its normal prior, up to a constant."""
        return -0.5 * self.weight.square().sum() / self.weight_scale**2
