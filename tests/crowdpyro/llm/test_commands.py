"""The LLM from the command line: asked, shown, remembered; every mistake one line, and no file by halves."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from crowdpyro import FrozenLLM, Ordinal, References
from crowdpyro.llm import personas_of
from crowdpyro.llm.cache_file import CacheFile

pytestmark = pytest.mark.filterwarnings("ignore::crowdpyro.llm.LowOptionMassWarning")

Command: TypeAlias = Callable[..., tuple[int, str, str]]
SCALE = Ordinal.range(1, 5)
PROMPT = "{persona}{text}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: three problems, two people, two personas, one example."""
    monkeypatch.chdir(tmp_path)
    texts = ["I am tired.", "A {brace}, \u05d0.", "Fine \U0001f600"]
    pd.DataFrame({"problem": ["a", "b", "c"], "text": texts}).to_csv("problems.csv", index=False)
    people = pd.DataFrame({"participant": [7, 8], "gender": ["female", "male"], "age": [52, 31]})
    people.to_csv("people.csv", index=False)
    personas = pd.DataFrame({"persona": ["farmer", "nurse"], "description": ["A farmer.", "A nurse."]})
    personas.to_csv("personas.csv", index=False)
    pd.DataFrame({"text": ["I hate tests."], "answer": [1]}).to_csv("examples.csv", index=False)
    return tmp_path


def refer_words(llm: Path, *more: object) -> list[object]:
    return ["refer", "problems.csv", "--llm", llm, "--scale", "1:5", "--threads", 1, "--out", "refs.parquet", *more]


def test_what_is_written_is_what_the_llm_says(command: Command, folder: Path, tiny_folder: Path) -> None:
    words = refer_words(tiny_folder, "--prompt", PROMPT, "--personas", "people.csv")
    code, out, _ = command(*words)
    assert code == 0
    assert "asking tiny about 3 problems, as 2 personas" in out
    assert "cache refs.cache.sqlite: 0 of 9 prompts found, 9 asked." in out
    assert "wrote refs.parquet" in out
    assert {path.name for path in folder.iterdir() if path.name.startswith("refs")} == {
        "refs.parquet",
        "refs.cache.sqlite",
    }
    people = personas_of(pd.read_csv("people.csv"))
    problems = pd.read_csv("problems.csv", index_col="problem")
    expected = FrozenLLM(tiny_folder, threads=1).refer(problems, SCALE, prompt=PROMPT, personas=people).source()
    found = References.read("refs.parquet", scale=SCALE).source()
    assert (found.name, found.revision, found.prompt) == (expected.name, expected.revision, expected.prompt)
    assert (found.personas, found.kind) == (("", "7", "8"), "persona")
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)
    code, out, _ = command(*words, "--temperature", 0.5, "--twins")
    assert "cache refs.cache.sqlite: 9 of 9 prompts found, 0 asked." in out
    sharp = References.read("refs.parquet", scale=SCALE).source()
    assert (sharp.kind, sharp.temperature) == ("participant", 0.5)
    np.testing.assert_allclose(sharp.values, expected.values**2 / (expected.values**2).sum(-1, keepdims=True))


def test_every_way_of_asking_reaches_the_llm(command: Command, folder: Path, tiny_folder: Path) -> None:
    llm, problems = FrozenLLM(tiny_folder, threads=1), pd.read_csv("problems.csv", index_col="problem")
    personas = {"farmer": "A farmer.", "nurse": "A nurse."}
    options: list[tuple[list[object], dict[str, object]]] = [
        (["--personas", "personas.csv", "--no-zero-shot"], {"personas": personas, "include_zero_shot": False}),
        (["--question", "Is it?"], {"question": "Is it?"}),
        (["--temperature", 0], {"temperature": 0.0}),
        (["--permutations", "reversed", "--letters"], {"permutations": "reversed", "letters": True}),
        (["--calibrate", "--truncate", 4], {"calibrate": True, "truncate": 4}),
    ]
    prompt = "{question}{persona}{text}"
    for words, how in options:
        code, _, err = command(*refer_words(tiny_folder, "--no-cache", "--prompt", prompt), *words)
        assert (code, err) == (0, ""), words
        expected = llm.refer(problems, SCALE, prompt=prompt, **how)  # type: ignore[arg-type]
        found = References.read("refs.parquet", scale=SCALE)
        np.testing.assert_allclose(found.source().values, expected.source().values, err_msg=str(words))
    assert not list(folder.glob("*.sqlite"))


def test_texts_that_were_written_are_kept(command: Command, folder: Path, tiny_folder: Path) -> None:
    words = refer_words(tiny_folder, "--mode", "write", "--draws", 2, "--max-tokens", 3, "--prompt", PROMPT)
    code, out, _ = command(*words)
    assert (code, "wrote refs.texts.csv" in out) == (0, True)
    assert len(pd.read_csv("refs.texts.csv")) == 6
    written = Path("refs.texts.csv").read_bytes()
    assert "3 of 3 prompts found, 0 asked" in command(*words)[1]
    assert Path("refs.texts.csv").read_bytes() == written
    assert command(*words, "--safe-csv")[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv("refs.texts.csv"), pd.read_csv(io.BytesIO(written)))
    assert Path("refs.texts.csv").read_bytes().startswith(b'"')


def test_a_failure_leaves_what_was_there(command: Command, folder: Path, tiny_folder: Path) -> None:
    Path("refs.parquet").write_text("before")
    pd.DataFrame({"problem": ["a", "long one"], "text": ["short", "weather " * 300]}).to_csv(
        "problems.csv", index=False
    )
    code, out, err = command(*refer_words(tiny_folder, "--no-cache", "--prompt", PROMPT))
    assert (code, "wrote" in out) == (2, False)
    assert err.startswith("DataError: text at problem 'long one': the prompt takes")
    assert Path("refs.parquet").read_text() == "before"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    code, out, _ = command(*refer_words(tiny_folder, "--prompt", PROMPT, "--truncate", 9))
    assert (code, "1 of 2 texts cut to 9 characters, such as that of problem 'long one'." in out) == (0, True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--out", "refs.xlsx"], "DataError: file 'refs.xlsx': the suffix must be"),
        (["--prompt", "none.txt"], "DataError: prompt='none.txt' is no file; give one, .*plain, chat, persona-last"),
        (["--prompt", "{text"], "DataError: template='{text'"),
        (["--persona-template", "You are {person}."], "DataError: persona_template says how personas are taken"),
        (["--twins"], "DataError: twins says how personas are taken"),
        (["--personas", "personas.csv", "--persona-template", "{age}"], "DataError: .*holds descriptions already"),
        (["--personas", "twice.csv"], "DataError: table 'twice.csv': persona 'farmer' stands there twice"),
        (["--examples", "problems.csv"], "DataError: table 'problems.csv' lacks column 'answer'"),
        (["--grid", "0,x"], "DataError: grid='0,x': give numbers"),
        (["--workers", "2"], "DataError: workers does not apply to llm='no/such', a model that is loaded here"),
        (["--cache", "people.csv"], "DataError: cache 'people.csv' is no cache"),
    ],
)
def test_mistakes_are_one_line(command: Command, folder: Path, tiny_folder: Path, more: list[str], words: str) -> None:
    personas = pd.read_csv("personas.csv")
    pd.concat([personas, personas]).to_csv("twice.csv", index=False)
    llm = tiny_folder if "--cache" in more else Path("no/such")
    code, _, err = command(*refer_words(llm), *more)
    assert code == 2
    assert err.count("\n") == 1
    assert re.match(words, err), err


def test_stopped_by_hand_it_says_how_to_go_on(
    command: Command, folder: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FrozenLLM, "score", stop)
    code, _, err = command(*refer_words(tiny_folder))
    assert (code, err) == (130, "stopped. The same command goes on.\n")
    assert not Path("refs.parquet").exists()


def test_the_prompt_that_is_shown_is_the_one_that_is_asked(command: Command, folder: Path, tiny_folder: Path) -> None:
    how = ["--question", "Is it?", "--personas", "people.csv", "--examples", "examples.csv"]
    code, out, _ = command("prompt", "--show", "--problems", "problems.csv", *how)
    assert code == 0
    assert "problem 'a', persona '7', of 9 prompts for 3 problems:" in out
    shown = out.split("problems:\n\n")[1].split("\n\nanswers that are scored: '1', '2', '3', '4', '5'")[0]
    asked: list[str] = []

    class Spy(FrozenLLM):
        def score(self, queries, **how):  # type: ignore[no-untyped-def]
            asked.extend(query.prompt for query in queries)
            raise KeyboardInterrupt

    frame = pd.read_csv("problems.csv", index_col="problem")
    with pytest.raises(KeyboardInterrupt):
        Spy(tiny_folder, threads=1).refer(
            frame,
            SCALE,
            question="Is it?",
            personas=personas_of(pd.read_csv("people.csv")),
            examples=pd.read_csv("examples.csv"),
        )
    assert shown == asked[1]
    assert shown.startswith("You are a woman of 52.\n\nIs it?\n")


def test_a_prompt_is_written_edited_and_used(command: Command, folder: Path) -> None:
    assert command("prompt", "--write", "mine.yaml", "--prompt", "persona-last")[0] == 0
    assert command("prompt", "--write", "mine.txt")[2].startswith(
        "DataError: file 'mine.txt': the suffix must be .yaml"
    )
    plain = command("prompt", "--show", "--prompt", "persona-last")[1]
    assert command("prompt", "--show", "--prompt", "mine.yaml")[1] == plain
    Path("mine.yaml").write_text(Path("mine.yaml").read_text().replace("Answer:", "I say:"), encoding="utf-8")
    assert '"The text of a problem."\nI say:\n' in command("prompt", "--prompt", "mine.yaml")[1]
    code, out, _ = command("prompt", "--chat", "--mode", "write")
    assert (code, "Reply with the answer alone." in out, "written as free text" in out) == (0, True, True)


def test_a_cache_is_looked_into_and_pruned(command: Command, folder: Path, tiny_folder: Path) -> None:
    command(*refer_words(tiny_folder, "--prompt", PROMPT))
    code, out, _ = command("cache", "info", "refs.cache.sqlite")
    assert code == 0
    assert out.startswith("refs.cache.sqlite: 3 answers, ")
    assert "  tiny, sha256:" in out
    assert "3 scores, 0.2 kB" in out
    assert "took 0 answers" in command("cache", "prune", "refs.cache.sqlite", "--older-than", "1", "--model", "tiny")[1]
    assert command("cache", "prune", "refs.cache.sqlite")[2].startswith("DataError: prune takes nothing out unless")
    assert command("cache", "prune", "refs.cache.sqlite", "--model", "x")[2].startswith(
        "DataError: model 'x' is not in"
    )
    assert "took 3 answers out" in command("cache", "prune", "refs.cache.sqlite", "--megabytes", "0")[1]
    assert CacheFile("refs.cache.sqlite").holdings() == []
    assert command("cache", "info", "none")[2].startswith("DataError: cache 'none' does not exist")
    assert not Path("none").exists()


def test_a_fit_asks_through_a_cache(command: Command, folder: Path, tiny_folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(p, who, rng.integers(1, 6)) for p in "abc" for who in range(12)]
    pd.DataFrame(rows, columns=["problem", "participant", "response"]).to_csv("answers.csv", index=False)
    words = ["fit", "answers.csv", "--problems", "problems.csv", "--scale", "1:5", "--llm", tiny_folder]
    words += ["--set", "training.epochs=2", "--set", "n_components=0", "--out", "RUN"]
    code, out, err = command(*words)
    assert code == 0, err
    assert "0 of 3 prompts found, 3 asked." in out
    assert Path("RUN/references.cache.sqlite").is_file()
    for path in Path("RUN").glob("references-*.parquet"):
        path.unlink()
    code, out, _ = command(*words, "--overwrite")
    assert (code, "3 of 3 prompts found, 0 asked." in out) == (0, True)
    code, out, _ = command(*words[:-1], "OTHER", "--cache", "RUN/references.cache.sqlite")
    assert (code, "3 of 3 prompts found, 0 asked." in out) == (0, True)
    assert not Path("OTHER/references.cache.sqlite").exists()
    assert "cache: " in Path("OTHER/run.yaml").read_text()
