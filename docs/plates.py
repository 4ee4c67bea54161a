"""Draws plates.svg, the story's plate diagram, from the program itself: `python docs/plates.py` (needs graphviz)."""

from __future__ import annotations

from pathlib import Path

import pyro
import torch
from pyro import poutine

import crowdpyro as cp
from crowdpyro.models import Batch, BeliefGenerator, JointModel, NormalBlender, ProblemEncoder

HERE = Path(__file__).parent


def story() -> tuple[JointModel, Batch]:
    """A model, and three meetings of two people with two problems, one of which came to no answer."""
    torch.manual_seed(0)
    encoder = ProblemEncoder(3, 2, (4, 1, 2, 1))
    belief = BeliefGenerator(n_profile=2, n_eps=2, n_hidden=4, n_belief=1, spread=0.6)
    batch = Batch(
        features=torch.zeros(2, 3),
        known=torch.arange(2),
        reference=torch.tensor([3.0, 4.0]),
        profile=torch.zeros(2, 2),
        rows=torch.arange(2),
        participant=torch.tensor([0, 1, 1]),
        problem=torch.tensor([0, 0, 1]),
        response=torch.tensor([1.0, 2.0, 3.0]),
        participation=torch.ones(()),
        population=2,
        took_part=torch.tensor([True, True, False]),
    )
    return JointModel(encoder, belief, NormalBlender(cp.Continuous(), 0.8)), batch


def main() -> None:
    """Write the diagram; shaded sites are observed, priors of the parameters are left out."""
    model, batch = story()
    program = poutine.block(model.crowd, hide=["weights"])
    graph = pyro.render_model(program, model_args=(batch,), render_distributions=True)
    graph.attr(rankdir="LR", bgcolor="transparent")
    graph.attr("node", fontname="Helvetica")
    (HERE / "plates.svg").write_bytes(graph.pipe(format="svg"))


if __name__ == "__main__":
    main()
