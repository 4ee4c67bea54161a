"""Metrics of the crowdsourcing studies, in the paper's definitions (its section 5.1).

A crowd of n answers to every problem, or the exact distribution that such answers come from (n = 0), is compared with
the people's answers:

    MAE, RMSE, resolution rate     of h(crowd) against h(people), h the same aggregator on both sides
    CS, W1                         of the two histograms, problem by problem, W1 in the unit of the rating
    log loss                       of the exact distribution, nats per answer

The floors say what the exact distribution would score if it were the truth: its own draws, as many as people gave, are
the gold. Nothing can be expected to go below them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import metrics
from ..aggregation.truth import aggregate
from ..data import CrowdData
from ..inference.seeds import generator
from ..models.scales import Ordinal
from .metric import Metric
from .rows import Rows
from .scoring import aggregate_shares, ordinal

FloatArray = npt.NDArray[np.float64]

SHARES = ("mean", "median", "majority")
MODELS = ("dawid_skene", "glad")
AGGREGATORS = (*SHARES, *MODELS)
# In the column n_virtual: the exact distribution, and as many answers a problem as people gave.
EXACT, AS_PEOPLE = 0, -1
_FLOOR_DRAWS = 20

FLOORS = tuple(
    Metric(f"{name}_floor", f"{title} floor", f"{title} that is expected were the distribution the truth", None)
    for name, title in (("mae", "MAE"), ("cosine_similarity", "CS"), ("wasserstein1", "W1"), ("log_loss", "log loss"))
)


def histograms(codes: FloatArray, n_levels: int) -> FloatArray:
    """Counts of each level, `(n_problems, n_levels)`, from codes `(n, n_problems)`, NaN where nobody answered."""
    return np.stack([(codes == level).sum(axis=0) for level in range(n_levels)], axis=1).astype(float)


def shares_of(counts: FloatArray) -> FloatArray:
    """Counts as shares, NaN where nobody answered."""
    n = counts.sum(axis=1, keepdims=True)
    return np.where(n > 0, counts / np.maximum(n, 1), np.nan)


def aggregated(codes: FloatArray, name: str, scale: Ordinal, seed: int = 0) -> FloatArray:
    """Value of h for every problem, `(n_problems,)`, in the unit of the rating, NaN where nobody answered."""
    found = np.full(codes.shape[1], np.nan)
    if name in SHARES:
        shares = shares_of(histograms(codes, scale.n_levels))
        asked = ~np.isnan(shares[:, 0])
        found[asked] = aggregate_shares(shares[asked], name, scale, seed)
        return found
    who, problem = np.nonzero(~np.isnan(codes))
    labels = scale.values[codes[who, problem].astype(int)]
    frame = pd.DataFrame({"problem": problem, "participant": who, "response": labels})
    truth = aggregate(frame, name, seed=seed).labels
    found[truth.index.to_numpy(dtype=int)] = truth.to_numpy(dtype=float)
    return found


@dataclass(eq=False)
class Gold:
    """People's answers, and what each aggregator makes of them.

    Attributes
    ----------
    data
        The answers.
    seed
        Of ties.
    """

    data: CrowdData
    seed: int = 0
    _known: dict[str, FloatArray] = field(default_factory=dict, repr=False)

    @cached_property
    def scale(self) -> Ordinal:
        """Of the ratings."""
        return ordinal(self.data.scale)

    @cached_property
    def counts(self) -> FloatArray:
        """Answers to each level, `(n_problems, n_levels)`."""
        return self.data.counts()

    @cached_property
    def shares(self) -> FloatArray:
        """Histograms, NaN where nobody answered."""
        return shares_of(self.counts)

    def aggregate(self, name: str) -> FloatArray:
        """What people decide by this aggregator, `(n_problems,)`."""
        if name not in self._known:
            self._known[name] = aggregated(self.data.matrix(), name, self.scale, self.seed)
        return self._known[name]


def add_exact(rows: Rows, shares: FloatArray, gold: Gold) -> None:
    """Rows of a predictive distribution, `(n_problems, n_levels)`, and its floors."""
    rows.add_shares(shares, gold.counts, gold.scale, gold.data.problems.index, seed=gold.seed)
    for metric, value in floors(shares, gold.counts, gold.scale.values, gold.seed).items():
        rows.add(f"{metric}_floor", value, "mean" if metric == "mae" else "")


def add_drawn(rows: Rows, codes: FloatArray, gold: Gold, n_virtual: int, *, units: bool = False) -> None:
    """Rows of a drawn crowd, codes `(n, n_problems)`; of its mean and histograms by problem, where wanted."""
    counts = histograms(codes, gold.scale.n_levels)
    if units:
        asked = counts.sum(axis=1) > 0
        ids = gold.data.problems.index[asked]
        crowd = Rows()
        crowd.add_shares(
            shares_of(counts[asked]), gold.counts[asked], gold.scale, ids, n_virtual=n_virtual, aggregators=["mean"]
        )
        # A finite crowd's log loss is infinite wherever somebody's answer was not drawn.
        finite = ("log_loss", "surprise", "bias")
        rows.frames.extend(frame for frame in crowd.frames if frame["metric"].iloc[0] not in finite)
    for name in AGGREGATORS:
        if units and name == "mean":
            continue
        estimate, truth = aggregated(codes, name, gold.scale, gold.seed + 1), gold.aggregate(name)
        rows.add("mae", metrics.mean_absolute_error(estimate, truth), name, n_virtual)
        rows.add("rmse", metrics.root_mean_square_error(estimate, truth), name, n_virtual)
        rows.add("resolution_rate", metrics.resolution_rate(estimate, truth), name, n_virtual)
    if not units:
        shares = shares_of(counts)
        rows.add("cosine_similarity", metrics.cosine_similarity(shares, gold.shares), "", n_virtual)
        rows.add("wasserstein1", metrics.wasserstein1(shares, gold.shares, gold.scale.values), "", n_virtual)


def floors(shares: FloatArray, counts: FloatArray, values: FloatArray, seed: int) -> dict[str, float]:
    """What the distribution would score were it the truth: means over 20 draws of the people's numbers of answers."""
    rng, asked = generator(seed), counts.sum(axis=1) > 0
    n, p = counts[asked].sum(axis=1).astype(int), shares[asked]
    p = p / p.sum(axis=1, keepdims=True)
    scores = []
    for _ in range(_FLOOR_DRAWS):
        drawn = rng.multinomial(n, p).astype(float)
        q = drawn / n[:, None]
        scores.append(
            (
                metrics.mean_absolute_error(p @ values, q @ values),
                metrics.cosine_similarity(p, q),
                metrics.wasserstein1(p, q, values),
                metrics.log_loss(p, drawn),
            )
        )
    names = ("mae", "cosine_similarity", "wasserstein1", "log_loss")
    return dict(zip(names, np.mean(scores, axis=0).tolist(), strict=True))
