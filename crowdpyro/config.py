"""Settings of a `CrowdLLM`, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .errors import ModelError
from .inference.training import FitConfig


@dataclass(frozen=True)
class CrowdConfig:
    """Settings of a `CrowdLLM`.

    Parameters
    ----------
    n_eps
        Dimension of a participant's noise; 0 for people who differ by profile alone.
    n_hidden
        Hidden units of the belief network.
    n_components
        Text components that the problem encoder sees at most; 0 for none.
    text_encoder
        Name for `load_encoder`.
    use_profile
        Whether the belief sees profiles.
    holdout
        What early stopping holds back: `participant` when the problems are the ones of training, `problem` when
        the crowd will answer new ones.
    holdout_size
        Share held back, in [0, 1); 0 trains all epochs.
    weight_scale, offset_scale
        Scales of the normal priors of the weights, and of the training problems' offsets.
    dropout
        Share of the belief network's hidden units zeroed in training.
    training
        Settings of the fit.
    """

    n_eps: int = 5
    n_hidden: int = 32
    n_components: int = 32
    text_encoder: str = "auto"
    use_profile: bool = True
    holdout: Literal["participant", "problem"] = "participant"
    holdout_size: float = 0.15
    weight_scale: float = 0.2
    offset_scale: float = 0.5
    dropout: float = 0.0
    training: FitConfig = field(default_factory=FitConfig)

    def __post_init__(self) -> None:
        for name, least in (("n_eps", 0), ("n_hidden", 1), ("n_components", 0)):
            if getattr(self, name) < least:
                raise ModelError(f"{name}={getattr(self, name)}: give at least {least}.")
        if self.holdout not in ("participant", "problem"):
            raise ModelError(f"holdout={self.holdout!r}: give 'participant' or 'problem'.")
        for name in ("holdout_size", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ModelError(f"{name}={getattr(self, name)}: give a share in [0, 1).")
        for name in ("weight_scale", "offset_scale"):
            if not getattr(self, name) > 0:
                raise ModelError(f"{name}={getattr(self, name)}: give a positive scale.")
