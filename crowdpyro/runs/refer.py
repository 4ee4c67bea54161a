"""What the command line asks of an LLM: who it is, how it is put, as whom, and where the answers go."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..data import read_participants, read_problems
from ..errors import DataError
from ..llm.backbone import FloatArray, Query
from ..llm.personas import PERSONA, personas_of
from ..llm.prompts import CHAT, PLAIN, PROMPTS, Prompt
from ..llm.referring import Referring
from ..models.scales import Scale, parse_scale
from ..table_writing import write_csv
from ..tables import counted, read_table, require_columns

if TYPE_CHECKING:
    from distributed import Client

    from ..references import References

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asking:
    """How the problems of a file are put to an LLM.

    Attributes
    ----------
    prompt
        As `prompt_of` reads it; None for the LLM's own.
    personas, persona_template
        As `read_personas` reads them.
    twins
        Whether the personas are participants, whose references are their own.
    examples
        File of few-shot examples: columns `text` and `answer`, and whatever else the prompt shows.
    more
        Other arguments of `Referring.refer`; those that are None are left to it.
    """

    prompt: str | None = None
    personas: Path | None = None
    persona_template: str | None = None
    twins: bool = False
    examples: Path | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.personas is None and (self.persona_template is not None or self.twins):
            name = "twins" if self.twins else "persona_template"
            raise DataError(f"{name} says how personas are taken; give personas as well, or leave it out.")

    def arguments(self) -> dict[str, Any]:
        """Arguments of `Referring.refer`, the files read."""
        given = {name: value for name, value in self.more.items() if value is not None}
        if self.prompt is not None:
            given["prompt"] = prompt_of(self.prompt)
        if self.personas is not None:
            given["personas"] = read_personas(self.personas, self.persona_template)
        if self.examples is not None:
            given["examples"] = read_table(self.examples)
            require_columns(given["examples"], ("text", "answer"), str(self.examples))
        return given


def refer_files(
    problems: Path,
    out: Path,
    say: Say,
    *,
    llm: str,
    scale: str,
    loading: dict[str, Any],
    asking: Asking,
    client: Client | None = None,
    safe: bool = False,
) -> References:
    """Ask an LLM about the problems of a file, and write its answers whole.

    Parameters
    ----------
    problems, out
        Files of the problems and of the references; texts that were written go to a file beside them.
    say
        Told what was asked, what is missing, and what the cache had.
    scale
        As `parse_scale` reads it.
    llm, loading
        As in `open_llm`.
    asking
        How they are put.
    client
        Of a cluster whose workers ask, each with a replica of its own.
    safe
        Whether texts that a spreadsheet would run as formulas get an apostrophe. References are read back: they do not.
    """
    from ..scale.referring import refer_on
    from ..table_writing import check_suffix

    check_suffix(out)
    frame, answers, given = read_problems(problems), parse_scale(scale), asking.arguments()
    # What cannot be asked is said before a model is loaded.
    _queries(frame, answers, given | {"cache": None})
    load = partial(open_llm, llm, **loading)
    backbone = load() if client is None else None
    people = len(given.get("personas", ()))
    say(
        f"asking {llm if backbone is None else backbone.name} about {counted(len(frame), 'problem')}"
        + (f", as {people:,} personas" if people else "")
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if backbone is not None:
            references = backbone.refer(frame, answers, **given)
        elif client is not None:
            references = refer_on(client, load, frame, answers, **given)
    for note in (*references.report, *(f"warning: {each.message}" for each in caught)):
        say(f"  {note}")
    if asking.twins:
        sources = tuple(replace(source, kind="participant") for source in references)
        references = replace(references, sources=sources)
    references.write(out, safe=safe)
    if references.texts is not None:
        path = out.with_name(f"{out.name.partition('.')[0]}.texts.csv")
        say(f"wrote {write_csv(references.texts, path, safe=safe)}")
    say(f"wrote {out}")
    return references


def open_llm(llm: str, **loading: Any) -> Referring:
    """The LLM of a name: `embedded`, a folder, a `.gguf` file, a hub id, or the address of a server.

    Parameters
    ----------
    llm
        The name.
    loading
        Arguments of `FrozenLLM`, or of `ServerLLM`; those that are None are left to it.
    """
    kind, where = _kind(llm)
    given = {name: value for name, value in loading.items() if value is not None}
    for name in sorted(given.keys() - inspect.signature(kind).parameters.keys()):
        raise DataError(f"{name} does not apply to llm={llm!r}, {where}; leave it out.")
    return kind(llm, **given)


def _kind(llm: str) -> tuple[Callable[..., Referring], str]:
    """What makes the LLM of a name, and what it is."""
    if served(llm):
        from ..llm.server import ServerLLM

        return ServerLLM, "a server that has loaded its model"
    from ..llm import FrozenLLM

    return FrozenLLM, "a model that is loaded here"


def served(llm: str) -> bool:
    """Whether a name is the address of a server."""
    return llm.startswith(("http://", "https://"))


def beside(out: Path) -> Path:
    """The cache of references that are written to `out`."""
    return out.with_name(f"{out.name.partition('.')[0]}.cache.sqlite")


def numbers_of(text: str) -> list[float]:
    """Numbers joined by commas."""
    try:
        return [float(each) for each in text.split(",")]
    except ValueError as error:
        raise DataError(f"grid={text!r}: give numbers joined by commas, such as 0,10,20.") from error


def write_prompt(prompt: str | None, path: Path, *, chat: bool) -> Path:
    """Write a prompt's parts to a YAML file, which `prompt_of` reads."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise DataError(f"file {str(path)!r}: the suffix must be .yaml; its parts are written as YAML.")
    return (prompt_of(prompt) if prompt is not None else CHAT if chat else PLAIN).write(path)


def prompt_of(prompt: str) -> Prompt:
    """The prompt of a name in `PROMPTS`, of a file, or of a template that holds `{text}`."""
    if prompt in PROMPTS:
        return PROMPTS[prompt]
    if "{" in prompt:
        return Prompt.of(prompt)
    if not Path(prompt).is_file():
        names = ", ".join(PROMPTS)
        raise DataError(f"prompt={prompt!r} is no file; give one, a template with {{text}} in it, or {names}.")
    return Prompt.read(prompt)


def read_personas(path: Path, template: str | None = None) -> dict[str, str]:
    """Descriptions by persona: columns `persona, description` of a file, or a participants' table turned to text.

    Parameters
    ----------
    path
        The file.
    template
        Of a participants' table: how a person is put, see `personas_of`.
    """
    frame = read_table(path)
    if not {"persona", "description"} <= set(frame.columns):
        return personas_of(read_participants(path), PERSONA if template is None else template)
    if template is not None:
        raise DataError(f"table {str(path)!r} holds descriptions already; leave the persona template out.")
    names = frame["persona"].map(str)
    repeated = names[names.duplicated()]
    if len(repeated):
        raise DataError(f"table {str(path)!r}: persona {repeated.iloc[0]!r} stands there twice or more; keep one row.")
    return dict(zip(names, frame["description"], strict=True))


def prompt_lines(asking: Asking, scale: Scale, problems: Path | None, *, chat: bool) -> Iterator[str]:
    """The parts of a prompt, and the first text that an LLM would read."""
    given = asking.arguments()
    prompt = given.setdefault("prompt", CHAT if chat else PLAIN)
    for name, part in asdict(prompt).items():
        yield f"{name:13} {part!r}"
    frame = _EXAMPLE if problems is None else read_problems(problems)
    n = len(_queries(frame, scale, given))
    # Where there are personas, one of them shows how they are put.
    first = _queries(frame, scale, given | {"include_zero_shot": False})[0]
    yield ""
    yield f"{first.name}, of {counted(n, 'prompt')} for {counted(len(frame), 'problem')}:"
    yield ""
    yield from first.prompt.split("\n")
    yield ""
    options = ", ".join(map(repr, first.options))
    yield f"answers that are scored: {options}" if options else "the answer is written as free text"


_EXAMPLE = pd.DataFrame({"text": ["The text of a problem."]}, index=pd.Index(["example"], name="problem"))


class _ReadError(Exception):
    """Raised in place of an answer, with what was asked."""

    def __init__(self, queries: Sequence[Query]) -> None:
        super().__init__()
        self.queries = queries


class _Reader(Referring):
    """A scorer that reads its queries and answers none."""

    name, revision, settings, chat = "nobody", "", "", False

    def score(self, queries: Sequence[Query], **how: Any) -> Iterator[tuple[list[int], list[FloatArray]]]:
        raise _ReadError(queries)

    def write(self, queries: Sequence[Query], **how: Any) -> Iterator[tuple[list[int], list[list[str]]]]:
        raise _ReadError(queries)


def _queries(frame: pd.DataFrame, scale: Scale, given: dict[str, Any]) -> Sequence[Query]:
    """What an LLM would be asked: the queries of the very code that asks, before they reach one."""
    try:
        _Reader().refer(frame, scale, **given)
    except _ReadError as read:
        return read.queries
    raise DataError("nothing would be asked; give at least one problem.")
