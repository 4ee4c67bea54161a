"""How much human data the crowd of study I's second part needs, and how many virtual workers."""

from __future__ import annotations

from .crowdsourcing_backbones import EMBEDDED
from .crowdsourcing_efficiency import study
from .qa_difficulty import FILES, load

STUDY = study(
    "qa_difficulty_efficiency", "How many workers, problems and ratings (QA difficulty)", load, EMBEDDED, FILES
)
