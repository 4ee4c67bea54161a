"""What the embedded LLM says of products, asked once and kept.

Answers lie in the folder `$CROWDPYRO_CACHE` (the user's cache where it is not set): one Parquet file of references a
set of questions, beside the SQLite cache of single answers by which a killed run goes on. None of it is shipped.
"""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from pathlib import Path

import pandas as pd

from ..references import References
from ..reviews.table import STARS

LLM = "SmolLM2-135M-Instruct"
QUESTION = "How many stars, from 1 (worst) to 5 (best), does the next buyer give this product?"


def cache_folder() -> Path:
    """Where answers are kept."""
    folder = os.environ.get("CROWDPYRO_CACHE")
    if folder:
        return Path(folder)
    import pooch

    return Path(pooch.os_cache("crowdpyro"))


def embedded_answers(shown: pd.Series, personas: dict[str, str] | None = None) -> References:
    """The embedded LLM's distribution over the stars of each product, in one pass each.

    Parameters
    ----------
    shown
        What it is shown of each problem, by problem.
    personas
        Name to description: its answers under each instead of without one.
    """
    asked = json.dumps([QUESTION, list(map(str, shown.index)), list(shown), personas or {}])
    path = cache_folder() / f"amazon-{blake2b(asked.encode(), digest_size=8).hexdigest()}.parquet"
    if not path.is_file():
        from ..llm import FrozenLLM
        from ..llm.prompts import PERSONA_LAST

        found = FrozenLLM("embedded").refer(
            pd.DataFrame({"text": shown}),
            STARS,
            question=QUESTION,
            personas=personas,
            include_zero_shot=personas is None,
            prompt=None if personas is None else PERSONA_LAST,
            cache=cache_folder() / "amazon.sqlite",
        )
        found.write(path)
    return References.read(path, scale=STARS)
