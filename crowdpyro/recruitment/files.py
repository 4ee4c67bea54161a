"""A learned profile generator as a folder: theta in `profiles.safetensors`, all else in `profiles.json`.

The JSON holds the levels of every trait, of a continuous one the values of the people learned from, and nobody's
profile.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from ..stored import StoredForm
from .coding import Ordered, ProfileCoding
from .filters import Filter

if TYPE_CHECKING:
    from .learned import LearnedProfiles

_FORM = StoredForm("profiles", 1, "profile generator", "learn")


def save(learned: LearnedProfiles, folder: str | Path) -> Path:
    """Write a generator into a folder."""
    coding, fitted = learned.coding, learned.fitted
    arrays = {f"theta.{name}": value.numpy() for name, value in fitted.params.items()}
    arrays |= {f"shares.{place}": share.numpy() for place, share in enumerate(fitted.model.shares)}
    arrays |= {f"ends.{place}": trait.ends for place, trait in enumerate(coding.ordered.values())}
    described = {
        "columns": coding.columns,
        "constant": dict(zip(coding.constant, _plain(coding.constant.values()), strict=True)),
        "nominal": list(coding.nominal.items()),
        "ordered": [
            {"name": name, "levels": _plain(trait.levels), "continuous": trait.continuous, "whole": trait.whole}
            for name, trait in coding.ordered.items()
        ],
        "n_classes": fitted.model.n_classes,
        "rank": fitted.model.rank,
        "smoothing": fitted.model.smoothing,
        "scores": list(fitted.scores.items()),
        "loss": fitted.loss,
        "given": learned.given,
    }
    return _FORM.write(folder, described, arrays)


def load(cls: type[LearnedProfiles], folder: str | Path) -> LearnedProfiles:
    """Rebuild the generator that `save` wrote."""
    import torch

    from ..inference.profile_training import ProfileFit
    from ..models.profile_model import ProfileModel

    saved, arrays = _FORM.read(folder)
    with _FORM.rebuilding(folder):
        ordered = {
            each["name"]: Ordered(tuple(each["levels"]), arrays[f"ends.{place}"], each["continuous"], each["whole"])
            for place, each in enumerate(saved["ordered"])
        }
        nominal = {name: tuple(levels) for name, levels in saved["nominal"]}
        coding = ProfileCoding(tuple(saved["columns"]), dict(saved["constant"]), nominal, ordered)
        shares = [torch.from_numpy(arrays[f"shares.{place}"].copy()) for place in range(len(nominal))]
        model = ProfileModel(shares, len(ordered), saved["n_classes"], saved["rank"], saved["smoothing"])
        params = {name: torch.from_numpy(arrays[f"theta.{name}"].copy()) for name in model.sites}
        scores = {int(n_classes): float(score) for n_classes, score in saved["scores"]}
        widest = max(size for array in arrays.values() for size in (1, *array.shape))
        _refuse_misfits(coding, [len(share) for share in shares], (model.n_classes, model.rank), widest)
        learned = cls(coding, ProfileFit(model, params, scores, tuple(saved["loss"])), saved["given"])
        # Shapes of theta are met, and the condition's columns, by drawing.
        drawn = learned._drawn(1, np.random.default_rng(0), {})
        if learned.given is not None:
            Filter(learned.given).mask(drawn)
        return learned


def _refuse_misfits(coding: ProfileCoding, widths: list[int], sizes: tuple[int, int], widest: int) -> None:
    """Raise `ModelError` for a coding that would fail, or grow without bound, when profiles are drawn."""
    if not all(type(size) is int and 0 <= size <= widest for size in sizes):
        raise ModelError(f"n_classes, rank={sizes}: no array of the saved generator is so wide.")
    if sorted(coding.columns) != sorted((*coding.constant, *coding.nominal, *coding.ordered)):
        raise ModelError(f"columns={coding.columns} are not the traits of the saved generator.")
    for (name, labels), width in zip(coding.nominal.items(), widths, strict=True):
        if len(labels) != width or not all(isinstance(label, str | int | float) for label in labels):
            raise ModelError(f"trait {name!r} of the saved generator has {len(labels)} labels, and {width} shares.")
    for name, trait in coding.ordered.items():
        kinds = {isinstance(level, str) for level in trait.levels}
        whole = trait.ends.shape == (len(trait.levels),) and len(kinds) == 1 and np.isfinite(trait.ends).all()
        if not whole or (trait.continuous and True in kinds):
            raise ModelError(f"trait {name!r} of the saved generator has levels that do not fit their shares.")
        if False in kinds and not np.isfinite(np.asarray(trait.levels, dtype=np.float64)).all():
            raise ModelError(f"trait {name!r} of the saved generator has a level that is no number.")


def _plain(values: Any) -> list[Any]:
    """Values as JSON has them, numbers exact."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]
