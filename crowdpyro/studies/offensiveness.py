"""Study I: how offensive people find a comment (POPQUORN), with recorded answers of nine LLMs.

Protocols: `problem` holds out 20 % of the comments; `participant` holds out 20 % of the raters, whose answers (about
1.7 a comment) are the gold. All predictions are expected distributions, an infinite crowd, not samples of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from .. import baselines
from ..config import CrowdConfig
from ..data import CrowdData
from ..datasets import load_offensiveness
from ..errors import DataError
from ..estimator import CrowdLLM
from ..mrp import MRP
from ..references import References
from .scoring import YARDSTICK, Results, ordinal, write_results

Split = Literal["problem", "participant"]

STUDY = "offensiveness"
PANEL = "panel"
# The strongest single LLM among the recorded ones: its calibration table stands beside every panel.
TABLE_LLM = "gpt4"


def run(
    references: str = "gpt4",
    split: Split = "problem",
    seeds: int = 10,
    out: Path | None = None,
    data: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
    *,
    guide: str = "vae",
    objective: str = "predictive",
) -> pd.DataFrame:
    """Run the study.

    Parameters
    ----------
    references
        Name of one recorded LLM, or `panel` for all of them side by side.
    split
        What is held out.
    seeds
        Splits with seeds 0 to seeds - 1.
    out
        Folder for `results.csv`; None writes nothing.
    data
        Folder that holds `popquorn/`; `$CROWDPYRO_DATA` when None.
    report
        Told what is being done.
    guide, objective
        Of one more row, `crowdllm_OBJECTIVE_GUIDE`, beside the default's.

    Returns
    -------
    DataFrame
        Long form, columns of `scoring.COLUMNS`.
    """
    if seeds < 1:
        raise DataError(f"seeds={seeds}: give at least one split.")
    if split not in ("problem", "participant"):
        raise DataError(f"split={split!r}: give 'problem' or 'participant'.")
    people, every = load_offensiveness(data)
    chosen = choose(every, references)
    variants = variants_of(guide, objective)
    frames = []
    for seed in range(seeds):
        report(f"split {seed + 1} of {seeds}")
        train, test = people.split(split, 0.2, seed)
        results = Results(STUDY, split, references, seed)
        _measure(results, train, test, chosen, every, seed, variants)
        frames.append(results.frame())
        if out is not None:
            write_results(pd.concat(frames), out / "results.csv")
    return pd.concat(frames, ignore_index=True)


def choose(every: References, name: str) -> References:
    """References of one LLM, its gaps filled by its own mean, or of the panel, filled by the other LLMs."""
    if name == PANEL:
        return every.fill("panel")
    return replace(every, sources=(every.source(name),)).fill("mean")


def variants_of(guide: str, objective: str) -> dict[str, CrowdConfig]:
    """Rows of fitted models: the default, and one more when another guide or objective is asked for.

    With `paper`, everything but the guide is the paper's own: no persistent participants, no second stage.
    """
    if objective not in ("predictive", "paper"):
        raise DataError(f"objective={objective!r}: give 'predictive' or 'paper'.")
    variants = {"crowdllm": CrowdConfig()}
    if (guide, objective) != ("vae", "predictive"):
        base = CrowdConfig.paper() if objective == "paper" else CrowdConfig()
        variants[f"crowdllm_{objective}_{guide}"] = replace(base, guide=guide)  # type: ignore[arg-type]
    return variants


def _measure(
    results: Results,
    train: CrowdData,
    test: CrowdData,
    chosen: References,
    every: References,
    seed: int,
    variants: dict[str, CrowdConfig],
) -> None:
    """Every method on one split."""
    split, scale = results.split, ordinal(train.scale)
    holdout: Split = "problem" if split == "problem" else "participant"
    trained, asked = chosen.select(train.problems.index), chosen.select(test.problems.index)
    truth, counts = test.counts(), train.counts()
    n = test.n_problems

    def add(method: str, shares: np.ndarray) -> None:
        results.add_shares(method, shares, truth, scale)

    without = replace(CrowdConfig(), use_reference=False)
    for method, config in (*variants.items(), ("vae_without_llm", without)):
        model = CrowdLLM(config, holdout=holdout, progress=False).fit(train, trained, seed=seed)
        add(method, model.shares(test.problems, asked, participants=2048, seed=seed))
    mrp = MRP(**YARDSTICK).fit(train, trained, seed=seed)
    add("mrp", mrp.estimate(problems=test.problems.index, references=asked, seed=seed).shares())
    table = every.select(train.problems.index), every.select(test.problems.index)
    name = TABLE_LLM if results.references == PANEL else results.references
    levels = [baselines.reference_level(each.probabilities(name)) for each in table]
    add("calibration_table", baselines.calibration_table(levels[0], counts, levels[1]))
    if split == "participant":
        add("independent_histograms", baselines.independent_histograms(counts))
        resampled = baselines.resample_people(train.matrix(), 10 * train.n_participants, seed)
        drawn = np.stack([(resampled == level).sum(axis=0) for level in range(scale.n_levels)], axis=1)
        add("resampled_people", baselines.independent_histograms(drawn))
    add("training_marginal", baselines.training_marginal(counts, n))
    zero_shot = np.mean([asked.probabilities(each) for each in asked.names], axis=0)
    add("llm_zero_shot", zero_shot)
    add("llm_multi_persona", np.mean([_personas(asked, each) for each in asked.names], axis=0))
    add(
        "llm_self_consistency",
        baselines.self_consistency(zero_shot, seed=seed),
    )
    add("constant_mode", baselines.constant_mode(counts, n))
    add("uniform", baselines.uniform(n, scale.n_levels))


def _personas(references: References, name: str) -> np.ndarray:
    """Mean over an LLM's personas; its zero-shot answer where every persona refused."""
    personas = references.probabilities(name, "mean")
    return np.where(np.isnan(personas), references.probabilities(name), personas)
