"""`crowdpyro aggregate`: anyone's file in, tables and a picture out."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import crowdpyro as cp
from crowdpyro import cli
from crowdpyro.aggregation.picture import confusion_matrices


@pytest.fixture
def labels(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 4, 40)
    frame = pd.DataFrame({"task": np.repeat(np.arange(40), 5), "worker": [*"abcde"] * 40})
    frame["label"] = np.where(rng.random(200) < 0.8, truth[frame["task"]], rng.integers(1, 4, 200))
    frame.to_csv(tmp_path / "labels.csv", index=False)
    pd.DataFrame({"task": range(5), "truth": truth[:5]}).to_csv(tmp_path / "gold.csv", index=False)
    past = pd.DataFrame({"worker": ["a", "b"], "truth": [1, 2], "label": [1, 2], "count": [9, 9]})
    past.to_csv(tmp_path / "past.csv", index=False)
    return tmp_path


def test_tables_and_picture(labels):
    arguments = ["aggregate", str(labels / "labels.csv"), "--method", "dawid_skene", "--out", str(labels / "out")]
    told = ["--golden", str(labels / "gold.csv"), "--history", str(labels / "past.csv"), "--scale", "1:4"]
    done = CliRunner().invoke(cli.app, [*arguments, *told])
    assert done.exit_code == 0, done.output
    assert "Aggregation: dawid_skene by map, 40 problems, 5 participants, 200 labels of 4" in done.output
    files = {path.name for path in (labels / "out").iterdir()}
    assert files == {"labels.csv", "posterior.csv", "participants.csv", "problems.csv", "confusion.png"}
    written = {name: pd.read_csv(labels / "out" / f"{name}.csv", index_col=0) for name in ("labels", "posterior")}
    direct = cp.aggregate(
        pd.read_csv(labels / "labels.csv"),
        "dawid_skene",
        golden=pd.read_csv(labels / "gold.csv"),
        history=pd.read_csv(labels / "past.csv"),
        scale=cp.Ordinal.range(1, 4),
    )
    pd.testing.assert_series_equal(written["labels"]["label"], direct.labels)
    np.testing.assert_allclose(written["posterior"], direct.posterior)
    picture = matplotlib.image.imread(labels / "out" / "confusion.png")
    assert picture.shape[0] > 400
    assert picture[..., :3].std() > 0.1


def test_errors_are_of_the_table_and_name_it(labels):
    (labels / "bad.csv").write_text("task,label\n1,2\n")
    done = CliRunner().invoke(cli.app, ["aggregate", str(labels / "bad.csv")])
    assert isinstance(done.exception, cp.DataError)
    assert "lacks column 'participant'" in str(done.exception)


@pytest.mark.parametrize("n_labels", [1, 2, 6, 7, 30])
def test_pictures_of_any_number_of_labels(n_labels):
    shares = np.full((4, n_labels, n_labels), 1 / n_labels)
    figure = confusion_matrices(shares, ["a", "b", "c", "d $x$"], [f"label ${k}" for k in range(n_labels)])
    drawn = [axis for axis in figure.axes if axis.get_visible()]
    assert len(drawn) == 4
    assert len(drawn[0].texts) == (n_labels**2 if n_labels <= 6 else 0)
    figure.canvas.draw()
    with pytest.raises(cp.DataError, match="matrices have shape"):
        confusion_matrices(shares, ["a"], ["b"])
