from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import crowdpyro as cp
from crowdpyro import theory
from crowdpyro.errors import DataError, ModelError

mpl.use("agg")

SCALES = {"ordinal": cp.Ordinal.range(1, 5), "labels": cp.Categorical(("no", "perhaps", "yes"))}


class Known:
    """Stands for a fitted model: every recruit answers problem t by known chances, whoever they are."""

    def __init__(self, scale: cp.Ordinal | cp.Categorical, chances: np.ndarray) -> None:
        self.scale, self.chances = scale, chances

    def generate(
        self,
        people: pd.DataFrame,
        problems: pd.DataFrame,
        references: cp.References,
        *,
        participation: float,
        seed: int,
    ) -> cp.Crowd:
        rng = np.random.default_rng(seed)
        chances = self.chances[[int(problem) for problem in problems.index]]
        drawn = (rng.random((len(people), len(problems), 1)) > chances.cumsum(axis=1)[None, :, :-1]).sum(axis=2)
        return cp.Crowd.from_matrix(drawn, scale=self.scale, problems=problems, participants=people, seed=seed)


def study(
    kind: str, n_people: int = 60, n_problems: int = 40, seed: int = 0
) -> tuple[Known, cp.CrowdData, cp.References]:
    """People answer by chances of their own, the LLM and the crowd by others, the crowd's nearer to them."""
    scale, rng = SCALES[kind], np.random.default_rng(seed)
    truth = rng.dirichlet(np.ones(scale.n_levels), n_problems)
    far = rng.dirichlet(np.ones(scale.n_levels), n_problems)
    codes = (rng.random((n_people, n_problems, 1)) > truth.cumsum(axis=1)[None, :, :-1]).sum(axis=2)
    person, problem = np.nonzero(rng.random(codes.shape) < 0.5)
    answers = pd.DataFrame(
        {"participant": person, "problem": problem, "response": np.asarray(scale.decode(codes[person, problem]))}
    )
    problems = pd.DataFrame({"problem": range(n_problems), "text": [f"problem {t}" for t in range(n_problems)]})
    data = cp.CrowdData.from_frames(answers, problems, scale=scale)
    frame = pd.DataFrame(far, columns=[f"p_{label}" for label in scale.labels]).assign(problem=range(n_problems))
    references = cp.References.from_frame(frame, scale=scale, temperature=1.0)
    return Known(scale, 0.7 * truth + 0.3 * far), data, references


@pytest.mark.parametrize("kind", ["ordinal", "labels"])
def test_the_report_is_its_parts(kind: str) -> None:
    model, data, references = study(kind)
    found = theory.win_report(model, data, references, n_twins=40)  # type: ignore[arg-type]
    probabilities = references.probabilities()
    unit = np.eye(3) if kind == "labels" else SCALES[kind].values[:, None]
    r, crowd = probabilities @ unit, model.chances @ unit
    answers = unit[np.nan_to_num(data.matrix()).astype(int)]
    there = ~np.isnan(data.matrix())[..., None]
    y_bar = np.where(there, answers, 0).sum(axis=0) / there.sum(axis=0)
    # 60 people and 40 draws of each stand for the crowd's expectation.
    gap = ((crowd - y_bar) ** 2).sum(axis=1) - ((r - y_bar) ** 2).sum(axis=1)
    np.testing.assert_allclose(found.win.gap - found.sampling, gap, atol=0.15)
    np.testing.assert_allclose(found.gap_test.gaps, found.win.gap, atol=1e-9)
    assert found.gap_test.better == "crowd"
    assert found.kappa == theory.conformal_kappa(np.squeeze(r), np.squeeze(y_bar))
    assert found.crowd.identity_error < 1e-10
    assert found.llm.identity_error < 1e-10
    np.testing.assert_allclose(found.llm.risk, ((r - y_bar) ** 2).sum(axis=1))
    # Risks of the crowd and of the LLM are what their parts add up to.
    assert found.human_noise + found.llm_error + found.llm_noise == pytest.approx(found.llm.mean()["risk"])
    assert found.risk() - found.llm.mean()["risk"] == pytest.approx(found.gap_test.mean)
    assert found.risk(2.0) - found.risk() == pytest.approx(3 * found.sampling)
    spread = theory.eta_from_probabilities(model.chances, None if kind == "labels" else SCALES[kind].values)
    assert found.sampling == pytest.approx(spread.mean() / 60, rel=0.03)
    frame = found.to_frame()
    assert frame.index.equals(data.problems.index)
    assert set(frame["verdict"]) <= {"crowd", "LLM", "undecided"}
    assert (frame["gap_low"] < frame["gap"]).all()
    assert found.plot().get_suptitle().startswith("The crowd beats the LLM")
    assert "twice as much would change the risk by +0.0" in repr(found)


def test_verdicts_are_wrong_as_rarely_as_their_level_says() -> None:
    """Gap intervals of .9 over 300 problems and 5 studies: standard error .0077, bounds at 4."""
    covered = []
    for seed in range(5):
        model, data, references = study("ordinal", n_people=40, n_problems=300, seed=seed)
        found = theory.win_report(model, data, references, level=0.9, crowd_size=10**9, seed=seed)  # type: ignore[arg-type]
        truth = np.random.default_rng(seed).dirichlet(np.ones(5), 300)
        people, llm, crowd = (
            each @ SCALES["ordinal"].values for each in (truth, references.probabilities(), model.chances)
        )
        gap = (crowd - people) ** 2 - (llm - people) ** 2
        covered += list((found.gap_low <= gap) & (gap <= found.gap_high))
    # Sigma is pooled over problems of unlike variance: on average right, so that the level holds nearly.
    assert np.mean(covered) == pytest.approx(0.9, abs=0.035)


def test_rules_of_the_llm_change_its_mean_and_noise() -> None:
    model, data, references = study("ordinal")
    found = {
        rule: theory.win_report(model, data, references, rule=rule, n_draws=k, n_twins=8)  # type: ignore[arg-type]
        for rule, k in (("expected", 1), ("draw", 1), ("mean", 8), ("majority", 8))
    }
    eta = theory.eta_from_probabilities(references.probabilities(), SCALES["ordinal"].values).mean()
    assert [found[rule].llm_noise for rule in ("expected", "draw", "mean")] == pytest.approx([0, eta, eta / 8])
    assert found["expected"].llm_error == pytest.approx(found["draw"].llm_error)
    assert found["majority"].llm_error != pytest.approx(found["draw"].llm_error, rel=0.01)
    assert found["draw"].gap_test.mean == pytest.approx(found["expected"].gap_test.mean - eta)
    cold = theory.win_report(model, data, references, rule="draw", temperature=0.0, n_twins=8)  # type: ignore[arg-type]
    assert cold.llm_noise == 0.0


def test_problems_of_one_answer_are_left_out_and_said() -> None:
    model, data, references = study("ordinal")
    one = data.answers[data.answers["problem"] == 0].iloc[:1]
    rest = pd.concat([one, data.answers[data.answers["problem"] != 0]])
    thinner = cp.CrowdData.from_frames(rest, data.problems.reset_index(), scale=data.scale)
    found = theory.win_report(model, thinner, references, n_twins=4)  # type: ignore[arg-type]
    assert found.n_left_out == 1
    assert 0 not in found.problems
    assert "1 without two answers" in repr(found)


def test_numbers_of_a_fitted_model() -> None:
    rng = np.random.default_rng(0)
    people, problems = 24, 10
    truth = rng.normal(50, 10, problems)
    frame = pd.DataFrame({"participant": np.repeat(range(people), problems), "problem": list(range(problems)) * people})
    frame["response"] = truth[frame["problem"]] + rng.normal(0, 5, people * problems)
    texts = pd.DataFrame({"problem": range(problems), "text": "?"})
    data = cp.CrowdData.from_frames(frame, texts, scale=cp.Continuous())
    train, test = data.split("participant", 0.4, 0)
    drawn = pd.DataFrame({"problem": np.repeat(range(problems), 4)})
    drawn["answer"] = truth[drawn["problem"]] + 15 + rng.normal(0, 2, len(drawn))
    references = cp.References.from_frame(drawn, scale=cp.Continuous())
    model = cp.CrowdLLM(training=cp.FitConfig(epochs=15), progress=False, n_components=0).fit(train, references)
    found = theory.win_report(model, test, references, rule="mean", n_draws=4, n_twins=8)
    assert found.gap_test.better == "crowd"
    assert found.llm_error == pytest.approx(225, rel=0.3)
    assert found.llm_noise == pytest.approx(1.0, rel=0.6)
    with pytest.raises(DataError, match="no majority"):
        theory.win_report(model, test, references, rule="majority", n_draws=3)


def test_bad_input_is_named() -> None:
    model, data, references = study("ordinal")
    few = data.select(problems=data.problems.index[:4])
    with pytest.raises(DataError, match="at least 5"):
        theory.win_report(model, few, references)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="put them on one"):
        theory.win_report(study("labels")[0], data, references)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="level=95"):
        theory.win_report(model, data, references, level=95)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="n_twins=1"):
        theory.win_report(model, data, references, n_twins=1)  # type: ignore[arg-type]


@pytest.mark.slow
def test_popquorn(popquorn_dir: object) -> None:
    """Recorded GPT-4 ratings against a crowd fitted to 1,200 other comments."""
    from crowdpyro.studies.offensiveness import choose

    data, every = cp.datasets.load_offensiveness()
    references = choose(every, "gpt4")
    train, test = data.split("problem", 0.2, 0)
    model = cp.CrowdLLM(holdout="problem", progress=False).fit(train, references.select(train.problems.index))
    found = theory.win_report(model, test, references)
    assert found.gap_test.high < -0.5
    assert found.mean_error < 0.15 * found.llm_error
    assert (found.verdicts == "crowd").sum() > 5 * (found.verdicts == "LLM").sum()
    assert found.crowd.mean()["printed_sum"] > 5 * found.crowd.mean()["risk"]
