"""What is measured, which way is better, and how a value over all problems comes from those of single ones.

value = g( sum_u w_u m_u / sum_u w_u ),   g the identity, or the square root for a root mean square

u runs over units, the problems by default; w_u is 1, or the answers of the unit where a metric counts answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import DataError


@dataclass(frozen=True)
class Metric:
    """A number that a study reports.

    Attributes
    ----------
    name
        In the column `metric` of results.
    title
        Heading of a column.
    meaning
        One sentence, without the full stop.
    lower_is_better
        None for what is described and not ranked, a cost or a bias.
    root
        Whether the value over all problems is the square root of the mean of the units' values.
    """

    name: str
    title: str
    meaning: str
    lower_is_better: bool | None = True
    root: bool = False


@dataclass(frozen=True)
class Column:
    """One metric, of one aggregator and number of virtual participants: a column of a table.

    Written `metric`, `metric:aggregator`, `metric@20` or `metric:aggregator@20`; without a number the exact
    predictive distribution is meant, an infinite crowd.
    """

    metric: str
    aggregator: str = ""
    n_virtual: int = 0

    @classmethod
    def parse(cls, text: str) -> Column:
        """Read `metric:aggregator@n_virtual`."""
        parts = re.fullmatch(r"([\w.-]+)(?::([\w.-]+))?(?:@(\d+))?", text)
        if parts is None:
            raise DataError(f"column {text!r}: write metric, metric:aggregator or metric:aggregator@20.")
        return cls(parts[1], parts[2] or "", int(parts[3] or 0))

    def __str__(self) -> str:
        """The text that `parse` reads."""
        aggregator = f":{self.aggregator}" if self.aggregator else ""
        return f"{self.metric}{aggregator}{f'@{self.n_virtual}' if self.n_virtual else ''}"

    @property
    def place(self) -> dict[str, Any]:
        """Values of the results' columns that pick this one out."""
        return {"metric": self.metric, "aggregator": self.aggregator, "n_virtual": self.n_virtual}


_LOG_SCORE = "log probability of held-out answers given their persons' profiles, nats per answer"
# The paper's metrics and ours; a study adds its own.
METRICS = {
    metric.name: metric
    for metric in (
        Metric("mae", "MAE", "mean absolute error of a problem's aggregate, in points of the scale"),
        Metric("rmse", "RMSE", "root mean square error of a problem's aggregate", root=True),
        Metric("resolution_rate", "resolved", "share of problems whose aggregate is less than half a point off", False),
        Metric("cosine_similarity", "CS", "cosine between the histograms of answers, mean over problems", False),
        Metric("wasserstein1", "W1", "distance between the histograms of answers, in points of the scale"),
        Metric("log_loss", "log loss", "minus the log probability of the people's answers, nats per answer"),
        Metric("correlation_error", "corr. error", "root mean square error of the correlations between problems"),
        Metric("joint_log_score", "joint log score", f"{_LOG_SCORE}, all of a person's at once", False),
        Metric("single_log_score", "single log score", f"{_LOG_SCORE}, one by one", False),
        Metric("bias", "bias", "the crowd's mean less the people's, in points of the scale", None),
        Metric("surprise", "surprise", "log loss less the log loss that the crowd itself expects", None),
        Metric("llm_calls", "LLM calls", "questions put to the LLM", None),
        Metric("llm_tokens", "LLM tokens", "tokens that the LLM read and wrote", None),
        Metric("seconds", "seconds", "time of fitting and answering on one thread", None),
    )
}
