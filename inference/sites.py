"""Whether a model and a guide tell of the same sites.

Every latent site of the model needs the guide, and every site of the guide needs the model; only what the guide marks
as auxiliary is its own affair. A mismatch would train on draws from the prior without a word.
"""

from __future__ import annotations

from typing import Any

from pyro.poutine import Trace
from pyro.poutine.util import site_is_subsample

from ..models.errors import ModelError


def check_sites(story: Trace, told: Trace) -> None:
    """Raise `ModelError` naming the sites that only one of two traces has.

    Parameters
    ----------
    story, told
        Traces of the model and of the guide.
    """
    latent = {name for name, site in _samples(story) if not site["is_observed"]}
    guided = {name for name, site in _samples(told) if not site["infer"].get("is_auxiliary")}
    unguided, unknown = sorted(latent - guided), sorted(guided - latent)
    if unguided:
        raise ModelError(
            f"site {', '.join(map(repr, unguided))} of the model is not in the guide, which has "
            f"{', '.join(map(repr, sorted(guided))) or 'none'}; sample it there, or observe it in the model."
        )
    if unknown:
        raise ModelError(
            f"site {', '.join(map(repr, unknown))} of the guide is not latent in the model, which has "
            f"{', '.join(map(repr, sorted(latent))) or 'none'}; remove it, or mark it infer={{'is_auxiliary': True}}."
        )


def _samples(trace: Trace) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, site) for name, site in trace.nodes.items() if site["type"] == "sample" and not site_is_subsample(site)
    ]
