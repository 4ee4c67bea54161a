"""EM: crowd-kit's numbers iteration by iteration, the Pyro program's density, a rise at every step."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp, xlogy

from crowdpyro.errors import DataError, ModelError
from crowdpyro.inference.annotation.coin_em import fit_coins
from crowdpyro.inference.annotation.dawid_skene_em import fit_dawid_skene
from crowdpyro.inference.annotation.posterior import AnnotationFit
from crowdpyro.inference.annotation.votes import Votes
from crowdpyro.models.annotation import DawidSkene, Labels, Multinomial, OneCoin

N_ITEMS, N_WORKERS, N_CLASSES = 120, 15, 4
FLAT = DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0)
FLAT_COIN = OneCoin(prevalence=1.0, right=1.0, wrong=1.0)
FITS: list[tuple[object, Callable[..., AnnotationFit]]] = [
    (DawidSkene(), fit_dawid_skene),
    (DawidSkene(prevalence=None, diagonal=1.0, off_diagonal=1.0), fit_dawid_skene),
    (OneCoin(), fit_coins),
    (Multinomial(), fit_coins),
]


def table(seed: int = 0, n_classes: int = N_CLASSES) -> Labels:
    """Workers right with chances of their own, each item labelled one to nine times, in random order."""
    rng = np.random.default_rng(seed)
    item = rng.permutation(np.repeat(np.arange(N_ITEMS), rng.integers(1, 10, N_ITEMS)))
    worker = rng.integers(0, N_WORKERS, len(item))
    truth, skill = rng.integers(0, n_classes, N_ITEMS), rng.uniform(0.3, 0.95, N_WORKERS)
    right = rng.random(len(item)) < skill[worker]
    label = np.where(right, truth[item], rng.integers(0, n_classes, len(item)))
    return Labels(*map(torch.as_tensor, (item, worker, label)), N_ITEMS, N_WORKERS, n_classes)


def with_gold_and_history(labels: Labels, seed: int = 1) -> Labels:
    """A sixth of the truths known, and fractional counts of earlier labels."""
    rng = np.random.default_rng(seed)
    known = np.where(rng.random(labels.n_items) < 1 / 6, rng.integers(0, labels.n_classes, labels.n_items), -1)
    history = rng.gamma(0.5, size=(labels.n_workers, labels.n_classes, labels.n_classes))
    history[rng.random(history.shape) < 0.5] = 0.0
    return dataclasses.replace(labels, known=torch.as_tensor(known), history=torch.as_tensor(history))


def frame(labels: Labels) -> pd.DataFrame:
    """The same for crowd-kit."""
    return pd.DataFrame({"task": labels.item.numpy(), "worker": labels.worker.numpy(), "label": labels.label.numpy()})


@pytest.fixture
def crowdkit():
    """The peer, whose own deprecated calls of pandas are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is in the extra 'test'")


def expected_density(labels: Labels, truth: np.ndarray, log_pi: np.ndarray, log_confusion: np.ndarray) -> float:
    """What crowd-kit records: E_q log p(labels, truth) + H(q), the prior once a label instead of once an item."""
    item, worker, label = labels.item.numpy(), labels.worker.numpy(), labels.label.numpy()
    each = truth[item] * (log_confusion[worker, :, label] + log_pi)
    clipped = np.maximum(truth, 1e-10)
    return float(each.sum() - xlogy(clipped, clipped).sum())


@pytest.mark.parametrize("n_iter", [1, 7, 40])
def test_dawid_skene_without_a_prior_is_crowd_kits_at_every_iteration(crowdkit, n_iter):
    labels = table()
    peer = crowdkit.DawidSkene(n_iter=n_iter, tol=-np.inf).fit(frame(labels))
    ours = fit_dawid_skene(FLAT, labels, n_iter=n_iter, tol=-np.inf)
    # Its truth is that of the parameters before the last M-step.
    before = fit_dawid_skene(FLAT, labels, n_iter=n_iter - 1, tol=-np.inf)
    order = list(range(N_CLASSES))
    posterior = peer.probas_.loc[range(N_ITEMS), order].to_numpy()
    np.testing.assert_allclose(before.truth.numpy(), posterior, atol=1e-9)
    confusion = np.zeros((N_WORKERS, N_CLASSES, N_CLASSES))
    worker, label = (peer.errors_.index.get_level_values(name) for name in ("worker", "label"))
    confusion[worker, :, label] = peer.errors_[order].to_numpy()
    np.testing.assert_allclose(ours.params["confusion"].numpy(), confusion, atol=1e-9)
    prior = peer.priors_.loc[order].to_numpy()
    np.testing.assert_allclose(ours.params["prevalence"].numpy(), prior, atol=1e-9)

    # The log likelihood from crowd-kit's parameters, label by label.
    with np.errstate(divide="ignore"):
        table_of_logs = np.log(confusion)
    score = np.tile(np.log(prior), (N_ITEMS, 1))
    np.add.at(score, labels.item.numpy(), table_of_logs[labels.worker.numpy(), :, labels.label.numpy()])
    theirs = logsumexp(score, axis=1).sum()
    # The flat priors have a density too, (K - 1)! a row.
    constant = (N_WORKERS * N_CLASSES + 1) * np.log(np.prod(np.arange(1, N_CLASSES)))
    assert ours.log_likelihood[-1] - constant == pytest.approx(theirs, rel=1e-9)
    # The number that it recorded, from ours. (It clips probabilities in place, after the expectation.)
    log_pi, log_confusion = (ours.params[name].log().numpy() for name in ("prevalence", "confusion"))
    elbo = expected_density(labels, before.truth.numpy(), log_pi, np.maximum(log_confusion, -1e3)) / labels.n_labels
    assert elbo == pytest.approx(peer.loss_history_[-1], rel=1e-9)


@pytest.mark.parametrize("n_iter", [1, 25])
def test_one_coin_without_a_prior_is_crowd_kits_at_every_iteration(crowdkit, n_iter):
    labels = table(seed=3)
    peer = crowdkit.OneCoinDawidSkene(n_iter=n_iter, tol=-np.inf).fit(frame(labels))
    ours = fit_coins(FLAT_COIN, labels, n_iter=n_iter, tol=-np.inf)
    before = fit_coins(FLAT_COIN, labels, n_iter=n_iter - 1, tol=-np.inf)
    np.testing.assert_allclose(ours.params["accuracy"].numpy(), peer.skills_.loc[range(N_WORKERS)], atol=1e-9)
    np.testing.assert_allclose(before.truth.numpy(), peer.probas_.loc[range(N_ITEMS), range(N_CLASSES)], atol=1e-9)


def test_golden_items_are_crowd_kits(crowdkit):
    labels = dataclasses.replace(with_gold_and_history(table(seed=5)), history=None)
    known = labels.known.numpy()
    gold = pd.Series(known[known >= 0], index=np.flatnonzero(known >= 0))
    peer = crowdkit.DawidSkene(n_iter=10, tol=-np.inf).fit(frame(labels), gold)
    ours = fit_dawid_skene(FLAT, labels, n_iter=9, tol=-np.inf)
    np.testing.assert_allclose(ours.truth.numpy(), peer.probas_.loc[range(N_ITEMS), range(N_CLASSES)], atol=1e-9)


@pytest.mark.parametrize(("model", "fit"), FITS)
@pytest.mark.parametrize("told", [False, True])
def test_every_step_raises_the_density_of_the_pyro_program(model, fit, told):
    labels = with_gold_and_history(table(seed=2)) if told else table(seed=2)
    found = fit(model, labels, tol=-np.inf, n_iter=60)
    density = np.array(found.log_likelihood)
    assert len(density) == found.n_iter + 1 == 61
    assert np.diff(density).min() > -1e-9 * abs(density[-1])
    assert density[-1] == pytest.approx(model.log_joint(found.params, labels).item(), rel=1e-12)
    assert density[0] == pytest.approx(model.log_joint(fit(model, labels, n_iter=0).params, labels).item(), rel=1e-12)
    torch.testing.assert_close(found.truth, model.truth_posterior(found.params, labels), rtol=0, atol=1e-12)


def test_it_stops_when_the_density_does_and_says_so():
    labels = table()
    assert not fit_dawid_skene(DawidSkene(), labels, n_iter=2).converged
    done = fit_dawid_skene(DawidSkene(), labels, tol=1e-8)
    rises = np.diff(done.log_likelihood) / labels.n_labels
    assert done.converged
    assert done.n_iter < 500
    assert rises[-1] <= 1e-8 < rises[:-1].min()


def test_float32_differs_by_rounding():
    labels = table()
    single, double = (fit_dawid_skene(DawidSkene(), labels, n_iter=10, tol=-np.inf, dtype=d) for d in ("f4", "f8"))
    torch.testing.assert_close(single.truth, double.truth, rtol=0, atol=1e-3)
    assert single.truth.dtype == torch.float64
    assert single.log_likelihood[-1] == pytest.approx(double.log_likelihood[-1], rel=1e-5)


@pytest.mark.parametrize(("model", "fit"), [*FITS, (FLAT, fit_dawid_skene), (FLAT_COIN, fit_coins)])
def test_thin_tables_give_finite_numbers(model, fit):
    one = torch.tensor([0])
    tables = [
        Labels(one, one, one, 1, 1, 1),  # a single label of a single class
        Labels(one, one, one, 3, 2, 3),  # items and a worker without labels
        dataclasses.replace(table(seed=4), label=torch.zeros(table(seed=4).n_labels, dtype=torch.int64)),
        Labels(torch.arange(5), torch.arange(5), torch.arange(5) % 2, 5, 5, 2),  # workers with one label each
    ]
    for labels in tables:
        found = fit(model, labels, n_iter=20)
        assert all(value.isfinite().all() for value in found.params.values())
        assert np.isfinite(found.log_likelihood).all()
        torch.testing.assert_close(found.truth.sum(1), torch.ones(labels.n_items, dtype=torch.float64))


@pytest.mark.parametrize(
    ("model", "fit", "name"),
    [
        (DawidSkene(off_diagonal=0.5), fit_dawid_skene, "off_diagonal=0.5"),
        (DawidSkene(prevalence=0.9), fit_dawid_skene, "prevalence=0.9"),
        (OneCoin(wrong=0.5), fit_coins, "wrong=0.5"),
    ],
)
def test_a_prior_without_a_mode_is_refused(model, fit, name):
    with pytest.raises(ModelError, match=name):
        fit(model, table())


def test_matrices_beyond_memory_are_refused_before_they_are_made():
    one = torch.tensor([0])
    with pytest.raises(DataError, match="majority"):
        Votes(Labels(one, one, one, 1, 100_000, 100))
