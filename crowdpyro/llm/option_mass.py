"""Option mass: how much of its probability an LLM gives to the options that it is offered.

mass(c) = sum_o P(o | c), over the disjoint options o of a scale after the prompt c. Far below one, the model wanted to
say something else, and the distribution over options is a poor account of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEAST_MASS = 0.5


class LowOptionMassWarning(UserWarning):
    """The LLM gave the options of the scale less than half of its probability."""


def mass_note(who: str, mass: npt.NDArray[np.float64], names: Sequence[str]) -> str:
    """One line for the report, `mass` being that of every prompt named."""
    least = int(mass.argmin())
    return (
        f"{who}: option mass {mass.mean():.3f} on average, least {mass[least]:.3f} at {names[least]}; below "
        f"{LEAST_MASS} in {int((mass < LEAST_MASS).sum())} of {len(mass)} prompts."
    )


def low_mass(who: str, mass: npt.NDArray[np.float64], names: Sequence[str]) -> str | None:
    """What to warn of; None where the options have half of the probability everywhere."""
    least, n_low = int(mass.argmin()), int((mass < LEAST_MASS).sum())
    if not n_low:
        return None
    return (
        f"{who} gives the options a mass of only {mass[least]:.3f} at {names[least]} (below {LEAST_MASS} in {n_low} of "
        f"{len(mass)} prompts): what it would rather say is lost. Name the options in the question, try chat= the "
        "other way, another prompt= or a larger model."
    )
