"""Digital twins as references: fitted, scored, recruited, conditioned, saved; and what is missing is named."""

from __future__ import annotations

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
from crowdpyro.twins import told_by_twins

N_PEOPLE, N_PROBLEMS = 60, 6
SCALES = {"ordinal": Ordinal.range(1, 5), "continuous": Continuous(), "categorical": Categorical(("r", "g", "b"))}


def world(scale, seed=0, n=N_PEOPLE, first=0):
    """People whose twins know what they lean to, and say it with noise of their own."""
    rng = np.random.default_rng(seed)
    person, problem = np.indices((n, N_PROBLEMS)).reshape(2, -1)
    # What a person thinks of a problem, of which eps knows nothing.
    view = rng.normal(size=len(person))
    said, guessed = view + 0.5 * rng.normal(size=len(person)), view + 0.3 * rng.normal(size=len(person))
    if not isinstance(scale, Continuous):
        middle, top = scale.n_levels / 2, scale.n_levels - 1
        said, guessed = (scale.decode(np.clip(np.round(each + middle), 0, top).astype(int)) for each in (said, guessed))
    ids = [f"p{first + k}" for k in range(n)]
    frame = pd.DataFrame({"participant": np.take(ids, person), "problem": problem})
    data = CrowdData.from_frames(
        frame.assign(response=said),
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement {k}" for k in range(N_PROBLEMS)]}),
        pd.DataFrame({"participant": ids, "age": rng.normal(size=n)}),
        scale=scale,
    )
    return data, References.from_frame(frame.assign(answer=guessed), scale=scale, name="llm")


def fit(data, references, epochs=25):
    training = FitConfig(epochs=epochs, margin_steps=30, batch_size=40, patience=epochs)
    return CrowdLLM(training=training, n_components=2, text_encoder="tfidf", n_eps=1, n_hidden=4).fit(
        data, references, seed=1
    )


@pytest.fixture(scope="module")
def ordinal():
    data, twins = world(SCALES["ordinal"])
    return data, twins, fit(data, twins)


def test_twins_tell_more_than_their_mean(ordinal):
    data, twins, model = ordinal
    others, theirs = world(SCALES["ordinal"], seed=3, first=500)
    shared = theirs.to_frame().groupby("problem")[[f"p_{k}" for k in range(1, 6)]].mean().reset_index()
    alike = References.from_frame(shared, scale=data.scale, name="llm")
    plain = fit(data, References.from_frame(
        twins.to_frame().groupby("problem")[[f"p_{k}" for k in range(1, 6)]].mean().reset_index(),
        scale=data.scale, name="llm",
    ))  # fmt: skip
    own = model.log_score(others, theirs).single
    # 480 answers, the score of each known to about .05.
    assert own > plain.log_score(others, alike).single + 0.15
    # Another person's twin is worse than nobody's.
    mixed = theirs.to_frame()
    mixed["participant"] = np.roll(mixed["participant"].to_numpy(), 1)
    assert own > model.log_score(others, References.from_frame(mixed, scale=data.scale, name="llm")).single + 0.15


@pytest.mark.parametrize("kind", list(SCALES))
def test_every_pair_reads_its_own_twin(kind):
    scale = SCALES[kind]
    data, twins = world(scale, n=12)
    matrix = told_by_twins(twins, data.participants.index, data.problems.index, scale)
    assert matrix.shape[:2] == (12, N_PROBLEMS)
    source = twins.source()
    for person, problem in ((0, 0), (3, 5), (11, 2)):
        mine = source.values[problem, source.personas.index(data.participants.index[person])]
        if kind == "categorical":
            np.testing.assert_allclose(np.exp(matrix[person, problem]), np.maximum(mine, 1e-3), rtol=1e-5)
        else:
            expected = np.nanmean(mine) if kind == "continuous" else mine @ scale.values
            assert matrix[person, problem] == pytest.approx(expected, rel=1e-6)
    model = fit(data, twins, 3)
    batch = model.batch(data)
    view = model.model.met(batch)
    torch.testing.assert_close(view.reference, torch.as_tensor(matrix)[batch.participant, batch.problem])
    # A minibatch of people takes their twins along.
    some = batch.people(torch.tensor([7, 2]))
    torch.testing.assert_close(some.twins, torch.as_tensor(matrix)[[7, 2]])


def test_crowds_are_recruited_with_their_twins(ordinal, tmp_path):
    data, _, model = ordinal
    crowd = model.generate(3000, seed=2)
    fresh = model.generate(3000, crossed=False, seed=2)
    people = data.matrix() + 1
    for drawn in (crowd, fresh):
        np.testing.assert_allclose(drawn.values().mean(0), people.mean(0), atol=0.25)
    own = model.generate(data.participants, seed=2).values()
    # The person's own answers, whose noise is .5 and .3 of a standard deviation of 1.
    assert np.corrcoef(own.ravel(), people.ravel())[0, 1] > 0.5
    shares = model.shares(participants=data.participants, seed=3)
    np.testing.assert_allclose(shares @ [1, 2, 3, 4, 5], own.mean(0), atol=0.3)
    again = CrowdLLM.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.generate(50, seed=9).values(), model.generate(50, seed=9).values())
    others, theirs = world(SCALES["ordinal"], seed=3, n=5, first=500)
    assert model.generate(others.participants, references=theirs).n_participants == 5


def test_people_with_twins_are_conditioned(ordinal):
    _, _, model = ordinal
    others, theirs = world(SCALES["ordinal"], seed=4, n=40, first=500)
    known, rest = others.select(problems=range(3)), others.select(problems=range(3, N_PROBLEMS))
    found = model.condition(known, references=theirs)
    table = found.predict(range(3, N_PROBLEMS))
    truth = rest.answers.sort_values(["participant", "problem"])["response"].to_numpy()
    order = table.sort_values(["participant", "problem"])
    assert np.corrcoef(order["mean"], truth)[0, 1] > 0.6
    assert np.isfinite(found.log_score(rest, theirs).joint)
    assert found.generate(seed=1).n_participants == 40
    assert found.update(rest, references=theirs).n_answers.tolist() == [N_PROBLEMS] * 40


def test_a_missing_twin_is_named(ordinal):
    data, twins, model = ordinal
    frame = twins.to_frame()
    without = frame[(frame["participant"] != "p3") | (frame["problem"] != 2)]
    with pytest.raises(MissingReferenceError, match="participant 'p3' has no twin's answer to problem 2 .1 such pairs"):
        fit(data, References.from_frame(without, scale=data.scale, name="llm"), 2)
    others, theirs = world(SCALES["ordinal"], seed=3, n=5, first=500)
    with pytest.raises(MissingReferenceError, match="participant 'p500' has no twin's answer to problem 0 .30 such"):
        model.generate(others.participants)
    with pytest.raises(MissingReferenceError, match="participant 'p500' has no twin's answer"):
        model.log_score(others)
    with pytest.raises(ModelError, match="reference='shared_draw': these people have twins"):
        model.generate(5, reference="shared_draw", references=twins)
    # Somebody who was not asked needs none.
    answers = data.answers
    asked = answers[(answers["participant"] != "p3") | (answers["problem"] != 2)]
    fewer = CrowdData.from_frames(asked, data.problems.reset_index(), data.participants.reset_index(), scale=data.scale)
    fitted = fit(fewer, References.from_frame(without, scale=data.scale, name="llm"), 2)
    with pytest.raises(MissingReferenceError, match="participant 'p3' has no twin's answer to problem 2"):
        fitted.generate(fewer.participants)
    assert fitted.generate(fewer.participants.drop("p3")).n_participants == N_PEOPLE - 1
    assert theirs.source().kind == "participant"


def test_two_twins_of_one_id_are_refused():
    frame = pd.DataFrame({"participant": ["1", "1 "], "problem": 0, "p_r": 1.0, "p_g": 0.0, "p_b": 0.0})
    told = References.from_frame(frame, scale=SCALES["categorical"])
    with pytest.raises(DataError, match="two participants are '1'"):
        told_by_twins(told, pd.Index([1]), pd.Index([0]), SCALES["categorical"])
