"""A study whose truth is known, as a module that a worker process or another interpreter can import."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from crowdpyro import DataError
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.rows import Rows
from crowdpyro.studies.study import Grid, Method, PaperFigure, Protocol, Study

N_PROBLEMS, N_TEST = 60, 30
ERRORS = {"crowd": 0.3, "table": 0.5, "marginal": 0.9, "alone": 1.3, "others": 0.1}


def load(folder: Path | None) -> np.ndarray:
    """Truths of all problems."""
    if folder is not None and not folder.is_dir():
        raise DataError(f"folder {folder} does not exist.")
    return np.random.default_rng(0).normal(size=N_PROBLEMS)


def evaluate(cell: Cell, data: np.ndarray) -> pd.DataFrame:
    """Estimates that are off by normal errors of the method's size; told by the environment to dawdle, raise or die."""
    place = f"{cell.method}-{cell.seed}"
    if folder := os.environ.get("SIMULATED_PIDS"):
        Path(folder, str(os.getpid())).touch()
    time.sleep(float(os.environ.get("SIMULATED_SLEEP", "0")))
    if place == os.environ.get("SIMULATED_RAISES"):
        raise ValueError("no <answer> came")
    if place == os.environ.get("SIMULATED_DIES"):
        os._exit(9)
    units = np.random.default_rng(cell.seed).choice(N_PROBLEMS, N_TEST, replace=False)
    rng = np.random.default_rng([cell.seed, *f"{cell.method}{cell.references}".encode()])
    error = ERRORS[cell.method] * rng.normal(size=N_TEST)
    rows = Rows()
    rows.add_units("mae", np.abs(error), units, "mean")
    rows.add_units("rmse", np.square(error), units, "mean")
    rows.add_units("bias", error, units)
    rows.add("cosine_similarity", 1 / (1 + ERRORS[cell.method] + rng.random() / 100))
    rows.add("llm_calls", N_TEST * (cell.method in ("crowd", "alone")))
    rows.add("seconds", 1.0)
    return rows.frame()


STUDY = Study(
    name="simulated",
    title="Simulated answers",
    meaning="Nothing here is of people.",
    protocols=(
        Protocol("problem", "Unseen problems", "Half of 60."),
        Protocol("curve", "A point of a curve", table=False),
    ),
    methods=(
        Method("crowd", "crowd", "crowd"),
        Method("table", "table of counts", "yardstick"),
        Method("marginal", "training marginal", "yardstick", references=False),
        Method("alone", "LLM alone", "llm", protocols=("problem",)),
        Method("others", "other people", "ceiling", references=False, protocols=("problem",)),
    ),
    columns=("mae:mean", "rmse:mean", "cosine_similarity"),
    load=load,
    evaluate=evaluate,
    references=("gpt4", "llama"),
    seeds=(0, 1, 2, 3),
    quick=Grid(protocols=("problem",), references=("gpt4",), seeds=(0,)),
    held_out=0.5,
    calibration=("bias",),
    paper=(
        PaperFigure("Table 1", "problem", "crowd", "mae:mean", 0.45),
        PaperFigure("Table 1", "problem", "another", "mae:mean", 0.99),
    ),
)
