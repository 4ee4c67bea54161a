"""Every model's density against sums over all truths that are written out by hand."""

import itertools

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, infer_discrete
from pyro.infer.autoguide import AutoDelta, init_to_value
from scipy import stats
from scipy.special import expit, ndtr

from crowdpyro.models.annotation import (
    UNKNOWN,
    CutNormalRatings,
    DawidSkene,
    Glad,
    HierarchicalDawidSkene,
    Labels,
    Mace,
    Multinomial,
    OneCoin,
)

MODELS = [
    Multinomial(),
    Multinomial(prevalence=2.0),
    OneCoin(),
    OneCoin(prevalence=None),
    DawidSkene(),
    DawidSkene(prevalence=None, diagonal=1.0, off_diagonal=1.0),
    HierarchicalDawidSkene(),
    Glad(),
    Glad(prevalence=2.0, ability_mean=0.5, ability_scale=2.0, ease_mean=-0.5, ease_scale=0.7),
    Mace(),
    Mace(prevalence=None),
    CutNormalRatings(),
]


def _name(model):
    return f"{type(model).__name__}-{model.prevalence}"


each_model = pytest.mark.parametrize("model", MODELS, ids=_name)


@pytest.fixture
def labels():
    """Four items (the last without labels, the second golden) and three workers, one of whom says the same twice."""
    rng = torch.Generator().manual_seed(3)
    return Labels(
        item=torch.tensor([2, 0, 1, 0, 2, 1, 0]),
        worker=torch.tensor([0, 0, 1, 1, 2, 2, 0]),
        label=torch.tensor([0, 2, 1, 2, 1, 0, 2]),
        n_items=4,
        n_workers=3,
        n_classes=3,
        known=torch.tensor([UNKNOWN, 1, UNKNOWN, UNKNOWN]),
        history=torch.rand(3, 3, 3, generator=rng, dtype=torch.float64).round(decimals=1) * 4,
    )


def _draw(model, labels, seed=5):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return {name: value.detach() for name, value in model.parameters(labels).items()}


def _side_by_side(model, draws):
    """As Pyro's plate of particles lays them out: sites outside plates have a dimension of size 1 in their place."""
    shared = {"prevalence", "pool"} | ({"accuracy"} if isinstance(model, Multinomial) else set())
    stacked = {name: torch.stack([each[name] for each in draws]) for name in draws[0]}
    return {name: value[:, None] if name in shared else value for name, value in stacked.items()}


def _rows(matrix, concentration):
    """Log density of Dirichlet rows."""
    return sum(stats.dirichlet.logpdf(row / row.sum(), a) for row, a in zip(matrix, concentration, strict=True))


def _coin(right, truth, said, n):
    return right if truth == said else (1 - right) / (n - 1)


def _table(chance):
    """A chance that does not depend on the item."""
    return lambda worker, item, truth, said: chance(worker, truth, said)


def _multinomial(model, p, n):
    prior = stats.beta.logpdf(p["accuracy"], model.right, model.wrong)
    return prior, _table(lambda w, truth, said: _coin(p["accuracy"], truth, said, n))


def _one_coin(model, p, n):
    prior = stats.beta.logpdf(p["accuracy"], model.right, model.wrong).sum()
    return prior, _table(lambda w, truth, said: _coin(p["accuracy"][w], truth, said, n))


def _dawid_skene(model, p, n):
    a = model.off_diagonal * (1 - np.eye(n)) + model.diagonal * np.eye(n)
    return sum(_rows(each, a) for each in p["confusion"]), _table(lambda w, truth, said: p["confusion"][w, truth, said])


def _hierarchical(model, p, n):
    mean = model.right * np.eye(n) + model.wrong / (n - 1) * (1 - np.eye(n))
    prior = stats.gamma.logpdf(p["pool"], model.shape, scale=mean / model.shape).sum()
    prior += sum(_rows(each, p["pool"]) for each in p["confusion"])
    return prior, _table(lambda w, truth, said: p["confusion"][w, truth, said])


def _glad(model, p, n):
    prior = stats.norm.logpdf(p["ability"], model.ability_mean, model.ability_scale).sum()
    prior += stats.norm.logpdf(p["log_ease"], model.ease_mean, model.ease_scale).sum()

    def chance(worker, item, truth, said):
        ease = np.exp(model.ease_mean if item is None else p["log_ease"][item])
        return _coin(expit(p["ability"][worker] * ease), truth, said, n)

    return prior, chance


def _mace(model, p, n):
    prior = stats.beta.logpdf(p["trust"], model.trusted, model.spam).sum()
    prior += _rows(p["pattern"], np.full((len(p["pattern"]), n), model.pattern))
    trust, pattern = p["trust"], p["pattern"]
    return prior, _table(lambda w, truth, said: trust[w] * (truth == said) + (1 - trust[w]) * pattern[w, said])


def _ratings(model, p, n):
    prior = stats.norm.logpdf(p["bias"], 0, model.bias_scale).sum()
    prior += stats.norm.logpdf(p["log_scale"], model.log_scale_mean, model.log_scale_scale).sum()

    def chance(worker, truth, said):
        location, scale = truth + p["bias"][worker], np.exp(p["log_scale"][worker])
        low = -np.inf if said == 0 else (said - 0.5 - location) / scale
        high = np.inf if said == n - 1 else (said + 0.5 - location) / scale
        # In the nearer tail, where no digits are lost.
        return ndtr(-low) - ndtr(-high) if low > 0 else ndtr(high) - ndtr(low)

    return prior, _table(chance)


BY_HAND = {
    Multinomial: _multinomial,
    OneCoin: _one_coin,
    DawidSkene: _dawid_skene,
    HierarchicalDawidSkene: _hierarchical,
    Glad: _glad,
    Mace: _mace,
    CutNormalRatings: _ratings,
}


def _brute_force(model, params, labels):
    """Log density of labels and params, and the truth's posterior, by a sum over all 81 truths."""
    n, p = labels.n_classes, {name: value.numpy() for name, value in params.items()}
    prior, chance = BY_HAND[type(model)](model, p, n)
    if model.prevalence is None:
        shares = np.full(n, 1 / n)
    else:
        shares = p["prevalence"]
        prior += _rows(shares[None], np.full((1, n), model.prevalence))
    for (worker, truth, said), count in np.ndenumerate(labels.history.numpy()):
        prior += count * np.log(chance(worker, None, truth, said))
    total, posterior = 0.0, np.zeros((labels.n_items, n))
    rows = list(zip(labels.item.tolist(), labels.worker.tolist(), labels.label.tolist(), strict=True))
    for truth in itertools.product(range(n), repeat=labels.n_items):
        if any(known not in (UNKNOWN, k) for known, k in zip(labels.known.tolist(), truth, strict=True)):
            continue
        density = np.prod(shares[list(truth)]) * np.prod([chance(w, t, truth[t], said) for t, w, said in rows])
        total += density
        posterior[range(labels.n_items), truth] += density
    return prior + np.log(total), posterior / total


@each_model
def test_the_enumerated_density_is_the_sum_over_all_truths(model, labels):
    params = _draw(model, labels)
    expected, posterior = _brute_force(model, params, labels)
    given = poutine.condition(model, data=params)
    enumerated = -TraceEnum_ELBO(max_plate_nesting=1).loss(given, lambda _: None, labels)
    assert enumerated == pytest.approx(expected, rel=1e-11)
    assert model.log_joint(params, labels).item() == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(model.truth_posterior(params, labels).numpy(), posterior, atol=1e-12)


@each_model
def test_particles_side_by_side_give_the_same_density(model, labels):
    params = _draw(model, labels)
    elbo = TraceEnum_ELBO(max_plate_nesting=1, num_particles=3, vectorize_particles=True)
    with pyro.settings.context(module_local_params=True):
        guide = AutoDelta(poutine.block(model, hide=["truth"]), init_loc_fn=init_to_value(values=params))
        guide(labels)
        assert -elbo.loss(model, guide, labels) == pytest.approx(model.log_joint(params, labels).item(), rel=1e-11)


@each_model
def test_a_batch_of_draws_is_scored_draw_by_draw(model, labels):
    draws = [_draw(model, labels, seed) for seed in range(3)]
    together = _side_by_side(model, draws)
    scored = model.item_log_likelihood(together, labels)
    for place, each in enumerate(draws):
        torch.testing.assert_close(scored[place], model.item_log_likelihood(each, labels), rtol=1e-12, atol=0)


@pytest.mark.parametrize("model", [DawidSkene(), Glad()], ids=_name)
def test_pyro_draws_truths_from_the_same_posterior(model, labels):
    # 120 draws of 4 x 3 shares: a right program leaves 4.5 standard errors anywhere with chance below 1e-4.
    params, n_draws = _draw(model, labels), 120
    drawn = infer_discrete(poutine.condition(model, data=params), first_available_dim=-2, temperature=1)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        truths = [poutine.trace(drawn).get_trace(labels).nodes["truth"]["value"] for _ in range(n_draws)]
    share = torch.nn.functional.one_hot(torch.stack(truths), 3).double().mean(0)
    expected = model.truth_posterior(params, labels)
    error = (expected * (1 - expected) / n_draws).sqrt()
    assert ((share - expected).abs() <= 4.5 * error + 1e-9).all()


@each_model
def test_a_single_class_is_certain(model):
    labels = Labels(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), torch.zeros(3, dtype=torch.int64), 2, 2, 1)
    params = _draw(model, labels)
    assert (model.truth_posterior(params, labels) == 1).all()
    assert model.item_log_likelihood(params, labels).abs().max() < 1e-12


@pytest.mark.parametrize("name", ["prevalence", "diagonal", "off_diagonal"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_hyper_parameters_are_positive(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        DawidSkene(**{name: value})


def test_only_prevalence_may_be_none():
    with pytest.raises(ValueError, match="right=None"):
        OneCoin(right=None)
