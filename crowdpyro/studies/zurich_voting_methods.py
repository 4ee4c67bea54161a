"""What each method foretells of held-out voters, and how that is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data import CrowdData
from ..models.ballot import Ballot
from ..models.scales import Ordinal
from ..mrp import MRP
from ..references import References
from ..voting.electorate import Electorate, ElectorateConfig, Stage
from ..voting.papers import Papers
from ..voting.rules import RULES, funded, outcome_overlap
from ..voting.zurich import ATTRIBUTES, MATCHES, TOLD, Format, ZurichVoting
from .rows import Rows

FloatArray = npt.NDArray[np.float64]

CONFIG = ElectorateConfig(attributes=ATTRIBUTES, matches=MATCHES)
# A third of what all projects would cost.
BUDGET = 60_000.0
N_CROWDS = 10
# The seed of which votes are kept project by project, for pictures.
SHOWN_SEED = 0
# As if so many more voters of each district had voted like everybody: on development seeds 100 to 114, the log score of
# a ballot is -9.48 with 2, -9.41 with 5, -9.34 with 20, -9.36 with 40; the errors of counts do not tell them apart.
_BORROWED = 20.0


@dataclass(frozen=True)
class Voting:
    """All formats, read when first asked for.

    Attributes
    ----------
    read
        The experiment in a format.
    known
        Those read so far.
    """

    read: Callable[[Format], ZurichVoting]
    known: dict[Format, ZurichVoting] = field(default_factory=dict)

    def format(self, name: Format) -> ZurichVoting:
        """The experiment in one format."""
        if name not in self.known:
            self.known[name] = self.read(name)
        return self.known[name]

    def references(self, name: str) -> References:
        """Recorded top-five votes by the study's name of them."""
        zurich = self.format("top5")
        told = zurich.told()
        chosen = {"gpt4": [each for each in told if each.startswith("gpt4")], "told": told, "all": zurich.sources}
        return zurich.references(chosen[name])


@dataclass(frozen=True)
class Forecast:
    """What is foretold of n voters.

    Attributes
    ----------
    counts
        Expected votes or points of every project, shape `(n_projects,)`; None of what only draws.
    crowds
        Ballots drawn for them, one frame a crowd; empty where a method has none.
    log_prob
        Of each voter's own ballot, shape `(n,)`.
    likeliest
        Each voter's likeliest ballot, shape `(n, n_projects)`, NaN where there is none.
    """

    counts: FloatArray | None
    crowds: tuple[pd.DataFrame, ...] = ()
    log_prob: FloatArray | None = None
    likeliest: FloatArray | None = None


def ballots_of(data: CrowdData) -> pd.DataFrame:
    """Encoded ballots, one row a voter, one column a project."""
    voters = data.participants.index[data.participant_code]
    scale = data.scale
    return pd.DataFrame(data.response, index=voters, columns=list(scale.options) if isinstance(scale, Ballot) else None)


def uniform(train: CrowdData, test: CrowdData, seed: int) -> Forecast:
    """Every ballot has the same chance; of approvals and points, every option the same mean."""
    scale = _ballot(train)
    mean = np.full(scale.n_levels, train.response.sum() / len(train.response) / scale.n_levels)
    if scale.rule != "choose":
        return Forecast(mean * test.n_answers)
    crowds = tuple(_drawn(np.zeros((test.n_answers, scale.n_levels)), scale, seed, k) for k in range(N_CROWDS))
    chance = -math.log(math.comb(scale.n_levels, scale.n or 0))
    return Forecast(mean * test.n_answers, crowds, np.full(test.n_answers, chance))


def training_share(train: CrowdData, test: CrowdData, seed: int, *, by_district: bool = False) -> Forecast:
    """The training voters' mean ballot, of everybody or of each district, drawn towards that of everybody."""
    scale, everybody = _ballot(train), train.response.mean(axis=0)
    if not by_district:
        shares = np.tile(everybody, (test.n_answers, 1))
    else:
        voted, asked = _districts(train), _districts(test)
        table = {
            name: (train.response[voted == name].sum(axis=0) + _BORROWED * everybody)
            / ((voted == name).sum() + _BORROWED)
            for name in np.unique(asked)
        }
        shares = np.stack([table[name] for name in asked])
    counts = shares.sum(axis=0)
    if scale.rule != "choose":
        return Forecast(counts)
    # As if half a ballot more had been spread evenly: a project without a vote is not impossible.
    smooth = (shares * train.n_answers + 0.5 * (scale.n or 0) / scale.n_levels) / (train.n_answers + 0.5)
    distinct, place = np.unique(smooth, axis=0, return_inverse=True)
    utility = utilities(distinct, scale)[place.ravel()]
    crowds = tuple(_drawn(utility, scale, seed, k) for k in range(N_CROWDS))
    return Forecast(counts, crowds, _log_prob(utility, test), _top(shares, scale))


def mrp(train: CrowdData, test: CrowdData, seed: int) -> Forecast:
    """Multilevel regression and poststratification, a yes or no from each voter for each project."""
    scale = _ballot(train)
    fitted = MRP().fit(_yes_or_no(train), seed=seed)
    cells = fitted.estimate(test.participants, list(scale.options)).cells.reset_index()
    wide = cells.pivot_table(index="cell", columns="problem", values="mean")
    means = wide.loc[test.participants.index, list(scale.options)].to_numpy()
    return Forecast(means.sum(axis=0), likeliest=_top(means, scale))


def another_sample(train: CrowdData, test: CrowdData, seed: int) -> Forecast:
    """As many other voters, drawn from those of training."""
    rows = np.random.default_rng([seed, 7]).permutation(train.n_answers)[: test.n_answers]
    ballots = ballots_of(train).iloc[rows]
    return Forecast(ballots.sum().to_numpy() * test.n_answers / len(rows), (ballots,))


def recorded(papers: Papers, name: str, test: CrowdData) -> Forecast:
    """An LLM's recorded votes: of the held-out voters' twins where it was told whom it votes for, else all of them."""
    told = name.split(", ")[1] in TOLD
    votes = papers.votes
    twins = votes.reindex(test.participants.index)
    ballots = twins.dropna() if told else votes
    return Forecast(ballots.mean().to_numpy() * test.n_answers, (ballots,), likeliest=twins.to_numpy())


def electorate(
    train: CrowdData,
    test: CrowdData,
    projects: pd.DataFrame,
    references: References | None,
    seed: int,
    *,
    config: ElectorateConfig = CONFIG,
    stage: Stage = "full",
    fresh: bool = False,
) -> Forecast:
    """Our crowd: virtual voters with the profiles of the held-out ones, or (`fresh`) of voters of training."""
    fitted = Electorate(config).fit(train, projects, references, seed=seed)
    people = test.participants.iloc[test.participant_code]
    if fresh:
        people = train.participants.iloc[
            np.random.default_rng([seed, 8]).integers(train.n_participants, size=test.n_answers)
        ]
    drawn = range(1 if stage == "fixed_belief" else N_CROWDS)  # nothing of that one is drawn
    crowds = tuple(
        pd.DataFrame(fitted.generate(people, stage=stage, seed=seed * 1000 + k).codes()[:, 0], columns=projects.index)
        for k in drawn
    )
    if stage != "full":
        return Forecast(None, crowds)
    if fresh:
        return Forecast(fitted.shares(train.participants, seed=seed) * test.n_answers, crowds)
    expected = fitted.expected(people, seed=seed)
    return Forecast(expected.sum(axis=0), crowds, fitted.log_prob(test, seed=seed), _top(expected, _ballot(test)))


def score(forecast: Forecast, test: CrowdData, projects: pd.DataFrame, shown: bool = False) -> Rows:
    """All metrics of a forecast of held-out voters; `shown` keeps the votes of the first crowd."""
    rows, truth = Rows(), test.response.sum(axis=0)
    if forecast.counts is not None:
        score_counts(rows, forecast.counts[None], truth, projects.index)
    if forecast.crowds and _ballot(test).rule == "choose":
        each = np.stack([crowd.to_numpy(dtype=float).mean(axis=0) * test.n_answers for crowd in forecast.crowds])
        score_counts(rows, each, truth, projects.index, n_virtual=test.n_answers)
        rows.add("zero_vote_projects", float((each == 0).sum(axis=1).mean()))
        human = ballots_of(test)
        for rule in RULES:
            gold = funded(human, projects, BUDGET, rule)
            met = [outcome_overlap(funded(crowd, projects, BUDGET, rule), gold) for crowd in forecast.crowds[:5]]
            rows.add("outcome_overlap", float(np.mean(met)), rule)
        if shown:
            add_votes(rows, each[0], truth, projects.index)
    voters = test.participants.index[test.participant_code]
    if forecast.log_prob is not None:
        rows.add_units("ballot_log_score", forecast.log_prob, voters)
    if forecast.likeliest is not None and _ballot(test).rule == "choose":
        there = ~np.isnan(forecast.likeliest).any(axis=1)
        both = np.minimum(forecast.likeliest, test.response)[there].sum(axis=1)
        either = np.maximum(forecast.likeliest, test.response)[there].sum(axis=1)
        rows.add_units("jaccard", both / either, np.asarray(voters)[there])
    return rows


def add_votes(rows: Rows, votes: FloatArray, truth: FloatArray, projects: pd.Index) -> None:
    """Votes on every project, foretold and the people's."""
    for project, foretold, human in zip(projects, votes, truth, strict=True):
        rows.add("votes", float(foretold), str(project))
        rows.add("people_votes", float(human), str(project))


def score_counts(rows: Rows, counts: FloatArray, truth: FloatArray, units: pd.Index, n_virtual: int = 0) -> None:
    """Errors of counts, mean over crowds, `counts` being `(n_crowds, n_projects)`."""
    rows.add_units("mae", np.abs(counts - truth).mean(axis=0), units, "", n_virtual)
    rows.add_units("rmse", np.square(counts - truth).mean(axis=0), units, "", n_virtual)
    cosine = counts @ truth / np.linalg.norm(counts, axis=1) / np.linalg.norm(truth)
    rows.add("cosine_similarity", float(cosine.mean()), "", n_virtual)
    sorted_apart = np.abs(np.sort(counts, axis=1) - np.sort(truth))
    rows.add("count_wasserstein", float(sorted_apart.mean()), "", n_virtual)


def utilities(shares: FloatArray, scale: Ballot) -> FloatArray:
    """Plackett-Luce utilities under which each option is taken so often, `(n, n_options)` like `shares`.

    The fixed point of u <- u + log(share) - log(share under u), which a dozen steps reach to six digits.
    """
    import torch

    from ..models.plackett_luce import PlackettLuceSet

    wanted = torch.as_tensor(shares, dtype=torch.float64)
    u = wanted.log()
    for _ in range(40):
        u = u + wanted.log() - PlackettLuceSet(u, scale.n or 1).mean.log()
    return np.asarray(u)


def without(**changes: object) -> ElectorateConfig:
    """The crowd's settings but for these."""
    return replace(CONFIG, **changes)  # type: ignore[arg-type]


def folds(projects: pd.Index, seed: int, k: int = 6) -> Iterator[list[str]]:
    """Projects in k parts, each held out once."""
    order = np.random.default_rng([seed, 9]).permutation(len(projects))
    for part in np.array_split(order, k):
        yield [str(projects[place]) for place in np.sort(part)]


def _ballot(data: CrowdData) -> Ballot:
    scale = data.scale
    if not isinstance(scale, Ballot):
        raise TypeError(f"scale={scale}: the study is of ballots.")
    return scale


def _districts(data: CrowdData) -> npt.NDArray[np.object_]:
    found: npt.NDArray[np.object_] = data.participants["district"].to_numpy(dtype=object)[data.participant_code]
    return found


def _top(shares: FloatArray, scale: Ballot) -> FloatArray:
    """Ballots of the options of the highest shares."""
    best = np.argsort(-shares, axis=1, kind="stable")[:, : scale.n or 0]
    ballots = np.zeros_like(shares)
    np.put_along_axis(ballots, best, 1.0, axis=1)
    return ballots


def _drawn(utility: FloatArray, scale: Ballot, seed: int, k: int) -> pd.DataFrame:
    """One crowd of choices."""
    noisy = utility + np.random.default_rng([seed, 10, k]).gumbel(size=utility.shape)
    return pd.DataFrame(_top(noisy, scale), columns=list(scale.options))


def _log_prob(utility: FloatArray, test: CrowdData) -> FloatArray:
    import torch

    from ..models.plackett_luce import PlackettLuceSet

    scale = _ballot(test)
    ballots = torch.as_tensor(test.response, dtype=torch.float64)
    return np.asarray(PlackettLuceSet(torch.as_tensor(utility), scale.n or 1).log_prob(ballots))


def _yes_or_no(data: CrowdData) -> CrowdData:
    """Whether each voter votes for each project: as many problems as projects."""
    long = ballots_of(data).astype(int).rename_axis("participant").reset_index()
    long = long.melt("participant", var_name="problem", value_name="response")
    options = list(_ballot(data).options)
    problems = pd.DataFrame({"problem": options, "text": options})
    return CrowdData.from_frames(long, problems, data.participants.reset_index(), scale=Ordinal.range(0, 1))
