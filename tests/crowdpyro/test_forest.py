"""The forest plot."""

from __future__ import annotations

import io
import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError, plots
from crowdpyro.theory import crowd_interval

mpl.use("agg")


def intervals(n_problems: int, **how: object):
    rng = np.random.default_rng(0)
    y = np.linspace(1, 5, n_problems) + rng.normal(size=(30, n_problems))
    twin, crowd = (
        0.6 * y + 0.3 * rng.normal(size=y.shape),
        0.6 * np.linspace(1, 5, n_problems) + rng.normal(size=(200, n_problems)),
    )
    labels = pd.Index([f"item {k} of a rather long name, $x$" for k in range(n_problems)], name="problem")
    return crowd_interval(y, twin, crowd, labels=labels, **how)


def segments(panel) -> list[np.ndarray]:
    return [np.array(lines.get_segments()) for lines in panel.collections if hasattr(lines, "get_segments")]


def test_lines_are_the_intervals_and_a_missed_truth_is_orange():
    interval = intervals(4)
    truth = np.array(interval.estimate)
    truth[2] = interval.high[2] + 0.1
    figure = interval.plot(truth)
    panel = figure.axes[0]
    human, crowd = segments(panel)
    np.testing.assert_allclose(crowd[:, 0, 0], interval.low)
    np.testing.assert_allclose(crowd[:, 1, 0], interval.high)
    np.testing.assert_allclose(human[:, 1, 0], interval.human_only.high)
    markers = panel.collections[-1]
    np.testing.assert_allclose(markers.get_offsets()[:, 0], truth)
    colours = [tuple(each) for each in markers.get_facecolors()]
    assert colours[2] != colours[0] == colours[1] == colours[3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "people alone, n = 30", "with a crowd of 200, rectified", "truth",
    ]  # fmt: skip
    assert panel.get_xlabel() == "mean answer, 95 % intervals"
    low, high = panel.get_xlim()
    assert low < min(interval.low.min(), interval.human_only.low.min())
    assert high > truth.max()


def test_names_do_not_overlap_and_nothing_piles_up():
    import matplotlib.pyplot as plt

    figure = intervals(60).plot()
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 60
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
    assert plt.get_fignums() == []
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("alternative", ["larger", "smaller"])
def test_one_sided_intervals_run_to_the_edge(alternative):
    interval = intervals(1, alternative=alternative)
    panel = interval.plot().axes[0]
    side = 1 if alternative == "larger" else 0
    assert segments(panel)[1][0, side, 0] == panel.get_xlim()[side]
    assert panel.get_xlim()[0] < interval.estimate[0] < panel.get_xlim()[1]


def test_one_interval_options_and_people_alone():
    one = intervals(2)[0]
    assert [label.get_text() for label in one.plot().axes[0].get_yticklabels()] == ["mean"]
    human = crowd_interval(
        np.eye(2)[[0, 1, 1, 0]][:, None], method="human_only", labels=(pd.Index(["q"]), pd.Index(["yes", "no"]))
    )
    figure = human.plot()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["q, yes", "q, no"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["people alone, n = 4"]
    same = crowd_interval([3, 3, 3], [3, 3, 3], [3, 3]).plot()
    assert same.axes[0].get_xlim()[0] < 3 < same.axes[0].get_xlim()[1]


def test_too_many_rows_and_another_truth_are_named():
    with pytest.raises(DataError, match=r"interval has shape \(61,\); give up to 60"):
        plots.forest(intervals(61))
    with pytest.raises(DataError, match="truth is nan"):
        plots.forest(intervals(2), [1, np.nan])
    with pytest.raises(DataError, match=r"truth has shape \(3,\)"):
        plots.forest(intervals(2), [1, 2, 3])
