"""Fitting: reproducible, honest about its settings, and able to recover what was simulated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crowdpyro import ModelError
from crowdpyro.inference import Cells, FitConfig, Margins, fit, fit_margins
from crowdpyro.inference.runtime import seeded
from crowdpyro.models import Batch


def simulate(model, n_people=400, seed=0):
    """Answers of the model's own people to all problems."""
    rng = np.random.default_rng(seed)
    n_problems = len(model.encoder.offset)
    person, problem = (torch.as_tensor(each.ravel()) for each in np.indices((n_people, n_problems)))
    batch = Batch(
        features=torch.as_tensor(np.random.default_rng(99).normal(size=(n_problems, 3)), dtype=torch.float32),
        known=torch.arange(n_problems),
        reference=torch.full((n_problems,), 3.0),
        profile=torch.as_tensor(rng.normal(size=(n_people, 2)), dtype=torch.float32),
        rows=torch.arange(n_people),
        participant=person,
        problem=problem,
        response=None,
        participation=torch.ones(()),
        population=n_people,
    )
    with seeded(seed), torch.no_grad():
        answers = model.crowd(batch)
    return Batch(**{**vars(batch), "response": answers})


def correlation(batch):
    matrix = batch.response.reshape(batch.n_participants, -1)
    return torch.corrcoef(matrix.T)[~torch.eye(matrix.shape[1], dtype=torch.bool)]


def test_equal_seeds_give_equal_parameters(ordinal):
    states = []
    for _ in range(2):
        truth, _ = ordinal(seed=9)
        data = simulate(truth, 60)
        model, guide = ordinal(seed=1)
        with seeded(4):
            history = fit(model, guide, data, None, data, FitConfig(epochs=3, margin_steps=5), seed=4)
        states.append((model.state_dict(), guide.state_dict(), history.loss))
    for one, other in zip(states[0][:2], states[1][:2], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert states[0][2] == states[1][2]


def test_correlations_of_simulated_people_are_recovered(ordinal):
    truth, _ = ordinal(seed=9)
    with torch.no_grad():
        # One trait that all problems share, and one that alternates in sign.
        truth.encoder.offset[:, 1] = 1.2
        truth.encoder.offset[:, 2] = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    data = simulate(truth, 400, seed=1)
    model, guide = ordinal(seed=1)
    config = FitConfig(epochs=80, patience=80)
    with seeded(0):
        fit(model, guide, data, None, data, config, seed=0)
    fitted, fresh = correlation(simulate(model, 4000, seed=2)), correlation(simulate(truth, 4000, seed=3))
    error = (fitted - fresh).square().mean().sqrt().item()
    none = fresh.square().mean().sqrt().item()
    # A correlation of 400 people has standard error .05; a crowd without eps would be off by `none`.
    assert none > 0.3
    assert error < 0.06


def test_margins_move_only_shift_and_cut_points_and_only_upwards(ordinal):
    truth, _ = ordinal(seed=9)
    data = simulate(truth, 200)
    model, _ = ordinal(seed=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    history = fit_margins(model, data, n_steps=60)
    assert model.training
    assert history[-1] > history[0]
    after = model.state_dict()
    n_hidden, n_shift, n_loadings, _ = model.encoder.widths
    stays = torch.ones(sum(model.encoder.widths), dtype=torch.bool)
    stays[n_hidden : n_hidden + n_shift] = False
    stays[n_hidden + n_shift + n_loadings + 1 :] = False  # the first number of the shape is the spread
    assert torch.equal(before["encoder.affine.weight"][stays], after["encoder.affine.weight"][stays])
    assert torch.equal(before["encoder.offset"][:, stays[n_hidden:]], after["encoder.offset"][:, stays[n_hidden:]])
    assert not torch.equal(before["encoder.affine.weight"][~stays], after["encoder.affine.weight"][~stays])
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("belief"))


def test_margins_approach_the_saturated_likelihood(ordinal):
    """Shift, stretch and gaps are as many numbers as free probabilities: only the prior keeps them from the counts."""
    truth, _ = ordinal(seed=9)
    data = simulate(truth, 400)
    model, _ = ordinal(seed=2)
    fit_margins(model, data, n_steps=300)
    cells = Cells.of(data)
    found = Margins(model, data).log_likelihood(cells).item()
    table = torch.zeros(5, 5).index_put_((cells.problem, cells.response.long()), cells.count)
    share = (table / table.sum(1, keepdim=True)).clamp(min=1e-9)
    saturated = ((table * share.log()).sum() / table.sum()).item()
    assert saturated - 0.01 < found <= saturated + 1e-6


def test_cells_count_answers(ordinal):
    truth, _ = ordinal(seed=9)
    data = simulate(truth, 50)
    cells = Cells.of(data)
    assert cells.count.sum() == data.n_answers
    direct = ((data.problem == cells.problem[3]) & (data.response == cells.response[3])).sum()
    assert cells.count[3] == direct


def test_a_diverging_fit_says_what_to_do(ordinal):
    truth, _ = ordinal(seed=9)
    data = simulate(truth, 30)
    model, guide = ordinal(seed=1)
    with torch.no_grad():
        model.encoder.affine.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"epoch 0.*or lower lr"):
        fit(model, guide, data, None, data, FitConfig(epochs=2), seed=0)
