"""Who writes and who rates: never the same person, and nothing of the raters is ever read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdpyro import DataError
from crowdpyro.reviews import ProductReviews, Voices, halved, titled, writing_half
from crowdpyro.reviews.problems import ReviewProblems

from .conftest import made_up


class Letters:
    """Embeds a text by how often it has each letter."""

    name, revision = "letters", "1"

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], dtype=float)


@given(st.integers(0, 1000), st.integers(2, 9), st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_no_person_is_on_both_sides_of_a_product(seed: int, per_product: int, halves: int) -> None:
    table = made_up(6, 12, per_product, seed)
    writes = writing_half(table, halves)
    people = table.reviews["participant"]
    for product in table.products.index:
        of = (table.reviews["product"] == product).to_numpy()
        assert not set(people[of & writes]) & set(people[of & ~writes])
        assert (of & writes).sum() == per_product // 2
    for problems in (halved(table, halves), titled(table, halves)):
        met = problems.answers.merge(problems.words, on=["participant", "product"])
        assert met.empty  # nobody is known by a review of a product that they rate
        pairs = problems.answers[["product", "person"]]
        assert not pairs.duplicated().any()  # every review is an answer once
        assert len(pairs) == table.n_reviews


def test_the_order_of_the_halves_depends_on_ids_alone(table: ProductReviews) -> None:
    other = replace(table, reviews=table.reviews.assign(rating=1, text="x", summary=""))
    assert (writing_half(table) == writing_half(other)).all()
    assert (writing_half(table, 0) != writing_half(table, 1)).any()


def seen_by_a_model(problems: ReviewProblems, tested: list[str]) -> list[pd.DataFrame]:
    """All that a method is given of a split: training, and what is told of the products held out."""
    train = problems.asked(set(problems.problems["product"]) - set(tested))
    voices = Voices.fit(train.words, Letters(), 3)
    people = pd.Index(sorted(train.answers["participant"].unique()), name="participant")
    asked = problems.asked(tested, both=False)
    return [train.problems, train.answers, train.words, voices.profiles(train.words, people), asked.problems]


@given(st.integers(0, 500), st.text(max_size=20), st.integers(1, 5))
@settings(max_examples=5, deadline=None)
@pytest.mark.parametrize("tell", [halved, titled])
def test_nothing_that_the_raters_of_a_held_out_product_wrote_or_gave_is_seen(
    tell: type, seed: int, text: str, stars: int
) -> None:
    table = made_up(8, 20, 6, seed)
    tested = ["p00", "p03"]
    rates = ~writing_half(table) if tell is halved else np.ones(table.n_reviews, dtype=bool)
    hidden = table.reviews["product"].isin(tested).to_numpy() & rates
    reviews = table.reviews.copy()
    reviews.loc[hidden, ["summary", "text"]] = text
    reviews.loc[hidden, "rating"] = stars
    changed = replace(table, reviews=reviews)
    for before, after in zip(seen_by_a_model(tell(table), tested), seen_by_a_model(tell(changed), tested), strict=True):
        pd.testing.assert_frame_equal(before, after)
    gold = tell(changed).asked(tested, both=False).data().counts()
    assert (gold.argmax(axis=1) == stars - 1).all()  # the change is there, where it belongs


def test_profiles_are_of_training_products_and_the_silent_stand_at_the_mean(table: ProductReviews) -> None:
    problems = halved(table)
    words = problems.words
    voices = Voices.fit(words, Letters(), 3)
    people = pd.Index(["u00", "nobody"], name="participant")
    profiles = voices.profiles(words, people)
    assert profiles.loc["nobody"].tolist()[:2] == ["silent", "none"]
    assert (profiles.filter(like="voice_").loc["nobody"] == 0).all()
    lines = list(words.loc[words["participant"] == "u00", "line"])
    mean = voices.components.transform(lines).mean(axis=0)
    np.testing.assert_allclose(profiles.filter(like="voice_").loc["u00"].to_numpy(float), mean, rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match="no line"):
        Voices.fit(words.iloc[:0], Letters())


def test_own_words_are_those_of_the_very_answers(table: ProductReviews) -> None:
    problems = halved(table)
    met = problems.answers.merge(problems.own_words(), on=["participant", "product"])
    assert len(met) == len(problems.answers)


def test_writers_counts_are_of_those_whose_words_tell_the_problem(table: ProductReviews) -> None:
    problems = halved(table)
    stars = problems.writers_counts()
    writes = writing_half(table)
    for name, direction in (("p03", False), ("p03 turned", True)):
        of = (table.reviews["product"] == "p03") & (writes ^ direction)
        given = np.bincount(table.reviews.loc[of, "rating"] - 1, minlength=5)
        assert stars.loc[name].tolist() == given.tolist()
    with pytest.raises(DataError, match="no writers"):
        titled(table).writers_counts()


def test_what_cannot_be_told_is_named(table: ProductReviews) -> None:
    lone = ProductReviews.from_frames(pd.DataFrame({"product": ["a"], "participant": ["u"], "rating": [5]}))
    with pytest.raises(DataError, match="one reviewer"):
        halved(lone)
    with pytest.raises(DataError, match="has no title"):
        titled(lone)
    with pytest.raises(DataError, match="none of 1 is among 30"):
        halved(table).asked(["p99"])


def test_a_review_without_words_is_a_line_all_the_same() -> None:
    frame = pd.DataFrame({"product": "a", "participant": ["u", "v", "w"], "rating": 5, "summary": ["", "Good!", ""]})
    frame["text"] = ["", "a\nb", "x" * 300]
    lines = set(halved(ProductReviews.from_frames(frame)).words["line"])
    assert lines == {"- (no words)", "- Good. a b", "- " + "x" * 100}
