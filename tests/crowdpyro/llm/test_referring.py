"""References of a scorer whose distributions have closed form; what LLMs say is in test_frozen and test_server."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from crowdpyro import (
    Ballot,
    Categorical,
    Continuous,
    CrowdData,
    CrowdLLM,
    FitConfig,
    Ordinal,
    References,
)
from crowdpyro.errors import DataError, ModelError
from crowdpyro.llm import LowOptionMassWarning, Prompt, examples_from
from crowdpyro.llm.backbone import Backbone, FloatArray, Query, Scorer
from crowdpyro.llm.referring import Referring

RATING = Ordinal.range(1, 3)
PROBLEMS = pd.DataFrame({"text": ["rain", "sun"], "place": ["here", "there"]}, index=["a", "b"])
PARKS = ("Park", "Pool", "Bus", "Tram")


class Closed(Referring):
    """Answers by a function of the prompt and its options; remembers what it was asked."""

    name, revision, settings, chat = "closed", "1", "by formula", False

    def __init__(self, logs: Callable[[Query], Sequence[float]], texts: Callable[[Query, int], str] | None = None):
        self.logs, self.texts, self.asked = logs, texts, list[Query]()

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        # The last first: whoever relies on an order is found out.
        for at in reversed(range(len(queries))):
            self.asked.append(queries[at])
            yield [at], [np.array(self.logs(queries[at]), dtype=float)]

    def write(
        self,
        queries: Sequence[Query],
        *,
        n: int,
        temperature: float,
        max_tokens: int,
        seed: int,
        known: Collection[int] = (),
    ) -> Iterator[tuple[list[int], list[list[str]]]]:
        assert self.texts is not None
        for at in reversed(range(len(queries))):
            self.asked.append(queries[at])
            yield [at], [[self.texts(queries[at], draw) for draw in range(n)]]


def by_length(query: Query) -> FloatArray:
    """A distribution of its own for every prompt, option mass 1."""
    rng = np.random.default_rng(len(query.prompt))
    utility = dict(zip("123", rng.normal(size=3), strict=True))
    return log_softmax([utility.get(option, -len(option)) for option in query.options])


def luce(query: Query) -> FloatArray:
    """Weights of the options that obey Luce's axiom, whichever are offered."""
    weights = {"Park": 0.5, "Pool": 0.2, "Bus": 0.25, "Tram": 0.05}
    return log_softmax(np.log([weights[option] for option in query.options]))


def values(answers: References) -> FloatArray:
    (source,) = answers.sources
    return source.values


def test_a_scorer_becomes_a_backbone() -> None:
    llm = Closed(by_length)
    assert isinstance(llm, Scorer)
    assert isinstance(llm, Backbone)


def test_every_problem_meets_every_persona_in_its_place() -> None:
    llm = Closed(by_length)
    answers = llm.refer(PROBLEMS, RATING, personas={"nurse": "You are a nurse.", "bo": "You are Bo."})
    for i, text in enumerate(PROBLEMS["text"]):
        for j, who in enumerate(["", "You are a nurse.\n\n", "You are Bo.\n\n"]):
            (query,) = {
                each for each in llm.asked if f'"{text}"' in each.prompt and each.prompt.startswith(who or "How")
            }
            np.testing.assert_allclose(values(answers)[i, j], np.exp(by_length(query)), rtol=1e-12)
    assert answers.sources[0].personas == ("", "nurse", "bo")


def test_temperature_acts_on_options_and_zero_is_greedy() -> None:
    plain, sharp, greedy = (values(Closed(by_length).refer(PROBLEMS, RATING, temperature=t)) for t in (1, 0.5, 0))
    np.testing.assert_allclose(sharp, plain**2 / (plain**2).sum(-1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(greedy, plain == plain.max(-1, keepdims=True))


def test_what_reads_alike_is_asked_once() -> None:
    people = pd.DataFrame({"gender": ["man", "woman", "man"]}, index=[3, 1, 2])
    llm = Closed(by_length)
    answers = llm.refer(PROBLEMS, RATING, personas=people, include_zero_shot=False)
    assert len(llm.asked) == 4
    assert answers.sources[0].kind == "participant"
    assert answers.sources[0].personas == ("3", "1", "2")
    np.testing.assert_array_equal(values(answers)[:, 0], values(answers)[:, 2])


def test_the_prompt_may_show_columns() -> None:
    llm = Closed(by_length)
    llm.refer(PROBLEMS, RATING, prompt=Prompt(description="{text} {place}"))
    assert {query.prompt.splitlines()[-2] for query in llm.asked} == {"rain here", "sun there"}


def test_a_planted_position_bias_is_averaged_out() -> None:
    def biased(query: Query) -> FloatArray:
        shown = re.search(r": (.*)\.", query.prompt)[1].split(", ")
        utility = {"1": 0.2, "2": 1.0, "3": -0.5}
        return log_softmax([utility[option] - 2.0 * shown.index(option) ** 2 for option in query.options])

    expected = np.exp(log_softmax([0.2, 1.0, -0.5]))
    answers = Closed(biased).refer(PROBLEMS, RATING, permutations="cyclic")
    np.testing.assert_allclose(values(answers), np.broadcast_to(expected, (2, 1, 3)), rtol=1e-12)
    assert "orders of the options averaged: cyclic." in answers.report
    assert np.abs(values(Closed(biased).refer(PROBLEMS, RATING)) - expected).max() > 0.2


def test_letters_are_scored_for_options() -> None:
    llm = Closed(lambda query: [-1.0, -2.0, -3.0])
    answers = llm.refer(PROBLEMS, RATING, letters=True, permutations="reversed")
    assert {query.options for query in llm.asked} == {("A", "B", "C")}
    np.testing.assert_allclose(values(answers), 1 / 3)


def test_calibration_divides_each_persona_s_prior_out() -> None:
    def says(query: Query) -> FloatArray:
        prior = [0.0, 2.0, 0.0] if "nurse" in query.prompt else [1.0, 0.0, 0.0]
        content = (
            [0.3, 0.1, -0.2] if '"rain"' in query.prompt else [-1.0, 0, 1] if '"sun"' in query.prompt else [0, 0, 0]
        )
        return log_softmax(np.add(prior, content)) - 0.1

    answers = Closed(says).refer(PROBLEMS, RATING, personas={"nurse": "You are a nurse."}, calibrate=True)
    expected = np.exp(log_softmax([[0.3, 0.1, -0.2], [-1.0, 0, 1]], axis=1))
    for persona in range(2):
        np.testing.assert_allclose(values(answers)[:, persona], expected, rtol=1e-12)
    assert "4 prompts" in answers.report[0]


def test_examples_are_shown_and_never_a_problem_s_own() -> None:
    examples = pd.DataFrame({"text": ["sun", "snow"], "answer": [3, 1]})
    llm = Closed(by_length)
    llm.refer(PROBLEMS, RATING, examples=examples)
    rain, sun = sorted((query.prompt for query in llm.asked), key=lambda prompt: '"rain"' not in prompt)
    assert rain.endswith('"sun"\nAnswer: 3\n\n"snow"\nAnswer: 1\n\n"rain"\nAnswer:')
    assert sun.endswith('3.\n\n"snow"\nAnswer: 1\n\n"sun"\nAnswer:')
    with pytest.raises(DataError, match="response|answer"):
        llm.refer(PROBLEMS, RATING, examples=examples.assign(answer=9))
    with pytest.raises(DataError, match="no column 'answer'"):
        llm.refer(PROBLEMS, RATING, examples=examples[["text"]])


def test_examples_are_answers_that_people_gave() -> None:
    answers = pd.DataFrame({"problem": list("aab"), "participant": [1, 2, 1], "response": [1, 2, 3]})
    data = CrowdData.from_frames(answers, PROBLEMS.rename_axis("problem").reset_index(), scale=RATING)
    seen = pd.concat([examples_from(data, 2, seed) for seed in range(20)])
    assert set(zip(seen["text"], seen["answer"], strict=True)) == {("rain", 1), ("rain", 2), ("sun", 3)}
    with pytest.raises(DataError, match="1 to 2 examples"):
        examples_from(data, 3)


def test_numbers_are_scored_on_a_grid_and_kept_as_draws() -> None:
    llm = Closed(lambda query: [-((float(option) - 40) ** 2) / 200 - 3 for option in query.options])
    with pytest.warns(LowOptionMassWarning):
        answers = llm.refer(PROBLEMS, Continuous(0, 100))
    assert values(answers).shape == (2, 1, 100)
    np.testing.assert_allclose(answers.expected(), 40, atol=0.05)
    np.testing.assert_allclose(answers.eta(), 100 + 25 / 12, rtol=0.01)
    assert llm.asked[0].prompt.splitlines()[1] == "Answer with one number from 0 to 100."
    few = Closed(lambda query: [-3, -0.1]).refer(PROBLEMS, Continuous(), grid=[0, 1], n_draws=7, calibrate=True)
    np.testing.assert_allclose(values(few)[0, 0], (np.arange(7) + 0.5) / 7)


def luce_shares(scale: Ballot) -> FloatArray:
    """Shares by brute force over all ballots."""
    w = np.exp(luce(Query("", PARKS, "")))
    shares = np.zeros(4)
    for ballot in itertools.permutations(range(4), scale.n):
        chance, left = 1.0, 1.0
        for option in ballot:
            chance *= w[option] / left
            left -= w[option]
        for place, option in enumerate(ballot):
            shares[option] += chance * (scale.n - place if scale.rule == "rank" else 1)
    return shares / scale.total


@pytest.mark.parametrize("scale", [Ballot(PARKS, rule, n) for rule in ("choose", "rank") for n in (1, 2, 3, 4)])
@pytest.mark.parametrize("picks", ["utilities", "sequential"])
def test_ballots_of_an_llm_that_obeys_luce_s_axiom(scale: Ballot, picks: str) -> None:
    answers = Closed(luce).refer(PROBLEMS, scale, picks=picks)
    np.testing.assert_allclose(values(answers), np.broadcast_to(luce_shares(scale), (2, 1, 4)), atol=1e-12)


@pytest.mark.parametrize("rule", ["choose", "rank"])
def test_sequential_picks_follow_every_sequence(rule: str) -> None:
    """An LLM that likes what is near to what it has picked: no Plackett-Luce, so brute force over its own sequences."""
    scale = Ballot(PARKS, rule, 3)

    def says(query: Query) -> FloatArray:
        made = re.search(r"Already (?:chosen|ranked, best first): (.*?)\. ", query.prompt)
        chosen = [] if made is None else [PARKS.index(each) for each in made[1].split(", ")]
        # Symmetric in what was chosen, as the order of choices is not told.
        return log_softmax([np.sin(PARKS.index(each) + sum(chosen)) * 2 for each in query.options])

    shares = np.zeros(4)
    for ballot in itertools.permutations(range(4), 3):
        chance, chosen = 0.0, []
        for option in ballot:
            left = [each for each in range(4) if each not in chosen]
            chance += log_softmax([np.sin(each + sum(chosen)) * 2 for each in left])[left.index(option)]
            chosen.append(option)
        for place, option in enumerate(ballot):
            shares[option] += np.exp(chance) * (3 - place if rule == "rank" else 1)
    answers = Closed(says).refer(PROBLEMS, scale, picks="sequential")
    np.testing.assert_allclose(values(answers)[0, 0], shares / shares.sum(), rtol=1e-12)


def test_long_ballots_are_drawn() -> None:
    """5 of 16 has too many beginnings: shares of 200 ballots, within four standard errors of Plackett-Luce."""
    options = tuple(f"o{k}" for k in range(16))
    scale = Ballot(options, "choose", 5)
    w = np.linspace(1, 4, 16)
    llm = Closed(lambda query: log_softmax(np.log([w[int(option[1:])] for option in query.options])))
    exact = values(llm.refer(PROBLEMS, scale))[0, 0]
    drawn = values(llm.refer(PROBLEMS, scale, picks="sequential", n_draws=200, seed=1))[0, 0]
    chance = exact * 5
    error = np.sqrt(chance * (1 - chance) / 200) / 5
    assert (np.abs(drawn - exact) < 4 * error).all()
    again = values(llm.refer(PROBLEMS, scale, picks="sequential", n_draws=200, seed=1))[0, 0]
    np.testing.assert_array_equal(drawn, again)


def test_approval_asks_about_each_option() -> None:
    llm = Closed(lambda query: np.log([0.1 * (1 + PARKS.index(re.search(r"option: (\w+)", query.prompt)[1])), 0.6]))
    answers = llm.refer(PROBLEMS, Ballot(PARKS, "approval"))
    odds = 0.1 * np.arange(1, 5)
    np.testing.assert_allclose(values(answers)[0, 0], odds / (odds + 0.6), rtol=1e-12)
    assert "OPTION? Choose one answer: yes, no." in answers.sources[0].prompt


def test_points_are_spread_by_utility() -> None:
    answers = Closed(luce).refer(PROBLEMS, Ballot(PARKS, "points", 10))
    np.testing.assert_allclose(values(answers)[0, 0], [0.5, 0.2, 0.25, 0.05])


def test_free_text_is_read_and_kept() -> None:
    said = {"rain": ["1", "I cannot say.", "2", "1"], "sun": ["Both 1 and 2.", "no", "", "7"]}
    llm = Closed(by_length, lambda query, draw: said["rain" if '"rain"' in query.prompt else "sun"][draw])
    answers = llm.refer(PROBLEMS, RATING, mode="write", n_draws=4)
    np.testing.assert_allclose(values(answers)[0, 0], [2 / 3, 1 / 3, 0])
    assert np.isnan(values(answers)[1, 0]).all()
    assert list(answers.missing()["problem"]) == ["b"]
    assert "5 of 8 texts gave no answer" in answers.report[0]
    assert "'I cannot say.' at problem 'a'" in answers.report[0]
    texts = answers.texts
    assert list(texts.columns) == ["model", "problem", "persona", "draw", "text", "answer"]
    assert list(texts["text"]) == said["rain"] + said["sun"]
    assert list(texts["answer"].isna()) == [False, True, False, False, True, True, True, True]
    assert answers.fill("drop").texts is texts


def test_free_text_of_numbers_and_ballots_and_personas() -> None:
    said = {"": "12.5", "nurse": "around 30"}
    llm = Closed(by_length, lambda query, draw: said["nurse" if "nurse" in query.prompt else ""])
    answers = llm.refer(PROBLEMS, Continuous(), mode="write", n_draws=2, personas={"nurse": "You are a nurse."})
    np.testing.assert_array_equal(values(answers), [[[12.5, 12.5], [30, 30]]] * 2)
    voters = Closed(by_length, lambda query, draw: ["Park and Bus", "Pool|Bus"][draw])
    ballots = voters.refer(PROBLEMS, Ballot(PARKS, "choose", 2), mode="write", n_draws=2)
    np.testing.assert_allclose(values(ballots)[0, 0], [0.25, 0.25, 0.5, 0])
    assert "Choose exactly 2, joined by |: Park, Pool, Bus, Tram." in voters.asked[0].prompt


def test_long_texts_are_cut_only_when_asked_and_it_is_said() -> None:
    long = PROBLEMS.assign(text=["x" * 5000, "short"])
    llm = Closed(by_length)
    answers = llm.refer(long, RATING, truncate=100)
    assert max(len(query.prompt) for query in llm.asked) < 300
    assert "1 of 2 texts cut to 100 characters, such as that of problem 'a'." in answers.report
    llm.refer(long, RATING)
    assert max(len(query.prompt) for query in llm.asked) > 5000


def test_options_without_any_probability_are_missing_not_nan() -> None:
    def says(query: Query) -> list[float]:
        return [-np.inf] * 3 if '"rain"' in query.prompt else [-1.0, -np.inf, -1.0]

    with pytest.warns(LowOptionMassWarning, match="0.000 at problem 'a'"):
        answers = Closed(says).refer(PROBLEMS, RATING)
    np.testing.assert_allclose(values(answers)[1, 0], [0.5, 0, 0.5])
    assert list(answers.missing()["problem"]) == ["a"]
    assert "1 of 2 distributions are missing: no option had any probability." in answers.report
    assert any("1 options had no probability at all" in note for note in answers.report)


def test_a_cache_serves_every_temperature_and_mode(tmp_path: Path) -> None:
    llm = Closed(by_length)
    first = llm.refer(PROBLEMS, RATING, cache=tmp_path / "c.sqlite")
    again = llm.refer(PROBLEMS, RATING, temperature=0.0, cache=tmp_path / "c.sqlite")
    assert len(llm.asked) == 2
    np.testing.assert_array_equal(values(again), values(first) == values(first).max(-1, keepdims=True))
    assert "0 of 2 prompts found" in first.report[-1]
    assert "2 of 2 prompts found" in again.report[-1]


def test_the_report_names_the_least_mass_and_warns_below_a_half() -> None:
    llm = Closed(lambda query: np.log([0.1, 0.2, 0.1]) if '"rain"' in query.prompt else np.log([0.3, 0.3, 0.3]))
    with pytest.warns(LowOptionMassWarning, match=r"0\.400 at problem 'a'") as caught:
        answers = llm.refer(PROBLEMS, RATING)
    assert caught[0].filename == __file__
    assert answers.report == (
        "closed (by formula): option mass 0.650 on average, least 0.400 at problem 'a'; below 0.5 in 1 of 2 prompts.",
    )


@pytest.mark.parametrize(
    ("scale", "options", "message"),
    [
        (RATING, {"mode": "guess"}, "mode='guess'"),
        (RATING, {"picks": "all"}, "picks='all'"),
        (RATING, {"picks": "sequential"}, "of ballots"),
        (RATING, {"n_draws": 0}, "n_draws=0"),
        (RATING, {"n_draws": 8}, "References.draws"),
        (RATING, {"grid": [1, 2]}, "continuous scale"),
        (RATING, {"mode": "write", "calibrate": True}, "no options to be scored"),
        (RATING, {"truncate": 0}, "truncate=0"),
        (RATING, {"temperature": -1.0}, "temperature=-1.0"),
        (Continuous(0, 1), {"letters": True}, "continuous scale has none"),
        (Ballot(PARKS, "points", 3), {"picks": "sequential"}, "only choose and rank"),
        (Ballot(PARKS, "choose", 1), {"examples": PROBLEMS.assign(answer="Park")}, "mode='write'"),
    ],
)
def test_settings_that_exclude_each_other(scale: Ordinal, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Closed(by_length).refer(PROBLEMS, scale, **options)


def test_an_unbounded_scale_has_a_way_out() -> None:
    with pytest.raises(ModelError, match="mode='write'"):
        Closed(by_length).refer(PROBLEMS, Continuous())


def test_labels_of_any_kind_are_scored_as_they_are() -> None:
    llm = Closed(lambda query: [-len(option) / 10 for option in query.options])
    answers = llm.refer(PROBLEMS, Categorical(("yes", "certainly not")))
    expected = np.exp(log_softmax([-0.3, -1.3]))
    np.testing.assert_allclose(values(answers)[0, 0], expected, rtol=1e-12)


def test_an_interviewer_asks_in_its_own_way() -> None:
    closed = Closed(by_length)
    asking = closed.asking(question="How wet?", personas={"n": "A nurse."})
    assert isinstance(asking, Backbone)
    assert (asking.name, asking.revision) == ("closed", "1")
    expected = closed.refer(PROBLEMS, RATING, question="How wet?", personas={"n": "A nurse."}).source()
    found = asking.refer(PROBLEMS, RATING).source()
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.personas == ("", "n")
    assert asking.refer(PROBLEMS, RATING, personas=None, temperature=0.0).source().personas == ("",)
    with pytest.raises(ModelError, match=r"asking\(persona=...\): 'closed' is asked by question, personas, "):
        closed.asking(persona="n")


def test_a_crowd_is_fitted_to_what_an_interviewer_hears() -> None:
    rng = np.random.default_rng(0)
    rows = [(p, who, rng.integers(1, 4)) for p in "ab" for who in range(12)]
    answers = pd.DataFrame(rows, columns=["problem", "participant", "response"])
    data = CrowdData.from_frames(answers, PROBLEMS.rename_axis("problem").reset_index(), scale=RATING)
    closed = Closed(by_length)
    how = {"n_components": 0, "progress": False, "training": FitConfig(epochs=2)}
    model = CrowdLLM(backbone=closed.asking(question="How wet?"), **how).fit(data, seed=0)
    assert all(query.prompt.startswith("How wet?") for query in closed.asked)
    references = closed.refer(PROBLEMS, RATING, question="How wet?")
    assert model.history.loss == CrowdLLM(**how).fit(data, references, seed=0).history.loss


def test_ids_of_numpy_are_written_as_numbers() -> None:
    texts = pd.DataFrame({"text": ["rain", "sun"]}, index=pd.Index(np.array([1176, 7]), name="problem"))
    closed = Closed(lambda query: [-3.0, -3.0, -3.0])
    with pytest.warns(LowOptionMassWarning, match="at problem 1176 "):
        report = closed.refer(texts, RATING, truncate=3).report
    assert "at problem 1176;" in report[0]
    assert any("that of problem 1176." in note for note in report)
    with pytest.raises(DataError, match="' ' at problem 7;"):
        closed.refer(texts.assign(text=["rain", " "]), RATING)
