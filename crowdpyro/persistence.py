"""A fitted `CrowdLLM` as a folder: arrays in `model.safetensors`, the rest in `model.json`; nothing is pickled.

The JSON holds the training profiles, which crowds are recruited from: a saved model is as private as its sample.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import CrowdPyroError, ModelError
from .features import ProblemFeatures
from .inference.history import FitHistory
from .inference.training import FitConfig
from .models.scales import scale_from_dict, scale_to_dict
from .parts import OWN, Parts
from .profiles import ProfileEncoder
from .tables import write_whole

if TYPE_CHECKING:
    from .estimator import CrowdLLM
    from .llm.backbone import Backbone

# 2: the parts that a model was built of, ballots, and the spread's dependence on profiles.
_FORMAT = 2


def save(estimator: CrowdLLM, folder: str | Path) -> Path:
    """Write a fitted estimator into a folder, each file whole or not at all.

    The JSON holds the arrays' digest: after a crash between the two, `load` says so.
    """
    from safetensors.numpy import save as packed

    fitted = estimator._state()
    settings, arrays = fitted.features.state()
    # Not ascontiguousarray, which makes a number an array of one.
    tensors = {f"features.{name}": np.asarray(value, order="C") for name, value in arrays.items()}
    tensors |= {"covariates": fitted.covariates, "reference": fitted.reference}
    if fitted.twins is not None:
        tensors["twins"] = fitted.twins
    if fitted.weights is not None:
        tensors["survey_weights"] = fitted.weights
    for part in ("model", "guide"):
        for name, value in getattr(fitted, part).state_dict().items():
            tensors[f"{part}.{name}"] = np.asarray(value.detach().cpu().numpy(), order="C")
    saved = {
        "format": _FORMAT,
        "crowdpyro": importlib.metadata.version("crowdpyro"),
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
    folder, content = Path(folder), packed(tensors)
    saved["arrays"] = hashlib.sha256(content).hexdigest()
    text = json.dumps(saved, indent=1)

    def write_both(file: Path) -> None:
        # Nested, so that a full disk never leaves new arrays beside an old description.
        file.write_bytes(content)
        write_whole(folder / "model.json", lambda description: description.write_text(text, encoding="utf-8"))

    write_whole(folder / "model.safetensors", write_both)
    return folder


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
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpacked

    from .inference.runtime import usable_device

    usable_device(device)
    folder = Path(folder)
    try:
        saved: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        content = (folder / "model.safetensors").read_bytes()
        tensors = unpacked(content)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError) as error:
        raise ModelError(
            f"folder {str(folder)!r} holds no readable model: {error}. Give a folder that save wrote."
        ) from error
    found = saved.get("format") if isinstance(saved, dict) else None
    if found != _FORMAT:
        older = isinstance(found, int) and found < _FORMAT
        remedy = "fit it again with this version" if older else "load it with the version that wrote it"
        raise ModelError(f"folder {str(folder)!r} has format {found!r}; this version reads {_FORMAT}: {remedy}.")
    if saved.get("arrays") != hashlib.sha256(content).hexdigest():
        raise ModelError(
            f"folder {str(folder)!r}: model.json and model.safetensors do not belong together; fit or copy it again."
        )
    try:
        return _rebuilt(cls, saved, tensors, parts, backbone, device)
    except CrowdPyroError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"folder {str(folder)!r}: model.json is damaged ({type(error).__name__}: {error}); fit or copy it again."
        ) from error


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
