"""What the paper prints in its Tables 1 and 2 (LLM backbone: Gemma 3-12B), as columns of our tables.

It says neither the protocol nor the number of virtual participants of these tables. Its Random row is that of `all` at
8 uniform draws a problem; elsewhere it speaks of 20 virtual workers (its section 5.5). The figures stand beside ours of
`all` at 20, where a crowd's sampling noise is least.
"""

from __future__ import annotations

from .study import PaperFigure

# Rows of crowds of this size are kept problem by problem.
PAPER_SIZE = 20
# MAE by mean, median, majority vote, Dawid-Skene, GLAD; RMSE likewise; CS; average W1.
_COLUMNS = (
    *(
        f"{metric}:{aggregator}@{PAPER_SIZE}"
        for metric in ("mae", "rmse")
        for aggregator in ("mean", "median", "majority", "dawid_skene", "glad")
    ),
    f"cosine_similarity@{PAPER_SIZE}",
    f"wasserstein1@{PAPER_SIZE}",
)
_TABLES = {
    "Table 1": {
        "uniform": (1.27, 1.61, 1.57, 1.73, 1.89, 1.44, 1.86, 2.05, 2.17, 2.31, 0.56, 1.31),
        "llm_zero_shot": (0.86, 1.03, 1.23, 1.06, 1.23, 1.08, 1.32, 1.53, 1.38, 1.52, 0.39, 1.13),
        "llm_multi_persona": (0.65, 0.64, 0.67, 0.69, 0.68, 0.86, 1.00, 1.16, 1.15, 1.16, 0.69, 0.78),
        "llm_self_consistency": (0.99, 1.26, 1.48, 1.22, 1.49, 1.16, 1.48, 1.68, 1.52, 1.69, 0.34, 1.24),
        "vae_without_llm": (0.71, 0.81, 0.60, 0.96, 0.92, 0.94, 1.15, 1.24, 1.37, 1.54, 0.76, 0.79),
        "crowdllm": (0.45, 0.48, 0.43, 1.00, 0.53, 0.59, 0.82, 1.10, 1.53, 1.23, 0.85, 0.51),
    },
    "Table 2": {
        "uniform": (1.21, 1.41, 1.52, 1.98, 1.81, 1.43, 1.73, 2.02, 2.38, 2.26, 0.49, 1.29),
        "llm_zero_shot": (0.71, 0.81, 1.04, 1.02, 1.05, 0.90, 1.04, 1.24, 1.28, 1.26, 0.33, 1.06),
        "llm_multi_persona": (0.73, 0.82, 1.00, 1.06, 1.02, 1.02, 1.16, 1.38, 1.46, 1.41, 0.48, 0.93),
        "llm_self_consistency": (0.68, 0.79, 1.02, 0.98, 1.03, 0.87, 1.02, 1.22, 1.23, 1.25, 0.36, 1.01),
        "vae_without_llm": (0.76, 0.90, 0.71, 1.41, 1.11, 0.98, 1.20, 1.14, 1.85, 1.53, 0.68, 0.88),
        "crowdllm": (0.65, 0.74, 0.63, 1.49, 0.89, 0.83, 1.06, 1.18, 2.08, 1.43, 0.71, 0.74),
    },
}


def printed(table: str) -> tuple[PaperFigure, ...]:
    """Every number of one of the two tables."""
    return tuple(
        PaperFigure(table, "all", method, column, value)
        for method, row in _TABLES[table].items()
        for column, value in zip(_COLUMNS, row, strict=True)
    )
