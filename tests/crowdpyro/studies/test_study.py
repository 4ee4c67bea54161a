"""Studies as they are declared: names, the grid, columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError, Ordinal
from crowdpyro.metrics import log_loss, wasserstein1
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.metric import METRICS, Column
from crowdpyro.studies.names import STUDIES, find
from crowdpyro.studies.rows import Rows, checked
from crowdpyro.studies.study import Grid, Method


@pytest.mark.parametrize("text", ["mae", "mae:mean", "wasserstein1@8", "mae:dawid_skene@20"])
def test_columns_are_read_as_they_are_written(text):
    assert str(Column.parse(text)) == text


def test_a_column_of_another_form_is_named():
    with pytest.raises(DataError, match="'mae@many'"):
        Column.parse("mae@many")


def test_the_grid_is_seed_by_seed_and_runs_methods_without_references_once(simulated):
    cells = simulated.cells(protocols=("problem",), seeds=(0, 1))
    assert [cell.seed for cell in cells] == [0] * 8 + [1] * 8
    first = [(cell.method, cell.references) for cell in cells[:8]]
    assert ("marginal", "") in first
    assert [llm for method, llm in first if method == "crowd"] == ["gpt4", "llama"]
    assert not any(cell.method == "alone" for cell in simulated.cells(protocols=("curve",)))
    assert {cell.references for cell in simulated.quick_cells()} == {"gpt4", ""}


def test_every_cell_has_a_file_of_its_own_whatever_its_names():
    names = ["a/b", "a b", "a:b", "x" * 100, "x" * 101, "é", ""]
    keys = {Cell("s", "p", llm, "m", 0).key for llm in names}
    assert len(keys) == len(names)
    assert all("/" not in key and len(key) < 150 for key in keys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ()}, "columns is empty"),
        ({"columns": ("mea:mean",)}, "metric 'mea'"),
        ({"columns": ("bias",)}, "ranks nothing"),
        ({"methods": (Method("a", "a", "crowd"), Method("a", "b", "crowd"))}, "each name once"),
        ({"references": ()}, "reads references"),
        ({"panel": "all"}, "'all' is not among its references"),
        ({"held_out": 1.0}, "held_out=1.0"),
        ({"quick": Grid(methods=("crwd",))}, "Did you mean 'crowd'"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_named(simulated, change, message):
    with pytest.raises(DataError, match=message):
        replace(simulated, **change)


def test_unknown_studies_are_named():
    with pytest.raises(DataError, match="'nothing' is not one of"):
        find("nothing")


@pytest.mark.parametrize("name", list(STUDIES))
def test_every_study_of_the_list_is_there(name):
    study = find(name)
    assert study.name == name
    assert study.quick_cells()


def test_values_over_all_problems_are_made_of_those_of_units():
    rows = Rows()
    rows.add_units("log_loss", [1.0, 3.0], ["a", "b"], weights=[3.0, 1.0])
    rows.add_units("rmse", [1.0, 9.0], ["a", "b"], "mean", 20)
    frame = checked(rows.frame(), (), "here", 2.0)
    whole = frame[frame["unit"] == ""].set_index("metric")["value"]
    assert whole["log_loss"] == 1.5
    assert whole["rmse"] == pytest.approx(np.sqrt(5))
    assert whole["seconds"] == 2.0


def test_units_of_shares_average_to_the_metrics_of_shares():
    rng = np.random.default_rng(0)
    scale = Ordinal.range(1, 4)
    shares = rng.dirichlet(np.ones(4), 20)
    counts = rng.multinomial(6, np.ones(4) / 4, 20).astype(float)
    counts[0], counts[1] = 0, 2 * counts[1]
    rows = Rows()
    rows.add_shares(shares, counts, scale, range(20))
    frame = checked(rows.frame(), (), "here", 1.0)
    whole = frame[frame["unit"] == ""].set_index("metric")["value"]
    asked = counts.sum(axis=1) > 0
    human = counts[asked] / counts[asked].sum(axis=1, keepdims=True)
    assert whole["log_loss"] == pytest.approx(log_loss(shares, counts))
    assert whole["wasserstein1"] == pytest.approx(wasserstein1(shares[asked], human, scale.values))
    assert "0" not in set(frame["unit"])


def test_bias_and_surprise_are_zero_where_the_crowd_is_right():
    shares = np.random.default_rng(0).dirichlet(np.ones(5), 30)
    rows = Rows()
    rows.add_shares(shares, 1000 * shares, Ordinal.range(1, 5), range(30))
    frame = checked(rows.frame(), (), "here", 1.0)
    for name in ("bias", "surprise"):
        assert METRICS[name].lower_is_better is None
        np.testing.assert_allclose(frame.loc[frame["metric"] == name, "value"], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"metric": ["mae"], "value": [np.nan]}, "not a number"),
        ({"metric": ["mae", "mae"], "value": [1.0, 1.0]}, "there twice"),
        ({"metric": ["mae"]}, "rows with value"),
        ({"metric": ["mae"], "value": [1.0], "colour": [1]}, "column 'colour'"),
        ({"metric": ["new"], "value": [1.0], "unit": ["a"]}, "metric 'new' is unknown"),
        ({"metric": ["mae"], "value": [1.0], "unit": ["a"], "weight": [-1.0]}, "weight"),
    ],
)
def test_bad_rows_are_named(rows, message):
    with pytest.raises(DataError, match=f"here: .*{message}"):
        checked(pd.DataFrame(rows), (), "here", 1.0)
