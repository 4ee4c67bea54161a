from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from crowdpyro.errors import DataError
from crowdpyro.llm.position_bias import Permutations, averaged, presentations

LABELS = ("red", "green", "blue", "grey")


def planted(utility: np.ndarray, bias: np.ndarray, permutations: Permutations, letters: bool = False) -> np.ndarray:
    """What an LLM with a bias for places says, averaged over orders."""
    rows = [
        order.by_option(log_softmax(utility[list(order.places)] + bias))
        for order in presentations(LABELS, permutations, letters=letters)
    ]
    return averaged(np.stack(rows))


@pytest.mark.parametrize("permutations", ["cyclic", "all"])
@pytest.mark.parametrize("letters", [False, True])
def test_any_bias_of_places_is_removed_exactly(permutations: Permutations, letters: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        utility, bias = rng.normal(size=(2, 4), scale=3)
        np.testing.assert_allclose(planted(utility, bias, permutations, letters), log_softmax(utility), atol=1e-12)
        assert np.abs(planted(utility, bias, "none") - log_softmax(utility)).max() > 0.1


def test_two_orders_remove_a_linear_bias_and_no_other() -> None:
    utility = np.array([0.3, -1.0, 0.5, 2.0])
    np.testing.assert_allclose(planted(utility, 0.7 * np.arange(4.0), "reversed"), log_softmax(utility), atol=1e-12)
    assert np.abs(planted(utility, np.array([1.0, 0, 0, 1]), "reversed") - log_softmax(utility)).max() > 0.1


def test_every_option_stands_equally_often_at_every_place() -> None:
    for permutations, n in (("cyclic", 4), ("all", 24)):
        places = np.array([order.places for order in presentations(LABELS, permutations)])
        assert len(places) == n
        for column in places.T:
            np.testing.assert_array_equal(np.bincount(column, minlength=4), n // 4)


def test_letters_stand_for_options_in_the_order_shown() -> None:
    straight, other = presentations(LABELS, "reversed", letters=True)
    assert straight.line == "Choose one letter: A) red  B) green  C) blue  D) grey."
    assert other.line == "Choose one letter: A) grey  B) blue  C) green  D) red."
    assert other.answers == ("A", "B", "C", "D")
    np.testing.assert_array_equal(other.by_option(np.array([1.0, 2, 3, 4])), [4, 3, 2, 1])


def test_an_order_without_any_probability_is_missing() -> None:
    assert np.isnan(averaged(np.array([[0.0, -1.0], [-np.inf, -np.inf]]))).all()


@pytest.mark.parametrize(
    ("labels", "how", "message"),
    [
        (LABELS, {"permutations": "some"}, "permutations='some'"),
        (tuple("abcdef"), {"permutations": "all"}, "'cyclic'"),
        (tuple(map(str, range(27))), {"letters": True}, "26 letters"),
    ],
)
def test_orders_that_cannot_be_shown(labels: tuple[str, ...], how: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        presentations(labels, **how)
