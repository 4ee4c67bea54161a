"""Study IV: what a training sample must be like, on a population that is known (section 5.5 of the paper, Figure 9).

A fitted crowd is the true population (see `simulation_population`). Workers answer tasks, with beliefs that differ by e
and responses that err by s; a model is fitted to their answers and asked about the 20 % of the problems that nobody
met. The paper's axes: MAE of the mean of 20 virtual participants' expected decisions against workers, a line a number
of tasks, a row a noise, a column a diversity. Beside it the MAE of the model's exact mean, of three simple competitors
on the same sample, and how twins correlate with people, which is what `theory.plan_sample` needs.

A cell is one fit; its protocol is noise and diversity, its method workers and tasks. Seeds are independent repeats:
population and truth stay, workers, tasks, answers, held-out problems and fit are drawn anew.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..config import CrowdConfig
from ..data import CrowdData
from ..errors import DataError
from ..estimator import CrowdLLM
from ..metrics import mean_absolute_error
from ..references import References
from .cell import Cell
from .metric import Metric
from .rows import Rows
from .simulation_design import DIVERSITIES, NOISES, TASKS, WORKERS, Design
from .simulation_population import SimulatedPopulation
from .simulation_report import figures, tables, verdict
from .study import Grid, Method, Protocol, Study

FloatArray = npt.NDArray[np.float64]

# As in the paper.
N_VIRTUAL = 20
# Members whose mean stands for the model's exact one: its Monte-Carlo error is a twentieth of a belief's spread.
_MANY = 500
# People and problems from which the correlation with twins is taken, and draws of a twin's mean answer.
_MEETING, _DRAWS = (200, 60), 20

METRICS = (
    Metric("mae_training_mean", "MAE, mean of all", "MAE of the mean of all training answers, whatever the problem"),
    Metric("mae_llm", "MAE, LLM", "MAE of the LLM's own answers"),
    Metric("mae_line", "MAE, line", "MAE of a least-squares line through training answers and the LLM's"),
    Metric("answer_sd", "sd of answers", "standard deviation of people's answers to a problem", None),
    Metric("twin_sd", "sd of twins", "standard deviation of their twins' mean answers to a problem", None),
    Metric("twin_correlation", "twins' correlation", "correlation of people and twins on unseen problems", False),
)


def load(folder: Path | None) -> SimulatedPopulation:
    """The population, the same for every cell."""
    return SimulatedPopulation.load(folder)


def evaluate(cell: Cell, population: SimulatedPopulation) -> pd.DataFrame:
    """One fit, and its errors on unseen problems."""
    design = Design.of(cell.protocol, cell.method)
    asked, held_out = population.parts(cell.seed)
    if design.tasks > len(asked):
        raise DataError(
            f"tasks={design.tasks}: the {population.name} population has {len(asked)} problems to ask; set "
            "$CROWDPYRO_DATA for that of the 1,500 comments, or leave these methods out."
        )
    data, workers = population.sample(design.workers, design.tasks, design.diversity, design.noise, cell.seed)
    model = CrowdLLM(CrowdConfig(holdout="problem"), progress=False).fit(data, population.references, seed=cell.seed)
    problems = population.problems.iloc[held_out]
    references = _of(population, problems)
    truth = population.mean[held_out]
    rows = Rows()
    for n, draws, label in ((N_VIRTUAL, 10, N_VIRTUAL), (_MANY, 1, 0)):
        crowd = model.generate(n, problems, references, decision="expected", n_draws=draws, seed=cell.seed + 1)
        rows.add("mae", mean_absolute_error(crowd.values().mean(axis=0), truth), "mean", label)
    for metric, guess in simple(data, population.references, references, len(truth)).items():
        rows.add(metric, mean_absolute_error(guess, truth))
    for metric, value in twins(model, population, design, workers, held_out, cell.seed).items():
        rows.add(metric, value)
    return rows.frame()


def simple(data: CrowdData, known: References | None, asked: References | None, n: int) -> dict[str, FloatArray]:
    """What little it takes to guess the means of n unseen problems."""
    found = {"mae_training_mean": np.full(n, float(data.response.mean()))}
    if known is not None and asked is not None:
        at, new = known.select(data.problems.index).expected()[data.problem_code], asked.expected()
        spread = at - at.mean()
        slope = float(spread @ data.response / (spread @ spread)) if spread.any() else 0.0
        found |= {"mae_llm": new, "mae_line": data.response.mean() + slope * (new - at.mean())}
    return found


def twins(
    model: CrowdLLM,
    population: SimulatedPopulation,
    design: Design,
    workers: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    seed: int,
) -> dict[str, float]:
    """Moments of people's answers and of their twins', on unseen problems, within problems."""
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(len(population.people)), workers)
    people = rng.choice(others, size=min(_MEETING[0], len(others)), replace=False)
    asked = np.sort(rng.choice(held_out, size=min(_MEETING[1], len(held_out)), replace=False))
    y = population.answers(people[:, None], asked, design.diversity, design.noise, rng)
    problems = population.problems.iloc[asked]
    profiles = readable(population.people.iloc[people], model.profiles, rng)
    drawn = np.zeros_like(y)
    for _ in range(_DRAWS):
        crowd = model.generate(
            profiles, problems, _of(population, problems), participation=1.0, seed=int(rng.integers(2**32))
        )
        drawn += crowd.values() / _DRAWS
    y, drawn = y - y.mean(axis=0), drawn - drawn.mean(axis=0)
    squares, theirs = float((y**2).mean()), float((drawn**2).mean())
    # Where nobody differs, nothing correlates.
    correlation = float((y * drawn).mean()) / np.sqrt(squares * theirs) if squares * theirs > 1e-12 else 0.0
    return {"answer_sd": squares**0.5, "twin_sd": theirs**0.5, "twin_correlation": float(correlation)}


def readable(people: pd.DataFrame, known: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """People's profiles; whoever has a level that the sample's people lack is taken for one of them at random."""
    strange = np.zeros(len(people), dtype=bool)
    for name, column in people.items():
        if not pd.api.types.is_numeric_dtype(column):
            strange |= ~column.isin(known[name]).to_numpy()
    rows = known.iloc[rng.integers(len(known), size=len(people))].set_axis(people.index)
    return pd.concat([people[~strange], rows[strange]]).reindex(people.index)


def _of(population: SimulatedPopulation, problems: pd.DataFrame) -> References | None:
    return None if population.references is None else population.references.select(problems.index)


STUDY = Study(
    name="simulation",
    title="What a training sample must be like",
    meaning=(
        "A fitted crowd is the true population: its mean answers are known. Models are fitted to samples of it, by "
        "number of workers and of tasks per worker, noise of the responses and diversity of the beliefs, and asked "
        "about problems that nobody met. Five statements of the paper about its Figure 9 are checked."
    ),
    protocols=tuple(
        Protocol(Design.protocol_of(s, e), f"noise {s}, diversity {e}", f"Responses err by {s}, beliefs differ by {e}.")
        for s, e in product(NOISES, DIVERSITIES)
    ),
    methods=tuple(
        Method(Design.method_of(n, k), f"{n} workers, {k} tasks", "variant", references=False)
        for n, k in product(WORKERS, TASKS)
    ),
    columns=("mae:mean@20", "mae:mean", "mae_line", "mae_training_mean", "mae_llm", "twin_correlation"),
    load=load,
    evaluate=evaluate,
    metrics=METRICS,
    quick=Grid(methods=tuple(Design.method_of(n, k) for n, k in product((5, 10, 100), (5, 20))), seeds=(0, 1, 2)),
    files=("popquorn/offensiveness_raw_data.csv.gz", "popquorn/offensiveness_llm_answers.csv.gz"),
    figures=figures,
    tables=tables,
    verdict=verdict,
)
