"""The official files of Amazon Reviews 2023: JSON lines of reviews and of metadata, plain or gzipped.

Of a review `parent_asin, user_id, rating, title, text, timestamp` are read, of a product's metadata `parent_asin,
title, main_category, features, description, categories, store`. `average_rating` and `rating_number` are not: they
hold the very ratings that are to be predicted. Products are told by `parent_asin`, under which colours and sizes of
one product share their reviews.

Reviews are read twice, so that a category of millions needs no more memory than the products that are kept: first to
count each product's distinct reviewers, then to keep the chosen ones.

References
----------
Y. Hou, J. Li, Z. He, A. Yan, X. Chen, J. McAuley (2024), Bridging language and items for retrieval and recommendation,
arXiv 2403.03952.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError
from ..tables import shown
from .table import STARS, ProductReviews

_REVIEW: dict[str, tuple[type, ...]] = {
    "parent_asin": (str,),
    "user_id": (str,),
    "rating": (int, float),
    "title": (str,),
    "text": (str,),
    "timestamp": (int,),
}
# What tells a product apart; lists are joined by a blank.
_DESCRIBES = ("main_category", "store", "categories", "features", "description")


@dataclass(frozen=True)
class ReviewerCount:
    """How many distinct reviewers a product must have.

    Attributes
    ----------
    least, most
        Both included; `most=None` has no upper end.

    Raises
    ------
    DataError
        When `least` is below 1 or above `most`.
    """

    least: int
    most: int | None = None

    def __post_init__(self) -> None:
        if self.least < 1 or (self.most is not None and self.most < self.least):
            raise DataError(f"least={self.least}, most={self.most}: give at least 1, and no more than most.")

    def holds(self, n: int) -> bool:
        """Whether n reviewers are so many."""
        return n >= self.least and (self.most is None or n <= self.most)


# The paper's slices of two categories.
PAPER_FILTERS = {"All_Beauty": ReviewerCount(20, 30), "Musical_Instruments": ReviewerCount(20, 20)}


def read_amazon(
    reviews: str | Path, metadata: str | Path | None = None, reviewers: ReviewerCount | str | None = None
) -> ProductReviews:
    """Read one category.

    Parameters
    ----------
    reviews
        `CATEGORY.jsonl` or `.jsonl.gz`.
    metadata
        `meta_CATEGORY.jsonl` or `.jsonl.gz`; None for products without a title.
    reviewers
        Which products are kept; the name of a category (`All_Beauty`, `Musical_Instruments`) for the paper's own
        filter, None for all.

    Returns
    -------
    ProductReviews
        Stars from 1 to 5, and texts, of the products that are kept.

    Raises
    ------
    DataError
        Naming file, line and field: no JSON, a missing field or one of another type, stars that are no whole number
        from 1 to 5; when a kept product has no metadata, or no product is kept.
    """
    if isinstance(reviewers, str):
        if reviewers not in PAPER_FILTERS:
            raise DataError(f"reviewers={reviewers!r}: the paper filters {' and '.join(PAPER_FILTERS)}.")
        reviewers = PAPER_FILTERS[reviewers]
    kept = None if reviewers is None else _counted(Path(reviews), reviewers)
    rows = [
        (row["parent_asin"], row["user_id"], row["rating"], row["title"], row["text"], row["timestamp"])
        for row in _reviews(Path(reviews))
        if kept is None or row["parent_asin"] in kept
    ]
    frame = pd.DataFrame(rows, columns=["product", "participant", "rating", "summary", "text", "when"])
    products = None if metadata is None else _products(Path(metadata), set(frame["product"]))
    return ProductReviews.from_frames(frame, products)


def _counted(path: Path, reviewers: ReviewerCount) -> set[str]:
    """Products with so many distinct reviewers."""
    people: dict[str, set[str]] = {}
    for row in _reviews(path):
        people.setdefault(row["parent_asin"], set()).add(row["user_id"])
    kept = {product for product, who in people.items() if reviewers.holds(len(who))}
    if not kept:
        most = "or more" if reviewers.most is None else f"to {reviewers.most}"
        raise DataError(
            f"file {str(path)!r}: none of {len(people)} products has {reviewers.least} {most} distinct reviewers; "
            "give another number, or None for all."
        )
    return kept


def _reviews(path: Path) -> Iterator[dict[str, Any]]:
    """Checked reviews, line by line."""
    for number, row in _lines(path):
        for name, kinds in _REVIEW.items():
            value = row.get(name)
            # JSON's true is a number to Python.
            if not isinstance(value, kinds) or isinstance(value, bool):
                what = "lacks it" if name not in row else f"has {shown(value)}"
                raise DataError(
                    f"file {str(path)!r}, line {number}: field {name!r} must be "
                    f"{'text' if kinds == (str,) else 'a number'}, and the line {what}; it is no line of Amazon "
                    "Reviews 2023, or was damaged: download the file again."
                )
            if name in ("parent_asin", "user_id") and not str(value).strip():
                raise DataError(
                    f"file {str(path)!r}, line {number}: field {name!r} is empty; fill it or drop the line."
                )
        if row["rating"] not in STARS.values:
            raise DataError(
                f"file {str(path)!r}, line {number}: field 'rating' has {shown(row['rating'])}, no whole number of "
                "stars from 1 to 5; correct it or drop the line."
            )
        yield row


def _products(path: Path, wanted: set[str]) -> pd.DataFrame:
    """Titles and descriptions of these products."""
    found: dict[str, tuple[str, str]] = {}
    for number, row in _lines(path):
        product = row.get("parent_asin")
        if not isinstance(product, str) or not isinstance(row.get("title"), str | None):
            raise DataError(
                f"file {str(path)!r}, line {number}: fields 'parent_asin' and 'title' must be texts, and the line has "
                f"{shown(product)} and {shown(row.get('title'))}; it is no metadata of Amazon Reviews 2023."
            )
        if product in wanted:
            found[product] = (row.get("title") or "", ". ".join(filter(None, (_words(row.get(k)) for k in _DESCRIBES))))
    missing = wanted - found.keys()
    if missing:
        raise DataError(
            f"file {str(path)!r}: product {shown(min(missing))} ({len(missing)} such) has reviews and no metadata; "
            "give the metadata of the same category."
        )
    frame = pd.DataFrame.from_dict(found, orient="index", columns=["title", "description"])
    return frame.rename_axis("product").reset_index()


def _words(value: object) -> str:
    """A text, or a list of texts in one."""
    if isinstance(value, list):
        return " ".join(str(each).strip() for each in value if each)
    return value.strip() if isinstance(value, str) else ""


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of every line that is not blank."""
    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path, or fetch it (reviews.fetch_amazon).")
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise DataError(
                        f"file {str(path)!r}, line {number}: no JSON ({error.msg}, column {error.colno}), "
                        f"{shown(line.strip()[:60])}; every line must be one object."
                    ) from error
                if not isinstance(row, dict):
                    raise DataError(
                        f"file {str(path)!r}, line {number}: {shown(row)} is no JSON object; give one a line."
                    )
                yield number, row
    except UnicodeDecodeError as error:
        raise DataError(f"file {str(path)!r}, after line {number}: no UTF-8 text ({error.reason}).") from error
    # A cut-off .gz ends as EOFError, other bytes under its name as BadGzipFile.
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"file {str(path)!r}, after line {number}: it cannot be read ({str(error).rstrip('.')}); download it again."
        ) from error
