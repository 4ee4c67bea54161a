"""What a fitted `CrowdLLM` knows: its model and guide, the people and problems of training, and how the fit went."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import ModelError
from .fitted import Fitted
from .inference.history import FitHistory
from .models.scales import Scale


class WhatWasFitted:
    """Read access to a fit; a `ModelError` before there is one."""

    _fitted: Fitted | None

    def _state(self) -> Fitted:
        if self._fitted is None:
            raise ModelError("this CrowdLLM is not fitted; call fit first.")
        return self._fitted

    @property
    def model(self) -> Any:
        """The fitted `JointModel`."""
        return self._state().model

    @property
    def guide(self) -> Any:
        """Its guide."""
        return self._state().guide

    @property
    def history(self) -> FitHistory:
        """What the fit went through."""
        return self._state().history

    @property
    def made_from(self) -> dict[str, str]:
        """Settings as they are written, and digests of the tables that it was fitted to."""
        return self._state().made_from

    @property
    def profiles(self) -> pd.DataFrame:
        """The people of training, whom crowds are recruited from."""
        return self._state().profiles

    @property
    def weights(self) -> npt.NDArray[np.float64] | None:
        """Their survey weights, of mean 1, by which they are recruited; None where all count alike."""
        return self._state().weights

    @property
    def problems(self) -> pd.DataFrame:
        """The problems of training."""
        return self._state().problems

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the LLMs whose references it reads; none without an LLM."""
        return self._state().features.sources

    def unknown(self, problems: pd.DataFrame) -> pd.Index:
        """Those of these problems that are not of training, and need references where the model reads any."""
        return problems.index[self._state().rows(problems) < 0]

    @property
    def scale(self) -> Scale:
        """What an answer may be."""
        return self._state().scale
