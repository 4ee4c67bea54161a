"""What a bug report needs: versions of this package and of those that it computes with, Python, system, device.

No path, no host, no user, no variable of the environment stands in it.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata

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


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
