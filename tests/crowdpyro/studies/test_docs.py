"""The example of docs/studies.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path


def test_a_study_of_ones_own(tmp_path, monkeypatch):
    text = (Path(__file__).parents[3] / "docs" / "studies.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block is not None
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block[1], "studies.md", "exec"), names)
    assert "Unseen problems: my model is best" in str(names["page"])
