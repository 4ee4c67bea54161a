"""Settings of a `CrowdLLM`, checked when they are made."""

from __future__ import annotations

import math
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
    guide
        The belief given profile and problem: `vae`, a normal, or `semi_implicit`, a mixture over fresh noise.
    n_omega, n_mixture
        Of a semi-implicit belief: dimension of the noise, and K, components beside its own when it is scored.
    profile_spread
        Let the decision's noise depend on the profile as well as on the problem.
    participation
        `given` by whoever recruits the crowd, `learned` from who answered what (logistic in profile and problem), or
        `selective`: by the participant's noise as well, and by the answer itself (ratings only).
    gamma
        Of selective participation: what one standard deviation of the answers given adds to the log odds of giving one.
        No data tell it; fit with several (`crowdpyro.sensitivity`).
    use_reference, reconstruct, uncertain_belief, learned_spread
        Ablations when False: no LLM, even where references are passed; the paper's objective without the
        reconstruction of problems; beliefs without noise of their own; decision noise that stays where it starts.
        Others are `n_eps=0` (no persistent participant), `use_profile=False` and `n_components=0` (no text).
    training
        Settings of the fit.

    Raises
    ------
    ModelError
        When a setting is out of its range, or two exclude each other.
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
    guide: Literal["vae", "semi_implicit"] = "vae"
    n_omega: int = 4
    n_mixture: int = 8
    profile_spread: bool = False
    participation: Literal["given", "learned", "selective"] = "given"
    gamma: float = 0.0
    use_reference: bool = True
    reconstruct: bool = True
    uncertain_belief: bool = True
    learned_spread: bool = True
    training: FitConfig = field(default_factory=FitConfig)

    @classmethod
    def paper(cls) -> CrowdConfig:
        """The paper's own: Eq. 4, a semi-implicit belief, J = 10, lambda = 1, Adam at .001, no persistent noise.

        Its K = 8 is how often the LLM is asked for a reference; one pass of `FrozenLLM` gives the whole distribution
        that such answers come from. Components of the belief are not told there; here they are eight and its own.
        """
        training = FitConfig(objective="paper", lr=1e-3, decision_weight=1.0, n_belief_draws=10, margin_steps=0)
        return cls(n_eps=0, guide="semi_implicit", training=training)

    def __post_init__(self) -> None:
        for name, least in (("n_eps", 0), ("n_hidden", 1), ("n_components", 0), ("n_omega", 1), ("n_mixture", 0)):
            if getattr(self, name) < least:
                raise ModelError(f"{name}={getattr(self, name)}: give at least {least}.")
        if self.holdout not in ("participant", "problem"):
            raise ModelError(f"holdout={self.holdout!r}: give 'participant' or 'problem'.")
        if self.guide not in ("vae", "semi_implicit"):
            raise ModelError(f"guide={self.guide!r}: give 'vae' or 'semi_implicit'.")
        if self.participation not in ("given", "learned", "selective"):
            raise ModelError(f"participation={self.participation!r}: give 'given', 'learned' or 'selective'.")
        if not math.isfinite(self.gamma) or (self.gamma and self.participation != "selective"):
            raise ModelError(f"gamma={self.gamma}: give a finite number, and participation='selective'.")
        if self.participation == "selective" and self.training.objective == "paper":
            raise ModelError("participation='selective': the paper's objective knows no selection; give 'predictive'.")
        for name in ("holdout_size", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ModelError(f"{name}={getattr(self, name)}: give a share in [0, 1).")
        for name in ("weight_scale", "offset_scale"):
            if not getattr(self, name) > 0:
                raise ModelError(f"{name}={getattr(self, name)}: give a positive scale.")
