"""What a bug report needs: versions of this package and of those that it computes with, Python, system, device.

No path, no host, no user, no variable of the environment stands in it.
"""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

# What decides results or reads files; the optional ones are left out where they are not installed.
_PACKAGES = (
    "crowdpyro", "torch", "pyro-ppl", "numpy", "scipy", "pandas", "xarray", "scikit-learn", "arviz", "transformers",
    "safetensors", "h5py", "pyarrow", "dask", "distributed", "zarr",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Version by name, in the order in which they are printed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "device": _device(),
    }


@cache
def source_digest() -> str:
    """Of this package's source, twelve hexadecimal digits: two checkouts of one version are told apart."""
    digest = hashlib.sha256()
    for name in ("crowdpyro", "crowdpyro.models", "crowdpyro.inference"):
        folder = Path(import_module(name).__path__[0])
        for file in sorted(folder.rglob("*.py"), key=lambda each: each.relative_to(folder).as_posix()):
            place = file.relative_to(folder).as_posix()
            # Installed, the other two lie in the first.
            if name != "crowdpyro" or not place.startswith(("models/", "inference/")):
                digest.update(f"{name}/{place}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
