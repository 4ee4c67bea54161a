"""Whether a crowd may be trusted, must be corrected first, or is not worth it: a stated rule.

On the column that decides, with 95 % intervals of the paired differences to every competitor (`comparison`):

walk away       a yardstick or the LLM alone is better, and the interval of the difference excludes zero
trust           on two seeds or more the crowd is better than each of them, every interval excludes zero, and no
                interval of the study's calibration columns (bias, surprise) does
correct first   everything else: use the `rectified` interval, which lets people's answers correct the crowd's

Competitors are those in reach of the crowd's references: what reads the same LLM or none, for a panel what reads any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .comparison import Comparison, Difference, Row
from .metric import Metric
from .study import Study

Word = Literal["trust", "correct first", "walk away"]


@dataclass(frozen=True)
class Verdict:
    """A word and its evidence.

    Attributes
    ----------
    word
        `trust`, `correct first` or `walk away`.
    winner
        Who is best, the report's first sentence.
    because
        Sentences of evidence, the deciding one first.
    """

    word: Word
    winner: str
    because: tuple[str, ...]


def judge(comparison: Comparison, crowd: Row, calibration: dict[str, tuple[Metric, Difference]]) -> Verdict:
    """The rule above.

    Parameters
    ----------
    comparison
        Of the column that decides.
    crowd
        The row that is judged.
    calibration
        The crowd's calibration columns with their intervals, by column; without any, nothing is trusted.
    """
    study, metric = comparison.study, comparison.metric
    sign = -1.0 if metric.lower_is_better is False else 1.0
    against = {other: comparison.difference(crowd, other) for other in comparison.competitors(crowd)}
    beaten_by = [other for other, found in against.items() if found.excludes_zero and sign * found.estimate > 0]
    open_ = [other for other, found in against.items() if not found.excludes_zero]
    off = {name: found for name, (_, found) in calibration.items() if found.excludes_zero}
    winner = who_wins(comparison, crowd)
    ours = titled(study, crowd)
    if beaten_by:
        told = [_compared(comparison, crowd, other, against[other]) for other in beaten_by]
        return Verdict("walk away", winner, tuple(told))
    if not against:
        return Verdict("correct first", winner, ("No competitor was run beside it, so nothing was shown.",))
    told = []
    best = comparison.best_competitor(crowd)
    if best is not None and best not in open_:
        told.append(_compared(comparison, crowd, best, against[best]))
    told += [f"{_compared(comparison, crowd, other, against[other])} That does not tell them apart." for other in open_]
    for name, found in off.items():
        told.append(f"Its {calibration[name][0].title} is {signed(found)}, not zero: {calibration[name][0].meaning}.")
    if not calibration:
        told.append("Its calibration was not measured.")
    single = [titled(study, other) for other, found in against.items() if found.n_seeds < 2]
    if single:
        told.append(f"It shares one seed with {', '.join(single)}, which says nothing about another fit.")
    if open_ or off or single or not calibration:
        return Verdict("correct first", winner, tuple(told))
    names = ", ".join(f"{metric.title} {signed(found)}" for metric, found in calibration.values())
    more = f"{ours} is better than all {len(against)} competitors, and its calibration is not rejected: {names}."
    return Verdict("trust", winner, (more, *told))


def who_wins(comparison: Comparison, crowd: Row) -> str:
    """First sentence of the report: who has the best mean, be it a yardstick, and how far the crowd is from it."""
    study, best = comparison.study, comparison.best()
    title, protocol = comparison.metric.title, study.protocol(comparison.protocol).title
    if best is None:
        return f"{protocol}: nothing was compared."
    kind = comparison.kind(best)
    figure = f"{title} {comparison.mean(best):.3f}"
    name = titled(study, best)
    if kind in ("yardstick", "llm"):
        what = "a simple yardstick" if kind == "yardstick" else "an LLM without people"
        sentence = f"{protocol}: {what} is best, {name}, with {figure}."
        if comparison.pairs(crowd, best):
            sentence += f" {_compared(comparison, crowd, best, comparison.difference(crowd, best))}"
        return sentence
    rival = comparison.best_competitor(best)
    if rival is None:
        return f"{protocol}: {name} is best, with {figure}."
    found = comparison.difference(best, rival)
    better = f"better in {found.n_better} of {found.n_seeds} seeds"
    return (
        f"{protocol}: {name} is best, with {figure}; against the best competitor, {titled(study, rival)}, "
        f"{signed(found)}, {better}."
    )


def titled(study: Study, row: Row) -> str:
    """A row as sentences and tables call it."""
    title = study.method(row.method).title
    return f"{title}, {row.references}" if row.references and len(study.references) > 1 else title


def signed(found: Difference) -> str:
    """`+0.012 (95 % interval +0.008 to +0.016)`; without an interval, the number of seeds; what is equal says so."""
    if found.estimate == found.low == found.high == 0:
        return "0, the same in every seed"
    if found.low == found.high or not (abs(found.low) < float("inf") and abs(found.high) < float("inf")):
        return f"{found.estimate:+.3f} ({found.n_seeds} {'seed' if found.n_seeds == 1 else 'seeds'}, no interval)"
    return f"{found.estimate:+.3f} ({100 * found.level:.0f} % interval {found.low:+.3f} to {found.high:+.3f})"


def _compared(comparison: Comparison, a: Row, b: Row, found: Difference) -> str:
    """One difference as a sentence."""
    sign = -1.0 if comparison.metric.lower_is_better is False else 1.0
    word = "better than" if sign * found.estimate < 0 else "worse than" if found.estimate else "as good as"
    sentence = f"{titled(comparison.study, a)} is {word} {titled(comparison.study, b)}"
    return (
        f"{sentence}: {comparison.metric.title} {signed(found)}, better in {found.n_better} of {found.n_seeds} seeds."
    )
