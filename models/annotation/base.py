"""What every model of annotation shares: a hidden truth an item, labels given it, golden items, earlier labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.ops.indexing import Vindex
from torch import Tensor

from ..errors import DataError, ModelError
from .labels import UNKNOWN, Labels
from .ragged import Ragged, by_item

Params = Mapping[str, Tensor]


@dataclass(frozen=True)
class AnnotationModel(ABC):
    """The half of the story that all models have in common; the other half is `workers` and `log_confusion`.

    prevalence ~ Dirichlet(prevalence)                            or uniform and fixed
    ...                                                           what workers are like: `workers`
    for item t:
        truth_t ~ Categorical(prevalence)                         enumerated in parallel
        gold_t  ~ Delta(truth_t)                                  observed for golden items
        for label j of item t:
            label_j ~ Categorical(confusion[worker_j, truth_t])   `log_confusion`

    An instance is a Pyro program, given to any of Pyro's inference; `poutine.uncondition(model)` simulates. Everything
    is in float64. A worker's history multiplies in the chance of earlier labels for items of known truth.

    A permutation of the classes and of every worker's reports explains the labels as well (label switching): the
    program is not rewritten to exclude that. Priors that lean towards right answers tell the modes apart, and inference
    starts in the right one, at the majority vote; with a flat prior and few labels draws may visit others.

    Fields are hyper-parameters: positive numbers, or any finite ones where the name ends in `_mean`. A model of one's
    own with others overrides `__post_init__`.

    Parameters
    ----------
    prevalence
        Dirichlet concentration of every class's share; None for shares that are equal and fixed.

    Raises
    ------
    ModelError
        When a setting is not finite, or one of the positive ones is not.
    """

    prevalence: float | None = 1.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_mean"):
                if not isfinite(value):
                    raise ModelError(f"{name}={value!r}: give a finite number.")
            elif not (value is None and name == "prevalence") and not (value is not None and 0 < value < inf):
                raise ModelError(f"{name}={value!r}: give a positive number.")

    def __call__(self, labels: Labels) -> Tensor:
        """The story; returns the labels, shape `(n_labels,)`."""
        params = self.parameters(labels)
        if labels.history is not None:
            with pyro.plate("histories", labels.n_workers):
                pyro.factor("history", self.log_history(params, labels))
        shares = self.log_prevalence(params, labels)
        with pyro.plate("items", labels.n_items):
            truth = pyro.sample("truth", dist.Categorical(logits=shares), infer={"enumerate": "parallel"})
            if labels.known is not None:
                gold = dist.Delta(truth.double()).mask(labels.known != UNKNOWN)
                pyro.sample("gold", gold, obs=labels.known.double())
            answers = self.label_dist(params, labels, truth.expand(*truth.shape[:-1], labels.n_items))
            return pyro.sample("label", Ragged(answers, labels.item, labels.n_items), obs=labels.label)

    def parameters(self, labels: Labels) -> dict[str, Tensor]:
        """The first half of the story: prevalence and `workers`, by site."""
        shared = {}
        if self.prevalence is not None:
            concentration = torch.full((labels.n_classes,), self.prevalence, dtype=torch.float64)
            shared["prevalence"] = pyro.sample("prevalence", dist.Dirichlet(concentration))
        return shared | self.workers(labels)

    @abstractmethod
    def workers(self, labels: Labels) -> dict[str, Tensor]:
        """Draw what workers, and items beside their truth, are like, by site."""

    @abstractmethod
    def log_confusion(self, params: Params, labels: Labels) -> Tensor:
        """Log P(label | truth, worker) for a usual item, shape `(..., n_workers, n_classes, n_classes)`."""

    def log_table(self, params: Params, labels: Labels) -> Tensor:
        """Log P(label | truth) of each label's worker and item, shape `(..., n_labels, n_classes, n_classes)`."""
        return self.log_confusion(params, labels)[..., labels.worker, :, :]

    def label_dist(self, params: Params, labels: Labels, truth: Tensor) -> TorchDistribution:
        """Of each label given truths of shape `(..., n_items)`, batch shape `(..., n_labels)`."""
        return dist.Categorical(logits=Vindex(self.log_table(params, labels))[..., truth[..., labels.item], :])

    def log_label(self, params: Params, labels: Labels) -> Tensor:
        """Log P(label | truth) of each label under each truth, shape `(..., n_classes, n_labels)`."""
        table = self.log_table(params, labels)
        return table[..., torch.arange(labels.n_labels), :, labels.label].movedim(0, -1)

    def log_prevalence(self, params: Params, labels: Labels) -> Tensor:
        """Log shares of the classes; broadcasts with `(..., n_items, n_classes)`."""
        if self.prevalence is None:
            return torch.zeros(labels.n_classes, dtype=torch.float64).log_softmax(-1)
        return params["prevalence"].log()

    def log_history(self, params: Params, labels: Labels) -> Tensor:
        """Log probability of each worker's earlier labels, shape `(..., n_workers)`."""
        if labels.history is None:
            return torch.zeros(labels.n_workers, dtype=torch.float64)
        log_prob = self.log_confusion(params, labels)
        return torch.where(labels.history > 0, labels.history * log_prob, 0.0).sum((-1, -2))

    def item_log_likelihood(self, params: Params, labels: Labels) -> Tensor:
        """Log p(labels of item, truth = k | params), shape `(..., n_items, n_classes)`; -inf where gold says otherwise.

        Parameters
        ----------
        params
            By site; a batch of draws as in Pyro's vectorised particles, sites outside plates `(n_draws, 1, *shape)`.
        labels
            The table.
        """
        answers = by_item(self.log_label(params, labels), labels.item, labels.n_items).mT
        joint = answers + self.log_prevalence(params, labels)
        return joint if labels.known is None else joint.masked_fill(excluded(labels), -torch.inf)

    def log_prior(self, params: Params, labels: Labels) -> Tensor:
        """Log density of one value of the parameters, and probability of the workers' history given it."""
        told = poutine.condition(self.parameters, data=dict(params))
        density = poutine.trace(told).get_trace(labels).log_prob_sum()
        return density + self.log_history(params, labels).sum()

    def log_joint(self, params: Params, labels: Labels) -> Tensor:
        """Log density of labels and one value of the parameters, truth summed out."""
        return self.log_prior(params, labels) + self.item_log_likelihood(params, labels).logsumexp(-1).sum()

    def truth_posterior(self, params: Params, labels: Labels) -> Tensor:
        """P(truth = k | labels, params), shape `(..., n_items, n_classes)`."""
        return self.item_log_likelihood(params, labels).softmax(-1)


def excluded(labels: Labels) -> Tensor:
    """Which classes gold rules out, shape `(n_items, n_classes)`."""
    if labels.known is None:
        raise DataError("known=None: no item's truth is known; give codes, or UNKNOWN.")
    known = labels.known[:, None]
    return (known != UNKNOWN) & (known != torch.arange(labels.n_classes))


def coin_confusion(log_right: Tensor, log_wrong: Tensor, n_classes: int) -> Tensor:
    """Log confusion matrices of workers whose errors fall on all other classes alike, shape `(..., K, K)`.

    Parameters
    ----------
    log_right, log_wrong
        Log probabilities of a right and of a wrong label, shape `(...)`.
    n_classes
        K; a single class is always reported right.
    """
    if n_classes == 1:
        return torch.zeros_like(log_right)[..., None, None]
    wrong = log_wrong - torch.tensor(n_classes - 1.0, dtype=log_wrong.dtype).log()
    right = torch.eye(n_classes, dtype=torch.bool)
    return torch.where(right, log_right[..., None, None], wrong[..., None, None])
