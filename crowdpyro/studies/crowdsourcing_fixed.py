"""A crowd whose members are one person: the paper's "fixed profiles" (its Figure 5).

eps of Eq. 3 is one number for everybody there, hence one profile; here the persistent noise is fixed with it, so that
nothing but the noise of single decisions tells two virtual workers apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ..asking import Asked, covariates_of, people_of
from ..estimator import CrowdLLM
from ..inference.generate import decisions
from ..inference.runtime import seeded
from ..inference.seeds import generator
from ..recruit import recruit
from ..references import References

FloatArray = npt.NDArray[np.float64]


def one_person(model: CrowdLLM, problems: pd.DataFrame, references: References | None, n: int, seed: int) -> FloatArray:
    """Codes of n answers of one recruit to every problem, `(n, n_problems)`."""
    fitted = model._state()
    asked = Asked.of(fitted, problems, *covariates_of(fitted, None, problems, references))
    recruits = recruit(fitted, 1, generator(seed))
    with seeded(seed, model.device), torch.no_grad():
        person = people_of(fitted, recruits)
        everybody = person.people(torch.zeros(n, dtype=torch.long))
        return decisions(fitted.model, asked.view, everybody).cpu().numpy().astype(float)
