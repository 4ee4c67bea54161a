"""A made-up city that votes: voters, projects and an LLM whose law is known, for trying things out and for tests.

u_ij = quality_j + home_i [district_i = district_j] + 4 (care_i,topic_j - 1/3) + taste_i . character_j
y_i  ~ PlackettLuceSet(u_i, 5)

Voters like what is built near them, the more so the more they care (`home_i` from 0 to 2), and what they spend their
100 points of preference on. The LLM sees half of a project's quality, knows nothing of districts, and is far too sure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data import CrowdData
from ..errors import DataError
from ..inference.seeds import generator
from ..models.ballot import Ballot
from ..references import References
from .match import Match

FloatArray = npt.NDArray[np.float64]

DISTRICTS = ("North", "East", "South", "West")
TOPICS = ("green", "culture", "transport")
_IDEAS = {
    "green": ("Trees for the {} market", "A garden by the {} school"),
    "culture": ("Summer stage, {}", "Music rooms, {}"),
    "transport": ("Bike lane, {}", "Night bus to the {}"),
}
_SOME_PLACES = ("north", "east", "south", "west")
CITY_MATCHES = (
    Match("district", "district"),
    Match("district", "district", times="cares_for_district"),
    Match({topic: f"points_{topic}" for topic in TOPICS}, "topic"),
)
CITY_ATTRIBUTES = ("topic", "cost")
# How many voters of a hundred live in each district.
_SHARES = (0.35, 0.3, 0.2, 0.15)


@dataclass(frozen=True, eq=False)
class City:
    """A made-up vote.

    Attributes
    ----------
    data
        Ballots of five projects each.
    projects
        Index `project`; columns `name, district, topic, cost`.
    references
        The LLM's votes, one source.
    llm_ballots
        The LLM's 100 ballots one by one, columns the projects.
    utility
        True u_ij, shape `(n_voters, n_projects)`.
    """

    data: CrowdData
    projects: pd.DataFrame
    references: References
    llm_ballots: pd.DataFrame
    utility: FloatArray


def simulate_city(n_voters: int = 180, seed: int = 0) -> City:
    """Draw a city of 24 projects and so many voters.

    Parameters
    ----------
    n_voters
        At least 1.
    seed
        Equal seeds give equal cities; the projects are the same in all.

    Returns
    -------
    City
        Ballots, projects, the votes of an LLM, and the utilities that voters have.

    Raises
    ------
    DataError
        When `n_voters` is below 1.

    References
    ----------
    R. L. Plackett (1975), The analysis of permutations, Applied Statistics 24, for how options are chosen.
    """
    if n_voters < 1:
        raise DataError(f"n_voters={n_voters}: give at least one voter.")
    projects = _projects()
    # The projects do not depend on the seed, so that cities of other seeds are other voters of the same city.
    fixed, rng = generator(20), generator(seed)
    quality = fixed.normal(0.0, 0.7, len(projects)) - 0.6 * (projects["topic"] == "culture").to_numpy()
    character = fixed.normal(0.0, 0.5, (len(projects), 2))
    district = rng.choice(DISTRICTS, n_voters, p=_SHARES)
    points = rng.multinomial(100, rng.dirichlet((7.0, 5.0, 7.0), n_voters))
    cares = rng.integers(0, 5, n_voters)
    topic = np.array([TOPICS.index(each) for each in projects["topic"]])
    near = district[:, None] == projects["district"].to_numpy()[None]
    utility = quality + near * (cares / 2)[:, None] + 4.0 * (points[:, topic] / 100 - 1 / 3)
    utility = utility + rng.normal(size=(n_voters, 2)) @ character.T
    scale = Ballot(tuple(projects.index), "choose", 5)
    voters = pd.DataFrame(
        {"participant": [f"v{k + 1}" for k in range(n_voters)], "district": district, "cares_for_district": cares}
        | {f"points_{name}": points[:, k] for k, name in enumerate(TOPICS)}
    )
    votes = pd.DataFrame(
        {"problem": "vote", "participant": voters["participant"], "response": scale.decode(_ballots(utility, rng))}
    )
    asked = pd.DataFrame({"problem": ["vote"], "text": ["Which five projects shall the city pay for?"]})
    sure = 4.0 * (0.5 * quality + fixed.normal(0.0, 0.5, len(quality)))
    drawn = _ballots(np.tile(sure, (100, 1)), fixed)
    said = scale.decode(drawn)
    llm = References.from_frame(pd.DataFrame({"problem": "vote", "model": "llm", "answer": said}), scale=scale)
    told = pd.DataFrame(drawn, columns=projects.index)
    return City(CrowdData.from_frames(votes, asked, voters, scale=scale), projects, llm, told, utility)


def _projects() -> pd.DataFrame:
    """Six projects a district, two a topic, a cheap one and a dear one."""
    rows = [
        (idea.format(place), district, topic, cost)
        for district, place in zip(DISTRICTS, _SOME_PLACES, strict=True)
        for topic in TOPICS
        for idea, cost in zip(_IDEAS[topic], (5_000, 10_000), strict=True)
    ]
    index = pd.Index([f"p{k + 1}" for k in range(len(rows))], name="project")
    return pd.DataFrame(rows, columns=["name", "district", "topic", "cost"], index=index)


def _ballots(utility: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Five best of utility plus Gumbel noise, each row a voter."""
    noisy = utility + rng.gumbel(size=utility.shape)
    ballots = np.zeros_like(utility)
    np.put_along_axis(ballots, np.argsort(-noisy, axis=1)[:, :5], 1.0, axis=1)
    return ballots
