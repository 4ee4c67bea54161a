"""How many draws stand for a belief that has no closed form: of delta, and of the fresh noise of a mixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..models.joint import JointModel


@contextmanager
def belief_draws(model: JointModel, n: int) -> Iterator[None]:
    """Within the block, `model.answer_dist` averages over `n` draws of delta, or components of a semi-implicit belief.

    One is right wherever an answer is drawn, or averaged over many people anyway: the mixture over more draws has the
    same law and costs as many times as much.
    """
    before, model.n_draws = model.n_draws, n
    try:
        with model.belief.components(n):
            yield
    finally:
        model.n_draws = before
