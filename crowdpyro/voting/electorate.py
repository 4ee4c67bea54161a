"""An electorate: voters of whom some voted, projects of which some were voted on, and an LLM's votes on all of them.

The program is `JointModel.crowd` with `OptionEncoder` and `OptionBelief`: the one problem is the vote, its options are
the projects, a profile is how a voter matches them, and a ballot follows Plackett-Luce (or what the rule says).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crowd import Crowd
from ..data import CrowdData
from ..errors import DataError, ModelError
from ..models.ballot import Ballot
from ..references import References
from ..tables import shown
from .covariates import VoteCovariates
from .match import Match

if TYPE_CHECKING:
    import torch

    from ..models.ballot_distribution import BallotDistribution
    from ..models.batch import Batch
    from ..models.joint import JointModel
    from ..models.options import OptionBelief, OptionEncoder

FloatArray = npt.NDArray[np.float64]
Stage = Literal["fixed_belief", "fixed_decision", "full"]


@dataclass(frozen=True)
class ElectorateConfig:
    """Settings of an `Electorate`.

    Parameters
    ----------
    attributes
        Columns of the projects that tell something of new ones.
    matches
        How voters and projects match.
    n_eps
        Dimension of a voter's own taste.
    even
        Share of an even ballot that the LLM's votes are mixed with, in (0, 1): that it never voted for a project proves
        little about people.
    use_reference
        Whether the reference is where utilities start; without, it starts even.
    weight_scale, offset_scale, loading_scale, match_scale
        Scales of the normal priors (see `OptionEncoder` and `OptionBelief`).
    epochs, lr
        Of the fit, over all voters at once.

    Raises
    ------
    ModelError
        When a setting is out of its range.
    """

    attributes: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()
    n_eps: int = 2
    even: float = 0.1
    use_reference: bool = True
    weight_scale: float = 0.3
    offset_scale: float = 0.5
    loading_scale: float = 0.3
    match_scale: float = 1.0
    epochs: int = 100
    lr: float = 0.05

    def __post_init__(self) -> None:
        for name, least in (("n_eps", 0), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ModelError(f"{name}={getattr(self, name)}: give at least {least}.")
        if not 0 < self.even < 1:
            raise ModelError(f"even={self.even}: give a share above 0 and below 1.")
        for name in ("weight_scale", "offset_scale", "loading_scale", "match_scale", "lr"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ModelError(f"{name}={getattr(self, name)}: give a positive number.")


@dataclass(frozen=True)
class _Fitted:
    """What a fit leaves behind."""

    covariates: VoteCovariates
    model: JointModel
    encoder: OptionEncoder
    belief: OptionBelief


class Electorate:
    """Fit voters, and let others vote, on projects that were voted on and on new ones.

    Parameters
    ----------
    config
        Settings.

    References
    ----------
    J. C. Yang, D. Dailisan, M. Korecki, C. I. Hausladen, D. Helbing (2024), LLM voting: human choices and AI
    collective decision-making, AAAI/ACM Conference on AI, Ethics, and Society, is where the LLMs' votes come from.
    """

    def __init__(self, config: ElectorateConfig | None = None) -> None:
        self.config = config or ElectorateConfig()
        self._fitted: _Fitted | None = None

    def fit(
        self,
        data: CrowdData,
        projects: pd.DataFrame,
        references: References | None = None,
        *,
        hidden: Iterable[object] = (),
        seed: int = 0,
    ) -> Electorate:
        """Learn from ballots.

        Parameters
        ----------
        data
            Ballots on one problem; the options of its scale are projects.
        projects
            Indexed by project, with the columns of `config.attributes` and `config.matches`.
        references
            LLMs' ballots on the same problem, a panel or one: their mean, mixed with an even ballot, is where utilities
            start, and each one is an attribute.
        hidden
            Projects whose votes are not looked at, as if they had not been on the ballot (rule `choose` only).
        seed
            Equal seeds give equal electorates.

        Returns
        -------
        Electorate
            Itself.

        Raises
        ------
        DataError
            For answers that are not the ballots of one vote, `hidden` projects that are no options, and a column that
            is missing or no number.
        """
        import torch

        from ..inference.guide import ParticipantGuide
        from ..inference.runtime import seeded
        from ..inference.training import FitConfig
        from ..inference.training import fit as train
        from ..models.ballot_blender import ballot_blender
        from ..models.joint import JointModel
        from ..models.options import OptionBelief, OptionEncoder
        from ..models.short_choice import ShortChoiceBlender

        scale = _one_vote(data)
        unseen = tuple(str(each) for each in hidden)
        seen = _seen(scale, unseen)
        votes = data.response[:, seen]
        voters = data.participants.iloc[data.participant_code]
        config = self.config
        told = VoteCovariates.fit(
            scale, projects, references, voters, seen, votes, config.attributes, config.matches, config.even
        )
        n, on_these = len(seen), Ballot(told.voted_on, scale.rule, scale.n)
        with seeded(seed):
            blender = ShortChoiceBlender(on_these) if unseen else ballot_blender(on_these)
            priors = (config.weight_scale, config.offset_scale, config.loading_scale)
            encoder = OptionEncoder(told.attributes(seen), torch.arange(n), n, config.n_eps, blender.n_shape, *priors)
            belief = OptionBelief(n, len(config.matches), config.n_eps, config.match_scale)
            model = JointModel(encoder, belief, blender, n_draws=1)
            batch = told.batch(voters, seen, votes, config.use_reference)
            how = FitConfig(epochs=config.epochs, batch_size=len(voters), lr=config.lr, margin_steps=0)
            train(model, ParticipantGuide(model), batch, None, batch, how, seed=seed)
        model.requires_grad_(False)
        self._fitted = _Fitted(told, model, encoder, belief)
        return self

    def _state(self) -> _Fitted:
        """What the fit left behind."""
        if self._fitted is None:
            raise ModelError("this Electorate is not fitted; call fit first.")
        return self._fitted

    @property
    def model(self) -> JointModel:
        """The fitted program, on the projects that were voted on.

        Raises
        ------
        ModelError
            Before `fit`.
        """
        return self._state().model

    def shares(
        self, voters: pd.DataFrame, *, n_draws: int = 64, seed: int = 0, weights: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Mean votes or points of every project, shape `(n_projects,)`, were these voters to vote infinitely often."""
        each = self.expected(voters, n_draws=n_draws, seed=seed)
        return np.average(each, axis=0, weights=None if weights is None else np.asarray(weights, dtype=float))

    def expected(self, voters: pd.DataFrame, *, n_draws: int = 64, seed: int = 0) -> FloatArray:
        """Expected ballot of every voter, tastes averaged out, shape `(n_voters, n_projects)`.

        Parameters
        ----------
        voters
            Profiles, with the columns of `config.matches`.
        n_draws
            Draws of each voter's taste.
        seed
            Of the draws.
        """
        import torch

        with torch.no_grad():
            parts = [ballot.mean for ballot in self._ballots(voters, n_draws, seed)]
        return np.asarray(torch.stack(parts).mean(0), dtype=np.float64)

    def log_prob(self, data: CrowdData, *, n_draws: int = 256, seed: int = 0) -> FloatArray:
        """Log probability of every ballot of voters who were not fitted to, given profiles, `(n_answers,)`, nats.

        Tastes are drawn from their prior, never from what the ballots say.

        Raises
        ------
        DataError
            When the data are on another scale.
        ModelError
            Before `fit`.
        """
        import torch

        if data.scale != self._state().covariates.scale:
            raise DataError(
                f"data is on {data.scale}, the electorate on {self._state().covariates.scale}; put them on one scale."
            )
        voters = data.participants.iloc[data.participant_code]
        votes = torch.as_tensor(data.response, dtype=torch.float32)
        with torch.no_grad():
            each = [ballot.log_prob(votes) for ballot in self._ballots(voters, n_draws, seed)]
        return np.asarray(torch.stack(each).logsumexp(0) - math.log(len(each)), dtype=np.float64)

    def generate(self, voters: pd.DataFrame, *, stage: Stage = "full", seed: int = 0) -> Crowd:
        """Ballots of virtual voters, one each.

        Parameters
        ----------
        voters
            Profiles, one row a virtual voter.
        stage
            What is left to chance: `full`; `fixed_decision`, a voter's taste, but everybody takes the options of the
            highest utility; `fixed_belief`, nothing, and everybody is the mean voter.
        seed
            Equal seeds give equal ballots.

        Raises
        ------
        DataError
            When `stage` is unknown.
        ModelError
            Before `fit`.
        """
        import torch

        from ..inference.runtime import seeded

        if stage not in get_args(Stage):
            raise DataError(f"stage={stage!r}: give one of {', '.join(map(repr, get_args(Stage)))}.")
        scale = self._state().covariates.scale
        with seeded(seed), torch.no_grad():
            model, batch = self._asked(voters)
            tastes = torch.randn(len(voters), model.n_eps)
            if stage == "fixed_belief":
                tastes = torch.zeros_like(tastes)
            x = model.met(batch)
            z = model.participants(batch.profile, tastes)
            utility = model.blender.location(x.reference, model.belief_dist(x, z).mean)
            if stage == "fixed_belief":
                utility = utility.mean(0, keepdim=True).expand_as(utility)
            ballots = (
                model.blender.response_dist(utility, model.shape(x, z)).sample()
                if stage == "full"
                else _without_noise(utility, scale)
            )
        return Crowd.from_matrix(
            np.asarray(ballots, dtype=np.float64)[:, None],
            scale=scale,
            problems=pd.DataFrame({"text": ["vote"]}, index=pd.Index(["vote"], name="problem")),
            participants=voters.reset_index(drop=True).rename_axis("participant"),
            seed=seed,
            stage=stage,
        )

    def _asked(self, voters: pd.DataFrame) -> tuple[JointModel, Batch]:
        """The program on all projects of the ballot, those never voted on too, and these voters."""
        import torch

        from ..models.ballot_blender import ballot_blender
        from ..models.joint import JointModel

        fitted = self._state()
        told = fitted.covariates
        rows = np.arange(told.scale.n_levels)
        known = torch.as_tensor(pd.Index(told.voted_on).get_indexer(pd.Index(told.scale.options)))
        encoder = fitted.encoder.about(told.attributes(rows), known)
        asked = JointModel(encoder, fitted.belief.about(len(rows)), ballot_blender(told.scale), n_draws=1)
        return asked, told.batch(voters, rows, None, self.config.use_reference)

    def _ballots(self, voters: pd.DataFrame, n_draws: int, seed: int) -> Iterator[BallotDistribution]:
        """Ballots of these voters, given each draw of their tastes in turn."""
        from ..inference.score import normal_draws

        model, batch = self._asked(voters)
        x = model.met(batch)
        for taste in normal_draws(n_draws if model.n_eps else 1, model.n_eps, seed):
            z = model.participants(batch.profile, taste.expand(len(voters), -1))
            utility = model.blender.location(x.reference, model.belief_dist(x, z).mean)
            yield model.blender.response_dist(utility, model.shape(x, z))


def _one_vote(data: CrowdData) -> Ballot:
    if not isinstance(data.scale, Ballot) or data.n_problems != 1:
        raise DataError(f"data has {data.n_problems} problems on {data.scale}; give the ballots of one vote.")
    if not data.n_answers:
        raise DataError("data has no ballots; give at least one.")
    return data.scale


def _seen(scale: Ballot, hidden: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Options whose votes may be looked at."""
    strange = [each for each in hidden if each not in scale.options]
    if strange:
        raise DataError(
            f"hidden: {shown(strange[0])} is no option of the ballot; known are {', '.join(scale.options)}."
        )
    seen = np.flatnonzero(~np.isin(scale.options, hidden))
    if hidden and (scale.rule != "choose" or len(seen) < 2):
        raise DataError(f"hidden={hidden}: votes are hidden where options are chosen, and two or more stay in sight.")
    return seen


def _without_noise(utility: torch.Tensor, scale: Ballot) -> torch.Tensor:
    """Ballots of people who take what they like best."""
    import torch

    if scale.rule == "approval":
        return (utility > 0).to(utility)
    if scale.rule == "points" or scale.n is None:
        raise DataError("stage: points without the decision's noise are no whole numbers; give stage='full'.")
    best = utility.topk(scale.n, dim=-1).indices
    score = torch.arange(scale.n, 0, -1.0) if scale.rule == "rank" else torch.ones(scale.n)
    return torch.zeros_like(utility).scatter(-1, best, score.expand_as(best))
