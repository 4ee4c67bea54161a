"""The vote itself: shares of labels, and which class wins.

share_ik = n_ik / n_i,     label_i = argmax_k share_ik, a tie decided uniformly at random by the seed
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ...models.annotation.labels import UNKNOWN, Labels
from ..seeds import generator
from .posterior import AnnotationFit

# Posterior probabilities of classes that the labels do not tell apart differ by rounding.
_TIE = 1e-12


def fit_majority(labels: Labels) -> AnnotationFit:
    """Each item's share of votes for every class, golden items at their truth, as if it were a posterior.

    It is none, and has no parameters: see `Multinomial` for the model whose most probable truth is the majority's. An
    item without labels has equal shares.
    """
    n_items, n_classes = labels.n_items, labels.n_classes
    # By torch, which counts codes of four bytes as they are: half of numpy's time.
    item = labels.item if n_items * n_classes < 2**31 else labels.item.long()
    votes = torch.bincount(torch.add(labels.label, item, alpha=n_classes), minlength=n_items * n_classes)
    share = votes.view(n_items, n_classes).double()
    total = share @ share.new_ones(n_classes)
    share /= total[:, None]
    share[total == 0] = 1 / n_classes
    if labels.known is not None:
        golden = labels.known != UNKNOWN
        share[golden] = torch.eye(n_classes, dtype=share.dtype)[labels.known[golden].long()]
    return AnnotationFit(share, {}, (), 0)


def winners(truth: npt.NDArray[np.float64], seed: int = 0) -> npt.NDArray[np.int64]:
    """The most probable class of every row of `(n_items, n_classes)`, ties broken uniformly at random by the seed."""
    # Class by class, and products with the codes: numpy's reductions over a short last axis take three times as long.
    top = truth[:, 0].copy()
    for each in truth.T[1:]:
        np.maximum(top, each, out=top)
    first = truth >= (top - _TIE)[:, None]
    codes = np.arange(truth.shape[1], dtype=np.float32)
    best = (first @ codes).astype(np.int64)
    tied = np.flatnonzero(first @ np.ones_like(codes) > 1)
    if len(tied):
        best[tied] = (generator(seed).random((len(tied), len(codes))) * first[tied]).argmax(axis=1)
    return best
