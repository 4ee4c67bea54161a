"""Personas: rows of a table of people as descriptions that an LLM is told to be.

    gender, age, education, occupation     "a woman of 52 with a doctorate who is a teacher"
    any other column                       "(district: 4; newspaper: daily)"

What is empty or was not disclosed is not said.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..models.errors import DataError
from ..tables import folded_names, shown

PERSONA = "You are {person}."

_NAMES = {
    "gender": ("gender", "sex"),
    "age": ("age", "age_group", "age group", "age band"),
    "education": ("education", "degree"),
    "occupation": ("occupation", "job", "profession", "employment"),
}
_GENDERS = {
    **dict.fromkeys(("male", "man", "m", "men"), "man"),
    **dict.fromkeys(("female", "woman", "f", "w", "women"), "woman"),
    **dict.fromkeys(("non-binary", "nonbinary", "non-binary person", "diverse"), "non-binary person"),
}
_UNSAID = re.compile(
    r"\s*|(?:i )?(?:would )?(?:rather|prefer) not\b.*|not disclosed|n/?a|unknown|missing|other", re.IGNORECASE
)
# Words of a state rather than of a kind of person or degree: they take no article.
_NO_ARTICLE = re.compile(
    r"(?:un|self-)?employed|retired|disabled|working\b.*|(?:less|more|some|no|an?|the|several)\b.*|.*\bschool|.*s",
    re.IGNORECASE,
)


def describe(person: Mapping[str, object]) -> str:
    """One row of a table of people as a phrase.

    Examples
    --------
    >>> describe({"gender": "female", "age": 52, "education": "Doctorate", "district": 4})
    'a woman of 52 with a doctorate (district: 4)'
    """
    columns = {name: column for name in _NAMES for column in _column(person, name)}
    said = {str(column): _text(value) for column, value in person.items() if _text(value)}
    told = set()
    gender = _GENDERS.get(said.get(columns.get("gender", ""), "").casefold())
    if gender is not None:
        told.add(columns["gender"])
    phrase = _with_article(gender or "person")
    if age := said.get(columns.get("age", ""), ""):
        phrase += _age(age)
        told.add(columns["age"])
    clauses = []
    education = said.get(columns.get("education", ""), "")
    if education and not _is_number(education):
        told.add(columns["education"])
        if re.match(r"(?:finished|completed|graduated|attended|left)\b", education, re.IGNORECASE):
            clauses.append(education[0].lower() + education[1:])
        elif re.search(r"(?:graduate|student)$", education, re.IGNORECASE):
            clauses.append(f"is {_with_article(education)}")
        else:
            phrase += f" with {_with_article(education)}"
    occupation = said.get(columns.get("occupation", ""), "")
    if occupation and not _is_number(occupation):
        clauses.append(f"is {_with_article(occupation)}")
        told.add(columns["occupation"])
    if clauses:
        phrase += f" who {' and '.join(clauses)}"
    rest = [f"{column}: {value}" for column, value in said.items() if column not in told]
    return f"{phrase} ({'; '.join(rest)})" if rest else phrase


def personas_of(participants: pd.DataFrame, template: str = PERSONA) -> dict[str, str]:
    """Descriptions of people by id.

    Parameters
    ----------
    participants
        Frame indexed by participant (or with a column `participant`), a column a trait.
    template
        How a person is put: `{person}` is the phrase of `describe`, `{column}` a column's value.

    Returns
    -------
    dict of str
        One description a participant, by id.

    Raises
    ------
    DataError
        An id twice, a field that is no column, or a column that is shown and empty.
    """
    frame = participants.set_index("participant") if "participant" in participants.columns else participants
    if frame.empty or not frame.index.is_unique:
        what = "has no rows" if frame.empty else f"has {shown(frame.index[frame.index.duplicated()][0])} twice"
        raise DataError(f"table 'participants' {what}; give each person one row.")
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None} - {"person"}
    except ValueError as error:
        raise DataError(f"persona template {template!r}: {error}; double a brace that is meant as text.") from error
    for name in sorted(fields):
        if name not in frame.columns:
            raise DataError(f"persona template: unknown field {{{name}}}; use person or a column of the participants.")
        empty = [participant for participant, value in frame[name].items() if not _text(value)]
        if empty:
            raise DataError(
                f"column {name!r} is empty at participant {shown(empty[0])}, and the persona shows it; fill it."
            )
    return {
        _id(participant): template.format(
            person=describe(dict(zip(map(str, frame.columns), row, strict=True))),
            **{name: _text(value) for name, value in zip(frame.columns, row, strict=True) if name in fields},
        )
        for participant, row in zip(frame.index, frame.itertuples(index=False, name=None), strict=True)
    }


def _column(person: Mapping[str, object], name: str) -> list[str]:
    """The column that holds a trait, whatever its case; none or one."""
    found = {new: str(old) for old, new in folded_names(person, _NAMES[name]).items()}
    return [found.get(each, each) for each in _NAMES[name] if each in found or each in person][:1]


def _text(value: object) -> str:
    """A value as a person would write it; empty where nothing was said."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)) or value is pd.NA:
        return ""
    text = _id(value)
    return "" if _UNSAID.fullmatch(text) else text


def _id(value: object) -> str:
    """A value as text, a whole float without its `.0`."""
    return (
        str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value).strip()
    )


def _age(age: str) -> str:
    """How an age is put after the person: years, a band, or words such as "over 65"."""
    if re.fullmatch(r"\d{1,3}", age):
        return f" of {age}"
    words = age.replace(">", "over ").replace("<", "under ").replace("  ", " ")
    return f" aged {words[0].lower()}{words[1:]}"


def _with_article(text: str) -> str:
    """A degree or occupation in lower case, unless in capitals, with its article."""
    text = text if text.isupper() else text[0].lower() + text[1:]
    return text if _NO_ARTICLE.fullmatch(text) else f"{'an' if text[0].lower() in 'aeiou' else 'a'} {text}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(?:\.\d+)?", text) is not None
