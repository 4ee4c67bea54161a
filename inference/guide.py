"""The guide of eps_i: what a person's own answers say of that person's noise.

q(eps_i | y_i, v_i) = Normal(m_i, P_i^-1),
P_i     = I + sum_t w_it A_t' J_it A_t
P_i m_i =     sum_t w_it A_t' g_it + c_it

A_t are the problem's loadings; g_it and J_it are gradient and information of log F about the location, at eps = 0.
With w = 1 and c = 0 this is the exact posterior of the linear-Gaussian program; the learned w and c make up for cut
points and for the network's path. Sums of natural parameters accept any number of answers, in any order.
"""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.distributions.kl import register_kl

from ..models.batch import Batch
from ..models.joint import JointModel


class ParticipantGuide(PyroModule):
    """Guide of `JointModel.crowd` with delta integrated out; same signature, same plates.

    Used in training and in conditioning only: an answer that is scored must never have been seen by it.

    Parameters
    ----------
    model
        The model whose problems and blender the guide reads; its parameters are not the guide's.
    """

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        # In a tuple, lest the model's parameters become the guide's.
        self._shared = (model,)
        n_belief = model.blender.n_belief
        self.correction = nn.Linear(sum(model.encoder.widths) + n_belief, 1 + model.n_eps)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    @property
    def model(self) -> JointModel:
        """The model that it guides."""
        return self._shared[0]

    def forward(self, batch: Batch, integrate: bool = True) -> None:
        """eps_i ~ q(eps_i | y_i, v_i)."""
        if not self.model.n_eps:
            return
        with pyro.plate("participants", batch.population, subsample=batch.rows):
            pyro.sample("eps", self.eps_dist(batch))

    def eps_dist(self, batch: Batch) -> dist.MultivariateNormal:
        """The posterior of every participant, batch shape `(n_participants,)`, event shape `(n_eps,)`."""
        model, batch = self.model, batch.answered()
        zero = batch.profile.new_zeros(batch.n_participants, model.n_eps)
        x = model.met(batch)
        z = model.participants(batch.profile, None).at(batch.participant)
        gradient, information = model.blender.evidence(
            batch.given, x.reference, model.belief_dist(x, z), model.shape(x, z)
        )
        # The table and the gradient times the unit are pure numbers, whatever the response is measured in.
        told = gradient if x.unit == 1.0 else x.unit * gradient
        correction = self.correction(torch.cat([x.table, told], dim=-1))
        weight = correction[:, :1].exp()
        loadings = x.loadings.unflatten(-1, (model.blender.n_belief, model.n_eps))
        # Not by einsum, which makes thousands of matrix products of one row each.
        scaled = (weight * information)[..., None] * loadings
        outer = _summed(scaled[..., None] * loadings[..., None, :])
        linear = _summed((weight * gradient)[..., None] * loadings) + correction[:, 1:]
        identity = torch.eye(model.n_eps, dtype=zero.dtype, device=zero.device)
        precision = identity.expand(len(zero), -1, -1).index_add(0, batch.participant, outer)
        root = covariance_root(precision)
        evidence = zero.index_add(0, batch.participant, linear)
        mean = (root @ (root.mT @ evidence[..., None]))[..., 0]
        return dist.MultivariateNormal(mean, scale_tril=root, validate_args=False)


def _summed(over_belief: Tensor) -> Tensor:
    """Sum over the belief's coordinates, axis 1; of a single one, a view of it."""
    return over_belief.squeeze(1) if over_belief.shape[1] == 1 else over_belief.sum(1)


def covariance_root(precision: Tensor) -> Tensor:
    """Lower Cholesky factor of the inverse of a precision matrix, by one factorisation of its mirror image."""
    mirrored = torch.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1).mT
    identity = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return torch.linalg.solve_triangular(mirrored, identity.expand_as(precision), upper=False)


@register_kl(MultivariateNormal, Independent)
def _kl_to_standard(q: MultivariateNormal, p: Independent[Normal]) -> Tensor:
    """KL of a full-covariance normal to a diagonal one; torch knows only the pair of equal types."""
    base = p.base_dist
    scaled = q.scale_tril / base.scale[..., None]
    moved = (q.loc - base.loc) / base.scale
    log_det = scaled.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * (scaled.square().sum((-2, -1)) + moved.square().sum(-1) - moved.shape[-1]) - log_det
