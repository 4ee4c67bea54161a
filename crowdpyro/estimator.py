"""`CrowdLLM`: fit a digital population to a sample of people, and recruit crowds from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .asking import Asked, batch_of, covariates_of, frame_of, shares_of, twin_references
from .checkpoint import Checkpoint
from .config import CrowdConfig
from .crowd import Crowd
from .data import CrowdData, require_data
from .errors import DataError, ModelError
from .fitting import fit_model, referred
from .generating import Answering, Decision, crowd_of
from .inference.seeds import checked_seed, generator
from .models.scales import Continuous
from .parts import Parts
from .recruit import recruit
from .reference_draws import ReferenceUse
from .references import References
from .what_was_fitted import WhatWasFitted

if TYPE_CHECKING:
    from distributed import Client
    from pyro.infer import ELBO

    from .conditioning import ConditionedPeople
    from .inference.score import LogScore
    from .llm.backbone import Backbone
    from .models.batch import Batch
    from .theory.interval_options import Method
    from .theory.interval_result import CrowdInterval


class CrowdLLM(WhatWasFitted):
    """A frozen LLM's references and a Pyro model of how people depart from them.

    Parameters
    ----------
    config
        Settings; keyword arguments replace single fields.
    model
        A subclass of `JointModel` that changes the story.
    guide
        `vae`, `semi_implicit`, or what builds a guide from the model: `guide(model)`.
    blender
        A subclass of the scale's blender.
    objective
        `predictive`, `paper`, or an ELBO of Pyro's.
    backbone
        A `FrozenLLM`, `RecordedAnswers` or the like, asked for references that are not passed;
        `llm.asking(question=...)` says how.
    device
        Where to compute.
    progress
        Show a progress bar; by default only on a terminal.
    **settings
        Fields of `CrowdConfig` that replace those of `config`.

    Attributes
    ----------
    model, guide
        The fitted `JointModel` and its guide.
    history
        What the fit went through.

    Raises
    ------
    ModelError
        When a setting is unknown, or a part does not suit the others.

    References
    ----------
    R. F. Lin, K. Tian, H. Zheng, C. Zhang, L. Zeng, S. Huang (2025), CrowdLLM: Building LLM-based digital
    populations augmented with generative models, arXiv 2512.07890.
    """

    def __init__(
        self,
        config: CrowdConfig | None = None,
        *,
        model: Callable[..., Any] | None = None,
        guide: str | Callable[[Any], Any] | None = None,
        blender: Callable[..., Any] | None = None,
        objective: str | ELBO | None = None,
        backbone: Backbone | None = None,
        device: str = "cpu",
        progress: bool | None = None,
        **settings: Any,
    ) -> None:
        own_guide = None if guide is None or isinstance(guide, str) else guide
        own_objective = None if objective is None or isinstance(objective, str) else objective
        self.parts = Parts(model, own_guide, blender, own_objective)
        if isinstance(guide, str):
            settings["guide"] = guide
        if isinstance(objective, str):
            training = settings.get("training", (config or CrowdConfig()).training)
            settings["training"] = replace(training, objective=objective)
        try:
            self.config = replace(config or CrowdConfig(), **settings)
        except TypeError as error:
            raise ModelError(f"settings: {error}; known are {', '.join(CrowdConfig.__dataclass_fields__)}.") from error
        self.backbone, self.device, self.progress = backbone, device, progress
        self._fitted = None

    # -- fitting -----------------------------------------------------------------------------------------------

    def fit(
        self,
        data: CrowdData,
        references: References | None = None,
        *,
        seed: int = 0,
        checkpoint: Checkpoint | str | Path | None = None,
    ) -> CrowdLLM:
        """Learn from people.

        Parameters
        ----------
        data
            Their answers. Survey weights make the loss, the held-out score and the margins a pseudo-likelihood of the
            population (see `inference.weighing`), and are the chances of being recruited.
        references
            The LLM's answers to the same problems, without gaps (see `References.fill`). None asks the backbone, or
            fits the same network without an LLM when there is none. Problems that a backbone drops are left out.
        seed
            Equal seeds give equal models.
        checkpoint
            File that the fit writes its state to and goes on from after an interruption, to the model that an
            uninterrupted fit would have given.

        Returns
        -------
        CrowdLLM
            Itself.

        Raises
        ------
        MissingReferenceError
            When a problem has no reference.
        ModelError
            When the checkpoint belongs to another fit; when the loss is not finite.
        DataError
            When nobody answered anything.
        """
        from .inference.runtime import usable_device

        usable_device(self.device)
        checked_seed(seed)
        require_data(data)
        if data.n_answers == 0:
            raise DataError("data has no answers; give at least one.")
        with_llm = self.config.use_reference
        references = referred(self.backbone, references, data.problems, data.scale) if with_llm else None
        how: dict[str, Any] = {"seed": seed, "device": self.device, "progress": self.progress}
        self._fitted = fit_model(self.config, self.parts, data, references, checkpoint=checkpoint, **how)
        return self

    # -- crowds ------------------------------------------------------------------------------------------------

    def generate(
        self,
        participants: int | pd.DataFrame = 1000,
        problems: pd.DataFrame | Iterable[object] | None = None,
        references: References | None = None,
        *,
        decision: Decision = "draw",
        reference: ReferenceUse = "expected",
        crossed: bool = True,
        participation: float | npt.ArrayLike | None = None,
        per_problem: int | None = None,
        n_draws: int = 10,
        seed: int = 0,
        path: str | Path | None = None,
        client: Client | None = None,
        memory: int | str | None = None,
    ) -> Crowd:
        """Recruit virtual participants and let them answer.

        Parameters
        ----------
        participants
            How many to draw from the training profiles, or a frame of profiles, one row each.
        problems
            A frame with a column `text` and `problem` as column or index, or ids of training problems; all of training
            when None.
        references
            Of problems that are not of training; of those that are, what was learned from stands in for what is not
            given.
        decision
            `draw` one answer, or the `expected` one over `n_draws` beliefs (paper, section 3.1).
        reference
            y_ref as `expected` by the LLM, one `shared_draw` a problem, or a draw `per_participant` (Theorem 4.6).
        crossed
            The same people for all problems; False recruits fresh people for each, so that nothing but the problem
            binds two answers, and a row is a slot without a profile.
        participation
            Probability of taking part: a number, or an array that broadcasts to `(n_participants, n_problems)`. None
            takes the learned ones where the model learned them, and 1 elsewhere.
        per_problem
            So many answers a problem, by people drawn from those who would take part; None takes all of those.
        n_draws
            J, for `expected`.
        seed
            Equal seeds give equal crowds.
        path
            Folder of a zarr store that the crowd is written to block by block, by a seed rule of its own
            (`scale.plan`): the same answers whoever computes them, another crowd than without a path. The same call
            goes on after an interruption. The crowd that is returned stays on disk.
        client
            Of a dask.distributed cluster whose workers compute the blocks and see the path.
        memory
            Most that a process may hold beside model and problems, such as `2 GB`; with a path.

        Raises
        ------
        MissingReferenceError
            When a new problem has no reference.
        DataError
            When a profile has a level that training never saw, an option is unknown, or a problem finds fewer than
            `per_problem` people.
        ModelError
            When the model is not fitted, or `seed` is no whole number from 0 up.
        """
        how = Answering(decision, reference, crossed, participation, per_problem, n_draws)
        asked = self._asked(problems, references)
        if path is None:
            if client is not None or memory is not None:
                given = "client" if client is not None else "memory"
                raise DataError(f"{given}= is of crowds in blocks, which go to a store; give path= as well.")
            return crowd_of(self._state(), participants, asked, references, how, seed)
        from .scale.engine import generate_blocks
        from .scale.plan import Plan

        plan = Plan.of(self._state(), participants, asked, references, how, seed, memory)
        store = generate_blocks(plan, path, client, self.progress)
        return Crowd.open(store.path, memory=memory, client=client)

    def shares(
        self,
        problems: pd.DataFrame | Iterable[object] | None = None,
        references: References | None = None,
        *,
        participants: int | pd.DataFrame = 1024,
        seed: int = 0,
    ) -> npt.NDArray[np.float64]:
        """The predictive distribution: share of each level in a crowd whose every member answers infinitely often.

        Returns
        -------
        ndarray
            Shape `(n_problems, n_levels)`, discrete scales only; of a model that overrides `crowd` or `eps_dist`,
            counted in one crowd of these participants.

        Raises
        ------
        DataError
            On a continuous scale, which has no levels.
        ModelError
            When the model is not fitted.
        """
        from .inference.program import tells_the_story
        from .inference.runtime import seeded

        if isinstance(self.scale, Continuous):
            raise DataError("shares need a discrete scale; generate a crowd of continuous answers instead.")
        if not tells_the_story(self.model):
            return self.generate(participants, problems, references, participation=1.0, seed=seed).shares()
        asked = self._asked(problems, references)
        recruits = recruit(self._state(), participants, generator(seed))
        y_ref = twin_references(self._state(), recruits, asked, references)
        with seeded(seed, self.device):
            return shares_of(self._state(), recruits, asked, y_ref)

    def log_score(
        self, data: CrowdData, references: References | None = None, *, n_draws: int = 128, seed: int = 0
    ) -> LogScore:
        """Joint and single log score of people's answers given their profiles, eps drawn from the prior.

        Parameters
        ----------
        data
            Answers that the model was not fitted to.
        references
            Of problems that are not of training.
        n_draws
            Draws of eps, at least 64.
        seed
            Of the draws.

        Raises
        ------
        DataError
            When the data are on another scale than the model.
        ModelError
            When `n_draws` is below 64.
        """
        from .inference.runtime import seeded
        from .inference.score import log_score

        if n_draws < 64:
            raise ModelError(f"n_draws={n_draws}: a reported log score takes at least 64 draws.")
        fitted = self._state()
        require_data(data)
        if data.scale != fitted.scale:
            raise DataError(f"data is on {data.scale}, the model on {fitted.scale}; put them on one scale.")
        batch = self.batch(data, references)
        with seeded(seed, self.device):
            return log_score(fitted.model, batch, n_draws, seed)

    def condition(
        self,
        answers: pd.DataFrame | CrowdData | None,
        participants: pd.DataFrame | None = None,
        problems: pd.DataFrame | None = None,
        references: References | None = None,
        *,
        n_draws: int = 1024,
        seed: int = 0,
    ) -> ConditionedPeople:
        """Get to know real people from a few answers, without asking an LLM.

        Parameters
        ----------
        answers
            Long frame `problem, participant, response`, or a `CrowdData`; None for people who gave none.
        participants
            Their profiles, indexed by participant; whoever gave no answer keeps the prior.
        problems, references
            Of answers to problems that are not of training: a frame with texts, and what the LLM answered.
        n_draws
            Draws of each one's noise.
        seed
            Equal seeds give equal draws.

        Returns
        -------
        ConditionedPeople
            Predicts and draws their answers to other problems, scores further answers, takes further waves.
        """
        from .conditioning import condition

        return condition(self, answers, participants, problems, references, n_draws=n_draws, seed=seed)

    def interval(
        self,
        data: CrowdData,
        references: References | None = None,
        *,
        population: pd.DataFrame | None = None,
        alpha: float = 0.05,
        method: Method = "rectified",
        seed: int = 0,
        **options: Any,
    ) -> CrowdInterval:
        """Confidence intervals of what people answer on average, cross-fitted: this very fit plays no part.

        Parameters
        ----------
        data, references
            As in `fit`.
        population
            Profiles of those who are to be spoken for, sampled apart from these people; None takes their own, and the
            crowd then adds nothing.
        alpha, method
            As in `theory.crowd_interval`.
        seed
            Of folds, fits and draws.
        **options
            `k`, `n_draws`, `shares`, `pooled`, `simultaneous`, `alternative`, `weights` (`crowd_intervals`).

        Returns
        -------
        CrowdInterval
            One interval a problem, in the unit of the response; with `shares` one an option as well.

        Raises
        ------
        DataError
            For labels without `shares`, problems with fewer than two answers, and folds that people are too few for.
        """
        from .crowd_intervals import model_interval

        return model_interval(
            self, data, references, population=population, alpha=alpha, method=method, seed=seed, **options
        )

    def batch(self, data: CrowdData, references: References | None = None) -> Batch:
        """A data set as the fitted model's programs are given it, for Pyro inference of one's own.

        Parameters
        ----------
        data
            People's answers.
        references
            Of problems that are not of training.

        Returns
        -------
        Batch
            People, problems and answers as tensors, a row a person.

        Raises
        ------
        DataError
            When `data` is no `CrowdData`.
        ModelError
            When the model is not fitted.
        """
        require_data(data)
        return batch_of(self._state(), self.backbone, data, references)

    def _asked(self, problems: pd.DataFrame | Iterable[object] | None, references: References | None) -> Asked:
        """Problems as the model sees them."""
        fitted = self._state()
        frame = frame_of(fitted, problems)
        return Asked.of(fitted, frame, *covariates_of(fitted, self.backbone, frame, references))

    # -- files -------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write the model as `model.safetensors` and `model.json` into a folder."""
        from .persistence import save

        return save(self, folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        model: Callable[..., Any] | None = None,
        guide: Callable[[Any], Any] | None = None,
        blender: Callable[..., Any] | None = None,
        backbone: Backbone | None = None,
        device: str = "cpu",
    ) -> CrowdLLM:
        """Read a folder that `save` wrote; equal seeds give the crowd of the model that was saved.

        Parts of one's own, model, guide or blender, must be passed again: no code is read from the folder.

        Raises
        ------
        ModelError
            When the folder holds no model, or one with a part of one's own that is not passed.
        """
        from .persistence import load

        return load(cls, folder, Parts(model, guide, blender), backbone=backbone, device=device)
