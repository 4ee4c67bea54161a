"""Blenders F: how a reference and a belief bias become a decision (paper, Eq. 2).

y_it ~ F(y_ref_t + delta_it, sigma^2)

One small class a scale. Each says how many numbers it wants from the problem encoder (`n_shape`), turns them into
spread and cut points, and, where it can, integrates the belief out in closed form: if delta ~ Normal(mu, v) and F is
normal, cut normal or censored normal with scale s, then y is the same at y_ref + mu with scale sqrt(s^2 + v).
Blenders of ballots are in `ballot_blender`.
"""

from __future__ import annotations

import math

import torch
from pyro.distributions import Categorical as CategoricalDistribution
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad, softplus

from .ballot import Ballot
from .belief import Belief
from .censored_normal import CensoredNormal
from .cut_normal import CutNormal
from .errors import ModelError
from .scales import Categorical, Continuous, Ordinal, Scale

# softplus(_UNIT) = 1: a zero output of the encoder leaves the spread at its starting value.
_UNIT = math.log(math.expm1(1.0))


class Blender(nn.Module):
    """What all blenders share.

    Parameters
    ----------
    scale
        What an answer may be.
    spread
        Starting scale of the decision noise in the unit of the response.
    fixed
        Keep it there (an ablation).

    Attributes
    ----------
    scales
        Kinds of scale that it serves.
    n_shape
        Numbers a problem's encoder gives the blender.
    n_spread
        How many of these, the first ones, are raw spreads of the decision noise.
    n_belief
        Coordinates of delta.
    is_density
        Whether F has a density, which grows without bound as the noise shrinks; probabilities do not.
    margin_columns
        Which of the `n_shape` numbers place the answers without touching how they hang together: the cut points.

    Raises
    ------
    ModelError
        When the scale is not one of `scales`, or `spread` is not positive.
    """

    scales: tuple[type, ...]
    n_shape: int
    n_belief: int
    n_spread: int = 0
    is_density: bool = False
    margin_columns: range = range(0)

    def __init__(self, scale: Scale, spread: float = 1.0, fixed: bool = False) -> None:
        super().__init__()
        if not isinstance(scale, self.scales):
            names = " or ".join(kind.__name__ for kind in self.scales)
            raise ModelError(f"scale={scale!r}: {type(self).__name__} serves {names}; give the blender of that scale.")
        if not spread > 0:
            raise ModelError(f"spread={spread}: give a positive scale of the decision noise.")
        self.scale, self.spread, self.fixed = scale, spread, fixed

    def location(self, reference: Tensor, delta: Tensor) -> Tensor:
        """The reference plus delta `(..., n_belief)`: shape `(...,)`, or `(..., n_levels)` for labels and ballots."""
        return reference + delta[..., 0]

    def response_dist(self, location: Tensor, shape: Tensor) -> TorchDistribution:
        """F at a location (shape as `location` returns it), given the encoder's numbers `(..., n_shape)`."""
        raise NotImplementedError

    def integrated(self, reference: Tensor, belief: Belief, shape: Tensor) -> TorchDistribution | None:
        """F with a normal belief `(..., n_belief)` integrated out; None where no closed form exists."""
        return None

    def evidence(self, response: Tensor, reference: Tensor, belief: Belief, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and information of log F about the location, each `(..., n_belief)`, for the guide of eps."""
        raise NotImplementedError

    def values(self, response: Tensor) -> Tensor:
        """Answers in the unit of the response, in their own shape."""
        return response

    def expected(self, distribution: TorchDistribution) -> Tensor:
        """Mean decision in the unit of the response (of ballots, option by option), or the likeliest label's code."""
        return distribution.mean

    def _spread(self, raw: Tensor) -> Tensor:
        if self.fixed:
            return torch.full_like(raw, self.spread)
        return self.spread * softplus(raw + _UNIT).clamp(min=1e-3)


class NormalBlender(Blender):
    """Continuous answers: Normal(y_ref + delta, s_t^2)."""

    scales: tuple[type, ...] = (Continuous,)
    n_shape = 1
    n_belief = 1
    n_spread = 1
    is_density = True

    def response_dist(self, location: Tensor, shape: Tensor) -> TorchDistribution:
        """Normal around the location."""
        return Normal(location, self._spread(shape[..., 0]), validate_args=False)

    def integrated(self, reference: Tensor, belief: Belief, shape: Tensor) -> TorchDistribution:
        """Normal with the belief's variance added."""
        scale = self._marginal_var(belief, shape).sqrt()
        return Normal(self.location(reference, belief.mean), scale, validate_args=False)

    def evidence(self, response: Tensor, reference: Tensor, belief: Belief, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Residual over variance, and one over variance: exact for the normal, close for the cut normal."""
        information = self._marginal_var(belief, shape).reciprocal()
        residual = self.values(response) - self.location(reference, belief.mean)
        return (residual * information)[..., None], information[..., None]

    def _marginal_var(self, belief: Belief, shape: Tensor) -> Tensor:
        return self._spread(shape[..., 0]).square() + belief.variance[..., 0]


class CensoredNormalBlender(NormalBlender):
    """Bounded answers: Normal(y_ref + delta, s_t^2) clipped to the bounds.

    The reference is within the bounds; reference plus delta need not be, which is how many people come to answer "0".
    """

    def __init__(self, scale: Continuous, spread: float = 1.0, fixed: bool = False) -> None:
        super().__init__(scale, spread, fixed)
        self.low, self.high = scale.low, scale.high

    def response_dist(self, location: Tensor, shape: Tensor) -> CensoredNormal:
        """Censored normal around the location."""
        return self._clipped(location, self._spread(shape[..., 0]))

    def integrated(self, reference: Tensor, belief: Belief, shape: Tensor) -> CensoredNormal:
        """Censored normal with the belief's variance added."""
        return self._clipped(self.location(reference, belief.mean), self._marginal_var(belief, shape).sqrt())

    def evidence(self, response: Tensor, reference: Tensor, belief: Belief, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the censored normal, exact."""
        gradient, information = self.integrated(reference, belief, shape).evidence(response)
        return gradient[..., None], information[..., None]

    def _clipped(self, loc: Tensor, scale: Tensor) -> CensoredNormal:
        return CensoredNormal(loc, scale, self.low, self.high, validate_args=False)


class CutNormalBlender(NormalBlender):
    """Ordinal answers: a normal at y_ref + delta cut between the levels.

    Spread, stretch and gaps of the cut points are outputs of the problem encoder, zero being the midpoints:

    c_k = middle + stretch * (c'_k - middle),   c' between the outermost midpoints, its gaps by softmax

    One spread alone leaves the distance of the histograms at .17 where this reaches .11.
    """

    scales = (Ordinal,)
    is_density = False
    midpoints: Tensor
    log_gaps: Tensor
    levels: Tensor

    def __init__(self, scale: Ordinal, spread: float = 1.0, fixed: bool = False) -> None:
        super().__init__(scale, spread, fixed)
        levels = torch.as_tensor(scale.values, dtype=torch.get_default_dtype())
        self.register_buffer("levels", levels, persistent=False)
        midpoints = (levels[1:] + levels[:-1]) / 2
        self.register_buffer("midpoints", midpoints, persistent=False)
        self.register_buffer("log_gaps", midpoints.diff().log(), persistent=False)
        # Two levels have one cut point, which the shift places as well.
        self.n_shape = 1 if scale.n_levels == 2 else scale.n_levels
        self.margin_columns = range(1, self.n_shape)

    def cuts(self, shape: Tensor) -> Tensor:
        """Cut points in the unit of the response, shape `(..., n_levels - 1)`."""
        if len(self.midpoints) == 1:
            return self.midpoints.expand(*shape.shape[:-1], 1)
        first, last = self.midpoints[0], self.midpoints[-1]
        # Where they stand between the outermost midpoints: 0, ..., 1.
        place = pad(torch.softmax(self.log_gaps + shape[..., 2:], dim=-1).cumsum(-1), (1, 0))
        reach = softplus(shape[..., 1:2] + _UNIT) * (last - first)
        return (first + last) / 2 + reach * (place - 0.5)

    def response_dist(self, location: Tensor, shape: Tensor) -> TorchDistribution:
        """Cut normal around the location."""
        return CutNormal(location, self._spread(shape[..., 0]), self.cuts(shape), validate_args=False)

    def integrated(self, reference: Tensor, belief: Belief, shape: Tensor) -> TorchDistribution:
        """Cut normal with the belief's variance added."""
        scale = self._marginal_var(belief, shape).sqrt()
        return CutNormal(self.location(reference, belief.mean), scale, self.cuts(shape), validate_args=False)

    def values(self, response: Tensor) -> Tensor:
        """Numeric values of codes."""
        return self.levels[response.long()]

    def expected(self, distribution: TorchDistribution) -> Tensor:
        """Mean of the levels' values."""
        return distribution.probs @ self.levels


class SoftmaxBlender(Blender):
    """Categorical answers: softmax(log p_ref + delta), delta with one coordinate a label."""

    scales = (Categorical,)
    n_shape = 0

    def __init__(self, scale: Categorical, spread: float = 1.0, fixed: bool = False) -> None:
        super().__init__(scale, spread, fixed)
        self.n_belief = scale.n_levels

    def location(self, reference: Tensor, delta: Tensor) -> Tensor:
        """Log weights of the labels, shape `(..., n_levels)`."""
        return reference + delta

    def response_dist(self, location: Tensor, shape: Tensor) -> TorchDistribution:
        """Categorical with these log weights."""
        return CategoricalDistribution(logits=location, validate_args=False)

    def evidence(self, response: Tensor, reference: Tensor, belief: Belief, shape: Tensor) -> tuple[Tensor, Tensor]:
        """One-hot minus probabilities, and the diagonal of their covariance."""
        probs = torch.softmax(self.location(reference, belief.mean), dim=-1)
        return one_hot(response.long(), self.n_belief) - probs, probs * (1 - probs)

    def expected(self, distribution: TorchDistribution) -> Tensor:
        """Code of the likeliest label; labels have no mean."""
        return distribution.probs.argmax(-1).to(distribution.probs.dtype)


def blender_for(scale: Scale, spread: float = 1.0, fixed: bool = False) -> Blender:
    """The blender named after a scale.

    Parameters
    ----------
    scale
        What an answer may be.
    spread
        Where the decision noise starts, in the unit of the response.
    fixed
        Whether it stays there.

    Returns
    -------
    Blender
        Of that scale, its noise at the start.

    Raises
    ------
    ModelError
        For a scale that no blender is known for.
    """
    if isinstance(scale, Ordinal):
        return CutNormalBlender(scale, spread, fixed)
    if isinstance(scale, Continuous):
        bounded = math.isfinite(scale.low) or math.isfinite(scale.high)
        return CensoredNormalBlender(scale, spread, fixed) if bounded else NormalBlender(scale, spread, fixed)
    if isinstance(scale, Categorical):
        return SoftmaxBlender(scale, spread, fixed)
    if isinstance(scale, Ballot):
        # Here, since its blenders are made from `Blender`.
        from .ballot_blender import ballot_blender

        return ballot_blender(scale, spread, fixed)
    raise ModelError(f"scale={scale!r}: no blender is known for it; give Ordinal, Continuous, Categorical or Ballot.")
