"""What inference says of a table of labels: the truth of every item, the parameters, and how sure it is of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyro
import torch
from torch import Tensor

from ...models.annotation.base import AnnotationModel, Params
from ...models.annotation.labels import Labels
from ...models.errors import ModelError


@dataclass(frozen=True)
class AnnotationFit:
    """A fit of a model of annotation.

    Attributes
    ----------
    truth
        P(truth of item = class | labels), shape `(n_items, n_classes)`: at the parameters of a point estimate, averaged
        over the draws where there are any.
    params
        By site of the model: the point estimate, or the mean of the draws.
    log_likelihood
        What was maximised after each iteration, nats: the log joint density of labels and parameters, truth summed
        out; for a variational method its lower bound; for a Markov chain the density at each draw.
    n_iter
        Iterations, or draws of a Markov chain.
    converged
        Whether an iterative method stopped before its largest number of iterations.
    draws
        By site, shape `(n_chains, n_draws, *shape)`; empty for a point estimate.
    n_divergent
        Transitions of a Markov chain that diverged.

    Raises
    ------
    ModelError
        When the truth is not finite.
    """

    truth: Tensor
    params: Mapping[str, Tensor]
    log_likelihood: tuple[float, ...] = field(repr=False)
    n_iter: int
    converged: bool = True
    draws: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    n_divergent: int = 0

    def __post_init__(self) -> None:
        # A sum, for it makes no second table.
        if not bool(self.truth.sum().isfinite()):
            raise ModelError("truth holds NaN or infinity: the parameters left the model's support; fit again.")

    @property
    def entropy(self) -> Tensor:
        """Entropy of each item's truth, nats, shape `(n_items,)`."""
        return torch.special.entr(self.truth).sum(-1)

    @property
    def uncertainty(self) -> dict[str, Tensor]:
        """Posterior standard deviation of each parameter, by site; empty for a point estimate."""
        return {name: each.flatten(0, 1).std(0) for name, each in self.draws.items()}


def averaged(model: AnnotationModel, labels: Labels, draws: Params) -> tuple[Tensor, tuple[float, ...]]:
    """Mean over draws of the truth's posterior, and the log joint density at each.

    Parameters
    ----------
    model, labels
        As fitted.
    draws
        By site, shape `(n_chains, n_draws, *shape)`.
    """
    total, densities = torch.zeros(labels.n_items, labels.n_classes, dtype=torch.float64), []
    flat = {name: value.flatten(0, 1) for name, value in draws.items()}
    n_draws = len(next(iter(flat.values())))
    with torch.no_grad(), pyro.validation_enabled(False):
        for place in range(n_draws):
            params = {name: value[place] for name, value in flat.items()}
            joint = model.item_log_likelihood(params, labels)
            total += joint.softmax(-1)
            densities.append((model.log_prior(params, labels) + joint.logsumexp(-1).sum()).item())
    return total / n_draws, tuple(densities)
