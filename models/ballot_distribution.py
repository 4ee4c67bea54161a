"""What the distributions of ballots share: one utility an option, and one event of as many numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints


class BallotDistribution(TorchDistribution):
    """Batch shape that of `logits` without its last axis, event shape `(M,)`.

    Parameters
    ----------
    logits
        Utility of every option, shape `batch_shape x M`.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"logits": constraints.real_vector}
    has_rsample = False

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def n_options(self) -> int:
        """M."""
        return int(self.logits.shape[-1])

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the log probability about the logits and its information, each `batch_shape x M`."""
        raise NotImplementedError


class Shuffled(constraints.Constraint):
    """The permutations of given numbers, the highest first.

    Parameters
    ----------
    numbers
        Shape `(M,)`.
    """

    is_discrete = True
    event_dim = 1

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether each row holds these numbers in some order."""
        return (value.sort(-1, descending=True).values == self.numbers).all(-1)
