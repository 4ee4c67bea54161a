"""What aggregation found: labels, how sure they are, what people and problems are like."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..table_writing import write_csv
from ..tables import counted, write_whole
from . import reports
from .table import LabelTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import DataTree

    from ..inference.annotation.posterior import AnnotationFit
    from ..models.annotation.base import AnnotationModel

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Aggregation:
    """The truth of each problem, and whom to trust.

    Attributes
    ----------
    table
        The labels as codes.
    fit
        Tensors: truth, parameters, draws.
    method, inference
        As asked for.
    model
        The Pyro program; None for the majority.
    seed
        Of ties, and of the inference.
    """

    table: LabelTable = field(repr=False)
    fit: AnnotationFit = field(repr=False)
    method: str
    inference: str
    model: AnnotationModel | None = field(repr=False)
    seed: int

    @cached_property
    def labels(self) -> pd.Series:
        """The most probable label of each problem, ties at random by the seed; index `problem`."""
        from ..inference.annotation.majority import winners

        best = winners(self.fit.truth.numpy(), self.seed)
        return pd.Series(self.table.classes[best], index=self.table.problems, name="label")

    @cached_property
    def posterior(self) -> pd.DataFrame:
        """P(truth | labels), a row a problem, a column a label; of the majority, shares of votes."""
        return pd.DataFrame(self.fit.truth.numpy(), index=self.table.problems, columns=self.table.classes)

    @property
    def n_iter(self) -> int:
        """Iterations, or draws of NUTS."""
        return self.fit.n_iter

    @property
    def converged(self) -> bool:
        """Whether inference stopped before its largest number of iterations."""
        return self.fit.converged

    @property
    def log_likelihood(self) -> FloatArray:
        """Log joint density of labels and parameters, truth summed out, after each iteration or at each draw, nats.

        Of `svi` and of `hierarchical_dawid_skene` a lower bound, which may fall.
        """
        return np.asarray(self.fit.log_likelihood)

    @property
    def uncertainty(self) -> dict[str, FloatArray]:
        """Posterior standard deviation of each parameter, by site; empty for a point estimate."""
        return {name: value.numpy() for name, value in self.fit.uncertainty.items()}

    @property
    def report(self) -> tuple[str, ...]:
        """What was dropped or assumed of the table."""
        return self.table.report

    @cached_property
    def confusion(self) -> FloatArray:
        """P(label | truth) of each participant, `(n_participants, n_labels, n_labels)`, rows of one truth."""
        return reports.confusion(self.table, self.fit, self.model)

    @cached_property
    def participants(self) -> pd.DataFrame:
        """One row a participant: `n_labels, accuracy, bias, bias_towards, spammer_score`, and the model's parameters.

        accuracy       expected share of right labels
        bias           by how much the share of `bias_towards` among their labels exceeds that among the truths
        spammer_score  of the confusion matrix (Raykar and Yu 2012): 0 for a spammer, whose labels tell nothing of the
                       truth, 1 when they tell it
        shift          mean of label less truth, where labels are numbers
        """
        return reports.participants(self.table, self.fit, self.confusion)

    @cached_property
    def problems(self) -> pd.DataFrame:
        """One row a problem: `n_labels, label, probability, entropy, difficulty`, and the model's parameters.

        probability    of the label
        entropy        of the truth, nats
        difficulty     expected share of wrong labels
        """
        return reports.problems(self.table, self.fit, self.labels)

    def __repr__(self) -> str:
        table = self.table
        return (
            f"<Aggregation: {self.method} by {self.inference}, {counted(len(table.problems), 'problem')}, "
            f"{counted(len(table.participants), 'participant')}, {counted(table.labels.n_labels, 'label')} of "
            f"{len(table.classes)}>"
        )

    def to_datatree(self) -> DataTree:
        """Groups for ArviZ: `posterior` (a point estimate is one draw), `truth`, `observed_data`.

        ArviZ 0.x takes the tree by `az.InferenceData.from_datatree(tree)`; ArviZ 1 is untested.
        """
        from ..arviz_bridge import aggregation_to_datatree

        return aggregation_to_datatree(self)

    def plot(self) -> Figure:
        """Confusion matrices: everybody's on average, and those of the people who labelled most."""
        from .picture import confusion_matrices

        n_labels = self.participants["n_labels"].to_numpy()
        order = np.argsort(-n_labels, kind="stable")[:8]
        names = [f"{self.table.participants[w]} ({counted(n_labels[w], 'label')})" for w in order]
        average = np.average(self.confusion, axis=0, weights=n_labels)
        return confusion_matrices(
            np.concatenate([average[None], self.confusion[order]]),
            ["everybody", *names],
            [str(label) for label in self.table.classes],
        )

    def write(self, folder: str | Path, *, safe: bool = False) -> list[Path]:
        """Write `labels.csv`, `posterior.csv`, `participants.csv`, `problems.csv` and `confusion.png`, each whole.

        Parameters
        ----------
        folder
            Where they shall stand; it is made.
        safe
            Put an apostrophe before texts that a spreadsheet would run as formulas.
        """
        folder = Path(folder)
        frames = {
            "labels": self.labels.to_frame(),
            "posterior": self.posterior,
            "participants": self.participants,
            "problems": self.problems,
        }
        written = [write_csv(frame, folder / f"{name}.csv", safe=safe, index=True) for name, frame in frames.items()]
        return [*written, write_whole(folder / "confusion.png", lambda file: self.plot().savefig(file))]
