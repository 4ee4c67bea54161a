"""Case study II: the stars of products that nobody has rated, from what is said of them (the paper's section 5.3).

On two stand-ins for the paper's slices of Amazon Reviews 2023 (`amazon_slices`); its printed figures stand beside ours
and are of other products. A product's crowd never sees what its raters wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..inference.seeds import generator
from ..reviews.table import STARS
from .amazon_figures import PEOPLE, SHARE, SHOWN_SEED, add_histograms, figures
from .amazon_methods import llm_tells, predict
from .amazon_references import LLM
from .amazon_slices import ELECTRONICS, MUSIC, Slice, load_slices
from .cell import Cell
from .metric import Metric
from .rows import Rows
from .study import Grid, Method, PaperFigure, Protocol, Study

FloatArray = npt.NDArray[np.float64]

# A crowd as large as the paper's products have reviewers.
N_VIRTUAL = 20
WITH_LLM = frozenset(
    {"crowdllm", "crowdllm_reads_llm", "crowdllm_own_text", "crowdllm_no_profile", "calibration_table"}
)

METRICS = (
    Metric(
        "height_distance",
        "WD of heights",
        "distance between the five heights of the two histograms as if they were a sample, sum_k |p_(k) - q_(k)| / 5 "
        "with both sorted: what the WD of the paper's Tables 3 and 4 can be, blind to which stars they are",
    ),
    Metric("llm_read", "LLM read", "share of splits whose training products spoke for reading the LLM", None),
    Metric(SHARE, "share", "foretold share of one star of one product, named in the column aggregator", None),
    Metric(PEOPLE, "people's share", "share that the people gave", None),
)
PROTOCOLS = (
    Protocol(
        MUSIC,
        "musical instruments, told by half of their reviewers",
        "A fifth of 317 products without titles is held out. Half of a product's reviewers tell what it is, in words; "
        "gold are the stars of the other half.",
    ),
    Protocol(
        ELECTRONICS,
        "electronics, told by their titles",
        "Each of 24 products is left out in turn; gold are the stars of all its reviewers.",
        held_out=0.0,
        same_units=True,
    ),
)
METHODS = (
    Method("crowdllm", "crowdpyro", "crowd"),
    Method("crowdllm_reads_llm", "the same, the LLM read even at chance", "variant"),
    Method("vae_without_llm", "VAE without the LLM, else the same", "yardstick", references=False),
    Method("crowdllm_own_text", "the same, people known by the very review", "variant"),
    Method("crowdllm_no_profile", "the same, nobody known", "variant"),
    Method("vae", "VAE: the paper's Eq. 4, no LLM", "yardstick", references=False),
    Method("calibration_table", "P(y | the LLM's stars)", "yardstick"),
    Method("ridge_on_text", "ridge regression on the text", "yardstick", references=False),
    Method("writers_shrunk", "stars of those who write, shrunk", "yardstick", references=False, protocols=(MUSIC,)),
    Method("writers_histogram", "stars of those who write", "yardstick", references=False, protocols=(MUSIC,)),
    Method("training_marginal", "training marginal", "yardstick", references=False),
    Method("constant_mode", "most frequent answer", "yardstick", references=False),
    Method("uniform", "random", "yardstick", references=False),
    Method("llm_multi_persona", "LLM, four reviewers", "llm"),
    Method("llm_zero_shot", "LLM, zero-shot", "llm"),
    Method("llm_self_consistency", "LLM, self-consistency", "llm"),
)
_PRINTED = ("uniform", "llm_zero_shot", "llm_multi_persona", "llm_self_consistency", "vae", "crowdllm")
_PRINTED_COLUMNS = (
    f"mae:mean@{N_VIRTUAL}",
    f"rmse:mean@{N_VIRTUAL}",
    f"cosine_similarity@{N_VIRTUAL}",
    f"height_distance@{N_VIRTUAL}",
)
_TABLES = {
    ("Table 3", ELECTRONICS, "All Beauty 2023"): (
        (1.19, 1.30, 0.59, 0.14),
        (1.04, 1.19, 0.13, 0.15),
        (0.87, 0.97, 0.24, 0.09),
        (1.03, 1.16, 0.13, 0.14),
        (0.88, 1.02, 0.28, 0.06),
        (0.21, 0.26, 0.93, 0.04),
    ),
    ("Table 4", MUSIC, "Musical Instruments 2023"): (
        (1.28, 1.39, 0.58, 0.15),
        (0.52, 0.65, 0.27, 0.16),
        (0.47, 0.58, 0.37, 0.14),
        (0.46, 0.57, 0.29, 0.16),
        (0.47, 0.61, 0.63, 0.07),
        (0.22, 0.27, 0.92, 0.05),
    ),
}
PAPER = tuple(
    PaperFigure(where, protocol, method, column, value, f"paper, Gemma 3-12B, another slice: {slice_name}")
    for (where, protocol, slice_name), rows in _TABLES.items()
    for method, row in zip(_PRINTED, rows, strict=True)
    for column, value in zip(_PRINTED_COLUMNS, row, strict=True)
)


def evaluate(cell: Cell, data: dict[str, Slice]) -> pd.DataFrame:
    """Rows of one cell: the exact predictive distribution, and a crowd of 20 fresh people a product."""
    trials = data[cell.protocol].trials(cell.seed)
    shares = np.concatenate([predict(cell.method, trial) for trial in trials])
    truth = np.concatenate([trial.test.counts() for trial in trials])
    products = [str(product) for trial in trials for product in trial.asked["product"]]
    rows = Rows()
    drawn = generator(cell.seed).multinomial(N_VIRTUAL, shares / shares.sum(axis=1, keepdims=True)) / N_VIRTUAL
    for predicted, n_virtual in ((shares, 0), (drawn, N_VIRTUAL)):
        rows.add_shares(predicted, truth, STARS, products, n_virtual=n_virtual, seed=cell.seed, aggregators=("mean",))
        distance = height_distance(predicted, truth / truth.sum(axis=1, keepdims=True))
        rows.add_units("height_distance", distance, products, n_virtual=n_virtual)
    if cell.method == "crowdllm":
        rows.add("llm_read", float(np.mean([llm_tells(trial) for trial in trials])))
    if cell.seed == SHOWN_SEED:
        add_histograms(rows, shares, truth, products)
    rows.add("llm_calls", llm_calls(cell.method, data[cell.protocol], len(products)))
    return rows.frame()


def height_distance(p: FloatArray, q: FloatArray) -> FloatArray:
    """sum_k |p_(k) - q_(k)| / K of histograms `(n_problems, K)`, heights sorted: shape `(n_problems,)`."""
    return np.asarray(np.abs(np.sort(p, axis=1) - np.sort(q, axis=1)).mean(axis=1))


def llm_calls(method: str, where: Slice, n_tested: int) -> int:
    """Prompts whose answers a cell reads, those of training among them."""
    if method in WITH_LLM:
        kept = len(where.problems.problems)
        # Of products that are tested, the other direction is never asked.
        return kept if where.leave_one_out else kept - n_tested
    return {"llm_zero_shot": 1, "llm_self_consistency": 1, "llm_multi_persona": len(where.personas)}.get(method, 0) * (
        n_tested
    )


def load(folder: Path | None) -> dict[str, Slice]:
    """Both stand-ins from the data folder."""
    return load_slices(folder)


STUDY = Study(
    name="amazon",
    title="The stars of products that nobody has rated",
    meaning="From what is said of a product, the distribution of the stars that people give it. People are known by "
    "what they wrote of other products; new ones are drawn by the learned profile generator.",
    protocols=PROTOCOLS,
    methods=METHODS,
    metrics=METRICS,
    columns=("wasserstein1", "mae:mean", "cosine_similarity", "log_loss", *_PRINTED_COLUMNS, "llm_calls", "seconds"),
    load=load,
    evaluate=evaluate,
    references=(LLM,),
    paper=PAPER,
    seeds=tuple(range(20)),
    quick=Grid(protocols=(MUSIC,), seeds=(0, 1)),
    files=(f"amazon/{MUSIC}.csv.gz", f"amazon/{ELECTRONICS}.csv.gz"),
    held_out=0.2,
    calibration=("bias", "surprise"),
    figures=figures,
)
