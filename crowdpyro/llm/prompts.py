"""Prompts: how a problem, a question, a scale and a persona become the text a frozen LLM reads.

A template is an ordinary `str.format` string with `{text}` and, optionally, `{question}`,
`{options}` and `{persona}`; the option is scored as its continuation. What all problems share
comes first and the problem's text last, next to the answer.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

import pandas as pd

from ..models.ballot import Ballot
from ..models.errors import DataError
from ..models.scales import Categorical, Ordinal

PLAIN_PROMPT = '{persona}{question}\n{options}\n\n"{text}"\nAnswer:'
CHAT_PROMPT = '{persona}{question}\n\n"{text}"\n\n{options} Reply with the answer alone.'


def default_question(scale: Ordinal | Categorical | Ballot) -> str:
    """Ask what the caller did not: a rating within the scale's range, or just an answer."""
    if isinstance(scale, Ordinal):
        return f"How would you rate this, from {scale.labels[0]} (lowest) to {scale.labels[-1]} (highest)?"
    return "Which answer would you give?"


def option_line(scale: Ordinal | Categorical | Ballot) -> str:
    """List the options in one sentence, for `{options}`."""
    return f"Choose one {'number' if isinstance(scale, Ordinal) else 'answer'}: {', '.join(scale.labels)}."


def problem_texts(problems: pd.DataFrame) -> pd.Series[str]:
    """Texts indexed by problem; raises `DataError` on a missing or blank one and on an empty frame."""
    if "problem" in problems.columns:
        problems = problems.set_index("problem")
    if "text" not in problems.columns:
        raise DataError(f"problems: no column 'text' in {list(problems.columns)}; rename the text column.")
    if problems.empty:
        raise DataError("problems: the frame has no rows; give at least one problem.")
    if not problems.index.is_unique:
        twice = problems.index[problems.index.duplicated()][0]
        raise DataError(f"column 'problem': {twice!r} occurs more than once; give each problem one row.")
    for problem, text in problems["text"].items():
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"column 'text': {text!r} at problem {problem!r}; give each problem a text.")
    return problems["text"]


def persona_texts(personas: Mapping[str, str] | None, include_zero_shot: bool) -> dict[str, str]:
    """Fill `{persona}`, by persona name; "" is the zero-shot answer, without a description."""
    texts = {"": ""} if include_zero_shot or not personas else {}
    for name, description in (personas or {}).items():
        if not name or not isinstance(description, str) or not description.strip():
            raise DataError(
                f"personas: {name!r} -> {description!r}; give a name and a description "
                "(the zero-shot answer, named '', comes by itself)."
            )
        texts[str(name)] = f"{description.strip()}\n\n"
    return texts


def check_template(template: str, with_personas: bool) -> None:
    """Raise `DataError` unless `template` has a place for the text (and persona) and no unknown field."""
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise DataError(f"prompt={template!r}: {error}; double a brace that is meant as text.") from error
    if unknown := sorted(fields - {"text", "question", "options", "persona"}):
        raise DataError(f"prompt: unknown field {{{unknown[0]}}}; use text, question, options and persona.")
    for name in ("text", "persona") if with_personas else ("text",):
        if name not in fields:
            raise DataError(f"prompt={template!r}: no {{{name}}} in it; say where the {name} goes.")
