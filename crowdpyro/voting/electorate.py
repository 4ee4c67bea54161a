"""An electorate: voters of whom some voted, projects of which some were voted on, and an LLM's votes on all of them.

The program is `JointModel.crowd` with `OptionEncoder` and `OptionBelief`: the one problem is the vote, its options are
the projects, a profile is how a voter matches them, and a ballot follows Plackett-Luce (or what the rule says).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crowd import Crowd
from ..data import CrowdData
from ..errors import DataError, ModelError
from ..features import log_weights
from ..models.ballot import Ballot
from ..references import References
from ..tables import shown
from .match import AttributeEncoder, Match, MatchEncoder

if TYPE_CHECKING:
    import torch

    from ..models.ballot_distribution import BallotDistribution
    from ..models.batch import Batch
    from ..models.joint import JointModel

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


@dataclass
class _Fitted:
    """What a fit leaves behind."""

    scale: Ballot
    projects: pd.DataFrame
    voted_on: tuple[str, ...]
    matches: MatchEncoder
    attributes: AttributeEncoder
    references: References | None
    level: float
    llm_centre: FloatArray
    llm_scale: FloatArray
    model: JointModel
    loss: list[float] = field(default_factory=list)


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
        """
        import torch

        from ..inference.guide import ParticipantGuide
        from ..inference.runtime import seeded
        from ..inference.training import FitConfig
        from ..inference.training import fit as train

        scale = _one_vote(data)
        projects = _of_options(projects, scale)
        hidden = tuple(str(each) for each in hidden)
        seen = _seen(scale, hidden)
        votes = data.response[:, seen]
        voters = data.participants.iloc[data.participant_code]
        listed = projects.iloc[seen]
        llm = log_shares(references, scale, self.config.even)
        centre, spread = llm[seen].mean(axis=0), llm[seen].std(axis=0)
        fitted = _Fitted(
            scale,
            projects,
            tuple(listed.index),
            MatchEncoder.fit(self.config.matches, voters, listed),
            AttributeEncoder.fit(self.config.attributes, listed),
            references,
            level_of(votes, scale),
            centre,
            np.where(spread > 0, spread, np.inf),
            model=None,  # type: ignore[arg-type]
        )
        with seeded(seed, "cpu"):
            fitted.model = self._built(fitted, seen, bool(hidden))
            guide = ParticipantGuide(fitted.model)
            batch = self._batch(fitted, voters, seen, votes)
            how = FitConfig(epochs=self.config.epochs, batch_size=len(voters), lr=self.config.lr, margin_steps=0)
            fitted.loss = train(fitted.model, guide, batch, None, batch, how, seed=seed).loss
        torch.nn.Module.requires_grad_(fitted.model, False)
        self._fitted = fitted
        return self

    @property
    def fitted(self) -> _Fitted:
        """What the fit left behind."""
        if self._fitted is None:
            raise ModelError("this Electorate is not fitted; call fit first.")
        return self._fitted

    @property
    def model(self) -> JointModel:
        """The fitted program, on the projects that were voted on."""
        return self.fitted.model

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
        """
        import torch

        if data.scale != self.fitted.scale:
            raise DataError(f"data is on {data.scale}, the electorate on {self.fitted.scale}; put them on one scale.")
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
        """
        import torch

        from ..inference.runtime import seeded

        if stage not in get_args(Stage):
            raise DataError(f"stage={stage!r}: give one of {', '.join(map(repr, get_args(Stage)))}.")
        fitted = self.fitted
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
                else _without_noise(utility, fitted.scale)
            )
        return Crowd.from_matrix(
            np.asarray(ballots, dtype=np.float64)[:, None],
            scale=fitted.scale,
            problems=pd.DataFrame({"text": ["vote"]}, index=pd.Index(["vote"], name="problem")),
            participants=voters.reset_index(drop=True).rename_axis("participant"),
            seed=seed,
            stage=stage,
        )

    def _built(self, fitted: _Fitted, seen: npt.NDArray[np.int64], short: bool) -> JointModel:
        """The untrained program on the projects that are voted on; the caller has seeded."""
        import torch

        from ..models.ballot_blender import ballot_blender
        from ..models.joint import JointModel
        from ..models.options import OptionBelief, OptionEncoder
        from ..models.short_choice import ShortChoiceBlender

        config, n = self.config, len(seen)
        scale = Ballot(fitted.voted_on, fitted.scale.rule, fitted.scale.n)
        blender = ShortChoiceBlender(scale) if short else ballot_blender(scale)
        priors = (config.weight_scale, config.offset_scale, config.loading_scale)
        encoder = OptionEncoder(
            self._attributes(fitted, seen), torch.arange(n), n, config.n_eps, blender.n_shape, *priors
        )
        belief = OptionBelief(n, len(config.matches), config.n_eps, config.match_scale)
        return JointModel(encoder, belief, blender, n_draws=1)

    def _attributes(self, fitted: _Fitted, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Attributes and LLMs' votes of these options, a block each."""
        import torch

        own = fitted.attributes.transform(fitted.projects.iloc[rows])
        told = (self._log_shares(fitted)[rows] - fitted.llm_centre) / fitted.llm_scale
        return torch.as_tensor(
            np.concatenate([own, told / np.sqrt(max(told.shape[1], 1))], axis=1), dtype=torch.float32
        )

    def _log_shares(self, fitted: _Fitted) -> FloatArray:
        return log_shares(fitted.references, fitted.scale, self.config.even)

    def _batch(
        self,
        fitted: _Fitted,
        voters: pd.DataFrame,
        rows: npt.NDArray[np.int64],
        votes: FloatArray | None,
    ) -> Batch:
        """Voters, one answer each, to the vote on these options."""
        import torch

        from ..models.batch import Batch

        n = len(voters)
        matches = fitted.matches.transform(voters, fitted.projects.iloc[rows])
        references = fitted.references if self.config.use_reference else None
        start = fitted.level + start_of(references, fitted.scale, self.config.even)[rows]
        return Batch(
            features=torch.zeros(1, 0),
            known=torch.zeros(1, dtype=torch.long),
            reference=torch.as_tensor(start, dtype=torch.float32)[None],
            profile=torch.as_tensor(matches.reshape(n, -1), dtype=torch.float32),
            rows=torch.arange(n),
            participant=torch.arange(n),
            problem=torch.zeros(n, dtype=torch.long),
            response=None if votes is None else torch.as_tensor(votes, dtype=torch.float32),
            participation=torch.ones(()),
            population=n,
        )

    def _asked(self, voters: pd.DataFrame) -> tuple[JointModel, Batch]:
        """The program on all projects of the ballot, those never voted on too, and these voters."""
        import torch

        from ..models.ballot_blender import ballot_blender
        from ..models.joint import JointModel

        fitted, model = self.fitted, self.fitted.model
        rows = np.arange(fitted.scale.n_levels)
        known = pd.Index(fitted.voted_on).get_indexer(pd.Index(fitted.scale.options))
        blender = ballot_blender(fitted.scale)
        blender.load_state_dict(model.blender.state_dict(), strict=False)
        encoder = model.encoder.about(self._attributes(fitted, rows), torch.as_tensor(known))
        asked = JointModel(encoder, model.belief.about(len(rows)), blender, n_draws=1)
        return asked, self._batch(fitted, voters, rows, None)

    def _ballots(self, voters: pd.DataFrame, n_draws: int, seed: int) -> Iterator[BallotDistribution]:
        """Ballots of these voters, given each draw of their tastes in turn."""
        from ..inference.score import normal_draws

        model, batch = self._asked(voters)
        x = model.met(batch)
        for taste in normal_draws(n_draws if model.n_eps else 1, model.n_eps, seed):
            z = model.participants(batch.profile, taste.expand(len(voters), -1))
            utility = model.blender.location(x.reference, model.belief_dist(x, z).mean)
            yield model.blender.response_dist(utility, model.shape(x, z))


def log_shares(references: References | None, scale: Ballot, even: float) -> FloatArray:
    """Each LLM's log weights of the options, its votes mixed with an even ballot, shape `(n_options, n_llms)`."""
    if references is None:
        return np.zeros((scale.n_levels, 0))
    flat = 0.5 if scale.total is None else 1.0 / scale.n_levels
    votes = np.stack([source.base()[0] for source in references], axis=1)
    return log_weights((1 - even) * votes + even * flat, scale)


def start_of(references: References | None, scale: Ballot, even: float) -> FloatArray:
    """Utilities that voters start from: log weights of the LLMs' mean, less their mean over options, `(n_options,)`."""
    if references is None:
        return np.zeros(scale.n_levels)
    flat = 0.5 if scale.total is None else 1.0 / scale.n_levels
    votes = np.mean([source.base()[0] for source in references], axis=0)
    start = log_weights((1 - even) * votes + even * flat, scale)
    return np.asarray(start - start.mean())


def level_of(votes: FloatArray, scale: Ballot) -> float:
    """Log odds of an approval, one more being given and one more refused; 0 of rules that compare options."""
    if scale.total is not None:
        return 0.0
    given, refused = votes.sum() + 1.0, (1.0 - votes).sum() + 1.0
    return float(np.log(given / refused))


def _one_vote(data: CrowdData) -> Ballot:
    if not isinstance(data.scale, Ballot) or data.n_problems != 1:
        raise DataError(f"data has {data.n_problems} problems on {data.scale}; give the ballots of one vote.")
    if not data.n_answers:
        raise DataError("data has no ballots; give at least one.")
    return data.scale


def _of_options(projects: pd.DataFrame, scale: Ballot) -> pd.DataFrame:
    """Rows of the options, in the order of the ballot."""
    named = projects.set_axis(projects.index.astype(str))
    lost = pd.Index(scale.options).difference(named.index)
    if len(lost) or named.index.has_duplicates:
        what = f"option {shown(lost[0])} is none of them" if len(lost) else "an id stands there twice"
        raise DataError(f"projects: {what}; give one row for each option, indexed by its name.")
    return named.loc[list(scale.options)]


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
