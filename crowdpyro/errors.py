"""The exceptions of crowdpyro, re-exported from `crowdpyro.models.errors`."""

from .models.errors import CrowdPyroError, DataError, MissingReferenceError, ModelError

__all__ = ["CrowdPyroError", "DataError", "MissingReferenceError", "ModelError"]
