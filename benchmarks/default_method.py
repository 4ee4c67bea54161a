"""Which method `aggregate` uses by default, chosen on simulated tables and on nothing else.

Tables of 400 items differ in how people err (confusion matrices, one accuracy, spammers, items of different difficulty,
ratings with a bias), in the number of classes and their balance, and in how many labels an item and a worker have. Each
method is scored by the log loss of the true class and by accuracy. The default is the method of least mean log loss
over the tables; the real tables were not looked at before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from crowdpyro.inference.annotation.point import point_estimate
from crowdpyro.inference.annotation.simulate import simulate
from crowdpyro.models import annotation as models
from crowdpyro.models.annotation import Labels

torch.set_num_threads(1)
N_ITEMS, N_SEEDS = 400, 3
METHODS = {
    "multinomial": models.Multinomial(),
    "one_coin": models.OneCoin(),
    "dawid_skene": models.DawidSkene(),
    "dawid_skene, flat": models.DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0),
    "hierarchical_dawid_skene": models.HierarchicalDawidSkene(),
    "glad": models.Glad(),
    "glad, shares learned": models.Glad(prevalence=1.5),
    "mace": models.Mace(),
    "mace, equal shares": models.Mace(prevalence=None),
}


def confusions(rng: np.random.Generator, n_workers: int, n_classes: int) -> dict[str, np.ndarray]:
    """People share what they mistake for what, and differ in how well they see it."""
    mean = 0.65 * np.eye(n_classes) + 0.35 * rng.dirichlet(np.ones(n_classes), n_classes)
    rows = [[rng.dirichlet(8 * row) for row in mean] for _ in range(n_workers)]
    return {"confusion": np.array(rows)}


def coins(rng: np.random.Generator, n_workers: int, n_classes: int) -> dict[str, np.ndarray]:
    """One accuracy a worker, from chance to certainty."""
    return {"accuracy": 1 / n_classes + (1 - 1 / n_classes) * rng.beta(3, 2, n_workers)}


def spammers(rng: np.random.Generator, n_workers: int, n_classes: int) -> dict[str, np.ndarray]:
    """A third of the people do not look, and have a favourite answer."""
    trust = np.where(rng.random(n_workers) < 1 / 3, 0.02, rng.beta(6, 2, n_workers))
    return {"trust": trust, "pattern": rng.dirichlet(np.ones(n_classes), n_workers)}


def difficulties(rng: np.random.Generator, n_workers: int, n_classes: int) -> dict[str, np.ndarray]:
    """Items on which nearly everybody is right, and others of chance."""
    return {"ability": rng.normal(1.2, 0.7, n_workers), "log_ease": rng.normal(0.2, 0.8, N_ITEMS)}


def ratings(rng: np.random.Generator, n_workers: int, n_classes: int) -> dict[str, np.ndarray]:
    """Errors fall on neighbouring levels."""
    return {"bias": rng.normal(0, 0.4, n_workers), "log_scale": rng.normal(-0.4, 0.4, n_workers)}


WORLDS: dict[str, tuple[models.AnnotationModel, Callable[..., dict[str, np.ndarray]]]] = {
    "confusions": (models.DawidSkene(), confusions),
    "coins": (models.OneCoin(), coins),
    "spammers": (models.Mace(prevalence=1.0), spammers),
    "difficulties": (models.Glad(prevalence=1.0), difficulties),
    "ratings": (models.CutNormalRatings(), ratings),
}


def design(rng: np.random.Generator, per_item: int, per_worker: int, n_classes: int) -> Labels:
    """Who labels what: `per_item` different workers an item, some far busier than others."""
    n_workers = max(per_item + 2, N_ITEMS * per_item // per_worker)
    busy = rng.dirichlet(np.full(n_workers, 1.0))
    chosen = [
        rng.choice(n_workers, per_item, replace=False, p=(busy + 1e-3) / (busy + 1e-3).sum()) for _ in range(N_ITEMS)
    ]
    item = torch.arange(N_ITEMS).repeat_interleave(per_item)
    return Labels(item, torch.tensor(np.concatenate(chosen)), torch.zeros_like(item), N_ITEMS, n_workers, n_classes)


def main() -> None:
    """Print the scores by world and over all tables."""
    rows = []
    settings = itertools.product(WORLDS, (2, 4), ("balanced", "rare"), (3, 7), (10, 60), range(N_SEEDS))
    for world, n_classes, balance, per_item, per_worker, seed in settings:
        rng = np.random.default_rng([seed, n_classes, per_item, per_worker])
        program, people = WORLDS[world]
        labels = design(rng, per_item, per_worker, n_classes)
        shares = np.full(n_classes, 1 / n_classes) if balance == "balanced" else np.geomspace(8, 1, n_classes)
        params = {"prevalence": shares / shares.sum()} | people(rng, labels.n_workers, n_classes)
        told = {name: torch.as_tensor(value).double() for name, value in params.items()}
        table = simulate(program, labels, told, seed=seed)
        for method, model in METHODS.items():
            truth = point_estimate(model, table.labels).truth
            right = truth.gather(1, table.truth[:, None])[:, 0]
            rows.append(
                {
                    "world": world,
                    "per_worker": per_worker,
                    "balance": balance,
                    "method": method,
                    "log loss": -right.clamp_min(1e-10).log().mean().item(),
                    "accuracy": (truth.argmax(-1) == table.truth).double().mean().item(),
                }
            )
    scores = pd.DataFrame(rows)
    n_tables = len(scores) // len(METHODS)
    print(f"## The default method: log loss (accuracy) over {n_tables} simulated tables\n")
    parts = {each: scores[scores["world"] == each] for each in WORLDS}
    parts |= {f"{n} labels a worker": scores[scores["per_worker"] == n] for n in (10, 60)}
    parts |= {"rare classes": scores[scores["balance"] == "rare"], "all": scores}
    means = {name: part.groupby("method")[["log loss", "accuracy"]].mean() for name, part in parts.items()}
    order = means["all"].sort_values("log loss").index
    print(_head(list(means)))
    for method in order:
        cells = [f"{each.loc[method, 'log loss']:.3f} ({each.loc[method, 'accuracy']:.3f})" for each in means.values()]
        print(f"| {method} | " + " | ".join(cells) + " |")


def _head(names: list[str]) -> str:
    return "| method | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|"


if __name__ == "__main__":
    main()
