"""An interviewer: a backbone together with how it asks, for whoever hands on problems and a scale alone.

Fitting and generating call `backbone.refer(problems, scale)`; question, personas and cache are the interviewer's.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..models.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

    from ..models.scales import Scale
    from ..references import References
    from .backbone import Backbone


@dataclass(frozen=True)
class Interviewer:
    """A backbone that asks in one way.

    Parameters
    ----------
    backbone
        Whom to ask.
    how
        Arguments of its `refer`.

    Raises
    ------
    ModelError
        An argument that it does not know.
    """

    backbone: Backbone
    how: dict[str, Any]

    def __post_init__(self) -> None:
        known = [*inspect.signature(self.backbone.refer).parameters][2:]
        for name in self.how:
            if name not in known:
                raise ModelError(f"asking({name}=...): {self.name!r} is asked by {', '.join(known)}.")

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.backbone.name

    @property
    def revision(self) -> str:
        """Revision or hash of what answers."""
        return self.backbone.revision

    def refer(self, problems: pd.DataFrame, scale: Scale, **asking: Any) -> References:
        """References of every problem, on `scale`; what is given here wins."""
        return self.backbone.refer(problems, scale, **{**self.how, **asking})
