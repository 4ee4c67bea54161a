"""Texts of several lines, such as what ten people wrote: the mean of the lines' embeddings.

e(x) = (1/L) sum_l e(x_l). A sentence encoder reads the first 256 tokens of a text; a mean over lines hears everyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .encoders import Vectors, check_texts
from .models.errors import ModelError

if TYPE_CHECKING:
    from .text import TextEncoder

PREFIX = "lines:"


class LineEncoder:
    """Wraps a text encoder.

    Parameters
    ----------
    encoder
        Embeds one line; one that has to be fitted first (TF-IDF) is refused.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        if hasattr(encoder, "fitted"):
            raise ModelError(
                f"encoder='{PREFIX}{encoder.name}': {encoder.name} is fitted to whole texts; take a sentence encoder."
            )
        self.encoder = encoder
        self.name, self.revision = PREFIX + encoder.name, encoder.revision

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, shape `(n_texts, d)`; blank lines are passed over."""
        check_texts(texts)
        lines = [[line for line in text.splitlines() if line.strip()] for text in texts]
        vectors = self.encoder.encode([line for each in lines for line in each])
        ends = np.cumsum([len(each) for each in lines])
        sums = np.add.reduceat(vectors, np.concatenate([[0], ends[:-1]]), axis=0, dtype=np.float64)
        return np.asarray(sums / np.array([len(each) for each in lines])[:, None], dtype=np.float32)
