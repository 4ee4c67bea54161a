"""The simulated study, importable here and in worker processes, and its results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crowdpyro.studies.runner import run
from crowdpyro.studies.store import ResultsStore
from crowdpyro.studies.study import Study


@pytest.fixture(scope="session")
def simulated() -> Iterator[Study]:
    """The study; loky's workers are told this folder by sys.path."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    import simulated

    yield simulated.STUDY
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def store(simulated: Study, tmp_path_factory: pytest.TempPathFactory) -> ResultsStore:
    """All of its cells."""
    filled = ResultsStore(tmp_path_factory.mktemp("results") / "simulated")
    assert run(simulated, filled).failed == {}
    return filled
