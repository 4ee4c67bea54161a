"""The guide of eps_i where participation tells of it as well.

P_i     = P_i(answers)         + w sum_t p_it (1 - p_it) l l'
P_i m_i = P_i m_i (answers)    + w sum_t [ (phi_it - p_it) l - (1 - phi_it) p_it (gamma / s) A_t ]

`ParticipantGuide`'s natural parameters, and those of a logistic likelihood of who took part, about eps = 0: at the
answer given, or where there is none at the mean. Whoever is silent leans away from what people like to tell, by the
loadings A_t of the answer. The weight w is learned.
"""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from ..models.batch import Batch
from ..models.selection import SelectionModel
from .guide import ParticipantGuide, covariance_root


class SelectionGuide(ParticipantGuide):
    """Guide of `SelectionModel.crowd` with delta integrated out.

    Parameters
    ----------
    model
        The model whose problems, blender and participation it reads.
    """

    def __init__(self, model: SelectionModel) -> None:
        super().__init__(model)
        self.log_weight = nn.Parameter(torch.zeros(()))

    @property
    def model(self) -> SelectionModel:
        """The model that it guides."""
        model: SelectionModel = self._shared[0]
        return model

    def eps_dist(self, batch: Batch) -> dist.MultivariateNormal:
        """The posterior of every participant, batch shape `(n_participants,)`, event shape `(n_eps,)`."""
        answers = super().eps_dist(batch)
        if batch.took_part is None:
            return answers
        model = self.model
        part = model.selection
        x = model.met(batch)
        z = model.participants(batch.profile, None).at(batch.participant)
        took_part = batch.took_part.to(batch.profile.dtype)
        mean = model.blender.expected(model.answer_dist(model.belief_dist(x, z), x, z))
        value = torch.where(batch.took_part, model.blender.values(batch.given), mean)
        p = torch.sigmoid(model.leaning(batch) + part.of_answer(value))
        weight = self.log_weight.exp()
        loadings = part.loadings[0]
        information = _by_person(weight * p * (1 - p), batch)
        leaning = _by_person(weight * (took_part - p), batch)
        away = -weight * (1 - took_part) * p * part.gamma / part.unit
        of_answer = _by_person(
            away[:, None] * x.loadings.unflatten(-1, (model.blender.n_belief, model.n_eps))[:, 0], batch
        )
        precision = answers.precision_matrix
        evidence = (precision @ answers.loc[..., None])[..., 0] + leaning[:, None] * loadings + of_answer
        root = covariance_root(precision + information[:, None, None] * torch.outer(loadings, loadings))
        return dist.MultivariateNormal(
            (root @ (root.mT @ evidence[..., None]))[..., 0], scale_tril=root, validate_args=False
        )


def _by_person(of_meetings: Tensor, batch: Batch) -> Tensor:
    """Sums over each participant's meetings."""
    total = of_meetings.new_zeros(batch.n_participants, *of_meetings.shape[1:])
    return total.index_add(0, batch.participant, of_meetings)
