"""Ballots from a person's file to a crowd's file, under every rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import (
    Ballot,
    Crowd,
    CrowdData,
    CrowdLLM,
    DataError,
    FitConfig,
    MissingReferenceError,
    References,
)
from crowdpyro.runs.options import RunOptions

OPTIONS = ("park", "pool", "road", "tram")
RULES = {
    "approval": Ballot(OPTIONS, "approval"),
    "choose": Ballot(OPTIONS, "choose", 2),
    "rank": Ballot(OPTIONS, "rank", 2),
    "points": Ballot(OPTIONS, "points", 5),
}
WRITTEN = {
    "approval": "approval:park,pool,road,tram",
    "choose": "choose:2:park,pool,road,tram",
    "rank": "rank:2:park,pool,road,tram",
    "points": "points:5:park,pool,road,tram",
}
PROBLEMS = pd.DataFrame({"problem": ["a", "b", "c"], "text": ["the north", "the south", "the middle of town"]})
N = 40


@pytest.fixture(params=RULES)
def rule(request):
    """Every rule's name."""
    return request.param


def votes(ballot, seed=0, n=N):
    """Long frame of people who prefer some options, a third of the ballots missing."""
    rng = np.random.default_rng(seed)
    like = np.array([1.5, 0.0, -1.0, 0.5]) + rng.normal(0, 0.5, (3, 4))
    rows = []
    for person in range(n):
        for place, problem in enumerate("abc"):
            if rng.random() < 0.3:
                continue
            utility = like[place] + rng.gumbel(size=4)
            order = np.argsort(-utility)
            if ballot.rule == "approval":
                numbers = (utility > 0.5).astype(float)
            elif ballot.rule == "points":
                numbers = rng.multinomial(5, np.exp(like[place]) / np.exp(like[place]).sum()).astype(float)
            else:
                numbers = np.zeros(4)
                numbers[order[:2]] = [2, 1] if ballot.rule == "rank" else [1, 1]
            rows.append({"problem": problem, "participant": f"p{person}", "response": ballot.decode(numbers).item()})
    return pd.DataFrame(rows)


def recorded(ballot, problems="abc", seed=1):
    """Ballots of an LLM, five a problem."""
    frame = votes(ballot, seed, n=60)
    frame["problem"] = np.array(list(problems))[np.arange(len(frame)) % len(problems)]
    return frame.rename(columns={"response": "answer"})[["problem", "answer"]]


def quick(**settings):
    training = FitConfig(epochs=4, every=2, margin_steps=5, batch_size=20)
    small = {"n_components": 2, "text_encoder": "tfidf", "n_eps": 2, "n_hidden": 4, "training": training}
    return CrowdLLM(**{**small, **settings})


@pytest.fixture
def files(tmp_path, rule):
    votes(RULES[rule]).to_csv(tmp_path / "answers.csv", index=False)
    votes(RULES[rule], seed=5).to_csv(tmp_path / "others.csv", index=False)
    PROBLEMS.to_csv(tmp_path / "problems.csv", index=False)
    people = pd.DataFrame({"participant": [f"p{k}" for k in range(N)], "home": ["north", "south"] * (N // 2)})
    people.to_csv(tmp_path / "people.csv", index=False)
    recorded(RULES[rule]).to_csv(tmp_path / "references.csv", index=False)
    return tmp_path


def test_from_a_csv_to_a_crowd_and_back_from_disk(files, rule):
    ballot = RULES[rule]
    data = CrowdData.read(files / "answers.csv", files / "problems.csv", files / "people.csv", scale=ballot)
    assert data.response.shape == (data.n_answers, 4)
    written = pd.read_csv(files / "answers.csv", keep_default_na=False).sort_values(["participant", "problem"])
    known = data.answers.sort_values(["participant", "problem"])
    np.testing.assert_array_equal(ballot.encode(known["response"]), ballot.encode(written["response"]))
    references = References.read(files / "references.csv", scale=ballot)
    model = quick().fit(data, references, seed=3)
    crowd = model.generate(30, seed=7)
    assert crowd.dataset["response"].dims == ("participant", "problem", "option")
    assert crowd.dataset["response"].dtype == np.int8
    again = CrowdLLM.load(model.save(files / "model"))
    assert again.generate(30, seed=7).dataset.identical(crowd.dataset)
    out = pd.read_csv(crowd.write(files / "crowd.csv"), keep_default_na=False)
    assert ballot.valid(out["response"].to_numpy()).all()
    assert set(out["source"]) == {"synthetic"}
    np.testing.assert_array_equal(ballot.encode(out["response"]).reshape(30, 3, 4), crowd.codes())
    assert Crowd.open(crowd.write(files / "crowd.nc")).dataset.identical(crowd.dataset)
    expected = model.generate(20, decision="expected", seed=1)
    mean = expected.values()
    assert mean.shape == (20, 3, 4)
    assert ((mean >= 0) & (mean <= ballot.highest)).all()
    if ballot.total is not None:
        np.testing.assert_allclose(mean.sum(axis=2), ballot.total, rtol=1e-4)
    assert [f"mean_{option}" for option in OPTIONS] == [name for name in expected.to_frame() if "mean" in name]
    shares = model.shares(participants=64)
    assert shares.shape == (3, 4)
    score = model.log_score(data, n_draws=64)
    assert np.isfinite([score.joint, score.single]).all()


def test_a_fit_moves_towards_the_people(rule):
    """Fifty epochs on forty people: nearer to their means than the even ballot is."""
    ballot = RULES[rule]
    data = CrowdData.from_frames(votes(ballot), PROBLEMS, scale=ballot)
    training = FitConfig(epochs=50, margin_steps=20, batch_size=20)
    truth, found = Crowd.from_data(data).shares(), quick(training=training).fit(data).shares()
    even = 0.5 if ballot.total is None else ballot.total / 4
    assert np.abs(found - truth).mean() < 0.5 * np.abs(even - truth).mean()


def test_every_guide_and_objective_takes_ballots(rule):
    data = CrowdData.from_frames(votes(RULES[rule]), PROBLEMS, scale=RULES[rule])
    paper = FitConfig(epochs=2, every=1, margin_steps=2, objective="paper")
    for model in (quick(guide="semi_implicit"), quick(training=paper), quick(n_eps=0), quick(participation="learned")):
        crowd = model.fit(data).generate(5)
        assert RULES[rule].valid(crowd.to_frame()["response"].to_numpy()).all()


def test_the_commands_take_ballots(files, rule, command):
    small = ["training.epochs=2", "training.every=1", "training.margin_steps=2", "text_encoder=tfidf"]
    small += ["n_components=2", "n_eps=2", "n_hidden=4"]
    settings = [word for each in small for word in ("--set", each)]
    fit = ["fit", files / "answers.csv", "--problems", files / "problems.csv", "--scale", WRITTEN[rule]]
    fit += ["--participants", files / "people.csv", "--references", files / "references.csv", "--out", files / "RUN"]
    assert command(*fit, *settings)[0] == 0
    code, out, _ = command("show", files / "RUN")
    assert code == 0
    assert "of park, pool, road, tram" in out
    assert command("generate", files / "RUN", "--participants", "9", "--out", files / "out.csv")[0] == 0
    assert len(pd.read_csv(files / "out.csv", keep_default_na=False)) == 27
    code, out, _ = command("evaluate", files / "RUN", files / "others.csv", "--out", files / "numbers.csv")
    assert code == 0
    numbers = pd.read_csv(files / "numbers.csv")
    methods = {"crowdllm", "uniform", "training_marginal", "independent_histograms", "llm_zero_shot"}
    assert set(numbers["method"]) == methods
    assert {"mae", "rmse", "cosine_similarity", "joint_log_score"} == set(numbers["metric"]) - {"single_log_score"}


def crowd_of(ballot, texts, n_problems=1):
    codes = ballot.encode(texts).reshape(-1, n_problems, ballot.n_levels)
    people = pd.DataFrame(index=range(len(codes)))
    return Crowd.from_matrix(
        codes, scale=ballot, problems=PROBLEMS.set_index("problem")[:n_problems], participants=people
    )


@pytest.mark.parametrize(
    ("name", "texts", "mean", "winner"),
    [
        ("approval", ["park|pool", "pool", "none", "pool|road"], [0.25, 0.75, 0.25, 0], "pool"),
        ("choose", ["park|pool", "park|road", "tram|park", "road|tram"], [0.75, 0.25, 0.5, 0.5], "park"),
        ("rank", ["tram|park", "tram|pool", "park|road", "pool|tram"], [0.75, 0.75, 0.25, 1.25], "tram"),
        ("points", ["park=5", "road=4|tram=1", "road=3|park=2", "pool=5"], [1.75, 1.25, 1.75, 0.25], None),
    ],
)
def test_aggregates_are_votes_and_points(name, texts, mean, winner):
    crowd = crowd_of(RULES[name], texts)
    table = crowd.aggregate("mean")
    assert list(table.columns) == list(OPTIONS)
    np.testing.assert_allclose(table.loc["a"], mean)
    np.testing.assert_allclose(crowd.counts()[0], 4 * np.array(mean))
    np.testing.assert_allclose(crowd.shares()[0], mean)
    won = {crowd.aggregate("majority", seed=seed)["a"] for seed in range(20)}
    assert won == ({"park", "road"} if winner is None else {winner})
    with pytest.raises(DataError, match="method='median': ballots have no median; give 'mean' or 'majority'"):
        crowd.aggregate("median")
    with pytest.raises(DataError, match="correlation: a ballot is a number an option"):
        crowd.correlation()


def test_absent_voters_count_nowhere():
    ballot = RULES["choose"]
    codes = ballot.encode(["park|pool", "park|tram"]).reshape(2, 1, 4).repeat(2, axis=1)
    codes[1, 0] = codes[:, 1] = np.nan
    people = pd.DataFrame(index=range(2))
    crowd = Crowd.from_matrix(codes, scale=ballot, problems=PROBLEMS.set_index("problem")[:2], participants=people)
    np.testing.assert_array_equal(crowd.shares(), [[1, 1, 0, 0], [np.nan] * 4])
    assert crowd.aggregate("mean").isna().sum().tolist() == [1, 1, 1, 1]
    assert pd.isna(crowd.aggregate("majority")["b"])
    assert len(crowd.to_frame()) == 1


def test_arviz_gets_a_dimension_of_options(rule):
    ballot = RULES[rule]
    data = CrowdData.from_frames(votes(ballot), PROBLEMS, scale=ballot)
    tree = Crowd.from_data(data).to_datatree(data)
    assert tree["posterior_predictive/y"].sizes == {"chain": 1, "draw": N, "problem": 3, "option": 4}
    assert tree["observed_data/y"].dims == ("participant", "problem", "option")


def test_human_counts_are_votes_and_points(rule):
    ballot = RULES[rule]
    data = CrowdData.from_frames(votes(ballot), PROBLEMS, scale=ballot)
    assert data.matrix().shape == (data.n_participants, 3, 4)
    np.testing.assert_allclose(data.counts(), np.nansum(data.matrix(), axis=0))
    train, test = data.split("participant", 0.5)
    np.testing.assert_allclose(train.counts() + test.counts(), data.counts())
    np.testing.assert_array_equal(Crowd.from_data(data).counts(), data.counts())


def test_an_empty_ballot_is_an_answer_and_an_empty_cell_is_none(tmp_path):
    lines = ["problem,participant,response", "a,p1,none", "a,p2,None", "a,p3,", "a,p4,NA", "a,p5,park|tram"]
    (tmp_path / "answers.csv").write_text("\n".join(lines))
    PROBLEMS.to_csv(tmp_path / "problems.csv", index=False)
    data = CrowdData.read(tmp_path / "answers.csv", tmp_path / "problems.csv", scale=RULES["approval"])
    assert data.answers["response"].tolist() == ["none", "none", "park|tram"]
    assert "2 empty responses taken as no answer" in data.report
    (tmp_path / "answers.csv").write_text("\n".join([*lines[:2], "a,p9,park|trem"]))
    with pytest.raises(DataError, match=r"column 'response': answer 'park\|trem' \(line 3.*did you mean 'tram'"):
        CrowdData.read(tmp_path / "answers.csv", tmp_path / "problems.csv", scale=RULES["approval"])


def test_references_are_probabilities_of_the_options_or_ballots(rule):
    ballot = RULES[rule]
    texts = {
        "approval": ["park", "park|tram", "none", "park|x"],
        "choose": ["park|pool", "park|tram", "park|park", "park"],
        "rank": ["park|pool", "tram|park", "pool", "a|b"],
        "points": ["park=5", "park=2|tram=3", "park=6", "x=5"],
    }[rule]
    frame = pd.DataFrame({"problem": "a", "answer": [*texts, None]})
    references = References.from_frame(frame, scale=ballot)
    good = ballot.encode(texts[:3] if rule == "approval" else texts[:2])
    np.testing.assert_allclose(references.probabilities()[0], good.mean(axis=0) / (ballot.total or 1.0))
    assert f"{5 - len(good)} of 5 answers empty or outside the scale" in references.report[0]
    columns = pd.DataFrame({"problem": ["a"], "p_park": [0.9], "p_pool": [0.8], "p_road": [0.0], "p_tram": [0.3]})
    if rule == "approval":
        given = References.from_frame(columns, scale=ballot)
        np.testing.assert_allclose(given.probabilities(), [[0.9, 0.8, 0.0, 0.3]])
        with pytest.raises(DataError, match="which are not probabilities; correct them"):
            References.from_frame(columns.assign(p_park=1.2), scale=ballot)
    else:
        with pytest.raises(DataError, match="which are not probabilities that sum to one; correct them"):
            References.from_frame(columns, scale=ballot)
        given = References.from_frame(columns.assign(p_pool=0.1, p_park=0.6), scale=ballot)
    back = References.from_frame(given.to_frame(), scale=ballot)
    np.testing.assert_allclose(back.probabilities(), given.probabilities())
    with pytest.raises(DataError, match="^ballots have no expected value"):
        given.expected()


def test_drawn_references_need_numbers(rule):
    data = CrowdData.from_frames(votes(RULES[rule]), PROBLEMS, scale=RULES[rule])
    references = References.from_frame(recorded(RULES[rule]), scale=RULES[rule])
    model = quick().fit(data, references)
    with pytest.raises(MissingReferenceError, match="as a number, which ballot answers are not"):
        model.generate(5, references=references, reference="shared_draw")


def test_other_matrices_and_files_are_refused(tmp_path):
    ballot, people = RULES["choose"], pd.DataFrame(index=range(2))
    problems = PROBLEMS.set_index("problem")[:1]
    with pytest.raises(DataError, match=r"shape \(2, 1\); expected \(2, 1, 4\)"):
        Crowd.from_matrix(np.zeros((2, 1)), scale=ballot, problems=problems, participants=people)
    with pytest.raises(DataError, match=r"variable 'response' is over \('participant', 'problem'\)"):
        Crowd(crowd_of(ballot, ["park|pool"]).dataset.isel(option=0, drop=True))
    other = References.from_frame(
        pd.DataFrame({"problem": ["a"], "answer": "x"}), scale=Ballot(("x", "y"), "choose", 1)
    )
    with pytest.raises(DataError, match="2 options; the scale has 4 levels"):
        References(ballot, other.sources)


def zurich(folder, code):
    """Ballots of one format in Zurich's experiment, as this package writes them."""
    long = pd.read_csv(folder / "ballots_long.csv")
    long = long[long["format_code"] == code].sort_values("value" if code == "E" else "project_id", kind="stable")
    option = long["project_id"].astype(str)
    text = option + "=" + long["value"].astype(int).astype(str) if code == "D" else option
    ballots = text.groupby(long["agent_id"]).agg("|".join)
    return pd.DataFrame({"problem": "vote", "participant": ballots.index, "response": ballots.to_numpy()})


@pytest.mark.parametrize(
    ("code", "scale"),
    [("A", ("approval", None)), ("B", ("choose", 5)), ("E", ("rank", 5)), ("D", ("points", 10))],
)
def test_zurichs_ballots_encode_and_fit(data_dir, code, scale):
    folder = data_dir / "zurich_pb"
    if not folder.is_dir():
        pytest.skip("CROWDPYRO_DATA holds no zurich_pb folder")
    ballot = Ballot(tuple(map(str, range(1, 25))), *scale)
    frame = zurich(folder, code)
    valid = ballot.valid(frame["response"].to_numpy())
    # One voter ranked a single project.
    assert (~valid).sum() == (code == "E")
    problems = pd.DataFrame({"problem": ["vote"], "text": ["Which of the 24 projects shall the city pay for?"]})
    people = pd.read_csv(folder / "voters.csv", usecols=["agent_id", "district", "pref_transport"])
    people = people.rename(columns={"agent_id": "participant"})
    data = CrowdData.from_frames(frame[valid], problems, people, scale=ballot)
    training = FitConfig(epochs=30, every=5, margin_steps=10)
    # Of one problem there is nothing to compare: no components of its text.
    model = quick(training=training, n_components=0).fit(data)
    truth, found = data.counts()[0] / data.n_answers, model.shares(participants=256)[0]
    assert np.abs(found - truth).mean() < 0.5 * np.abs(truth - truth.mean()).mean()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (["park|pool", "road|park"], "choose:2:park,pool,road, or rank:2:... where their order counts"),
        (["park|pool", "road", "none"], "approval:park,pool,road"),
        (["park=2|pool=3", "road=5"], "points:N:park,pool,road, N being"),
    ],
)
def test_without_a_scale_the_file_is_looked_at(tmp_path, answers, words):
    frame = pd.DataFrame({"problem": "a", "participant": range(len(answers)), "response": answers})
    frame.to_csv(tmp_path / "answers.csv", index=False)
    with pytest.raises(DataError, match=f"'scale' is missing; the answers are ballots: write --scale {words}"):
        RunOptions.of({"responses": str(tmp_path / "answers.csv"), "problems": "problems.csv"})
