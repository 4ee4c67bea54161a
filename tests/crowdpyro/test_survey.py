"""Survey weights from a file to a crowd: read, refused by name, and in all that is said of a population."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import (
    Categorical,
    Continuous,
    Crowd,
    CrowdData,
    CrowdLLM,
    DataError,
    FitConfig,
    ModelError,
    Ordinal,
    baselines,
    individuation,
    metrics,
    parse_scale,
    replay,
)
from crowdpyro.aggregation.summaries import summarise
from crowdpyro.checkpoint import Checkpoint, fingerprint
from crowdpyro.survey import effective_sample_size

QUICK = FitConfig(epochs=4, margin_steps=4, every=2)
N = 24
SETTINGS = [{}, {"objective": "paper", "reconstruct": False}, {"participation": "learned"}, {"holdout": "problem"}]


def table(**columns):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"participant": np.arange(N), "home": rng.choice(["town", "land"], N), **columns})


def data(people=None, scale=None, n_problems=3, **how):
    rng = np.random.default_rng(1)
    given = rng.integers(1, 6, size=(N, n_problems)).astype(float)
    given[rng.random(given.shape) < 0.15] = np.nan
    rows = pd.DataFrame(given, columns=[f"q{t}" for t in range(n_problems)]).rename_axis("participant").reset_index()
    answers = rows.melt("participant", var_name="problem", value_name="response")
    if isinstance(scale, Categorical):
        answers["response"] = answers["response"].map(lambda y: y if pd.isna(y) else "no" if y < 4 else "yes")
    problems = pd.DataFrame({"problem": rows.columns[1:], "text": [f"text {t}" for t in range(n_problems)]})
    people = table() if people is None else people
    return CrowdData.from_frames(answers, problems, people, scale=scale or Ordinal.range(1, 5), **how)


WEIGHT = np.random.default_rng(2).uniform(0.2, 3, N)
WHOLE = np.random.default_rng(3).integers(1, 4, N)


def replicated(whole):
    """Everybody as often as a whole weight says."""
    plain = data()
    rows = np.repeat(np.arange(N), whole)
    return plain, plain.matrix()[rows]


def quick(**settings):
    return CrowdLLM(n_components=0, n_hidden=4, n_eps=1, training=QUICK, progress=False, **settings)


# -- reading ---------------------------------------------------------------------------------------------------


def test_columns_of_the_design_are_no_traits():
    people = table(weight=WEIGHT, stratum=["a", "b"] * (N // 2), psu=np.repeat([1, 2, 3, 4], 6))
    given = data(people)
    assert list(given.participants.columns) == ["home"]
    np.testing.assert_allclose(given.weights, WEIGHT / WEIGHT.mean())
    assert given.design.strata.tolist() == ["a", "b"] * (N // 2)
    assert given.design.units[:3].tolist() == ["a/1", "b/1", "a/1"]  # two strata may count their PSUs alike
    n = WEIGHT.sum() ** 2 / np.square(WEIGHT).sum()
    assert any(f"worth {n:.0f} of equal weights" in note for note in given.report)
    assert effective_sample_size(np.ones(9)) == 9


def test_names_can_be_others_or_traits():
    given = data(table(w8=WEIGHT, weight=np.linspace(50, 90, N)), weight="w8")
    assert list(given.participants.columns) == ["home", "weight"]
    np.testing.assert_allclose(given.weights, WEIGHT / WEIGHT.mean())
    trait = data(table(weight=WEIGHT), weight=None)
    assert "weight" in trait.participants.columns
    assert trait.weights is None
    assert data(table(Weight=WEIGHT)).weights is not None
    with pytest.raises(DataError, match=r"weight='w8': participants have no such column"):
        data(table(weight=WEIGHT), weight="w8")
    with pytest.raises(DataError, match="the column is named twice"):
        data(table(weight=WEIGHT), psu="weight")


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.where(np.arange(N) == 5, -1.0, WEIGHT), r"'weight'.*-1.0 is negative \(participant 5 has such"),
        (np.where(np.arange(N) == 5, np.nan, WEIGHT), r"'weight'.*participant 5 has no weight; give everybody one"),
        (np.where(np.arange(N) == 5, np.inf, WEIGHT), r"'weight'.*inf is no finite number"),
        (np.where(np.arange(N) < 3, "lots", "1"), r"'weight'.*'lots' is no finite number.*and 2 more"),
        (np.zeros(N), r"'weight' of participants sums to 0; give somebody a positive weight"),
    ],
)
def test_bad_weights_are_named(weight, words):
    with pytest.raises(DataError, match=words):
        data(table(weight=weight))


def test_missing_strata_and_units_are_named():
    for name in ("stratum", "psu"):
        with pytest.raises(DataError, match=rf"'{name}' of participants: participant 0 has none.*say {name}=None"):
            data(table(**{name: [None, *["a"] * (N - 1)]}))


def test_parts_keep_the_design_and_those_of_weight_0_alone_have_none():
    weight = np.where(np.arange(N) < 4, 0.0, WEIGHT)
    given = data(table(weight=weight))
    some = given.select(participants=[20, 3, 9])
    np.testing.assert_allclose(some.weights, weight[[20, 3, 9]] / weight[[20, 3, 9]].mean())
    train, test = given.split("participant", 6, seed=1)
    assert len(train.weights) == 18
    assert len(test.weights) == 6
    assert len(given.split("response", 0.3)[0].weights) == N
    with pytest.raises(DataError, match="weights of all 2 people sum to 0"):
        given.select(participants=[0, 1]).counts()
    dropped = table(weight=WEIGHT).assign(home=["town", None] * (N // 2))
    kept = data(dropped, missing_profile="drop")
    np.testing.assert_allclose(kept.weights, WEIGHT[::2] / WEIGHT[::2].mean())


# -- what is said of a population ------------------------------------------------------------------------------


def test_whole_weights_are_people_repeated():
    """Histograms, means, medians, majorities and correlations of whole weights: those of a table of copies."""
    plain, copies = replicated(WHOLE)
    weighted = data(table(weight=WHOLE))
    crowd = Crowd.from_data(weighted)
    many = Crowd.from_matrix(
        copies, scale=plain.scale, problems=plain.problems, participants=pd.DataFrame(index=range(len(copies)))
    )
    np.testing.assert_allclose(crowd.shares(), many.shares(), rtol=1e-12)
    np.testing.assert_allclose(crowd.correlation(), many.correlation(), rtol=1e-9)
    assert not np.allclose(crowd.correlation(), Crowd.from_data(plain).correlation())
    for method in ("mean", "median", "majority"):
        np.testing.assert_allclose(crowd.aggregate(method), many.aggregate(method))
    np.testing.assert_allclose(weighted.counts() * WHOLE.mean(), many.counts())
    np.testing.assert_allclose(crowd.counts(), weighted.counts())
    np.testing.assert_allclose(baselines.independent_histograms(weighted.counts()), many.shares(), rtol=1e-12)
    np.testing.assert_allclose(
        baselines.training_marginal(weighted.counts(), 1), baselines.training_marginal(many.counts(), 1)
    )


@pytest.mark.parametrize("values", [np.array([[1.0], [2.0], [4.0]]), np.array([[4.0], [1.0], [2.0]])])
def test_weighted_medians_by_hand(values):
    by_value = {1.0: 1, 2.0: 1, 4.0: 2}  # half of the weight lies below 3
    weights = [by_value[each] for each in values[:, 0]]
    assert summarise(values, "median", weights=weights)[0] == 3
    assert summarise(values, "median", weights=[by_value[each] + (each == 2) for each in values[:, 0]])[0] == 2
    assert summarise(values, "mean", weights=[0, 0, 1])[0] == values[2, 0]
    with pytest.raises(DataError, match=r"weights have shape \(2,\)"):
        summarise(values, weights=[1, 2])


def test_ballots_are_counted_by_weight():
    scale = parse_scale("choose:1:A,B")
    rows = pd.DataFrame({"problem": "q", "participant": range(4), "response": ["A", "A", "A", "B"]})
    people = pd.DataFrame({"participant": range(4), "weight": [1.0, 1.0, 1.0, 6.0]})
    problems = pd.DataFrame({"problem": ["q"], "text": ["which"]})
    given = CrowdData.from_frames(rows, problems, people, scale=scale)
    crowd = Crowd.from_data(given)
    np.testing.assert_allclose(crowd.shares(), [[1 / 3, 2 / 3]])
    np.testing.assert_allclose(given.counts() / given.counts().sum(), [[1 / 3, 2 / 3]])
    assert crowd.aggregate("majority")["q"] == "B"
    assert crowd.aggregate("mean").loc["q", "A"] == pytest.approx(1 / 3)


def test_people_are_resampled_by_weight():
    """20,000 draws of three people: shares within 4.5 standard errors of the weights', error rate below 1e-5 each."""
    drawn = baselines.resample_people(np.arange(3.0)[:, None], 20_000, weights=[1, 0, 3])[:, 0]
    assert (drawn != 1).all()
    assert abs((drawn == 2).mean() - 0.75) < 4.5 * (0.75 * 0.25 / 20_000) ** 0.5
    with pytest.raises(DataError, match="weights: -1.0"):
        baselines.resample_people(np.arange(3.0)[:, None], 2, weights=[1, -1, 1])


def test_individuation_compares_weighted_histograms_and_correlations():
    weighted, plain = data(table(weight=WEIGHT), n_problems=4), data(n_problems=4)
    found = individuation.report(Crowd.from_data(plain), weighted)
    humans = Crowd.from_data(weighted)
    upper = np.triu_indices(4, 1)
    np.testing.assert_allclose(found.pairs["humans"], humans.correlation().to_numpy()[upper])
    np.testing.assert_allclose(found.pairs["crowd"], Crowd.from_data(plain).correlation().to_numpy()[upper])
    w1 = metrics.wasserstein1(Crowd.from_data(plain).shares(), humans.shares(), plain.scale.values)
    assert found.summary.loc["W1 of answers", "crowd"] == pytest.approx(w1)


def test_a_weighted_crowd_goes_through_its_files(tmp_path):
    crowd = Crowd.from_data(data(table(weight=WEIGHT)))
    again = Crowd.open(crowd.to_netcdf(tmp_path / "crowd.nc"))
    np.testing.assert_array_equal(again.weights, crowd.weights)
    frame = again.to_frame()
    np.testing.assert_allclose(frame.groupby("participant")["weight"].first(), WEIGHT / WEIGHT.mean())
    assert "weight" not in Crowd.from_data(data()).to_frame()
    both = Crowd.from_data(data(table(w8=WEIGHT, weight=np.linspace(50, 90, N)), weight="w8")).to_frame()
    assert both["weight"].max() == 90
    assert both["survey_weight"].max() == pytest.approx(WEIGHT.max() / WEIGHT.mean())


# -- models ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weighted_model():
    return quick().fit(data(table(weight=WEIGHT)), seed=0)


@pytest.fixture(scope="module")
def plain_model():
    return quick().fit(data(), seed=0)


def states(model):
    return {name: value for part in (model.model, model.guide) for name, value in part.state_dict().items()}


def test_a_constant_weight_is_no_weight_to_the_bit(plain_model):
    constant = quick().fit(data(table(weight=np.full(N, 0.3))), seed=0)
    mine, theirs = states(constant), states(plain_model)
    assert all((mine[name] == theirs[name]).all() for name in theirs)
    assert constant.weights is None
    np.testing.assert_array_equal(constant.generate(40, seed=1).codes(), plain_model.generate(40, seed=1).codes())
    assert constant.made_from == plain_model.made_from


def test_weights_change_a_fit_and_its_fingerprint(weighted_model, plain_model):
    mine, theirs = states(weighted_model), states(plain_model)
    assert any((mine[name] != theirs[name]).any() for name in theirs)
    heavier = data(table(weight=np.where(np.arange(N) == 0, 9.0, WEIGHT)))
    prints = [
        fingerprint(each, None, weighted_model.config, 0, "cpu") for each in (data(table(weight=WEIGHT)), heavier)
    ]
    changed = [name for name in prints[0] if prints[0][name] != prints[1][name]]
    assert changed == ["the survey weights"]
    assert "the survey weights" not in plain_model.made_from


def test_a_checkpoint_of_other_weights_is_refused(tmp_path):
    path = tmp_path / "fit.checkpoint"
    quick().fit(data(table(weight=WEIGHT)), seed=0, checkpoint=Checkpoint(path, 0))
    with pytest.raises(ModelError, match="the survey weights changed"):
        quick().fit(data(table(weight=WEIGHT**2)), seed=0, checkpoint=path)
    with pytest.raises(ModelError, match="the survey weights"):
        quick().fit(data(), seed=0, checkpoint=path)


def test_the_pool_is_drawn_by_weight_after_a_reload_too(weighted_model, tmp_path):
    """20,000 recruits of 24: shares of homes within 4.5 standard errors."""
    home = (weighted_model.profiles["home"] == "town").to_numpy()
    share = weighted_model.weights[home].sum() / N
    again = CrowdLLM.load(weighted_model.save(tmp_path))
    np.testing.assert_array_equal(again.weights, weighted_model.weights)
    for model in (weighted_model, again):
        crowd = model.generate(20_000, [model.problems.index[0]], seed=3)
        drawn = (crowd.dataset["profile_home"] == "town").mean().item()
        assert abs(drawn - share) < 4.5 * (share * (1 - share) / 20_000) ** 0.5
        assert crowd.weights is None
    np.testing.assert_array_equal(again.generate(9, seed=1).codes(), weighted_model.generate(9, seed=1).codes())


def test_a_replay_keeps_the_pools_weights(weighted_model):
    """Raked to the margin that the weighted pool has already, nobody changes."""
    home = weighted_model.profiles["home"]
    share = weighted_model.weights[home == "town"].sum() / N
    found = replay.under_margins(weighted_model, {"home": {"town": share, "land": 1 - share}}, 300, seed=0)
    assert "0 of 300 profiles" in found.changed


def test_named_people_may_weigh(weighted_model):
    frame = pd.DataFrame({"home": ["town", "land", "land"], "weight": [2.0, 1.0, 0.0]})
    crowd = weighted_model.generate(frame, seed=0)
    np.testing.assert_allclose(crowd.weights, [2, 1, 0])
    shares = weighted_model.shares(participants=frame, seed=0)
    twice = weighted_model.shares(participants=frame.iloc[:1].drop(columns="weight"), seed=0)
    assert shares.sum(axis=1) == pytest.approx(np.ones(3))
    # eps of the first is the first draw in both.
    once = weighted_model.shares(participants=frame.iloc[:2].drop(columns="weight"), seed=0)
    np.testing.assert_allclose(shares, (2 * twice + (2 * once - twice)) / 3, rtol=1e-4)
    with pytest.raises(DataError, match="-1 is negative"):
        weighted_model.generate(frame.assign(weight=[1, -1, 1]))


def test_held_out_scores_are_the_populations(weighted_model):
    """Whole weights score as a file of copies does."""
    plain, copies = replicated(WHOLE)
    rows = pd.DataFrame(copies + 1, columns=plain.problems.index).rename_axis("participant").reset_index()
    answers = rows.melt("participant", var_name="problem", value_name="response")
    people = plain.participants.iloc[np.repeat(np.arange(N), WHOLE)].reset_index(drop=True).rename_axis("participant")
    many = CrowdData.from_frames(answers, plain.problems.reset_index(), people.reset_index(), scale=plain.scale)
    weighted = data(table(weight=WHOLE))
    np.testing.assert_allclose(
        weighted_model.log_score(weighted, n_draws=64), weighted_model.log_score(many, n_draws=64), rtol=1e-5
    )


@pytest.mark.parametrize("scale", [Ordinal.range(1, 5), Categorical(("no", "yes")), Continuous()])
@pytest.mark.parametrize("settings", SETTINGS)
def test_every_scale_and_objective_fits_under_weights(scale, settings):
    model = quick(**settings).fit(data(table(weight=np.where(np.arange(N) == 1, 0.0, WEIGHT)), scale), seed=0)
    assert np.isfinite(model.history.loss).all()
    assert model.generate(3, seed=0).n_participants == 3


# -- intervals -------------------------------------------------------------------------------------------------


def test_intervals_take_the_datas_design():
    people = table(weight=WEIGHT, stratum=np.repeat(["a", "b"], 12), psu=np.repeat(np.arange(8), 3))
    given = data(people)
    population = pd.DataFrame({"home": ["town"] * 30 + ["land"] * 90, "weight": [3.0] * 30 + [1.0] * 90})
    found = quick().interval(given, population=population, k=2, n_draws=4, seed=1)
    y = given.matrix() + 1
    mean = [np.average(c[~np.isnan(c)], weights=WEIGHT[~np.isnan(c)]) for c in y.T]
    np.testing.assert_allclose(found.human_only.estimate, mean, rtol=1e-12)
    assert (found.human_only.df == 6).all()  # eight PSUs in two strata
    there = ~np.isnan(y)
    kish = (WEIGHT @ there) ** 2 / (WEIGHT**2 @ there)
    np.testing.assert_allclose(found.n_effective, kish, rtol=1e-12)
    assert not np.allclose(found.design_effect, 1)
    own = quick().interval(given, k=2, n_draws=4, seed=1)
    np.testing.assert_allclose(own.human_only.estimate, mean, rtol=1e-12)
    # Two fold models stand between the crowd's mean and its twins': the estimate is close to that of people alone.
    np.testing.assert_allclose(own.estimate, mean, atol=0.25)
    pooled = quick().interval(given, population=population, k=2, n_draws=4, seed=1, pooled=True)
    assert pooled.human_only.df == 6
    unweighted = quick().interval(given, population=population, k=2, n_draws=4, seed=1, weights=np.ones(N))
    np.testing.assert_allclose(unweighted.human_only.estimate, np.nanmean(y, axis=0), rtol=1e-12)
    lonely = table(stratum=np.where(np.arange(N) < 20, "a", "b"), psu=np.repeat(np.arange(6), 4))
    with pytest.raises(DataError, match=r"stratum 'b' has one primary sampling unit"):
        quick().interval(data(lonely), k=2, n_draws=2)


def test_folds_keep_a_unit_together(monkeypatch):
    from crowdpyro import crowd_intervals

    seen = []

    def note(n, k, participants=None, *, seed=0):
        seen.append(participants)
        return iter(())

    monkeypatch.setattr(crowd_intervals, "person_folds", note)
    crowd_intervals.cross_fitted_answers(quick(), data(table(psu=np.repeat([1, 2, 3], 8))), k=2)
    assert list(seen[0]) == ["1"] * 8 + ["2"] * 8 + ["3"] * 8
