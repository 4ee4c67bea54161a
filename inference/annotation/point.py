"""The fast path of every model: which kernel finds its point estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...models.annotation.base import AnnotationModel
from ...models.annotation.dawid_skene import DawidSkene
from ...models.annotation.glad import Glad
from ...models.annotation.hierarchical_dawid_skene import HierarchicalDawidSkene
from ...models.annotation.labels import Labels
from ...models.annotation.multinomial import Multinomial
from ...models.annotation.one_coin import OneCoin
from .coin_em import fit_coins
from .collapsed import fit_hierarchical
from .dawid_skene_em import fit_dawid_skene
from .glad_map import fit_glad
from .mode import posterior_mode
from .posterior import AnnotationFit

_KERNELS: dict[type[AnnotationModel], Callable[..., AnnotationFit]] = {
    DawidSkene: fit_dawid_skene,
    Glad: fit_glad,
    HierarchicalDawidSkene: fit_hierarchical,
    Multinomial: fit_coins,
    OneCoin: fit_coins,
}


def point_estimate(model: AnnotationModel, labels: Labels, **options: Any) -> AnnotationFit:
    """The mode of a model's posterior with the truth summed out; of the population's alone where it is hierarchical.

    Parameters
    ----------
    model
        Subclasses and one's own models are climbed by `posterior_mode`, whatever they inherit.
    labels
        The table.
    options
        Of the kernel: `n_iter` and `tol`.

    Returns
    -------
    AnnotationFit
        The truth, `(n_items, n_classes)`, and the parameters by site.

    Raises
    ------
    ModelError
        When `n_iter` or `tol` says no stop.

    References
    ----------
    A. P. Dawid, A. M. Skene (1979), Maximum likelihood estimation of observer error-rates using the EM algorithm,
    Applied Statistics 28; of each model, see its class.
    """
    return kernel(model)(model, labels, **options)


def kernel(model: AnnotationModel) -> Callable[..., AnnotationFit]:
    """What `point_estimate` calls."""
    return _KERNELS.get(type(model), posterior_mode)
