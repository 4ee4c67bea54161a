"""The search for hyper-parameters: it never reads a test part, resumes, and ranks by held-out log loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import CrowdConfig, CrowdData, DataError, Ordinal, References
from crowdpyro.inference.training import FitConfig
from crowdpyro.studies.search import CHOSEN, GRID, ranking, search

SCALE = Ordinal.range(1, 5)
GRIDS = {
    "untrained": CrowdConfig(n_components=0, n_eps=0, training=FitConfig(epochs=1, every=1, margin_steps=0)),
    "trained": CrowdConfig(n_components=0, n_eps=0, training=FitConfig(epochs=30, margin_steps=30)),
}


@pytest.fixture(scope="module")
def study() -> tuple[CrowdData, References]:
    """People who answer one above the LLM."""
    rng = np.random.default_rng(0)
    llm = rng.integers(1, 4, 50)
    problem, person = np.nonzero(rng.random((50, 20)) < 0.4)
    response = np.clip(llm[problem] + 1 + rng.integers(-1, 2, len(problem)), 1, 5)
    data = CrowdData.from_frames(
        pd.DataFrame({"problem": problem, "participant": person, "response": response}),
        pd.DataFrame({"problem": range(50), "text": "text"}),
        scale=SCALE,
    )
    return data, References.from_frame(pd.DataFrame({"problem": range(50), "answer": llm}), scale=SCALE)


def test_it_goes_on_where_it_was_and_never_reads_the_test_part(study, tmp_path, monkeypatch):
    data, references = study
    test = set(data.split("problem", 0.2, 0)[1].problems.index)
    from crowdpyro.studies import search as module

    read, score = set(), module._score

    def spy(config, part, valid, *more):
        read.update(part.problems.index, valid.problems.index)
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(1)
        return score(config, part, valid, *more)

    seen: list[int] = []
    monkeypatch.setattr(module, "_score", spy)
    path = tmp_path / "search.csv"
    with pytest.raises(KeyboardInterrupt):
        search(data, {"llm": references}, "problem", GRIDS, inner=2, path=path)
    assert len(pd.read_csv(path)) == 2
    seen.extend([1, 1])
    found = search(data, {"llm": references}, "problem", GRIDS, inner=2, path=path)
    assert len(found) == 4
    assert not read & test
    monkeypatch.setattr(module, "_score", score)
    whole = search(data, {"llm": references}, "problem", GRIDS, inner=2)
    pd.testing.assert_frame_equal(
        found.sort_values(["inner", "setting"]).reset_index(drop=True),
        whole.sort_values(["inner", "setting"]).reset_index(drop=True),
        check_dtype=False,
    )
    table = ranking(found)
    assert table.index.tolist() == ["trained", "untrained"]
    assert table["worse_by"].iloc[0] == 0
    assert table["worse_by"].iloc[1] == pytest.approx(found.groupby("setting")["log_loss"].mean().diff().abs().iloc[-1])


def test_an_unfinished_search_ranks_nothing(study):
    rows = [("a", "llm", 0, 1.0, 0.5, 0.4), ("a", "llm", 1, 1.0, 0.5, 0.4), ("b", "llm", 0, 0.9, 0.5, 0.4)]
    frame = pd.DataFrame(rows, columns=["setting", "references", "inner", "log_loss", "wasserstein1", "mae"])
    with pytest.raises(DataError, match="scores lack fits"):
        ranking(frame)
    with pytest.raises(DataError, match="inner=1"):
        search(study[0], {"llm": study[1]}, "problem", GRIDS, inner=1)


def test_what_was_chosen_is_of_the_grid():
    assert CHOSEN in GRID.values()
