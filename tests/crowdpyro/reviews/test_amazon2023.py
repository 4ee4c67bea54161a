"""The loader of the official layout, on small files in that layout."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdpyro import DataError
from crowdpyro.reviews import ReviewerCount, read_amazon

from .conftest import meta, review

Write = Callable[..., Path]


def category(write: Write) -> tuple[Path, Path]:
    """Products of 19, 20, 30 and 31 reviewers; the one of 20 has a 21st review, by a person who had reviewed it."""
    sizes = {"N": 19, "T": 20, "H": 30, "M": 31}
    rows = [review(product, f"{product}{i}", 1 + i % 5) for product, n in sizes.items() for i in range(n)]
    rows.append(review("T", "T0", 3.0, timestamp=1588687728924))
    return write("All_Beauty.jsonl", rows), write("meta_All_Beauty.jsonl", [meta(p) for p in [*sizes, "unreviewed"]])


def test_the_papers_filters(write_lines: Write) -> None:
    reviews, metadata = category(write_lines)
    beauty = read_amazon(reviews, metadata, "All_Beauty")
    assert list(beauty.products.index) == ["H", "T"]
    assert beauty.counts().sum(axis=1).tolist() == [30, 20]
    assert list(read_amazon(reviews, metadata, "Musical_Instruments").products.index) == ["T"]
    assert list(read_amazon(reviews, reviewers=ReviewerCount(31)).products.index) == ["M"]
    assert read_amazon(reviews).n_products == 4
    with pytest.raises(DataError, match="none of 4 products has 99 or more"):
        read_amazon(reviews, reviewers=ReviewerCount(99))
    with pytest.raises(DataError, match="All_Beauty and Musical_Instruments"):
        read_amazon(reviews, reviewers="Books")


def test_fields_are_where_they_belong_and_the_average_rating_is_not_read(write_lines: Write) -> None:
    reviews, metadata = category(write_lines)
    table = read_amazon(reviews, metadata, "All_Beauty")
    assert table.products.loc["T", "title"] == "Cream T"
    assert table.products.loc["T", "description"] == "All Beauty. Shop. soft. A cream."
    last = table.reviews[(table.reviews["product"] == "T") & (table.reviews["participant"] == "T0")]
    assert last[["rating", "summary", "text"]].values.tolist() == [[3, "Nice", "Works."]]
    other = write_lines("other.jsonl", [meta(p, average_rating=1.0, rating_number=9) for p in "NTHM"])
    assert read_amazon(reviews, other, "All_Beauty").products.equals(table.products)


def test_gzipped_files_and_blank_lines_read_alike(write_lines: Write, tmp_path: Path) -> None:
    reviews, _ = category(write_lines)
    zipped = tmp_path / "All_Beauty.jsonl.gz"
    zipped.write_bytes(gzip.compress(reviews.read_bytes() + b"\n\n"))
    assert read_amazon(zipped).reviews.equals(read_amazon(reviews).reviews)
    zipped.write_bytes(zipped.read_bytes()[:-30])
    with pytest.raises(DataError, match="cannot be read"):
        read_amazon(zipped)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'rating': 5}", "line 2: no JSON"),
        ("[1, 2]", "line 2: .* is no JSON object"),
        (review("A", "u", 5.5), "line 2: field 'rating' has 5.5"),
        (review("A", "u", True), "line 2: field 'rating' must be a number"),
        (review("A", "u", "5"), "line 2: field 'rating' must be a number"),
        (review("A", " "), "line 2: field 'user_id' is empty"),
        (review("A", "u", text=None), "line 2: field 'text' must be text, and the line has None"),
        ({k: v for k, v in review("A", "u").items() if k != "parent_asin"}, "'parent_asin' must be text.*lacks it"),
    ],
)
def test_a_malformed_line_is_named(write_lines: Write, line: object, said: str) -> None:
    path = write_lines("bad.jsonl", [review("A", "someone"), line])
    with pytest.raises(DataError, match=said):
        read_amazon(path)


def test_metadata_that_do_not_fit_are_named(write_lines: Write, tmp_path: Path) -> None:
    reviews, _ = category(write_lines)
    with pytest.raises(DataError, match="product 'H' \\(1 such\\) has reviews and no metadata"):
        read_amazon(reviews, write_lines("m.jsonl", [meta("T")]), "All_Beauty")
    with pytest.raises(DataError, match="line 1: fields 'parent_asin' and 'title'"):
        read_amazon(reviews, write_lines("m.jsonl", [{"asin": "T"}]))
    with pytest.raises(DataError, match="does not exist"):
        read_amazon(tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match="least=0"):
        ReviewerCount(0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(st.sampled_from(["rating", "parent_asin", "user_id", "title", "text", "timestamp"]), each)
        ),
        max_leaves=8,
    )
    | st.binary(max_size=20)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_line_is_read_or_named(tmp_path: Path, row: object) -> None:
    path = tmp_path / "any.jsonl"
    path.write_bytes(row if isinstance(row, bytes) else json.dumps(row).encode())
    with pytest.raises(DataError):
        read_amazon(path)
