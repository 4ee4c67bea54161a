"""What a fit leaves behind, and how the untrained model of the right size is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .config import CrowdConfig
from .data import CrowdData
from .errors import ModelError
from .features import ProblemFeatures
from .inference.history import FitHistory
from .models.scales import Continuous, Ordinal, Scale
from .parts import OWN, Parts
from .profiles import ProfileEncoder
from .survey import weights_of_answering

if TYPE_CHECKING:
    import torch

    from .models.batch import Batch


@dataclass
class Fitted:
    """Everything that a fit leaves behind; `weights` are the survey weights of `profiles`, None for equal ones."""

    scale: Scale
    features: ProblemFeatures
    profile_encoder: ProfileEncoder
    profiles: pd.DataFrame
    problems: pd.DataFrame
    covariates: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    spread: float
    model: Any
    guide: Any
    twins: npt.NDArray[np.float32] | None = None
    history: FitHistory = field(default_factory=FitHistory)
    made_from: dict[str, str] = field(default_factory=dict)
    weights: npt.NDArray[np.float64] | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(iter(self.model.parameters())).device
        return device

    def to(self, device: str) -> None:
        """Move model and guide."""
        self.model.to(device)
        self.guide.to(device)

    def rows(self, problems: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Row of each problem in training, -1 for a new one; an id that bears another text is a new problem."""
        rows = self.problems.index.get_indexer(problems.index).astype(np.int64)
        texts = self.problems["text"].to_numpy(dtype=object)[rows]
        return np.where((rows >= 0) & (texts == problems["text"].to_numpy(dtype=object)), rows, -1)

    def batch(
        self,
        data: CrowdData,
        covariates: npt.NDArray[np.float32],
        reference: npt.NDArray[np.float32],
        all_meetings: bool = False,
        twins: npt.NDArray[np.float32] | None = None,
    ) -> Batch:
        """All answers of a data set; problems of training are known by their row.

        With `all_meetings`, every participant meets every problem, and those that came to no answer are listed too.
        Where a pair without an answer has no twin's either, the problem's reference stands in.
        """
        import torch

        from .models.batch import Batch

        person, problem, response = data.participant_code, data.problem_code, data.response
        took_part = None
        if all_meetings:
            person, problem, response, took_part = _meetings(data)
        if twins is not None:
            twins = np.where(np.isnan(twins), reference, twins)
        weights = weights_of_answering(data.weights, data.participant_code)
        return Batch(
            features=torch.as_tensor(covariates),
            known=torch.as_tensor(self.rows(data.problems)),
            reference=torch.as_tensor(reference),
            profile=torch.as_tensor(self.profile_encoder.transform(data.participants)),
            rows=torch.arange(data.n_participants),
            participant=torch.as_tensor(person),
            problem=torch.as_tensor(problem),
            response=torch.as_tensor(response, dtype=torch.float32),
            participation=torch.ones(()),
            population=data.n_participants,
            took_part=None if took_part is None else torch.as_tensor(took_part),
            twins=None if twins is None else torch.as_tensor(twins),
            survey_weight=None if weights is None else torch.as_tensor(weights, dtype=torch.float32),
        )


def _meetings(data: CrowdData) -> tuple[npt.NDArray[Any], ...]:
    """Participant, problem, response (0 where there is none) and whether there is one, for every pair."""
    person, problem = (each.ravel() for each in np.indices((data.n_participants, data.n_problems)))
    given = data.participant_code * data.n_problems + data.problem_code
    response = np.zeros((len(person), *data.response.shape[1:]))
    response[given] = data.response
    took_part = np.zeros(len(person), dtype=bool)
    took_part[given] = True
    return person, problem, response, took_part


def build(
    data: CrowdData,
    features: ProblemFeatures,
    encoder: ProfileEncoder,
    profiles: pd.DataFrame,
    covariates: npt.NDArray[np.float32],
    reference: npt.NDArray[np.float32],
    config: CrowdConfig,
    parts: Parts,
) -> Fitted:
    """The untrained model; the caller has seeded."""
    spread = 1.0
    if isinstance(data.scale, Ordinal | Continuous):
        spread = float(np.std(np.asarray(data.scale.decode(data.response), dtype=float))) or 1.0
    model, guide = build_model(
        data.scale,
        config,
        spread,
        parts,
        n_features=covariates.shape[1],
        n_known=data.n_problems if config.holdout == "participant" else 0,
        n_profile=encoder.n_columns,
    )
    return Fitted(
        data.scale,
        features,
        encoder,
        profiles,
        data.problems,
        covariates,
        reference,
        spread,
        model,
        guide,
        weights=data.weights,
    )


def build_model(
    scale: Scale,
    config: CrowdConfig,
    spread: float,
    parts: Parts = OWN,
    *,
    n_features: int,
    n_known: int,
    n_profile: int,
) -> tuple[Any, Any]:
    """Joint model and guide of these sizes, `spread` being the standard deviation of the training answers."""
    from .inference.guide import ParticipantGuide
    from .inference.selection_guide import SelectionGuide
    from .inference.story_guide import StoryGuide
    from .models.belief import BeliefGenerator
    from .models.blender import blender_for
    from .models.decoder import DescriptionDecoder
    from .models.encoder import ProblemEncoder
    from .models.joint import JointModel
    from .models.participation import LogisticParticipation, SelectiveParticipation
    from .models.selection import SelectionModel

    # The variance of an answer starts as half belief, half decision.
    half = spread * 0.5**0.5
    unit = half if isinstance(scale, Ordinal | Continuous) else 1.0
    blender = (parts.blender or blender_for)(scale, half, fixed=not config.learned_spread)
    n_spread = blender.n_spread if config.profile_spread else 0
    widths = (config.n_hidden, blender.n_belief, blender.n_belief * config.n_eps, blender.n_shape)
    problem_encoder = ProblemEncoder(n_features, n_known, widths, config.weight_scale, config.offset_scale, unit)
    belief = BeliefGenerator(
        n_profile,
        config.n_eps,
        config.n_hidden,
        blender.n_belief,
        half,
        config.weight_scale,
        config.dropout,
        n_omega=config.n_omega if config.guide == "semi_implicit" else 0,
        n_mixture=config.n_mixture,
        certain=not config.uncertain_belief,
        n_spread=n_spread,
        unit=unit,
    )
    paper = config.training.objective == "paper"
    selective = config.participation == "selective"
    participation: LogisticParticipation | None = None
    if selective:
        if not isinstance(scale, Ordinal):
            raise ModelError(f"participation='selective': sums over the levels of a rating; {scale} has none.")
        centre = float(np.mean(scale.values))
        participation = SelectiveParticipation(n_profile, n_features, config.n_eps, config.gamma, centre, spread)
    elif config.participation == "learned":
        participation = LogisticParticipation(n_profile, n_features)
    model = (parts.model or (SelectionModel if selective else JointModel))(
        problem_encoder,
        belief,
        blender,
        decoder=DescriptionDecoder(blender.n_belief, config.n_hidden, n_features)
        if paper and config.reconstruct
        else None,
        participation=participation,
    )
    own_guide = SelectionGuide if selective else StoryGuide if paper else ParticipantGuide
    return model, (parts.guide or own_guide)(model)
