"""The crowdsourcing studies (the paper's case study I): one cell of their grid, and what is declared of all of them.

A cell is one method on one split: its exact predictive distribution, and crowds of 8 and 20 virtual participants and of
as many as there were people, with five aggregators, against the people's answers aggregated likewise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crowd import Crowd
from ..data import CrowdData
from ..individuation import report as individuation_report
from ..theory.report import WinReport, win_report
from .cell import Cell
from .crowdsourcing_backbones import EMBEDDED, Material
from .crowdsourcing_methods import ONLY_UNDER, Prediction, predict, tokens_of
from .crowdsourcing_metrics import AS_PEOPLE, EXACT, FLOORS, Gold, add_drawn, add_exact
from .crowdsourcing_printed import PAPER_SIZE
from .metric import Metric
from .rows import Rows
from .study import Method, Protocol

FloatArray = npt.NDArray[np.float64]

CROWD_SIZES = (8, 20)

THEORY = (
    Metric("risk_gap", "L - L'", "squared error of the crowd's mean less that of the LLM, both against people", True),
    Metric("risk_gap_low", "L - L' low", "lower end of its 95 % interval over problems", None),
    Metric("risk_gap_high", "L - L' high", "upper end of its 95 % interval over problems", None),
    Metric("won", "won", "share of problems where the exact win condition says that the crowd wins", None),
    Metric("lost", "lost", "share of problems where the exact win condition says that the LLM wins", None),
    Metric("printed_promised", "promised", "share of problems that Theorem 4.4 as printed promises to the crowd", None),
    Metric("printed_lost", "promised, lost", "share of problems promised to the crowd that look lost", None),
    Metric("kappa", "kappa", "conformal bound of the LLM's distance to people on a new problem, at .9", None),
    Metric("human_noise", "people's noise", "variance of the people's mean, in both risks", None),
    Metric("mean_error", "crowd's error", "squared error of the crowd's mean, people's noise taken off", None),
    Metric("sampling", "crowd's noise", "variance of the mean of a crowd as large as the people's", None),
    Metric("llm_error", "LLM's error", "squared error of the LLM, people's noise taken off", None),
)
INDIVIDUATION = tuple(
    Metric(f"{name}_{side}", f"{title}, {side}", f"{meaning}, {side}", None)
    for name, title, meaning in (
        ("people_sd", "sd of means", "standard deviation of people's mean answers"),
        ("people_within", "var within", "variance of a person's answers about their mean"),
        ("people_grouping", "grouping", "variance between over within the groups of a trait"),
    )
    for side in ("humans", "crowd")
)
METRICS = (*FLOORS, *THEORY, *INDIVIDUATION)

PROTOCOLS = (
    Protocol(
        "problem",
        "new problems",
        "A fifth of the problems are kept from training; gold are all people's answers to them.",
    ),
    Protocol(
        "all",
        "all answers",
        "A fifth of the people are kept from training; gold are all answers, those of training included. This is what "
        "the paper's printed Random row matches. A method may remember what it saw; histograms do.",
        same_units=True,
    ),
    Protocol(
        "participant",
        "new people",
        "A fifth of the people are kept from training; gold are their answers alone, one or two a problem: the paper's "
        "text. The log loss decides: with so few answers a distance of histograms is least for one certain answer.",
        first="log_loss",
        same_units=True,
    ),
)
_DECLARED = (
    Method("crowdllm", "crowdpyro", "crowd"),
    Method("crowdllm_paper", "the paper's Eq. 4", "variant"),
    Method("vae_without_llm", "the same without the LLM", "variant", references=False),
    Method("calibration_table", "P(y | the LLM's rating)", "yardstick"),
    Method("ridge_calibration", "ridge regression on the references", "yardstick"),
    Method("mrp", "multilevel regression and poststratification", "yardstick"),
    Method("independent_histograms", "histogram of each problem", "yardstick", references=False),
    Method("resampled_people", "people resampled", "yardstick", references=False),
    Method("demographic_regression", "regression on demographics", "yardstick", references=False),
    Method("training_marginal", "training marginal", "yardstick", references=False),
    Method("constant_mode", "most frequent answer", "yardstick", references=False),
    Method("uniform", "random", "yardstick", references=False),
    # The embedded LLM is asked without personas.
    Method("llm_multi_persona", "LLM, personas", "llm", not_of=(EMBEDDED,)),
    Method("llm_zero_shot", "LLM, zero-shot", "llm"),
    Method("llm_self_consistency", "LLM, self-consistency", "llm"),
    Method("second_humans", "a second sample of people", "ceiling", references=False),
)
METHODS = tuple(replace(method, protocols=ONLY_UNDER.get(method.name, ())) for method in _DECLARED)
COLUMNS = (
    "wasserstein1",
    "mae:mean",
    "cosine_similarity",
    "log_loss",
    "bias",
    f"mae:mean@{PAPER_SIZE}",
    f"rmse:mean@{PAPER_SIZE}",
    f"cosine_similarity@{PAPER_SIZE}",
    f"wasserstein1@{PAPER_SIZE}",
    f"mae:median@{PAPER_SIZE}",
    f"mae:majority@{PAPER_SIZE}",
    f"mae:dawid_skene@{PAPER_SIZE}",
    f"mae:glad@{PAPER_SIZE}",
    "llm_calls",
    "seconds",
)


def evaluate(cell: Cell, data: Material) -> pd.DataFrame:
    """Rows of one cell."""
    trial, gold = data.trial(cell.protocol, cell.seed)
    backbone = data.backbone(cell.references) if cell.references else None
    found = predict(cell.method, trial, backbone)
    rows = Rows()
    add_exact(rows, found.shares, gold)
    for n in CROWD_SIZES:
        add_drawn(rows, found.draw(n, cell.seed), gold, n, units=n == PAPER_SIZE)
    add_drawn(rows, as_people(found, gold, cell.seed), gold, AS_PEOPLE)
    for n in (EXACT, *CROWD_SIZES):
        # The exact distribution of an LLM alone is told by one answer a problem.
        calls = found.calls(max(n, 1))
        rows.add("llm_calls", calls, n_virtual=n)
        rows.add("llm_tokens", tokens_of(trial, calls), n_virtual=n)
    rows.add("seconds", found.seconds)
    if found.model is not None and cell.method == "crowdllm" and not trial.seen and backbone is not None:
        references = backbone.references.select(trial.gold.problems.index)
        add_theory(rows, win_report(found.model, trial.gold, references, seed=cell.seed))
        twins = found.model.generate(
            trial.gold.participants, trial.gold.problems, references, participation=1.0, seed=cell.seed
        )
        add_individuation(rows, twins.codes(), trial.gold, cell.seed)
    return rows.frame()


def as_people(found: Prediction, gold: Gold, seed: int) -> FloatArray:
    """As many virtual answers to each problem as people gave, `(largest number, n_problems)`, NaN after the last."""
    n = gold.counts.sum(axis=1)
    codes = found.draw(int(n.max()), seed + 1)
    return np.where(np.arange(len(codes))[:, None] < n, codes, np.nan)


def add_theory(rows: Rows, report: WinReport) -> None:
    """Whether the crowd beats the LLM on these problems, and what both risks are made of."""
    test, (promised, lost) = report.gap_test, report.printed_lost
    n = len(report.problems)
    found = {
        "risk_gap": test.mean,
        "risk_gap_low": test.low,
        "risk_gap_high": test.high,
        "won": float((report.verdicts == "crowd").mean()),
        "lost": float((report.verdicts == "LLM").mean()),
        "printed_promised": promised / n,
        "printed_lost": lost / n,
        "kappa": report.kappa,
        "human_noise": report.human_noise,
        "mean_error": report.mean_error,
        "sampling": report.sampling,
        "llm_error": report.llm_error,
    }
    for metric, value in found.items():
        rows.add(metric, value)


def add_individuation(rows: Rows, codes: FloatArray, people: CrowdData, seed: int) -> None:
    """Whether twins of these people, `(n_participants, n_problems)`, differ as they do; asked what each was asked."""
    kept = np.flatnonzero(people.answered().any(axis=1))
    people = people.select(participants=people.participants.index[kept])
    answers = np.where(people.answered(), codes[kept], np.nan)
    twins = Crowd.from_matrix(answers, scale=people.scale, problems=people.problems, participants=people.participants)
    found = individuation_report(twins, people, seed=seed)
    named = {"sd of people's means": "people_sd", "variance within people": "people_within"}
    for side in ("humans", "crowd"):
        for quantity, metric in named.items():
            rows.add(f"{metric}_{side}", float(found.summary[side][quantity]))
        for trait, value in found.grouping[side].dropna().items():
            rows.add(f"people_grouping_{side}", float(value), str(trait))
