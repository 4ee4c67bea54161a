"""What is saved as a folder of two files: arrays in NAME.safetensors, the rest in NAME.json; nothing is pickled.

Each is written whole or not at all. The JSON holds the arrays' digest, so that after a crash between the two, or a copy
of one without the other, reading says so; and the number of its format, of which a version reads its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ModelError
from .outside import json_of, refused
from .tables import write_whole

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class StoredForm:
    """Files of one kind.

    Parameters
    ----------
    name
        Of both files, without suffix.
    format
        Its number.
    what
        Is stored, as errors call it.
    again
        How one gets it anew: `fit`.
    gaps
        Arrays in which NaN stands for a gap; in any other it is damage.
    """

    name: str
    format: int
    what: str
    again: str
    gaps: tuple[str, ...] = ()

    def write(self, folder: str | Path, described: Mapping[str, Any], arrays: Arrays) -> Path:
        """Write both files, and return the folder."""
        from safetensors.numpy import save as packed

        # Not ascontiguousarray, which makes a number an array of one.
        content = packed({name: np.asarray(value, order="C") for name, value in arrays.items()})
        saved = {"format": self.format, "crowdpyro": importlib.metadata.version("crowdpyro"), **described}
        saved["arrays"] = hashlib.sha256(content).hexdigest()
        folder, text = Path(folder), json.dumps(saved, indent=1)

        def write_both(file: Path) -> None:
            # Nested, so that a full disk never leaves new arrays beside an old description.
            file.write_bytes(content)
            write_whole(folder / f"{self.name}.json", lambda own: own.write_text(text, encoding="utf-8"))

        write_whole(folder / f"{self.name}.safetensors", write_both)
        return folder

    def read(self, folder: str | Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What `write` was given.

        Raises
        ------
        ModelError
            When a file is missing or damaged, of another format, or the two do not belong together.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load as unpacked

        folder = Path(folder)
        try:
            saved = json_of((folder / f"{self.name}.json").read_text(encoding="utf-8"))
            content = (folder / f"{self.name}.safetensors").read_bytes()
            arrays = unpacked(content)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"folder {str(folder)!r} holds no readable {self.what}: {error}. Give a folder that save wrote."
            ) from error
        found = saved.get("format")
        if found != self.format:
            older = type(found) is int and found < self.format
            remedy = f"{self.again} it again with this version" if older else "load it with the version that wrote it"
            raise ModelError(
                f"folder {str(folder)!r} has format {found!r}; this version reads {self.format}: {remedy}."
            )
        if saved.get("arrays") != hashlib.sha256(content).hexdigest():
            raise ModelError(
                f"folder {str(folder)!r}: {self.name}.json and {self.name}.safetensors do not belong together; "
                f"{self.again} or copy it again."
            )
        for name, array in arrays.items():
            if array.dtype.kind == "f" and np.isnan(array).any() and name not in self.gaps:
                raise ModelError(
                    f"folder {str(folder)!r}: array {name!r} of {self.name}.safetensors holds NaN; {self.again} it "
                    "again, or get a whole copy."
                )
        return saved, arrays

    @contextmanager
    def rebuilding(self, folder: str | Path) -> Iterator[None]:
        """Whatever what was read lacks or has of a wrong kind is a `ModelError`."""
        damaged = f"folder {str(folder)!r}: {self.name}.json is damaged"
        with refused(damaged, f"{self.again} or copy it again", ModelError):
            yield
