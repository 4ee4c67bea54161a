"""Reviews in, checked once."""

from __future__ import annotations

import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.reviews import ProductReviews


def frame(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["product", "participant", "rating", "when"])


def test_the_last_review_of_a_person_counts_and_counts_are_by_stars() -> None:
    table = ProductReviews.from_frames(frame(("b", 1, 5, 2), ("a", 1, 4.0, 9), ("b", 1, 2, 1), ("b", 2, 5, 1)))
    assert table.reviews["rating"].tolist() == [4, 5, 5]  # of person 1 on b, the one of time 2
    assert table.counts().tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 2]]
    assert (table.n_products, table.n_reviews, table.n_participants) == (2, 3, 2)
    assert table.report[0].startswith("1 reviews by people who")


def test_filters_keep_products_by_distinct_reviewers() -> None:
    rows = [("a", i, 5, 0) for i in range(3)] + [("b", i, 5, 0) for i in range(2)] + [("b", 0, 1, 1)]
    table = ProductReviews.from_frames(frame(*rows))
    assert list(table.reviewed_by(3).products.index) == ["a"]
    assert list(table.reviewed_by(2, 2).products.index) == ["b"]  # person 0 twice is one reviewer
    assert list(table.select(["b"]).reviews["product"].unique()) == ["b"]
    with pytest.raises(DataError, match="they have 2 to 3"):
        table.reviewed_by(7)
    with pytest.raises(DataError, match="least=3, most=2"):
        table.reviewed_by(3, 2)


@pytest.mark.parametrize(
    ("rows", "products", "said"),
    [
        ([("a", 1, 4.5, 0)], None, "no whole number of stars"),
        ([("a", 1, "five", 0)], None, "no whole number of stars"),
        ([(" ", 1, 4, 0)], None, "column 'product' of reviews is empty"),
        ([("a", 1, 4, 0)], pd.DataFrame({"product": ["b"]}), "product 'a' \\(1 such\\) has reviews and no row"),
        ([("a", 1, 4, 0)], pd.DataFrame({"product": ["a", "a"]}), "'a' is there twice"),
    ],
)
def test_what_is_no_review_is_named(rows: list[tuple[object, ...]], products: pd.DataFrame | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ProductReviews.from_frames(frame(*rows), products)


def test_columns_that_are_missing_are_named() -> None:
    with pytest.raises(DataError, match="rating"):
        ProductReviews.from_frames(pd.DataFrame({"product": ["a"], "participant": [1]}))
