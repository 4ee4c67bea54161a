"""Parts of a model that a person brings: a joint model, a guide, a blender, an objective of their own.

A folder that `save` wrote names them; code is never read from it, so that `load` must be given the same ones again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from .errors import ModelError

if TYPE_CHECKING:
    from pyro.infer import ELBO

_OWN_NAME = "crowdpyro's own"


@dataclass(frozen=True)
class Parts:
    """What stands in for crowdpyro's own; None for its own.

    Attributes
    ----------
    model
        A subclass of `JointModel`, or what is called as one.
    guide
        Called with the model; gives a module that draws the model's latent sites from `forward(batch)`.
    blender
        A subclass of the scale's blender, or what is called as one: `blender(scale, spread, fixed)`.
    objective
        An ELBO of Pyro's.
    """

    model: Callable[..., Any] | None = None
    guide: Callable[[Any], Any] | None = None
    blender: Callable[..., Any] | None = None
    objective: ELBO | None = None

    def __post_init__(self) -> None:
        for name in ("model", "guide", "blender"):
            part = getattr(self, name)
            if part is not None and not callable(part):
                raise ModelError(f"{name}={part!r}: give a class, or a function that builds one.")
        if self.objective is not None and not hasattr(self.objective, "differentiable_loss"):
            raise ModelError(
                f"objective={self.objective!r}: give 'predictive', 'paper', or an ELBO of Pyro's that has "
                "`differentiable_loss`."
            )

    def names(self) -> dict[str, str]:
        """Module and name of every part that was brought."""
        return {each.name: _name(part) for each in fields(self) if (part := getattr(self, each.name)) is not None}

    def check(self, recorded: dict[str, str]) -> None:
        """Raise `ModelError` unless these are the parts that a saved model names; an objective is not needed again."""
        mine = self.names()
        for name in ("model", "guide", "blender"):
            old, new = recorded.get(name), mine.get(name)
            if old != new:
                remedy = f"pass {name}={old.rpartition('.')[2]}" if old else f"leave {name} out"
                raise ModelError(f"{name}={new or _OWN_NAME}: the saved model has {old or _OWN_NAME}; {remedy}.")


OWN = Parts()


def _name(part: Any) -> str:
    kind = part if hasattr(part, "__qualname__") else type(part)
    return f"{kind.__module__}.{kind.__qualname__}"
