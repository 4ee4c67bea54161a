"""What a run's folder holds, in words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoint
from ..config import CrowdConfig
from ..errors import DataError
from ..estimator import CrowdLLM
from .folder import CHECKPOINT, OPTIONS, scale_words


def show_run(run: Path) -> list[str]:
    """Lines that say what was fitted to what, with which settings, how it went, and what lies in the folder."""
    if not run.is_dir():
        held = "is a file" if run.exists() else "does not exist"
        raise DataError(f"folder {str(run)!r} {held}; give a folder that `crowdpyro fit` wrote.")
    if not (run / "model.json").exists():
        if (run / CHECKPOINT).exists():
            return _unfinished(run)
        raise DataError(f"folder {str(run)!r} holds no run; give a folder that `crowdpyro fit` wrote.")
    model = CrowdLLM.load(run)
    history, config = model.history, model.config
    lines = [
        f"scale         {scale_words(model.scale)}",
        f"people        {len(model.profiles):,}, traits: {', '.join(map(str, model.profiles.columns)) or 'none'}",
        f"problems      {len(model.problems):,}",
        f"references    {', '.join(model.sources) or 'none'}",
        f"settings      {_settings(config)}",
        f"fit           {len(history.loss)} epochs, kept number {history.best_epoch + 1}",
    ]
    if history.score:
        _, joint, single = max(history.score, key=lambda each: each[1])
        lines.append(f"held out      joint log score {joint:.4f}, single {single:.4f} nats an answer")
    versions = ", ".join(f"{name} {model.made_from[name]}" for name in ("crowdpyro", "torch"))
    lines.append(f"made with     {versions}, seed {model.made_from['seed']}")
    # A fit that is to overwrite this model.
    return [*lines, *(_unfinished(run) if (run / CHECKPOINT).exists() else _files(run))]


def _unfinished(run: Path) -> list[str]:
    """How far an interrupted fit is."""
    saved = Checkpoint(run / CHECKPOINT).peek()
    stage = "people's joint answers" if saved["stage"] == "joint" else "the problems' margins"
    done = len(saved["history"]["loss"])
    return [f"unfinished    {done} epochs done, fitting {stage}; run `crowdpyro fit` again to go on", *_files(run)]


def _settings(config: CrowdConfig) -> str:
    """Those that are not the defaults."""
    given, default = (_flat(asdict(each)) for each in (config, CrowdConfig()))
    changed = [f"{name}={value}" for name, value in given.items() if value != default[name]]
    return ", ".join(changed) or "the defaults"


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    training = settings.pop("training")
    return settings | {f"training.{name}": value for name, value in training.items()}


def _files(run: Path) -> list[str]:
    names = sorted(path.name for path in run.iterdir() if path.is_file() and not path.name.startswith("."))
    options = f"repeat with   crowdpyro fit --config {run / OPTIONS} --out FOLDER"
    return [f"files         {', '.join(names)}", *([options] if OPTIONS in names else [])]
