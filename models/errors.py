"""The exceptions of crowdpyro.

Every message names the column or argument, the bad value and the remedy. They live on the lowest
floor of the package so that every room can raise them, and are re-exported as `crowdpyro.DataError`
and so on.
"""

from __future__ import annotations


class CrowdPyroError(Exception):
    """Base of every error that crowdpyro raises on purpose."""


class DataError(CrowdPyroError, ValueError):
    """A table, scale, profile or option is not what it must be."""


class ModelError(CrowdPyroError, ValueError):
    """A model, guide, objective or saved folder does not fit what is asked of it."""


class MissingReferenceError(CrowdPyroError, LookupError):
    """A problem has no reference answer, and none was asked to stand in for it."""
