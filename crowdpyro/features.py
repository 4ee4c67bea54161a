"""What g_x sees of a problem: the references themselves, and a few components of its text.

Reference columns are option probabilities (or mean and spread of draws on a continuous scale), one block a source,
zero-shot and persona mean apart, centred on the training problems. Text columns are principal components
(`crowdpyro.text`). Each kind is scaled together to unit mean squared norm, so that the normal prior of the encoder's
weights allows it the same say however many columns it has: a panel of nine LLMs overfits otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError, MissingReferenceError, ModelError
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Scale
from .references import References
from .tables import shown

if TYPE_CHECKING:
    from .text import TextComponents

FloatArray = npt.NDArray[np.float64]

# An LLM that gives an option no chance at all has still not proved that no person will choose it.
_FLOOR = 1e-3


@dataclass
class ProblemFeatures:
    """Covariates of problems, fitted on the training problems alone.

    Attributes
    ----------
    scale
        The response's scale.
    sources
        Names of the LLMs, in order; empty without references.
    centre, norm
        Training mean of the reference columns, and their root mean squared norm about it.
    text
        Fitted text components; None without text.
    fallback
        y_ref (or log weights) of a model without references: the middle of the training answers.
    """

    scale: Scale
    sources: tuple[str, ...]
    centre: FloatArray
    norm: float
    text: TextComponents | None
    fallback: FloatArray

    @classmethod
    def fit(
        cls,
        problems: pd.DataFrame,
        references: References | None,
        text: TextComponents | None,
        scale: Scale,
        response: FloatArray,
    ) -> ProblemFeatures:
        """Fit centres and components on training problems, `text` being yet unfitted."""
        columns = _reference_columns(references, scale, len(problems))
        if text is not None:
            text.fit(list(problems["text"]))
        if isinstance(scale, Categorical):
            share = np.bincount(response.astype(int), minlength=scale.n_levels) + 1.0
            fallback = np.log(share / share.sum())
        elif isinstance(scale, Ballot):
            # As if one more ballot had been spread evenly; of approvals, one for and one against.
            votes = response.sum(axis=0) + (1.0 if scale.total is None else scale.total / scale.n_levels)
            fallback = log_weights(votes / (len(response) + 2.0 if scale.total is None else votes.sum()), scale)
        else:
            fallback = np.array(np.mean(np.asarray(scale.decode(response), dtype=float)))
        names = () if references is None else references.names
        centre = columns.mean(axis=0)
        norm = float(np.sqrt(np.square(columns - centre).sum(axis=1).mean()))
        return cls(scale, names, centre, norm if norm > 0 else 1.0, text, fallback)

    def transform(
        self, problems: pd.DataFrame, references: References | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Covariates `(n_problems, n_features)` and y_ref `(n_problems, ...)` of problems in this order."""
        references = self._check(references, problems)
        parts: list[npt.NDArray[Any]] = [
            (_reference_columns(references, self.scale, len(problems)) - self.centre) / self.norm
        ]
        if self.text is not None:
            parts.append(self.text.transform(list(problems["text"])))
        features = np.concatenate(parts, axis=1).astype(np.float32)
        return features, self.reference(references, len(problems)).astype(np.float32)

    def reference(self, references: References | None, n_problems: int) -> FloatArray:
        """y_ref in the unit of the response, or log weights of the options: labels, and those of a ballot."""
        if references is None:
            return np.broadcast_to(self.fallback, (n_problems, *self.fallback.shape)).copy()
        if isinstance(self.scale, Categorical | Ballot):
            return log_weights(np.mean([source.base() for source in references], axis=0), self.scale)
        return references.expected()

    def _check(self, references: References | None, problems: pd.DataFrame) -> References | None:
        if not self.sources:
            return None
        if references is None:
            raise MissingReferenceError(
                f"problem {shown(problems.index[0])} ({len(problems)} such) has no reference; pass references= of "
                f"{', '.join(self.sources)} for these problems."
            )
        if references.names != self.sources:
            raise ModelError(
                f"references are of {', '.join(references.names)}; the model was fitted with {', '.join(self.sources)}"
                ". Give the same LLM's answers, under the same name in the column 'model' of the references."
            )
        if references.scale != self.scale:
            raise DataError(f"references are on {references.scale}, the model on {self.scale}; put them on one scale.")
        return references.select(problems.index).fill("error")

    @property
    def n_columns(self) -> int:
        """Columns of the covariates."""
        return len(self.centre) + (0 if self.text is None else self.text.n_components_)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """JSON-ready settings and arrays."""
        arrays = {"centre": self.centre, "fallback": self.fallback}
        settings: dict[str, Any] = {"sources": list(self.sources), "norm": self.norm, "text": None}
        if self.text is not None:
            state = self.text.state()
            arrays |= {f"text.{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
            settings["text"] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
        return settings, arrays

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], scale: Scale) -> ProblemFeatures:
        """The inverse of `state`."""
        text = None
        if settings["text"] is not None:
            from .text import TextComponents

            saved = {k.removeprefix("text."): v for k, v in arrays.items() if k.startswith("text.")}
            text = TextComponents.from_state({**settings["text"], **saved})
        return cls(scale, tuple(settings["sources"]), arrays["centre"], settings["norm"], text, arrays["fallback"])


def log_weights(probs: FloatArray, scale: Scale) -> FloatArray:
    """Log probabilities of the options; of approvals, which exclude each other in nothing, log odds."""
    if isinstance(scale, Ballot) and scale.rule == "approval":
        probs = probs.clip(_FLOOR, 1 - _FLOOR)
        return np.asarray(np.log(probs) - np.log1p(-probs))
    return np.asarray(np.log(np.maximum(probs, _FLOOR)))


def _reference_columns(references: References | None, scale: Scale, n_problems: int) -> FloatArray:
    """One block a source, uncentred."""
    if references is None:
        return np.zeros((n_problems, 0))
    blocks = []
    for source in references:
        base, personas = source.base(), source.persona_mean()
        if isinstance(scale, Continuous):
            blocks.append(np.stack([np.nanmean(base, axis=1), np.nanstd(base, axis=1)], axis=1))
        else:
            blocks.append(base)
            if personas is not None:
                blocks.append(np.where(np.isnan(personas), base, personas))
    return np.concatenate(blocks, axis=1)
