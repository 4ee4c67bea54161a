"""Every method on four tables of real labels with known truth, beside crowd-kit: bluebird, rte, dog, product.

Accuracy with a 95 % interval by bootstrap over items (ties count as shares of a right answer, so that no seed decides),
log loss of the true label (probabilities of at least 1e-10), and crowd-kit's accuracy. The default method was chosen on
simulated tables alone (default_method.py). At equal settings (no priors, as many iterations, GLAD's own penalties),
the last table counts the items on which labels differ. crowd-kit's MACE gets workers and labels as codes by first
appearance (`by_appearance` says why). Data: $CROWDPYRO_DATA/label_aggregation.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from timing import Table

from crowdpyro import aggregate
from crowdpyro.aggregation.truth import DEFAULT, METHODS
from crowdpyro.models.annotation import DawidSkene, Glad, Mace, OneCoin

SETS = ("bluebird", "rte", "dog", "product")
N_RESAMPLES = 2000
FLAT = {"prevalence": 1.0}
N_SAME = 30


def read(folder: Path, name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Labels and truth."""
    truth = pd.read_csv(folder / f"{name}_truth.csv").set_index("task")["label"]
    return pd.read_csv(folder / f"{name}_labels.csv.gz"), truth


def credit(posterior: pd.DataFrame, truth: pd.Series) -> np.ndarray:
    """Chance of a right answer for each item of known truth."""
    shares = posterior.reindex(truth.index).to_numpy()
    best = shares >= shares.max(axis=1, keepdims=True) - 1e-12
    right = posterior.columns.to_numpy() == truth.to_numpy()[:, None]
    return (best & right).sum(axis=1) / best.sum(axis=1)


def log_loss(posterior: pd.DataFrame, truth: pd.Series) -> float:
    """Mean of -log P(true label), nats an item."""
    right = posterior.columns.to_numpy() == truth.to_numpy()[:, None]
    return float(-np.log(np.maximum((posterior.reindex(truth.index).to_numpy() * right).sum(axis=1), 1e-10)).mean())


def interval(right: np.ndarray) -> tuple[float, float]:
    """95 % by bootstrap over items."""
    rng = np.random.default_rng(0)
    means = [right[rng.integers(0, len(right), len(right))].mean() for _ in range(N_RESAMPLES)]
    return tuple(np.quantile(means, [0.025, 0.975]))


def by_appearance(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index]:
    """Workers and labels as codes by first appearance, and the labels.

    crowd-kit 1.4.2's MACE counts in sorted order what it then reads in the order of first appearance: other tables hand
    one worker's counts to another.
    """
    label, levels = pd.factorize(frame["label"])
    return frame.assign(worker=pd.factorize(frame["worker"])[0], label=label), levels


def mace_peer(frame: pd.DataFrame, **settings: object) -> pd.DataFrame:
    """crowd-kit's MACE on codes, its posterior by label."""
    from crowdkit.aggregation import MACE

    coded, levels = by_appearance(frame)
    return MACE(**settings).fit_predict_proba(coded).rename(columns=dict(enumerate(levels)))


def peers() -> dict[str, Callable[[pd.DataFrame], pd.DataFrame]]:
    """crowd-kit's methods with its own settings."""
    from crowdkit import aggregation as ck

    return {
        "majority": lambda frame: ck.MajorityVote().fit_predict_proba(frame),
        "one_coin": lambda frame: ck.OneCoinDawidSkene().fit_predict_proba(frame),
        "dawid_skene": lambda frame: ck.DawidSkene().fit_predict_proba(frame),
        "glad": lambda frame: ck.GLAD().fit_predict_proba(frame),
        "mace": mace_peer,
    }


def at_equal_settings(frame: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Pairs of posteriors, ours first: the same model, priors, start and iterations."""
    from crowdkit import aggregation as ck

    flat = DawidSkene(**FLAT, diagonal=1.0, off_diagonal=1.0)
    # crowd-kit's truth is that of the parameters before its last M-step.
    steps = {"n_iter": N_SAME - 1, "tol": -np.inf}
    same = {"n_iter": N_SAME, "tol": -np.inf}
    # To every count, crowd-kit's MACE adds .01 / K.
    smooth = 1 + 0.01 / frame["label"].nunique()
    mace = Mace(prevalence=None, trusted=smooth, spam=smooth, pattern=smooth)
    return {
        "majority": (aggregate(frame, "majority").posterior, ck.MajorityVote().fit_predict_proba(frame)),
        "dawid_skene": (aggregate(frame, flat, **steps).posterior, ck.DawidSkene(**same).fit_predict_proba(frame)),
        "one_coin": (
            aggregate(frame, OneCoin(**FLAT, right=1.0, wrong=1.0), **steps).posterior,
            ck.OneCoinDawidSkene(**same).fit_predict_proba(frame),
        ),
        "glad": (aggregate(frame, Glad()).posterior, ck.GLAD(n_iter=10, tol=-np.inf).fit_predict_proba(frame)),
        # Its restarts all start at one place, and after 50 iterations it is far from a mode.
        "mace": (aggregate(frame, mace).posterior, mace_peer(frame, method="em", n_iter=1000, n_restarts=1)),
    }


def main() -> None:
    """Two tables."""
    folder = Path(os.environ.get("CROWDPYRO_DATA", "")) / "label_aggregation"
    if not folder.is_dir():
        sys.stdout.write("### Real labels\n\nNot run: CROWDPYRO_DATA names no folder with label_aggregation.\n")
        return
    table = Table(
        "Real labels: accuracy (95 %), log loss; crowd-kit's accuracy",
        ("table", "method", "accuracy", "log loss", "crowd-kit, accuracy", "crowd-kit, log loss"),
    )
    same = Table(
        f"Real labels at equal settings ({N_SAME} iterations): items with another label, untied in both",
        ("table", "method", "items", "differ", "right more, ours"),
    )
    for name in SETS:
        frame, truth = read(folder, name)
        truth = truth[truth.index.isin(frame["task"])]
        for method in METHODS:
            if method == "cut_normal_ratings":
                continue  # labels in no order
            found = aggregate(frame, method).posterior
            right = credit(found, truth)
            low, high = interval(right)
            peer = peers().get(method)
            theirs = None if peer is None else peer(frame)
            table.add(
                name,
                f"**{method}**" if method == DEFAULT else method,
                f"{right.mean():.4f} ({low:.3f} to {high:.3f})",
                f"{log_loss(found, truth):.4f}",
                "" if theirs is None else f"{credit(theirs, truth).mean():.4f}",
                "" if theirs is None else f"{log_loss(theirs, truth):.4f}",
            )
        for method, (ours, theirs) in at_equal_settings(frame).items():
            peer = theirs.loc[ours.index, ours.columns]
            untied = [(each.eq(each.max(axis=1), axis=0).sum(axis=1) == 1) for each in (ours, peer)]
            differ = (ours.idxmax(axis=1) != peer.idxmax(axis=1)) & untied[0] & untied[1]
            more = credit(ours, truth).sum() - credit(peer, truth).sum()
            same.add(name, method, f"{len(ours):,}", f"{int(differ.sum())}", f"{more:+.3g}")
    table.close()
    same.close()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
