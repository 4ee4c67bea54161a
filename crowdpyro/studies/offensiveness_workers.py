"""How many LLM workers meet people's mean rating of study I, with GPT-4 and its personas."""

from __future__ import annotations

from .crowdsourcing_workers import study
from .offensiveness import FILES, load

STUDY = study("offensiveness_workers", "How many LLM workers (POPQUORN)", load, "gpt4", FILES)
