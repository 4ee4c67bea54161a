"""Point estimates: stationary points of the Pyro programs' own densities, and what they are worth."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

from crowdpyro import ModelError
from crowdpyro.inference.annotation.mode import posterior_mode
from crowdpyro.inference.annotation.point import point_estimate
from crowdpyro.inference.annotation.simulate import simulate
from crowdpyro.inference.annotation.unconstrained import Unconstrained
from crowdpyro.models.annotation import (
    UNKNOWN,
    AnnotationModel,
    CutNormalRatings,
    DawidSkene,
    Glad,
    HierarchicalDawidSkene,
    Labels,
    Mace,
    Multinomial,
    OneCoin,
)

WITH_A_MODE = [
    Multinomial(),
    OneCoin(),
    OneCoin(prevalence=None, right=2.0, wrong=2.0),
    DawidSkene(),
    Glad(),
    Glad(prevalence=2.0),
    Mace(),
    Mace(prevalence=None),
    CutNormalRatings(),
]
EVERY = [*WITH_A_MODE, HierarchicalDawidSkene(), HierarchicalDawidSkene(prevalence=None)]


def _name(model):
    return f"{type(model).__name__}-{model.prevalence}"


def design(n_items, n_workers, n_classes, per_item, seed=0, **more):
    """Each item labelled by `per_item` different workers."""
    rng = np.random.default_rng(seed)
    worker = np.concatenate([rng.choice(n_workers, per_item, replace=False) for _ in range(n_items)])
    item = torch.arange(n_items).repeat_interleave(per_item)
    return Labels(item, torch.tensor(worker), torch.zeros_like(item), n_items, n_workers, n_classes, **more)


def full_table(model, seed=0):
    """A simulated table with golden items and a history."""
    known = torch.full((60,), UNKNOWN)
    known[::10] = 0
    history = torch.tensor(np.random.default_rng(seed).poisson(1.0, (9, 3, 3)), dtype=torch.float64)
    return simulate(model, design(60, 9, 3, 4, known=known, history=history), seed=seed)


@pytest.mark.parametrize("model", WITH_A_MODE, ids=_name)
def test_the_gradient_of_the_pyro_density_vanishes_at_the_point_estimate(model):
    labels = full_table(model).labels
    options = {"n_iter": 5000, "tol": 0.0} if not isinstance(model, Mace | CutNormalRatings) else {}
    fit = point_estimate(model, labels, **options)
    sites = Unconstrained.of(model, labels)
    at = sites.vector(fit.params).requires_grad_()
    density = model.log_joint(sites.params(at), labels)
    (gradient,) = torch.autograd.grad(density, at)
    # Nats for each unit of a logit, a logarithm or a bias, of a density of some hundred nats.
    assert gradient.abs().max() < 2e-3
    assert fit.log_likelihood[-1] == pytest.approx(density.item(), rel=1e-9)
    torch.testing.assert_close(fit.truth, model.truth_posterior(fit.params, labels), rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", [OneCoin(), DawidSkene(), Glad(), Multinomial()], ids=_name)
def test_the_fast_kernels_reach_what_the_general_climb_reaches(model):
    labels = full_table(model, seed=3).labels
    fast, general = point_estimate(model, labels, n_iter=5000, tol=0.0), posterior_mode(model, labels)
    assert fast.log_likelihood[-1] == pytest.approx(general.log_likelihood[-1], abs=1e-4)
    torch.testing.assert_close(fast.truth, general.truth, rtol=0, atol=1e-3)


@pytest.mark.parametrize("model", EVERY, ids=_name)
def test_simulated_truth_is_found(model):
    # Ten labels an item. What all workers share is given: a draw of it from the prior may be of no use, or worse.
    shared = {Multinomial: {"accuracy": 0.75}, HierarchicalDawidSkene: {"pool": 1 + 4 * torch.eye(3)}}
    params = {name: torch.as_tensor(value).double() for name, value in shared.get(type(model), {}).items()}
    made = simulate(model, design(300, 30, 3, 10), params, seed=4)
    fit = point_estimate(model, made.labels)
    assert (fit.truth.argmax(-1) == made.truth).double().mean() > 0.9
    assert fit.converged


@pytest.mark.parametrize(
    ("model", "site", "error"),
    [
        (OneCoin(), "accuracy", 0.05),
        (DawidSkene(), "confusion", 0.08),
        (HierarchicalDawidSkene(), "confusion", 0.08),
        (Mace(), "trust", 0.06),
        (CutNormalRatings(), "bias", 0.12),
        (CutNormalRatings(), "log_scale", 0.15),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_simulated_parameters_are_recovered(model, site, error):
    made = simulate(model, design(500, 20, 3, 8), seed=6)
    found = point_estimate(model, made.labels).params[site]
    assert (found - made.params[site]).abs().mean() < error


@dataclass(frozen=True)
class HammerSpammer(AnnotationModel):
    """One's own model: workers are right always or half of the time."""

    def workers(self, labels):
        with pyro.plate("workers", labels.n_workers):
            half = torch.full((), 0.5, dtype=torch.float64)
            return {"hammer": pyro.sample("hammer", dist.Beta(half + 0.6, half + 0.6))}

    def log_confusion(self, params, labels):
        right = 0.5 + 0.49 * params["hammer"][..., None, None]
        eye = torch.eye(labels.n_classes, dtype=torch.bool)
        return torch.where(eye, right, (1 - right) / (labels.n_classes - 1)).log()


def test_a_model_of_ones_own_is_fitted_like_the_others():
    made = simulate(HammerSpammer(), design(200, 20, 3, 5), seed=0)
    fit = point_estimate(HammerSpammer(), made.labels)
    assert (fit.truth.argmax(-1) == made.truth).double().mean() > 0.9
    assert (fit.params["hammer"] - made.params["hammer"]).abs().mean() < 0.2


def test_the_mode_of_mace_is_crowd_kits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated calls of pandas
        peer = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is in the extra 'test'")
    labels = simulate(Mace(prevalence=2.0), design(120, 12, 3, 5), seed=1).labels
    # By first appearance: on other codes it gives one worker's counts to another.
    worker, label = (torch.as_tensor(pd.factorize(each.numpy())[0]) for each in (labels.worker, labels.label))
    labels = replace(labels, worker=worker, label=label)
    names = {"task": labels.item.numpy(), "worker": worker.numpy(), "label": label.numpy()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = peer.MACE(method="em", n_iter=200, n_restarts=1).fit(pd.DataFrame(names))
    smooth = 1 + 0.01 / 3
    model = Mace(prevalence=None, trusted=smooth, spam=smooth, pattern=smooth)
    ours = point_estimate(model, labels)
    theirs = {"trust": torch.tensor(found.spamming_[:, 1]), "pattern": torch.tensor(found.thetas_)}
    assert ours.log_likelihood[-1] == pytest.approx(model.log_joint(theirs, labels).item(), rel=1e-6)
    np.testing.assert_allclose(ours.truth, found.probas_.loc[range(120), range(3)], atol=2e-3)


def test_golden_items_and_history_are_believed():
    model, made = DawidSkene(), simulate(DawidSkene(), design(80, 6, 3, 3), seed=2)
    golden = replace(made.labels, known=made.truth)
    sure = point_estimate(model, golden)
    assert (sure.truth.gather(1, made.truth[:, None]) == 1).all()
    # All truths known: the mode is what the counts say.
    counts = torch.zeros(6, 3, 3, dtype=torch.float64)
    places = (golden.worker, made.truth[golden.item], golden.label)
    counts.index_put_(places, torch.ones(golden.n_labels, dtype=torch.float64), accumulate=True)
    expected = counts + model.concentration(golden) - 1
    torch.testing.assert_close(sure.params["confusion"], expected / expected.sum(-1, keepdim=True))
    # The same counts as history of the same workers, on items that nobody labelled twice.
    other = design(80, 6, 3, 3, seed=9)
    first = simulate(model, other, made.params, seed=7)
    plain, told = point_estimate(model, first.labels), point_estimate(model, replace(first.labels, history=counts))
    errors = [(fit.params["confusion"] - made.params["confusion"]).abs().mean() for fit in (plain, told)]
    assert errors[1] < 0.8 * errors[0]


def test_a_hierarchical_model_shares_strength_with_workers_of_few_labels():
    # Five classes, 100 workers, 10 labels an item; root mean squared error of confusion, negative log posterior of the
    # truth. Measured ratios to maximum likelihood .73 and .13; Dawid-Skene with its own priors .84 and .25.
    world, flat = DawidSkene(prevalence=5.0, diagonal=4.0, off_diagonal=1.0), DawidSkene(1.0, 1.0, 1.0)
    errors = {"flat": [], "pooled": []}
    for seed in range(4):
        made = simulate(world, design(1000, 100, 5, 10, seed=seed), seed=seed)
        for name, model in (("flat", flat), ("pooled", HierarchicalDawidSkene())):
            fit = point_estimate(model, made.labels)
            right = fit.truth.gather(1, made.truth[:, None]).clamp_min(1e-300)
            error = (fit.params["confusion"] - made.params["confusion"]).pow(2).mean().sqrt()
            errors[name].append((error.item(), -right.log().mean().item()))
    confusion, log_loss = np.mean(errors["pooled"], axis=0) / np.mean(errors["flat"], axis=0)
    assert confusion < 0.85
    assert log_loss < 0.3


EDGES = {
    "one class": Labels(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), torch.zeros(3, dtype=torch.int64), 2, 2, 1),
    "one worker": Labels(torch.arange(4), torch.zeros(4, dtype=torch.int64), torch.tensor([0, 1, 1, 2]), 4, 1, 3),
    "one label a worker": Labels(torch.arange(4) // 2, torch.arange(4), torch.tensor([0, 1, 1, 1]), 2, 4, 2),
    "one label": Labels(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), 1, 1, 2),
    "a class, an item and a worker never seen": Labels(
        torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 3, 3, 4
    ),
    "golden of a class never given": Labels(
        torch.tensor([0, 0, 1, 2]),
        torch.tensor([0, 1, 1, 0]),
        torch.tensor([0, 0, 1, 1]),
        3,
        2,
        3,
        torch.tensor([2, -1, -1]),
    ),
    "the same twice": Labels(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 0]), torch.tensor([1, 1, 0]), 1, 1, 2),
}
FLAT = [DawidSkene(1.0, 1.0, 1.0), OneCoin(1.0, 1.0, 1.0), Mace(1.0, 1.0, 1.0, 1.0)]


@pytest.mark.parametrize("labels", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("model", [*EVERY, *FLAT], ids=_name)
def test_no_table_gives_nan(model, labels):
    fit = point_estimate(model, labels)
    assert torch.isfinite(fit.truth).all()
    torch.testing.assert_close(fit.truth.sum(-1), torch.ones(labels.n_items, dtype=torch.float64))
    assert all(torch.isfinite(value).all() for value in fit.params.values())
    assert np.isfinite(fit.log_likelihood).all()
    if labels.known is not None:
        assert fit.truth[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (DawidSkene(off_diagonal=0.5), "off_diagonal=0.5"),
        (HierarchicalDawidSkene(shape=0.5), "shape=0.5"),
        (OneCoin(prevalence=0.2), "prevalence=0.2"),
    ],
)
def test_a_density_without_a_mode_is_refused(model, message):
    with pytest.raises(ModelError, match=message):
        point_estimate(model, EDGES["one worker"])
