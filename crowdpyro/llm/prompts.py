"""Prompts as data: P = f(x_t, R_t, C_t), how a problem becomes the text that a frozen LLM reads (paper, 3.1 and 12).

    description    x_t   what is asked about: the problem's text, and any column of its table
    requirements   R_t   what kind of answer is wanted: the question and the options
    context        C_t   the setting, the same for everybody
    persona        C_t   who answers; left out where nobody in particular does
    example              how one human's answer to another problem is shown (few-shot)
    template       f     how the parts are put together

All are `str.format` strings. The answer follows the last word of the template.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..models.errors import DataError
from ..models.scales import Continuous, Ordinal, Scale
from ..tables import shown, write_whole

PARTS = ("description", "requirements", "context")
FIELDS = ("text", "question", "options", "persona", "examples")


@dataclass(frozen=True)
class Prompt:
    """The parts of a prompt and how they are put together.

    Parameters
    ----------
    description
        x_t, with `{text}` or `{column}` of the problems' table.
    requirements
        R_t, with `{question}` and `{options}`.
    context
        The setting of C_t, with `{column}`s where it depends on the problem.
    persona
        The person of C_t, around `{persona}`.
    example
        One example with its human answer, around `{description}` and `{answer}`.
    template
        f, with `{description}`, `{requirements}`, `{context}`, `{persona}` and `{examples}`; or with the fields of the
        parts themselves.

    Raises
    ------
    DataError
        A part that is no `str.format` string.

    Examples
    --------
    >>> print(PLAIN.render({"text": "I am tired."}, question="Are you?", options="Choose yes or no."))
    Are you?
    Choose yes or no.
    <BLANKLINE>
    "I am tired."
    Answer:
    """

    description: str = '"{text}"'
    requirements: str = "{question}\n{options}"
    context: str = ""
    persona: str = "{persona}\n\n"
    example: str = "{description}\nAnswer: {answer}\n\n"
    template: str = "{context}{persona}{requirements}\n\n{examples}{description}\nAnswer:"

    def __post_init__(self) -> None:
        for each in fields(self):
            part = getattr(self, each.name)
            if not isinstance(part, str):
                raise DataError(f"{each.name} of the prompt is {part!r}; give a text.")
            _fields_of(part, each.name)

    @classmethod
    def of(cls, prompt: str | Prompt) -> Prompt:
        """A prompt from a template of `{text}`, `{question}`, `{options}` and `{persona}`; prompts as they are."""
        return prompt if isinstance(prompt, Prompt) else cls(template=prompt)

    @classmethod
    def read(cls, path: str | Path) -> Prompt:
        """Prompt of a YAML file that names its parts (those not named are the default's), or of a text template.

        Raises
        ------
        DataError
            When the file cannot be read, or names a part that is none.
        """
        from ..runs.options import read_yaml

        path = Path(path)
        if path.suffix.lower() not in (".yaml", ".yml"):
            try:
                return cls(template=path.read_text(encoding="utf-8").rstrip("\n"))
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"prompt file {str(path)!r} cannot be read ({error}); give a UTF-8 text.") from error
        given = read_yaml(path)
        known = [each.name for each in fields(cls)]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise DataError(f"prompt file {str(path)!r}: {unknown[0]!r} is no part; known are {', '.join(known)}.")
        return cls(**given)

    def write(self, path: str | Path) -> Path:
        """Write the YAML file that `read` reads."""
        from ruamel.yaml import YAML
        from ruamel.yaml.scalarstring import DoubleQuotedScalarString

        yaml = YAML(typ="rt", pure=True)
        yaml.width = 10_000
        parts = {name: DoubleQuotedScalarString(part) for name, part in asdict(self).items()}

        def dump(file: Path) -> None:
            with file.open("w", encoding="utf-8") as out:
                yaml.dump(parts, out)

        return write_whole(path, dump)

    @property
    def flat(self) -> str:
        """The template with its parts in place: `{text}`, `{question}`, `{options}`, `{persona}` and `{examples}`."""
        return _substituted(self.template, {name: getattr(self, name) for name in PARTS})

    def shown(self, question: str, options: str, *, with_personas: bool, with_examples: bool = False) -> str:
        """What is recorded with references: the template with all in place but the problem and who answers."""
        parts = {"question": question.replace("{", "{{"), "options": options.replace("{", "{{")}
        parts = {name: part.replace("}", "}}") for name, part in parts.items()}
        if with_personas:
            parts["persona"] = self.persona
        if not with_examples:
            parts["examples"] = ""
        return _substituted(self.flat, parts)

    def check(self, columns: Iterable[object], *, with_personas: bool, with_examples: bool = False) -> None:
        """Raise `DataError` unless there is a place for all that is to be said, and a value for every field."""
        columns = [str(column) for column in columns]
        found = _fields_of(self.flat, "prompt")
        if unknown := sorted(found - {*FIELDS, *columns}):
            raise DataError(
                f"prompt: unknown field {{{unknown[0]}}}; use text, question, options, persona, examples"
                f"{''.join(f', {column}' for column in columns if column != 'text')}."
            )
        wanted = ("text", *("persona",) * with_personas, *("examples",) * with_examples)
        for name in wanted:
            if name not in found:
                raise DataError(f"prompt={self.flat!r}: no {{{name}}} in it; say where the {name} goes.")
        if with_personas and "persona" not in _fields_of(self.persona, "persona"):
            raise DataError(f"persona={self.persona!r} of the prompt: no {{persona}} in it; say where it goes.")

    def columns(self, columns: Iterable[object]) -> list[str]:
        """Those columns of the problems' table that the prompt shows.

        Raises
        ------
        DataError
            When the text of the prompt has a brace without its partner.
        """
        found = _fields_of(self.flat, "prompt")
        return [str(column) for column in columns if str(column) in found]

    def render(
        self,
        problem: Mapping[str, object],
        *,
        question: str,
        options: str,
        persona: str = "",
        examples: Sequence[tuple[Mapping[str, object], str]] = (),
    ) -> str:
        """The text that the LLM reads.

        Parameters
        ----------
        problem
            Its text and columns.
        question, options
            Of the requirements.
        persona
            Description of who answers; empty for nobody in particular.
        examples
            Problems with a human's answer, as shown before this one.
        """
        shots = "".join(
            self.example.format(description=self.description.format(**other), answer=answer)
            for other, answer in examples
        )
        who = self.persona.format(persona=persona) if persona else ""
        return self.flat.format(**problem, question=question, options=options, persona=who, examples=shots)


def default_question(scale: Scale) -> str:
    """Ask what the caller did not: a rating within the scale's range, or just an answer."""
    if isinstance(scale, Ordinal):
        return f"How would you rate this, from {scale.labels[0]} (lowest) to {scale.labels[-1]} (highest)?"
    if isinstance(scale, Continuous):
        return "Which number would you give?"
    return "Which answer would you give?"


def problem_frame(problems: pd.DataFrame) -> pd.DataFrame:
    """Problems indexed by id; raises `DataError` on a missing or blank text and on an empty frame."""
    if "problem" in problems.columns:
        problems = problems.set_index("problem")
    if "text" not in problems.columns:
        raise DataError(f"problems: no column 'text' in {list(problems.columns)}; rename the text column.")
    if problems.empty:
        raise DataError("problems: the frame has no rows; give at least one problem.")
    if not problems.index.is_unique:
        twice = problems.index[problems.index.duplicated()][0]
        raise DataError(f"column 'problem': {shown(twice)} occurs more than once; give each problem one row.")
    for problem, text in problems["text"].items():
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"column 'text': {shown(text)} at problem {shown(problem)}; give each problem a text.")
    return problems


def shown_problems(problems: pd.DataFrame, prompt: Prompt) -> list[dict[str, Any]]:
    """What the prompt shows of every problem; raises `DataError` where a column that it shows is empty."""
    names = prompt.columns(problems.columns)
    for name in names:
        empty = problems[name].isna()
        if empty.any():
            where = f"column {name!r}: empty at problem {shown(problems.index[empty][0])}"
            raise DataError(f"{where}, and the prompt shows it; fill it.")
    return [dict(zip(names, row, strict=True)) for row in problems[names].itertuples(index=False, name=None)]


def persona_descriptions(personas: Mapping[str, str] | None, include_zero_shot: bool) -> dict[str, str]:
    """Descriptions by persona name; "" is the zero-shot answer, without a description."""
    described = {"": ""} if include_zero_shot or not personas else {}
    for name, description in (personas or {}).items():
        if not name or not isinstance(description, str) or not description.strip():
            raise DataError(
                f"personas: {name!r} -> {description!r}; give a name and a description "
                "(the zero-shot answer, named '', comes by itself)."
            )
        described[str(name)] = description.strip()
    return described


def _fields_of(template: str, name: str) -> set[str]:
    """Names of the fields of a `str.format` string."""
    try:
        return {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise DataError(f"{name}={template!r}: {error}; double a brace that is meant as text.") from error


def _substituted(template: str, parts: Mapping[str, str]) -> str:
    """The template with these fields replaced by texts that may hold fields themselves."""
    written = []
    for literal, field, spec, conversion in string.Formatter().parse(template):
        written.append(literal.replace("{", "{{").replace("}", "}}"))
        if field is None:
            continue
        if field in parts:
            written.append(parts[field])
        else:
            written.append(f"{{{field}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}}}")
    return "".join(written)


PLAIN = Prompt()
CHAT = Prompt(
    requirements="{question}",
    example="{description}\n{answer}\n\n",
    template="{context}{persona}{requirements}\n\n{examples}{description}\n\n{options} Reply with the answer alone.",
)
# All that problems and personas share comes first, so that a prefix cache computes it once; without a persona the text
# is that of PLAIN.
PERSONA_LAST = replace(
    PLAIN,
    persona="{persona}\n",
    template="{context}{requirements}\n\n{examples}{description}\n{persona}Answer:",
)
PROMPTS = {"plain": PLAIN, "chat": CHAT, "persona-last": PERSONA_LAST}
