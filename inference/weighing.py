"""Survey weights in a program: a person of weight w_i is heard as w_i people.

sum_i w_i { E_q[ sum_t log p(phi_it, y_it | eps_i, v_i) ] - KL(q(eps_i) || p(eps_i)) } + log prior,    mean_i w_i = 1

The pseudo-likelihood (C. J. Skinner 1989, in Analysis of Complex Surveys; T. D. Savitsky, D. Toth 2016, Electronic
Journal of Statistics 10): over samples, its mean is the population's own up to a factor, so that it is maximised by
what would be fitted to everybody. Mean 1, so that the priors weigh as they do beside as many people of equal weights.
Its curvature is not the variance of an estimate under the design, and no posterior of parameters; a person's own eps
needs no weight.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pyro.poutine.messenger import Messenger
from torch import Tensor


class _Weighed(Messenger):
    """Scales what stands in the plates of participants and answers, of any program and guide."""

    def __init__(self, weight: Tensor, participant: Tensor) -> None:
        super().__init__()
        self._scales = {"participants": weight, "answers": weight[participant]}

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        for frame in msg["cond_indep_stack"]:
            if frame.name in self._scales:
                msg["scale"] = msg["scale"] * self._scales[frame.name]


def weighed(batch: Any) -> AbstractContextManager[object]:
    """The context in which programs weigh the people of this batch; nothing changes where they count alike.

    Returns
    -------
    context manager
        Scales the log probabilities inside it by survey weights, a person each.
    """
    weight = getattr(batch, "survey_weight", None)
    return nullcontext() if weight is None else _Weighed(weight, batch.participant)
