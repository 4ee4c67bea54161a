"""How many LLM workers meet people's mean rating of study I's second part, drawn from the embedded LLM."""

from __future__ import annotations

from .crowdsourcing_backbones import EMBEDDED
from .crowdsourcing_workers import study
from .qa_difficulty import FILES, load

STUDY = study("qa_difficulty_workers", "How many LLM workers (QA difficulty)", load, EMBEDDED, FILES)
