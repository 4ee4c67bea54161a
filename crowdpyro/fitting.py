"""From people's answers and the LLM's to a fitted model: what `CrowdLLM.fit` does once its arguments are checked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .checkpoint import Checkpoint, fingerprint
from .config import CrowdConfig
from .data import CrowdData
from .errors import DataError
from .features import ProblemFeatures
from .fitted import Fitted, build
from .parts import Parts
from .profiles import ProfileEncoder
from .references import References
from .twins import all_known, has_twins, told_by_twins

if TYPE_CHECKING:
    import pandas as pd

    from .llm.backbone import Backbone
    from .models.scales import Scale

logger = logging.getLogger(__name__)

Report: TypeAlias = Callable[[int, float], None]


def referred(
    backbone: Backbone | None, references: References | None, problems: pd.DataFrame, scale: Scale
) -> References | None:
    """References of these problems without a gap; a backbone may have been told to drop some."""
    if references is None and backbone is not None:
        references = backbone.refer(problems, scale)
        problems = problems[problems.index.isin(references.problems)]
    if references is None:
        return None
    if references.scale != scale:
        raise DataError(f"references are on {references.scale}, the answers on {scale}; put them on one scale.")
    return references.select(problems.index).fill("error")


def fit_model(
    config: CrowdConfig,
    parts: Parts,
    data: CrowdData,
    references: References | None,
    *,
    seed: int,
    device: str,
    checkpoint: Checkpoint | str | Path | None = None,
    progress: bool | None = None,
) -> Fitted:
    """Fit a model of these settings and parts.

    Parameters
    ----------
    config, parts
        Of the model.
    data
        People's answers; those to problems without a reference are left out.
    references
        As `referred` returns them.
    seed, device, checkpoint, progress
        As in `CrowdLLM`.
    """
    from .inference.holdout import hold_out
    from .inference.runtime import seeded
    from .inference.training import fit

    if references is not None and len(references.problems) < data.n_problems:
        n_dropped = data.n_problems - len(references.problems)
        logger.warning("fit: the backbone dropped %d of %d problems, answers and all", n_dropped, data.n_problems)
        data = data.select(problems=references.problems)
        if data.n_answers == 0:
            raise DataError("data has no answers to problems with a reference; take another policy than 'drop'.")
    keeper = Checkpoint(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint
    made_from = fingerprint(data, references, config, seed, device) | parts.names()
    if keeper is not None:
        keeper.made_from = made_from
    features = ProblemFeatures.fit(data.problems, references, _text_components(config), data.scale, data.response)
    profiles = data.participants if config.use_profile else data.participants.iloc[:, :0]
    encoder = ProfileEncoder.fit(profiles)
    covariates, reference = features.transform(data.problems, references)
    twins = None
    if references is not None and has_twins(references):
        twins = told_by_twins(references, data.participants.index, data.problems.index, data.scale)
        all_known(twins, data.participants.index, data.problems.index, data.answered())
    with seeded(seed, device):
        fitted = build(data, features, encoder, profiles, covariates, reference, config, parts)
        fitted.made_from, fitted.twins = made_from, twins
        fitted.to(device)
        all_meetings = getattr(fitted.model, "learns_participation", False)
        batch = fitted.batch(data, covariates, reference, all_meetings, twins).to(device)
        train, valid = hold_out(batch, config.holdout, config.holdout_size, seed)
        with (
            _bar(progress, config.training.epochs) as report,
            nullcontext() if keeper is None else keeper.interruptible(),
        ):
            fitted.history = fit(
                fitted.model,
                fitted.guide,
                train,
                valid,
                batch,
                config.training,
                seed=seed,
                report=report,
                keeper=keeper,
                objective=parts.objective,
            )
    logger.info("fit: %d epochs, kept number %d", len(fitted.history.loss), fitted.history.best_epoch)
    return fitted


def _text_components(config: CrowdConfig) -> Any:
    if not config.n_components:
        return None
    from .text import TextComponents, load_encoder

    return TextComponents(load_encoder(config.text_encoder), config.n_components)


@contextmanager
def _bar(progress: bool | None, epochs: int) -> Iterator[Report | None]:
    """What to call after every epoch, with a progress bar behind it where there is a terminal."""
    if not (sys.stderr.isatty() if progress is None else progress):
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=epochs, desc="fit", unit="epoch", leave=False) as bar:

        def report(epoch: int, loss: float) -> None:
            bar.update(epoch + 1 - bar.n)
            bar.set_postfix(loss=f"{loss:.4f}")

        yield report
