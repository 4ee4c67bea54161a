from __future__ import annotations

import io
import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from crowdpyro import plots
from crowdpyro.errors import DataError
from crowdpyro.metrics import correlation_error

mpl.use("agg")

LABELS = ["1", "2", "3", "4", "5"]


def shares(n_items: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(5), size=n_items)


def correlations(n: int, seed: int) -> np.ndarray:
    return np.corrcoef(np.random.default_rng(seed).normal(size=(n, 30)))


def overlapping_texts(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of drawn texts whose boxes share more than a hair."""
    figure.draw_without_rendering()
    texts = [text for text in (figure._suptitle, figure._supylabel) if text is not None]
    for panel in figure.axes:
        texts += [panel._left_title, panel.yaxis.label, *panel.texts] if panel.get_visible() else []
        for axis in (panel.xaxis, panel.yaxis) if panel.get_visible() else ():
            texts += [label for label in axis.get_ticklabels() if label.get_visible()]
    for legend in figure.legends:
        texts += legend.get_texts()
    texts = [text for text in texts if text.get_text().strip()]
    boxes = [text.get_window_extent().shrunk(0.96, 0.9) for text in texts]
    return [
        (first.get_text(), second.get_text())
        for (first, one), (second, other) in combinations(zip(texts, boxes, strict=True), 2)
        if one.overlaps(other)
    ]


@pytest.mark.parametrize("n_items", [1, 4, 9])
def test_bars_are_the_shares(n_items: int) -> None:
    given = [shares(n_items, seed) for seed in range(3)]
    figure = plots.answer_distributions(*given, [f"item {i}" for i in range(n_items)], LABELS)
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title(loc="left") for panel in panels] == [f"item {i}" for i in range(n_items)]
    for item, panel in enumerate(panels):
        heights = [[bar.get_height() for bar in series] for series in panel.containers]
        np.testing.assert_allclose(heights, [one[item] for one in given])
        assert panel.get_ylim()[1] >= max(one.max() for one in given)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Humans", "LLM alone", "Crowd"]


def test_a_missing_answer_is_said_and_not_drawn_as_zero_alone() -> None:
    llm = shares(2, 1)
    llm[1] = np.nan
    figure = plots.answer_distributions(shares(2, 0), llm, shares(2, 2), ["a", "b"], LABELS)
    notes = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert notes == [[], ["no answer: LLM alone"]]


def test_long_texts_and_dollars_stay_inside_their_panels() -> None:
    titles = [
        "costs $400 and not $4,000 " * 20,
        "x" * 200,
        *["a text of some length, on two lines or three"] * 7,
    ]
    labels = ["strongly disagree", "disagree", "neither", "agree", "strongly agree"]
    figure = plots.answer_distributions(shares(9, 0), shares(9, 1), shares(9, 2), titles, labels)
    assert overlapping_texts(figure) == []
    lines = figure.axes[0].get_title(loc="left").split("\n")
    assert len(lines) == 3
    assert lines[0].startswith("costs $400")


def test_matrices_share_one_scale_and_the_title_tells_the_error() -> None:
    human, crowd = correlations(12, 0), correlations(12, 1)
    human[2, 5] = human[5, 2] = np.nan
    groups = ["b", "a", "b"] * 4
    figure = plots.correlation_matrices(human, crowd, [f"problem {i}" for i in range(12)], groups)
    images = [panel.images[0] for panel in figure.axes[:2]]
    assert len(figure.axes) == 3
    assert images[0].get_clim() == images[1].get_clim()
    low, high = images[0].get_clim()
    assert low == -high
    order = [i for group in ("b", "a") for i in range(12) if groups[i] == group]
    shown = np.ma.filled(images[1].get_array(), np.nan)
    apart = ~np.eye(12, dtype=bool)
    np.testing.assert_allclose(shown[apart], crowd[np.ix_(order, order)][apart])
    assert np.abs(shown[apart]).max() <= high
    title = figure.get_suptitle()
    assert f"{correlation_error(human, crowd):.3f}" in title
    assert "65 pairs" in title
    # One line between the two groups, after the eight problems of the first.
    segments = [line.get_segments() for line in figure.axes[0].collections]
    assert [len(lines) for lines in segments] == [1, 1]
    assert segments[0][0][0][0] == 7.5


@pytest.mark.parametrize(("n", "groups"), [(8, None), (30, None), (90, ["a"] * 50 + ["b"] * 39 + ["c"]), (90, None)])
def test_names_never_overlap(n: int, groups: list[str] | None) -> None:
    names = [f"a rather long name of problem {i}" for i in range(n)]
    figure = plots.correlation_matrices(correlations(n, 0), correlations(n, 1), names, groups)
    assert overlapping_texts(figure) == []


def test_a_line_that_leaves_its_band_is_told_below_its_title() -> None:
    rng = np.random.default_rng(1)
    even, narrow = rng.multinomial(800, np.full(20, 0.05)), rng.multinomial(800, np.r_[0.1, np.full(18, 0.8 / 18), 0.1])
    figure = plots.uniformity([even, narrow], ["theta", "eps[0]"])
    lines = [panel.lines[0] for panel in figure.axes]
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["theta\nin its band", "eps[0]\nleaves its band"]
    np.testing.assert_allclose(lines[0].get_ydata()[1:-1], even.cumsum()[:-1] / 800 - np.arange(1, 20) / 20)
    assert [line.get_ydata()[[0, -1]].tolist() for line in lines] == [[0.0, 0.0]] * 2
    assert "800 uniform values stays with chance 0.95" in figure.get_suptitle()
    assert overlapping_texts(figure) == []
    many = plots.uniformity(rng.multinomial(90, np.full(10, 0.1), size=7), [f"eps[{k}]" for k in range(7)], 0.9)
    assert sum(panel.get_visible() for panel in many.axes) == 7
    assert overlapping_texts(many) == []


def test_figures_are_closed_and_can_be_saved() -> None:
    import matplotlib.pyplot as plt

    figure = plots.correlation_matrices(correlations(3, 0), correlations(3, 1), ["a", "b", "c"])
    assert plt.get_fignums() == []
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")


def test_matplotlib_is_loaded_by_the_first_picture_only() -> None:
    code = "import sys, crowdpyro.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wrong_shapes_are_named() -> None:
    good = shares(2, 0)
    with pytest.raises(DataError, match="llm has shape"):
        plots.answer_distributions(good, good[:1], good, ["a", "b"], LABELS)
    with pytest.raises(DataError, match="one to 9 items"):
        plots.answer_distributions(*[shares(10, 0)] * 3, list("abcdefghij"), LABELS)
    with pytest.raises(DataError, match="one to 9 items"):
        plots.answer_distributions(*[np.empty((0, 5))] * 3, [], LABELS)
    with pytest.raises(DataError, match="labels has length 2"):
        plots.correlation_matrices(correlations(3, 0), correlations(3, 1), ["a", "b"])
    with pytest.raises(DataError, match="titles length 2; give one to 9 rows"):
        plots.uniformity([[3, 4]], ["a", "b"])
    with pytest.raises(DataError, match="'b' has no value"):
        plots.uniformity([[3, 4], [0, 0]], ["a", "b"])
    with pytest.raises(DataError, match="groups 2"):
        plots.correlation_matrices(correlations(3, 0), correlations(3, 1), ["a", "b", "c"], [1, 2])
    with pytest.raises(DataError, match="square"):
        plots.correlation_matrices(correlations(3, 0), correlations(4, 1), ["a", "b", "c"])
