"""Position bias: the options shown in several orders, and what the order does averaged out.

If an order adds b_pos to an option's log-probability wherever it stands,

    log p_r(o) = u_o + b_{pos_r(o)} - c_r,     then     mean_r log p_r(o) = u_o + mean_j b_j + const

over orders r in which every option stands equally often at every place: the mean of logarithms, normalised, is
softmax(u) whatever the bias. `cyclic` (n orders) and `all` (n! orders) are such sets; `reversed` (2 orders) removes a
bias that is odd about the middle, such as a linear one, and keeps numbers in order. With letters, the letter moves with
the place, so that a liking for "A" is averaged out as well.

Source: Zheng et al. (2024), Large language models are not robust multiple choice selectors, ICLR, section 4.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from ..models.errors import DataError
from .backbone import FloatArray
from .distributions import log_normalised

Permutations: TypeAlias = Literal["none", "reversed", "cyclic", "all"]

# Above it, all orders are more than 120 a prompt.
_MOST_FOR_ALL = 5


@dataclass(frozen=True)
class Presentation:
    """Options in one order.

    Attributes
    ----------
    line
        The sentence that lists them, for `{options}`.
    answers
        What may follow the prompt, in the order shown.
    places
        Which option each answer stands for.
    """

    line: str
    answers: tuple[str, ...]
    places: tuple[int, ...]

    def by_option(self, logs: FloatArray) -> FloatArray:
        """Values in the order of the options, from values in the order shown, along the last axis."""
        sorted_logs = np.empty_like(logs)
        sorted_logs[..., list(self.places)] = logs
        return sorted_logs


def presentations(
    labels: Sequence[str], permutations: Permutations = "none", *, letters: bool = False, noun: str = "answer"
) -> list[Presentation]:
    """The options in every order of a set of permutations.

    Parameters
    ----------
    labels
        The options.
    permutations
        `none`, `reversed`, `cyclic` or `all` (see the module).
    letters
        Show "A) yes  B) no" and score the letter, so that long options are not scored by their length.
    noun
        What an answer is called: "number" or "answer".

    Raises
    ------
    DataError
        For an unknown set, all orders of more than five options, or letters for more than 26.
    """
    n = len(labels)
    if letters and n > len(string.ascii_uppercase):
        raise DataError(f"letters=True: {n} options and only 26 letters; give letters=False.")
    shown = []
    for order in _orders(n, permutations):
        listed = [labels[option] for option in order]
        if letters:
            marks = tuple(string.ascii_uppercase[:n])
            pairs = "  ".join(f"{mark}) {label}" for mark, label in zip(marks, listed, strict=True))
            shown.append(Presentation(f"Choose one letter: {pairs}.", marks, order))
        else:
            shown.append(Presentation(f"Choose one {noun}: {', '.join(listed)}.", tuple(listed), order))
    return shown


def averaged(logs: FloatArray) -> FloatArray:
    """Mean over orders, the second axis from the end, of normalised log-probabilities, normalised again."""
    return log_normalised(log_normalised(logs).mean(axis=-2))


def _orders(n: int, permutations: Permutations) -> list[tuple[int, ...]]:
    straight = tuple(range(n))
    if permutations == "none":
        return [straight]
    if permutations == "reversed":
        return [straight, straight[::-1]]
    if permutations == "cyclic":
        return [straight[first:] + straight[:first] for first in range(n)]
    if permutations == "all":
        if n > _MOST_FOR_ALL:
            raise DataError(f"permutations='all': {n} options have more than 120 orders; give 'cyclic'.")
        return list(itertools.permutations(straight))
    raise DataError(f"permutations={permutations!r}: give one of {', '.join(map(repr, get_args(Permutations)))}.")
