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
from crowdpyro.inference.annotation.mode import posterior_mode
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


def alike(seed: int) -> Labels:
    """Twenty workers who all answer 300 items from the item's own distribution of five levels."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([2.5, 1.0, 0.75, 0.5, 0.25], 300)
    label = (rng.random((20, 300, 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=2)
    worker, item = np.indices(label.shape)
    return Labels(*(torch.as_tensor(each.ravel()) for each in (item, worker, label)), 300, 20, 5)


@pytest.mark.parametrize(("fit", "seed"), [*((fit_glad, seed) for seed in range(5)), (posterior_mode, 0)])
def test_workers_who_agree_weakly_still_tell_the_truth(fit, seed):
    # From the prior means, three of five seeds ended where everybody says the opposite, and so did the general climb.
    labels = alike(seed)
    found = fit(Glad(), labels)
    cell = labels.item * 5 + labels.label
    votes = torch.bincount(cell, minlength=1500).reshape(300, 5)
    assert (found.truth.argmax(1) == votes.argmax(1)).double().mean() > 0.9
    assert (found.params["ability"] > 0).all()
    upside_down = {"ability": torch.full((20,), -2.0).double(), "log_ease": torch.ones(300).double()}
    assert found.log_likelihood[-1] > Glad().log_joint(upside_down, labels).item() + 100


def test_the_start_is_the_mode_of_abilities_given_the_first_truth():
    labels, model = table(told=True), MODELS[1]
    joint = Joint(model, labels)
    votes = joint.posterior(joint.prior_means())[0]
    ability, log_ease, _ = joint.split(joint.start())
    params = {"ability": torch.tensor(ability, requires_grad=True), "log_ease": torch.tensor(log_ease)}
    params["prevalence"] = torch.full((N_CLASSES,), 1 / N_CLASSES).double()
    answers = model.log_label(params, labels)
    expected = (torch.as_tensor(votes)[labels.item].mT * answers).sum() + model.log_prior(params, labels)
    (slope,) = torch.autograd.grad(expected, params["ability"])
    assert slope.abs().max() < 1e-6


def test_thin_tables_give_finite_numbers():
    one = torch.tensor([0])
    for labels in (Labels(one, one, one, 1, 1, 1), Labels(one, one, one, 3, 2, 3)):
        found = fit_glad(Glad(), labels)
        assert np.isfinite(found.log_likelihood).all()
        torch.testing.assert_close(found.truth.sum(1), torch.ones(labels.n_items, dtype=torch.float64))


def test_a_prior_without_a_mode_is_refused():
    with pytest.raises(ModelError, match="prevalence=0.5"):
        fit_glad(Glad(prevalence=0.5), table())
