"""Reviews that are made up: products of unlike quality, people who write what they think."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdpyro.reviews import ProductReviews

WORDS = {1: "awful broke at once", 2: "poor and flimsy", 3: "it is okay", 4: "good value", 5: "great, love it"}


def made_up(n_products: int = 30, n_people: int = 80, per_product: int = 12, seed: int = 0) -> ProductReviews:
    """Half of the products get about two stars, the others about five."""
    rng = np.random.default_rng(seed)
    rows = []
    for product in range(n_products):
        good = product % 2 == 0
        for person in rng.permutation(n_people)[:per_product]:
            stars = int(np.clip(round(rng.normal(4.6 if good else 2.2, 0.7)), 1, 5))
            rows.append((f"p{product:02d}", f"u{person:02d}", stars, WORDS[stars], f"Bought in May. {WORDS[stars]}."))
    frame = pd.DataFrame(rows, columns=["product", "participant", "rating", "summary", "text"])
    products = pd.DataFrame({"product": [f"p{i:02d}" for i in range(n_products)]})
    products["title"] = [f"{'Solid' if i % 2 == 0 else 'Cheap'} thing {i}" for i in range(n_products)]
    products["description"] = "a thing"
    return ProductReviews.from_frames(frame, products)


@pytest.fixture
def table() -> ProductReviews:
    """Thirty products, twelve reviews each."""
    return made_up()


def review(product: str, person: str, stars: float = 5.0, **other: object) -> dict[str, object]:
    """One line of the official file, all its fields."""
    return {
        "rating": stars, "title": "Nice", "text": "Works.", "images": [], "asin": product + "x",
        "parent_asin": product, "user_id": person, "timestamp": 1588687728923, "helpful_vote": 0,
        "verified_purchase": True,
    } | other  # fmt: skip


def meta(product: str, **other: object) -> dict[str, object]:
    """One line of the official metadata."""
    return {
        "main_category": "All Beauty", "title": f"Cream {product}", "average_rating": 4.8, "rating_number": 10,
        "features": ["soft"], "description": ["A cream."], "price": None, "images": [], "videos": [], "store": "Shop",
        "categories": [], "details": {"Brand": "Shop"}, "parent_asin": product, "bought_together": None,
    } | other  # fmt: skip


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """Write JSON lines."""

    def write(name: str, rows: list[object]) -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
