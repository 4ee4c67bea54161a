"""Case study III: votes on 24 projects in Zurich, of voters and projects that nobody has seen (paper, section 5.4)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..voting.electorate import Electorate
from ..voting.zurich import Format, ZurichVoting, load_zurich_voting
from .cell import Cell
from .metric import Metric
from .rows import Rows
from .study import Grid, Method, PaperFigure, Protocol, Study
from .zurich_voting_figures import figures, tables
from .zurich_voting_methods import (
    SHOWN_SEED,
    Voting,
    add_votes,
    another_sample,
    ballots_of,
    electorate,
    folds,
    mrp,
    recorded,
    score,
    score_counts,
    training_share,
    uniform,
    without,
)

# Files are the recorded runs; two conditions were run twice.
SOURCES = {
    "llm_gpt4_persona": "gpt4, persona, t=1",
    "llm_gpt4_cot": "gpt4, cot, t=1",
    "llm_gpt4_t0": "gpt4, zero_shot, t=0",
    "llm_gpt4_t0.5": "gpt4, zero_shot, t=0.5",
    "llm_gpt4_t1": "gpt4, zero_shot, t=1, gpt_temp_temp1_votes",
    "llm_gpt4_t1_again": "gpt4, zero_shot, t=1, gpt_vote_votes_kapp",
    "llm_gpt4_t1.5": "gpt4, zero_shot, t=1.5",
    "llm_gpt4_t2": "gpt4, zero_shot, t=2",
    "llm_gpt4_reversed_id": "gpt4, reversed_id, t=1",
    "llm_gpt4_reversed_order": "gpt4, reversed_order, t=1",
    "llm_llama2_persona": "llama2_70b, persona, t=1",
    "llm_llama2_cot": "llama2_70b, cot, t=1",
    "llm_llama2_t0": "llama2_70b, zero_shot, t=0",
    "llm_llama2_t0.5": "llama2_70b, zero_shot, t=0.5",
    "llm_llama2_t1": "llama2_70b, zero_shot, t=1, llama_temp_temp1_votes",
    "llm_llama2_t1_again": "llama2_70b, zero_shot, t=1, llama_vote_votes_llama70bq8_kapp_1",
    "llm_llama2_t1.5": "llama2_70b, zero_shot, t=1.5",
    "llm_llama2_t2": "llama2_70b, zero_shot, t=2",
    "llm_llama2_reversed_id": "llama2_70b, reversed_id, t=1",
    "llm_llama2_reversed_order": "llama2_70b, reversed_order, t=1",
}
OTHER_FORMATS: tuple[Format, ...] = ("approval", "points5", "points10", "rank5", "top5_points10")
_FORMAT_TITLES = {
    "approval": "approvals",
    "points5": "five points",
    "points10": "ten points",
    "rank5": "ranking of five",
    "top5_points10": "ten points on five projects",
}
# Errors of held-out projects are given as votes of so many voters, like those of held-out voters.
PER_VOTERS = 36

METRICS = (
    Metric("mae", "MAE of counts", "mean absolute error of a project's votes (points), of 36 voters"),
    Metric("rmse", "RMSE of counts", "root mean square error of a project's votes (points), of 36 voters", root=True),
    Metric("cosine_similarity", "CS", "cosine between the projects' counts, foretold and true", False),
    Metric(
        "count_wasserstein", "W1 of counts", "distance between the counts of both, sorted, whichever project has them"
    ),
    Metric("ballot_log_score", "log score of a ballot", "log probability of a held-out voter's ballot, nats", False),
    Metric(
        "jaccard",
        "Jaccard",
        "options that a voter's likeliest ballot and the ballot share, over those in either",
        False,
    ),
    Metric("zero_vote_projects", "zero-vote projects", "projects without a vote in a crowd of the size held out", None),
    Metric(
        "outcome_overlap",
        "outcome overlap",
        "projects that both the crowd's and the people's ballots get funded, over those that either does",
        False,
    ),
    Metric("votes", "votes", "votes on one project, named in the column aggregator", None),
    Metric("people_votes", "people's votes", "those of the people", None),
    Metric(
        "spoiled_ballots", "spoiled ballots", "recorded ballots with the fault named in the column aggregator", None
    ),
)
PROTOCOLS = (
    Protocol(
        "voters",
        "Held-out voters",
        "A fifth of the voters is held out (the paper's protocol). A crowd has their profiles; gold are their votes.",
        same_units=True,
    ),
    Protocol(
        "projects",
        "Held-out projects",
        "Each of six parts of the projects is held out in turn: no vote on these four is looked at. Gold are the votes "
        "of all voters, given as votes of 36. The settings were chosen on votes on the same 24 projects.",
        held_out=0.0,
        same_units=True,
    ),
    *(
        Protocol(
            name,
            f"Held-out voters, {_FORMAT_TITLES[name]}",
            "The same voters, another ballot.",
            table=False,
            same_units=True,
        )
        for name in OTHER_FORMATS
    ),
)
_VOTERS, _BOTH = ("voters",), ("voters", "projects")
METHODS = (
    Method("crowdllm", "crowdpyro", "crowd", protocols=_BOTH),
    Method("crowdllm_no_llm", "the same without the LLM", "variant", references=False),
    Method("crowdllm_fresh", "the same, profiles of training", "variant", protocols=_VOTERS),
    Method("crowdllm_no_taste", "the same without tastes", "variant", protocols=_VOTERS),
    Method("crowdllm_no_profile", "the same without profiles", "variant", references=False, protocols=_VOTERS),
    Method("stage_fixed_decision", "the same, decision fixed", "variant", protocols=_VOTERS),
    Method("stage_fixed_belief", "the same, belief and decision fixed", "variant", protocols=_VOTERS),
    Method("mrp", "multilevel regression and poststratification", "yardstick", references=False, protocols=_VOTERS),
    Method("district_share", "share by district", "yardstick", False, ("voters", *OTHER_FORMATS)),
    Method("training_share", "share of the training voters", "yardstick", False, ("voters", *OTHER_FORMATS)),
    Method("uniform", "random", "yardstick", references=False),
    *(Method(name, f"LLM, {source}", "llm", references=False, protocols=_BOTH) for name, source in SOURCES.items()),
    Method("another_sample", "36 other voters", "ceiling", references=False, protocols=_VOTERS),
    Method("people", "the held-out voters themselves", "ceiling", references=False, protocols=_VOTERS),
)
_PRINTED = {
    "uniform": (5.00, 6.55, 0.72, 4.00),
    "LLM, zero-shot": (11.92, 15.41, 0.38, 9.00),
    "LLM, personas": (10.00, 13.69, 0.40, 6.50),
    "LLM, self-consistency": (11.42, 14.97, 0.35, 7.92),
    "VAE": (11.67, 14.88, 0.32, 7.67),
    "crowdllm": (4.00, 5.02, 0.83, 1.67),
}
PAPER = tuple(
    PaperFigure("Table 5", "voters", method, f"{metric}@{PER_VOTERS}", value)
    for method, row in _PRINTED.items()
    for metric, value in zip(("mae", "rmse", "cosine_similarity", "count_wasserstein"), row, strict=True)
)


def load(folder: Path | None) -> Voting:
    """The experiment; the top-five format is read at once, so that a missing folder is known at once."""
    voting = Voting(partial(_read, folder))
    voting.format("top5")
    return voting


def _read(folder: Path | None, name: Format) -> ZurichVoting:
    return load_zurich_voting(name, folder)


def evaluate(cell: Cell, data: Voting) -> pd.DataFrame:
    """Rows of one cell."""
    if cell.protocol == "projects":
        return _unseen_projects(cell, data)
    zurich = data.format("top5" if cell.protocol == "voters" else cell.protocol)  # type: ignore[arg-type]
    train, test = zurich.data.split("participant", 0.2, cell.seed)
    method, projects = cell.method, zurich.projects
    references = data.references(cell.references) if cell.references else None
    told: dict[str, Any] = {"train": train, "test": test, "seed": cell.seed}
    ours = partial(electorate, **told, projects=projects, references=references)
    shown = cell.seed == SHOWN_SEED and cell.protocol == "voters"
    if method == "people":
        rows = Rows()
        rows.add("zero_vote_projects", float((test.response.sum(axis=0) == 0).sum()))
        return rows.frame()
    forecasts = {
        "crowdllm": ours,
        "crowdllm_no_llm": ours,
        "crowdllm_fresh": partial(ours, fresh=True),
        "crowdllm_no_taste": partial(ours, config=without(n_eps=0)),
        "crowdllm_no_profile": partial(ours, config=without(matches=())),
        "stage_fixed_decision": partial(ours, stage="fixed_decision"),
        "stage_fixed_belief": partial(ours, stage="fixed_belief"),
        "mrp": partial(mrp, **told),
        "district_share": partial(training_share, **told, by_district=True),
        "training_share": partial(training_share, **told),
        "uniform": partial(uniform, **told),
        "another_sample": partial(another_sample, **told),
    }
    if method in SOURCES:
        papers = zurich.llm[SOURCES[method]]
        rows = score(recorded(papers, SOURCES[method], test), test, projects, shown)
        if shown:
            for fault, n in papers.summary().items():
                rows.add("spoiled_ballots", n, fault)
        return rows.frame()
    return score(forecasts[method](), test, projects, shown).frame()


def _unseen_projects(cell: Cell, data: Voting) -> pd.DataFrame:
    """Votes of everybody on projects that were hidden, as votes of 36 voters."""
    zurich = data.format("top5")
    truth = ballots_of(zurich.data).mean().to_numpy() * PER_VOTERS
    counts = np.full(len(truth), truth.mean())
    if cell.method in SOURCES:
        counts = zurich.llm[SOURCES[cell.method]].votes.mean().to_numpy() * PER_VOTERS
    elif cell.method in ("crowdllm", "crowdllm_no_llm"):
        references = data.references(cell.references) if cell.references else None
        # Tastes tell nothing of a project that nobody voted on, and cost a factor of three.
        config = without(n_eps=0)
        for hidden in folds(zurich.projects.index, cell.seed):
            fitted = Electorate(config).fit(zurich.data, zurich.projects, references, hidden=hidden, seed=cell.seed)
            place = zurich.projects.index.get_indexer(pd.Index(hidden))
            counts[place] = fitted.shares(zurich.data.participants)[place] * PER_VOTERS
    rows = Rows()
    score_counts(rows, counts[None], truth, zurich.projects.index)
    if cell.seed == SHOWN_SEED:
        add_votes(rows, counts, truth, zurich.projects.index)
    return rows.frame()


STUDY = Study(
    name="zurich_voting",
    title="Which projects a city shall pay for",
    protocols=PROTOCOLS,
    methods=METHODS,
    columns=(
        "mae",
        "rmse",
        "cosine_similarity",
        "count_wasserstein",
        "ballot_log_score",
        "jaccard",
        f"mae@{PER_VOTERS}",
        f"rmse@{PER_VOTERS}",
        f"cosine_similarity@{PER_VOTERS}",
        f"count_wasserstein@{PER_VOTERS}",
        "zero_vote_projects",
    ),
    load=load,
    evaluate=evaluate,
    references=("gpt4", "told", "all"),
    meaning=(
        "180 people chose five of 24 projects of participatory budgeting in Zurich; GPT-4 and LLaMA-2 voted in their "
        "place. References: `gpt4` are its votes when told whom it votes for (persona and chain of thought), `told` "
        "those and LLaMA-2's, `all` the twenty recorded conditions. Spoiled ballots of LLMs are not counted."
    ),
    metrics=METRICS,
    panel="all",
    paper=PAPER,
    seeds=tuple(range(20)),
    quick=Grid(protocols=_BOTH, references=("told",), seeds=(0, 1)),
    files=tuple(f"zurich_pb/{name}" for name in ("ballots_long.csv", "llm_votes.csv.gz", "projects.csv", "voters.csv")),
    held_out=0.2,
    figures=figures,
    tables=tables,
)
