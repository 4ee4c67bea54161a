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

from .features import ProblemFeatures
from .inference.history import FitHistory
from .inference.training import FitConfig
from .models.scales import scale_from_dict, scale_to_dict
from .parts import OWN, Parts
from .profiles import ProfileEncoder
from .stored import StoredForm

if TYPE_CHECKING:
    from .estimator import CrowdLLM
    from .llm.backbone import Backbone

# 2: the parts that a model was built of, ballots, and the spread's dependence on profiles.
_FORM = StoredForm("model", 2, "model", "fit")


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

    from .config import CrowdConfig
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
    estimator._fitted.to(device)
    return estimator


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    """JSON-ready table, its floats exact; ids stand apart, since a frame without columns still has rows."""
    columns = {str(name): column.tolist() for name, column in frame.items()}
    return {"name": frame.index.name, "index": frame.index.tolist(), "columns": columns}


def _frame(table: dict[str, Any]) -> pd.DataFrame:
    """The inverse of `_table`."""
    return pd.DataFrame(table["columns"], index=pd.Index(table["index"], name=table["name"]))
