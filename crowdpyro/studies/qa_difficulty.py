"""Study I, second part: how difficult it is to find an answer in a text (POPQUORN; the paper's Table 2).

The data are read from the file that POPQUORN publishes (`datasets.load_qa_difficulty`). No LLM's ratings of it were
recorded: references are those of the embedded LLM, computed once.
"""

from __future__ import annotations

from pathlib import Path

from ..datasets import load_qa_difficulty
from . import crowdsourcing
from .crowdsourcing_backbones import EMBEDDED, Material
from .crowdsourcing_figures import figures, tables
from .crowdsourcing_printed import printed
from .study import Grid, Study

QUESTION = "How difficult is it to find this answer in the text, from 1 (very easy) to 5 (very difficult)?"

FILES = ("popquorn/question_answering/raw_data.csv", "popquorn/question_answering/raw_data.csv.gz")


def load(folder: Path | None) -> Material:
    """Questions about texts, and the people who answered them."""
    return Material("qa_difficulty", load_qa_difficulty(folder), None, QUESTION)


STUDY = Study(
    name="qa_difficulty",
    title="Difficulty of questions about texts (POPQUORN)",
    meaning=(
        "Texts with a question and its answer, each rated by several people from 1 to 5 for how difficult the answer "
        "was to find (Pei and Jurgens 2023). References are a small LLM's own ratings."
    ),
    protocols=crowdsourcing.PROTOCOLS,
    methods=crowdsourcing.METHODS,
    references=(EMBEDDED,),
    columns=crowdsourcing.COLUMNS,
    metrics=crowdsourcing.METRICS,
    calibration=("bias", "surprise"),
    paper=printed("Table 2"),
    load=load,
    evaluate=crowdsourcing.evaluate,
    quick=Grid(protocols=("problem", "all"), seeds=(0, 1)),
    files=FILES,
    revision=2,
    held_out=0.2,
    figures=figures,
    tables=tables,
)
