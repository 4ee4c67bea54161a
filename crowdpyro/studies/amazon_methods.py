"""Every method of the Amazon study: from a split to the shares of the stars of each product held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import baselines
from ..config import CrowdConfig
from ..errors import DataError
from ..estimator import CrowdLLM
from ..inference.profile_training import ProfileFitConfig
from ..inference.training import FitConfig
from ..recruitment.learned import LearnedProfiles
from ..reviews.table import STARS
from ..text import TextComponents, load_encoder
from .amazon_slices import ENCODER, Trial

FloatArray = npt.NDArray[np.float64]

# Chosen on development products, three folds of 26, by the mean absolute error of a product's mean without an LLM:
# training marginal .262; weight_scale .2 (the default) .256, .4 .248, .7 .241; with twice the components .246. Noise of
# their own (n_eps) for people who give two or three answers: .246 of a star on the first fold, .237 without.
CONFIG = CrowdConfig(
    n_eps=0,
    weight_scale=0.7,
    holdout="problem",
    text_encoder=f"lines:{ENCODER}",
    training=FitConfig(batch_size=1000, epochs=60),
)
PROFILES = ProfileFitConfig(n_classes=(4,), num_steps=150)
# Recruits whose answers are averaged: on development products, 500 and 2,000 differ in the fourth decimal.
N_RECRUITS = 500
_N_COMPONENTS = 32
_PENALTIES = np.logspace(-3, 2, 11)
_FLOOR = 1e-3
_STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


def llm_tells(trial: Trial) -> bool:
    """Whether the LLM's answers tell training products apart: what decides if the model reads them.

    The mean gain must be above two standard errors over products; at one, answers at chance pass one time in six. They
    cost more than they tell: on development products the model errs by .312 of a star without the answers of
    SmolLM2-135M, whose correlation with people's means there is -.12, and by .323 with them.
    """
    answers = counts(trial)
    gain = gains(trial.references()[0].probabilities(), answers)
    return bool(gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)))


def gains(x: FloatArray, answers: FloatArray) -> FloatArray:
    """Squared error of the mean of the other products less that of ridge regression, each product left out in turn.

    Parameters
    ----------
    x
        What each product is told by, such as an LLM's probabilities, shape `(n_products, d)`.
    answers
        Counts of the stars, `(n_products, 5)`: the shares are foretold, products weigh by their answers.

    Returns
    -------
    ndarray
        Shape `(n_products,)`, times the product's weight, at the penalty of the least error in all.
    """
    from sklearn.linear_model import RidgeCV

    n = answers.sum(axis=1)
    y, weight = answers / n[:, None], n / n.mean()
    x = x - x.mean(axis=0)
    norm = float(np.sqrt(np.square(x).sum(axis=1).mean()))
    ridge = RidgeCV(_PENALTIES * len(x), store_cv_results=True)
    ridge.fit(x / (norm if norm > 0 else 1.0), y, sample_weight=weight)
    # scikit-learn's squared errors, (n_products, 5, n_penalties), are times the weight already.
    errors = ridge.cv_results_.sum(axis=1)
    errors = errors[:, errors.sum(axis=0).argmin()]
    others = ((weight[:, None] * y).sum(axis=0) - weight[:, None] * y) / (weight.sum() - weight)[:, None]
    return np.asarray(weight * np.square(y - others).sum(axis=1) - errors)


def crowd(trial: Trial, *, llm: bool | None = None, own: bool = False, profile: bool = True) -> FloatArray:
    """The model, its crowd recruited by the learned profile generator.

    Parameters
    ----------
    trial
        The split.
    llm
        Whether references are read; None asks `llm_tells`.
    own
        Whether people are known by their review of the very product that they rate, as the paper has it.
    profile
        Whether people are known at all.
    """
    llm = llm_tells(trial) if llm is None else llm
    data, profiles = trial.people(own)
    train, test = trial.references() if llm else (None, None)
    config = replace(CONFIG, use_reference=llm, use_profile=profile)
    model = CrowdLLM(config, progress=False).fit(data, train, seed=trial.seed)
    if not profile:
        return model.shares(trial.asked, test, participants=1, seed=trial.seed)
    recruits = LearnedProfiles.fit(profiles, config=PROFILES, seed=trial.seed).draw(N_RECRUITS, seed=trial.seed)
    return model.shares(trial.asked, test, participants=recruits, seed=trial.seed)


def vae(trial: Trial) -> FloatArray:
    """The paper's VAE: its Eq. 4 without an LLM, which gives a person's squared error, not the answers' law."""
    data, profiles = trial.people()
    config = replace(CrowdConfig.paper(), use_reference=False, holdout="problem", text_encoder=CONFIG.text_encoder)
    training = replace(config.training, batch_size=CONFIG.training.batch_size)
    model = CrowdLLM(replace(config, training=training), progress=False).fit(data, seed=trial.seed)
    recruits = LearnedProfiles.fit(profiles, config=PROFILES, seed=trial.seed).draw(N_RECRUITS, seed=trial.seed)
    return model.shares(trial.asked, participants=recruits, seed=trial.seed)


def calibration_table(trial: Trial) -> FloatArray:
    """P(y | the LLM's likeliest stars), from training counts."""
    train, test = (baselines.reference_level(each.probabilities()) for each in trial.references())
    return baselines.calibration_table(train, counts(trial), test)


def ridge_on_text(trial: Trial) -> FloatArray:
    """Shares by ridge regression on the components of the text, its penalty by leave-one-out on training products."""
    from sklearn.linear_model import RidgeCV

    answers = counts(trial)
    n = answers.sum(axis=1)
    text = TextComponents(load_encoder(CONFIG.text_encoder), _N_COMPONENTS)
    x = text.fit_transform(list(trial.train.problems["text"]))
    fitted = RidgeCV(_PENALTIES * len(x)).fit(x, answers / n[:, None], sample_weight=n / n.mean())
    shares = np.asarray(fitted.predict(text.transform(list(trial.asked["text"]))), dtype=np.float64).clip(_FLOOR)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def writers_histogram(trial: Trial) -> FloatArray:
    """The stars that the half that writes gave: other people's ratings of the very product."""
    return baselines.independent_histograms(trial.writers()[1])


def writers_shrunk(trial: Trial) -> FloatArray:
    """The same, (n_k + c m_k) / (n + c) with the training marginal m, c by the log loss of training products."""
    train, test = trial.writers()
    answers = counts(trial)
    marginal = answers.sum(axis=0) / answers.sum()

    def shrunk(stars: FloatArray, c: float) -> FloatArray:
        return np.asarray((stars + c * marginal) / (stars.sum(axis=1, keepdims=True) + c))

    best = min(_STRENGTHS, key=lambda c: -float((answers * np.log(shrunk(train, c))).sum()))
    return shrunk(test, best)


def multi_persona(trial: Trial) -> FloatArray:
    """The LLM as several reviewers: their mean."""
    return trial.slice.persona_references.select(trial.asked.index).probabilities(persona="mean")


def counts(trial: Trial) -> FloatArray:
    """Training answers, shape `(n_problems, 5)`, in the order of `trial.train.problems`."""
    answers = trial.train.answers
    row = trial.train.problems.index.get_indexer(pd.Index(answers["problem"]))
    cell = row * STARS.n_levels + answers["response"].to_numpy(dtype=int) - 1
    found = np.bincount(cell, minlength=len(trial.train.problems) * STARS.n_levels)
    return found.reshape(-1, STARS.n_levels).astype(float)


def _zero_shot(trial: Trial) -> FloatArray:
    return trial.references()[1].probabilities()


METHODS: dict[str, Callable[[Trial], FloatArray]] = {
    "crowdllm": crowd,
    "crowdllm_reads_llm": lambda trial: crowd(trial, llm=True),
    "crowdllm_own_text": lambda trial: crowd(trial, own=True),
    "crowdllm_no_profile": lambda trial: crowd(trial, profile=False),
    "vae_without_llm": lambda trial: crowd(trial, llm=False),
    "vae": vae,
    "calibration_table": calibration_table,
    "ridge_on_text": ridge_on_text,
    "writers_shrunk": writers_shrunk,
    "writers_histogram": writers_histogram,
    "training_marginal": lambda trial: baselines.training_marginal(counts(trial), len(trial.asked)),
    "constant_mode": lambda trial: baselines.constant_mode(counts(trial), len(trial.asked)),
    "uniform": lambda trial: baselines.uniform(len(trial.asked), STARS.n_levels),
    "llm_zero_shot": _zero_shot,
    "llm_multi_persona": multi_persona,
    "llm_self_consistency": lambda trial: baselines.self_consistency(_zero_shot(trial), seed=trial.seed),
}


def predict(method: str, trial: Trial) -> FloatArray:
    """Shares of the stars, shape `(n_products, 5)`, in the order of `trial.asked`."""
    if method not in METHODS:
        raise DataError(f"method={method!r}: give {', '.join(METHODS)}.")
    return METHODS[method](trial)
