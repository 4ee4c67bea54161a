"""GLAD: the gradient and the density are the Pyro program's, the mode no worse than crowd-kit's."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from crowdpyro.errors import ModelError
from crowdpyro.inference.annotation.glad_map import Joint, fit_glad
from crowdpyro.models.annotation import Glad, Labels

N_ITEMS, N_WORKERS, N_CLASSES = 60, 9, 3
MODELS = [Glad(), Glad(prevalence=2.0, ability_mean=0.5, ability_scale=2.0, ease_mean=0.3, ease_scale=0.7)]


def table(seed: int = 0, told: bool = False) -> Labels:
    """GLAD's own labels; with gold and history where asked."""
    rng = np.random.default_rng(seed)
    item, worker = (rng.integers(0, n, 400) for n in (N_ITEMS, N_WORKERS))
    truth, ability, ease = rng.integers(0, N_CLASSES, N_ITEMS), rng.normal(1, 1, N_WORKERS), rng.normal(0, 1, N_ITEMS)
    right = rng.random(400) < 1 / (1 + np.exp(-ability[worker] * np.exp(ease[item])))
    label = np.where(right, truth[item], (truth[item] + rng.integers(1, N_CLASSES, 400)) % N_CLASSES)
    labels = Labels(*map(torch.as_tensor, (item, worker, label)), N_ITEMS, N_WORKERS, N_CLASSES)
    if not told:
        return labels
    known = torch.as_tensor(np.where(rng.random(N_ITEMS) < 0.2, truth, -1))
    history = torch.as_tensor(rng.poisson(1.0, (N_WORKERS, N_CLASSES, N_CLASSES)).astype(float))
    return dataclasses.replace(labels, known=known, history=history)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("told", [False, True])
def test_density_and_gradient_are_those_of_the_pyro_program(model, told):
    labels = table(told=told)
    joint = Joint(model, labels)
    x = joint.start() + np.random.default_rng(1).normal(size=len(joint.start()))
    value, gradient = joint(x)
    vector = torch.tensor(x, requires_grad=True)
    ability, log_ease, logits = vector.split([N_WORKERS, N_ITEMS, len(x) - N_WORKERS - N_ITEMS])
    params = {"ability": ability, "log_ease": log_ease}
    if model.prevalence is not None:
        params["prevalence"] = logits.softmax(-1)
    density = model.log_joint(params, labels)
    density.backward()
    assert -value == pytest.approx(density.item(), rel=1e-12)
    np.testing.assert_allclose(-gradient, vector.grad.numpy(), atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_the_mode_is_one(model):
    labels = table(told=True)
    found = fit_glad(model, labels, tol=1e-14)
    assert found.converged
    assert np.diff(found.log_likelihood).min() >= 0
    assert found.log_likelihood[-1] == pytest.approx(model.log_joint(found.params, labels).item(), rel=1e-12)
    params = {name: value.clone().requires_grad_() for name, value in found.params.items()}
    model.log_joint(params, labels).backward()
    # Of 460 labels; along the simplex only the part that keeps the sum is 0.
    assert params["ability"].grad.abs().max() < 1e-3
    assert params["log_ease"].grad.abs().max() < 1e-3
    if "prevalence" in params:
        slope = params["prevalence"].grad
        assert (slope - slope.mean()).abs().max() < 1e-2


def test_the_penalised_objective_is_no_worse_than_crowd_kits():
    labels = table(seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated calls of pandas
        aggregation = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is in the extra 'test'")
        names = {"task": labels.item.numpy(), "worker": labels.worker.numpy(), "label": labels.label.numpy()}
        peer = aggregation.GLAD(n_iter=10, tol=-np.inf).fit(pd.DataFrame(names))
    theirs = {
        "ability": torch.tensor(peer.alphas_.loc[range(N_WORKERS)].to_numpy()),
        "log_ease": torch.tensor(peer.betas_.reindex(range(N_ITEMS), fill_value=1.0).to_numpy()),
    }
    ours = fit_glad(Glad(), labels)
    assert ours.log_likelihood[-1] >= Glad().log_joint(theirs, labels).item()


def test_thin_tables_give_finite_numbers():
    one = torch.tensor([0])
    for labels in (Labels(one, one, one, 1, 1, 1), Labels(one, one, one, 3, 2, 3)):
        found = fit_glad(Glad(), labels)
        assert np.isfinite(found.log_likelihood).all()
        torch.testing.assert_close(found.truth.sum(1), torch.ones(labels.n_items, dtype=torch.float64))


def test_a_prior_without_a_mode_is_refused():
    with pytest.raises(ModelError, match="prevalence=0.5"):
        fit_glad(Glad(prevalence=0.5), table())
