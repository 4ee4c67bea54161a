"""The Amazon study, on reviews that are made up, and on the real ones where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError, References
from crowdpyro.reviews import halved, titled
from crowdpyro.reviews.table import STARS
from crowdpyro.studies import amazon_references
from crowdpyro.studies.amazon import ELECTRONICS, LLM, MUSIC, STUDY, evaluate, height_distance, load
from crowdpyro.studies.amazon_figures import figures
from crowdpyro.studies.amazon_methods import METHODS, gains, llm_tells, predict
from crowdpyro.studies.amazon_slices import Slice, development_products, personas_of
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.runner import run
from crowdpyro.studies.store import ResultsStore

from .conftest import made_up

FITTED = {"crowdllm", "crowdllm_reads_llm", "crowdllm_own_text", "crowdllm_no_profile", "vae_without_llm", "vae"}


def answers(shown: pd.Series, personas: dict[str, str] | None = None) -> References:
    """An LLM that tells good from bad, most of the time, and never says 4."""
    rows = []
    for problem, text in shown.items():
        good = sum(text.lower().count(word) for word in ("great", "good", "solid"))
        bad = sum(text.lower().count(word) for word in ("awful", "poor", "cheap"))
        top = 0.7 if good >= bad else 0.1
        shares = np.array([0.9 - top, 0.05, 0.05, 0.0, top])
        rows += [(problem, name, *shares) for name in personas or [""]]
    columns = ["problem", "persona", *(f"p_{star}" for star in range(1, 6))]
    return References.from_frame(pd.DataFrame(rows, columns=columns).assign(model=LLM), scale=STARS)


@pytest.fixture(scope="module")
def slices() -> dict[str, Slice]:
    """Both protocols on a small scale."""
    music, devices = halved(made_up(30, 60, 12)), titled(made_up(6, 40, 20, seed=1))
    development = development_products(music.problems["product"])
    personas = personas_of(music.asked(development).words)
    return {
        MUSIC: Slice(MUSIC, music, development, personas, answering=answers),
        ELECTRONICS: Slice(ELECTRONICS, devices, frozenset(), personas, leave_one_out=True, answering=answers),
    }


def overall(rows: pd.DataFrame, metric: str) -> float:
    """The plain mean over products."""
    chosen = rows[(rows["metric"] == metric) & (rows["n_virtual"] == 0) & (rows["unit"] != "")]
    return float(chosen["value"].mean())


def test_development_products_are_never_tested_and_a_fifth_is(slices: dict[str, Slice]) -> None:
    music = slices[MUSIC]
    tested = [music.trials(seed)[0].tested for seed in range(20)]
    assert all(len(each) == 6 for each in tested)
    assert len(set(tested)) > 10
    assert not music.development & {product for each in tested for product in each}
    assert len(music.development) == 7
    trial = music.trials(3)[0]
    assert not set(trial.tested) & set(trial.train.problems["product"])
    assert set(trial.train.problems["direction"]) == {0, 1}
    assert set(trial.asked["direction"]) == {0}
    left_out = slices[ELECTRONICS].trials(0)
    assert [each.tested for each in left_out] == [(f"p0{i}",) for i in range(6)]
    assert sum(each.test.n_answers for each in left_out) == 120  # every review is gold once


@pytest.mark.parametrize("method", sorted(set(METHODS) - FITTED))
def test_every_simple_method_gives_distributions(slices: dict[str, Slice], method: str) -> None:
    trial = slices[MUSIC].trials(0)[0]
    shares = predict(method, trial)
    assert shares.shape == (6, 5)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares >= 0).all()


def test_stars_of_the_writers_are_shrunk_towards_the_marginal(slices: dict[str, Slice]) -> None:
    trial = slices[MUSIC].trials(0)[0]
    raw, shrunk, marginal = (
        predict(f"{m}", trial) for m in ("writers_histogram", "writers_shrunk", "training_marginal")
    )
    weight = (shrunk - marginal) / np.where(np.abs(raw - marginal) > 1e-9, raw - marginal, np.nan)
    np.testing.assert_allclose(weight[~np.isnan(weight)], np.nanmean(weight), rtol=1e-6)
    assert 0 < np.nanmean(weight) < 1


def test_the_gain_of_a_left_out_product_is_that_of_a_fit_without_it() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    p = 1 / (1 + np.exp(-2 * x[:, 0]))
    answers = np.stack([rng.binomial(20, p), np.zeros(12), np.zeros(12), np.zeros(12), np.full(12, 5)], axis=1) * 1.0
    y, weight = answers / answers.sum(axis=1, keepdims=True), answers.sum(axis=1) / answers.sum(axis=1).mean()
    scaled = (x - x.mean(axis=0)) / np.sqrt(np.square(x - x.mean(axis=0)).sum(axis=1).mean())
    found = {}
    for penalty in np.logspace(-3, 2, 11) * 12:
        each = []
        for out in range(12):
            kept = np.arange(12) != out
            fitted = Ridge(penalty).fit(scaled[kept], y[kept], sample_weight=weight[kept])
            plain = np.average(y[kept], axis=0, weights=weight[kept])
            errors = [np.square(y[out] - guess).sum() for guess in (plain, fitted.predict(scaled[[out]])[0])]
            each.append(weight[out] * (errors[0] - errors[1]))
        found[penalty] = np.array(each)
    best = max(found.values(), key=np.sum)
    np.testing.assert_allclose(gains(x, answers), best, atol=1e-9)


def test_an_llm_at_chance_is_not_read_and_one_that_tells_is(slices: dict[str, Slice]) -> None:
    music = slices[MUSIC]
    assert all(llm_tells(music.trials(seed)[0]) for seed in range(5))
    rng = np.random.default_rng(1)

    def chance(shown: pd.Series, personas: dict[str, str] | None) -> References:
        frame = pd.DataFrame(rng.dirichlet(np.ones(5), len(shown)), columns=[f"p_{star}" for star in range(1, 6)])
        return References.from_frame(frame.assign(problem=shown.index, model=LLM), scale=STARS)

    def read(seed: int) -> bool:
        return llm_tells(Slice(MUSIC, music.problems, music.development, {}, answering=chance).trials(seed)[0])

    # At two standard errors one in forty passes by chance: more than 5 of 30 has a probability below 1e-4.
    assert sum(read(seed) for seed in range(30)) <= 5


def test_the_model_beats_the_marginal_where_texts_tell(slices: dict[str, Slice]) -> None:
    cell = Cell("amazon", MUSIC, LLM, "crowdllm", 0)
    crowd = evaluate(cell, slices)
    marginal = evaluate(Cell("amazon", MUSIC, "", "training_marginal", 0), slices)
    # Products are of two kinds, 2.2 and 4.6 stars: a marginal errs by 1.2, the text tells which.
    assert overall(crowd, "mae") < 0.5 * overall(marginal, "mae")
    assert overall(crowd, "wasserstein1") < 0.6 * overall(marginal, "wasserstein1")
    pd.testing.assert_frame_equal(evaluate(cell, slices), crowd)


def test_a_product_left_out_is_told_by_its_title(slices: dict[str, Slice]) -> None:
    good, bad = slices[ELECTRONICS].trials(0)[:2]
    crowd, marginal = (
        np.concatenate([predict(method, trial) for trial in (good, bad)]) @ STARS.values
        for method in ("crowdllm", "training_marginal")
    )
    truth = np.concatenate([trial.test.counts() / trial.test.n_answers for trial in (good, bad)]) @ STARS.values
    assert truth[0] - truth[1] > 2
    assert (np.abs(crowd - truth) < 0.7 * np.abs(marginal - truth)).all()


def test_distance_of_heights_is_blind_to_which_stars_they_are() -> None:
    p = np.array([[0.5, 0.3, 0.2, 0, 0], [1.0, 0, 0, 0, 0]])
    q = np.array([[0, 0, 0.2, 0.5, 0.3], [0.2, 0.2, 0.2, 0.2, 0.2]])
    np.testing.assert_allclose(height_distance(p, q), [0, (4 * 0.2 + 0.8) / 5])


def test_a_run_resumes_and_draws_figures(
    slices: dict[str, Slice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    study = replace(STUDY, load=lambda folder: slices, files=())
    store = ResultsStore(tmp_path)
    methods = ("training_marginal", "llm_zero_shot", "llm_multi_persona")
    how = {"protocols": (MUSIC,), "methods": methods, "seeds": (0, 1)}
    assert run(study, store, **how).done == 6
    assert run(study, store, **how).skipped == 6
    frame = store.read()
    assert frame[frame["metric"] == "llm_calls"].groupby("method")["value"].max().to_dict() == {
        "training_marginal": 0.0, "llm_zero_shot": 6.0, "llm_multi_persona": 24.0,
    }  # fmt: skip
    pictures = figures(frame)
    assert len(pictures) == 1
    panels = pictures[0][2].axes
    assert [panel.get_title() for panel in panels] == sorted(slices[MUSIC].trials(0)[0].tested)[:3]
    bars = [patch.get_height() for patch in panels[0].patches]
    assert sum(bars) == pytest.approx(1)
    assert figures(frame[frame["seed"] == 1]) == []
    assert figures(frame.iloc[:0]) == []


def test_the_papers_figures_are_labelled_as_of_another_slice() -> None:
    assert len(STUDY.paper) == 48
    assert all("another slice" in figure.label for figure in STUDY.paper)
    printed = {(f.where, f.method, f.column): f.value for f in STUDY.paper}
    assert printed["Table 3", "crowdllm", "mae:mean@20"] == 0.21
    assert printed["Table 4", "vae", "height_distance@20"] == 0.07


def test_the_llm_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Counted:
        def __init__(self, model: str) -> None:
            self.model = model

        def refer(self, problems: pd.DataFrame, *args: object, **how: object) -> References:
            asked.append(dict(how))
            return answers(problems["text"], how.get("personas"))

    monkeypatch.setenv("CROWDPYRO_CACHE", str(tmp_path))
    monkeypatch.setattr("crowdpyro.llm.FrozenLLM", Counted)
    shown = pd.Series({"a": "- great", "b": "- awful"})
    first = amazon_references.embedded_answers(shown)
    again = amazon_references.embedded_answers(shown)
    assert len(asked) == 1
    assert asked[0]["cache"] == tmp_path / "amazon.sqlite"
    np.testing.assert_array_equal(first.probabilities(), again.probabilities())
    personas = amazon_references.embedded_answers(shown, {"one": "You are one.", "two": "You are two."})
    assert personas.probabilities(persona="mean").shape == (2, 5)
    assert len(asked) == 2


def test_an_unknown_method_or_folder_is_named(slices: dict[str, Slice], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="method='oracle'"):
        predict("oracle", slices[MUSIC].trials(0)[0])
    with pytest.raises(DataError, match="CROWDPYRO_DATA"):
        load(tmp_path)


@pytest.fixture(scope="module")
def real(data_dir: Path) -> dict[str, Slice]:
    """The two real slices."""
    if not (data_dir / "amazon").is_dir():
        pytest.skip("CROWDPYRO_DATA holds no amazon folder")
    slices = load(data_dir)
    assert {name: len(each.problems.answers) for name, each in slices.items()} == {MUSIC: 6516, ELECTRONICS: 4736}
    return slices


def gained(slices: dict[str, Slice], over: str, metric: str) -> list[float]:
    """By how much the model without an LLM is better than a method, on musical instruments, splits 0 to 2."""
    pairs = ([Cell("amazon", MUSIC, "", method, seed) for method in (over, "vae_without_llm")] for seed in range(3))
    scores = ([overall(evaluate(cell, slices), metric) for cell in pair] for pair in pairs)
    return [other - ours for other, ours in scores]


@pytest.mark.slow
@pytest.mark.xfail(raises=AssertionError, strict=True, reason="W1 is .3669, the marginal's .3666 (20 splits)")
def test_real_reviews_have_a_signal(real: dict[str, Slice]) -> None:
    """A bar that is not met; it fails here once it is."""
    assert np.mean(gained(real, "training_marginal", "wasserstein1")) > 0


@pytest.mark.slow
def test_real_reviews_are_scored_better_than_by_a_plain_vae(real: dict[str, Slice]) -> None:
    """In log loss, in each split, as in 20 of 20 of the study."""
    assert min(gained(real, "vae", "log_loss")) > 0
