"""Half of a product's reviewers tell what the product is, the other half is the crowd: never the same person.

Reviewers are ordered by a digest of product and person; the first half writes, the other rates. The order depends on
nothing that they wrote or rated, so that it can tell nothing of it.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pandas as pd

from .table import ProductReviews

BoolArray = npt.NDArray[np.bool_]


def writing_half(table: ProductReviews, seed: int = 0) -> BoolArray:
    """Which reviews are of the half that writes: of a product's n reviewers floor(n / 2).

    Parameters
    ----------
    table
        Reviews of products.
    seed
        Of the split; a reviewer's half of a product depends on nothing else, so that more reviews move few of them.

    Returns
    -------
    boolean array, shape (n_reviews,)
    """
    reviews = table.reviews
    digests = [
        blake2b(f"{seed}\0{product}\0{person}".encode(), digest_size=8).hexdigest()
        for product, person in zip(reviews["product"], reviews["participant"], strict=True)
    ]
    by_product = pd.Series(digests, index=reviews.index).groupby(reviews["product"])
    place = by_product.rank(method="first").to_numpy()
    size = by_product.transform("size").to_numpy()
    return np.asarray(place <= size // 2)
