"""Fixtures that several folders share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Two torch threads on shared cores slow small kernels sixty-fold."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command; its exit code, output and error output."""
    from crowdpyro import cli

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crowdpyro", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub of models cannot be reached."""
    from huggingface_hub import HfApi

    def unreachable(*args: object, **how: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(HfApi, "model_info", unreachable)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real human data, named by CROWDPYRO_DATA."""
    folder = os.environ.get("CROWDPYRO_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CROWDPYRO_DATA does not name a folder with the human data")
    return Path(folder)


@pytest.fixture(scope="session")
def popquorn_dir(data_dir: Path) -> Path:
    """POPQUORN offensiveness ratings and recorded LLM answers."""
    folder = data_dir / "popquorn"
    if not folder.is_dir():
        pytest.skip("CROWDPYRO_DATA holds no popquorn folder")
    return folder
