"""A made-up vote in the layout of Zurich's files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro.studies.zurich_voting import SOURCES
from crowdpyro.voting import simulate_city

TOPICS = {"green": "Nature", "culture": "Culture", "transport": "Transportation"}
LEVELS = [f"{word} important" for word in ("Slightly", "Moderately", "Very", "Extremely")]
LEVELS = ["Not important at all", *LEVELS]


def long(ballots, **columns):
    """One row a pick."""
    who, what = np.nonzero(ballots)
    return pd.DataFrame({"agent_id": who, "project_id": what + 1, "value": ballots[who, what].astype(int), **columns})


@pytest.fixture(scope="session")
def zurich_folder(tmp_path_factory):
    """60 voters; LLMs' ballots are those of other voters, GPT-4's at temperature 2 with five spoiled ones."""
    folder = tmp_path_factory.mktemp("data") / "zurich_pb"
    folder.mkdir()
    city = simulate_city(60, seed=3)
    projects = city.projects.rename(columns={"topic": "category"}).replace(TOPICS)
    projects.assign(project_id=range(1, 25)).to_csv(folder / "projects.csv", index=False)
    people, votes = city.data.participants, city.data.response[np.argsort(city.data.participant_code)]
    voters = pd.DataFrame({"agent_id": range(60), "district": people["district"].to_numpy()})
    for topic, name in TOPICS.items():
        voters[f"pref_{name.lower().replace('transportation', 'transport')}"] = people[f"points_{topic}"].to_numpy()
    cares = people["cares_for_district"].astype(int).to_numpy()
    voters["importance_district"] = [LEVELS[each] for each in cares]
    voters["importance_topic"] = voters["importance_cost"] = LEVELS[2]
    voters.to_csv(folder / "voters.csv", index=False)
    rank = votes * np.argsort(np.argsort(-votes, axis=1, kind="stable"), axis=1) + votes
    twice = votes * np.where(np.cumsum(votes, axis=1) == 1, 6, 1)
    formats = {"A": votes, "B": votes, "C": votes, "D": twice, "E": rank, "F": votes * 2}
    names = ("approval", "top5", "points5", "points10", "rank5", "top5_points10")
    written = [
        long(ballots, format_code=code, format=name)
        for (code, ballots), name in zip(formats.items(), names, strict=True)
    ]
    pd.concat(written).to_csv(folder / "ballots_long.csv", index=False)
    recorded = []
    for k, source in enumerate(SOURCES.values()):
        model, prompt, temperature, *file = source.split(", ")
        where = {"model": model, "prompt": prompt, "temperature": float(temperature[2:]), "format": "top5"}
        told = simulate_city(60, seed=3 if prompt == "persona" else 50 + k).data.response
        rows = long(told, source_file=file[0] if file else f"run{k}", **where)
        if source == "gpt4, zero_shot, t=2":
            first = rows.groupby("agent_id").head(1)
            rows = rows.drop(first.index[:2])
            rows = pd.concat([rows, first.iloc[2:4].assign(project_id=99), first.iloc[4:5]])
        recorded.append(rows)
    rows = long(votes[:5], source_file="approvals", **(where | {"format": "approval"}))
    pd.concat([*recorded, rows]).to_csv(folder / "llm_votes.csv.gz", index=False)
    return folder.parent
