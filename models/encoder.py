"""g_x: everything that the program reads off a problem, computed once a problem.

table_t = A f_t + u_t

f_t are the problem's covariates. Four kinds of numbers stand side by side in a row of the table - the problem's
part of the belief network's first layer, the belief's direct shift, the loadings of the participants' noise, and
the blender's shape - so that an answer needs one row lookup. u_t is an offset of each problem seen in training,
shrunk to the map by a normal prior: a seen problem is fitted by its own answers, an unseen one (u_t = 0) by what the
covariates carry over. On a survey of 20 items this is what makes withheld items predictable at all. A crowd that is
meant for new problems of a large pool does better without offsets (`n_known = 0`): the spread between problems that
the covariates leave open then belongs to the decision noise, and the log loss on unseen comments is lower by .01.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


@dataclass(frozen=True)
class ProblemView:
    """What is known of a problem: one row a problem or, after `at`, one row an answer.

    Attributes
    ----------
    table
        The encoder's output, shape `(..., sum(widths))`.
    reference
        y_ref, shape `(...,)`, or option log probabilities, shape `(..., n_levels)`.
    widths
        Columns of `hidden`, `shift`, `loadings` and `shape` in the table.
    unit
        What 1 of the table's shift and loadings is worth in the unit of the response.
    """

    table: Tensor
    reference: Tensor
    widths: tuple[int, int, int, int]
    unit: float = 1.0

    def at(self, problem: Tensor) -> ProblemView:
        """Rows of these problems, one an answer."""
        # Not by indexing: the gradient of index_select is an index_add, several times faster on the CPU.
        reference = self.reference.index_select(0, problem)
        return replace(self, table=self.table.index_select(0, problem), reference=reference)

    def crossed(self) -> ProblemView:
        """A leading axis for participants, so that every participant meets every problem by broadcasting."""
        return replace(self, table=self.table[None], reference=self.reference[None])

    @cached_property
    def _parts(self) -> tuple[Tensor, ...]:
        """All columns at once: the gradient of one split is one concatenation, that of four slices four tables."""
        return self.table.split(self.widths, dim=-1)

    @property
    def hidden(self) -> Tensor:
        """Problem's part of the belief network's first layer, shape `(..., n_hidden)`."""
        return self._parts[0]

    @cached_property
    def shift(self) -> Tensor:
        """Mean belief bias before any profile, shape `(..., n_belief)`, in the unit of the response."""
        return self._parts[1] if self.unit == 1.0 else self.unit * self._parts[1]

    @cached_property
    def loadings(self) -> Tensor:
        """Effect of eps_i on the belief along the linear path, shape `(..., n_belief * n_eps)`, in the same unit."""
        return self._parts[2] if self.unit == 1.0 else self.unit * self._parts[2]

    @property
    def shape(self) -> Tensor:
        """Numbers that the blender turns into spread and cut points, shape `(..., n_shape)`."""
        return self._parts[3]


class ProblemEncoder(nn.Module):
    """The affine map A, and the offsets u_t of the problems seen in training.

    Parameters
    ----------
    n_features
        Columns of the problem covariates.
    n_known
        Problems in the training table that have an offset; 0 for none.
    widths
        Columns of hidden, shift, loadings and shape.
    weight_scale, offset_scale
        Scales of the normal priors of the map's weights and of the offsets.
    unit
        Of shift and loadings: what 1 is worth in the unit of the response, so that the priors and the learning rate
        mean the same on a scale of 0 to 1 as on one of 0 to 100.
    """

    def __init__(
        self,
        n_features: int,
        n_known: int,
        widths: tuple[int, int, int, int],
        weight_scale: float = 1.0,
        offset_scale: float = 0.5,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.widths, self.unit = widths, unit
        self.weight_scale, self.offset_scale = weight_scale, offset_scale
        # Torch warns when it initialises a weight without elements, as of one problem alone, which has no covariates.
        self.affine = nn.Linear(max(n_features, 1), sum(widths))
        if not n_features:
            self.affine.weight = nn.Parameter(self.affine.weight.detach()[:, :0].clone())
            self.affine.in_features = 0
        self.offset = nn.Parameter(torch.zeros(n_known, sum(widths[1:])))
        n_hidden, n_shift, n_loadings, _ = widths
        with torch.no_grad():
            # Shift and shape start near zero: the crowd starts as the reference with noise around it.
            self.affine.weight[n_hidden:] *= 0.1
            self.affine.bias[n_hidden:] = 0.0
            # Loadings start away from zero, a saddle where eps is never used and never learned.
            loadings = slice(n_hidden + n_shift, n_hidden + n_shift + n_loadings)
            self.affine.weight[loadings] *= 5.0
            self.affine.bias[loadings].normal_(0.0, 0.3)

    def forward(self, features: Tensor, known: Tensor, reference: Tensor) -> ProblemView:
        """Encode problems.

        Parameters
        ----------
        features, known, reference
            As in `Batch`: shapes `(n_problems, n_features)`, `(n_problems,)` and `(n_problems, ...)`.
        """
        table = self.affine(features)
        if len(self.offset):
            offset = self.offset.index_select(0, known.clamp(min=0)) * (known >= 0)[:, None]
            table = table + pad(offset, (self.widths[0], 0))
        return ProblemView(table, reference, self.widths, self.unit)

    def log_prior(self) -> Tensor:
        """Log density of the weights and offsets under their normal priors, up to a constant."""
        weights = (self.affine.weight / self.weight_scale).square().sum()
        return -0.5 * (weights + (self.offset / self.offset_scale).square().sum())
