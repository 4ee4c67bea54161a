"""The guide of `JointModel.story`: the belief generator, told about as a posterior.

eps_i    ~ q(eps_i | y_i, v_i)                        (none where the model has no persistent noise)
delta_it ~ belief_dist(x_t, v_i, eps_i)               Eq. 1; it never sees y

Normal beliefs make a plain VAE, semi-implicit ones the paper's E_Omega[q(delta | Omega)].
"""

from __future__ import annotations

import pyro
from pyro import poutine

from ..models.batch import Batch
from .guide import ParticipantGuide


class StoryGuide(ParticipantGuide):
    """Guide of the paper's training program; same signature, same plates.

    Parameters
    ----------
    model
        The `JointModel` whose belief generator is the guide of delta.
    """

    def forward(self, batch: Batch, integrate: bool = False) -> None:
        """eps_i, then delta_it for every answer."""
        model = self.model
        eps = None
        with pyro.plate("participants", batch.population, subsample=batch.rows):
            if model.n_eps:
                eps = pyro.sample("eps", self.eps_dist(batch))
        x, z = model.met(batch), model.participants(batch.profile, eps).at(batch.participant)
        heard = True if batch.took_part is None else batch.took_part
        with pyro.plate("answers", batch.n_answers), poutine.scale(scale=batch.weight), poutine.mask(mask=heard):
            pyro.sample("delta", model.belief_dist(x, z))
