"""Real labels: at equal settings, crowd-kit's labels but for one item at most. Runs where $CROWDPYRO_DATA is."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crowdpyro as cp
from crowdpyro.models.annotation import DawidSkene, Glad, Mace, OneCoin

N_ITER = 20
OURS = {
    "DawidSkene": DawidSkene(prevalence=1.0, diagonal=1.0, off_diagonal=1.0),
    "OneCoinDawidSkene": OneCoin(prevalence=1.0, right=1.0, wrong=1.0),
}


@pytest.fixture
def crowdkit():
    """The peer, whose own deprecated calls of pandas are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is in the extra 'test'")


def read(data_dir: Path, name: str) -> pd.DataFrame:
    """Labels of one table."""
    file = data_dir / "label_aggregation" / f"{name}_labels.csv.gz"
    if not file.is_file():
        pytest.skip("CROWDPYRO_DATA holds no label_aggregation folder")
    return pd.read_csv(file)


def untied_differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> int:
    """Items with different labels, where neither side ties."""
    theirs = theirs.loc[ours.index, ours.columns]
    untied = [(each.eq(each.max(axis=1), axis=0)).sum(axis=1) == 1 for each in (ours, theirs)]
    return int(((ours.idxmax(axis=1) != theirs.idxmax(axis=1)) & untied[0] & untied[1]).sum())


@pytest.mark.parametrize("name", ["bluebird", "rte", "dog", "product"])
@pytest.mark.parametrize("method", ["MajorityVote", *OURS])
def test_labels_are_crowd_kits_at_equal_iterations(crowdkit, data_dir, name, method):
    frame = read(data_dir, name)
    if method == "MajorityVote":
        ours, peer = cp.aggregate(frame, "majority"), crowdkit.MajorityVote()
    else:
        # Its truth is that of the parameters before the last M-step.
        ours = cp.aggregate(frame, OURS[method], n_iter=N_ITER - 1, tol=-np.inf)
        peer = getattr(crowdkit, method)(n_iter=N_ITER, tol=-np.inf)
    theirs = peer.fit_predict_proba(frame)
    assert untied_differences(ours.posterior, theirs) == 0
    np.testing.assert_allclose(ours.posterior, theirs.loc[ours.posterior.index, ours.posterior.columns], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bluebird", "rte"])
def test_glad_is_crowd_kits_but_for_one_item_at_most(crowdkit, data_dir, name):
    frame = read(data_dir, name)
    theirs = crowdkit.GLAD(n_iter=15, tol=-np.inf).fit_predict_proba(frame)
    assert untied_differences(cp.aggregate(frame, Glad()).posterior, theirs) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bluebird", "rte"])
def test_mace_is_crowd_kits_but_for_one_item_at_most(crowdkit, data_dir, name):
    frame = read(data_dir, name)
    # By first appearance: on other codes it gives one worker's counts to another.
    label, levels = pd.factorize(frame["label"])
    coded = frame.assign(worker=pd.factorize(frame["worker"])[0], label=label)
    peer = crowdkit.MACE(method="em", n_iter=200, n_restarts=1).fit_predict_proba(coded)
    smooth = 1 + 0.01 / len(levels)
    ours = cp.aggregate(frame, Mace(prevalence=None, trusted=smooth, spam=smooth, pattern=smooth))
    assert untied_differences(ours.posterior, peer.rename(columns=dict(enumerate(levels)))) <= 1
