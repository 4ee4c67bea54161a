"""From reviews to what a crowd is asked: problems, who answered them, and in whose words people are known.

Every review is by turns an answer and a text, and a participant never reads their own: a person stands in the tables
twice, once a direction d. With W_d the reviews of the half that writes (d = 0) or of the other half (d = 1),

    problem (product, d)      told by the reviews in W_d of the product
    participant (person, d)   answers the problems whose reviews of theirs are not in W_d,
                              known by their reviews in W_d: none of them is of a problem that they answer

A text reveals its own stars; so paired, it is always a text about another product. Training takes both directions, a
test product is asked in direction 0 alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data import CrowdData
from ..errors import DataError
from .halves import BoolArray, writing_half
from .table import STARS, ProductReviews

# What is read of one review: its summary and the beginning of its text. By cross-validation on development products of
# `musical_instruments_2014`, a ridge on mean embeddings of 100 characters errs by .292 of a star, of 300 by .293, of
# summaries alone by .299, and the training mean by .301.
CHARACTERS = 100
# Reviews that are shown to an LLM, whose context is short.
SHOWN = 10
# What marks the ids of direction 1.
TURNED = " turned"


@dataclass(frozen=True, eq=False)
class ReviewProblems:
    """What a crowd is asked, and what people answered.

    Attributes
    ----------
    problems
        Index `problem`; columns `product`, `direction`, `text` (all that is known of the product) and `shown` (what an
        LLM is shown of it).
    answers
        Columns `problem, participant, response, product, person`.
    words
        Columns `participant, product, line`: in whose words each participant may be known.
    """

    problems: pd.DataFrame
    answers: pd.DataFrame
    words: pd.DataFrame

    def asked(self, products: Collection[object], *, both: bool = True) -> ReviewProblems:
        """What concerns these products alone, in both directions or in direction 0.

        Raises
        ------
        DataError
            When none of the products is there.
        """
        kept = self.problems["product"].isin(list(products))
        if not both:
            kept &= self.problems["direction"] == 0
        problems = self.problems[kept]
        if not len(problems):
            raise DataError(f"products: none of {len(products)} is among {self.problems['product'].nunique()}.")
        answers = self.answers[self.answers["problem"].isin(problems.index)]
        words = self.words[self.words["product"].isin(list(products))]
        return ReviewProblems(problems, answers.reset_index(drop=True), words.reset_index(drop=True))

    def own_words(self) -> pd.DataFrame:
        """`words` of the very reviews that each participant's answers are from: what the paper knows people by.

        They reveal those answers, and the other half's words with them; only for showing what comes of it.
        """
        name = self.words["participant"].astype(str)
        turned = name.str.endswith(TURNED)
        return self.words.assign(participant=name.str.removesuffix(TURNED).where(turned, name + TURNED))

    def writers_counts(self) -> pd.DataFrame:
        """Stars that those whose words tell a problem gave it, one row a problem, columns 1 to 5.

        Raises
        ------
        DataError
            When products are told by a title, which has no writers.
        """
        mirror = _name(self.problems["product"], 1 - self.problems["direction"])
        if not mirror.isin(self.problems.index).all():
            raise DataError("products told by a title have no writers; halved() makes those that have.")
        stars = pd.crosstab(self.answers["problem"], self.answers["response"])
        return stars.reindex(mirror, columns=STARS.values.astype(int), fill_value=0).set_axis(self.problems.index)

    def data(self, profiles: pd.DataFrame | None = None) -> CrowdData:
        """The answers, of participants with these profiles.

        Raises
        ------
        DataError
            When a profile is not as `CrowdData` takes it.
        """
        people = pd.Index(sorted(self.answers["participant"].unique()), name="participant")
        frame = pd.DataFrame(index=people) if profiles is None else profiles.loc[people]
        columns = ["problem", "participant", "response"]
        return CrowdData.from_frames(
            self.answers[columns], self.problems.reset_index(), frame.reset_index(), scale=STARS
        )


def halved(table: ProductReviews, seed: int = 0) -> ReviewProblems:
    """Products told by what half of their reviewers wrote.

    Parameters
    ----------
    table
        Reviews with texts.
    seed
        Of the halves.

    Returns
    -------
    ReviewProblems
        Two problems a product, one for each half.

    Raises
    ------
    DataError
        When a product has one reviewer.
    """
    lone = table.counts().sum(axis=1) < 2
    if lone.any():
        raise DataError(
            f"product {table.products.index[lone][0]!r} ({int(lone.sum())} such) has one reviewer, and one cannot both "
            "write and rate; filter by reviewed_by(2)."
        )
    lines, writes = _lines(table.reviews), writing_half(table, seed)
    problems = []
    for direction in (0, 1):
        told = lines[writes ^ bool(direction)].groupby(table.reviews["product"])
        frame = pd.DataFrame({"text": told.agg("\n".join), "shown": told.agg(lambda each: "\n".join(each[:SHOWN]))})
        problems.append(frame.rename_axis("product").reset_index().assign(direction=direction))
    frame = pd.concat(problems, ignore_index=True)
    frame.index = pd.Index(_name(frame["product"], frame["direction"]), name="problem")
    return ReviewProblems(frame, *_people(table, lines, writes, turned=True))


def titled(table: ProductReviews, seed: int = 0) -> ReviewProblems:
    """Products told by title and description; halves decide only in whose words people are known.

    Parameters
    ----------
    table
        Reviews of products that all have a title.
    seed
        Of the halves, as in `halved`.

    Returns
    -------
    ReviewProblems
        One problem a product.

    Raises
    ------
    DataError
        When a product has no title, naming it.
    """
    nameless = table.products["title"] == ""
    if nameless.any():
        raise DataError(
            f"product {table.products.index[nameless][0]!r} ({int(nameless.sum())} such) has no title; tell products "
            "by halved() instead."
        )
    text = (table.products["title"] + "\n" + table.products["description"]).str.strip()
    frame = pd.DataFrame({"product": text.index, "direction": 0, "text": text, "shown": table.products["title"]})
    frame.index = pd.Index(text.index, name="problem")
    lines, writes = _lines(table.reviews), writing_half(table, seed)
    return ReviewProblems(frame, *_people(table, lines, writes, turned=False))


def _people(
    table: ProductReviews, lines: pd.Series, writes: BoolArray, *, turned: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers and words of participants in both directions; with `turned`, problems have directions as well."""
    answers, words = [], []
    for direction in (0, 1):
        wrote = writes ^ bool(direction)
        reviews = table.reviews.assign(line=lines)
        reviews["person"] = reviews["participant"]
        reviews["participant"] = _name(reviews["participant"], direction)
        reviews["problem"] = _name(reviews["product"], direction) if turned else reviews["product"]
        reviews["response"] = reviews["rating"]
        answers.append(reviews.loc[~wrote, ["problem", "participant", "response", "product", "person"]])
        words.append(reviews.loc[wrote, ["participant", "product", "line"]])
    return pd.concat(answers, ignore_index=True), pd.concat(words, ignore_index=True)


def _name(ids: pd.Series, direction: pd.Series | int) -> pd.Series:
    """Ids of direction 1 are marked."""
    turned = np.broadcast_to(np.asarray(direction) == 1, ids.shape)
    return pd.Series(np.where(turned, ids.astype(str) + TURNED, ids.astype(str)), index=ids.index, dtype=object)


def _lines(reviews: pd.DataFrame) -> pd.Series:
    """One line a review."""
    text = reviews["text"].str.slice(0, CHARACTERS).str.strip()
    line = (reviews["summary"].str.rstrip(".!") + ". " + text).str.replace(r"\s+", " ", regex=True).str.strip(". ")
    return "- " + line.where(line != "", "(no words)")
