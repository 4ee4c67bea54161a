"""Fuzz one reader by coverage, with atheris (`pip install atheris`), which this suite does not need otherwise.

    python tests/fuzz/coverage_guided.py READER FOLDER -max_total_time=180

READER is a name in `readers.READERS`. FOLDER keeps the corpus, so that the next call goes on from it; a finding is
written beside it by libFuzzer as crash-, timeout- or oom-DIGEST, with its traceback, and ends the run. Arguments after
these are libFuzzer's. Half of the inputs are read as they are, half are made of a valid file by what atheris chooses.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import atheris

# Of a process with torch loaded, which takes 600 MB.
_SECONDS, _MEGABYTES = 20, 3000


def main(name: str, folder: Path, more: list[str]) -> None:
    """Fuzz a reader until time is up or something is found."""
    # Readers import what they need when they are called, so that each is called once while imports are instrumented.
    with atheris.instrument_imports(include=["crowdpyro"], enable_loader_override=False):
        import mutations
        import readers
        import torch
        import valid_files

        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        reader, known = readers.READERS[name], valid_files.valid()[name]
        for content in known:
            reader(content)
    folder.mkdir(parents=True, exist_ok=True)
    for place, content in enumerate(known):
        (folder / f"valid-{place}").write_bytes(b"\0" + content)

    def one(data: bytes) -> None:
        if data[:1] < b"\x80":
            content = data[1:]
        else:
            chosen = atheris.FuzzedDataProvider(data[1:])
            content = mutations.mutated(name, lambda n: chosen.ConsumeIntInRange(0, max(n - 1, 0)))
        readers.named(reader, content, seconds=0)

    limits = [f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEGABYTES}", f"-artifact_prefix={folder.parent}{os.sep}"]
    atheris.Setup([sys.argv[0], str(folder), *limits, "-max_len=65536", *more], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
