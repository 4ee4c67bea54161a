"""Choices of which only some of the options are looked at: given how many of these a ballot took, which.

P(S | |S| = k) = PlackettLuceSet(l, k)(S),    k the ballot's own

A race goes on among some of the runners as if the others were not there, so that the order of these is Plackett-Luce
by their own utilities. That k of them were among the first n is taken as given: it tells how good the others are, and a
crowd that shall say so of projects that were held out must not have been told. (It tells a little of those looked at
as well; that is left unsaid.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .ballot_blender import ChoiceBlender
from .ballot_distribution import BallotDistribution
from .errors import ModelError
from .plackett_luce import PlackettLuceSet


class ShortChoice(BallotDistribution):
    """Any number of M options taken, that number being given by the ballot.

    Parameters
    ----------
    logits
        Utilities, shape `batch_shape x M`.
    """

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> ShortChoice:
        """The same distribution over a larger batch."""
        return ShortChoice(self.logits.expand(*batch_shape, self.n_options))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """There is nothing to draw: how many options are taken is given by the ballot alone."""
        raise ModelError("short ballots are scored, not drawn; draw from PlackettLuceSet, which knows its n.")

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of ballots `(..., M)`, each given how many options it took; 0 of an empty one."""
        shape = torch.broadcast_shapes(self.logits.shape, value.shape)
        logits, taken = self.logits.expand(shape), value.expand(shape)
        size = taken.sum(-1)
        total = torch.zeros_like(size)
        for k in size.unique().tolist():
            if k:
                rows = size == k
                total = total.masked_scatter(rows, PlackettLuceSet(logits[rows], int(k)).log_prob(taken[rows]))
        return total

    def evidence(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Those of `PlackettLuceSet`, ballot by ballot."""
        shape = torch.broadcast_shapes(self.logits.shape, value.shape)
        logits, taken = self.logits.expand(shape), value.expand(shape)
        size = taken.sum(-1)
        gradient, information = torch.zeros_like(logits), torch.zeros_like(logits)
        for k in size.unique().tolist():
            if k:
                rows = size == k
                told = PlackettLuceSet(logits[rows], int(k)).evidence(taken[rows])
                gradient[rows], information[rows] = told
        return gradient, information


class ShortChoiceBlender(ChoiceBlender):
    """Choices of which only some options are looked at, in training."""

    def response_dist(self, location: Tensor, shape: Tensor) -> ShortChoice:
        """Given how many each ballot took."""
        return ShortChoice(location)
