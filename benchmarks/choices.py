"""Hyper-parameters of the studies, chosen on validation splits of training data and on nothing else.

One setting at a time is moved from the defaults, and fitted to inner parts of the training part of seed 0's split of
the comments of POPQUORN (in `$CROWDPYRO_DATA`), with GPT-4 and with nine LLMs as references, and scored on the other
inner parts. A run goes on from its CSV file; the table beside this script is what it printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from crowdpyro.studies.offensiveness import choose, load
from crowdpyro.studies.search import ranking, search

TABLE = Path(__file__).with_name("choices.md")


def table(scores: pd.DataFrame) -> str:
    """Settings, best first, as Markdown."""
    rows = ["| setting | log loss | W1 | MAE | log loss less the best's (standard error) |", "|---|---|---|---|---|"]
    for name, row in ranking(scores).iterrows():
        worse = "" if row["worse_by"] == 0 else f"{row['worse_by']:.4f} ({row['se']:.4f})"
        rows.append(f"| {name} | {row['log_loss']:.4f} | {row['wasserstein1']:.4f} | {row['mae']:.4f} | {worse} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Search, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, default=Path("choices.csv"), help="file to go on from")
    options = parser.parse_args()
    material = load(None)
    references = {name: choose(material.recorded, name) for name in ("gpt4", "panel")}
    scores = search(
        material.people,
        references,
        "problem",
        path=options.scores,
        report=lambda text: sys.stderr.write(f"{text}\n"),
    )
    TABLE.write_text(f"# Settings of the studies\n\nSee `choices.py`.\n\n{table(scores)}", encoding="utf-8")


if __name__ == "__main__":
    main()
