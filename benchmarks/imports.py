"""Starting up: `import crowdpyro` and `crowdpyro --help` against importing pandas, each in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from timing import Table

PANDAS = [sys.executable, "-c", "import pandas"]
# The command beside this Python, whether or not its environment is activated.
HELP = [str(Path(sys.executable).parent / "crowdpyro"), "--help"]


def run(command: list[str]) -> None:
    """One process, its output dropped."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


table = Table("Start (the peer is `import pandas`)")
table.compare(
    "`import crowdpyro`", lambda: run([sys.executable, "-c", "import crowdpyro"]), lambda: run(PANDAS), repeats=9
)
table.compare("`crowdpyro --help`", lambda: run(HELP), lambda: run(PANDAS), repeats=9)
table.close()
