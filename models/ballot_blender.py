"""Blenders of ballots: one utility an option, and a rule that makes a ballot of them.

u_it = u_ref_t + delta_it

rule       u_ref                y_it
approval   log odds of p_ref    Bernoulli(sigmoid(u_j)) for every option
choose     log p_ref            PlackettLuceSet(u, n)
rank       log p_ref            PlackettLuce(u, n)
points     log p_ref            PolyaUrn(u, c_t, n),  c_t = 1 / s_t^2

The decision noise of the first three is their own; s_t of the last is how much a person's points clot on few options.
Given everything else the coordinates of delta are independent, so that of approvals the belief is integrated option by
option; of the others there is no closed form.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .approvals import Approvals
from .ballot import Ballot
from .ballot_distribution import BallotDistribution
from .belief import Belief
from .blender import Blender
from .plackett_luce import PlackettLuce, PlackettLuceSet
from .polya_urn import PolyaUrn

# Standard normal nodes of the trapezoid rule. The logistic has poles at +-i pi, so that a wide belief is harder:
# measured, a probability errs by 4e-9 under a belief of scale 1, 1e-5 of scale 2, 4e-4 of scale 3.
_REACH, _STEP = 5.25, 0.75


class BallotBlender(Blender):
    """What the blenders of all rules share.

    Parameters
    ----------
    scale
        What a ballot may be.
    spread, fixed
        As in `Blender`.
    """

    scales = (Ballot,)
    n_shape = 0

    def __init__(self, scale: Ballot, spread: float = 1.0, fixed: bool = False) -> None:
        super().__init__(scale, spread, fixed)
        self.n = 0 if scale.n is None else scale.n
        self.n_belief = scale.n_levels

    def location(self, reference: Tensor, delta: Tensor) -> Tensor:
        """Utilities of the options, shape `(..., n_levels)`."""
        return reference + delta

    def response_dist(self, location: Tensor, shape: Tensor) -> BallotDistribution:
        """Ballots of the rule, given utilities."""
        raise NotImplementedError

    def evidence(self, response: Tensor, reference: Tensor, belief: Belief, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the rule's own distribution, at the mean belief."""
        return self.response_dist(self.location(reference, belief.mean), shape).evidence(response)


class ApprovalBlender(BallotBlender):
    """Approvals, one by one."""

    nodes: Tensor
    log_weights: Tensor

    def __init__(self, scale: Ballot, spread: float = 1.0, fixed: bool = False) -> None:
        super().__init__(scale, spread, fixed)
        nodes = torch.arange(-_REACH, _REACH + _STEP / 2, _STEP)
        self.register_buffer("nodes", nodes, persistent=False)
        self.register_buffer("log_weights", torch.log_softmax(-0.5 * nodes.square(), dim=0), persistent=False)

    def response_dist(self, location: Tensor, shape: Tensor) -> Approvals:
        """Independent approvals, `location` being their log odds."""
        return Approvals(location)

    def integrated(self, reference: Tensor, belief: Belief, shape: Tensor) -> Approvals:
        """Approvals whose probabilities are averaged over the belief, option by option."""
        loc, scale = self.location(reference, belief.mean), belief.variance.sqrt()
        odds = loc[..., None] + scale[..., None] * self.nodes
        weighted = logsigmoid(odds) + self.log_weights
        yes, no = torch.logsumexp(weighted, dim=-1), torch.logsumexp(weighted - odds, dim=-1)
        return Approvals(yes - no)


class ChoiceBlender(BallotBlender):
    """n options without order."""

    def response_dist(self, location: Tensor, shape: Tensor) -> PlackettLuceSet:
        """Plackett-Luce choices."""
        return PlackettLuceSet(location, self.n)


class RankBlender(BallotBlender):
    """The best n options in order."""

    def response_dist(self, location: Tensor, shape: Tensor) -> PlackettLuce:
        """Plackett-Luce rankings."""
        return PlackettLuce(location, self.n)


class PointsBlender(BallotBlender):
    """n points over the options."""

    n_shape = 1
    n_spread = 1

    def response_dist(self, location: Tensor, shape: Tensor) -> PolyaUrn:
        """Polya's urn of concentration 1 / s_t^2."""
        return PolyaUrn(location, self._spread(shape[..., 0]).square().reciprocal(), self.n)


_BY_RULE: dict[str, type[BallotBlender]] = {
    "approval": ApprovalBlender,
    "choose": ChoiceBlender,
    "rank": RankBlender,
    "points": PointsBlender,
}


def ballot_blender(scale: Ballot, spread: float = 1.0, fixed: bool = False) -> BallotBlender:
    """The blender of a ballot's rule."""
    return _BY_RULE[scale.rule](scale, spread, fixed)
