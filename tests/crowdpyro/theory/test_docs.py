"""The examples of docs/theory.md run as they stand."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_examples_of_the_conceptual_page() -> None:
    page = Path(__file__).parents[3] / "docs" / "theory.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0
