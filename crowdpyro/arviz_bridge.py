"""The bridge to ArviZ: the one place that knows its groups.

A crowd is one draw of a posterior predictive distribution for every virtual participant, so `chain` has length one,
`draw` runs over participants, and the variable `y` has one further dimension, `problem`, and `option` where answers are
ballots. The humans of `observed_data` have dimensions `participant, problem`, and likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from .aggregation.result import Aggregation
    from .crowd import Crowd
    from .data import CrowdData
    from .inference.posterior import Posterior


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
        Written for ArviZ 0.x, which takes it by `az.InferenceData.from_datatree(tree)`; ArviZ 1 is untested.
    """
    problem = crowd.problems
    # Names of the options of a ballot, a dimension of its own.
    options = {str(name): crowd.dataset[name].to_numpy() for name in crowd.dataset["response"].dims[2:]}
    answers = xr.DataArray(
        crowd.values()[None],
        dims=("chain", "draw", "problem", *options),
        coords={"chain": [0], "draw": range(crowd.n_participants), "problem": problem, **options},
    )
    groups = {"posterior_predictive": xr.Dataset({"y": answers}, attrs=dict(crowd.dataset.attrs))}
    constants = {
        name: crowd.dataset[name] for name in crowd.dataset.coords if name not in ("participant", "problem", "option")
    }
    constant = xr.Dataset({str(name): value.variable for name, value in constants.items()})
    groups["constant_data"] = constant.assign_coords(problem=problem)
    if observed is not None:
        from .crowd import Crowd

        shared = [each for each in problem if each in observed.problems.index]
        humans = Crowd.from_data(observed.select(problems=shared))
        groups["observed_data"] = xr.Dataset(
            {"y": (("participant", "problem", *options), humans.values())},
            coords={"participant": humans.dataset["participant"].to_numpy(), "problem": humans.problems, **options},
        )
    return xr.DataTree.from_dict(groups)


def posterior_to_datatree(posterior: Posterior) -> xr.DataTree:
    """Group `posterior` of the draws of NUTS or of an AutoGuide, dimensions `chain, draw` and one of each site's own.

    Written for ArviZ 0.x, which takes it by `az.InferenceData.from_datatree(tree)`; ArviZ 1 is untested.
    """
    return xr.DataTree.from_dict({"posterior": posterior.to_dataset()})


# Dimensions of the sites of the models of annotation.
_SITES = {
    "prevalence": ("truth",),
    "confusion": ("participant", "truth", "label"),
    "pool": ("truth", "label"),
    "pattern": ("participant", "label"),
    "log_ease": ("problem",),
}


def aggregation_to_datatree(found: Aggregation) -> xr.DataTree:
    """Groups `posterior`, `truth` and `observed_data` of an aggregation.

    `posterior` has dimensions `chain, draw` and those of each parameter; a point estimate is one draw of one chain.
    `truth` holds `probability` over `problem, label`, averaged over the draws; `observed_data` the labels over `row`.
    Written for ArviZ 0.x, which takes it by `az.InferenceData.from_datatree(tree)`; ArviZ 1 is untested.
    """
    table, fit = found.table, found.fit
    names = {
        "participant": table.participants.to_numpy(),
        "problem": table.problems.to_numpy(),
        "truth": table.classes.to_numpy(),
        "label": table.classes.to_numpy(),
    }
    draws = fit.draws or {name: value[None, None] for name, value in fit.params.items()}
    variables = {}
    for name, value in draws.items():
        own = _SITES.get(name, ("participant",) if value.shape[2:] == (len(table.participants),) else None)
        dims = own or tuple(f"{name}_dim_{axis}" for axis in range(value.ndim - 2))
        variables[name] = (("chain", "draw", *dims), value.numpy())
    used = {dim for dims, _ in variables.values() for dim in dims}
    n_chains, n_draws = next((value.shape[:2] for value in draws.values()), (1, 1))
    names = {"chain": np.arange(n_chains), "draw": np.arange(n_draws), **names}
    posterior = xr.Dataset(
        variables, {dim: each for dim, each in names.items() if dim in used}, {"n_divergent": fit.n_divergent}
    )
    labels = table.labels
    observed = {
        "problem": ("row", names["problem"][labels.item.numpy()]),
        "participant": ("row", names["participant"][labels.worker.numpy()]),
        "label": ("row", names["label"][labels.label.numpy()]),
    }
    attrs = {"method": found.method, "inference": found.inference, "seed": found.seed}
    truth = xr.Dataset(
        {"probability": (("problem", "label"), fit.truth.numpy())},
        {"problem": names["problem"], "label": names["label"]},
        attrs,
    )
    return xr.DataTree.from_dict({"posterior": posterior, "truth": truth, "observed_data": xr.Dataset(observed)})
