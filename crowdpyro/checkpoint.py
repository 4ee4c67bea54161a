"""The file from which an interrupted fit goes on.

It holds a snapshot of the fit after a whole step, and what the fit was made from: going on with other settings or other
data would give a model that belongs to neither, and is an error that says what changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pandas as pd

from .config import CrowdConfig
from .data import CrowdData
from .errors import ModelError
from .inference.processes import place
from .outside import DAMAGE, json_of
from .references import References
from .tables import write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from .inference.snapshot import Snapshot

logger = logging.getLogger(__name__)


class Checkpoint:
    """Where and how often a fit writes down how far it is.

    Parameters
    ----------
    path
        The file; it stays when the fit is done, so that the same fit called again returns at once.
    seconds
        Least time between two writings; 0 writes after every step.
    """

    def __init__(self, path: str | Path, seconds: float = 10.0) -> None:
        if not seconds >= 0:
            raise ModelError(f"seconds={seconds}: give the least time between two writings, 0 for every step.")
        self.path, self.seconds = Path(path), seconds
        self.made_from: dict[str, str] = {}
        self._written = time.monotonic()
        self._stop: signal.Signals | None = None

    def restore(self) -> Snapshot | None:
        """The last snapshot; None without a file.

        Raises
        ------
        ModelError
            When the file cannot be read, or was made from other settings or data.
        """
        from .inference.snapshot import Snapshot

        if not self.path.exists():
            return None
        numbers, made_from, tensors = self._read()
        changed = show_changes(made_from, self.made_from)
        if changed:
            raise ModelError(
                f"checkpoint {str(self.path)!r} belongs to another fit: {'; '.join(changed)}. Put that back to go on, "
                "or delete the file to start anew."
            )
        done = len(numbers["history"]["loss"])
        logger.info("fit: going on after %d epochs from %s", done, self.path)
        return Snapshot(numbers, tensors)

    def peek(self) -> dict[str, Any]:
        """The numbers of the last snapshot, whatever it was made from."""
        return self._read()[0]

    def _read(self) -> tuple[dict[str, Any], dict[str, str], dict[str, Tensor]]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as file:
                saved = {name: json_of(text) for name, text in file.metadata().items()}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
            numbers, made_from = saved["numbers"], saved["made_from"]
            len(numbers["history"]["loss"])
            if not all(isinstance(value, str) for value in made_from.values()):
                raise ValueError("what it was made from is no text")
        except (*DAMAGE, SafetensorError) as error:
            raise ModelError(
                f"checkpoint {str(self.path)!r} cannot be read: {error}. Delete it to start anew."
            ) from error
        nan = [name for name, value in tensors.items() if value.is_floating_point() and value.isnan().any()]
        if nan:
            raise ModelError(f"checkpoint {str(self.path)!r}: {nan[0]!r} holds NaN. Delete it to start anew.")
        return numbers, made_from, tensors

    def offer(self, take: Callable[[], Snapshot]) -> None:
        """Write a snapshot when it is time, or when a signal asked the fit to stop: then raise KeyboardInterrupt."""
        if self._stop is None and time.monotonic() - self._written < self.seconds:
            return
        self._write(take())
        self._written = time.monotonic()
        if self._stop is not None:
            raise KeyboardInterrupt(f"{self._stop.name}: the fit stopped, and goes on from {str(self.path)!r}.")

    def _write(self, snapshot: Snapshot) -> None:
        from safetensors.torch import save

        if place()[0]:
            # The first process of a group writes for all.
            return
        metadata = {"numbers": json.dumps(snapshot.numbers), "made_from": json.dumps(self.made_from)}
        # save_file would tell of a full disk by an error of its own.
        content = save(snapshot.tensors, metadata)
        write_whole(self.path, lambda file: file.write_bytes(content))

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within the block, SIGINT and SIGTERM end the fit after the step it is in; a second one at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self._stop is not None:
                raise KeyboardInterrupt
            self._stop = signal.Signals(number)

        before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, ask)
        except ValueError:
            # Only the main thread may handle signals; elsewhere the writing by time has to do.
            logger.debug("not in the main thread: signals end the fit as usual")
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._stop = None


def fingerprint(
    data: CrowdData, references: References | None, config: CrowdConfig, seed: int, device: str
) -> dict[str, str]:
    """What a fit is made from: settings as they are written, tables as digests."""
    settings: dict[str, Any] = asdict(config)
    training = settings.pop("training")
    named = {
        **settings,
        **{f"training.{name}": value for name, value in training.items()},
        "seed": seed,
        "device": device,
        "scale": data.scale,
        "crowdpyro": importlib.metadata.version("crowdpyro"),
        "torch": importlib.metadata.version("torch"),
    }
    tables = {
        "the answers": (data.problem_code, data.participant_code, data.response),
        "the problems": (data.problems,),
        "the participants": (data.participants,),
        "the references": () if references is None else tuple(_parts(references)),
    }
    weights = data.weights
    if weights is not None:
        tables["the survey weights"] = (weights,)
    return {name: repr(value) for name, value in named.items()} | {n: _digest(parts) for n, parts in tables.items()}


def _parts(references: References) -> Iterator[Any]:
    for source in references:
        yield repr((source.name, source.revision, source.prompt, source.temperature, source.personas))
        yield pd.DataFrame(index=source.problems)
        yield source.values


def _digest(parts: tuple[Any, ...]) -> str:
    """SHA-256 of arrays, frames and texts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            digest.update(part.to_csv().encode())
        elif isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(part.tobytes())
    return f"sha256:{digest.hexdigest()}"


def show_changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What differs between two fingerprints, as a person would say it."""
    changes = []
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name, "absent"), now.get(name, "absent")
        if old != new:
            hashed = old.startswith("sha256:")
            changes.append(f"{name} changed" if hashed else f"{name} was {old}, is {new}")
    return changes
