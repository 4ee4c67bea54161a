"""Fitting: stochastic variational inference on the joint, then the margins.

Stage one minimises an objective over minibatches of participants with one foreach Adam, the learning rate
annealed by a half cosine and the KL warmed up, and stops early on held-out answers. Stage two (`margins`) fits
the answers' distribution problem by problem to all answers, held-out ones included: its normal priors, not early
stopping, keep it from overfitting (100 steps score as well on new problems as 30).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel
from .guide import ParticipantGuide
from .margins import fit_margins
from .objective import PredictiveObjective
from .score import log_score


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
        Share of the epochs over which the KL's weight grows from 0 to 1.
    patience
        Epochs without a better held-out score before stopping.
    every
        Epochs between held-out scores.
    n_draws
        Draws of eps in the held-out score.
    margin_steps
        Steps of stage two; 0 leaves it out.
    """

    epochs: int = 150
    batch_size: int = 50
    lr: float = 1e-2
    warm_up: float = 0.2
    patience: int = 40
    every: int = 5
    n_draws: int = 64
    margin_steps: int = 100

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "every", "n_draws"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}={getattr(self, name)}: give at least 1.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ModelError(f"lr={self.lr}: give a positive learning rate.")
        if not 0 <= self.warm_up <= 1:
            raise ModelError(f"warm_up={self.warm_up}: give a share of the epochs in [0, 1].")
        if self.margin_steps < 0:
            raise ModelError(f"margin_steps={self.margin_steps}: give 0 or more.")


@dataclass
class FitHistory:
    """What a fit went through.

    Attributes
    ----------
    loss
        Training loss of every epoch, nats per answer.
    score
        `(epoch, joint, single)` held-out log scores, nats per answer.
    best_epoch
        Where stage one was kept.
    margins
        Log likelihood of the margins in stage two, step by step, nats per answer.
    """

    loss: list[float] = field(default_factory=list)
    score: list[tuple[int, float, float]] = field(default_factory=list)
    best_epoch: int = 0
    margins: list[float] = field(default_factory=list)


def fit(
    model: JointModel,
    guide: ParticipantGuide,
    train: Batch,
    valid: Batch | None,
    everything: Batch,
    config: FitConfig,
    *,
    seed: int,
    report: Callable[[int, float], None] | None = None,
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
    """
    history = FitHistory()
    if config.epochs:
        _fit_joint(model, guide, train, valid, config, seed, history, report)
    model.eval()
    guide.eval()
    if config.margin_steps:
        history.margins = fit_margins(model, everything, n_steps=config.margin_steps, seed=seed)
    return history


def _fit_joint(
    model: JointModel,
    guide: ParticipantGuide,
    train: Batch,
    valid: Batch | None,
    config: FitConfig,
    seed: int,
    history: FitHistory,
    report: Callable[[int, float], None] | None,
) -> None:
    """Stage one."""
    objective = PredictiveObjective(model, guide)
    both = torch.nn.ModuleDict({"model": model, "guide": guide})
    optimizer = torch.optim.Adam(both.parameters(), lr=config.lr, foreach=True)
    order = torch.Generator().manual_seed(seed)
    warm_up = config.warm_up * config.epochs if model.n_eps else 0.0
    best, kept = -math.inf, None
    for epoch in range(config.epochs):
        both.train()
        annealed = 0.05 + 0.475 * (1 + math.cos(math.pi * epoch / config.epochs))
        for group in optimizer.param_groups:
            group["lr"] = config.lr * annealed
        beta = min(1.0, (epoch + 1) / warm_up) if warm_up else 1.0
        total = 0.0
        shuffled = torch.randperm(train.n_participants, generator=order).to(train.rows.device)
        for chosen in shuffled.split(config.batch_size):
            batch = train.people(chosen)
            optimizer.zero_grad(set_to_none=True)
            try:
                loss = objective.loss(batch, beta)
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                raise _diverged(epoch, math.nan, config.lr) from error
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * batch.n_answers
        history.loss.append(total / max(train.n_answers, 1))
        if not math.isfinite(history.loss[-1]):
            raise _diverged(epoch, history.loss[-1], config.lr)
        if report is not None:
            report(epoch, history.loss[-1])
        if valid is None or (epoch + 1) % config.every or epoch + 1 < warm_up:
            continue
        both.eval()
        score = log_score(model, valid, config.n_draws, seed)
        history.score.append((epoch, score.joint, score.single))
        if score.joint > best:
            best, history.best_epoch = score.joint, epoch
            kept = {name: value.clone() for name, value in both.state_dict().items()}
        elif epoch - history.best_epoch >= config.patience:
            break
    if kept is None:
        history.best_epoch = len(history.loss) - 1
    else:
        both.load_state_dict(kept)


def _diverged(epoch: int, loss: float, lr: float) -> ModelError:
    return ModelError(f"epoch {epoch}: the loss is {loss}; check the covariates for huge values, or lower lr={lr:g}.")
