"""What notebooks show is compared: another picture or another number is seen, other processors' rounding is not."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(NOTEBOOKS))
        yield importlib.import_module("digest"), importlib.import_module("execute")


def line(y):
    ax = Figure().subplots()
    ax.plot(np.arange(len(y)), y)
    return ax


def bars(heights):
    ax = Figure().subplots()
    ax.bar(np.arange(len(heights)), heights)
    return ax


def heat_map(values):
    ax = Figure().subplots()
    ax.imshow(values)
    return ax


def mesh(values):
    ax = Figure().subplots()
    ax.pcolormesh(values)
    return ax


def scatter(points):
    ax = Figure().subplots()
    ax.scatter(*points.T)
    return ax


def marks(points):
    ax = Figure().subplots()
    ax.plot(*points.T, "o")
    return ax


def intervals(ends):
    ax = Figure().subplots()
    ax.hlines(np.arange(len(ends)), *ends.T)
    ax.set_xlim(-4, 4)
    return ax


def band(ends):
    ax = Figure().subplots()
    ax.fill_between(np.arange(len(ends)), *ends.T)
    ax.set_ylim(-4, 4)
    return ax


def across(x):
    ax = Figure().subplots()
    ax.axvline(x[0])
    ax.set_xlim(0, 1)
    return ax


def of_x(points, y):
    return np.column_stack([points[:, 0], y])


rising = np.linspace(0, 1, 40) ** 2
heights = np.array([5.0, 9, 2, 7, 1, 8, 3, 6])
trait = np.arange(25) // 5
loadings = rng.normal(size=(25, 1))
correlations = 0.6 * (trait[:, None] == trait) + 0.1 * loadings * loadings.T
shuffled = rng.permutation(correlations.ravel()).reshape(25, 25)
cloud = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=200)
widths = np.column_stack([-np.linspace(0.5, 3, 12), np.linspace(0.5, 3, 12)])
CASES = {
    "a line reversed": (line, rising, rising[::-1]),
    "bars permuted": (bars, heights, np.roll(heights, 3)),
    "a heat map shuffled": (heat_map, correlations, shuffled),
    "a mesh shuffled": (mesh, correlations, shuffled),
    "a scatter without its correlation": (scatter, cloud, of_x(cloud, rng.permutation(cloud[:, 1]))),
    "marks without their correlation": (marks, cloud, of_x(cloud, rng.permutation(cloud[:, 1]))),
    "intervals in another order": (intervals, widths, widths[::-1]),
    "a band in another order": (band, widths, widths[::-1]),
    "a line across elsewhere": (across, np.array([0.3]), np.array([0.5])),
}


@pytest.mark.parametrize("case", CASES)
def test_another_picture_is_seen_and_rounding_is_not(case, modules):
    digest, _ = modules
    draw, data, other = CASES[case]
    then = json.loads(json.dumps(digest.of_axes(draw(data))))
    noisy = digest.of_axes(draw(data + 0.003 * rng.normal(size=data.shape)))

    def told(now):
        return digest.differences({"axes": [now], "tables": [], "printed": []}, {"axes": [then]})

    assert told(noisy) == []
    assert told(digest.of_axes(draw(other))) != []


def test_scatters_are_told_by_their_correlation_alone(modules):
    digest, _ = modules
    then, now = (digest.of_axes(scatter(each)) for each in (cloud, of_x(cloud, rng.permutation(cloud[:, 1]))))
    now |= {what: numbers for what, numbers in then.items() if what.endswith("in order")}
    (said,) = digest.differences({"axes": [now], "tables": [], "printed": []}, {"axes": [then]})
    assert "correlation" in said


def test_numbers_of_tables_are_compared_by_column(modules):
    digest, _ = modules
    table = pd.DataFrame({"name": ["a", "b", "c"], "p": [0.9, 0.01, np.nan], "W1": [0.41, 0.62, 0.55], "n": [3, 0, 7]})
    then = digest.columns_of(table)
    assert then == [[0.9, 0.01], [0.41, 0.62, 0.55], [3, 0, 7]]

    def told(**columns):
        now = {"axes": [], "tables": [digest.columns_of(table.assign(**columns))], "printed": []}
        return digest.differences(now, {"tables": [then]})

    assert told(p=[0.85, 0.06, np.nan], W1=[0.43, 0.6, 0.56], n=[4, 1, 7]) == []
    assert told(W1=[0.62, 0.41, 0.55]) == ["tables 0, column 1: 0.62, 0.41 was kept"]
    assert told(n=[3, 2, 7]) == ["tables 0, column 2: 2, 0 was kept"]
    assert told(p=[0.9, 0.01, 0.5]) == ["tables 0, column 0: 3 numbers, 2 were kept"]
    assert digest.columns_of(np.array([0.4, 0.6])) == [[0.4, 0.6]]
    assert digest.columns_of("0.4") == digest.columns_of(Figure()) == digest.columns_of(None) == []


def test_printed_numbers_are_compared_and_times_are_not(modules):
    digest, execute = modules
    text = "SmolLM2-135M (gguf ca1cff6f): mass 0.895 of 1,250 in 12.3 s, 9 min; 3.420 [3.006, -3.8], gap 2.9e-06.\n"
    assert digest.numbers_in(text) == [0.895, 1250, 3.42, 3.006, -3.8, 2.9e-06]
    outputs = [{"name": "stdout", "text": "score -1.6, 40 %"}, {"name": "stderr", "text": "line 7"}]
    shown = execute.printed(SimpleNamespace(cells=[{"source": "3"}, {"outputs": outputs}, {"outputs": outputs[1:]}]))
    assert shown == [[-1.6, 40]]

    def told(*numbers):
        return digest.differences({"axes": [], "tables": [], "printed": [list(numbers)]}, {"printed": shown})

    assert told(-1.63, 41) == []
    assert told(-1.1, 40) == ["printed 0, number 0: -1.1, -1.6 was kept"]
    assert told(-1.6) == ["printed 0: 1 numbers, 2 were kept"]


def test_copies_of_short_runs_say_so_below_their_title(modules):
    _, execute = modules
    notebook = SimpleNamespace(cells=[{"source": "# Intervals\n\nHow wide?"}])
    lines = execute.said_to_be_short(notebook).cells[0]["source"].split("\n")
    assert lines[0] == "# Intervals"
    assert lines[2].startswith("> **A short run**")
    assert "FULL=1" in lines[2]
    assert lines[-1] == "How wide?"
    for path in NOTEBOOKS.glob("*.ipynb"):
        assert "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).startswith("# "), path.name


def test_slow_notebooks_fail(modules):
    _, execute = modules
    assert execute.too_slow({"a": 300.0, "b": 300.0}, 310.0, full=False) == []
    assert execute.too_slow({"a": 300.0, "b": 300.0}, 600.0, full=False) == ["all together took 600 s, more than 480"]
    assert execute.too_slow({"a": 300.0, "b": 361.0}, 600.0, full=True) == ["b took 361 s, more than 360"]
