"""KL divergences: in closed form where torch or we know one, else by one draw."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, kl_divergence


def divergence(q: Distribution, p: Distribution, value: Tensor) -> Tensor:
    """KL(q || p), or its unbiased estimate log q(value) - log p(value) where no closed form is known.

    Parameters
    ----------
    q, p
        Distributions of one site, in the guide and in the model.
    value
        A draw from q.

    Returns
    -------
    Tensor
        The batch shape of q.
    """
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return q.log_prob(value) - p.log_prob(value)
