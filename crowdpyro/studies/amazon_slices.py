"""The two stand-ins for the paper's slices of Amazon Reviews 2023, and who is tested on what.

musical_instruments_2014   317 products without titles, told by half of their reviewers, rated by the other half. A
                           quarter, the development products, were what every choice was made on and are never tested; a
                           fifth of all products, drawn by the seed from the others, are.
electronics_datafiniti     24 products with titles; each is left out in turn, and the seed is the fit's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data import CrowdData
from ..inference.seeds import generator
from ..references import References
from ..reviews.problems import ReviewProblems, halved, titled
from ..reviews.stand_ins import load_electronics, load_musical_instruments
from ..reviews.voices import Voices
from ..text import load_encoder
from .amazon_references import embedded_answers

MUSIC, ELECTRONICS = "musical_instruments_2014", "electronics_datafiniti"
ENCODER = "minilm"
_DEVELOPMENT, _TEST = 0.25, 0.2
_N_PERSONAS = 4

Answering = Callable[[pd.Series, dict[str, str] | None], References]


@dataclass(eq=False)
class Slice:
    """One stand-in.

    Attributes
    ----------
    name
        Of the protocol.
    problems
        Of all products.
    development
        Products that are never tested.
    personas
        Whom the LLM plays, by name.
    leave_one_out
        Whether each product is a test of its own; else a fifth of them, by the seed.
    answering
        From what is shown to the LLM's answers.
    """

    name: str
    problems: ReviewProblems
    development: frozenset[str]
    personas: dict[str, str]
    leave_one_out: bool = False
    answering: Answering = embedded_answers

    @cached_property
    def references(self) -> References:
        """The LLM's answers to all problems, without a persona."""
        return self.answering(self.problems.problems["shown"], None)

    @cached_property
    def persona_references(self) -> References:
        """Its answers to the problems that are tested, under each persona."""
        frame = self.problems.problems
        tested = (frame["direction"] == 0) & ~frame["product"].isin(self.development)
        return self.answering(frame.loc[tested, "shown"], self.personas)

    def trials(self, seed: int) -> list[Trial]:
        """Splits of this seed: one, or one a product."""
        products = np.array(sorted(self.problems.problems["product"].unique()), dtype=object)
        if self.leave_one_out:
            return [Trial(self, (product,), seed) for product in products]
        free = np.array([product for product in products if product not in self.development], dtype=object)
        n_test = max(round(_TEST * len(products)), 1)
        return [Trial(self, tuple(sorted(generator(seed).permutation(free)[:n_test])), seed)]


@dataclass(eq=False)
class Trial:
    """One split of the products.

    Attributes
    ----------
    slice
        Where they are from.
    tested
        Products held out.
    seed
        Of everything random.
    """

    slice: Slice
    tested: tuple[str, ...]
    seed: int
    _data: dict[str, tuple[CrowdData, pd.DataFrame]] = field(default_factory=dict)

    @cached_property
    def train(self) -> ReviewProblems:
        """All that training may see: reviews of other products."""
        return self.slice.problems.asked(set(self.slice.problems.problems["product"]) - set(self.tested))

    @cached_property
    def test(self) -> CrowdData:
        """The stars that the other half gave the products held out; nobody's words."""
        return self.slice.problems.asked(self.tested, both=False).data()

    @property
    def asked(self) -> pd.DataFrame:
        """The problems held out."""
        return self.test.problems

    def people(self, own: bool = False) -> tuple[CrowdData, pd.DataFrame]:
        """Training answers with profiles, and the profiles; with `own`, of each one's reviews of the very products."""
        key = "own" if own else "other"
        if key not in self._data:
            words = self.train.own_words() if own else self.train.words
            who = pd.Index(sorted(self.train.answers["participant"].unique()), name="participant")
            profiles = Voices.fit(words, load_encoder(ENCODER)).profiles(words, who)
            self._data[key] = self.train.data(profiles), profiles
        return self._data[key]

    def references(self) -> tuple[References, References]:
        """The LLM's answers of training and of the products held out."""
        every = self.slice.references
        return every.select(self.train.problems.index), every.select(self.asked.index)

    def writers(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Stars given by the half that writes, of training and of tested problems, shape `(n_problems, 5)`."""
        problems = self.slice.problems
        stars = problems.writers_counts()
        return (
            stars.loc[self.train.problems.index].to_numpy(dtype=float),
            stars.loc[self.asked.index].to_numpy(dtype=float),
        )


def load_slices(folder: Path | None = None) -> dict[str, Slice]:
    """Both stand-ins."""
    music = halved(load_musical_instruments(folder))
    development = development_products(music.problems["product"])
    personas = personas_of(music.asked(development).words)
    return {
        MUSIC: Slice(MUSIC, music, development, personas),
        ELECTRONICS: Slice(ELECTRONICS, titled(load_electronics(folder)), frozenset(), personas, leave_one_out=True),
    }


def development_products(products: pd.Series) -> frozenset[str]:
    """A quarter of the products, whatever their order: those that every choice was made on."""

    def digest(product: object) -> bytes:
        return blake2b(f"development\0{product}".encode(), digest_size=8).digest()

    return frozenset(sorted(products.unique(), key=digest)[: int(_DEVELOPMENT * products.nunique())])


def personas_of(words: pd.DataFrame, n: int = _N_PERSONAS) -> dict[str, str]:
    """Some reviewers, each in the words of one review of theirs: the paper's personas of this case study."""
    lines = _by_digest(words["line"].unique())[:n]
    return {
        f"reviewer {place}": f"You are a customer. Of another product you wrote: {line.removeprefix('- ')}"
        for place, line in enumerate(lines, 1)
    }


def _by_digest(texts: npt.ArrayLike) -> list[str]:
    return sorted(np.asarray(texts, dtype=object).tolist(), key=lambda each: blake2b(str(each).encode()).digest())
