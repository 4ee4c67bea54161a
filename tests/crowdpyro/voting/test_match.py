"""Matches and attributes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdpyro import DataError
from crowdpyro.voting.match import AttributeEncoder, Match, MatchEncoder

VOTERS = pd.DataFrame({"home": ["n", "s", "s"], "green": [0.8, 0.3, 0.1], "cares": [1.0, 3.0, 5.0]})
PROJECTS = pd.DataFrame({"place": ["s", "n"], "topic": ["park", "road"], "cost": [2.0, 6.0]}, index=["a", "b"])


def test_kinds_of_matches():
    np.testing.assert_array_equal(Match("home", "place").of(VOTERS, PROJECTS), [[0, 1], [1, 0], [1, 0]])
    np.testing.assert_array_equal(Match("cares", "cost").of(VOTERS, PROJECTS), [[2, 6], [6, 18], [10, 30]])
    found = Match({"park": "green"}, "topic").of(VOTERS, PROJECTS)
    np.testing.assert_array_equal(found, [[0.8, 0], [0.3, 0], [0.1, 0]])
    assert Match("home", "place", times="cares").name == "home ~ place x cares"
    assert Match({"park": "green"}, "topic").name == "green ~ topic"


def test_matches_are_standardised_over_the_pairs_of_training():
    matches = (Match("home", "place", times="cares"), Match("cares", "cost"))
    encoder = MatchEncoder.fit(matches, VOTERS, PROJECTS)
    found = encoder.transform(VOTERS, PROJECTS)
    assert found.shape == (3, 2, 2)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=(0, 1)), 1)
    # Of the first voter alone: home is that of b, and cares is 2 below the mean.
    raw = np.array([[0.0, -2.0]])
    np.testing.assert_allclose(
        encoder.transform(VOTERS[:1], PROJECTS)[..., 0], (raw - encoder.centres[0]) / encoder.scales[0]
    )


def test_attributes_have_unit_norm_and_new_levels_are_none_of_the_known():
    encoder = AttributeEncoder.fit(("topic", "cost"), PROJECTS)
    found = encoder.transform(PROJECTS)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(np.square(found).sum(axis=1).mean(), 1)
    new = encoder.transform(pd.DataFrame({"topic": ["pool"], "cost": [4.0]}))
    np.testing.assert_allclose(new, np.array([[-1.0, -1.0, 0.0]]) / np.sqrt(3))
    constant = AttributeEncoder.fit(("cost",), PROJECTS.assign(cost=3.0))
    np.testing.assert_array_equal(constant.transform(PROJECTS), np.zeros((2, 1)))
    assert AttributeEncoder.fit((), PROJECTS).transform(PROJECTS).shape == (2, 0)


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match="'place'"):
        Match("home", "place").of(VOTERS, PROJECTS[["topic"]])
    with pytest.raises(DataError, match="'home'"):
        Match("home", "place").of(VOTERS[["cares"]], PROJECTS)
    with pytest.raises(DataError, match=r"column 'home' holds 'n' \(3 such rows\), which is no number; code it"):
        Match("home", "cost").of(VOTERS, PROJECTS)
    with pytest.raises(DataError, match="column 'cares'"):
        MatchEncoder.fit((Match("home", "place", times="cares"),), VOTERS.assign(cares=np.nan), PROJECTS)
