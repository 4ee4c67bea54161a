"""The demo's study: 200 people answer 25 personality items, and a crowd is built from them.

2,800 people fall into three disjoint groups: the sample of 200 that everything is fitted to, a second sample of 200
(what another survey of the same size would have said), and the truth of 2,400. Three questions:

seen      all items in training: does the crowd answer, and hang together, as people do?
withheld  five items, one a trait, kept from training and answered from text, reference and eps
score     held-out log score of the truth's answers given their profiles
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed

from .. import baselines, metrics
from ..crowd import Crowd
from ..data import CrowdData
from ..estimator import CrowdLLM
from ..mrp import MRP
from ..references import References
from .scoring import YARDSTICK, Results, ordinal

FloatArray = npt.NDArray[np.float64]

STUDY = "personality"
N_SAMPLE = 200
# Large enough that the crowd's own sampling noise is small beside that of 200 people.
N_CROWD = 10_000
QUESTION = "How accurately does this statement describe you, from 1 (very inaccurate) to 6 (very accurate)?"
PERSONAS = {
    "young man": "a 20-year-old man",
    "young woman": "a 20-year-old woman",
    "older man": "a 45-year-old man",
    "older woman": "a 45-year-old woman",
}


@dataclass
class Split:
    """One split's results and what the pictures need of it."""

    results: pd.DataFrame
    crowd: Crowd
    truth: Crowd


def groups(data: CrowdData, seed: int) -> tuple[CrowdData, CrowdData, CrowdData]:
    """Sample, second sample and truth: 200, 200 and all other people."""
    order = data.participants.index[np.random.default_rng(seed).permutation(data.n_participants)]
    cuts = (order[:N_SAMPLE], order[N_SAMPLE : 2 * N_SAMPLE], order[2 * N_SAMPLE :])
    sample, second, truth = (data.select(participants=part) for part in cuts)
    return sample, second, truth


def run(
    data: CrowdData,
    references: References,
    splits: int = 5,
    *,
    jobs: int | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[pd.DataFrame, Split]:
    """All splits, two at a time where there are two cores.

    Parameters
    ----------
    data, references
        The survey, and the LLM's answers to its items (zero-shot and personas).
    splits
        Seeds 0 to splits - 1.
    jobs
        Processes; one a core, four at most, when None.
    report
        Told what is being done.

    Returns
    -------
    tuple of DataFrame and Split
        Long-form results of all splits, and the first split whole.
    """
    jobs = min(os.cpu_count() or 1, 4) if jobs is None else jobs
    done: list[Split] = []
    tasks = Parallel(n_jobs=min(jobs, splits), return_as="generator")(
        delayed(one_split)(data, references, seed) for seed in range(splits)
    )
    for each in tasks:
        done.append(each)
        report(f"split {len(done)} of {splits} done")
    return pd.concat([each.results for each in done], ignore_index=True), done[0]


def one_split(data: CrowdData, references: References, seed: int) -> Split:
    """The three blocks on one split."""
    sample, second, truth = groups(data, seed)
    seen, crowd = _seen(sample, second, truth, references, seed)
    frames = [seen, withheld(sample, truth, references, seed)]
    return Split(pd.concat(frames, ignore_index=True), crowd, Crowd.from_data(truth))


def _seen(
    sample: CrowdData, second: CrowdData, truth: CrowdData, references: References, seed: int
) -> tuple[pd.DataFrame, Crowd]:
    """Blocks one and three: all items are in training."""
    results = Results(STUDY, "seen", references.names[0], seed)
    scores = Results(STUDY, "score", references.names[0], seed)
    humans = Crowd.from_data(truth)
    items = np.arange(sample.n_problems)
    variants: Mapping[str, tuple[dict[str, Any], References | None]] = {
        "crowdllm": ({}, references),
        "without_eps": ({"n_eps": 0}, references),
        "without_profile": ({"use_profile": False}, references),
        "vae_without_llm": ({}, None),
    }
    crowd = None
    for method, (settings, refs) in variants.items():
        model = CrowdLLM(progress=False, **settings).fit(sample, refs, seed=seed)
        drawn = model.generate(N_CROWD, seed=seed)
        crowd = crowd or drawn
        score = model.log_score(truth, n_draws=256, seed=seed)
        scores.add(method, "joint_log_score", score.joint)
        scores.add(method, "single_log_score", score.single)
        if method != "without_profile":
            _compare(results, method, drawn.shares(), drawn.correlation().to_numpy(), humans, items)
    _compare(results, "second_human_sample", *_of_people(second), humans, items)
    people = Crowd.from_matrix(
        baselines.resample_people(sample.matrix(), N_CROWD, seed),
        scale=sample.scale,
        problems=sample.problems,
        participants=pd.DataFrame(index=range(N_CROWD)),
    )
    _compare(results, "resampled_people", people.shares(), people.correlation().to_numpy(), humans, items)
    mrp = MRP(**YARDSTICK).fit(sample, references, seed=seed)
    _compare(results, "mrp", mrp.estimate(seed=seed).shares(), None, humans, items)
    scores.add("mrp", "single_log_score", mrp.log_score(truth, seed=seed))
    counts = sample.counts()
    _compare(results, "independent_histograms", baselines.independent_histograms(counts), None, humans, items)
    _yardsticks(results, counts, references, references, humans, items, seed)
    histogram = -metrics.log_loss((counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True), truth.counts())
    for name in ("joint_log_score", "single_log_score"):
        scores.add("independent_histograms", name, histogram)
        scores.add("uniform", name, -float(np.log(ordinal(sample.scale).n_levels)))
    if crowd is None:
        raise RuntimeError("no variant was fitted")
    return pd.concat([results.frame(), scores.frame()]), crowd


def withheld(sample: CrowdData, truth: CrowdData, references: References, seed: int) -> pd.DataFrame:
    """Block two: one item a trait is answered that no model was trained on."""
    results = Results(STUDY, "withheld", references.names[0], seed)
    humans = Crowd.from_data(truth)
    rng = np.random.default_rng(seed)
    traits = sample.problems["trait"]
    held = np.sort([int(rng.choice(np.flatnonzero(traits == trait))) for trait in traits.unique()])
    kept = np.setdiff1d(np.arange(sample.n_problems), held)
    training = sample.select(problems=sample.problems.index[kept])
    variants: Mapping[str, tuple[dict[str, Any], References | None]] = {
        "crowdllm": ({}, references),
        "without_eps": ({"n_eps": 0}, references),
        "vae_without_llm": ({}, None),
    }
    for method, (settings, refs) in variants.items():
        model = CrowdLLM(progress=False, **settings).fit(training, refs, seed=seed)
        drawn = model.generate(N_CROWD, sample.problems, refs, seed=seed)
        _compare(results, method, drawn.shares(), drawn.correlation().to_numpy(), humans, held)
    trained = references.select(training.problems.index)
    mrp = MRP(**YARDSTICK).fit(training, trained, seed=seed)
    shares = mrp.estimate(problems=sample.problems.index, references=references, seed=seed).shares()
    _compare(results, "mrp", shares, None, humans, held)
    _yardsticks(results, training.counts(), trained, references, humans, held, seed)
    return results.frame()


def _yardsticks(
    results: Results,
    counts: FloatArray,
    trained: References,
    asked: References,
    humans: Crowd,
    items: npt.NDArray[np.int64],
    seed: int,
) -> None:
    """What needs no fit; answers of the LLM alone do not hang together, its personas' do."""
    zero_shot = asked.probabilities()
    n, n_levels = zero_shot.shape
    _compare(results, "llm_zero_shot", zero_shot, None, humans, items)
    personas = _persona_crowd(asked, humans, seed)
    _compare(results, "llm_multi_persona", personas.shares(), personas.correlation().to_numpy(), humans, items)
    _compare(results, "llm_self_consistency", baselines.self_consistency(zero_shot, seed=seed), None, humans, items)
    levels = [baselines.reference_level(each.probabilities()) for each in (trained, asked)]
    table = baselines.calibration_table(levels[0], counts, levels[1])
    _compare(results, "calibration_table", table, None, humans, items)
    _compare(results, "training_marginal", baselines.training_marginal(counts, n), None, humans, items)
    _compare(results, "constant_mode", baselines.constant_mode(counts, n), None, humans, items)
    _compare(results, "uniform", baselines.uniform(n, n_levels), None, humans, items)


def _persona_crowd(references: References, humans: Crowd, seed: int) -> Crowd:
    """People who are one of the LLM's personas each, answering independently given it."""
    rng = np.random.default_rng(seed)
    source = references.source()
    personas = [place for place, name in enumerate(source.personas) if name]
    who = rng.choice(personas, size=N_CROWD)
    below = source.values.cumsum(axis=2)[:, who, :-1].transpose(1, 0, 2)
    answers = (rng.random((N_CROWD, len(source.problems), 1)) > below).sum(axis=-1)
    return Crowd.from_matrix(
        answers,
        scale=references.scale,
        problems=pd.DataFrame(index=humans.problems),
        participants=pd.DataFrame(index=range(N_CROWD)),
    )


def _of_people(data: CrowdData) -> tuple[FloatArray, FloatArray]:
    people = Crowd.from_data(data)
    return people.shares(), people.correlation().to_numpy()


def _compare(
    results: Results,
    method: str,
    shares: FloatArray,
    correlation: FloatArray | None,
    humans: Crowd,
    items: npt.NDArray[np.int64],
) -> None:
    """Metrics on these items, and the correlation error over the pairs that touch one of them."""
    results.add_shares(method, shares[items], humans.counts()[items], ordinal(humans.scale))
    true = humans.correlation().to_numpy()
    if correlation is None:
        correlation = np.eye(len(true))
    touched = np.zeros_like(true, dtype=bool)
    touched[items] = True
    touched[:, items] = True
    results.add(method, "correlation_error", metrics.correlation_error(np.where(touched, correlation, np.nan), true))
