"""The same crowd twice: standard errors that mean what they say, and worlds that are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Categorical, CrowdData, CrowdLLM, DataError, FitConfig, MissingReferenceError, Ordinal, References
from crowdpyro import replay as worlds
from crowdpyro.recruitment.by_margins import RakedPool
from crowdpyro.recruitment.margins import Margins

N_PEOPLE, N_PROBLEMS = 120, 6
SCALE, LABELS = Ordinal.range(1, 5), Categorical(("r", "g", "b"))


def people(scale=SCALE, seed=0):
    rng = np.random.default_rng(seed)
    person, problem = np.indices((N_PEOPLE, N_PROBLEMS)).reshape(2, -1)
    trait = rng.choice(["a", "b", "c"], p=[0.5, 0.3, 0.2], size=N_PEOPLE)
    latent = rng.normal(size=N_PEOPLE)[person] + 0.8 * (trait == "a")[person] + np.linspace(-1, 1, N_PROBLEMS)[problem]
    latent = latent + rng.normal(size=len(person))
    return CrowdData.from_frames(
        pd.DataFrame(
            {
                "participant": person,
                "problem": problem,
                "response": scale.decode(np.clip(np.round(latent + scale.n_levels / 2), 0, scale.n_levels - 1)),
            }
        ),
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement {k}" for k in range(N_PROBLEMS)]}),
        pd.DataFrame(
            {"participant": range(N_PEOPLE), "trait": trait, "place": np.where(np.arange(N_PEOPLE) % 3, "x", "y")}
        ),
        scale=scale,
    )


def answers_of(name, shift, scale=SCALE, personas=("", "older man")):
    """An LLM that is surer of the later problems, its personas a level apart."""
    rows = []
    for place, persona in enumerate(personas):
        for problem in range(N_PROBLEMS):
            level = int(np.clip(problem // 2 + shift + place, 0, scale.n_levels - 1))
            probs = np.full(scale.n_levels, 0.1)
            probs[level] += 1 - probs.sum()
            rows.append({"problem": problem, "model": name, "persona": persona})
            rows[-1] |= {f"p_{label}": p for label, p in zip(scale.labels, probs, strict=True)}
    return References.from_frame(pd.DataFrame(rows), scale=scale)


def fit(scale=SCALE, references=True, **settings):
    training = FitConfig(epochs=30, margin_steps=20, batch_size=40)
    model = CrowdLLM(training=training, n_components=2, text_encoder="tfidf", n_eps=1, n_hidden=4, **settings)
    return model.fit(people(scale), answers_of("one", 0, scale) if references else None, seed=1)


@pytest.fixture(scope="module")
def model():
    return fit(holdout="problem")


def test_the_same_world_is_the_same_crowd(model):
    same = worlds.under_references(model, answers_of("two", 0), 50, seed=3)
    np.testing.assert_array_equal(same.before.values(), same.after.values())
    table = same.contrast()
    assert (table["se_paired"] == 0).all()
    assert (table["se_unpaired"] > 0).all()


def test_standard_errors_are_those_of_repeated_crowds(model):
    """sd over 200 crowds of the paired difference, and of one between independent crowds, against what is said."""
    other = answers_of("two", 1)
    found = [worlds.under_references(model, other, 60, seed=seed) for seed in range(200)]
    said = pd.concat([each.contrast()[["se_paired", "se_unpaired"]].pow(2) for each in found])
    said = said.groupby(level=0).mean().pow(0.5)
    before = np.stack([each.before.values().mean(0) for each in found])
    after = np.stack([each.after.values().mean(0) for each in found])
    # A standard deviation of 200 crowds is known to 5%: four and a half standard errors.
    np.testing.assert_allclose((after - before).std(0, ddof=1), said["se_paired"], rtol=0.23)
    np.testing.assert_allclose((after[1:] - before[:-1]).std(0, ddof=1), said["se_unpaired"], rtol=0.23)
    assert (said["se_paired"] < 0.7 * said["se_unpaired"]).all()
    truth = (after - before).mean()
    covered = [each.overall().iloc[0] for each in found]
    inside = sum(row["low"] <= truth <= row["high"] for row in covered)
    # Binomial(200, .95), error rate 1e-3 each side.
    assert 179 <= inside <= 199


def test_a_persona_takes_the_place_of_zero_shot(model):
    asked = answers_of("one", 0)
    by_persona = worlds.under_references(model, asked, 200, persona="older man", seed=1)
    assert by_persona.changed == "references: one as 'older man' instead of one"
    stand_in = worlds.in_place_of(asked, model, "older man")
    np.testing.assert_array_equal(stand_in.probabilities(), asked.probabilities(persona="older man"))
    assert by_persona.overall()["difference"].iloc[0] != 0
    with pytest.raises(
        DataError, match="persona='older men' is none of one's: '', 'older man'. Did you mean 'older man'"
    ):
        worlds.under_references(model, asked, persona="older men")


def test_margins_are_met_with_as_few_changes_as_can_be(model):
    pool = people().participants
    share = pool["trait"].value_counts(normalize=True)
    wanted = {"trait": {"a": 0.2, "b": 0.5, "c": 0.3}, "place": {"x": 0.5, "y": 0.5}}
    found = worlds.under_margins(model, wanted, 4000, seed=2)
    after = found.after.dataset["profile_trait"].to_series().value_counts(normalize=True)
    assert after.sort_index().to_numpy() == pytest.approx([0.2, 0.5, 0.3], abs=0.03)
    assert found.after.dataset["profile_place"].to_series().eq("x").mean() == pytest.approx(0.5, abs=0.03)
    changed = (
        found.before.dataset[["profile_trait", "profile_place"]].to_dataframe()
        != found.after.dataset[["profile_trait", "profile_place"]].to_dataframe()
    ).any(axis=1)
    # No coupling changes fewer people than the total variation of weights.
    weight = RakedPool(pool, Margins(wanted)).shares
    variation = 0.5 * np.abs(weight - 1 / len(pool)).sum()
    assert changed.mean() == pytest.approx(variation, abs=0.04)
    # Who is the same answers the same.
    same = ~changed.to_numpy()
    np.testing.assert_array_equal(found.before.values()[same], found.after.values()[same])
    assert found.overall()["difference"].iloc[0] < 0
    assert share["a"] > 0.4


def test_shares_of_levels_and_absences(model):
    other = answers_of("two", 1)
    found = worlds.under_references(model, other, 300, seed=1, participation=0.6)
    table = found.contrast("share")
    assert table.index.names == ["problem", "level"]
    assert table["difference"].groupby("problem").sum().abs().max() < 1e-9
    assert found.contrast()["n"].between(140, 220).all()
    np.testing.assert_array_equal(np.isnan(found.before.values()), np.isnan(found.after.values()))
    labels = fit(LABELS)
    moved = worlds.under_references(labels, answers_of("two", 1, LABELS), 300, seed=1)
    assert (moved.contrast("share")["se_paired"] <= moved.contrast("share")["se_unpaired"]).mean() > 0.9
    with pytest.raises(DataError, match="of='mean': labels have no mean"):
        moved.contrast()


def test_wrong_worlds_are_named(model):
    with pytest.raises(MissingReferenceError, match="fitted without references"):
        worlds.under_references(fit(references=False), answers_of("two", 0))
    frame = answers_of("two", 0).to_frame()
    alien = References.from_frame(frame.assign(problem=frame["problem"] + 100), scale=SCALE)
    with pytest.raises(MissingReferenceError, match="other has answers to none of the model's 6 problems"):
        worlds.under_references(model, alien)
    two = References.panel(answers_of("two", 0), answers_of("three", 0))
    with pytest.raises(MissingReferenceError, match="other has answers of two, three; the model reads 1: one"):
        worlds.under_references(model, two)
    with pytest.raises(DataError, match="no column 'age'; known are trait, place"):
        worlds.under_margins(model, {"age": {"1": 1.0}})
    with pytest.raises(DataError, match="share 0.25 of 'd', and nobody"):
        worlds.under_margins(model, {"trait": {"a": 0.5, "b": 0.25, "c": 0.0, "d": 0.25}})
    with pytest.raises(DataError, match="sum to"):
        worlds.under_margins(model, {"trait": {"a": 0.4, "b": 0.1, "c": 0.1}})
    with pytest.raises(DataError, match="margins are empty"):
        worlds.under_margins(model, {})
    with pytest.raises(DataError, match="participants=0"):
        worlds.under_margins(model, {"trait": {"a": 1.0}}, 0)
    found = worlds.under_references(model, answers_of("two", 1), 20)
    with pytest.raises(DataError, match="of='median'"):
        found.contrast("median")
    with pytest.raises(DataError, match="coverage=2"):
        found.contrast(coverage=2)
