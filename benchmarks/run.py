"""Run every benchmark, one process after the other, and write their tables with the machine's description."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
PARTS = HERE.parent / "build" / "bench"
SCRIPTS = (
    "svi_epoch",
    "generation",
    "histograms",
    "intervals",
    "references",
    "aggregation",
    "real_labels",
    "imports",
    "scaling",
    "scale",
)
LIBRARIES = ("crowdpyro", "torch", "pyro-ppl", "numpy", "scipy", "pandas")


def machine() -> str:
    """Processor, memory and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{processor or platform.processor()}, {os.cpu_count()} cores (one thread used), {memory:.0f} GiB, "
        f"{platform.system()}; Python {platform.python_version()}, {versions}. {date.today().isoformat()}."
    )


def main() -> None:
    """Run the scripts that are named, or all; write results.md, whole or not at all, once each has a table of today."""
    PARTS.mkdir(parents=True, exist_ok=True)
    for script in sys.argv[1:] or SCRIPTS:
        command = [sys.executable, "-W", "ignore", str(HERE / f"{script}.py")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, end="", flush=True)
        (PARTS / f"{script}.md").write_text(done.stdout, encoding="utf-8")
    parts = [PARTS / f"{script}.md" for script in SCRIPTS]
    old = [path.stem for path in parts if not path.is_file() or date.fromtimestamp(path.stat().st_mtime) < date.today()]
    if old:
        print(f"results.md waits for {', '.join(old)}.")
        return
    head = (
        "# Benchmarks\n\nWritten by `make bench`. Medians of at least five runs, ours and the peer's in turn in one "
        f"process; the ratio is the peer's time over ours.\n\n{machine()}\n\n"
    )
    draft = HERE / ".results.md"
    draft.write_text(head + "\n".join(path.read_text(encoding="utf-8") for path in parts), encoding="utf-8")
    draft.replace(HERE / "results.md")


if __name__ == "__main__":
    main()
