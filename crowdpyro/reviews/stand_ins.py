"""Two public sets of Amazon reviews that stand in for the paper's slices of 2023, from `$CROWDPYRO_DATA/amazon`."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DataError
from ..tables import read_table
from .table import ProductReviews


def load_musical_instruments(folder: str | Path | None = None) -> ProductReviews:
    """6,516 reviews of 317 musical instruments (5-core of 2014, ten reviewers or more), without titles.

    Parameters
    ----------
    folder
        Holds `amazon/`; `$CROWDPYRO_DATA` when None.

    Returns
    -------
    ProductReviews
        Stars from 1 to 5, and texts.

    Raises
    ------
    DataError
        When the folder is not there.

    References
    ----------
    J. McAuley, C. Targett, Q. Shi, A. van den Hengel (2015), Image-based recommendations on styles and substitutes,
    SIGIR.
    """
    raw = read_table(_file(folder, "musical_instruments_2014.csv.gz"))
    names = {"product_id": "product", "user_id": "participant", "unix_time": "when"}
    return ProductReviews.from_frames(raw.rename(columns=names))


def load_electronics(folder: str | Path | None = None) -> ProductReviews:
    """5,000 reviews of 24 devices sold by Amazon, with titles and categories (collected by Datafiniti).

    Parameters
    ----------
    folder
        Holds `amazon/`; `$CROWDPYRO_DATA` when None.

    Returns
    -------
    ProductReviews
        Stars from 1 to 5, and texts.

    Raises
    ------
    DataError
        When the folder is not there.
    """
    raw = read_table(_file(folder, "electronics_datafiniti.csv.gz"))
    names = {"product_id": "product", "user_id": "participant", "date": "when", "categories": "description"}
    raw = raw.rename(columns=names)
    products = raw[["product", "title", "description"]].drop_duplicates("product")
    return ProductReviews.from_frames(raw, products)


def _file(folder: str | Path | None, name: str) -> Path:
    root = folder or os.environ.get("CROWDPYRO_DATA")
    place = None if root is None else Path(root) / "amazon"
    if place is None or not place.is_dir():
        raise DataError(
            f"folder {str(place or 'amazon')!r} does not exist; name the folder that holds 'amazon' by --data or by "
            "the variable CROWDPYRO_DATA."
        )
    return place / name
