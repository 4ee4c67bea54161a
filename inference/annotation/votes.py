"""Labels as one sparse matrix, with which both steps of EM are products.

N[i, w K + l] = how often worker w gave label l to item i

E-step  s_ik  = log pi_k + sum_n log p(l_n | z = k, w_n)   = log pi_k + (N log P)_ik,    q_i = softmax(s_i)
M-step  C_wlk = sum_n [w_n = w, l_n = l] q_{i_n k}         = (N^T q)_{wl, k}

where P[w K + l, k] = p(label l | truth k, worker w). The labels are sorted once, by item: N^T is read off the same
rows. In float64, products of scipy's CSR are 12 to 20 times faster than sums by torch's `embedding_bag` (a million
labels: 2.6 and 2.0 ms against 41 and 44) and take half the memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ...models.annotation.labels import UNKNOWN, Labels
from ...models.errors import DataError

FloatArray = npt.NDArray[np.floating]

_MOST_CELLS = 2**27


class Votes:
    """A table of labels, sorted.

    Parameters
    ----------
    labels
        Sparse and in any order; repeated rows count as often as they stand there.
    dtype
        Of all arithmetic: float64, or float32 for half the memory.

    Attributes
    ----------
    matrix
        N above, shape `(n_items, n_workers n_classes)`.

    Raises
    ------
    DataError
        Where a confusion matrix a worker would take more than a gigabyte.
    """

    def __init__(self, labels: Labels, dtype: npt.DTypeLike = np.float64) -> None:
        self.n_labels, self.n_items = labels.n_labels, labels.n_items
        self.n_workers, self.n_classes = labels.n_workers, labels.n_classes
        self.dtype = np.dtype(dtype)
        n_columns = self.n_workers * self.n_classes
        if n_columns * self.n_classes > _MOST_CELLS:
            raise DataError(
                f"labels: {self.n_workers:,} participants and {self.n_classes:,} labels make "
                f"{n_columns * self.n_classes:,} cells of confusion matrices, beyond {_MOST_CELLS:,}; pool rare "
                "labels, or give method='majority' or 'glad'."
            )
        code = np.dtype(np.int32 if max(n_columns, self.n_items, self.n_labels) < 2**31 else np.int64)
        column: npt.NDArray[Any] = labels.worker.numpy().astype(code)
        column *= self.n_classes
        column += labels.label.numpy()
        row = labels.item.numpy().astype(code)
        # Counted in four bytes each while both orders are in memory.
        ones = np.ones(self.n_labels, np.int32)
        counts = sparse.csr_array((ones, (row, column)), shape=(self.n_items, n_columns))
        del row, column, ones
        self.matrix: Any = counts.astype(self.dtype)
        known = np.full(self.n_items, UNKNOWN) if labels.known is None else labels.known.numpy()
        self._golden = np.flatnonzero(known != UNKNOWN)
        # Added to a golden item's scores, it leaves the true class alone.
        self._barrier = np.full((len(self._golden), self.n_classes), -np.inf, self.dtype)
        self._barrier[np.arange(len(self._golden)), known[self._golden]] = 0.0

    def shares(self) -> FloatArray:
        """Each item's share of votes for every class, golden items at their truth, `(n_items, n_classes)`.

        An item without labels has equal shares.
        """
        shares = self.matrix @ np.tile(np.eye(self.n_classes, dtype=self.dtype), (self.n_workers, 1))
        total = shares @ np.ones(self.n_classes, self.dtype)
        shares[total == 0] = 1.0
        total[total == 0] = self.n_classes
        shares /= total[:, None]
        shares[self._golden] = self._barrier == 0.0
        return shares

    def posterior(self, log_prevalence: FloatArray, log_table: FloatArray) -> tuple[FloatArray, float]:
        """The E-step: truth of every item given the parameters, and the log likelihood with the truth summed out.

        Parameters
        ----------
        log_prevalence
            log pi, shape `(n_classes,)`.
        log_table
            log P, shape `(n_workers n_classes, n_classes)`, finite wherever a label was given.

        Returns
        -------
        tuple of ndarray and float
            q, shape `(n_items, n_classes)`; nats.
        """
        score = self.matrix @ log_table
        score += log_prevalence
        score[self._golden] += self._barrier
        return normalised(score)

    def counts(self, truth: FloatArray) -> FloatArray:
        """The sum of the M-step: expected labels by worker, label and truth, `(n_workers, n_classes, n_classes)`."""
        return np.asarray(self.matrix.T @ truth).reshape(self.n_workers, self.n_classes, self.n_classes)

    def given(self) -> FloatArray:
        """How often each worker gave each label, `(n_workers, n_classes)`."""
        return np.asarray(self.matrix.sum(axis=0)).reshape(self.n_workers, self.n_classes)


def normalised(score: FloatArray) -> tuple[FloatArray, float]:
    """Softmax of every row, in the scores' own memory, and the sum of the rows' logsumexp."""
    # Class by class: numpy's maximum over a short last axis takes as long as the rest together.
    top = score[:, 0].copy()
    for each in score.T[1:]:
        np.maximum(top, each, out=top)
    score -= top[:, None]
    np.exp(score, out=score)
    total = score @ np.ones(score.shape[1], score.dtype)
    score /= total[:, None]
    return score, float(top.sum(dtype=np.float64) + np.log(total).sum(dtype=np.float64))
