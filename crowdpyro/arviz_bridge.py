"""The bridge to ArviZ: the one place that knows its groups.

A crowd is one draw of a posterior predictive distribution for every virtual participant, so `chain` has length one,
`draw` runs over participants, and the variable `y` has one further dimension, `problem`. The humans of
`observed_data` have dimensions `participant, problem`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    from .crowd import Crowd
    from .data import CrowdData


def to_datatree(crowd: Crowd, observed: CrowdData | None = None) -> xr.DataTree:
    """Groups `posterior_predictive`, `constant_data` and, with humans, `observed_data`.

    Parameters
    ----------
    crowd
        Whose answers become `posterior_predictive`, variable `y`, dimensions `chain, draw, problem`.
    observed
        Humans; their problems that the crowd did not answer are left out.

    Returns
    -------
    DataTree
        What ArviZ 1 reads as it is; for ArviZ 0.2x wrap it in `arviz.InferenceData.from_datatree`.
    """
    problem = crowd.problems
    answers = xr.DataArray(
        crowd.values()[None],
        dims=("chain", "draw", "problem"),
        coords={"chain": [0], "draw": range(crowd.n_participants), "problem": problem},
    )
    groups = {"posterior_predictive": xr.Dataset({"y": answers}, attrs=dict(crowd.dataset.attrs))}
    constants = {name: crowd.dataset[name] for name in crowd.dataset.coords if name not in ("participant", "problem")}
    constant = xr.Dataset({str(name): value.variable for name, value in constants.items()})
    groups["constant_data"] = constant.assign_coords(problem=problem)
    if observed is not None:
        from .crowd import Crowd

        shared = [each for each in problem if each in observed.problems.index]
        humans = Crowd.from_data(observed.select(problems=shared))
        groups["observed_data"] = xr.Dataset(
            {"y": (("participant", "problem"), humans.values())},
            coords={"participant": humans.dataset["participant"].to_numpy(), "problem": humans.problems},
        )
    return xr.DataTree.from_dict(groups)
