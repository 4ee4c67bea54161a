"""Tables of labels as a model of annotation would have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from pyro import poutine
from torch import Tensor

from ...models.annotation.base import AnnotationModel
from ...models.annotation.labels import UNKNOWN, Labels
from ..runtime import seeded
from .unconstrained import prior_dists


@dataclass(frozen=True)
class Simulated:
    """A table, and what lies behind it.

    Attributes
    ----------
    labels
        The same items and workers with labels from the model; golden items have their simulated truth.
    truth
        Codes, shape `(n_items,)`.
    params
        By site.
    """

    labels: Labels
    truth: Tensor
    params: Mapping[str, Tensor]


def simulate(
    model: AnnotationModel, labels: Labels, params: Mapping[str, Tensor] | None = None, *, seed: int = 0
) -> Simulated:
    """Draw truth and labels from the Pyro program, and the parameters that are not given.

    Parameters
    ----------
    model
        Any.
    labels
        Who labels what, and which items are golden; its labels play no part, nor does a worker's history.
    params
        By site; others are drawn from their priors.
    seed
        Of all of it; the caller's random state is left alone.

    Returns
    -------
    Simulated
        The table with its labels drawn, the truth `(n_items,)` and the parameters by site.
    """
    # Conditioned outside: `uncondition` would draw what was given again.
    program = poutine.condition(poutine.uncondition(model), data=dict(params or {}))
    table = replace(labels, history=None)
    with seeded(seed), torch.no_grad():
        nodes = poutine.trace(program).get_trace(table).nodes
        names = prior_dists(model, table)
    truth = nodes["truth"]["value"]
    known = None if labels.known is None else truth.where(labels.known != UNKNOWN, UNKNOWN)
    answered = replace(table, label=nodes["label"]["value"], known=known, history=labels.history)
    return Simulated(answered, truth, {name: nodes[name]["value"] for name in names})
