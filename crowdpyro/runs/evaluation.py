"""A run's crowd beside other people's answers, with the trivial yardsticks in the same table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import wasserstein_distance

from .. import baselines, metrics
from ..checkpoint import fingerprint
from ..crowd import Crowd
from ..data import CrowdData, amounts, answer_words, read_participants, read_problems
from ..errors import CrowdPyroError, DataError
from ..estimator import CrowdLLM
from ..models.ballot import Ballot
from ..models.scales import Categorical, Continuous, Ordinal
from ..profiles import clean_profiles
from ..references import References
from ..studies.scoring import Results
from ..survey import WEIGHT, SurveyDesign, design_of
from ..tables import id_hint, id_text, read_table, row_of, shown
from .ballots import add_ballots, ballot_yardsticks
from .folder import Say, load_run, new_references, read_options, read_people, read_references

FloatArray = npt.NDArray[np.float64]

SPLIT = "humans"


def evaluate_run(
    run: Path,
    humans: Path,
    say: Say,
    *,
    problems: Path | None = None,
    references: Path | None = None,
    participants: Path | None = None,
    people: int = 2048,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Compare a run's crowd with other people's answers to the same problems, or to new ones.

    Parameters
    ----------
    run
        Its folder.
    humans
        Their answers: a file of `problem, participant, response`.
    say
        Told what is measured and what is left out.
    problems, references
        Files of problems that are not of training, and of the LLM's answers to them.
    participants
        File of their profiles; without it, and when they are not the people of training, the log score of their
        answers given their profiles is left out.
    people
        Virtual participants.
    seed, device
        As in `CrowdLLM`.

    Returns
    -------
    DataFrame
        Long form, columns of `studies.scoring.COLUMNS`.
    """
    model = load_run(run, device)
    scale = model.scale
    table = model.problems if problems is None else read_problems(problems)
    data, known = _humans(model, humans, table, participants, say, new=problems is not None)
    answered = data.problems.index[np.unique(data.problem_code)]
    data = data.select(problems=answered)
    say(f"read {amounts(data)}")
    answers = new_references(model, run, data.problems, references, say)
    results = Results("evaluate", SPLIT, ", ".join(model.sources), seed)
    crowd = model.generate(people, data.problems, answers, seed=seed)
    if isinstance(scale, Continuous):
        _continuous(results, "crowdllm", crowd, data)
    else:
        shares = model.shares(data.problems, answers, participants=people, seed=seed)
        for method, predicted in {"crowdllm": shares, **_yardsticks(model, run, data, answers, say)}.items():
            _add(results, method, predicted, data)
    _correlation(results, crowd, data)
    if known:
        score = model.log_score(data, answers, seed=seed)
        results.add("crowdllm", "joint_log_score", score.joint)
        results.add("crowdllm", "single_log_score", score.single)
    else:
        say("profiles of these people are not known: no log score; give --participants")
    return results.frame()


def _humans(
    model: CrowdLLM, path: Path, problems: pd.DataFrame, participants: Path | None, say: Say, *, new: bool
) -> tuple[CrowdData, bool]:
    """Their answers, and whether the profiles beside them are their own."""
    frame = read_table(path, answer_words(model.scale))
    if not new and "problem" in frame.columns:
        asked = frame["problem"].dropna()
        other = asked[~asked.map(id_text).isin({id_text(each) for each in problems.index})]
        if len(other):
            place = f"{row_of(other.index)}, {other.nunique()} such"
            raise DataError(
                f"file {str(path)!r}: problem {shown(other.iloc[0])} ({place}) is none of the run's."
                f"{id_hint(other.iloc[0], problems.index)} Drop its answers, or give --problems with "
                "its text, and --references with the LLM's answer to it."
            )
    people: pd.DataFrame | None = None
    design = None
    if participants is not None:
        profiles, design = design_of(read_participants(participants), model.profiles.columns)
        people, notes = clean_profiles(profiles, model.profiles)
        for note in notes:
            say(f"  {note}")
    elif "participant" in frame.columns and frame["participant"].isin(model.profiles.index).all():
        people = model.profiles
        if model.weights is not None:
            design = SurveyDesign(pd.DataFrame({WEIGHT: model.weights}, index=people.index))
    # The traits stand aside while the answers are joined: what is no trait among few people was one in training.
    ids = None if people is None else people.index.to_frame(index=False)
    data = CrowdData.from_frames(frame, problems.reset_index(), ids, scale=model.scale)
    if people is not None:
        data = replace(data, participants=people, design=design)
    present = np.unique(data.participant_code)
    data = data.select(participants=data.participants.index[present])
    return data, people is not None or model.profiles.shape[1] == 0


def _add(results: Results, method: str, shares: FloatArray, data: CrowdData) -> None:
    """A predicted distribution against their counts."""
    if isinstance(data.scale, Ballot):
        add_ballots(results, method, shares, data)
        return
    counts = data.counts()
    if isinstance(data.scale, Ordinal):
        results.add_shares(method, shares, counts, data.scale)
        return
    results.add(
        method, "cosine_similarity", metrics.cosine_similarity(shares, baselines.independent_histograms(counts))
    )
    results.add(method, "log_loss", metrics.log_loss(shares, counts))


def _continuous(results: Results, method: str, crowd: Crowd, data: CrowdData) -> None:
    """Means and distances of the values themselves."""
    ours, theirs = crowd.values(), data.matrix()
    weights = data.weights if data.weights is not None else np.ones(data.n_participants)
    distance = []
    for mine, yours in zip(ours.T, theirs.T, strict=True):
        there = ~np.isnan(yours) & (weights > 0)
        distance.append(wasserstein_distance(mine[~np.isnan(mine)], yours[there], v_weights=weights[there]))
    human = Crowd.from_data(data).aggregate("mean")
    error = metrics.mean_absolute_error(np.nanmean(ours, axis=0), human)
    results.add(method, "mae", error, "mean")
    results.add(method, "wasserstein1", float(np.mean(distance)))


def _correlation(results: Results, crowd: Crowd, data: CrowdData) -> None:
    """How the answers hang together, where enough people answered two problems."""
    if isinstance(data.scale, Categorical | Ballot):
        return
    theirs = Crowd.from_data(data).correlation()
    off = ~np.eye(len(theirs), dtype=bool)
    if np.isfinite(theirs.to_numpy()[off]).any():
        results.add("crowdllm", "correlation_error", metrics.correlation_error(crowd.correlation(), theirs))
        independent = pd.DataFrame(np.eye(len(theirs)), index=theirs.index, columns=theirs.columns)
        results.add("independent_answers", "correlation_error", metrics.correlation_error(independent, theirs))


def _yardsticks(
    model: CrowdLLM, run: Path, data: CrowdData, answers: References | None, say: Say
) -> dict[str, FloatArray]:
    """What anybody could have predicted: from the scale, the LLM, and the answers of training."""
    scale = data.scale
    if isinstance(scale, Continuous):
        raise DataError("yardsticks of a continuous scale have no levels.")
    training, trained = _training(model, run, say)
    asked = answers if answers is not None else trained
    if isinstance(scale, Ballot):
        return ballot_yardsticks(scale, data, training, asked, model.unknown(data.problems).empty)
    found: dict[str, FloatArray] = {"uniform": baselines.uniform(data.n_problems, scale.n_levels)}
    absent = 0 if asked is None else len(data.problems.index.difference(asked.problems))
    if absent:
        say(f"yardsticks of the LLM are left out: {absent} problems have no row in the references given")
        asked = None
    if asked is not None:
        asked = asked.select(data.problems.index)
        zero_shot: FloatArray = np.mean([asked.probabilities(name) for name in asked.names], axis=0)
        found["llm_zero_shot"] = zero_shot
        if any(source.persona_mean() is not None for source in asked):
            personas = np.mean([asked.probabilities(name, "mean") for name in asked.names], axis=0)
            found["llm_multi_persona"] = np.where(np.isnan(personas), zero_shot, personas)
        found["llm_self_consistency"] = baselines.self_consistency(zero_shot, seed=0)
    if training is not None:
        counts = training.counts()
        found["training_marginal"] = baselines.training_marginal(counts, data.n_problems)
        found["constant_mode"] = baselines.constant_mode(counts, data.n_problems)
        if model.unknown(data.problems).empty:
            rows = training.problems.index.get_indexer(data.problems.index)
            found["independent_histograms"] = baselines.independent_histograms(counts)[rows]
        if asked is not None and trained is not None:
            name = trained.names[0]
            levels = [baselines.reference_level(each.probabilities(name)) for each in (trained, asked)]
            found["calibration_table"] = baselines.calibration_table(levels[0], counts, levels[1])
    return found


def _training(model: CrowdLLM, run: Path, say: Say) -> tuple[CrowdData | None, References | None]:
    """What the run was fitted to, when its files are still there and unchanged."""
    try:
        options = read_options(run)
        data = read_people(options)
        references = read_references(options, data.problems, data.scale, run, lambda text: None)
    except CrowdPyroError as error:
        say(f"yardsticks of the training answers are left out: {error}")
        return None, None
    made_from = fingerprint(data, references, options.model, options.seed, options.device)
    for name in ("the answers", "the problems", "the references"):
        if made_from[name] != model.made_from[name]:
            say(f"yardsticks of the training answers are left out: {name} changed since the fit")
            return None, None
    return data, references
