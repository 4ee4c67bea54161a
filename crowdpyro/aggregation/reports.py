"""Reports on participants and problems, from the expected counts C of labels by worker, label and truth.

accuracy_w   = sum_k C_wkk / n_w
bias_w       = max_l [sum_k C_wlk - sum_k C_wkl] / n_w                  what w says more often than it is true
spammer_w    = 1 / (K (K - 1)) sum_{k < k'} sum_l (P_wkl - P_wk'l)^2    (Raykar and Yu 2012): 0 is a spammer, 1 perfect
difficulty_t = 1 - (1 / n_t) sum_{n of t} P(truth_t = l_n | labels)

with P the confusion matrices. All are posterior expectations of what is asked, not counts of agreement with the winner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .table import LabelTable

if TYPE_CHECKING:
    from ..inference.annotation.posterior import AnnotationFit
    from ..models.annotation.base import AnnotationModel

FloatArray = npt.NDArray[np.float64]

# Sites with a number a problem; other sites of that length are of participants.
_OF_PROBLEMS = ("log_ease",)


def confusion(table: LabelTable, fit: AnnotationFit, model: AnnotationModel | None) -> FloatArray:
    """P(label | truth) of each participant, `(n_participants, n_labels, n_labels)`, rows of one truth.

    Averaged over draws where there are any. The majority has no model: shares of expected counts, one label spread
    evenly over each row added, so that a truth that somebody never met has equal shares.
    """
    if model is None:
        counts = _counts(table, fit).swapaxes(1, 2) + 1 / len(table.classes)
        return np.asarray(counts / counts.sum(axis=2, keepdims=True))
    if not fit.draws:
        return np.asarray(model.log_confusion(fit.params, table.labels).exp().numpy())
    flat = {name: value.flatten(0, 1) for name, value in fit.draws.items()}
    n_draws = len(next(iter(flat.values())))
    each = ({name: value[draw] for name, value in flat.items()} for draw in range(n_draws))
    return np.asarray(sum(model.log_confusion(params, table.labels).exp().numpy() for params in each) / n_draws)


def participants(table: LabelTable, fit: AnnotationFit, confusion: FloatArray) -> pd.DataFrame:
    """One row a participant; see `Aggregation.participants`."""
    counts = _counts(table, fit)
    said, true = counts.sum(axis=2), counts.sum(axis=1)
    n_labels = said.sum(axis=1)
    over = (said - true) / n_labels[:, None]
    towards = over.argmax(axis=1)
    columns: dict[str, Any] = {
        "n_labels": n_labels.round().astype(np.int64),
        "accuracy": np.einsum("wkk->w", counts) / n_labels,
        "bias": over.max(axis=1),
        "bias_towards": table.classes[towards],
        "spammer_score": spammer_score(confusion),
    }
    if pd.api.types.is_numeric_dtype(table.classes) and not pd.api.types.is_bool_dtype(table.classes):
        columns["shift"] = over @ table.classes.to_numpy(dtype=np.float64)
    for name, values in _parameters(fit, len(table.participants), of_problems=False).items():
        # One model's `accuracy` and another's `bias` are parameters, beside what is expected of the labels at hand.
        columns[f"{name}_parameter" if name in columns else name] = values
    return pd.DataFrame(columns, index=table.participants)


def problems(table: LabelTable, fit: AnnotationFit, labels: pd.Series) -> pd.DataFrame:
    """One row a problem; see `Aggregation.problems`."""
    truth = fit.truth.numpy()
    item, label = table.labels.item.numpy(), table.labels.label.numpy()
    n_labels = np.bincount(item, minlength=len(truth))
    right = np.bincount(item, truth[item, label], len(truth))
    columns = {
        "n_labels": n_labels,
        "label": labels,
        "probability": truth.max(axis=1),
        "entropy": fit.entropy.numpy(),
        "difficulty": 1 - right / n_labels,
    }
    return pd.DataFrame(columns | _parameters(fit, len(truth), of_problems=True), index=table.problems)


def spammer_score(confusion: FloatArray) -> FloatArray:
    """How far apart the rows of each confusion matrix are, shape `(n_participants,)`; of a single class 0."""
    n_classes = confusion.shape[-1]
    # Over all pairs of rows, sum_l of squared differences is K sum_k P_kl^2 - (sum_k P_kl)^2.
    apart = n_classes * np.square(confusion).sum(axis=1) - np.square(confusion.sum(axis=1))
    return np.asarray(apart.sum(axis=1) / max(n_classes * (n_classes - 1), 1))


def _counts(table: LabelTable, fit: AnnotationFit) -> FloatArray:
    """Expected labels by participant, label and truth."""
    from ..inference.annotation.votes import Votes

    return np.asarray(Votes(table.labels).counts(fit.truth.numpy()))


def _parameters(fit: AnnotationFit, n: int, *, of_problems: bool) -> dict[str, FloatArray]:
    """The model's numbers of each participant or problem, with their posterior standard deviations if any."""
    spread = fit.uncertainty
    columns = {}
    for name, value in fit.params.items():
        if value.shape == (n,) and name != "prevalence" and (name in _OF_PROBLEMS) == of_problems:
            columns[name] = value.numpy()
    return columns | {f"{name}_sd": spread[name].numpy() for name in columns if name in spread}
