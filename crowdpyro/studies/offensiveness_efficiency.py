"""How much human data the crowd of study I needs, and how many virtual workers, with GPT-4's ratings."""

from __future__ import annotations

from .crowdsourcing_efficiency import study
from .offensiveness import FILES, load

STUDY = study("offensiveness_efficiency", "How many workers, problems and ratings (POPQUORN)", load, "gpt4", FILES)
