"""Methods of the crowdsourcing studies: the crowd, the paper's baselines, and the yardsticks that it lacks.

Each is a function of a trial and a backbone's references and returns a `Prediction`: the exact distribution of answers
to every problem asked, a way to draw virtual participants, and what they cost in calls of an LLM.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import baselines
from ..config import CrowdConfig
from ..errors import DataError
from ..estimator import CrowdLLM
from ..features import ProblemFeatures
from ..inference.seeds import generator
from ..mrp import MRP
from ..profiles import ProfileEncoder
from ..references import References
from .crowdsourcing_protocols import Trial
from .scoring import YARDSTICK, ordinal
from .search import CHOSEN

FloatArray = npt.NDArray[np.float64]

# Answers that self-consistency takes a majority of.
_CHAINS = 8
# Tokens of a prompt beside its text, and characters of a token: recorded answers came without counts.
_PROMPT_TOKENS, _TOKEN_CHARACTERS = 60, 4


@dataclass(frozen=True, eq=False)
class Backbone:
    """Recorded or computed answers of one LLM, or of several side by side.

    Attributes
    ----------
    name
        Of the LLM, or of the panel.
    references
        Without gaps, of all problems of the study.
    table
        Source whose answers the calibration table is made of: the LLM itself, of a panel its strongest member.
    """

    name: str
    references: References
    table: str

    def calls(self) -> int:
        """Answers asked for a problem: zero-shot and under every persona, of every LLM."""
        return sum(len(source.personas) for source in self.references)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method says about the problems asked.

    Attributes
    ----------
    shares
        Share of every level in an infinite crowd, `(n_problems, n_levels)`.
    draw
        Codes of n virtual participants by a seed, `(n, n_problems)`.
    fixed_calls, calls_per_virtual
        Calls of an LLM whatever the size of the crowd, and for each of its members.
    seconds
        Processor time until the distribution was there.
    model
        The fitted crowd; None of a yardstick.
    """

    shares: FloatArray
    draw: Callable[[int, int], FloatArray]
    fixed_calls: int = 0
    calls_per_virtual: int = 0
    seconds: float = 0.0
    model: CrowdLLM | None = None

    def calls(self, n_virtual: int) -> int:
        """Calls of an LLM for a crowd of so many."""
        return self.fixed_calls + n_virtual * self.calls_per_virtual


Method = Callable[[Trial, Backbone | None], Prediction]


def tokens_of(trial: Trial, calls: int) -> float:
    """Prompt tokens of so many calls about the problems asked, at four characters a token."""
    characters = trial.gold.problems["text"].str.len().mean()
    return calls * (_PROMPT_TOKENS + characters / _TOKEN_CHARACTERS)


def independent(shares: FloatArray) -> Callable[[int, int], FloatArray]:
    """Virtual participants whose every answer is drawn by itself."""

    def draw(n: int, seed: int) -> FloatArray:
        below = shares.cumsum(axis=1)[:, :-1] / shares.sum(axis=1, keepdims=True)
        uniform = generator(seed).random((n, len(shares)))
        return np.asarray((uniform[..., None] > below).sum(axis=2), dtype=float)

    return draw


def predict(method: str, trial: Trial, backbone: Backbone | None) -> Prediction:
    """Run a method by its name, its processor time taken."""
    if method not in METHODS:
        raise DataError(f"method={method!r}: give {', '.join(METHODS)}.")
    if method not in WITHOUT_LLM and backbone is None:
        raise DataError(f"method={method!r} reads an LLM's answers; give a backbone.")
    start = time.process_time()
    found = METHODS[method](trial, backbone)
    return replace(found, seconds=time.process_time() - start)


# -- yardsticks without an LLM --------------------------------------------------------------------------------


def _uniform(trial: Trial, backbone: Backbone | None) -> Prediction:
    return _alone(baselines.uniform(trial.gold.n_problems, ordinal(trial.train.scale).n_levels))


def _constant_mode(trial: Trial, backbone: Backbone | None) -> Prediction:
    return _alone(baselines.constant_mode(trial.train.counts(), trial.gold.n_problems))


def _training_marginal(trial: Trial, backbone: Backbone | None) -> Prediction:
    return _alone(baselines.training_marginal(trial.train.counts(), trial.gold.n_problems))


def _independent_histograms(trial: Trial, backbone: Backbone | None) -> Prediction:
    _need_seen(trial, "independent_histograms")
    return _alone(baselines.independent_histograms(trial.train.counts()))


def _resampled_people(trial: Trial, backbone: Backbone | None) -> Prediction:
    """People drawn with replacement, each with all their answers; so many that every problem is answered."""
    _need_seen(trial, "resampled_people")
    n_levels = ordinal(trial.train.scale).n_levels
    drawn = baselines.resample_people(trial.train.matrix(), 10 * trial.train.n_participants, trial.seed)
    counts = np.stack([(drawn == level).sum(axis=0) for level in range(n_levels)], axis=1)
    return _alone(baselines.independent_histograms(counts))


def _second_humans(trial: Trial, backbone: Backbone | None) -> Prediction:
    """As many other people as those of the gold, drawn from the people of training."""
    if trial.protocol != "participant":
        raise DataError(
            f"method='second_humans' under protocol={trial.protocol!r}: other people's answers to the same problems "
            "are not there; it stands under 'participant'."
        )
    order = generator(trial.seed).permutation(trial.train.n_participants)[: trial.gold.n_participants]
    some = trial.train.select(participants=trial.train.participants.index[np.sort(order)])
    total = trial.train.counts().sum(axis=0)
    counts = some.counts()
    counts[counts.sum(axis=1) == 0] = total
    return _alone(baselines.independent_histograms(counts))


def _demographic_regression(trial: Trial, backbone: Backbone | None) -> Prediction:
    train, scale = trial.train, ordinal(trial.train.scale)
    traits = ProfileEncoder.fit(train.participants).transform(train.participants)
    each = baselines.demographic_regression(traits[train.participant_code], train.response, traits, scale.n_levels)
    shares = np.tile(each.mean(axis=0), (trial.gold.n_problems, 1))

    def draw(n: int, seed: int) -> FloatArray:
        rng = generator(seed)
        below = each[rng.integers(len(each), size=n)].cumsum(axis=1)[:, None, :-1]
        return np.asarray((rng.random((n, trial.gold.n_problems, 1)) > below).sum(axis=2), dtype=float)

    return Prediction(shares, draw)


def _vae(trial: Trial, backbone: Backbone | None) -> Prediction:
    return fitted_crowd(replace(CHOSEN, use_reference=False), trial, None)


# -- the LLM without people -------------------------------------------------------------------------------------


def _zero_shot(trial: Trial, backbone: Backbone | None) -> Prediction:
    return _asked(_base(trial, backbone), trial, 1)


def _multi_persona(trial: Trial, backbone: Backbone | None) -> Prediction:
    asked = _of(backbone).references.select(trial.gold.problems.index)
    shares = np.mean([_personas(asked, name) for name in asked.names], axis=0)
    return _asked(shares, trial, 1)


def _self_consistency(trial: Trial, backbone: Backbone | None) -> Prediction:
    shares = baselines.self_consistency(_base(trial, backbone), _CHAINS, seed=trial.seed)
    return _asked(shares, trial, _CHAINS)


# -- people and the LLM ------------------------------------------------------------------------------------------


def _calibration_table(trial: Trial, backbone: Backbone | None) -> Prediction:
    llm = _of(backbone)
    train, asked = (
        baselines.reference_level(llm.references.select(part.problems.index).probabilities(llm.table))
        for part in (trial.train, trial.gold)
    )
    return _told(baselines.calibration_table(train, trial.train.counts(), asked), trial, 1)


def _ridge_calibration(trial: Trial, backbone: Backbone | None) -> Prediction:
    llm, train = _of(backbone), trial.train
    known = llm.references.select(train.problems.index)
    features = ProblemFeatures.fit(train.problems, known, None, train.scale, train.response)
    x, _ = features.transform(train.problems, known)
    asked, _ = features.transform(trial.gold.problems, llm.references.select(trial.gold.problems.index))
    return _told(baselines.ridge_calibration(x, train.counts(), asked), trial, llm.calls())


def _mrp(trial: Trial, backbone: Backbone | None) -> Prediction:
    llm, train = _of(backbone), trial.train
    fitted = MRP(**YARDSTICK).fit(train, llm.references.select(train.problems.index), seed=trial.seed)
    asked = llm.references.select(trial.gold.problems.index)
    found = fitted.estimate(problems=trial.gold.problems.index, references=asked, seed=trial.seed).shares()
    return _told(found, trial, len(llm.references.names))


def _crowdllm(trial: Trial, backbone: Backbone | None) -> Prediction:
    return fitted_crowd(CHOSEN, trial, _of(backbone))


def _crowdllm_paper(trial: Trial, backbone: Backbone | None) -> Prediction:
    return fitted_crowd(CrowdConfig.paper(), trial, _of(backbone))


WITHOUT_LLM: dict[str, Method] = {
    "uniform": _uniform,
    "constant_mode": _constant_mode,
    "training_marginal": _training_marginal,
    "independent_histograms": _independent_histograms,
    "resampled_people": _resampled_people,
    "second_humans": _second_humans,
    "demographic_regression": _demographic_regression,
    "vae_without_llm": _vae,
}
METHODS: dict[str, Method] = {
    **WITHOUT_LLM,
    "llm_zero_shot": _zero_shot,
    "llm_multi_persona": _multi_persona,
    "llm_self_consistency": _self_consistency,
    "calibration_table": _calibration_table,
    "ridge_calibration": _ridge_calibration,
    "mrp": _mrp,
    "crowdllm_paper": _crowdllm_paper,
    "crowdllm": _crowdllm,
}
# Where their problems, or other people's answers to them, are there.
ONLY_UNDER = {
    "independent_histograms": ("participant", "all"),
    "resampled_people": ("participant", "all"),
    "second_humans": ("participant",),
}


def defined(method: str, protocol: str) -> bool:
    """Whether a method can be run under a protocol."""
    return protocol in ONLY_UNDER.get(method, (protocol,))


def crowd_model(config: CrowdConfig, trial: Trial, backbone: Backbone | None) -> CrowdLLM:
    """A crowd fitted to the training part, which holds back what the trial does."""
    known = None if backbone is None else backbone.references.select(trial.train.problems.index)
    model = CrowdLLM(replace(config, holdout=trial.holdout), progress=False)
    return model.fit(trial.train, known, seed=trial.seed)


def fitted_crowd(config: CrowdConfig, trial: Trial, backbone: Backbone | None) -> Prediction:
    """A fitted crowd, its problems those of the gold."""
    model, asked, calls = crowd_model(config, trial, backbone), None, 0
    if backbone is not None:
        asked = backbone.references.select(trial.gold.problems.index)
        calls = backbone.calls() * _problems(trial)
    how: dict[str, Any] = {"problems": trial.gold.problems, "references": asked}
    shares = model.shares(participants=2048, seed=trial.seed, **how)

    def draw(n: int, seed: int) -> FloatArray:
        return model.generate(n, participation=1.0, seed=seed, **how).codes()

    return Prediction(shares, draw, calls, model=model)


def _alone(shares: FloatArray) -> Prediction:
    return Prediction(shares, independent(shares))


def _asked(shares: FloatArray, trial: Trial, calls: int) -> Prediction:
    """Every virtual participant is a call of the LLM, or several."""
    return Prediction(shares, independent(shares), calls_per_virtual=calls * trial.gold.n_problems)


def _told(shares: FloatArray, trial: Trial, calls: int) -> Prediction:
    """The LLM is asked once about each problem, those of training too; virtual participants cost nothing."""
    return Prediction(shares, independent(shares), calls * _problems(trial))


def _problems(trial: Trial) -> int:
    """Problems that an LLM is asked about, of training and of the gold."""
    return trial.gold.n_problems + (0 if trial.seen else trial.train.n_problems)


def _of(backbone: Backbone | None) -> Backbone:
    if backbone is None:
        raise DataError("backbone=None: this method reads an LLM's answers.")
    return backbone


def _base(trial: Trial, backbone: Backbone | None) -> FloatArray:
    """Zero-shot shares, mean over the panel."""
    asked = _of(backbone).references.select(trial.gold.problems.index)
    return np.asarray(np.mean([asked.probabilities(name) for name in asked.names], axis=0))


def _personas(references: References, name: str) -> FloatArray:
    """Mean over an LLM's personas; its zero-shot answer where every persona refused."""
    personas = references.probabilities(name, "mean")
    return np.where(np.isnan(personas), references.probabilities(name), personas)


def _need_seen(trial: Trial, method: str) -> None:
    if not trial.seen:
        raise DataError(
            f"method={method!r} under protocol={trial.protocol!r}: nobody of training answered its problems."
        )
