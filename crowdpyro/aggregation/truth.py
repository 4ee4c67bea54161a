"""The truth of each problem from the labels of people who err, each in their way.

label_n ~ p(label | truth of problem_n, participant_n),    P(truth | all labels) by a Pyro program

Anyone with a long table of labels can ask; nothing here needs a crowd or an LLM.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ..errors import DataError
from ..models.scales import Scale
from .result import Aggregation
from .table import LabelTable

if TYPE_CHECKING:
    from ..models.annotation.base import AnnotationModel

Inference = Literal["map", "svi", "nuts"]

# Names of the models of `crowdpyro.models.annotation`, beside "majority", which is none.
_CLASSES = {
    "multinomial": "Multinomial",
    "one_coin": "OneCoin",
    "dawid_skene": "DawidSkene",
    "hierarchical_dawid_skene": "HierarchicalDawidSkene",
    "glad": "Glad",
    "mace": "Mace",
    "cut_normal_ratings": "CutNormalRatings",
}
MODELS = tuple(_CLASSES)
METHODS = ("majority", *MODELS)
DEFAULT = "hierarchical_dawid_skene"


def aggregate(
    frame: pd.DataFrame,
    method: str | AnnotationModel = DEFAULT,
    inference: Inference = "map",
    *,
    golden: pd.Series | pd.DataFrame | Mapping[Any, Any] | None = None,
    history: pd.DataFrame | None = None,
    scale: Scale | None = None,
    seed: int = 0,
    **options: Any,
) -> Aggregation:
    """The truth of each problem, how sure it is, and what each participant is like.

    Parameters
    ----------
    frame
        One row a label: columns `problem, participant, response`, or crowd-kit's `task, worker, label`. Labels are
        words, numbers or booleans; an empty one is no label. Who labels a problem twice has two votes.
    method
        `majority` (shares of votes, no model) or a model: `dawid_skene` (a confusion matrix a participant),
        `hierarchical_dawid_skene` (matrices that borrow strength from each other), `one_coin` (an accuracy each),
        `multinomial` (one accuracy for all), `glad` (ability and difficulty), `mace` (spammers), `cut_normal_ratings`
        (bias and spread on an ordered scale); or an instance of one, with priors of one's own.
    inference
        `map`, the fast path: the mode of the posterior with the truth summed out; `svi`; or `nuts`, for small tables.
    golden
        Known truths, by problem; or a frame of `problem, truth`.
    history
        Earlier labels for problems of known truth: `participant, truth, response` and, if rows are many, `count`.
    scale
        All labels in their order, those that nobody gave included; when None, those of the table, sorted.
    seed
        Of ties, and of SVI and NUTS.
    **options
        Of the inference: `n_iter`, `tol`; `num_samples`, `warmup_steps`, `num_chains` of NUTS.

    Returns
    -------
    Aggregation
        `labels`, `posterior`, `participants`, `problems`, `log_likelihood`, ...

    Raises
    ------
    DataError
        Naming the column or argument, the value and the remedy.

    References
    ----------
    A. P. Dawid, A. M. Skene (1979), Maximum likelihood estimation of observer error-rates using the EM algorithm,
    Applied Statistics 28; each model of `crowdpyro.models.annotation` names its own.

    Examples
    --------
    >>> votes = pd.DataFrame({"task": [1, 1, 1, 2], "worker": [*"abca"], "label": ["cat", "cat", "dog", "dog"]})
    >>> aggregate(votes, "majority").labels.to_list()
    ['cat', 'dog']
    """
    if inference not in ("map", "svi", "nuts"):
        raise DataError(f"inference={inference!r}: give 'map', 'svi' or 'nuts'.")
    model = None if method == "majority" else _model(method)
    table = LabelTable.from_frame(frame, golden=golden, history=history, scale=scale)
    if model is None:
        if inference != "map" or options:
            raise DataError("method='majority' counts votes: it takes no inference or options; give 'multinomial'.")
        from ..inference.annotation.majority import fit_majority

        return Aggregation(table, fit_majority(table.labels), "majority", inference, None, seed)
    name = method if isinstance(method, str) else type(method).__name__
    _check_order(name, model, table, scale)
    if len(table.classes) == 1 and inference != "map":
        raise DataError(
            f"column 'response' of labels holds one label, {table.classes[0]!r}, and inference={inference!r} has "
            "nothing to learn from it; give a scale that lists all labels, or inference='map'."
        )
    fit = _fit(model, inference)
    _check_options(fit, options, f"inference={inference!r} of method={name!r}")
    if inference != "map":
        options["seed"] = seed
    return Aggregation(table, fit(model, table.labels, **options), name, inference, model, seed)


def _model(method: str | AnnotationModel) -> AnnotationModel:
    """A model by its name, or the model itself."""
    from ..models import annotation
    from ..models.annotation.base import AnnotationModel

    if isinstance(method, AnnotationModel):
        return method
    if method not in _CLASSES:
        raise DataError(f"method={method!r}: give {', '.join(METHODS)}, or an instance of a model.")
    model: AnnotationModel = getattr(annotation, _CLASSES[method])()
    return model


def _check_order(name: str, model: AnnotationModel, table: LabelTable, scale: Scale | None) -> None:
    """Raise where a model of ordered levels meets words in no order."""
    from ..models.annotation import CutNormalRatings

    ordered = table.classes.dtype == "category" or pd.api.types.is_numeric_dtype(table.classes)
    if isinstance(model, CutNormalRatings) and scale is None and not ordered:
        raise DataError(
            f"method={name!r} needs an order of the labels, and column 'response' of labels holds words, such as "
            f"{table.classes[0]!r}; give a scale that lists them from low to high."
        )


def _fit(model: AnnotationModel, inference: Inference) -> Callable[..., Any]:
    """What fits a model to labels."""
    if inference == "map":
        from ..inference.annotation.point import kernel

        return kernel(model)
    if inference == "svi":
        from ..inference.annotation.svi import fit_svi

        return fit_svi
    from ..inference.annotation.nuts import sample_annotation

    return sample_annotation


def _check_options(fit: Callable[..., Any], options: Mapping[str, Any], name: str) -> None:
    """Raise `DataError` naming an option that a fit does not take."""
    known = dict(inspect.signature(fit).parameters)
    if known.pop("options", None):  # those of Pyro's sampler
        from pyro.infer import NUTS

        known |= inspect.signature(NUTS).parameters
    own = ("model", "labels", "seed", "potential_fn", "init_strategy", "max_plate_nesting")
    names = [each for each in known if each not in own]
    for each in options:
        if each not in names:
            raise DataError(f"{name} takes no option {each!r}; give one of {', '.join(names)}.")
