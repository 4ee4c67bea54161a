"""The vote: counts by a loop, ties uniform and by the seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro.inference.annotation.majority import fit_majority, winners
from crowdpyro.inference.annotation.votes import Votes
from crowdpyro.models.annotation import Labels

N_ITEMS, N_CLASSES = 5, 3
rows = st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.integers(0, N_CLASSES - 1)), min_size=1, max_size=40)


@settings(deadline=None)
@given(rows, st.lists(st.integers(-1, N_CLASSES - 1), min_size=N_ITEMS, max_size=N_ITEMS))
def test_shares_and_winners_equal_a_loop(table: list[tuple[int, int]], known: list[int]) -> None:
    item, label = (torch.tensor(each) for each in zip(*table, strict=True))
    labels = Labels(item, torch.zeros_like(item), label, N_ITEMS, 1, N_CLASSES, torch.tensor(known))
    share = fit_majority(labels).truth.numpy()
    np.testing.assert_allclose(Votes(labels).shares(), share)
    best = winners(share, seed=1)
    for t in range(N_ITEMS):
        votes = Counter(code for place, code in table if place == t)
        if known[t] >= 0:
            assert best[t] == known[t]
        elif votes:
            assert share[t].tolist() == [votes[code] / sum(votes.values()) for code in range(N_CLASSES)]
            assert votes[int(best[t])] == max(votes.values())
        else:
            assert set(share[t]) == {1 / N_CLASSES}


def test_ties_are_uniform_and_by_the_seed() -> None:
    n = 12_000
    # The second differs from the first by rounding only.
    truth = np.tile([0.4, 0.4 + 1e-15, 0.2], (n, 1))
    chosen = winners(truth, seed=3)
    share = np.bincount(chosen, minlength=3) / n
    assert share[2] == 0
    # Five standard deviations of a binomial share.
    assert abs(share[0] - 0.5) < 5 * np.sqrt(0.25 / n)
    np.testing.assert_array_equal(chosen, winners(truth, seed=3))
    assert (chosen != winners(truth, seed=4)).any()
