"""Downloads of Amazon Reviews 2023, with checksums.

The publisher gives none. The first download of a file writes its SHA-256 to `checksums.txt` beside it, and from then on
the file must be that one: a damaged or exchanged file is an error, never data.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import DataError
from ..tables import write_whole

HOST = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw/"
_PLACES = ("review_categories/{}.jsonl.gz", "meta_categories/meta_{}.jsonl.gz")
_CHECKSUMS = "checksums.txt"


def fetch_amazon(
    category: str, folder: str | Path | None = None, *, host: str = HOST, progress: bool = False
) -> tuple[Path, Path]:
    """Reviews and metadata of a category, downloaded unless they are there.

    Parameters
    ----------
    category
        As the publisher writes it: `All_Beauty`, `Musical_Instruments`.
    folder
        Where files are kept; the user's cache when None.
    host
        Folder of the two folders `review_categories` and `meta_categories`.
    progress
        Show a bar.

    Returns
    -------
    tuple of Path
        For `read_amazon`.

    Raises
    ------
    DataError
        Where there is no network or no such file, or a file is not the one whose checksum was written down.
    """
    import pooch

    if not re.fullmatch(r"[A-Za-z_]+", category):
        raise DataError(f"category={category!r}: letters and '_' only, such as 'All_Beauty'.")
    place = Path(folder) if folder is not None else Path(pooch.os_cache("crowdpyro")) / "amazon2023"
    known = _read(place)
    files = []
    for pattern in _PLACES:
        part = pattern.format(category)
        name = part.rpartition("/")[2]
        url = host.rstrip("/") + "/" + part
        try:
            path = Path(pooch.retrieve(url, known.get(name), fname=name, path=place, progressbar=progress))
        except ValueError as error:
            raise DataError(
                f"file {name!r} from {url}: its SHA-256 is not the one in {str(place / _CHECKSUMS)!r} ({error}); if "
                "the publisher has changed the file, take its line out there."
            ) from error
        # All that the connection raises is an OSError.
        except OSError as error:
            raise DataError(
                f"file {name!r} cannot be downloaded from {url} ({error}); put it into {str(place)!r} by hand."
            ) from error
        if name not in known:
            known[name] = pooch.file_hash(str(path))
            _write(place, known)
        files.append(path)
    return files[0], files[1]


def _read(place: Path) -> dict[str, str]:
    """Checksum of each file, by name."""
    file = place / _CHECKSUMS
    if not file.is_file():
        return {}
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    wrong = next((line for line in lines if len(line) != 2), None)
    if wrong is not None:
        raise DataError(f"file {str(file)!r}: line {' '.join(wrong)!r} is no 'SHA256 NAME'; correct it or take it out.")
    return {name: digest for digest, name in lines}


def _write(place: Path, known: dict[str, str]) -> None:
    """The same as `sha256sum --check` reads it."""
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items()))
    write_whole(place / _CHECKSUMS, lambda file: file.write_text(text, encoding="utf-8"))
