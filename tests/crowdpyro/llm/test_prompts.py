from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdpyro.errors import DataError
from crowdpyro.llm.prompts import CHAT, PERSONA_LAST, PLAIN, PROMPTS, Prompt, shown_problems

ASKED = {"question": "How true?", "options": "Choose one number: 1, 2."}


def test_the_plain_prompt_is_the_one_of_the_published_figures() -> None:
    expected = 'a nurse\n\nHow true?\nChoose one number: 1, 2.\n\n"I am tired."\nAnswer:'
    assert PLAIN.render({"text": "I am tired."}, persona="a nurse", **ASKED) == expected
    assert PLAIN.render({"text": "I am tired."}, **ASKED) == expected.removeprefix("a nurse\n\n")


def test_the_chat_prompt_is_the_one_it_was() -> None:
    expected = 'How true?\n\n"I am tired."\n\nChoose one number: 1, 2. Reply with the answer alone.'
    assert CHAT.render({"text": "I am tired."}, **ASKED) == expected


def test_personas_last_share_everything_but_themselves() -> None:
    alone = PERSONA_LAST.render({"text": "I am tired."}, **ASKED)
    assert alone == PLAIN.render({"text": "I am tired."}, **ASKED)
    told = [PERSONA_LAST.render({"text": "I am tired."}, persona=who, **ASKED) for who in ("You are a nurse.", "Bo.")]
    shared = alone.removesuffix("Answer:")
    assert told == [f"{shared}You are a nurse.\nAnswer:", f"{shared}Bo.\nAnswer:"]


def test_parts_hold_columns_and_braces_are_text() -> None:
    prompt = Prompt(description="{title}: {text}", context="A {{survey}} of {year}.\n")
    rendered = prompt.render({"text": "{x} }{", "title": "{question}", "year": 1999}, **ASKED)
    assert rendered == "A {survey} of 1999.\nHow true?\nChoose one number: 1, 2.\n\n{question}: {x} }{\nAnswer:"


@given(text=st.text(), persona=st.text())
def test_no_text_is_read_as_a_template(text: str, persona: str) -> None:
    said = PERSONA_LAST.render({"text": text}, persona=persona, **ASKED)
    assert said.endswith(f'"{text}"\n{persona}\nAnswer:' if persona else f'"{text}"\nAnswer:')


def test_examples_come_before_the_problem_with_their_answers() -> None:
    said = PLAIN.render({"text": "c"}, examples=[({"text": "a"}, "1"), ({"text": "b"}, "2")], **ASKED)
    assert said.endswith('1, 2.\n\n"a"\nAnswer: 1\n\n"b"\nAnswer: 2\n\n"c"\nAnswer:')


def test_what_is_recorded_renders_the_prompt_again() -> None:
    recorded = PLAIN.shown("How {true}?", "Choose: {a}.", with_personas=True)
    asked = {"question": "How {true}?", "options": "Choose: {a}."}
    expected = PLAIN.render({"text": "t"}, persona="nurse", **asked)
    assert recorded.format(text="t", persona="nurse") == expected
    assert "{persona}" in PLAIN.shown("q", "o", with_personas=False)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_file_gives_the_prompt_back(name: str, tmp_path: Path) -> None:
    path = PROMPTS[name].write(tmp_path / "prompt.yaml")
    assert Prompt.read(path) == PROMPTS[name]


def test_files_may_name_some_parts_or_be_a_template(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text('context: "In {year}: "\n', encoding="utf-8")
    assert Prompt.read(tmp_path / "some.yaml") == Prompt(context="In {year}: ")
    (tmp_path / "whole.txt").write_text("{text}\nYour answer:\n", encoding="utf-8")
    assert Prompt.read(tmp_path / "whole.txt").flat == "{text}\nYour answer:"


@pytest.mark.parametrize(
    ("name", "held", "message"),
    [
        ("a.yaml", "contex: x", "'contex' is no part"),
        ("a.yaml", "context: 3", r"context of the prompt is 3"),
        ("a.yaml", 'context: "{"', "double a brace"),
        ("a.yaml", "- x", "one `option: value` a line"),
        ("b.txt", None, "cannot be read"),
    ],
)
def test_files_that_are_no_prompt(name: str, held: str | None, message: str, tmp_path: Path) -> None:
    if held is not None:
        (tmp_path / name).write_text(held, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Prompt.read(tmp_path / name)


@pytest.mark.parametrize(
    ("prompt", "what", "message"),
    [
        (Prompt(template="{question}"), {}, r"no \{text\}"),
        (Prompt(description="{text} {title}"), {}, r"unknown field \{title\}; use text.*, year"),
        (Prompt(template="{text.__class__}"), {}, r"unknown field \{text.__class__\}"),
        (Prompt(template="{text}"), {"with_personas": True}, r"no \{persona\}"),
        (Prompt(persona="You."), {"with_personas": True}, r"no \{persona\}"),
        (Prompt(template="{text}"), {"with_examples": True}, r"no \{examples\}"),
    ],
)
def test_prompts_that_do_not_fit(prompt: Prompt, what: dict[str, bool], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prompt.check(["text", "year"], **{"with_personas": False, **what})


def test_a_column_that_is_shown_must_be_filled() -> None:
    problems = pd.DataFrame({"text": ["a", "b"], "title": ["x", None], "other": [None, None]}, index=["p", "q"])
    with pytest.raises(DataError, match="column 'title': empty at problem 'q'"):
        shown_problems(problems, Prompt(description="{title} {text}"))
    assert shown_problems(problems, PLAIN) == [{"text": "a"}, {"text": "b"}]
