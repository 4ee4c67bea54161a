"""SVI and NUTS against posteriors in closed form, against each other, and calibration by simulation."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import betaln

from crowdpyro import ModelError
from crowdpyro.inference.annotation.nuts import sample_annotation
from crowdpyro.inference.annotation.simulate import simulate
from crowdpyro.inference.annotation.svi import fit_svi
from crowdpyro.inference.calibration import Calibration, rank
from crowdpyro.models.annotation import (
    CutNormalRatings,
    DawidSkene,
    Glad,
    HierarchicalDawidSkene,
    Labels,
    Mace,
    Multinomial,
    OneCoin,
)


def _everybody(n_items, n_workers, n_classes, **more):
    """All workers label all items."""
    item, worker = torch.arange(n_items).repeat_interleave(n_workers), torch.arange(n_workers).repeat(n_items)
    return Labels(item, worker, torch.zeros_like(item), n_items, n_workers, n_classes, **more)


@pytest.fixture(scope="module")
def coins():
    """Seven items and three workers; the model's posterior by sums over all 128 truths and Beta integrals."""
    model = OneCoin(prevalence=None, right=4.0, wrong=2.0)
    labels = simulate(model, _everybody(7, 3, 2), seed=1).labels
    said = labels.label.reshape(7, 3).numpy()
    log_weights, accuracies, truths = [], [], np.array(list(itertools.product(range(2), repeat=7)))
    for truth in truths:
        hits = (said == truth[:, None]).sum(0)
        log_weights.append((betaln(4.0 + hits, 2.0 + 7 - hits) - betaln(4.0, 2.0)).sum())
        accuracies.append((4.0 + hits) / (6.0 + 7))
    weights = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    return model, labels, weights @ truths, weights @ np.array(accuracies)


def test_nuts_has_the_exact_posterior(coins):
    model, labels, truth, accuracy = coins
    fit = sample_annotation(model, labels, num_samples=250, warmup_steps=60, num_chains=1, seed=0)
    # The standard error of a mean of 250 draws is .01 for accuracies of sd .15.
    np.testing.assert_allclose(fit.truth[:, 1].numpy(), truth, atol=0.05)
    np.testing.assert_allclose(fit.params["accuracy"].numpy(), accuracy, atol=0.04)
    assert fit.draws["accuracy"].shape == (1, 250, 3)
    assert len(fit.log_likelihood) == fit.n_iter == 250


def test_svi_is_near_the_exact_posterior(coins):
    # Its normal is in one mode and symmetric in the logit.
    model, labels, truth, accuracy = coins
    fit = fit_svi(model, labels, num_steps=300, lr=0.05, num_samples=200, seed=0)
    np.testing.assert_allclose(fit.truth[:, 1].numpy(), truth, atol=0.1)
    np.testing.assert_allclose(fit.params["accuracy"].numpy(), accuracy, atol=0.08)
    assert fit.log_likelihood[-1] > fit.log_likelihood[0] - 1.0


def test_with_known_truth_the_posterior_is_a_dirichlet():
    model = DawidSkene()
    made = simulate(model, _everybody(12, 3, 2), seed=5)
    labels = replace(made.labels, known=made.truth)
    counts = torch.zeros(3, 2, 2, dtype=torch.float64)
    places = (labels.worker, made.truth[labels.item], labels.label)
    counts.index_put_(places, torch.ones(labels.n_labels, dtype=torch.float64), accumulate=True)
    exact = torch.distributions.Dirichlet(counts + model.concentration(labels))
    fit = fit_svi(model, labels, num_steps=400, lr=0.05, num_samples=400, seed=0)
    torch.testing.assert_close(fit.params["confusion"], exact.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(fit.uncertainty["confusion"], exact.stddev, rtol=0.25, atol=0)
    assert (fit.truth.argmax(-1) == made.truth).all()


MODELS = [Multinomial(), OneCoin(), DawidSkene(), HierarchicalDawidSkene(), Glad(), Mace(), CutNormalRatings()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_every_model_is_fitted_and_repeats_itself(model):
    known = torch.full((6,), -1)
    known[0] = 1
    history = torch.ones(3, 3, 3, dtype=torch.float64)
    labels = simulate(model, _everybody(6, 3, 3, known=known, history=history), seed=2).labels
    before = torch.get_rng_state()
    fits = [fit_svi(model, labels, num_steps=20, num_samples=10, seed=3) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(fits[0].truth, fits[1].truth)
    torch.testing.assert_close(fits[0].truth.sum(-1), torch.ones(6, dtype=torch.float64))
    assert set(fits[0].params) == set(fits[0].draws) == set(fits[0].uncertainty)


def test_a_point_estimate_on_the_edge_is_a_start_all_the_same():
    # With flat priors the mode has shares of 0, where no gradient is: from there both stay below 1e-23; measured .027.
    flat = DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0)
    labels = simulate(DawidSkene(), _everybody(6, 3, 3), seed=0).labels
    variational = fit_svi(flat, labels, num_steps=100, lr=0.1, num_samples=20)
    chain = sample_annotation(flat, labels, num_samples=20, warmup_steps=20, num_chains=1)
    assert variational.params["confusion"].min() > 0.002
    assert chain.params["confusion"].min() > 0.002


def test_bad_settings_are_named():
    labels = _everybody(2, 2, 2)
    with pytest.raises(ModelError, match="num_steps=0"):
        fit_svi(OneCoin(), labels, num_steps=0)
    with pytest.raises(ModelError, match="num_samples=1"):
        sample_annotation(OneCoin(), labels, num_samples=1)


@pytest.mark.slow
@pytest.mark.skipif("CROWDPYRO_DATA" not in os.environ, reason="set CROWDPYRO_DATA to the folder of real data")
def test_svi_and_nuts_agree_on_bluebird():
    table = pd.read_csv(Path(os.environ["CROWDPYRO_DATA"]) / "label_aggregation" / "bluebird_labels.csv.gz")
    codes = [torch.as_tensor(pd.factorize(table[column])[0]) for column in ("task", "worker", "label")]
    labels = Labels(*codes, *(int(each.max()) + 1 for each in codes))
    variational = fit_svi(DawidSkene(), labels, seed=0)
    chain = sample_annotation(DawidSkene(), labels, num_samples=300, warmup_steps=200, num_chains=1, seed=0)
    assert (variational.truth - chain.truth).abs().mean() < 0.01
    assert (variational.params["confusion"] - chain.params["confusion"]).abs().max() < 0.05


def _groups(model, n_groups, n_items, n_workers):
    """Tables side by side that share no item, no worker and no parameter: one chain samples all their posteriors."""
    one = _everybody(n_items, n_workers, 2)
    item = torch.cat([one.item + n_items * group for group in range(n_groups)])
    worker = torch.cat([one.worker + n_workers * group for group in range(n_groups)])
    return simulate(
        model, Labels(item, worker, torch.zeros_like(item), n_items * n_groups, n_workers * n_groups, 2), seed=21
    )


def _calibration(fit, made, quantities, n_groups, width=1.0):
    """Ranks of each group's quantities among thinned draws of one chain, whose spread may be falsified."""
    columns, names, rng = [], [], np.random.default_rng(23)
    for name, stride in quantities:
        draws = fit.draws[name][0, 9::10].reshape(99, n_groups, stride, -1)[:, :, 0]
        draws = draws.mean(0) + width * (draws - draws.mean(0))
        columns.append(rank(made.params[name].reshape(n_groups, stride, -1)[:, 0], draws, rng))
        names += [f"{name}[{place}]" for place in range(draws.shape[-1])]
    return Calibration(np.concatenate(columns, axis=1), tuple(names), 99)


def _reliable(fit, made):
    """Whether truths happen as often as they were said to, in five bins of probability; errs with chance 1e-3."""
    chance, happened = fit.truth[:, 1].numpy(), (made.truth == 1).numpy()
    place = np.minimum((5 * chance).astype(int), 4)
    off = np.bincount(place, happened - chance, 5)
    spread = np.sqrt(np.bincount(place, chance * (1 - chance), 5))
    return (np.abs(off) <= 3.7 * spread + 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "quantities"),
    [
        # Priors that keep modes apart which differ by a permutation of the classes: with flat ones no chain visits all.
        (DawidSkene(prevalence=None, diagonal=8.0, off_diagonal=2.0), [("confusion", 3)]),
        (Glad(ability_mean=1.5, ability_scale=0.5, ease_mean=0.5, ease_scale=0.5), [("ability", 3), ("log_ease", 6)]),
    ],
    ids=["dawid_skene", "glad"],
)
def test_nuts_is_calibrated(model, quantities):
    # 150 tables of six items and three workers; right posteriors fail with chance .01 each.
    made = _groups(model, n_groups=150, n_items=6, n_workers=3)
    fit = sample_annotation(model, made.labels, num_samples=990, warmup_steps=400, num_chains=1, seed=22)
    assert _calibration(fit, made, quantities, 150).rejected(error_rate=0.01) == []
    assert _calibration(fit, made, quantities, 150, width=0.5).rejected(error_rate=0.01) != []
    assert _reliable(fit, made)
