"""Study of persons on the 25-item survey: known from a few answers, true to each other, replayed in another world.

`condition`   200 people are the sample; others answer 5, 10, 15 items in an order of their own. Scored: the last ten
              items, the same whatever was known, and all that was not asked yet (`condition_rest`).
`joint`       how answers hang together, a sample of 200 and of 1,000; humans of that number and the sample resampled
              beside the crowd.
`withheld`    five items, one a trait, that no model was trained on.
`replay`      POPQUORN's comments with GPT-4's ratings replaced by GPT-3.5's, where that data is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import baselines, individuation, replay
from ..config import CrowdConfig
from ..crowd import Crowd
from ..data import CrowdData
from ..datasets import load_offensiveness
from ..errors import DataError
from ..estimator import CrowdLLM
from ..references import References
from . import personality
from .offensiveness import choose
from .persons_yardsticks import forecast, marginal, own_mean, ridge
from .scoring import Results, ordinal, write_results

FloatArray = npt.NDArray[np.float64]

STUDY = "persons"
# People of a sample, and dimensions of their noise by the joint log score of other people on splits from 100 on: for
# 1,000 people 8 are .004 nats an answer better than 5, 10 or 12 (alpha of agreeableness is .02 nearer as well); for 200
# people 5 and 8 are equal.
N_EPS = {200: 5, 1000: 8}
KNOWN = (5, 10, 15)
N_TEST = 1000
N_LAST = 10
_WITHHELD = ("wasserstein1", "correlation_error")


def run(
    data: CrowdData,
    references: References,
    splits: int = 5,
    out: Path | None = None,
    popquorn: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Run the study.

    Parameters
    ----------
    data, references
        The survey, and the LLM's answers to its items.
    splits
        Seeds 0 to splits - 1.
    out
        Folder for `results.csv`; None writes nothing.
    popquorn
        Folder that holds `popquorn/`; None leaves the replay out.
    report
        Told what is being done.

    Returns
    -------
    DataFrame
        Long form, columns of `scoring.COLUMNS`.
    """
    if splits < 1:
        raise DataError(f"splits={splits}: give at least one.")
    every = None if popquorn is None else load_offensiveness(popquorn)
    frames = []
    for seed in range(splits):
        report(f"split {seed + 1} of {splits}")
        frames += [*one_split(data, references, seed)]
        if every is not None:
            frames.append(replayed(*every, seed))
        if out is not None:
            write_results(pd.concat(frames), out / "results.csv")
    return pd.concat(frames, ignore_index=True)


def one_split(data: CrowdData, references: References, seed: int) -> list[pd.DataFrame]:
    """Everything on the survey but the replay."""
    frames = []
    for n, n_eps in N_EPS.items():
        sample, second, truth = groups(data, n, seed)
        model = CrowdLLM(CrowdConfig(n_eps=n_eps), progress=False).fit(sample, references, seed=seed)
        frames.append(joint(model, sample, second, truth, seed))
        if n == personality.N_SAMPLE:
            other = personality.withheld(sample, truth, references, seed)
            frames += [known(model, sample, truth, seed), other[other["metric"].isin(_WITHHELD)]]
    return frames


def groups(data: CrowdData, n: int, seed: int) -> tuple[CrowdData, CrowdData, CrowdData]:
    """Sample and second sample of n people, and all others; with n = 200 those of the demo."""
    order = data.participants.index[np.random.default_rng(seed).permutation(data.n_participants)]
    sample, second, truth = (data.select(participants=part) for part in (order[:n], order[n : 2 * n], order[2 * n :]))
    return sample, second, truth


def known(model: CrowdLLM, sample: CrowdData, truth: CrowdData, seed: int) -> pd.DataFrame:
    """Further answers of people who gave some, by the model and by the yardsticks."""
    complete = truth.participants.index[np.flatnonzero(truth.answered().all(axis=1))[:N_TEST]]
    people = truth.select(participants=complete)
    levels = ordinal(people.scale).values
    answers, train = levels[people.matrix().astype(int)], _values(sample)
    order = np.argsort(np.random.default_rng(seed).random(answers.shape), axis=1)
    place = np.argsort(order, axis=1)
    at = place[people.participant_code, people.problem_code]
    results = {
        block: Results(STUDY, block, model.sources[0] if model.sources else "", seed)
        for block in ("condition", "condition_rest")
    }
    v = np.random.default_rng(seed + 1).random(answers.shape)
    middle = np.nanmedian(train, axis=0)
    for k in (0, *KNOWN):
        found = model.condition(_only(people, at < k), people.participants, seed=seed)
        table = found.predict()
        median, mean = (table[name].to_numpy().reshape(answers.shape) for name in ("median", "mean"))
        probs = table.filter(like="p_").to_numpy().reshape(*answers.shape, -1)
        chance, upto = (
            np.take_along_axis(each, people.matrix().astype(int)[..., None], axis=2)[..., 0]
            for each in (probs, probs.cumsum(axis=2))
        )
        u = upto - v * chance
        others = {
            name: forecast(predictor, train, answers, order[:, :k], levels, seed)
            for name, predictor in (("ridge", ridge), ("own_mean", own_mean), ("marginal", marginal))
            if k or predictor is marginal
        }
        for block, first in (("condition", answers.shape[1] - N_LAST), ("condition_rest", k)):
            scored, add = place >= first, results[block].add
            add("crowdllm", "mae", np.abs(median - answers)[scored].mean(), f"{k}")
            add("crowdllm_mean", "mae", np.abs(mean - answers)[scored].mean(), f"{k}")
            add("crowdllm", "log_score", np.log(chance)[scored].mean(), f"{k}")
            add("crowdllm", "coverage", ((u > 0.05) & (u < 0.95))[scored].mean(), f"{k}")
            for name, other in others.items():
                add(name, "mae", np.abs(other.median - answers)[scored].mean(), f"{k}")
                add(f"{name}_mean", "mae", np.abs(other.mean - answers)[scored].mean(), f"{k}")
                add(name, "log_score", other.log_prob[scored].mean(), f"{k}")
            add("marginal_median", "mae", np.abs(middle - answers)[scored].mean(), f"{k}")
    return pd.concat([each.frame() for each in results.values()])


def joint(model: CrowdLLM, sample: CrowdData, second: CrowdData, truth: CrowdData, seed: int) -> pd.DataFrame:
    """Individuation of the crowd, of a second human sample, and of the sample resampled."""
    results = Results(STUDY, f"joint_{sample.n_participants}", ", ".join(model.sources), seed)
    people = baselines.resample_people(sample.matrix(), personality.N_CROWD, seed)
    resampled = Crowd.from_matrix(
        people, scale=sample.scale, problems=sample.problems, participants=pd.DataFrame(index=range(len(people)))
    )
    crowds = {
        "crowdllm": model.generate(personality.N_CROWD, seed=seed),
        "second_human_sample": Crowd.from_data(second),
        "resampled_people": resampled,
    }
    for method, crowd in crowds.items():
        found = individuation.report(crowd, truth, sample.problems["trait"], seed=seed)
        summary, scales = found.summary["crowd"], found.reliability
        results.add(method, "correlation_error", summary["correlation error"])
        results.add(method, "wasserstein1", summary["W1 of answers"])
        for scale, row in scales.iterrows():
            results.add(method, "alpha_difference", row["difference"], str(scale))
            results.add(method, "sd_ratio", row["sd_ratio"], str(scale))
        results.add(
            method, "sd_ratio", summary["sd of people's means"] / found.summary["humans"]["sd of people's means"]
        )
        results.add(method, "classifier_accuracy", summary["classifier's accuracy"])
    return results.frame()


def replayed(people: CrowdData, every: References, seed: int) -> pd.DataFrame:
    """GPT-4's ratings replaced by GPT-3.5's on held-out comments."""
    results = Results(STUDY, "replay", "gpt4", seed)
    train, test = people.split("problem", 0.2, seed)
    own, other = (choose(every, name) for name in ("gpt4", "gpt35"))
    model = CrowdLLM(changed(CrowdConfig(), holdout="problem"), progress=False)
    model.fit(train, own.select(train.problems.index), seed=seed)
    asked = test.problems.index
    worlds = replay.under_references(
        model, other.select(asked), personality.N_CROWD // 10, test.problems, own.select(asked), seed=seed
    )
    whole, each = worlds.overall().iloc[0], worlds.contrast()
    for name in ("difference", "se_paired", "se_unpaired", "ratio"):
        results.add("all comments", name, whole[name])
    for name in ("se_paired", "se_unpaired", "ratio"):
        results.add("one comment, median", name, each[name].median())
    return results.frame()


def tables(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Mean (standard deviation) over splits, a table a block: methods in rows, metrics and numbers known in columns."""
    found = {}
    for block, rows in results.groupby("split", sort=False):
        column = rows["metric"].where(rows["aggregator"] == "", rows["metric"] + " " + rows["aggregator"])
        cells = rows.assign(column=column).groupby(["method", "column"], sort=False)["value"].agg(["mean", "std"])
        text = [f"{mean:.3f}" + ("" if np.isnan(std) else f" ({std:.3f})") for mean, std in cells.to_numpy()]
        table = cells.assign(text=text).reset_index().pivot_table("text", "method", "column", "first")
        order = list(dict.fromkeys(column))
        found[str(block)] = table.loc[list(dict.fromkeys(rows["method"])), order].fillna("")
    return found


def _values(data: CrowdData) -> FloatArray:
    return Crowd.from_data(data).values()


def _only(data: CrowdData, chosen: npt.NDArray[np.bool_]) -> CrowdData:
    """The same people and problems with these of their answers."""
    return changed(
        data,
        participant_code=data.participant_code[chosen],
        problem_code=data.problem_code[chosen],
        response=data.response[chosen],
    )
