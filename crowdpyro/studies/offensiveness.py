"""Study I: how offensive people find a comment (POPQUORN), with recorded answers of nine LLMs (the paper's Table 1).

The protocols, methods and metrics are those of `crowdsourcing`; `run` is a short form of it on exact distributions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..config import CrowdConfig
from ..datasets import load_offensiveness
from ..errors import DataError
from . import crowdsourcing
from .crowdsourcing_backbones import EMBEDDED, PANEL, Material, choose
from .crowdsourcing_figures import figures, tables
from .crowdsourcing_methods import METHODS, defined, fitted_crowd, predict
from .crowdsourcing_printed import printed
from .crowdsourcing_protocols import PROTOCOLS as NAMES
from .scoring import Results, ordinal, write_results
from .search import CHOSEN
from .study import Grid, Study

__all__ = ["LLMS", "STUDY", "choose", "load", "run", "variants_of"]

LLMS = (
    "gpt4",
    "gpt35",
    "llama31_8b",
    "qwen25_7b",
    "mistral03_7b",
    "flant5_xxl",
    "flan_ul2",
    "tulu2_7b",
    "tulu2_13b",
)
QUESTION = "How offensive do you find this comment, from 1 (not offensive at all) to 5 (very offensive)?"
FILES = ("popquorn/offensiveness_raw_data.csv.gz", "popquorn/offensiveness_llm_answers.csv.gz")


def load(folder: Path | None) -> Material:
    """Comments, raters, and what LLMs rated."""
    people, recorded = load_offensiveness(folder)
    # The strongest of the recorded LLMs: its calibration table stands beside every panel.
    return Material("offensiveness", people, recorded, QUESTION, table_llm="gpt4")


STUDY = Study(
    name="offensiveness",
    title="Offensiveness of comments (POPQUORN)",
    meaning=(
        "1,500 comments, each rated by 5 to 10 of 262 people from 1 to 5 (Pei and Jurgens 2023), and recorded ratings "
        "of nine LLMs as references. 58 % of the ratings are 1. The model's settings were chosen on a validation part "
        "of seed 0's training comments, of which other seeds test some."
    ),
    protocols=crowdsourcing.PROTOCOLS,
    methods=crowdsourcing.METHODS,
    references=(*LLMS, EMBEDDED, PANEL),
    panel=PANEL,
    columns=crowdsourcing.COLUMNS,
    metrics=crowdsourcing.METRICS,
    calibration=("bias", "surprise"),
    paper=printed("Table 1"),
    load=load,
    evaluate=crowdsourcing.evaluate,
    quick=Grid(protocols=("problem", "all"), references=("gpt4", PANEL), seeds=(0, 1)),
    files=FILES,
    revision=2,
    held_out=0.2,
    figures=figures,
    tables=tables,
)


def run(
    references: str = "gpt4",
    split: str = "problem",
    seeds: int = 10,
    out: Path | None = None,
    data: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
    *,
    guide: str = "vae",
    objective: str = "predictive",
) -> pd.DataFrame:
    """Every method's exact distribution under one protocol, with one LLM.

    Parameters
    ----------
    references
        Name of one recorded LLM, or `panel` for all of them side by side.
    split
        The protocol: `problem`, `participant` or `all`.
    seeds
        Splits with seeds 0 to seeds - 1.
    out
        Folder for `results.csv`; None writes nothing.
    data
        Folder that holds `popquorn/`; `$CROWDPYRO_DATA` when None.
    report
        Told what is being done.
    guide, objective
        Of one more row, `crowdllm_OBJECTIVE_GUIDE`, beside the chosen model's.

    Returns
    -------
    DataFrame
        Long form, columns of `scoring.COLUMNS`.
    """
    if seeds < 1:
        raise DataError(f"seeds={seeds}: give at least one split.")
    if split not in NAMES:
        raise DataError(f"split={split!r}: give {', '.join(map(repr, NAMES))}.")
    models = variants_of(guide, objective)
    material = load(data)
    backbone = material.backbone(references)
    frames = []
    for seed in range(seeds):
        report(f"split {seed + 1} of {seeds}")
        trial, gold = material.trial(split, seed)
        results, scale = Results(STUDY.name, split, references, seed), ordinal(trial.train.scale)
        for method, config in models.items():
            results.add_shares(method, fitted_crowd(config, trial, backbone).shares, gold.counts, scale)
        for method in (name for name in METHODS if name not in models and defined(name, split)):
            results.add_shares(method, predict(method, trial, backbone).shares, gold.counts, scale)
        frames.append(results.frame())
        if out is not None:
            write_results(pd.concat(frames), out / "results.csv")
    return pd.concat(frames, ignore_index=True)


def variants_of(guide: str, objective: str) -> dict[str, CrowdConfig]:
    """Rows of fitted models: the chosen one, and one more when another guide or objective is asked for.

    With `paper`, everything but the guide is the paper's own: no persistent participants, no second stage.
    """
    if objective not in ("predictive", "paper"):
        raise DataError(f"objective={objective!r}: give 'predictive' or 'paper'.")
    if (guide, objective) == ("vae", "predictive"):
        return {"crowdllm": CHOSEN}
    base = CrowdConfig.paper() if objective == "paper" else CHOSEN
    return {"crowdllm": CHOSEN, f"crowdllm_{objective}_{guide}": replace(base, guide=guide)}  # type: ignore[arg-type]
