"""How many dimensions people's noise shall have: by the joint log score of people who were not fitted to.

score(k) = (1/A) sum over folds f, people i of f:  log int prod_t F(y_it | eps_i, v_i; theta_k) p(eps_i) d eps_i

theta_k is fitted without fold f. A score of single answers cannot see how a person's answers hang together, and would
choose 0. The integral is by importance sampling (`inference.condition`): draws of the prior alone, 256 of them, are
.009 nats an answer too low with five dimensions and .023 with eight, on 25 items, and would choose too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .data import CrowdData
from .errors import DataError
from .estimator import CrowdLLM
from .references import References


@dataclass(frozen=True)
class Dimensions:
    """Cross-validated scores of candidates.

    Attributes
    ----------
    table
        Indexed by `n_eps`: `joint` and `single` log score, nats per answer; `difference` of the joint one from the best
        and `se` of that, over folds.
    best
        The highest joint score.
    smallest
        The smallest dimension that is within one standard error of the best.
    """

    table: pd.DataFrame
    best: int
    smallest: int


def choose_n_eps(
    model: CrowdLLM,
    data: CrowdData,
    references: References | None = None,
    candidates: Sequence[int] = (0, 1, 2, 3, 5, 8),
    *,
    k: int = 3,
    n_draws: int = 1024,
    seed: int = 0,
) -> Dimensions:
    """Score dimensions of people's noise by cross-validation over people.

    Parameters
    ----------
    model
        Its settings and parts are fitted, `len(candidates) * k` times; it is left as it is.
    data, references
        As in `CrowdLLM.fit`.
    candidates
        Values of `n_eps`.
    k
        Folds of people.
    n_draws
        Draws of each person's eps.
    seed
        Of folds, fits and draws.

    Returns
    -------
    Dimensions
        Joint and single log score of every candidate, nats an answer; the best, and the smallest within one standard
        error of it.

    Raises
    ------
    DataError
        When there are no candidates, one repeats, or one is negative.
    ModelError
        As `CrowdLLM.fit`, and for a model whose latents are not eps alone.

    References
    ----------
    M. Stone (1974), Cross-validatory choice and assessment of statistical predictions, Journal of the Royal Statistical
    Society B 36; one standard error: L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone (1984), Classification and
    regression trees.
    """
    from .inference.conditioning import condition

    if not candidates or min(candidates) < 0 or len(set(candidates)) < len(candidates):
        raise DataError(f"candidates={candidates!r}: give different dimensions of at least 0.")
    folds = data.folds("participant", k, seed)
    joint, single = np.empty((len(candidates), k)), np.empty((len(candidates), k))
    for row, n_eps in enumerate(candidates):
        for column, (train, test) in enumerate(folds):
            each = CrowdLLM(replace(model.config, n_eps=n_eps), backbone=model.backbone, device=model.device)
            each.parts, each.progress = model.parts, model.progress
            each.fit(train, references, seed=seed)
            draws = condition(each.model, each.guide, each.batch(test, references), n_draws=n_draws, seed=seed)
            joint[row, column] = float(draws.log_evidence.sum()) / test.n_answers
            single[row, column] = each.log_score(test, references, seed=seed).single
    # Folds are as good as equally large, and what they differ in is common to all candidates.
    mean = joint.mean(axis=1)
    best = int(mean.argmax())
    against = joint - joint[best]
    se = against.std(axis=1, ddof=1) / np.sqrt(k)
    table = pd.DataFrame(
        {"joint": mean, "single": single.mean(axis=1), "difference": against.mean(axis=1), "se": se},
        index=pd.Index(candidates, name="n_eps"),
    )
    enough = np.asarray(candidates)[(table["difference"] >= -table["se"]).to_numpy()]
    return Dimensions(table, int(candidates[best]), int(enough.min()))
