"""Pictures and tables of the report on case study III."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from .study import Pictures, Tables

_STAGES = ("stage_fixed_belief", "stage_fixed_decision", "crowdllm")


def figures(frame: pd.DataFrame) -> Pictures:
    """Zero."""
    return []


def tables(frame: pd.DataFrame) -> Tables:
    """Zero."""
    return []
