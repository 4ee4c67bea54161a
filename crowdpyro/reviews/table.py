"""Reviews as two tables, checked once: products with a title, and one review a (product, person)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..long_frames import no_id, once, stripped
from ..models.scales import Ordinal
from ..tables import require_columns, require_rows, row_of, shown

STARS = Ordinal.range(1, 5)
_TEXTS = ("summary", "text")


@dataclass(frozen=True, eq=False)
class ProductReviews:
    """Reviews of products.

    Attributes
    ----------
    products
        Index `product`, columns `title` and `description`, empty where there is none.
    reviews
        Columns `product, participant, rating` (1 to 5 stars), `summary` and `text`; one row a (product, participant),
        sorted by product, then participant.
    report
        What was dropped or assumed.
    """

    products: pd.DataFrame
    reviews: pd.DataFrame
    report: tuple[str, ...] = ()

    @classmethod
    def from_frames(cls, reviews: pd.DataFrame, products: pd.DataFrame | None = None) -> ProductReviews:
        """Check and join two frames.

        Parameters
        ----------
        reviews
            Columns `product, participant, rating`, and where there are any `summary`, `text` and `when`: of several
            reviews of a product by one person the last by `when`, else the last row, is kept.
        products
            Column `product`, and `title` and `description` where there are any; None for products without a word.

        Raises
        ------
        DataError
            Naming the column, the value and the remedy.
        """
        reviews = require_rows(reviews, "reviews")
        require_columns(reviews, ("product", "participant", "rating"), "reviews")
        for column in ("product", "participant"):
            gaps = no_id(reviews[column])
            if gaps.any():
                raise DataError(
                    f"column {column!r} of reviews is empty in {row_of(reviews.index[gaps])} ({int(gaps.sum())} such "
                    "rows); fill it or drop the row."
                )
        stars = pd.to_numeric(reviews["rating"], errors="coerce")
        wrong = ~stars.isin(STARS.values)
        if wrong.any():
            raise DataError(
                f"column 'rating' of reviews: {shown(reviews['rating'][wrong].iloc[0])} in "
                f"{row_of(reviews.index[wrong])} ({int(wrong.sum())} such) is no whole number of stars from 1 to 5; "
                "correct it or drop the row."
            )
        table = pd.DataFrame({"product": stripped(reviews["product"]), "participant": stripped(reviews["participant"])})
        table["rating"] = stars.astype(int)
        for column in _TEXTS:
            given = reviews[column] if column in reviews.columns else pd.Series("", index=reviews.index)
            table[column] = given.fillna("").astype(str).str.strip()
        if "when" in reviews.columns:
            table = table.iloc[np.argsort(reviews["when"].to_numpy(), kind="stable")]
        again = table.duplicated(["product", "participant"], keep="last")
        notes = [f"{int(again.sum())} reviews by people who reviewed the product again: the last one is kept"]
        table = table[~again].sort_values(["product", "participant"], kind="stable").reset_index(drop=True)
        return cls(_products(products, table["product"]), table, tuple(notes if again.any() else ()))

    @property
    def n_products(self) -> int:
        """Number of products."""
        return len(self.products)

    @property
    def n_reviews(self) -> int:
        """Number of reviews."""
        return len(self.reviews)

    @property
    def n_participants(self) -> int:
        """Number of people who wrote them."""
        return int(self.reviews["participant"].nunique())

    def counts(self) -> npt.NDArray[np.int64]:
        """Ratings of every product by stars, shape `(n_products, 5)`."""
        row = self.products.index.get_indexer(pd.Index(self.reviews["product"]))
        cell = row * STARS.n_levels + self.reviews["rating"].to_numpy() - 1
        return np.bincount(cell, minlength=self.n_products * STARS.n_levels).reshape(-1, STARS.n_levels)

    def reviewed_by(self, least: int, most: int | None = None) -> ProductReviews:
        """Products with `least` to `most` distinct reviewers; none left raises `DataError`."""
        if least < 1 or (most is not None and most < least):
            raise DataError(f"least={least}, most={most}: give at least 1, and no more than most.")
        size = self.counts().sum(axis=1)
        kept = (size >= least) & (size <= (size.max() if most is None else most))
        if not kept.any():
            raise DataError(
                f"least={least}, most={most}: no product has so many reviewers; they have {size.min()} to {size.max()}."
            )
        return self.select(self.products.index[kept])

    def select(self, products: Iterable[object]) -> ProductReviews:
        """Reviews of these products, in this order.

        Raises
        ------
        DataError
            For an unknown or repeated product.
        """
        rows = once(products, self.products.index, "product")
        chosen = self.products.iloc[rows]
        return replace(self, products=chosen, reviews=self._of(self.reviews["product"].isin(chosen.index)))

    def _of(self, kept: pd.Series) -> pd.DataFrame:
        return self.reviews[kept].reset_index(drop=True)


def _products(products: pd.DataFrame | None, reviewed: pd.Series) -> pd.DataFrame:
    """One row a reviewed product, sorted; products that nobody reviewed are left out."""
    index = pd.Index(sorted(reviewed.unique()), name="product")
    if products is None:
        return pd.DataFrame({"title": "", "description": ""}, index=index)
    require_columns(products, ("product",), "products")
    ids = stripped(products["product"])
    if ids.duplicated().any():
        raise DataError(f"column 'product' of products: {shown(ids[ids.duplicated()].iloc[0])} is there twice.")
    columns = {}
    for name in ("title", "description"):
        given = products[name] if name in products.columns else pd.Series("", index=products.index)
        columns[name] = given.fillna("").astype(str).str.strip().to_numpy()
    known = pd.DataFrame(columns, index=pd.Index(ids, name="product"))
    unknown = index.difference(known.index)
    if len(unknown):
        raise DataError(
            f"product {shown(unknown[0])} ({len(unknown)} such) has reviews and no row in products; add it, or give "
            "products=None."
        )
    found: pd.DataFrame = known.loc[index]
    return found
