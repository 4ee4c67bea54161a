"""Free text read as answers on a scale; what cannot be read is missing, never a guess.

In order, after any closed thinking block is cut off:

    1. the text begins with an answer, and nothing says otherwise:        "4", "4 out of 5", "Agree. Because ..."
    2. exactly one answer stands in it, and is not negated:               "I would rate this a 4."
    3. anything else is no answer:                                        "between 2 and 4", "As a model I ..."
"""

from __future__ import annotations

import re

from ..models.ballot import EMPTY, SEPARATOR, Ballot
from ..models.scales import Categorical, Ordinal, Scale

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER = re.compile(r"(?<![\w.,])[-+\u2212]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w]|[.,]\d)")
# "4/5", "4 out of 5": the second number is the scale's.
_OUT_OF = re.compile(r"\s*(?:/|out of|of)\s*(?:\d+(?:\.\d+)?)", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\bnot|\bnever|n't|\bneither|\bnor)\s+(?:\w+\s+){0,2}[\"'*(]*$", re.IGNORECASE)
_OPENING = "\"'*_([ \t\n#:"


def read_answer(text: str, scale: Scale) -> str | float | None:
    """The answer that a text gives, as `scale.encode` takes it; None where it gives none.

    Examples
    --------
    >>> read_answer("I'd say 4 out of 5.", Ordinal.range(1, 5))
    4.0
    >>> read_answer("Somewhere between 2 and 4.", Ordinal.range(1, 5)) is None
    True
    """
    said = _after_thinking(text)
    if said is None:
        return None
    if isinstance(scale, Ballot):
        return _ballot(said, scale)
    if isinstance(scale, Categorical):
        return _label(said, scale.labels)
    number = _number(said, words=isinstance(scale, Ordinal))
    if number is None:
        return None
    if isinstance(scale, Ordinal):
        return number if number in scale.levels else None
    return number if scale.low <= number <= scale.high else None


def _after_thinking(text: str) -> str | None:
    """What follows the last closed thinking block; None where one was cut short."""
    _, closed, after = text.rpartition("</think>")
    if not closed and "<think>" in text:
        return None
    return after.strip(_OPENING)


def _number(text: str, *, words: bool) -> float | None:
    """The number that a text begins with, or the only one in it."""
    if words:
        text = re.sub(
            rf"\b(?:{'|'.join(_WORDS)})\b", lambda word: str(_WORDS.index(word[0].lower())), text, flags=re.IGNORECASE
        )
    found: list[tuple[int, float]] = []
    place = 0
    while (match := _NUMBER.search(text, place)) is not None:
        found.append((match.start(), float(match[0].replace(",", "").replace("\u2212", "-"))))
        scale = _OUT_OF.match(text, match.end())
        place = match.end() if scale is None else scale.end()
    if not found:
        return None
    numbers = {number for _, number in found}
    begins = found[0][0] == 0 and not _goes_on(text, len(found))
    if not begins and (len(numbers) > 1 or _NEGATED.search(text[: found[0][0]])):
        return None
    return found[0][1]


def _goes_on(text: str, n_numbers: int) -> bool:
    """Whether a text that begins with a number begins with several: "2 or 3", "1-3", "1 to 5"."""
    return n_numbers > 1 and re.match(r"\S+?\s*(?:-|\u2013|to\b|or\b|and\b|,|/)\s*[-+]?\d", text) is not None


def _label(text: str, labels: tuple[str, ...]) -> str | None:
    """The label that a text begins with, or the only one in it."""
    found = _mentions(text, labels)
    if not found:
        return None
    first, label = found[0]
    others = {other for _, other in found} - {label}
    if first == 0 and not re.match(r"\W*(?:or|and|/)\b", text[len(label) :], re.IGNORECASE):
        return label
    if others or _NEGATED.search(text[:first]):
        return None
    return label


def _mentions(text: str, labels: tuple[str, ...]) -> list[tuple[int, str]]:
    """Where labels stand as whole words, the longer of two that overlap, in the order of the text."""
    longest_first = sorted(labels, key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w)({re.escape(label)})(?!\w)" for label in longest_first)
    matches = re.finditer(pattern, text, re.IGNORECASE)
    return [(match.start(), longest_first[match.lastindex - 1]) for match in matches if match.lastindex]


def _ballot(text: str, scale: Ballot) -> str | None:
    """The ballot that a text writes down, options in the order in which they are first named."""
    if scale.rule == "points":
        given = []
        for option in scale.options:
            points = re.findall(rf"(?<!\w){re.escape(option)}\W{{0,3}}?\s*[=:]\s*(\d+)(?!\w|\.\d)", text, re.IGNORECASE)
            if len(points) > 1:
                return None
            given += [f"{option}={number}" for number in points if int(number)]
        ballot = SEPARATOR.join(given)
    else:
        ballot = SEPARATOR.join(dict.fromkeys(label for _, label in _mentions(text, scale.options)))
        if not ballot and scale.rule == "approval" and re.match(EMPTY + r"\b", text, re.IGNORECASE):
            ballot = EMPTY
    return ballot if ballot and bool(scale.valid([ballot])[0]) else None
