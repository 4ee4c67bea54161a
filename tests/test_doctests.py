"""Examples in docstrings run as they stand; by module name, since the folders lie beside the package."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import crowdpyro


def test_examples_run():
    names = [each.name for each in pkgutil.walk_packages(crowdpyro.__path__, "crowdpyro.")]
    for room in ("crowdpyro.models", "crowdpyro.inference"):
        names += [each.name for each in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}.")]
    results = [doctest.testmod(importlib.import_module(name)) for name in names]
    assert sum(each.failed for each in results) == 0
    assert sum(each.attempted for each in results) > 0
