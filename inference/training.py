"""Fitting: stochastic variational inference on the joint, then the margins.

Stage one minimises an objective over minibatches of participants with one foreach Adam, the learning rate
annealed by a half cosine and the KL warmed up, and stops early on held-out answers. Stage two (`margins`) fits
the answers' distribution problem by problem to all answers, held-out ones included: its normal priors, not early
stopping, keep it from overfitting (100 steps score as well on new problems as 30).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import pyro
import torch
from pyro import poutine
from pyro.infer import ELBO

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel
from .elbo import CrowdELBO
from .history import FitHistory
from .margins import fit_margins
from .paper import DecisionLoss, PaperELBO
from .predictive import PredictiveELBO
from .processes import SharedLoss, shards_here
from .program import tells_the_story
from .score import log_score
from .sites import check_sites
from .snapshot import Keeper, Snapshot, put_back, take
from .streams import sequence, streamed
from .weighing import weighed


@dataclass(frozen=True)
class FitConfig:
    """Settings of a fit.

    Parameters
    ----------
    epochs
        Passes over the participants at most.
    batch_size
        Participants in a minibatch.
    lr
        Adam's learning rate at the start.
    warm_up
        Share of the epochs over which the KL's weight grows to 1. It starts at `2 n_eps / answers a person`: where
        people gave fewer answers than that, noise that is cheap learns them by heart (six answers, five dimensions:
        zero-inflations of .5 came out at .07 and .22). On continuous scales it is 1 throughout: with any weight below
        1 the loss is unbounded there, and the fit does not come back (held-out scores 12 nats too low).
    patience
        Epochs without a better held-out score before stopping.
    every
        Epochs between held-out scores.
    n_draws
        Draws of eps in the held-out score.
    margin_steps
        Steps of stage two; 0 leaves it out.
    objective
        `predictive`, a bound on the log score of people's answers, or `paper`, Eq. 4.
    decision_weight, n_belief_draws, decision_loss
        Of the paper's objective: lambda, J, and l (see `PaperELBO`).
    n_particles
        Draws of the guide that a step averages over, vectorised.
    shards
        Parts that a minibatch is cut into, each with noise of its own stream: what several processes share
        (`processes`). Above 1 it is another fit from the same seed, and the same on any number of processes.

    Raises
    ------
    ModelError
        When a setting is out of its range.
    """

    epochs: int = 150
    batch_size: int = 50
    lr: float = 1e-2
    warm_up: float = 0.2
    patience: int = 40
    every: int = 5
    n_draws: int = 64
    margin_steps: int = 100
    objective: Literal["predictive", "paper"] = "predictive"
    decision_weight: float = 1.0
    n_belief_draws: int = 10
    decision_loss: DecisionLoss = "auto"
    n_particles: int = 1
    shards: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "every", "n_draws", "n_belief_draws", "n_particles", "shards"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}={getattr(self, name)}: give at least 1.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ModelError(f"lr={self.lr}: give a positive learning rate.")
        if not 0 <= self.warm_up <= 1:
            raise ModelError(f"warm_up={self.warm_up}: give a share of the epochs in [0, 1].")
        if self.objective not in ("predictive", "paper"):
            raise ModelError(f"objective={self.objective!r}: give 'predictive' or 'paper'.")
        if not self.decision_weight >= 0:
            raise ModelError(f"decision_weight={self.decision_weight}: give lambda >= 0.")
        if self.decision_loss not in get_args(DecisionLoss):
            raise ModelError(f"decision_loss={self.decision_loss!r}: give 'auto', 'squared' or 'log'.")
        if self.margin_steps < 0:
            raise ModelError(f"margin_steps={self.margin_steps}: give 0 or more.")


def fit(
    model: JointModel,
    guide: torch.nn.Module,
    train: Batch,
    valid: Batch | None,
    everything: Batch,
    config: FitConfig,
    *,
    seed: int,
    report: Callable[[int, float], None] | None = None,
    keeper: Keeper | None = None,
    objective: ELBO | None = None,
) -> FitHistory:
    """Fit a model and its guide in place.

    Parameters
    ----------
    model, guide
        Changed in place; left in evaluation mode.
    train, valid
        Answers to learn from, and held-out ones for early stopping (None trains all epochs).
    everything
        Both together, for stage two.
    config
        Settings.
    seed
        Of the minibatches' order; the caller seeds torch for the rest.
    report
        Called after every epoch with its number and its loss.
    keeper
        Keeps what is needed to go on after an interruption, and gives it back (see `Keeper`).
    objective
        Any ELBO of Pyro's instead of the one that the settings name; it knows no warm-up.

    Returns
    -------
    FitHistory
        Losses and held-out scores by epoch, nats an answer.

    Raises
    ------
    ModelError
        When the loss is not finite, or a snapshot does not fit.

    References
    ----------
    M. D. Hoffman, D. M. Blei, C. Wang, J. Paisley (2013), Stochastic variational inference, JMLR 14; the paper's Eq. 4
    for `PaperELBO`.
    """
    saved = None if keeper is None else keeper.restore()
    history = FitHistory() if saved is None else FitHistory.from_dict(saved.numbers["history"])
    if saved is None or saved.numbers["stage"] == "joint":
        stage = _JointStage(model, guide, train, valid, config, seed, history, objective)
        if saved is not None:
            stage.restore(saved)
        stage.run(report, keeper)
        saved = None
    model.eval()
    guide.eval()
    if config.margin_steps and tells_the_story(model):
        fit_margins(
            model,
            everything.answered(),
            n_steps=config.margin_steps,
            seed=seed,
            history=history,
            guide=guide,
            keeper=keeper,
            saved=saved,
        )
    return history


class _JointStage:
    """Stage one: its state between two steps, and how it goes on from there."""

    def __init__(
        self,
        model: JointModel,
        guide: torch.nn.Module,
        train: Batch,
        valid: Batch | None,
        config: FitConfig,
        seed: int,
        history: FitHistory,
        objective: ELBO | None,
    ) -> None:
        self.model, self.guide, self.train, self.valid = model, guide, train, valid
        self.config, self.seed, self.history = config, seed, history
        self.objective = objective_for(config) if objective is None else objective
        self.program: Any = None
        self.both = torch.nn.ModuleDict({"model": model, "guide": guide})
        self.shards = shards_here(config.shards)
        self.shared = SharedLoss(self.both, self._loss_of_shards)
        self.optimizer = torch.optim.Adam(self.both.parameters(), lr=config.lr, foreach=True)
        self.order = torch.Generator().manual_seed(seed)
        self.warm_up = config.warm_up * config.epochs if model.n_eps else 0.0
        density = getattr(getattr(model, "blender", None), "is_density", False)
        self.least_beta = 1.0 if density else 2 * model.n_eps * train.n_participants / max(train.n_given, 1)
        self.best, self.kept = -math.inf, dict[str, torch.Tensor]()
        # Within an epoch: minibatches done, their loss, and the order's generator before it was shuffled.
        self.step, self.total, self.shuffle = 0, 0.0, self.order.get_state()

    def run(self, report: Callable[[int, float], None] | None, keeper: Keeper | None) -> None:
        """Go on to the end, the best state put back."""
        history = self.history
        while len(history.loss) < self.config.epochs and not self._patience_is_over():
            self._epoch(len(history.loss), keeper)
            if report is not None:
                report(len(history.loss) - 1, history.loss[-1])
        if self.kept:
            self.both.load_state_dict(self.kept)
        else:
            history.best_epoch = len(history.loss) - 1

    def _patience_is_over(self) -> bool:
        scored = self.history.score
        return bool(scored) and scored[-1][0] - self.history.best_epoch >= self.config.patience

    def _epoch(self, epoch: int, keeper: Keeper | None) -> None:
        """One pass over the participants, or what is left of it."""
        config, train, history = self.config, self.train, self.history
        self.both.train()
        annealed = 0.05 + 0.475 * (1 + math.cos(math.pi * epoch / config.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * annealed
        beta = min(1.0, max(self.least_beta, (epoch + 1) / self.warm_up)) if self.warm_up else 1.0
        self.shuffle = self.order.get_state()
        shuffled = torch.randperm(train.n_participants, generator=self.order).to(train.rows.device)
        for chosen in shuffled.split(config.batch_size)[self.step :]:
            # Pyro checks shapes and supports at the first step; after that the checks cost a third of the time.
            with pyro.validation_enabled(epoch == 0 and self.step == 0):
                self.total += self._minibatch(chosen, beta, epoch)
            self.step += 1
            if keeper is not None:
                keeper.offer(self.snapshot)
        loss = self.total / max(train.n_given, 1)
        if not math.isfinite(loss):
            raise _diverged(epoch, loss, config.lr)
        history.loss.append(loss)
        self.step, self.total = 0, 0.0
        if self.valid is not None and (epoch + 1) % config.every == 0 and epoch + 1 >= self.warm_up:
            self._score(epoch, self.valid)

    def _minibatch(self, chosen: torch.Tensor, beta: float, epoch: int) -> float:
        """One step; the summed loss of the minibatch's answers. People who met nothing teach nothing."""
        batch = self.train.people(chosen)
        if not batch.n_answers:
            return 0.0
        self.optimizer.zero_grad(set_to_none=True)
        n_given = max(batch.n_given, 1)
        if isinstance(self.objective, CrowdELBO):
            self.objective.beta = beta
        try:
            if self.config.shards == 1:
                loss = self._loss(batch, n_given)
                loss.backward()
                found = loss.item()
            else:
                found = self.shared.backward((chosen, n_given, epoch))
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise _diverged(epoch, math.nan, self.config.lr) from error
        self.optimizer.step()
        return found * n_given

    def _loss_of_shards(self, told: tuple[torch.Tensor, int, int]) -> torch.Tensor:
        """What this process's shards add to the minibatch's loss an answer."""
        chosen, n_given, epoch = told
        total, parts = self.train.profile.new_zeros(()), chosen.tensor_split(self.config.shards)
        for number in self.shards:
            batch, share = self.train.people(parts[number]), len(parts[number]) / len(chosen)
            if batch.n_answers:
                with streamed(sequence(self.seed, epoch, self.step, number), self.train.rows.device):
                    total = total + share * self._loss(batch, share * n_given)
        return total

    def _loss(self, batch: Batch, n_given: float) -> torch.Tensor:
        """Loss an answer of a batch."""
        if isinstance(self.model, JointModel):
            # Model and guide read the same rows of the encoder.
            batch = replace(batch, met=self.model.met(batch))
        if self.program is None:
            self.program = _program(self.model, self.guide, self.objective, batch)
        # Our objectives weigh people themselves.
        with nullcontext() if isinstance(self.objective, CrowdELBO) else weighed(batch):
            loss: torch.Tensor = self.objective.differentiable_loss(self.program, self.guide, batch)
        return loss if isinstance(self.objective, PaperELBO) else loss / (batch.weight * n_given)

    def _score(self, epoch: int, valid: Batch) -> None:
        """Held-out score, and the state kept when it is the best so far."""
        self.both.eval()
        with pyro.validation_enabled(False):
            score = log_score(self.model, valid, self.config.n_draws, self.seed)
        self.history.score.append((epoch, score.joint, score.single))
        if score.joint > self.best:
            self.best, self.history.best_epoch = score.joint, epoch
            self.kept = {name: value.clone() for name, value in self.both.state_dict().items()}

    def snapshot(self) -> Snapshot:
        """Everything of it that is not given from outside."""
        numbers = {
            "stage": "joint",
            "history": asdict(self.history),
            "step": self.step,
            "total": self.total,
            "best": self.best if self.kept else None,
        }
        return take(numbers, {"both": self.both}, self.optimizer, kept=self.kept, order={"shuffle": self.shuffle})

    def restore(self, saved: Snapshot) -> None:
        """The inverse of `snapshot`; the history was given to the constructor."""
        put_back(saved, {"both": self.both}, self.optimizer)
        device = self.train.rows.device
        self.kept = {name: value.to(device) for name, value in saved.under("kept").items()}
        self.step, self.total = saved.numbers["step"], saved.numbers["total"]
        self.best = -math.inf if saved.numbers["best"] is None else saved.numbers["best"]
        self.order.set_state(saved.tensors["order.shuffle"])


def objective_for(config: FitConfig) -> CrowdELBO:
    """The objective that the settings name."""
    n = config.n_particles
    if config.objective == "predictive":
        return PredictiveELBO(num_particles=n, vectorize_particles=True)
    return PaperELBO(
        config.decision_weight,
        config.n_belief_draws,
        config.decision_loss,
        num_particles=n,
        vectorize_particles=True,
    )


def _program(model: Any, guide: Any, objective: ELBO, batch: Batch) -> Any:
    """What an objective is given: ours choose a program of the model's, stock ones get `crowd`, their sites compared.

    delta is integrated out unless the guide draws it.
    """
    if isinstance(objective, CrowdELBO):
        return model
    # Without what the batch remembers of its problems: its parts would be kept without their gradients.
    batch = replace(batch, met=None)
    with torch.no_grad(), torch.random.fork_rng(devices=[batch.rows.device] if batch.rows.is_cuda else []):
        told = poutine.trace(guide).get_trace(batch)
        crowd = partial(model.crowd, integrate="delta" not in told)
        check_sites(poutine.trace(poutine.replay(crowd, trace=told)).get_trace(batch), told)
    return crowd


def _diverged(epoch: int, loss: float, lr: float) -> ModelError:
    return ModelError(f"epoch {epoch}: the loss is {loss}; check the covariates for huge values, or lower lr={lr:g}.")
