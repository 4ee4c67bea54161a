"""A plate of answers inside a plate of items, without padding: items have as many answers as they have.

log p(y | z)_t = sum_{j : item_j = t} log p(y_j | z)

Pyro enumerates a hidden truth in parallel only where everything that depends on it lies inside its plate. A long table
of labels lies beside the plate of items; as one ragged event of each item it lies inside, at no more memory than the
labels themselves. (Padding to the longest item is the way of Pyro's own examples.)
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints


class Ragged(TorchDistribution):
    """Independent answers, grouped by item: batch shape `(..., n_items)`, a value has shape `(..., n_answers)`.

    Parameters
    ----------
    answers
        Of each answer, batch shape `(..., n_answers)`, scalar events.
    item
        Item of each answer, int64, shape `(n_answers,)`.
    n_items
        Items, with or without answers.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real
    has_rsample = False

    def __init__(self, answers: TorchDistribution, item: Tensor, n_items: int) -> None:
        self.answers, self.item, self.n_items = answers, item, n_items
        # Values have the shape of the answers, not of batch and event: there is nothing that torch could validate.
        super().__init__(torch.Size([*answers.batch_shape[:-1], n_items]), validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> Ragged:
        """The same answers over a larger batch of the same items."""
        shape = torch.Size(batch_shape)
        if shape == self.batch_shape:
            return self
        return Ragged(self.answers.expand(torch.Size([*shape[:-1], len(self.item)])), self.item, self.n_items)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """One value an answer, shape `sample_shape x (..., n_answers)`."""
        with torch.no_grad():
            return self.answers.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of each item's answers, shape `(..., n_items)`."""
        return by_item(self.answers.log_prob(value), self.item, self.n_items)


def by_item(per_answer: Tensor, item: Tensor, n_items: int) -> Tensor:
    """Sums over each item's answers: `(..., n_answers)` to `(..., n_items)`."""
    total = per_answer.new_zeros(*per_answer.shape[:-1], n_items)
    return total.index_add(-1, item, per_answer)
