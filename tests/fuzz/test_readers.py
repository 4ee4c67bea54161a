"""Whatever bytes a reader is given: it reads, or says by a named exception why not, soon and in little memory.

A few examples a reader here, always the same; `CROWDPYRO_EXAMPLES=10000` makes it so many, of `--hypothesis-seed`.
"""

from __future__ import annotations

import os
import resource
import tempfile
import warnings
from functools import cache
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import readers
import strategies
import valid_files
from bad_files import BAD, INFLATED
from hypothesis import HealthCheck, Phase, given, settings

from crowdpyro import Crowd, CrowdData, CrowdPyroError, References
from crowdpyro.models.scales import scale_from_dict, scale_to_dict

EXAMPLES = int(os.environ.get("CROWDPYRO_EXAMPLES", "0"))
# Of slow readers, fewer.
FEW = {"store": 8, "description": 15, "arrays": 15}
# What reading may add to the process, in KiB: the bound of `outside` is half of the machine's memory.
MOST = 500_000
MANY = settings(
    deadline=None,
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink) if EXAMPLES else (Phase.explicit, Phase.generate),
)


@cache
def ready(name: str) -> int:
    """Read the valid files, which imports all there is to import; the most memory until now."""
    for content in valid_files.valid()[name]:
        assert readers.named(readers.READERS[name], content) is None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("name", readers.READERS)
def test_valid_files_are_read(name):
    ready(name)


# Of a crowd's file hypothesis thinks that its repr is of no use.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("name", readers.READERS)
def test_any_file_is_read_or_refused_by_name(name):
    before = ready(name)

    @settings(MANY, max_examples=EXAMPLES or FEW.get(name, 40))
    @given(strategies.files(name))
    def reads(content):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            readers.named(readers.READERS[name], content)

    reads()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_for_what_it_is(name):
    reader, make, reason = BAD[name]
    before = ready(reader)
    with pytest.raises((CrowdPyroError, OSError), match=reason), readers.in_time():
        readers.READERS[reader](make())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


@pytest.mark.parametrize("name", INFLATED)
def test_what_would_fill_the_memory_is_refused(name, monkeypatch):
    reader, make = INFLATED[name]
    monkeypatch.setattr("crowdpyro.outside.machine_bytes", lambda: 10**8)
    content = make()
    assert len(content) < 10**5
    with pytest.raises(CrowdPyroError, match="more than 50% of this machine's memory"):
        readers.READERS[reader](content)


PROBLEMS = valid_files.PROBLEMS
FRAMES = settings(MANY, max_examples=EXAMPLES or 60)


@FRAMES
@given(strategies.scales())
def test_a_scale_comes_back(scale):
    assert scale_from_dict(scale_to_dict(scale)) == scale


@FRAMES
@given(st.data())
def test_answers_come_back_from_memory_and_files(data):
    scale = data.draw(strategies.scales())
    frame = data.draw(strategies.answers(scale))
    people = CrowdData.from_frames(frame, PROBLEMS, scale=scale)
    crowd = Crowd.from_data(people)
    codes = crowd.codes()
    person = pd.Index(crowd.dataset["participant"].to_numpy().astype(str)).get_indexer(frame["participant"].astype(str))
    problem = pd.Index(crowd.problems).get_indexer(frame["problem"])
    np.testing.assert_allclose(codes[person, problem], scale.encode(frame["response"].to_numpy()), 1e-6, 1e-30)
    with tempfile.TemporaryDirectory() as folder:
        again = Crowd.open(crowd.to_netcdf(Path(folder, "a.nc")))
        assert again.dataset.identical(crowd.dataset)
        frame.to_csv(Path(folder, "a.csv"), index=False)
        PROBLEMS.to_csv(Path(folder, "b.csv"), index=False)
        read = CrowdData.read(Path(folder, "a.csv"), Path(folder, "b.csv"), scale=scale)
        np.testing.assert_allclose(read.response, people.response, rtol=1e-12)


@FRAMES
@given(st.data())
def test_answers_that_nobody_meant_are_named_or_on_the_scale(data):
    scale = data.draw(strategies.scales())
    frame = data.draw(strategies.hostile(data.draw(strategies.answers(scale))))
    try:
        crowd = Crowd.from_data(CrowdData.from_frames(frame, PROBLEMS, scale=scale))
    except CrowdPyroError:
        return
    written = crowd.to_frame()["response"]
    assert np.isfinite(scale.encode(written.to_numpy())).all()


@FRAMES
@given(st.data())
def test_references_are_named_or_complete(data):
    scale = data.draw(strategies.scales())
    frame = data.draw(strategies.references(scale))
    base = References.from_frame(frame, scale=scale).fill("error").source().base()
    assert base.shape[0] == 2
    assert not np.isnan(base).any()
    try:
        found = References.from_frame(data.draw(strategies.hostile(frame)), scale=scale).fill("mean")
    except CrowdPyroError:
        return
    for source in found:
        # Draws of a continuous scale may be fewer for one problem than for another.
        assert not np.isnan(source.base()).all(axis=-1).any()
