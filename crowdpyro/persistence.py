"""A fitted `CrowdLLM` as a folder: arrays in `model.safetensors`, the rest in `model.json`; nothing is pickled.

The JSON holds the training profiles, which crowds are recruited from: a saved model is as private as its sample.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .config import CrowdConfig
from .errors import ModelError
from .features import ProblemFeatures
from .inference.history import FitHistory
from .inference.training import FitConfig
from .models.ballot import Ballot
from .models.scales import Categorical, scale_from_dict, scale_to_dict
from .parts import OWN, Parts
from .profiles import ProfileEncoder
from .stored import StoredForm
from .survey import checked_weights
from .tables import shown

if TYPE_CHECKING:
    from .estimator import CrowdLLM
    from .fitted import Fitted
    from .llm.backbone import Backbone

# 2: the parts that a model was built of, ballots, and the spread's dependence on profiles.
_FORM = StoredForm("model", 2, "model", "fit", gaps=("twins",))


def save(estimator: CrowdLLM, folder: str | Path) -> Path:
    """Write a fitted estimator into a folder."""
    fitted = estimator._state()
    settings, arrays = fitted.features.state()
    tensors = {f"features.{name}": np.asarray(value) for name, value in arrays.items()}
    tensors |= {"covariates": fitted.covariates, "reference": fitted.reference}
    if fitted.twins is not None:
        tensors["twins"] = fitted.twins
    if fitted.weights is not None:
        tensors["survey_weights"] = fitted.weights
    for part in ("model", "guide"):
        for name, value in getattr(fitted, part).state_dict().items():
            tensors[f"{part}.{name}"] = value.detach().cpu().numpy()
    described = {
        "config": dataclasses.asdict(estimator.config),
        "scale": scale_to_dict(fitted.scale),
        "spread": fitted.spread,
        "features": settings,
        "profile_encoder": fitted.profile_encoder.to_dict(),
        "profiles": _table(fitted.profiles),
        "problems": _table(fitted.problems[["text"]]),
        "history": dataclasses.asdict(fitted.history),
        "made_from": fitted.made_from,
        "parts": estimator.parts.names(),
    }
    return _FORM.write(folder, described, tensors)


def load(
    cls: type[CrowdLLM],
    folder: str | Path,
    parts: Parts = OWN,
    *,
    backbone: Backbone | None = None,
    device: str = "cpu",
) -> CrowdLLM:
    """Rebuild the estimator that `save` wrote.

    Raises
    ------
    ModelError
        When a file is missing or damaged, the text encoder is another one than was recorded, or the parts are.
    """
    from .inference.runtime import usable_device

    usable_device(device)
    saved, tensors = _FORM.read(folder)
    with _FORM.rebuilding(folder):
        return _rebuilt(cls, saved, tensors, parts, backbone, device)


def _rebuilt(
    cls: type[CrowdLLM],
    saved: dict[str, Any],
    tensors: dict[str, npt.NDArray[Any]],
    parts: Parts,
    backbone: Backbone | None,
    device: str,
) -> CrowdLLM:
    """The estimator from what the two files hold."""
    import torch

    from .fitted import Fitted, build_model

    parts.check(saved["parts"])
    settings = dict(saved["config"])
    settings["training"] = FitConfig(**settings["training"])
    config = CrowdConfig(**settings)
    scale = scale_from_dict(saved["scale"])
    arrays = {name.removeprefix("features."): value for name, value in tensors.items() if name.startswith("features.")}
    features = ProblemFeatures.from_state(saved["features"], arrays, scale)
    encoder = ProfileEncoder.from_dict(saved["profile_encoder"])
    problems = _frame(saved["problems"])
    covariates = tensors["covariates"]
    _refuse_sizes(config, tensors)
    model, guide = build_model(
        scale,
        config,
        saved["spread"],
        parts,
        n_features=covariates.shape[1],
        n_known=len(problems) if config.holdout == "participant" else 0,
        n_profile=encoder.n_columns,
    )
    for part, module in (("model", model), ("guide", guide)):
        state = {
            name.removeprefix(f"{part}."): torch.from_numpy(value.copy())
            for name, value in tensors.items()
            if name.startswith(f"{part}.")
        }
        module.load_state_dict(state)
        module.eval()
    history = FitHistory.from_dict(saved["history"])
    estimator = cls(config, backbone=backbone, device=device)
    estimator.parts = parts
    estimator._fitted = Fitted(
        scale=scale,
        features=features,
        profile_encoder=encoder,
        profiles=_frame(saved["profiles"]),
        problems=problems,
        covariates=covariates,
        reference=tensors["reference"],
        spread=saved["spread"],
        model=model,
        guide=guide,
        twins=tensors.get("twins"),
        weights=tensors.get("survey_weights"),
        history=history,
        made_from=saved["made_from"],
    )
    _refuse_misfits(estimator._fitted)
    estimator._fitted.to(device)
    return estimator


def _refuse_sizes(config: CrowdConfig, tensors: dict[str, npt.NDArray[Any]]) -> None:
    """Raise `ModelError` for layers that no array can fill, before memory is taken for them."""
    widest = max([1000, *(size for array in tensors.values() for size in array.shape)])
    for name in ("n_eps", "n_hidden", "n_omega", "n_mixture"):
        if getattr(config, name) > widest:
            raise ModelError(f"{name}={getattr(config, name)}: no array of the saved model is so wide.")


def _refuse_misfits(fitted: Fitted) -> None:
    """Raise when parts of a saved model do not belong to one fit, which would only be met much later."""
    profiles, problems, scale = fitted.profiles, fitted.problems, fitted.scale
    for name, index in (("participant", profiles.index), ("problem", problems.index)):
        if index.has_duplicates or index.hasnans:
            raise ModelError(f"ids of the saved {name}s repeat, or one is empty.")
    strange = [each for each in (*problems["text"], *fitted.features.sources) if not isinstance(each, str)]
    if strange:
        raise ModelError(f"{shown(strange[0])} is no text of a problem, nor a source's name.")
    if fitted.profile_encoder.transform(profiles).shape != (len(profiles), fitted.profile_encoder.n_columns):
        raise ModelError("profiles of the saved model do not fit their encoder.")
    wide = (scale.n_levels,) if isinstance(scale, Categorical | Ballot) else ()
    shapes: dict[str, tuple[npt.NDArray[Any], tuple[int, ...]]] = {
        "covariates": (fitted.covariates, (len(problems), fitted.features.n_columns)),
        "reference": (fitted.reference, (len(problems), *wide)),
        "fallback": (fitted.features.fallback, wide),
    }
    if fitted.twins is not None:
        shapes["twins"] = (fitted.twins, (len(profiles), len(problems), *wide))
    for name, (array, shape) in shapes.items():
        if array.shape != shape or array.dtype.kind != "f":
            raise ModelError(f"array {name!r} is {array.dtype} of shape {array.shape}; expected floats of {shape}.")
    if fitted.weights is not None:
        checked_weights(fitted.weights, len(profiles))
    if not isinstance(fitted.spread, float) or not 0 < fitted.spread < float("inf"):
        raise ModelError(f"spread={shown(fitted.spread)} of the saved model is no positive number.")


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    """JSON-ready table, its floats exact; ids stand apart, since a frame without columns still has rows."""
    columns = {str(name): column.tolist() for name, column in frame.items()}
    return {"name": frame.index.name, "index": frame.index.tolist(), "columns": columns}


def _frame(table: dict[str, Any]) -> pd.DataFrame:
    """The inverse of `_table`."""
    return pd.DataFrame(table["columns"], index=pd.Index(table["index"], name=table["name"]))
