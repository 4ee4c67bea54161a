"""Crowds in blocks: the law of the model, the same people before every problem, no trace of how it was cut."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import Categorical, Continuous, Crowd, CrowdLLM, DataError, ModelError, References
from crowdpyro.models import JointModel
from crowdpyro.scale.grid import TILE, Grid

N = TILE[0] + 900  # two tiles of people


def test_a_grid_is_a_partition():
    for shape in ((1, 1), (5000, 25), (10_000, 1000), (300, 20_000)):
        for cells in (1, 2**20, 2**22):
            grid = Grid.of(*shape, cells=cells)
            blocks, tiles = np.zeros(shape, dtype=np.int8), np.zeros(shape, dtype=np.int8)
            for block in grid.blocks:
                blocks[grid.span(block)] += 1
                for _, rows, across in grid.tiles_of(block):
                    for _, columns in across:
                        tiles[rows, columns] += 1
            assert (blocks == 1).all()
            assert (tiles == 1).all()
            assert grid.block[0] * min(grid.block[1], shape[1]) <= max(cells, TILE[0] * TILE[1])


@pytest.fixture(scope="module")
def stored(model, tmp_path_factory):
    return model.generate(N, seed=5, path=tmp_path_factory.mktemp("stores") / "crowd.zarr")


def test_answers_follow_the_models_law(model, stored):
    # 150 x 5 shares of 4,996 answers, within 4.5 standard errors: 7e-6 each, .5 % in all.
    exact = model.shares(participants=40_000, seed=9)
    error = np.abs(stored.shares() - exact)
    # People of 40,000 beside people of 4,996, and the same people behind all answers of a level.
    scale = np.sqrt(exact * (1 - exact) * (1 / N + 1 / 40_000))
    assert (error < 4.5 * scale + 1e-4).all()


def test_answers_of_a_person_hang_together_as_in_memory(model, stored):
    plain = model.generate(N, seed=6, participation=1.0)
    off = stored.correlation().to_numpy() - plain.correlation().to_numpy()
    # Of 11,175 pairs, each off by sqrt(2 / n) = .02; the model's own correlations are larger.
    assert np.sqrt(np.square(off).mean()) < 0.023
    assert plain.correlation().abs().to_numpy().mean() > 0.04


def test_profiles_are_drawn_from_the_pool(model, stored):
    share = pd.Series(stored.dataset["profile_group"].to_numpy()).value_counts(normalize=True)
    pool = model.profiles["group"].value_counts(normalize=True)
    assert (share - pool).abs().max() < 4.5 * 0.5 / np.sqrt(N)
    assert set(np.unique(stored.dataset["profile_age"].to_numpy())) <= set(model.profiles["age"])


def test_people_are_the_same_before_every_problem(model, stored, tmp_path):
    fewer = model.generate(N, range(64), seed=5, path=tmp_path / "fewer.zarr")
    np.testing.assert_array_equal(fewer.codes(), stored.codes()[:, :64])
    for name in ("profile_group", "profile_age"):
        np.testing.assert_array_equal(fewer.dataset[name].to_numpy(), stored.dataset[name].to_numpy())
    # Without eps shared between tiles of problems, answers of the two would be nearly independent.
    both = np.corrcoef(stored.values()[:, :64].mean(axis=1), stored.values()[:, 64:128].mean(axis=1))[0, 1]
    assert both > 0.2


def test_memory_leaves_no_trace(model, stored, tmp_path):
    tight = model.generate(N, seed=5, path=tmp_path / "tight.zarr", memory="18 MB")
    assert tight.grid.tiles == (1, 1)
    assert len(tight.grid.blocks) > len(stored.grid.blocks)
    tight.memory = None
    np.testing.assert_array_equal(tight.codes(), stored.codes())
    with pytest.raises(DataError, match=r"memory='1 MB': a tile of 4,096 people and 64 problems takes 17 MB; give"):
        model.generate(N, seed=5, path=tmp_path / "no.zarr", memory="1 MB")
    with pytest.raises(DataError, match="memory='much': give bytes, or a number with a unit"):
        model.generate(N, seed=5, path=tmp_path / "no.zarr", memory="much")
    assert not (tmp_path / "no.zarr").exists()


def test_another_seed_is_another_crowd(model, stored, tmp_path):
    other = model.generate(N, range(64), seed=6, path=tmp_path / "other.zarr")
    assert (other.codes() != stored.codes()[:, :64]).mean() > 0.3


def test_every_option_is_that_of_crowds_in_memory(model, people, tmp_path):
    problems = range(70)
    rng = np.random.default_rng(0)
    frame = people().participants.iloc[:30].assign(weight=rng.uniform(1, 3, 30))
    given = model.generate(frame, problems, seed=1, path=tmp_path / "frame.zarr")
    plain = model.generate(frame, problems, seed=1)
    np.testing.assert_allclose(given.weights, plain.weights)
    for name in ("participant", "profile_group", "profile_age", "text", "problem"):
        np.testing.assert_array_equal(given.dataset[name].to_numpy(), plain.dataset[name].to_numpy())
    assert given.dataset.attrs == plain.dataset.attrs

    expected = model.generate(200, problems, decision="expected", seed=1, path=tmp_path / "expected.zarr")
    assert expected.dataset["response"].dtype == np.float32
    again = model.generate(200, problems, decision="expected", seed=1)
    assert np.abs(expected.aggregate("mean") - again.aggregate("mean")).max() < 0.5

    chance = np.where(np.arange(70) < 66, 0.25, 1.0)
    absent = np.isnan(model.generate(2000, problems, participation=chance, seed=1, path=tmp_path / "part.zarr").codes())
    assert absent[:, 66:].sum() == 0
    assert abs(absent[:, :66].mean() - 0.75) < 4.5 * np.sqrt(0.19 / (2000 * 66))
    person = np.where(np.arange(5000)[:, None] < 4500, 1.0, 0.0)
    absent = np.isnan(model.generate(5000, range(3), participation=person, seed=1, path=tmp_path / "p.zarr").codes())
    np.testing.assert_array_equal(absent.any(axis=1), np.arange(5000) >= 4500)

    fresh = model.generate(N, range(66), crossed=False, seed=1, path=tmp_path / "fresh.zarr")
    assert not [name for name in fresh.dataset.coords if str(name).startswith("profile_")]
    pairs = fresh.correlation().to_numpy()[~np.eye(66, dtype=bool)]
    assert abs(pairs.mean()) < 4.5 / np.sqrt(N * 30)

    for wrong, message in (
        ({"per_problem": 5}, "per_problem=5 chooses among the whole crowd"),
        ({"participants": frame, "crossed": False}, "a frame and crossed=False"),
        ({"participants": 0}, "participants=0: give at least one"),
    ):
        with pytest.raises(DataError, match=message):
            model.generate(**{"participants": 10, **wrong}, path=tmp_path / "wrong.zarr")
    for wrong in ({"client": object()}, {"memory": "1 GB"}):
        with pytest.raises(DataError, match="give path= as well"):
            model.generate(10, **wrong)


def test_a_shared_reference_is_shared_by_all_blocks(people, fitted, tmp_path):
    data = people(70)
    rng = np.random.default_rng(0)
    rows = [(t, k) for t in range(70) for k in rng.choice([1.0, 5.0], 8)]
    references = References.from_frame(pd.DataFrame(rows, columns=["problem", "answer"]), scale=data.scale)
    model = CrowdLLM(fitted(data).config).fit(data, references, seed=1)
    made = {
        use: model.generate(N, references=references, reference=use, seed=2, path=tmp_path / f"{use}.zarr")
        for use in ("shared_draw", "per_participant")
    }
    halves = {use: each.values() for use, each in made.items()}
    apart = {use: each[: TILE[0]].mean(axis=0) - each[TILE[0] :].mean(axis=0) for use, each in halves.items()}
    # Means of 4,096 and of 900 people differ by .05 or so; a draw of their own would part them by up to 4 x .7.
    assert np.abs(apart["shared_draw"]).max() < 0.35
    assert np.abs(halves["shared_draw"].mean(axis=0) - halves["per_participant"].mean(axis=0)).max() > 0.5


@pytest.mark.parametrize("scale", [Categorical(("x", "y", "z")), Continuous()])
def test_other_scales(people, fitted, scale, tmp_path):
    model = fitted(people(20, scale))
    made = model.generate(500, seed=1, path=tmp_path / "crowd.zarr")
    plain = model.generate(500, seed=1)
    assert made.scale == plain.scale
    assert made.dataset["response"].dtype == plain.dataset["response"].dtype
    centre = (lambda crowd: crowd.shares()) if scale.kind == "categorical" else (lambda crowd: crowd.aggregate("mean"))
    assert np.abs(np.asarray(centre(made)) - np.asarray(centre(plain))).max() < 0.5


class Shifted(JointModel):
    """A program of one's own: the people's noise is uniform."""

    def eps_dist(self, batch):
        import pyro.distributions as dist
        import torch

        zero = batch.profile.new_zeros(batch.n_participants, self.n_eps)
        return dist.Uniform(zero - 1, torch.ones_like(zero), validate_args=False).to_event(1)


def test_a_program_of_ones_own_meets_all_problems_at_once(people, fitted, tmp_path):
    plain = fitted(people(70))
    plain.model.__class__ = Shifted
    made = plain.generate(300, seed=1, path=tmp_path / "crowd.zarr")
    assert made.grid.tile == (TILE[0], 70)
    both = np.corrcoef(made.values()[:, :35].mean(axis=1), made.values()[:, 35:].mean(axis=1))[0, 1]
    assert both > 0.1
    with pytest.raises(ModelError, match="is run as it is"):
        plain.generate(300, decision="expected", path=tmp_path / "wrong.zarr")


def test_a_stored_crowd_is_a_crowd(stored):
    assert isinstance(stored, Crowd)
    assert repr(stored).startswith(f"<Crowd: {N:,} synthetic participants x 150 problems")
    assert stored.dataset["response"].chunks is not None
