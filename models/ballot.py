"""Ballots: answers that speak of several options at once.

rule        a ballot is                             written        as numbers, one an option
approval    any of the M options, none included     A|C, none      1 approved, 0 not
choose      exactly n of the M options              A|C            1 chosen, 0 not
rank        the best n of the M options, in order   C|A            n for the best down to 1, 0 for the rest
points      n whole points spread over the options  A=3|C=7        the points

The numbers of a ranking are a Borda count, so that a mean over ballots means something under every rule.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DataError
from .off_scale import label_text, off_scale

FloatArray: TypeAlias = npt.NDArray[np.float64]
Rule: TypeAlias = Literal["approval", "choose", "rank", "points"]

SEPARATOR = "|"
# How a person writes that no option is approved; an empty cell is no answer at all.
EMPTY = "none"


@dataclass(frozen=True)
class Ballot:
    """A vote on several options.

    Parameters
    ----------
    options
        Names, unique, at least two, none with a `|`. Nothing depends on their order.
    rule
        `approval`, `choose`, `rank` or `points` (see the module).
    n
        How many options are chosen or ranked, or how many points are spread; None for approval.

    Raises
    ------
    DataError
        When the rule is unknown, options are too few, repeat or are no names, or `n` does not suit the rule.

    Examples
    --------
    >>> Ballot(("A", "B", "C"), "rank", 2).encode(["C|A"])
    array([[1., 0., 2.]])
    """

    options: tuple[str, ...]
    rule: Rule
    n: int | None = None
    kind: ClassVar[str] = "ballot"

    def __post_init__(self) -> None:
        options = tuple(str(option).strip() for option in self.options)
        object.__setattr__(self, "options", options)
        if self.rule not in get_args(Rule):
            raise DataError(f"rule={self.rule!r}: give one of {', '.join(map(repr, get_args(Rule)))}.")
        if len(options) < 2:
            raise DataError(f"options={options}: a ballot needs at least two options.")
        if len(set(options)) < len(options):
            raise DataError(f"options={options}: options repeat; give each option once.")
        if any(option == "" or SEPARATOR in option for option in options):
            raise DataError(f"options={options}: an option is empty or holds a {SEPARATOR!r}, which joins options.")
        if self.rule == "approval":
            if self.n is not None:
                raise DataError(f"n={self.n}: an approval ballot may approve any number; leave n out.")
            if EMPTY in (option.casefold() for option in options):
                raise DataError(f"options={options}: {EMPTY!r} is the ballot that approves nothing; rename the option.")
            return
        if not isinstance(self.n, int | np.integer) or isinstance(self.n, bool) or self.n < 1:
            raise DataError(f"n={self.n!r}: rule {self.rule!r} needs a whole number, at least 1.")
        object.__setattr__(self, "n", int(self.n))
        if self.rule != "points" and self.n > len(options):
            raise DataError(f"n={self.n}: there are only {len(options)} options to {self.rule}; give fewer.")

    @property
    def n_levels(self) -> int:
        """Number of options M, the width of an encoded ballot."""
        return len(self.options)

    @property
    def labels(self) -> tuple[str, ...]:
        """The options."""
        return self.options

    @property
    def total(self) -> float | None:
        """Sum of a ballot's numbers, the same for every ballot; None for approval, where it varies."""
        if self.n is None:
            return None
        return self.n * (self.n + 1) / 2 if self.rule == "rank" else float(self.n)

    @property
    def highest(self) -> int:
        """The most that one option can get."""
        return self.n if self.n is not None and self.rule in ("rank", "points") else 1

    def encode(
        self,
        answers: Sequence[Any] | npt.ArrayLike,
        name: str = "response",
        rows: Sequence[Any] | pd.Index | None = None,
    ) -> FloatArray:
        """Numbers of the options, shape `(n, n_levels)`; raises `DataError` on what is no such ballot."""
        given, read = self._readings(answers)
        wrong = np.array([isinstance(read[text], str) for text in given], dtype=bool)
        if wrong.any():
            reason = read[given[int(np.flatnonzero(wrong)[0])]]
            raise DataError(off_scale(name, given, wrong, f"{self._form()}: {reason}", rows) + ".")
        return np.array([read[text] for text in given], dtype=np.float64).reshape(len(given), self.n_levels)

    def valid(self, answers: Sequence[Any] | npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which answers are such ballots, shape `(n,)`."""
        given, read = self._readings(answers)
        return np.array([not isinstance(read[text], str) for text in given], dtype=bool)

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Ballots as text, shape that of `codes` `(..., n_levels)` without its last axis."""
        numbers = np.asarray(codes)
        flat = numbers.reshape(-1, self.n_levels)
        texts = np.empty(len(flat), dtype=object)
        texts[:] = [self._write(row) for row in flat]
        return texts.reshape(numbers.shape[:-1])

    def _readings(self, answers: Any) -> tuple[list[str], dict[str, FloatArray | str]]:
        """The answers as text, and of each text the numbers of its options, or what is wrong with it."""
        given = [label_text(answer) for answer in np.asarray(answers, dtype=object).ravel()]
        read: dict[str, FloatArray | str] = {}
        for text in dict.fromkeys(given):
            try:
                read[text] = self._read(text)
            except ValueError as error:
                read[text] = str(error)
        return given, read

    def _read(self, text: str) -> FloatArray:
        """Numbers of a ballot; raises `ValueError` with what is wrong with it."""
        numbers = np.zeros(self.n_levels)
        if self.rule == "approval" and text.strip().casefold() == EMPTY:
            return numbers
        parts = [part.strip() for part in text.split(SEPARATOR)]
        seen: set[str] = set()
        for place, part in enumerate(parts):
            option, score = self._points(part) if self.rule == "points" else (part, 1.0)
            if option not in self.options:
                raise ValueError(f"the option {option!r} is unknown{self._near(option)}")
            if option in seen:
                raise ValueError(f"the option {option!r} stands there twice")
            seen.add(option)
            numbers[self.options.index(option)] = self.n - place if self.rule == "rank" and self.n else score
        if self.rule in ("choose", "rank") and len(parts) != self.n:
            raise ValueError(f"it has {len(parts)} option{'s' if len(parts) > 1 else ''}")
        if self.rule == "points" and numbers.sum() != self.n:
            raise ValueError(f"its points sum to {numbers.sum():g}")
        return numbers

    @staticmethod
    def _points(part: str) -> tuple[str, float]:
        """Option and points of `OPTION=POINTS`."""
        option, equals, points = (each.strip() for each in part.rpartition("="))
        if not equals or not re.fullmatch(r"[-+]?\d+(\.0*)?", points):
            raise ValueError(f"{part!r} is not OPTION=POINTS with whole points")
        if float(points) < 0:
            raise ValueError(f"{part!r} has negative points")
        return option, float(points)

    def _write(self, numbers: npt.NDArray[Any]) -> str:
        """The text of one encoded ballot."""
        order = np.argsort(-numbers, kind="stable") if self.rule == "rank" else np.arange(self.n_levels)
        chosen = [place for place in order if numbers[place] > 0]
        if self.rule == "points":
            return SEPARATOR.join(f"{self.options[place]}={numbers[place]:.0f}" for place in chosen)
        return SEPARATOR.join(self.options[place] for place in chosen) or EMPTY

    def _form(self) -> str:
        """What a ballot of this rule looks like, with an example of its own."""
        first = self.options[: self.n]
        if self.rule == "approval":
            return f"options joined by {SEPARATOR!r}, such as {SEPARATOR.join(self.options[:2])}, or {EMPTY!r}"
        if self.rule == "points":
            return f"{self.n} points such as {self.options[0]}={self.n}, or several of them joined by {SEPARATOR!r}"
        order = "in order, the best first" if self.rule == "rank" else "in any order"
        example = SEPARATOR.join(first) if len(first) <= 6 else SEPARATOR.join((*first[:5], "..."))
        return f"{self.n} options {order}, such as {example}"

    def _near(self, option: str) -> str:
        """The option that may be meant."""
        folded = {each.casefold(): each for each in reversed(self.options)}
        near = difflib.get_close_matches(option.casefold(), folded, 1, cutoff=0.7)
        if near:
            return f", did you mean {folded[near[0]]!r}?"
        return f"; known are {', '.join(self.options[:10])}{', ...' if self.n_levels > 10 else ''}"


def parse_ballot(text: str) -> Ballot | None:
    """Ballot written as `approval:A,B`, `choose:2:A,B,C`, `rank:2:A,B,C` or `points:10:A,B`; None for other texts."""
    match = re.fullmatch(rf"\s*({'|'.join(get_args(Rule))})\s*:(.*)", text, re.IGNORECASE | re.DOTALL)
    if match is None:
        return None
    rule = cast(Rule, match[1].lower())
    number, options = None, match[2]
    if rule != "approval":
        front, colon, options = match[2].partition(":")
        front = front.strip()
        # int() refuses thousands of digits.
        if not colon or not re.fullmatch(r"\d{1,18}", front):
            raise DataError(f"scale={text!r}: write {rule}:N:OPTION,OPTION,..., such as {rule}:2:A,B,C.")
        number = int(front)
    names = tuple(part.strip() for part in options.split(","))
    if "" in names:
        raise DataError(f"scale={text!r}: an option is empty; write OPTION,OPTION,... without a comma too many.")
    return Ballot(names, rule, number)
