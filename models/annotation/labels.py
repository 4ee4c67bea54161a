"""A long table of labels as tensors: who said what about which item, sparse, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import DataError

UNKNOWN = -1


@dataclass(frozen=True)
class Labels:
    """Codes of items, workers and labels, one row a label; the same worker may label an item more than once.

    Attributes
    ----------
    item, worker, label
        Codes, int32 or int64, shape `(n_labels,)` each.
    n_items, n_workers, n_classes
        How many there are; codes without a row are allowed.
    known
        True class of the golden items and `UNKNOWN` (-1) elsewhere, int32 or int64, shape `(n_items,)`; all unknown by
        default.
    history
        Earlier labels of each worker for items of known truth: counts by worker, truth and label, shape
        `(n_workers, n_classes, n_classes)`; they need not be whole. None where there are none.

    Raises
    ------
    DataError
        When there is no label, codes are out of their range, or `history` is no table of counts.
    """

    item: Tensor
    worker: Tensor
    label: Tensor
    n_items: int
    n_workers: int
    n_classes: int
    known: Tensor | None = None
    history: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("item", "worker", "label"):
            limit = self.n_classes if name == "label" else getattr(self, f"n_{name}s")
            _check_codes(name, getattr(self, name), 0, limit, len(self.item))
        if not len(self.item):
            raise DataError("item, worker, label have no row; give at least one label.")
        if self.known is not None:
            _check_codes("known", self.known, UNKNOWN, self.n_classes, self.n_items)
        if self.history is not None:
            shape = (self.n_workers, self.n_classes, self.n_classes)
            if self.history.shape != shape:
                raise DataError(
                    f"history has shape {tuple(self.history.shape)}; give (workers, truth, label) = {shape}."
                )
            if not (self.history.isfinite().all() and (self.history >= 0).all()):
                raise DataError(f"history reaches down to {self.history.min().item()}; give finite counts, 0 or more.")

    @property
    def n_labels(self) -> int:
        """Rows."""
        return len(self.item)


def _check_codes(name: str, codes: Tensor, low: int, high: int, length: int) -> None:
    """Whole numbers from `low` to below `high`, `length` of them."""
    if codes.dtype not in (torch.int32, torch.int64) or codes.shape != (length,):
        shape = tuple(codes.shape)
        raise DataError(f"{name} is {codes.dtype} of shape {shape}; give int32 or int64 codes of shape ({length},).")
    if not len(codes):
        return
    least, most = (each.item() for each in codes.aminmax())
    if least < low or most >= high:
        raise DataError(f"{name} reaches from {least} to {most}; give codes from {low} to {high - 1}.")
