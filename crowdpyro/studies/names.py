"""Studies by name, with the line that the command line shows; a module of the same name holds each as `STUDY`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    from .study import Study

STUDIES: dict[str, str] = {
    "offensiveness": "POPQUORN offensiveness ratings, with recorded answers of nine LLMs (Table 1 of the paper)",
    "offensiveness_efficiency": "how much human data, how many virtual workers (Figures 4, 5, 12 to 23 of the paper)",
    "offensiveness_workers": "how many LLM workers meet people's mean rating (Figures 24 and 25 of the paper)",
    "qa_difficulty": "POPQUORN ratings of how difficult a question is, with the embedded LLM (Table 2 of the paper)",
    "qa_difficulty_efficiency": "the same of QA difficulty: how much human data, how many virtual workers",
    "qa_difficulty_workers": "how many LLM workers meet people's mean rating of QA difficulty (Figure 26 of the paper)",
    "simulation": "what a training sample must be like, on a population that is known (Figure 9 of the paper)",
    "pipeline_calibration": "whether intervals, ranks and checks say what is so, on worlds that are known",
    "amazon": "stars of products that nobody has rated, from what is said of them",
    "zurich_voting": "votes on projects in Zurich, of voters and of projects that nobody has seen",
}


def find(name: str) -> Study:
    """A study by name.

    Returns
    -------
    Study
        Of the module of that name.

    Raises
    ------
    DataError
        When there is none.
    """
    if name not in STUDIES:
        from ..tables import close_match  # pandas: the command line reads this module for its help

        close = close_match(name, STUDIES)
        hint = f" Did you mean {close!r}?" if close else ""
        raise DataError(f"study {name!r} is not one of {', '.join(STUDIES)}.{hint}")
    study: Study = import_module(f".{name}", __package__).STUDY
    return study
