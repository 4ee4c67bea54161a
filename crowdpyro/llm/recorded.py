"""A backbone that has answered already: a table of what one LLM or several said, and a policy for what they did not.

Nothing is asked and nothing made up. A refusal, an answer off the scale and a problem that the table lacks are missing,
counted in the report of the references, and go by the policy that was named: see `crowdpyro.reference_gaps`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError, ModelError
from ..models.scales import Scale
from ..reference_gaps import Policy, check_policy
from ..references import References
from .prompts import problem_frame


class RecordedAnswers:
    """Recorded answers in place of an LLM.

    Parameters
    ----------
    answers
        References, or a file of `References.read`.
    scale
        Of the answers in a file; of References, their own.
    source
        The LLM of the table that answers; the others only stand in for it. None: all of them, side by side.
    missing
        What becomes of problems without a usable answer: `error`, `drop`, `panel` or `mean`, as in `References.fill`.
    calibration
        Problems of the table over which `mean` is taken; all when None. Give those of training where the table holds
        problems of the test as well.

    Attributes
    ----------
    name, revision
        The LLMs' names, and a hash of the table.

    Raises
    ------
    DataError
        A file that cannot be read or comes without a scale; a source that is not in it; an unknown policy.
    """

    def __init__(
        self,
        answers: References | str | os.PathLike[str],
        *,
        scale: Scale | None = None,
        source: str | None = None,
        missing: Policy = "error",
        calibration: Iterable[object] | None = None,
    ) -> None:
        check_policy(missing, calibrated=calibration is not None, name="missing")
        if isinstance(answers, References):
            if scale is not None and scale != answers.scale:
                raise DataError(f"answers are on {answers.scale}, and scale={scale}; leave scale= out.")
            self.answers = answers
        elif scale is None:
            raise DataError(f"answers={os.fspath(answers)!r} is a file; give the scale= of its answers.")
        else:
            self.answers = References.read(Path(answers), scale=scale)
        self.source, self.missing = source, missing
        self.calibration = None
        if missing == "mean":
            self.calibration = self.answers if calibration is None else self.answers.select(calibration)
        self.name = self.answers.source(source).name if source is not None else ", ".join(self.answers.names)

    @cached_property
    def revision(self) -> str:
        """Hash of the table, whose order does not count."""
        frame = self.answers.to_frame()
        rows = pd.util.hash_pandas_object(frame.astype({"problem": str}), index=False).sort_values()
        return f"sha256:{hashlib.sha256(rows.to_numpy().tobytes()).hexdigest()[:12]}"

    def refer(self, problems: pd.DataFrame, scale: Scale, **asking: Any) -> References:
        """Recorded references of these problems, without gaps.

        Parameters
        ----------
        problems
            Frame indexed by problem, or with a column `problem`.
        scale
            That of the record.
        **asking
            `progress` has no effect here; whatever else would change the answers is refused.

        Returns
        -------
        found : References
            Of these problems, or with `missing="drop"` of some; the counts of what was missing are in the report.

        Raises
        ------
        MissingReferenceError
            A problem without a usable answer, where the policy has none either.
        DataError
            When the recorded answers are on another scale.
        ModelError
            When arguments would ask an LLM anew.
        """
        given = sorted(name for name, value in asking.items() if name != "progress" and value is not None)
        if given:
            raise ModelError(f"{given[0]}: recorded answers cannot be asked anew; leave it out, or ask an LLM.")
        if scale != self.answers.scale:
            raise DataError(f"the recorded answers are on {self.answers.scale}, the problems' on {scale}.")
        ids = problem_frame(problems).index
        n_unknown = len(ids.difference(self.answers.problems))
        found = self.answers.select(ids, "error" if self.missing == "error" else "missing")
        if n_unknown:
            note = f"{n_unknown} of {len(ids)} problems are not among the recorded ones, taken as missing"
            found = replace(found, report=(*found.report, note))
        # The others of a panel stand in before they leave.
        if self.missing == "panel":
            return self._only(found.fill("panel"))
        return self._only(found).fill(self.missing, self.calibration)

    def _only(self, references: References) -> References:
        """The source that answers, without notes on the others."""
        if self.source is None:
            return references
        others = tuple(f"{name}: " for name in references.names if name != self.source)
        notes = tuple(note for note in references.report if not note.startswith(others))
        return replace(references, sources=(references.source(self.source),), report=notes)
