"""CrowdLLM on simulated people: reproducible, honest about what it lacks, and able to learn a pattern."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro import (
    Categorical,
    Continuous,
    CrowdData,
    CrowdLLM,
    DataError,
    FitConfig,
    MissingReferenceError,
    ModelError,
    Ordinal,
    References,
)
from crowdpyro.asking import covariates_of
from crowdpyro.inference import hold_out
from crowdpyro.inference.runtime import seeded

QUICK = FitConfig(epochs=6, margin_steps=10, every=2, batch_size=20)
N_PEOPLE, N_PROBLEMS = 40, 8
SCALES = {"ordinal": Ordinal.range(1, 5), "continuous": Continuous(), "categorical": Categorical(("r", "g", "b"))}
TEXTS = [f"statement {word}" for word in ("one", "two", "three", "four", "five", "six", "seven", "eight")]


def people(scale, seed=0):
    rng = np.random.default_rng(seed)
    person, problem = np.indices((N_PEOPLE, N_PROBLEMS)).reshape(2, -1)
    latent = (
        rng.normal(size=N_PEOPLE)[person] * 0.7 + np.linspace(-1, 1, N_PROBLEMS)[problem] + rng.normal(size=len(person))
    )
    if isinstance(scale, Continuous):
        answer = latent
    else:
        answer = scale.decode(np.clip(np.round(latent + scale.n_levels / 2), 0, scale.n_levels - 1))
    return CrowdData.from_frames(
        pd.DataFrame({"participant": person, "problem": problem, "response": answer}),
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": TEXTS}),
        pd.DataFrame(
            {
                "participant": range(N_PEOPLE),
                "group": rng.choice(["u", "v"], N_PEOPLE),
                "age": rng.normal(size=N_PEOPLE),
            }
        ),
        scale=scale,
    )


def references(scale, problems=range(N_PROBLEMS), seed=1):
    rng = np.random.default_rng(seed)
    if isinstance(scale, Continuous):
        frame = pd.DataFrame({"problem": np.repeat(list(problems), 4), "answer": rng.normal(size=4 * len(problems))})
        return References.from_frame(frame, scale=scale)
    probs = rng.dirichlet(np.ones(scale.n_levels), len(problems))
    columns = {f"p_{label}": probs[:, k] for k, label in enumerate(scale.labels)}
    return References.from_frame(pd.DataFrame({"problem": list(problems), **columns}), scale=scale)


def quick(**settings):
    return CrowdLLM(
        training=QUICK, **{"n_components": 4, "text_encoder": "tfidf", "n_eps": 2, "n_hidden": 8, **settings}
    )


def quick_on(device):
    return CrowdLLM(quick().config, device=device)


@pytest.fixture(scope="module")
def fitted():
    scale = SCALES["ordinal"]
    return quick().fit(people(scale), references(scale), seed=5)


NEW = pd.DataFrame({"text": ["statement nine"]}, index=pd.Index(["new"], name="problem"))


@pytest.mark.parametrize("kind", SCALES)
def test_every_scale_fits_generates_and_comes_back_from_disk(kind, tmp_path):
    scale = SCALES[kind]
    model = quick().fit(people(scale), references(scale), seed=5)
    crowd = model.generate(30, seed=2)
    assert crowd.n_participants == 30
    assert crowd.n_problems == N_PROBLEMS
    scale.encode(crowd.to_frame()["response"].to_numpy())
    assert all(torch.isfinite(each).all() for each in model.model.parameters())
    again = CrowdLLM.load(model.save(tmp_path / "run"))
    assert again.generate(30, seed=2).dataset.identical(crowd.dataset)
    new = references(scale, ["new"])
    assert again.generate(5, NEW, new, seed=3).dataset.identical(model.generate(5, NEW, new, seed=3).dataset)


def test_equal_seeds_equal_crowds_and_the_callers_random_state_is_untouched(fitted):
    scale = SCALES["ordinal"]
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.get_num_threads()
    again = quick().fit(people(scale), references(scale), seed=5)
    crowd = again.generate(50, seed=7)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()
    assert before[3] == torch.get_num_threads()
    assert crowd.dataset.identical(fitted.generate(50, seed=7).dataset)
    assert not crowd.dataset.identical(fitted.generate(50, seed=8).dataset)


@pytest.mark.parametrize(("n_components", "warned"), [(32, True), (4, False), (0, False)])
def test_new_problems_of_which_nothing_but_text_is_known_are_warned_of(n_components, warned, caplog):
    model = quick(n_components=n_components).fit(people(SCALES["ordinal"]))
    model.generate(5)
    assert not caplog.records
    model.generate(5, NEW)
    said = f"1 new problem.* only the text .*n_components={n_components} of {N_PROBLEMS} training problems"
    assert bool(re.search(said, caplog.text)) == warned


def test_ids_of_new_problems_are_a_column_or_the_index(fitted):
    new = references(SCALES["ordinal"], ["new"])
    crowd = fitted.generate(5, NEW.reset_index(), new, seed=3)
    assert crowd.dataset.identical(fitted.generate(5, NEW, new, seed=3).dataset)


def test_new_problems_need_text_and_references(fitted):
    with pytest.raises(MissingReferenceError, match="problem 'new'.*has no reference; pass references="):
        fitted.generate(5, NEW)
    with pytest.raises(DataError, match="lacks column 'text'"):
        fitted.generate(5, NEW.drop(columns="text"))
    with pytest.raises(DataError, match="problem 'new' is not of training"):
        fitted.generate(5, ["new"])
    other = References.from_frame(pd.DataFrame({"problem": ["new"], "answer": [1]}), scale=SCALES["ordinal"], name="x")
    with pytest.raises(ModelError, match="are of x; the model was fitted with llm. .*in the column 'model'"):
        fitted.generate(5, NEW, other)
    crowd = fitted.generate(5, NEW, references(SCALES["ordinal"], ["new"]))
    assert crowd.problems.tolist() == ["new"]


def test_an_old_id_with_another_text_is_a_new_problem(fitted):
    same = pd.DataFrame({"text": TEXTS[:1]}, index=pd.Index([0], name="problem"))
    assert fitted.generate(5, same, seed=1).n_problems == 1
    with pytest.raises(MissingReferenceError, match="problem 0 .*has no reference"):
        fitted.generate(5, same.assign(text="statement ten"), seed=1)


def test_a_fit_that_fails_leaves_the_old_model(monkeypatch):
    scale = SCALES["ordinal"]
    model = quick().fit(people(scale), references(scale), seed=5)
    before = model.model
    monkeypatch.setattr("crowdpyro.inference.training._JointStage.run", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(people(scale), references(scale), seed=6)
    assert model.model is before


def test_fitting_refuses_gaps_in_the_references():
    scale = SCALES["ordinal"]
    with pytest.raises(MissingReferenceError, match="problem 7 .*has no reference"):
        quick().fit(people(scale), references(scale, range(7)))


def test_an_unseen_category_is_named_at_generation(fitted):
    strangers = pd.DataFrame({"group": ["u", "w"], "age": [0.0, 1.0]})
    with pytest.raises(DataError, match="'group' of participants: 'w' was never seen.*'u', 'v'.*refit"):
        fitted.generate(strangers)
    with pytest.raises(DataError, match="lack column 'age'"):
        fitted.generate(strangers[["group"]])
    crowd = fitted.generate(strangers.assign(group="v"))
    assert crowd.dataset["profile_group"].to_numpy().tolist() == ["v", "v"]


def test_decisions_and_references_are_used_as_asked(fitted):
    refs = references(SCALES["ordinal"])
    expected = fitted.generate(200, decision="expected", n_draws=50, seed=1)
    assert expected.dataset["response"].dtype.kind == "f"
    drawn = fitted.generate(4000, seed=1)
    gap = np.abs(expected.values().mean(axis=0) - drawn.values().mean(axis=0))
    # Standard error of a mean over 200 people with spread about 1 is .07; eight problems, four of them.
    assert gap.max() < 0.28
    assert expected.values().std() < drawn.values().std()
    for use in ("shared_draw", "per_participant"):
        crowd = fitted.generate(20, references=refs, reference=use, seed=1)
        assert crowd.dataset.attrs["reference"] == use
        with pytest.raises(MissingReferenceError, match="pass references="):
            fitted.generate(20, reference=use)
    with pytest.raises(DataError, match="decision='mode'"):
        fitted.generate(20, decision="mode")


def test_fresh_people_for_each_problem_do_not_hang_together():
    scale = SCALES["ordinal"]
    model = quick().fit(people(scale), references(scale), seed=5)
    # A strong common loading, so that the same people's answers correlate whatever the fit found.
    with torch.no_grad():
        start = model.model.encoder.widths[0] + 1
        model.model.encoder.affine.bias[start] += 3.0
    off = ~np.eye(N_PROBLEMS, dtype=bool)
    same = model.generate(2000, seed=1).correlation().to_numpy()[off].mean()
    fresh = model.generate(2000, crossed=False, seed=1).correlation().to_numpy()[off]
    assert same > 0.4
    # Under independence each of 28 correlations has standard error .022; their mean must be within four of its own.
    assert abs(fresh.mean()) < 4 * 0.022 / np.sqrt(28)


def test_participation_thins_the_crowd(fitted):
    crowd = fitted.generate(2000, participation=0.3, seed=1)
    taken = (~np.isnan(crowd.codes())).mean()
    # 16,000 coins: standard error .0036, four of them.
    assert abs(taken - 0.3) < 0.0145
    probability = np.zeros((10, N_PROBLEMS))
    probability[:, 2] = 1.0
    some = fitted.generate(10, participation=probability)
    assert (~np.isnan(some.codes())).sum(axis=0).tolist() == [0, 0, 10, 0, 0, 0, 0, 0]
    with pytest.raises(DataError, match="participation=1.2"):
        fitted.generate(10, participation=1.2)


def test_log_scores_agree_with_the_predictive_distribution():
    scale = SCALES["ordinal"]
    data = people(scale)
    model = quick(n_eps=0, use_profile=False).fit(data, references(scale), seed=5)
    score = model.log_score(data)
    probs = model.shares()
    expected = np.log(probs[data.problem_code, data.response.astype(int)]).mean()
    assert score.single == pytest.approx(expected, abs=1e-4)
    assert score.joint == pytest.approx(score.single, abs=1e-6)
    with pytest.raises(ModelError, match="n_draws=8"):
        model.log_score(data, n_draws=8)


def test_without_references_the_model_stands_on_its_own():
    model = quick().fit(people(SCALES["ordinal"]), seed=5)
    assert model.generate(5, NEW, seed=1).n_problems == 1


@pytest.mark.parametrize(
    "settings",
    [{"n_eps": -1}, {"holdout": "row"}, {"holdout_size": 1.0}, {"weight_scale": 0.0}, {"n_hidden": 0}, {"eps": 3}],
)
def test_bad_settings_are_named(settings):
    name = next(iter(settings))
    with pytest.raises(ModelError, match=name):
        CrowdLLM(**settings)


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"lr": -1.0}, {"lr": float("nan")}, {"warm_up": 2.0}, {"margin_steps": -1}]
)
def test_bad_training_settings_are_named(settings):
    with pytest.raises(ModelError, match=next(iter(settings))):
        FitConfig(**settings)


def test_an_unfitted_model_says_so():
    with pytest.raises(ModelError, match="not fitted"):
        CrowdLLM().generate(3)


def test_a_damaged_or_missing_folder_is_named(fitted, tmp_path):
    with pytest.raises(ModelError, match="holds no readable model"):
        CrowdLLM.load(tmp_path / "nothing")
    folder = fitted.save(tmp_path / "run")
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="holds no readable model"):
        CrowdLLM.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda saved: saved.update(format=99), "has format 99; this version reads 2: load it with the version that"),
        (lambda saved: saved.update(format=1), "has format 1; this version reads 2: fit it again with this version"),
        (lambda saved: saved.update(arrays="0"), "do not belong together; fit or copy it again"),
        (lambda saved: saved.pop("scale"), "model.json is damaged .KeyError: 'scale'"),
        (lambda saved: saved["config"].update(n_hidden=3), "model.json is damaged .RuntimeError"),
        (lambda saved: saved["config"].update(colour="red"), "model.json is damaged .TypeError.*colour"),
        (lambda saved: saved["config"].update(n_eps=-1), "n_eps=-1"),
        (lambda saved: saved["scale"].update(kind="odd"), "scale kind 'odd' is unknown"),
    ],
)
def test_a_model_json_that_was_changed_is_named(fitted, tmp_path, change, words):
    folder = fitted.save(tmp_path / "run")
    saved = json.loads((folder / "model.json").read_text())
    change(saved)
    (folder / "model.json").write_text(json.dumps(saved))
    with pytest.raises((ModelError, DataError), match=words):
        CrowdLLM.load(folder)


def test_a_crash_between_the_two_files_is_seen(fitted, tmp_path):
    folder = fitted.save(tmp_path / "run")
    before = (folder / "model.json").read_text()
    other = quick().fit(people(SCALES["ordinal"]), references(SCALES["ordinal"]), seed=6)
    other.save(folder)
    (folder / "model.json").write_text(before)
    with pytest.raises(ModelError, match="do not belong together"):
        CrowdLLM.load(folder)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_named(fitted, tmp_path, device):
    with pytest.raises(ModelError, match=f"device='{device}': torch cannot compute there .*give 'cpu'"):
        quick_on(device).fit(people(SCALES["ordinal"]))
    with pytest.raises(ModelError, match=f"device='{device}'"):
        CrowdLLM.load(fitted.save(tmp_path / "run"), device=device)


def test_a_clear_pattern_is_learned():
    scale = SCALES["ordinal"]
    data = people(scale, seed=3)
    training = FitConfig(epochs=60, batch_size=20, margin_steps=100)
    model = CrowdLLM(training=training, n_components=4, text_encoder="tfidf", n_eps=1, n_hidden=8).fit(data, seed=1)
    crowd = model.generate(4000, seed=1)
    error = crowd.values().mean(axis=0) - np.nanmean(data.scale.values[0] + data.matrix(), axis=0)
    # 40 answers of spread 1.1 a problem: the prior may shrink a mean by about its standard error, .17.
    assert np.abs(error).max() < 0.2
    # People share one trait of variance .49 in a total of 1.49 plus rounding: correlations about .3.
    off = crowd.correlation().to_numpy()[~np.eye(N_PROBLEMS, dtype=bool)]
    assert 0.1 < off.mean() < 0.5


def test_of_old_and_new_problems_only_the_new_need_references(fitted):
    both = pd.concat([fitted.problems.iloc[[5]], NEW, fitted.problems.iloc[[0]]])
    with pytest.raises(MissingReferenceError, match="problem 'new' .1 such. has no reference"):
        fitted.generate(5, both)
    new = references(SCALES["ordinal"], ["new"])
    stored = fitted._state()
    covariates, reference = covariates_of(stored, None, both, new)
    alone = covariates_of(stored, None, NEW, new)
    np.testing.assert_array_equal(covariates, np.stack([stored.covariates[5], alone[0][0], stored.covariates[0]]))
    np.testing.assert_array_equal(reference, np.stack([stored.reference[5], alone[1][0], stored.reference[0]]))
    assert fitted.generate(5, both, new, seed=1).n_problems == 3
    # References of problems that are known are read as well.
    other = references(SCALES["ordinal"], [5], seed=9)
    assert (covariates_of(stored, None, both.iloc[[0]], other)[0] != stored.covariates[[5]]).any()


def test_a_backbone_is_asked_about_new_problems_alone(fitted, monkeypatch):
    class Backbone:
        def refer(self, problems, scale):
            assert list(problems.index) == ["new"]
            return references(scale, ["new"])

    monkeypatch.setattr(fitted, "backbone", Backbone())
    assert fitted.generate(5, pd.concat([fitted.problems, NEW]), seed=1).n_problems == N_PROBLEMS + 1


@pytest.mark.parametrize("holdout", ["participant", "problem"])
def test_only_who_answered_is_held_out(holdout):
    """Of forty people and eight problems, ten and five came to an answer."""
    data = people(SCALES["ordinal"])
    few = data.answers.query("participant < 10 and problem < 5")
    data = CrowdData.from_frames(
        few, data.problems.reset_index(), data.participants.rename_axis("participant").reset_index(), scale=data.scale
    )
    model = quick(holdout=holdout, holdout_size=0.4).fit(data, references(data.scale), seed=5)
    for seed in range(5):
        train, valid = hold_out(model.batch(data), holdout, 0.4, seed)
        assert train.n_answers + valid.n_answers == 50
        assert valid.n_answers == 20
        if holdout == "participant":
            assert (train.n_participants, valid.n_participants) == (36, 4) == (train.population, valid.population)
    assert all(joint < 0 for _, joint, _ in model.history.score)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_a_seed_that_is_none_is_named(fitted, seed):
    data, words = people(SCALES["ordinal"]), "seed=.*: give a whole number from 0 to 4294967295"
    calls = [
        lambda: quick().fit(data, seed=seed),
        lambda: fitted.generate(3, seed=seed),
        lambda: fitted.shares(seed=seed),
        lambda: fitted.log_score(data, seed=seed),
        lambda: data.split("participant", seed=seed),
        lambda: data.folds("problem", 2, seed=seed),
        lambda: fitted.generate(3).aggregate("majority", seed=seed),
        lambda: seeded(seed).__enter__(),
    ]
    for call in calls:
        with pytest.raises(ModelError, match=words):
            call()


def test_seeds_of_numpy_are_seeds(fitted):
    one, other = (fitted.generate(3, seed=seed).codes() for seed in (np.int64(7), np.uint32(7)))
    np.testing.assert_array_equal(one, other)


def test_gaps_of_new_people_are_filled_from_training_and_said(fitted, caplog):
    new = pd.DataFrame({"group": ["u", "v"], "age": [0.5, None], "name": ["Ann", "Bo"]})
    crowd = fitted.generate(new, seed=1)
    assert "profile 'age': 1 missing, set to training's median" in caplog.text
    median = fitted.profiles["age"].median()
    np.testing.assert_array_equal(crowd.dataset["profile_age"], [0.5, median])
    assert crowd.dataset["profile_age_missing"].to_numpy().tolist() == [0, 1]
    with pytest.raises(DataError, match="'group' of participants: 'missing' was never seen.*Fill the gap"):
        fitted.generate(new.assign(group=["u", None]))


def test_new_people_with_many_towns_are_no_free_text():
    scale = SCALES["ordinal"]
    data = people(scale)
    towns = data.participants.assign(town=[f"t{k % 25}" for k in range(N_PEOPLE)])
    model = quick().fit(replace(data, participants=towns), references(scale), seed=5)
    new = towns.iloc[:25]
    assert model.generate(new, seed=1).dataset["profile_town"].to_numpy().tolist() == new["town"].tolist()
