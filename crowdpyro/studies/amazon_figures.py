"""Figures 6 and 7 of the paper for our slices: the stars of three products, of people and of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .rows import Rows
    from .study import Pictures

FloatArray = npt.NDArray[np.float64]

# Of seed 0, its first products by id, which no result decides.
SHOWN_SEED, N_SHOWN = 0, 3
SHARE, PEOPLE = "star_share", "people_star_share"
# Read on white and on near-black, and told apart with every common colour blindness (after Okabe and Ito).
_METHODS = {
    "crowdllm": ("crowdpyro", "#2f8fd0"),
    "vae": ("VAE, Eq. 4", "#d55e00"),
    "llm_zero_shot": ("LLM, zero-shot", "#e69f00"),
    "llm_multi_persona": ("LLM, four reviewers", "#00a078"),
    "training_marginal": ("training marginal", "#b0a040"),
}
_PEOPLE = "#808080"


def add_histograms(rows: Rows, shares: FloatArray, truth: FloatArray, products: Sequence[str]) -> None:
    """Rows from which the pictures are drawn: the stars of the first products, predicted and given."""
    human = truth / truth.sum(axis=1, keepdims=True)
    for product in sorted(products)[:N_SHOWN]:
        place = products.index(product)
        for star in range(shares.shape[1]):
            rows.add(SHARE, shares[place, star], f"{product}.{star + 1}")
            rows.add(PEOPLE, human[place, star], f"{product}.{star + 1}")


def figures(frame: pd.DataFrame) -> Pictures:
    """One picture a protocol whose cells of seed 0 are there."""
    found: Pictures = []
    rows = frame[(frame["seed"] == SHOWN_SEED) & frame["metric"].isin([SHARE, PEOPLE])]
    place = rows["aggregator"].str.rsplit(".", n=1)
    rows = rows.assign(product=place.str[0], star=place.str[-1].astype(int))
    for protocol, part in rows.groupby("protocol", sort=False):
        people = part[part["metric"] == PEOPLE].drop_duplicates(["product", "star"])
        predicted = part[(part["metric"] == SHARE) & part["method"].isin(list(_METHODS))]
        if predicted.empty:
            continue
        sentence = (
            "Shares of the stars of three products that were held out, of their own raters and as each method foretells"
            " them: the paper's Figures 6 and 7, of other products."
        )
        by_method = {str(name): _table(some) for name, some in predicted.groupby("method", sort=False)}
        found.append((f"Stars of three products: {protocol}", sentence, star_histograms(_table(people), by_method)))
    return found


def star_histograms(people: pd.DataFrame, methods: Mapping[str, pd.DataFrame]) -> Figure:
    """Bars of people's stars, and a marked line a method, one panel a product.

    Parameters
    ----------
    people
        Shares, one row a product, one column a star.
    methods
        Likewise of each method, by its name in the study.
    """
    from matplotlib.figure import Figure

    if not len(people):
        raise DataError("people has no product; give at least one.")
    figure = Figure(figsize=(3.1 * len(people), 3.1), layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, len(people), sharey=True, squeeze=False)[0])
    stars = people.columns.to_numpy(dtype=int)
    known = [name for name in _METHODS if name in methods]
    tables = {name: methods[name].loc[people.index].to_numpy(dtype=float) for name in known}
    for row, (panel, product) in enumerate(zip(panels, people.index, strict=True)):
        panel.bar(stars, people.to_numpy(dtype=float)[row], color=_PEOPLE, alpha=0.45, label="people")
        for place, name in enumerate(known):
            title, colour = _METHODS[name]
            # Side by side: two methods that agree would hide one another.
            beside = stars + 0.09 * (place - (len(known) - 1) / 2)
            panel.plot(beside, tables[name][row], "o-", color=colour, label=title, markersize=4, lw=1)
        panel.set_title(str(product), fontsize="small")
        panel.set_xticks(stars)
        panel.set_xlabel("stars")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share of ratings")
    panels[0].set_ylim(0, 1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a product, one column a star."""
    return rows.pivot_table(index="product", columns="star", values="value", sort=True)
