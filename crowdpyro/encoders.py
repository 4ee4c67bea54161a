"""Frozen text encoders: a sentence transformer, and TF-IDF with a truncated SVD where there is none.

A sentence's vector is the masked mean of the last hidden states put on the unit sphere,

    e(x) = h / |h|,   h = sum_k m_k h_k / sum_k m_k                (m_k: token k is no padding).

Source: Reimers and Gurevych (2019), Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks,
section 3; for TF-IDF, Deerwester et al. (1990), Indexing by Latent Semantic Analysis.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from .models.errors import DataError, ModelError
from .pretrained import (
    NO_CODE,
    ONLY_WEIGHTS,
    UNREADABLE,
    hub_options,
    quiet_loading,
    refuse_kernels,
    torch_threads,
    why_not,
)

logger = logging.getLogger(__name__)

TFIDF = "tfidf"
TFIDF_DIMENSIONS = 128
TFIDF_WORD = r"(?u)\b\w+\b"
BATCH_TOKENS = 4096

Vectors: TypeAlias = npt.NDArray[np.float32]
State: TypeAlias = dict[str, npt.NDArray[Any] | str | int]


class SentenceEncoder:
    """A frozen transformer with masked mean pooling and vectors of unit length.

    Vectors are remembered by text for the life of the object, and `load_encoder` hands out one object
    per set of weights: a study that meets the same 1,500 texts under ten seeds encodes them once.

    Parameters
    ----------
    name
        Recorded with what is built on the vectors.
    source
        Local folder or hub id.
    revision
        A hash of local files; on the hub the revision to load, resolved to its commit.
    threads
        Torch threads of a forward pass; None takes OMP_NUM_THREADS or every core.
    """

    def __init__(self, name: str, source: str, revision: str | None, threads: int | None = None) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = Path(source)
        where: dict[str, str | bool] = {}
        try:
            with quiet_loading():
                if not folder.is_dir():
                    where = hub_options(source, revision)
                refuse_kernels(source, where)
                self._tokenizer: Any = AutoTokenizer.from_pretrained(source, **where, **NO_CODE)
                self._network: Any = AutoModel.from_pretrained(source, **where, **ONLY_WEIGHTS)
        except ModelError:
            raise
        except UNREADABLE as error:
            raise ModelError(
                f"encoder={source!r} cannot be loaded ({why_not(error, where)}). Give 'auto', 'minilm', 'tfidf', a "
                "folder with config.json, tokenizer and weights, or the id of a model on the hub."
            ) from error
        self._network.float().eval().requires_grad_(False)
        self.name = name
        resolved = None if folder.is_dir() else getattr(self._network.config, "_commit_hash", None)
        self.revision = resolved or revision or "main"
        self.max_tokens = _max_tokens(folder, self._tokenizer, self._network)
        self._threads = threads
        self._known: dict[str, Vectors] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, shape `(n_texts, d)`, on the unit sphere; what `max_tokens` cuts off is logged."""
        check_texts(texts)
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh:
            ids = self._ids(fresh)
            for batch in _batches([len(row) for row in ids]):
                vectors = self._pooled([ids[i] for i in batch])
                self._known.update(zip((fresh[i] for i in batch), vectors, strict=True))
        return np.stack([self._known[text] for text in texts])

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Tokens of every text, none longer than `max_tokens`."""
        ids: list[list[int]] = self._tokenizer(texts, verbose=False)["input_ids"]
        long = [i for i, row in enumerate(ids) if len(row) > self.max_tokens]
        if long:
            logger.warning(
                "encoder %s: %d of %d texts are longer than its %d tokens and were cut.",
                self.name,
                len(long),
                len(texts),
                self.max_tokens,
            )
            cut = self._tokenizer([texts[i] for i in long], truncation=True, max_length=self.max_tokens)["input_ids"]
            for i, row in zip(long, cut, strict=True):
                ids[i] = row
        return ids

    def _pooled(self, rows: list[list[int]]) -> Vectors:
        """Masked mean of the last hidden states, on the unit sphere."""
        import torch

        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        with torch.inference_mode(), torch_threads(self._threads):
            states = self._network(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            return np.asarray(torch.nn.functional.normalize(mean, dim=1).numpy(), dtype=np.float32)


class TfidfEncoder:
    """Latent semantic analysis: TF-IDF weights reduced by a truncated SVD, both of the training texts.

    It knows only the words of the texts it was fitted on; a text of other words is the zero vector.
    """

    name = TFIDF
    revision = "1"

    def __init__(self) -> None:
        self._words: tuple[str, ...] = ()
        self._weights: npt.NDArray[np.float64] | None = None
        self._directions: npt.NDArray[np.float64] | None = None

    def fitted(self, texts: Sequence[str]) -> TfidfEncoder:
        """Fit a new encoder to `texts`; this one stays as it is, so splits cannot leak into each other."""
        from sklearn.decomposition import TruncatedSVD

        check_texts(texts)
        vectorizer = self._vectorizer()
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise DataError(
                f"column 'text': TF-IDF finds no words ({error}); load another encoder, or give n_components=0."
            ) from error
        new = TfidfEncoder()
        new._words = tuple(vectorizer.get_feature_names_out())
        new._weights = np.asarray(vectorizer.idf_, dtype=np.float64)
        size = max(1, min(TFIDF_DIMENSIONS, len(new._words) - 1, len(texts) - 1))
        if len(new._words) == 1:
            new._directions = np.ones((1, 1))
        else:
            # Texts of equal words have no variance, whose share scikit-learn divides by; whoever needs texts that
            # differ says so.
            with np.errstate(divide="ignore", invalid="ignore"):
                new._directions = TruncatedSVD(size, random_state=0).fit(counts).components_
        return new

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, shape `(n_texts, d)`; raises `ModelError` before `fitted`."""
        check_texts(texts)
        if self._weights is None or self._directions is None:
            raise ModelError("encoder='tfidf' is not fitted: call fitted(texts) with the training texts first.")
        vectorizer = self._vectorizer(vocabulary=list(self._words))
        vectorizer.idf_ = self._weights
        return np.asarray(vectorizer.transform(texts) @ self._directions.T, dtype=np.float32)

    def state(self) -> State:
        """Arrays and one JSON text from which `from_state` rebuilds the fitted encoder."""
        if self._weights is None or self._directions is None:
            raise ModelError("encoder='tfidf' is not fitted: there is nothing to save.")
        return {"words": json.dumps(self._words), "weights": self._weights, "directions": self._directions}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted encoder."""
        new = cls()
        new._words = tuple(json.loads(state["words"]))
        new._weights = np.asarray(state["weights"], dtype=np.float64)
        new._directions = np.asarray(state["directions"], dtype=np.float64)
        n_words = len(new._words)
        if new._weights.shape != (n_words,) or new._directions.ndim != 2 or new._directions.shape[1] != n_words:
            raise ModelError(f"encoder='tfidf': {n_words} words were saved, and arrays of another number.")
        if len({word for word in new._words if isinstance(word, str)}) != n_words:
            raise ModelError("encoder='tfidf': a saved word repeats, or is no text.")
        return new

    @staticmethod
    def _vectorizer(**more: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(sublinear_tf=True, token_pattern=TFIDF_WORD, **more)


def _max_tokens(folder: Path, tokenizer: Any, network: Any) -> int:
    """Take the least of what was recorded, the tokenizer allows and the network has positions for."""
    limits = [tokenizer.model_max_length, getattr(network.config, "max_position_embeddings", None)]
    recorded = folder / "sentence_bert_config.json"
    if recorded.is_file():
        limits.append(json.loads(recorded.read_text(encoding="utf-8")).get("max_seq_length"))
    return min(int(limit) for limit in limits if limit)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group indices by length, longest first, within the token budget."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        size = max(1, BATCH_TOKENS // lengths[order[0]])
        yield order[:size]
        order = order[size:]


def check_texts(texts: Sequence[str]) -> None:
    """Raise `DataError` on no texts, or on one that is missing or blank."""
    if not len(texts):
        raise DataError("column 'text': no texts; give at least one.")
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"column 'text': {text!r} (row {i}) is no text; give every problem one.")
